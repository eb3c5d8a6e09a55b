"""Where pictures come from: folders, lists, object stores, Parquet, WebDataset, or somebody's data set."""

from __future__ import annotations

import importlib
import io
import tarfile
import warnings
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from npp.batch.outcomes import describe
from npp.integrations.ray.ray_columns import (
    EARLIER_RESULT,
    ERROR,
    INPUT,
    KEY,
    MORE,
    PATH,
    TARGET,
    Columns,
    as_text,
    column_of,
    from_text,
    names_in,
    readable,
    written_by_npp,
)
from npp.integrations.ray.ray_listings import Listing
from npp.integrations.ray.ray_storage import Storage, is_remote, read_anything, storage_of
from npp.integrations.ray.ray_tars import key_of, read_samples

_BLOCK_BYTES = 16 << 20
LARGEST_BATCH = 64


class Picture(NamedTuple):
    """A picture file, or a folder that cannot be read, which fails in place of the files in it.

    Attributes:
        path: where a worker finds it, wherever that runs.
        input: what the manifest calls it.
        target: the result's name below the folder of the results.
    """

    path: str
    input: str
    target: str


def batch_size(count: int, workers: int) -> int:
    """Photos of a batch: enough batches that all workers have some until the end, few enough to hand out."""
    limit = LARGEST_BATCH if count < 1_000_000 else 4 * LARGEST_BATCH
    return max(1, min(limit, count // (16 * workers)))


def _in_folder(
    folder: Listing, suffixes: Collection[str], suffix: str, closed: set[str]
) -> Iterator[Picture]:
    """The pictures of a folder; folders that cannot be read are also added to ``closed``, by their names."""
    storage, prefix = folder.storage, folder.path.rstrip("/")
    for name in folder.names:
        if PurePosixPath(name).suffix.lower() in suffixes:
            target = PurePosixPath(name).with_suffix(suffix).as_posix()
            yield Picture(f"{storage.root}/{name}", f"{prefix}/{name}", target)
    for name in folder.unreadable:
        called = f"{prefix}/{name}"
        closed.add(called)
        path = storage.inner_path(f"{storage.root}/{name}")
        yield Picture(path, called, f"{name}/*{suffix}".lstrip("/"))


def find_pictures(sources: Sequence[Listing], suffixes: Collection[str], suffix: str) -> list[Picture]:
    """The pictures that paths and URLs mean.

    Args:
        sources: files and folders.
        suffixes: what counts in folders.
        suffix: of the results.

    Raises:
        ValueError: no pictures, or one given twice, or two whose results would have one name.
        OSError: a URL's folder cannot be read; one on a disk that cannot be read is a picture that fails.
    """
    pictures: list[Picture] = []
    closed: set[str] = set()
    for source in sources:
        if source.is_folder:
            pictures += _in_folder(source, suffixes, suffix, closed)
        else:
            name = PurePosixPath(source.absolute).with_suffix(suffix).name
            pictures.append(Picture(source.absolute, source.path, name))
    if not pictures:
        raise ValueError(
            f"no pictures ({' '.join(sorted(suffixes))}) in {', '.join(source.path for source in sources)}"
        )
    targets: dict[str, Picture] = {}
    inputs: set[str] = set()
    for picture in pictures:
        if picture.input in closed:  # nothing will be written for it
            continue
        earlier = targets.setdefault(picture.target, picture)
        if earlier is not picture:
            raise ValueError(f"{earlier.input} and {picture.input} would both become {picture.target}")
        if picture.input in inputs:
            raise ValueError(f"{picture.input} is given twice: by itself and in a folder, or by two folders")
        inputs.add(picture.input)
    return pictures


def pictures_dataset(
    pictures: Sequence[Picture], unrecorded: Collection[str], out: Storage, batch: int
) -> Any:
    """A data set of rows about pictures; ``unrecorded`` has the targets that an earlier run has made."""
    data: Any = importlib.import_module("ray.data")
    starts = range(0, len(pictures), batch)
    return data.from_arrow(
        [pictures_table(pictures[start : start + batch], unrecorded, out) for start in starts]
    )


def pictures_table(pictures: Sequence[Picture], unrecorded: Collection[str], out: Storage) -> Any:
    """The rows of :func:`pictures_dataset` as one table."""
    pa: Any = importlib.import_module("pyarrow")
    columns: dict[str, list[str | None]] = {
        PATH: [picture.path for picture in pictures],
        INPUT: [picture.input for picture in pictures],
        TARGET: [picture.target for picture in pictures],
        EARLIER_RESULT: [
            f"{out.root}/{picture.target}" if picture.target in unrecorded else None for picture in pictures
        ],
    }
    return pa.table({name: column_of(values) for name, values in columns.items()})


def parquet_dataset(paths: Sequence[str], columns: Columns, *, early: bool) -> Any:
    """A data set of Parquet files' rows, as :func:`with_inputs` says; ``early`` finds rows without names."""
    data: Any = importlib.import_module("ray.data")
    fs = None
    if is_remote(paths[0]):
        storage = storage_of(paths[0].rpartition("/")[0])
        fs = storage.filesystem
        paths = [storage.inner_path(path) for path in paths]
    dataset = with_inputs(data.read_parquet(list(paths), filesystem=fs), columns, early=early)
    if early:
        with ThreadPoolExecutor() as pool:
            for _ in pool.map(partial(check_names, fs=fs, columns=columns), paths):
                pass
    return dataset


def check_names(path: str, fs: Any, columns: Columns) -> None:
    """Refuses a Parquet file with a row that has no name.

    The file says at its end where all rows have one; only what it says nothing of, or the contrary, is read.

    Args:
        path: of the file.
        fs: pyarrow's file system that it is in, ``None`` for this machine's.
        columns: what they are for.

    Raises:
        ValueError: there is such a row, or names can not be of the key's type.
    """
    parquet: Any = importlib.import_module("pyarrow.parquet")
    with parquet.ParquetFile(path, filesystem=fs) as file:
        key = columns.key_in(file.schema_arrow.names)
        paths = [file.schema.column(index).path for index in range(len(file.schema))]
        if key not in file.schema_arrow.names or key not in paths:
            return  # refused by its absence, or by its type
        for group in range(file.num_row_groups):
            statistics = file.metadata.row_group(group).column(paths.index(key)).statistics
            if statistics is None or not statistics.has_null_count or statistics.null_count:
                _row_names(file.read_row_group(group, columns=[key])[key], key)


def with_inputs(dataset: Any, columns: Columns, *, early: bool) -> Any:
    """A data set whose rows have the names that ``columns.key`` holds.

    Args:
        dataset: somebody's.
        columns: what its columns are for.
        early: find out what columns it has even where its first rows must be made for that, because more is
            lost than time where they are wrong.

    Raises:
        ValueError: its columns, where they are known by now, are not as they should be.
    """
    schema = dataset.schema(fetch_if_missing=early)
    if schema is not None:
        check_columns(schema.names, schema.types, columns)
    return dataset.map_batches(with_input, fn_args=(columns,), batch_format="pyarrow", batch_size=None)


def check_columns(names: Sequence[str], types: Sequence[Any], columns: Columns) -> None:
    """Refuses columns, of which no rows are known yet, by their names and types.

    Args:
        names: of the columns.
        types: theirs; those that are not Arrow's tell nothing yet.
        columns: what they are for.

    Raises:
        ValueError: as :meth:`Columns.check`, or names can not be of the key's type.
    """
    pa: Any = importlib.import_module("pyarrow")
    columns.check(names)
    key = columns.key_in(names)
    kind = types[list(names).index(key)]
    if isinstance(kind, pa.DataType):
        _row_names(pa.nulls(0, kind), key)


def with_input(table: Any, columns: Columns) -> Any:
    """A table of a user's with npp's column of inputs.

    Raises:
        ValueError: as :meth:`Columns.check`, or a row has no name.
    """
    columns.check(table.column_names)
    key = columns.key_in(table.column_names)
    names = _row_names(table[key], key)
    if key == "input" and written_by_npp(table.column_names):
        names = [from_text(name) for name in names]  # as npp has written them
    if written_by_npp(table.column_names) and _came_from_tars(table.schema):
        table = table.rename_columns(
            [{"key": KEY, "more": MORE}.get(name, name) for name in table.column_names]
        )
    return table.append_column(INPUT, column_of(names))


def _row_names(column: Any, key: str) -> list[str]:
    pa: Any = importlib.import_module("pyarrow")
    try:
        names: list[Any] = column.cast("string").to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise ValueError(f"key {key!r} must be a column of text or numbers, not {column.type}") from None
    if None in names:
        index = names.index(None)
        where = f"after {names[index - 1]!r}" if index else "the first of those read together"
        raise ValueError(f"key {key!r} is null in a row ({where}); each needs a name")
    return names


def members_type() -> Any:
    """Arrow's type of the members that a sample of a tar has beside its picture."""
    pa: Any = importlib.import_module("pyarrow")
    return pa.list_(pa.struct([("name", pa.string()), ("data", pa.binary())]))


def _came_from_tars(schema: Any) -> bool:
    """Whether a table of npp's holds the samples of tars, with their other members."""
    has_columns = {"key", "more"} <= set(schema.names)
    return has_columns and bool(schema.field("more").type.equals(members_type()))


def with_targets(dataset: Any, suffix: str) -> Any:
    """A data set with results' names: the inputs', without what only says where they are."""
    return dataset.map_batches(with_target, fn_args=(suffix,), batch_format="pyarrow", batch_size=None)


def with_target(table: Any, suffix: str) -> Any:
    """A table with the column of results' names, which lie below the folder of the results."""
    names = [
        PurePosixPath(plain_name(name)).with_suffix(suffix).as_posix() for name in names_in(table, INPUT)
    ]
    return table.append_column(TARGET, column_of(names))


def plain_name(name: str) -> str:
    """An input's name that can stand below a folder."""
    parts = name.rpartition("://")[2].split("/")
    return "/".join(part for part in parts if part not in ("", ".", "..")) or "_"


def tars_dataset(paths: Sequence[str], suffixes: Collection[str], column: str) -> Any:
    """A data set of tars' samples, with the picture in ``column``."""
    data: Any = importlib.import_module("ray.data")
    rows = data.from_items([{PATH: as_text(path)} for path in paths], override_num_blocks=len(paths))
    return rows.map_batches(
        tar_samples, fn_args=(frozenset(suffixes), column), batch_format="pyarrow", batch_size=1
    )


class TarCheck:
    """Finds out which tars hold no pictures.

    Args:
        tars: paths; none where a run reads something else.
        suffixes: of pictures.
    """

    def __init__(self, tars: Sequence[str], suffixes: Collection[str]) -> None:
        self._tars, self._suffixes = tars, suffixes
        self._empty = set(tars)

    def saw(self, name: str) -> None:
        """Takes an input's name into account, which begins with its tar's, or is it where that is damaged."""
        while self._empty and name:
            self._empty.discard(name)
            name = name.rpartition("/")[0]

    def conclude(self) -> None:
        """Warns of those that held no pictures.

        Raises:
            ValueError: none held any.
        """
        message = f"no pictures ({' '.join(sorted(self._suffixes))}) in"
        empty = [tar for tar in self._tars if tar in self._empty]
        if empty and len(empty) == len(self._tars):
            raise ValueError(f"{message} {', '.join(empty)}")
        for tar in empty:
            warnings.warn(f"{message} {tar}", stacklevel=2)


def tar_samples(table: Any, suffixes: Collection[str], column: str) -> Iterator[Any]:
    """The samples of tars as tables of some 16 MB; a tar that cannot be read is a row with the error.

    Args:
        table: a column of the tars' paths, :data:`~npp.integrations.ray.ray_columns.PATH`.
        suffixes: of pictures.
        column: the name of the column for the pictures' bytes.
    """
    rows: list[dict[str, Any]] = []
    size = 0
    for path in names_in(table, PATH):
        for row in _rows_of_tar(path, suffixes, column):
            rows.append(row)
            size += len(row[column] or b"")
            if size >= _BLOCK_BYTES:
                yield _samples_table(rows, column)
                rows, size = [], 0
    yield _samples_table(rows, column)


def _rows_of_tar(path: str, suffixes: Collection[str], column: str) -> Iterator[dict[str, Any]]:
    """A tar's samples; from where it cannot be read on, a row about the tar itself with the error."""
    try:
        for sample in read_samples(io.BytesIO(read_anything(path)), suffixes):
            more = [{"name": as_text(name), "data": data} for name, data in sample.more.items()]
            names = {INPUT: as_text(f"{path}/{sample.path}"), KEY: as_text(sample.key)}
            yield {**names, column: sample.data, MORE: more}
    except (tarfile.TarError, EOFError, OSError) as error:
        prefix = "" if isinstance(error, OSError) else "no tar, or a damaged one: "
        key = key_of(PurePosixPath(path).stem)
        names = {INPUT: as_text(path), KEY: as_text(key)}
        yield {**names, column: None, MORE: [], ERROR: readable(prefix + describe(error))}


def _samples_table(rows: list[dict[str, Any]], column: str) -> Any:
    pa: Any = importlib.import_module("pyarrow")
    text = pa.string()
    schema = pa.schema(
        [(INPUT, text), (KEY, text), (column, pa.binary()), (MORE, members_type()), (ERROR, text)]
    )
    return pa.Table.from_pylist(rows, schema=schema)
