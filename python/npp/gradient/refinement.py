"""Optimising a picture's pixels, or its map of quantiser offsets, through the real codec."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from typing_extensions import Unpack

import npp.checks as checks
from npp.codec.batch_hints import floats_hint
from npp.codec.errors import EncodeError
from npp.codec.option_signature import shows_options
from npp.codec.options import MAX_EFFORT, CodecOptions, resolve_options, resolve_qp
from npp.codec.qp_maps import Qp, QpMap, resolve_qp_maps
from npp.codec.round_trip import check_batch
from npp.codec.sample_range import check_scale
from npp.gradient.pairing import Compressed, compress
from npp.gradient.prediction import PictureLoss
from npp.gradient.refine_moves import Maps, MapSearch, SearchCandidate, SearchPosition
from npp.gradient.refine_objective import RefineObjective, RefineStep, TaskError
from npp.gradient.result_repr import result_repr
from npp.gradient.surrogates import DEFAULT_SURROGATE, Surrogate, resolve_surrogate
from npp.torch_state import runs_codec

_FINAL_RATE = 0.1
_MOST_STEPS = 10**6

#: What :func:`refine` changes.
Over = Literal["pixels", "map", "both"]


class Refined(NamedTuple):
    """The result of :func:`refine`: :class:`Compressed`'s fields, and the course of the search.

    Attributes:
        x_hat: (N, C, H, W) decoded pictures.
        bpp: (N,) float32 bits of the whole file for each pixel.
        bitstreams: N BPG files.
        x: (N, C, H, W) the refined pixels that were encoded.
        history: every evaluation on the way.
        best_step: (N,) which of them was taken; 0 is the picture as given.
        qp_map: offsets that were encoded, as :func:`npp.compress` takes them: (ceil(H/16), ceil(W/16)) floats
            for each picture, ``None`` where its QP is constant; ``None`` where all are.
    """

    x_hat: Tensor
    bpp: Tensor
    bitstreams: list[bytes]
    x: Tensor
    history: list[RefineStep]
    best_step: Tensor
    qp_map: list[Tensor | None] | None = None

    def __repr__(self) -> str:
        return result_repr("Refined", self._asdict())


class BestCandidates:
    """The candidate with the lowest real objective so far, of each picture."""

    def __init__(self, first: SearchCandidate, now: RefineStep) -> None:
        self.x = first.x.detach().clone()
        self.maps = first.maps.detach().clone() if isinstance(first.maps, Tensor) else first.maps
        self.objective = now.objective.clone()
        self.step = torch.zeros(len(self.x), dtype=torch.int64, device=self.x.device)

    def update(self, candidate: SearchCandidate, now: RefineStep) -> bool:
        """Keeps the pictures of a candidate that are better; tells whether there are any."""
        better = now.objective < self.objective
        self.x[better] = candidate.x.detach()[better]
        if isinstance(candidate.maps, Tensor) and isinstance(self.maps, Tensor):
            self.maps[better] = candidate.maps.detach()[better]
        self.objective[better] = now.objective[better]
        self.step[better] = now.step
        return bool(better.any())


class _Loop(NamedTuple):
    """What is changed, how the search goes on and when it ends; see :func:`refine`."""

    over: Over
    steps: int
    lr: float
    map: MapSearch
    patience: int | None
    callback: Callable[[RefineStep], bool | None] | None


def _check_pictures(x: object) -> None:
    if not isinstance(x, Tensor) or not x.is_floating_point():
        kind = getattr(x, "dtype", type(x).__name__)
        raise TypeError(f"x must be a floating tensor (N, C, H, W), not {kind}{floats_hint(x)}")
    check_batch(x)
    check_scale("x", x)  # what is clamped to begin with must not be another scale


def _checked(loop: _Loop) -> _Loop:
    """The settings of the search with plain numbers; an error names a wrong argument."""
    checks.one_of("over", loop.over, get_args(Over))
    if loop.callback is not None and not callable(loop.callback):
        raise TypeError(
            f"callback must be a function of a RefineStep or None, not {checks.brief(loop.callback)}"
        )
    checks.number("map_limit", loop.map.limit, 0, checks.MAX_QP)
    checks.flag("map_zero_mean", loop.map.zero_mean)
    return loop._replace(
        steps=checks.whole("steps", loop.steps, 0, _MOST_STEPS),
        lr=checks.number_above("lr", loop.lr, 0),
        map=loop.map._replace(lr=checks.number_above("map_lr", loop.map.lr, 0)),
        patience=None if loop.patience is None else checks.whole("patience", loop.patience, 1, _MOST_STEPS),
    )


def cosine_decay(step: int, steps: int) -> float:
    """The factor of a step's size: along a cosine from 1 before the first step to a tenth after the last."""
    return _FINAL_RATE + (1 - _FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * step / steps))


