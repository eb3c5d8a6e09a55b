"""Optimising a picture's pixels through the real codec before its file is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import Unpack

from npp.codec.options import CodecOptions, resolve_qp
from npp.gradient.pairing import Compressed, compress
from npp.gradient.prediction import PictureLoss
from npp.gradient.surrogates import DEFAULT_SURROGATE, Surrogate, resolve_surrogate
from npp.hevc.quantiser import slice_qp, step_size

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


class TaskError(ValueError):
    """A task of :func:`refine` gave a loss or a gradient that is NaN or infinite.

    Attributes:
        task: index of the task.
        picture: index of the first picture that met it.
        history: every evaluation before.
    """

    def __init__(self, message: str, task: int, picture: int) -> None:
        super().__init__(message)
        self.task = task
        self.picture = picture
        self.history: list[RefineStep] = []


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
        losses = [self._loss(i, compressed) for i in range(len(self._tasks))]
        mean = torch.stack([loss.float() for loss in losses]).mean(0)
        return RefineStep(step, compressed.bpp, mean, compressed.bpp + self._weight * mean)

    def _loss(self, index: int, compressed: Compressed) -> Tensor:
        loss, bpp = self._tasks[index](compressed.x_hat), compressed.bpp
        if not isinstance(loss, Tensor) or not loss.is_floating_point():
            kind = loss.dtype if isinstance(loss, Tensor) else type(loss).__name__
            raise TypeError(f"task {index} gave a loss of {kind}; a floating tensor (N,) is needed")
        if loss.shape != bpp.shape:
            raise ValueError(
                f"task {index} gave a loss of shape {tuple(loss.shape)}; one per picture, "
                f"{tuple(bpp.shape)}, is needed"
            )
        if loss.device != bpp.device:
            raise ValueError(f"task {index} gave a loss on {loss.device}; the pictures are on {bpp.device}")
        self._check_finite(index, loss.detach(), "a loss")
        return loss

    def _check_finite(self, index: int, values: Tensor, what: str) -> None:
        """Raises TaskError for values (N, ...) of a task that are not finite."""
        wrong = (~values.isfinite()).flatten(1 if values.dim() > 1 else 0)
        pictures = (wrong.any(1) if values.dim() > 1 else wrong).nonzero().flatten().tolist()
        if pictures:
            value = "NaN" if bool(values[pictures[0]].isnan().any()) else "infinity"
            raise TaskError(
                f"task {index} gave {what} of {value} for picture {pictures[0]}", index, pictures[0]
            )

    def check_gradients(self, gradient: Tensor, x_hat: Tensor) -> None:
        """Finds the task whose gradient is not finite, if the whole one is not.

        Args:
            gradient: (N, C, H, W) of the objective, with respect to the pixels.
            x_hat: the decoded pictures where it was found.
        """
        if bool(gradient.isfinite().all()):
            return
        for index, task in enumerate(self._tasks):
            seen = x_hat.detach().clone().requires_grad_()
            loss = task(seen)
            if loss.requires_grad:
                (own,) = torch.autograd.grad(loss.sum(), seen, allow_unused=True)
                if own is not None:
                    self._check_finite(index, own, "a gradient")
        raise ValueError("the surrogate gave a gradient that is not finite")


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


@torch.inference_mode(False)
@torch.enable_grad()
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
    the task mixes them. It works under ``no_grad`` and ``inference_mode`` too, as long as the task's own
    tensors were not made in inference_mode.

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
        TaskError: a task's loss or gradient is NaN or infinite; says of which task and picture, and has the
            history so far.
    """
    _check(x, steps, lr, patience)
    loop = _Loop(steps, lr, patience, callback)
    chosen = resolve_surrogate(surrogate)
    qps = resolve_qp(qp, len(x))
    objective = _Objective(task, weight, qps, x)
    search: CodecOptions = {**options}
    if search_effort is not None:
        search["effort"] = search_effort

    def run(pixels: Tensor, codec: CodecOptions) -> Compressed:
        return compress(pixels, qps, surrogate=chosen, threads=threads, **codec)

    start = x.detach().clamp(0, 1)
    history: list[RefineStep] = []
    try:
        best = _search(start, qps, objective, lambda pixels: run(pixels, search), loop, history)
        return _write(start, best, history, lambda pixels: run(pixels, options), objective)
    except TaskError as error:
        error.history = history
        raise


class _Loop(NamedTuple):
    """How the search goes on and when it ends; see :func:`refine`."""

    steps: int
    lr: float
    patience: int | None
    callback: Callable[[RefineStep], bool | None] | None


def _search(
    start: Tensor,
    qps: list[int],
    objective: _Objective,
    encode: Callable[[Tensor], Compressed],
    loop: _Loop,
    history: list[RefineStep],
) -> _Best:
    """Adam on the pixels; adds every evaluation to the history."""
    wide = start if start.dtype == torch.float64 else start.float()
    quantiser = slice_qp(torch.tensor(qps, dtype=wide.dtype, device=wide.device))
    unit = (step_size(quantiser) / 255)[:, None, None, None]
    change = torch.zeros_like(wide, requires_grad=True)
    optimizer = torch.optim.Adam([change], lr=loop.lr)
    best: _Best | None = None
    stale = 0
    for step in range(loop.steps + 1):
        with torch.set_grad_enabled(step < loop.steps):
            pixels = wide + unit * change
            compressed = encode(pixels)
            now = objective(step, compressed)
        history.append(RefineStep(step, *(value.detach() for value in now[1:])))
        if best is None:
            best = _Best(wide, history[-1])
        else:
            stale = 0 if best.update(pixels.detach(), history[-1]) else stale + 1
        stopped = loop.callback is not None and loop.callback(history[-1]) is True
        if stopped or step == loop.steps or (loop.patience is not None and stale >= loop.patience):
            break
        optimizer.param_groups[0]["lr"] = loop.lr * _decay(step, loop.steps)
        optimizer.zero_grad()
        torch.autograd.backward(now.objective.sum(), inputs=[change])
        assert change.grad is not None
        objective.check_gradients(change.grad, compressed.x_hat)
        optimizer.step()
        with torch.no_grad():
            change.copy_(((wide + unit * change).clamp(0, 1) - wide) / unit)
    assert best is not None
    return best


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
