"""Optimising a picture's pixels through the real codec before its file is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from npp.codec.options import CodecOptions, resolve_qp
from npp.gradient.pairing import Compressed, compress
from npp.gradient.surrogates import DEFAULT_SURROGATE, Surrogate, resolve_surrogate
from npp.hevc.quantiser import slice_qp, step_size

View: TypeAlias = Callable[[Tensor], Tensor]
_MARGIN = 7  # this part of each side is cut off


def mirrored(x: Tensor) -> Tensor:
    """Pictures (..., W) with left and right exchanged. Not for text."""
    return x.flip(-1)


def zoomed(x: Tensor, vertical: float = 0.5, horizontal: float = 0.5) -> Tensor:
    """Six sevenths of each side of pictures (N, C, H, W), enlarged to their size.

    Args:
        x: the pictures.
        vertical, horizontal: where the part lies, 0 at the top or left to 1 at the bottom or right.
    """
    height, width = x.shape[-2:]
    cut = height // _MARGIN, width // _MARGIN
    top, left = round(vertical * cut[0]), round(horizontal * cut[1])
    part = x[..., top : top + height - cut[0], left : left + width - cut[1]]
    return nn.functional.interpolate(part, (height, width), mode="bilinear")


def _mirrored_corner(x: Tensor) -> Tensor:
    return zoomed(mirrored(x), 0, 0)


#: The mirror image, the middle, and two corners, one of them of the mirror image: four more looks.
VIEWS: tuple[View, ...] = (mirrored, zoomed, _mirrored_corner, partial(zoomed, vertical=1, horizontal=1))
PictureLoss: TypeAlias = Callable[[Tensor], Tensor]
_FINAL_RATE = 0.1


class RefineStep(NamedTuple):
    """One evaluation, before the pixels move on.

    Attributes:
        step: 0 is the picture as given.
        bpp, loss, objective: (N,) the real ones; objective = bpp + weight * loss.
    """

    step: int
    bpp: Tensor
    loss: Tensor
    objective: Tensor


class Refined(NamedTuple):
    """What :func:`refine` found: :class:`Compressed`'s fields, and how it got there.

    Attributes:
        x_hat: (N, C, H, W) decoded pictures.
        bpp: (N,) float32 bits of the whole file for each pixel.
        bitstreams: N BPG files.
        x: (N, C, H, W) the refined pixels that were encoded.
        history: every evaluation on the way.
        best_step: (N,) which of them was taken; 0 is the picture as given.
    """

    x_hat: Tensor
    bpp: Tensor
    bitstreams: list[bytes]
    x: Tensor
    history: list[RefineStep]
    best_step: Tensor


def default_weight(qp: Tensor) -> Tensor:
    """Bits a pixel that a unit of task loss is worth at a qp: 2^((34 - qp) / 3).

    Half of the published schedule (arXiv 2206.05650: 16 at qp 25, 8 at 28, 4 at 31, 2 at 34, 1 at 37), which
    on photos is about the slope of BPG's own curve of bpp over KL. With the whole of it less is saved for
    networks that took no part.
    """
    return torch.exp2((34 - qp) / 3)


def keep_prediction(network: PictureLoss, x: Tensor, views: Sequence[View] = ()) -> PictureLoss:
    """A task for :func:`refine`: the network must go on seeing what it sees in the clean pictures.

    Args:
        network: pictures (N, C, H, W) in [0, 1] to logits (N, classes), or (N, classes, ...) for dense ones.
        x: the clean pictures.
        views: differentiable changes of the picture, such as :data:`npp.VIEWS`, after which the network must
            agree with itself too. Each costs another pass through the network. What is found then serves
            other networks more: it cannot rest on what one network does at one place.

    Returns:
        Decoded pictures to KL(clean || decoded), (N,) nats, the mean over the picture and its views, and over
        the places of dense logits.
    """
    looks = (_as_it_is, *views)
    with torch.no_grad():
        clean = [network(look(x)).log_softmax(1) for look in looks]

    def divergence(x_hat: Tensor) -> Tensor:
        seen = (network(look(x_hat)).log_softmax(1) for look in looks)
        return torch.stack([_divergence(*pair) for pair in zip(clean, seen, strict=True)]).mean(0)

    return divergence


def _as_it_is(x: Tensor) -> Tensor:
    return x


def _divergence(clean: Tensor, now: Tensor) -> Tensor:
    """KL (N,) of log-probabilities (N, classes, ...), the mean over places."""
    return (clean.exp() * (clean - now)).sum(1).reshape(len(now), -1).mean(1)


class _Objective:
    """bpp + weight * mean loss of the tasks, for each picture."""

    def __init__(
        self,
        task: PictureLoss | Sequence[PictureLoss],
        weight: float | Tensor | None,
        qps: list[int],
        x: Tensor,
    ) -> None:
        several = isinstance(task, Sequence) and not callable(task)
        self._tasks: list[PictureLoss] = list(task) if several else [task]  # type: ignore[arg-type, list-item]
        if not self._tasks or not all(callable(one) for one in self._tasks):
            raise TypeError(f"task must be a callable or several, not {task!r}")
        qp = torch.tensor(qps, dtype=torch.float32, device=x.device)
        self._weight = (
            default_weight(qp) if weight is None else torch.as_tensor(weight, device=x.device).float()
        )
        if (
            self._weight.ndim > 1
            or self._weight.numel() not in (1, len(x))
            or not bool((self._weight >= 0).all())
        ):
            raise ValueError(f"weight must be one number of 0 or more, or one per picture, not {weight!r}")

    def __call__(self, step: int, compressed: Compressed) -> RefineStep:
        losses = [task(compressed.x_hat) for task in self._tasks]
        for i, loss in enumerate(losses):
            if loss.shape != compressed.bpp.shape:
                raise ValueError(
                    f"task {i} gave a loss of shape {tuple(loss.shape)}; one per picture, "
                    f"{tuple(compressed.bpp.shape)}, is needed"
                )
        mean = torch.stack([loss.float() for loss in losses]).mean(0)
        return RefineStep(step, compressed.bpp, mean, compressed.bpp + self._weight * mean)


class _Best:
    """Pixels with the lowest real objective so far, for each picture."""

    def __init__(self, x: Tensor, first: RefineStep) -> None:
        self.x = x.clone()
        self.objective = first.objective.clone()
        self.step = torch.zeros(len(x), dtype=torch.int64, device=x.device)

    def update(self, x: Tensor, now: RefineStep) -> bool:
        """Whether some picture got better."""
        better = now.objective < self.objective
        self.x[better] = x[better]
        self.objective[better] = now.objective[better]
        self.step[better] = now.step
        return bool(better.any())


def _check(x: Tensor, steps: int, lr: float, patience: int | None) -> None:
    if not isinstance(x, Tensor) or not x.is_floating_point():
        raise TypeError(
            f"x must be a floating tensor (N, C, H, W), not {getattr(x, 'dtype', type(x).__name__)}"
        )
    if steps < 0:
        raise ValueError(f"steps must be 0 or more, not {steps}")
    if not lr > 0:
        raise ValueError(f"lr must be above 0, not {lr}")
    if patience is not None and patience < 1:
        raise ValueError(f"patience must be at least 1 or None, not {patience}")


def _decay(step: int, steps: int) -> float:
    """Cosine from 1 to a tenth over the steps."""
    return _FINAL_RATE + (1 - _FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * step / steps))


def refine(
    x: Tensor,
    qp: int | Sequence[int] | Tensor,
    task: PictureLoss | Sequence[PictureLoss],
    *,
    steps: int = 12,
    weight: float | Tensor | None = None,
    lr: float = 0.03,
    search_effort: int | None = 0,
    surrogate: str | Surrogate = DEFAULT_SURROGATE,
    patience: int | None = None,
    callback: Callable[[RefineStep], bool | None] | None = None,
    threads: int | None = None,
    **options: Unpack[CodecOptions],
) -> Refined:
    """Changes each picture's pixels until its file is smaller and the task's loss on what is decoded lower.

    Adam on the pixels; every step's value is the real codec's, its direction the surrogate's. The pixels
    with the lowest real objective are kept for each picture, and pictures that did not gain at the final
    options are written as they were given. A picture's result does not depend on its neighbours unless
    the task mixes them.

    Args:
        x: (N, C, H, W) floats in [0, 1].
        qp: an int, or one per picture.
        task: called with decoded pictures (N, C, H, W) in [0, 1], gives a differentiable loss (N,); or
            several such, whose mean counts. Networks that must agree with the original's prediction keep it
            in the callable.
        steps: of Adam.
        weight: bits a pixel that a unit of loss is worth, one number or (N,); by default
            :func:`default_weight` of the qp.
        lr: first step size as a part of BPG's quantiser step at the picture's qp; falls along a cosine to
            a tenth. What is large against the codec's own error serves one network and harms others.
        search_effort: the codec's effort during the steps, ``None`` for that of ``options``. The file is
            always written with ``options``.
        surrogate, threads: as in :func:`npp.compress`.
        patience: stop after so many steps without any picture getting better.
        callback: called with every :class:`RefineStep`; stops early if it returns True.
        **options: of the files, see :class:`npp.CodecOptions`.

    Raises:
        TypeError, ValueError, EncodeError: a wrong argument; the message names it.
    """
    _check(x, steps, lr, patience)
    chosen = resolve_surrogate(surrogate)
    qps = resolve_qp(qp, len(x))
    objective = _Objective(task, weight, qps, x)
    search: CodecOptions = {**options}
    if search_effort is not None:
        search["effort"] = search_effort

    def run(pixels: Tensor, codec: CodecOptions) -> Compressed:
        return compress(pixels, qps, surrogate=chosen, threads=threads, **codec)

    start = x.detach().clamp(0, 1)
    wide = start if x.dtype == torch.float64 else start.float()
    quantiser = slice_qp(torch.tensor(qps, dtype=wide.dtype, device=wide.device))
    unit = (step_size(quantiser) / 255)[:, None, None, None]
    change = torch.zeros_like(wide, requires_grad=True)
    optimizer = torch.optim.Adam([change], lr=lr)
    history: list[RefineStep] = []
    best: _Best | None = None
    stale = 0
    for step in range(steps + 1):
        with torch.set_grad_enabled(step < steps):
            pixels = wide + unit * change
            now = objective(step, run(pixels, search))
        history.append(RefineStep(step, *(value.detach() for value in now[1:])))
        if best is None:
            best = _Best(wide, history[-1])
        else:
            stale = 0 if best.update(pixels.detach(), history[-1]) else stale + 1
        stopped = callback is not None and callback(history[-1]) is True
        if stopped or step == steps or (patience is not None and stale >= patience):
            break
        optimizer.param_groups[0]["lr"] = lr * _decay(step, steps)
        optimizer.zero_grad()
        torch.autograd.backward(now.objective.sum(), inputs=[change])
        optimizer.step()
        with torch.no_grad():
            change.copy_(((wide + unit * change).clamp(0, 1) - wide) / unit)
    assert best is not None
    return _write(start, best, history, lambda pixels: run(pixels, options), objective)


@torch.no_grad()
def _write(
    start: Tensor,
    best: _Best,
    history: list[RefineStep],
    encode: Callable[[Tensor], Compressed],
    objective: _Objective,
) -> Refined:
    """Encodes with the final options; what did not gain there goes back to the picture as given."""
    refined, given = encode(best.x.to(start.dtype)), encode(start)
    gained = objective(0, refined).objective < objective(0, given).objective
    keep = gained[:, None, None, None]
    files = zip(gained.tolist(), refined.bitstreams, given.bitstreams, strict=True)
    return Refined(
        x_hat=torch.where(keep, refined.x_hat, given.x_hat),
        bpp=torch.where(gained, refined.bpp, given.bpp),
        bitstreams=[ours if better else theirs for better, ours, theirs in files],
        x=torch.where(keep, best.x.to(start.dtype), start),
        history=history,
        best_step=torch.where(gained, best.step, torch.zeros_like(best.step)),
    )
