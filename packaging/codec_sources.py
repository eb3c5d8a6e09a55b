"""The sources of x265 and FFmpeg by version and checksum, as packaging/sources.json has them.

A file is taken from a folder where it lies already, else from Debian's source packages with apt, else from
the address of its authors. Whatever its way, it counts only with the right checksum.

    python packaging/codec_sources.py build/sources
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent


class Source(NamedTuple):
    """One archive, as packaging/sources.json has it."""

    version: str
    file: str
    sha256: str
    debian: str
    url: str
    licence: str
    licence_files: list[str]


def known_sources() -> dict[str, Source]:
    """All archives by name: ``x265`` and ``ffmpeg``."""
    found = json.loads((HERE / "sources.json").read_text(encoding="utf-8"))
    return {name: Source(**fields) for name, fields in found.items()}


def fetch(source: Source, folder: Path) -> Path:
    """The archive within ``folder``, brought there if it is not.

    Raises:
        ValueError: a file with another checksum lies there, or no way leads to the right one.
    """
    file = folder / source.file
    if file.exists():
        if _is_right(file, source):
            return file
        raise ValueError(f"{file} does not have the checksum {source.sha256} of packaging/sources.json")
    folder.mkdir(parents=True, exist_ok=True)
    tried = []
    for way in (_from_debian, _from_its_authors):
        with tempfile.TemporaryDirectory(dir=folder) as work:
            try:
                found = way(source, Path(work))
            except (OSError, subprocess.CalledProcessError) as error:
                tried.append(f"{way.__name__[1:]}: {error}")
                continue
            if _is_right(found, source):
                shutil.move(found, file)
                return file
            tried.append(f"{way.__name__[1:]}: another checksum")
    raise ValueError(f"{source.file} was not found ({'; '.join(tried)}); put it into {folder} yourself")


def unpack(archive: Path, folder: Path) -> Path:
    """The one folder that the archive holds, unpacked within ``folder``."""
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(archive) as opened:
        if sys.version_info >= (3, 12):
            opened.extractall(folder, filter="data")
        else:
            opened.extractall(folder)
    (root,) = folder.iterdir()
    return root


def _is_right(file: Path, source: Source) -> bool:
    return hashlib.sha256(file.read_bytes()).hexdigest() == source.sha256


def _from_its_authors(source: Source, work: Path) -> Path:
    file = work / source.file
    with urllib.request.urlopen(source.url, timeout=120) as answer, file.open("wb") as out:
        shutil.copyfileobj(answer, out)
    return file


def _from_debian(source: Source, work: Path) -> Path:
    """Through apt with a list of sources of its own, so that the machine's lists stay as they are."""
    if shutil.which("apt-get") is None:
        raise FileNotFoundError("no apt-get here")
    (work / "sources.list").write_text("".join(f"{line}\n" for line in _deb_src_lines()))
    for name in ("lists/partial", "cache/archives/partial"):
        (work / name).mkdir(parents=True)
    options = {
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": work / "lists",
        "Dir::Cache": work / "cache",
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-q", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]
    # What apt says goes where errors go; the exit status decides.
    for command in (["update"], ["source", "--download-only", source.debian]):
        subprocess.run([*apt, *command], cwd=work, check=True, stdout=sys.stderr)
    return work / source.file


def _deb_src_lines() -> Iterator[str]:
    """A ``deb-src`` line for every place of Debian that apt gets binary packages from here."""
    fields = "$(REPO_URI) $(RELEASE) $(SIGNED_BY)"
    command = ["apt-get", "indextargets", "--format", fields, "Created-By: Packages", "Component: main"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    for line in sorted(set(done.stdout.splitlines())):
        address, release, *key = line.split()
        # Not every apt knows SIGNED_BY: such a one leaves the name as it is, and then trusts its own keys.
        signed = f"[signed-by={key[0]}] " if key and not key[0].startswith("$") else ""
        yield f"deb-src {signed}{address} {release} main"


def main() -> None:
    """Fetches all archives and prints where they are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder", type=Path, nargs="?", default=HERE.parent / "build" / "sources", help="where they belong"
    )
    folder = parser.parse_args().folder
    for known in known_sources().values():
        print(fetch(known, folder))


if __name__ == "__main__":
    main()
