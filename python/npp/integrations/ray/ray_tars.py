"""Tar files as WebDataset has them: a sample's files stand together and share their name up to a dot."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

#: The member with what is known about a sample's file.
FACTS = "npp.json"
#: The member with the values of a table's row that no member of their own can hold.
COLUMNS = "columns.json"


class TarSample(NamedTuple):
    """A sample of a tar.

    Attributes:
        key: its members' name, before the first dot of the last part.
        path: of the picture in the tar; of one that npp wrote, with the dots that its name had.
        data: the picture file.
        more: the other members by what stands behind the key and the dot.
    """

    key: str
    path: str
    data: bytes
    more: dict[str, bytes]


# A key ends at the first dot: one in a file's own name is written as in an address.
_ESCAPES = (("%", "%25"), (".", "%2E"))


def key_of(stem: str) -> str:
    """What a sample is called whose picture has this name without its suffix."""
    for sign, escape in _ESCAPES:
        stem = stem.replace(sign, escape)
    return stem


def _name_of(key: str) -> str:
    """The name of a picture without its suffix, by the key that :func:`key_of` made of it."""
    for sign, escape in reversed(_ESCAPES):
        key = key.replace(escape, sign)
    return key


def _split(name: str) -> tuple[str, str]:
    folder, slash, base = name.rpartition("/")
    stem, _, ending = base.partition(".")
    return folder + slash + stem, ending


def _groups(tar: tarfile.TarFile) -> Iterator[tuple[str, dict[str, bytes]]]:
    key, members = "", dict[str, bytes]()
    for member in tar:
        if not member.isfile():
            continue
        member_key, ending = _split(member.name)
        if member_key != key:
            if members:
                yield key, members
            key, members = member_key, {}
        file = tar.extractfile(member)
        assert file is not None
        members[ending] = file.read()
    if members:
        yield key, members


def read_samples(file: BinaryIO, suffixes: Collection[str]) -> Iterator[TarSample]:
    """Samples of a tar, one after the other; those without a picture are passed over.

    Args:
        file: the tar, read as a stream.
        suffixes: of pictures, with their dots.

    Raises:
        tarfile.TarError: no tar, or a damaged one.
    """
    for key, members in samples_in(file):
        for ending in members:
            if f".{ending.rpartition('.')[2].lower()}" in suffixes:
                more = {name: data for name, data in members.items() if name != ending}
                name = _name_of(key) if FACTS in members else key
                yield TarSample(key, f"{name}.{ending}", members[ending], more)
                break


def samples_in(file: BinaryIO) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Keys of a tar with their members, as :func:`tar_of` takes them.

    Raises:
        tarfile.TarError: no tar, or a damaged one.
    """
    with tarfile.open(fileobj=file, mode="r|*") as tar:
        yield from _groups(tar)


def tar_of(samples: Iterable[tuple[str, Mapping[str, bytes]]]) -> bytes:
    """A tar of keys with their members; the same samples give the same bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for key, members in samples:
            for ending, data in members.items():
                info = tarfile.TarInfo(f"{key}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def members_of(values: Mapping[str, Any]) -> dict[str, bytes]:
    """The members of a sample that hold the values of a table's row; none for those that are ``None``.

    Text, numbers and bytes are a member each, called as their column. All others, and those of columns whose
    names would not end up whole behind a sample's, are one object of JSON.
    """
    members: dict[str, bytes] = {}
    json_values: dict[str, Any] = {}
    for name, value in values.items():
        if not isinstance(value, (str, bytes, int, float)) or "/" in name or not name.strip("."):
            json_values[name] = value
        elif isinstance(value, (str, bytes)):
            members[name] = value.encode() if isinstance(value, str) else value
        else:
            members[name] = json.dumps(value).encode()
    json_values = {name: value for name, value in json_values.items() if value is not None}
    return members | ({COLUMNS: json.dumps(json_values, default=_plain).encode()} if json_values else {})


def _plain(value: Any) -> Any:
    """What JSON has for a value that it does not know: lists for arrays, base64 for bytes, or else text."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def facts_in(file: BinaryIO) -> Iterator[dict[str, Any]]:
    """What a tar that npp wrote says about its samples."""
    with tarfile.open(fileobj=file, mode="r|*") as tar:
        for member in tar:
            if _split(member.name)[1] == FACTS:
                file_in_tar = tar.extractfile(member)
                assert file_in_tar is not None
                yield json.loads(file_in_tar.read())