@shows_options()
@runs_codec("npp.refine")
@torch.inference_mode(False)
@torch.enable_grad()
def refine(
    x: Tensor,
    qp: Qp,
    task: PictureLoss | Sequence[PictureLoss],
    *,
    over: Over = "pixels",
    steps: int = 12,
    weight: float | Sequence[float] | Tensor | None = None,
    lr: float = 0.03,
    qp_map: QpMap | None = None,
    map_lr: float = 2.0,
    map_limit: float = 8.0,
    map_zero_mean: bool = False,
    search_effort: int | None = 0,
    surrogate: str | Surrogate = DEFAULT_SURROGATE,
    patience: int | None = None,
    callback: Callable[[RefineStep], bool | None] | None = None,
    threads: int | None = None,
    **options: Unpack[CodecOptions],
) -> Refined:
    """Changes each picture's pixels or its map until its file is smaller and what is decoded serves the task.

    Gradient steps on the pixels, on a quantiser offset for each block, or on both; every step's value is
    the real codec's, its direction the surrogate's. What has the lowest real objective is kept for each
    picture, and pictures that did not gain at the final options are written as they were given. A picture's
    result does not depend on its neighbours unless the task mixes them. It works under ``no_grad`` and
    ``inference_mode`` too, as long as the task's own tensors were not made in inference_mode.

    Args:
        x: (N, C, H, W) floats in [0, 1].
        qp: an int, or one per picture.
        task: called with decoded pictures (N, C, H, W) in [0, 1], gives a differentiable loss (N,); or
            several such, whose mean counts. Networks that must agree with the original's prediction keep it
            in the callable.
        over: what is changed: ``"pixels"``; ``"map"``, which leaves the picture as it is and moves its bits;
            or ``"both"``. :meth:`npp.Recipe.refine` has ``"map"`` by default, since a recipe serves several
            networks.
        steps: how many, 0 to 1,000,000.
        weight: bits a pixel that a unit of loss is worth, 0 or more, one number or (N,); by default
            2^((34 - qp) / 3), so 8 at qp 25 and 1 at qp 34.
        lr: first step size of the pixels as a part of BPG's quantiser step at the picture's qp; falls along a
            cosine to a tenth. What is large against the codec's own error serves one network and harms
            others.
        qp_map: offsets as in :func:`npp.compress` to start from; with ``over="pixels"`` they stay. By default
            none; a map that is changed then starts at zeros.
        map_lr: root mean square of a picture's first step of the map, in qps; falls along the same cosine.
        map_limit: greatest offset, 0 to 51; where a picture's ``qp_map`` has a greater one, that
            is its limit.
        map_zero_mean: keep the mean offset of each picture at 0, so that its qp stays what it is; the
            objective weighs bits anyway.
        search_effort: the codec's effort during the steps, ``None`` for that of ``options``. The file is
            always written with ``options``.
        surrogate, threads: as in :func:`npp.compress`.
        patience: stop after so many steps without any picture getting better.
        callback: called with every :class:`RefineStep`; stops early if it returns True.
        **options: of the files, see :class:`npp.CodecOptions`.

    Raises:
        TypeError, ValueError, EncodeError: a wrong argument; the message names it.
        TaskError: a task's loss or gradient is NaN or infinite, or it has no gradient, which ``steps=0`` does
            not need; says of which task and picture, and has the history so far.
    """
    _check_pictures(x)
    loop = _checked(_Loop(over, steps, lr, MapSearch(map_lr, map_limit, map_zero_mean), patience, callback))
    if resolve_options(options).lossless:
        raise EncodeError("lossless must be False: refine changes what is coded")
    estimator = resolve_surrogate(surrogate)
    qps = resolve_qp(qp, len(x))
    objective = RefineObjective(task, weight, qps, x)
    search: CodecOptions = {**options}
    if search_effort is not None:
        search["effort"] = checks.whole("search_effort", search_effort, 0, MAX_EFFORT)

    def run(candidate: SearchCandidate, codec: CodecOptions) -> Compressed:
        return compress(
            candidate.x, qps, qp_map=candidate.maps, surrogate=estimator, threads=threads, **codec
        )

    start = SearchCandidate(x.detach().clamp(0, 1), _checked_maps(qp_map, x))
    history: list[RefineStep] = []
    try:
        position = SearchPosition(
            start, qps, None if over == "map" else loop.lr, None if over == "pixels" else loop.map
        )
        best = _search(position, objective, lambda candidate: run(candidate, search), loop, history)
        return _write(start, best, history, lambda candidate: run(candidate, options), objective)
    except TaskError as error:
        error.history = history
        raise


