"""Photos of a folder: finding and splitting them."""

from __future__ import annotations

import hashlib
import math
import os
import stat
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from fnmatch import fnmatch
from numbers import Real
from pathlib import Path
from typing import Any, Literal, get_args

from npp.checks import brief, is_int, one_of
from npp.config.yaml_files import expand

Part = Literal["train", "val", "test"]
PHOTO_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
BPG_SUFFIXES = frozenset([".bpg"])


class PhotoWarning(UserWarning):
    """A photo, or a folder of photos, cannot be read; the work goes on without it."""


def warn_unreadable(what: object) -> None:
    """Warns about a photo or a folder: its name, and why it cannot be read where that is known."""
    warnings.warn(f"left out, for it cannot be read: {what}", PhotoWarning, stacklevel=2)


def _entries(folder: Path, unreadable: Callable[[OSError], object]) -> list[os.DirEntry[str]]:
    """What a folder holds by name, hidden entries left out; nothing where it cannot be read."""
    try:
        with os.scandir(str(folder)) as entries:
            return sorted(
                (entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name
            )
    except OSError as error:
        unreadable(error)
        return []


def visible_files(
    folder: Path, *, unreadable: Callable[[OSError], object], recursive: bool = True
) -> Iterator[Path]:
    """Files of a folder, a folder's own before those of the folders in it, linked folders last.

    Files and folders whose name begins with a dot are passed over: half-copied files, thumbnails, checkpoints
    of notebooks. A link that leads nowhere counts as a file: whoever opens it says so.

    Every link to a folder is followed that is in the folder or in the folders below it, unless it leads into
    these: two such links to one folder give its files twice. What is linked from linked folders is searched
    only where it has not been yet, so that folders which link to each other take no time.

    Args:
        folder: it may be hidden or a link itself.
        unreadable: told about every folder that cannot be read, which the error names by ``filename``.
        recursive: search the folders in it, too.
    """
    met: set[str] = set()

    def without_links(top: Path, passed_over: Set[str], links: list[Path]) -> Iterator[Path]:
        """Files of a folder and of those below it; what it has of links to folders is added to a list."""
        folders = [(top, os.path.realpath(top))]
        while folders:
            inner, real = folders.pop()
            if real in passed_over:
                continue
            met.add(real)
            entries = _entries(inner, unreadable)
            yield from (inner / entry.name for entry in entries if _is_listed_to_be_opened(entry))
            if recursive:
                inner_folders = [entry for entry in entries if _is_folder(entry)]
                links += [inner / entry.name for entry in inner_folders if entry.is_symlink()]
                below = [entry.name for entry in reversed(inner_folders) if not entry.is_symlink()]
                folders += [(inner / name, os.path.join(real, name)) for name in below]  # noqa: PTH118

    own_links: list[Path] = []
    further_links: list[Path] = []
    yield from without_links(folder, met, own_links)
    own_folders = frozenset(met)
    for link in own_links:
        yield from without_links(link, own_folders, further_links)
    while further_links:
        further_links.sort()  # of several ways to a folder, the first by name
        yield from without_links(further_links.pop(0), met, further_links)


def is_to_be_opened(path: Path | str) -> bool:
    """Whether a search has found a file, or a link that leads nowhere, to itself or where nobody may look.

    Neither folders nor pipes, sockets and devices are to be opened: who reads a pipe may wait for ever.
    """
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 (for names of entries, too)
    except OSError:  # whoever opens it says why
        return True


def _is_listed_to_be_opened(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is to be opened as a file; of most the listing says so without a look at them."""
    try:
        return entry.is_file() or (entry.is_symlink() and is_to_be_opened(entry.path))
    except OSError:
        return True


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # it counts as a file
        return False


def _each_file_once(paths: Iterable[Path], root: Path) -> list[Path]:
    """One path for every file, its real path where that is among them; none for a link to nowhere.

    Links to nowhere are warned of together: where a set is fetched in parts, there may be thousands.
    """
    real_root = Path(os.path.realpath(root))
    reached_by_a_link: dict[Path, bool] = {}
    candidates: list[tuple[bool, Path, tuple[int, int]]] = []
    broken_links: list[OSError] = []
    for path in paths:
        folder = path.parent
        if folder not in reached_by_a_link:
            expected = real_root / folder.relative_to(root)
            reached_by_a_link[folder] = os.path.realpath(folder) != str(expected)
        try:
            status = path.lstat()
        except OSError as error:  # as in a folder that may be listed, and whose files may not be opened
            warn_unreadable(error)
            continue
        is_link = stat.S_ISLNK(status.st_mode)
        if is_link:
            try:
                status = path.stat()
            except OSError as error:
                broken_links.append(error)
                continue
        candidates.append((is_link or reached_by_a_link[folder], path, (status.st_dev, status.st_ino)))
    if broken_links:
        others = f", and {len(broken_links) - 1} more" if len(broken_links) > 1 else ""
        warn_unreadable(f"a link that leads nowhere: {broken_links[0]}{others}")
    unique: dict[tuple[int, int], Path] = {}
    for _, path, identity in sorted(candidates):
        unique.setdefault(identity, path)
    return sorted(unique.values())


def parts_fit(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path's parts are what a pattern's parts ask for; ``**`` is any number of folders."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(parts_fit(parts[skipped:], pattern[1:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatch(parts[0], pattern[0]) and parts_fit(parts[1:], pattern[1:])


def _fits(path: Path, pattern: str) -> bool:
    """Whether a path below a folder, or for a pattern without a slash its name, is of a pattern."""
    return parts_fit(path.parts, Path(pattern).parts) if "/" in pattern else fnmatch(path.name, pattern)


def checked_patterns(include: object) -> list[str] | None:
    """Patterns of photos' names as a list, ``None`` for those of ``PHOTO_SUFFIXES``.

    Raises:
        ValueError: neither ``None`` nor a pattern nor several.
    """
    if include is None:
        return None
    patterns = [include] if isinstance(include, str) else include
    if (
        not isinstance(patterns, Sequence)
        or not patterns
        or not all(isinstance(one, str) for one in patterns)
    ):
        raise ValueError(f"include must be a pattern, a list of at least one, or None, not {brief(include)}")
    return list(patterns)


def find_photos(folder: Path | str, include: str | Sequence[str] | None = None) -> list[Path]:
    """Photos below a folder, sorted by path.

    Hidden files and folders (``.thumbs/``, ``._a.jpg``, ``.ipynb_checkpoints/``) hold no photos. Linked
    folders are searched, too. A file that several names lead to is found once. Folders that cannot be read
    and links that lead nowhere are left out with a :class:`PhotoWarning`.

    Args:
        folder: searched recursively; ``~`` and environment variables are expanded.
        include: one pattern or several, as ``*.jpg``; one with a slash is for the path below ``folder``,
            one without for the file's name. ``*`` stays within one folder's name or the file's, as in the
            patterns of the command line; ``**/`` stands for any folders, or none. Files that neither Pillow
            nor npp knows are left out. By default all of ``PHOTO_SUFFIXES``.

    Raises:
        ValueError: no such folder, no photo in it, or an ``include`` that is no pattern and no list of some.
    """
    patterns = checked_patterns(include)
    root = Path(expand(folder))
    if not root.is_dir():
        raise ValueError(f"folder: {root} is not a folder")
    wanted = _wanted(root, patterns)
    paths = _each_file_once(filter(wanted, visible_files(root, unreadable=warn_unreadable)), root)
    if not paths:
        raise ValueError(f"folder: no photos ({', '.join(patterns or PHOTO_SUFFIXES)}) in {root}")
    return paths


def _wanted(root: Path, patterns: Sequence[str] | None) -> Callable[[Path], bool]:
    """Says of a path below a folder whether its name is that of a photo which is asked for."""
    from PIL import Image  # not for those who only look for files

    suffixes = PHOTO_SUFFIXES if patterns is None else (*Image.registered_extensions(), *BPG_SUFFIXES)

    def wanted(path: Path) -> bool:
        if path.suffix.lower() not in suffixes:
            return False
        if patterns is None:
            return True
        below = path.relative_to(root)
        return any(_fits(below, pattern) for pattern in patterns)

    return wanted


def would_be_found(path: Path, folder: Path | str, include: str | Sequence[str] | None = None) -> bool:
    """Whether :func:`find_photos`, called with ``folder`` and ``include``, would take a file of this path.

    Raises:
        ValueError: an environment variable in ``folder`` is not set, or a wrong ``include``.
    """
    patterns = checked_patterns(include)
    root, real = (Path(os.path.realpath(location)) for location in (expand(folder), path))
    if root not in real.parents or any(part.startswith(".") for part in real.relative_to(root).parts):
        return False
    return _wanted(root, patterns)(real)


def _common_folder(paths: Sequence[Path]) -> Path:
    folders = {path.parent for path in paths}
    return Path(os.path.commonpath(folders)) if len(folders) > 1 else next(iter(folders), Path())


def name_below(folder: Path | str, path: Path) -> str:
    """A photo's path relative to a folder, with ``/`` between folders; it tells it from the others there."""
    return path.relative_to(folder).as_posix()


def _hash_fraction(name: str, seed: int) -> float:
    """A number in [0, 1) that depends only on the name."""
    digest = hashlib.sha256(os.fsencode(f"{seed}:{name}")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def checked_fractions(fractions: Any) -> tuple[float, ...]:
    """Three numbers from 0 with sum 1, of train, val and test; ValueError for anything else."""
    shares: tuple[Any, ...] = (
        tuple(fractions) if isinstance(fractions, Iterable) and not isinstance(fractions, str) else ()
    )
    if (
        len(shares) != len(get_args(Part))
        or not all(isinstance(share, Real) for share in shares)
        or min(shares) < 0
        or not math.isclose(sum(shares), 1, abs_tol=1e-6)
    ):
        raise ValueError(
            f"fractions must be three numbers from 0 with sum 1, not {brief(shares or fractions)}"
        )
    return shares


def checked_seed(name: str, seed: Any) -> int:
    """An integer as Python's own, whose digits the split hashes; ValueError for anything else."""
    if not is_int(seed):
        raise ValueError(f"{name} must be an integer, not {brief(seed)}")
    return int(seed)


def split(
    paths: Sequence[Path],
    part: Part = "train",
    seed: int = 0,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    *,
    root: Path | str | None = None,
) -> list[Path]:
    """The photos of one part, in their order.

    A hash of the path below ``root`` says where a photo belongs, so that a photo stays in its part when
    others are added or the folder moves, and equal names in different folders go different ways. Parts are
    therefore only about as large as their fractions.

    Args:
        paths: photos.
        part: ``"train"``, ``"val"`` or ``"test"``.
        seed: an integer; another one is another split.
        fractions: of train, val and test; their sum is 1.
        root: the folder that was searched; by default the deepest one that holds all of ``paths``. With that
            a photo may change its part when the first one outside of it is added.

    Raises:
        ValueError: an unknown part, wrong fractions, a seed that is no whole number or a photo that is not
            below ``root``.
    """
    names = get_args(Part)
    one_of("part", part, names)
    shares, seed = checked_fractions(fractions), checked_seed("seed", seed)
    index = names.index(part)
    low, high = sum(shares[:index]), sum(shares[: index + 1])
    end = math.inf if index == len(names) - 1 else high
    folder = _common_folder(paths) if root is None else Path(expand(root))
    return [path for path in paths if low <= _hash_fraction(name_below(folder, path), seed) < end]