def _checked_maps(qp_map: QpMap | None, x: Tensor) -> Maps | None:
    """A batch's maps, checked; one or ``None`` for each picture."""
    sizes = [(x.shape[-2], x.shape[-1])] * len(x)
    maps = resolve_qp_maps(qp_map, sizes)
    if maps is None:
        return None
    return [None if offsets is None else torch.tensor(offsets, device=x.device) for offsets in maps]


def _search(
    position: SearchPosition,
    objective: RefineObjective,
    encode: Callable[[SearchCandidate], Compressed],
    loop: _Loop,
    history: list[RefineStep],
) -> BestCandidates:
    """The steps; adds every evaluation to the history."""
    best: BestCandidates | None = None
    stale = 0
    for step in range(loop.steps + 1):
        with torch.set_grad_enabled(step < loop.steps):
            candidate = position.candidate()
            compressed = encode(candidate)
            now = objective(step, compressed)
        history.append(RefineStep(step, *(value.detach() for value in now[1:])))
        if best is None:
            best = BestCandidates(candidate, history[-1])
        else:
            stale = 0 if best.update(candidate, history[-1]) else stale + 1
        stopped = loop.callback is not None and loop.callback(history[-1]) is True
        if stopped or step == loop.steps or (loop.patience is not None and stale >= loop.patience):
            break
        gradients = position.gradients(now.objective)
        for gradient in gradients:
            objective.check_gradients(gradient, compressed.x_hat)
        position.move(gradients, cosine_decay(step, loop.steps))
    assert best is not None
    return best


@torch.no_grad()
def _write(
    start: SearchCandidate,
    best: BestCandidates,
    history: list[RefineStep],
    encode: Callable[[SearchCandidate], Compressed],
    objective: RefineObjective,
) -> Refined:
    """Encodes with the final options; what did not gain there goes back to the picture as given."""
    pixels = best.x.to(start.x.dtype)
    refined, unchanged = encode(SearchCandidate(pixels, best.maps)), encode(start)
    gained = objective(0, refined).objective < objective(0, unchanged).objective
    keep = gained[:, None, None, None]
    files = zip(gained.tolist(), refined.bitstreams, unchanged.bitstreams, strict=True)
    return Refined(
        x_hat=torch.where(keep, refined.x_hat, unchanged.x_hat),
        bpp=torch.where(gained, refined.bpp, unchanged.bpp),
        bitstreams=[ours if better else theirs for better, ours, theirs in files],
        # A step may leave [0, 1] by a rounding error, which the codec clamped.
        x=torch.where(keep, pixels, start.x).clamp(0, 1),
        history=history,
        best_step=torch.where(gained, best.step, torch.zeros_like(best.step)),
        qp_map=_written(best.maps, start.maps, gained.tolist()),
    )


def _written(ours: Tensor | Maps | None, initial: Tensor | Maps | None, gained: list[bool]) -> Maps | None:
    """For each picture the map that its file was coded with."""
    if ours is None:
        return None
    theirs = [None] * len(gained) if initial is None else list(initial)
    maps = [offsets if better else other for better, offsets, other in zip(gained, ours, theirs, strict=True)]
    return None if all(offsets is None for offsets in maps) else maps
