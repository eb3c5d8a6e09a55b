"""The importance of each block of a picture: how much a task network's output depends on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, overload

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import Unpack

from npp.allocation.maps import log_importance
from npp.checks import MAX_QP, whole
from npp.codec.option_signature import shows_options
from npp.codec.options import CodecOptions
from npp.codec.qp_maps import MAP_BLOCK
from npp.gradient import compress
from npp.gradient.refine_objective import NO_GRADIENT, gradient_of
from npp.hevc.qp_inputs import FractionalQp, resolve_qps
from npp.tasks.classification import Classification
from npp.tasks.input_format import fed
from npp.tasks.segmentation import Segmentation
from npp.tasks.task import Task, check_images
from npp.torch_defaults import cpu_by_default
from npp.torch_state import runs_codec

#: The most draws for a picture.
MOST_DRAWS = 1000

_SPREAD = 3.0  # pictures are coded so far below and above the qp


class _Probe(NamedTuple):
    """The points at which gradients are taken, and the outputs, over which its importance is the mean."""

    points: Sequence[Tensor]
    outputs: Callable[[Tensor], Iterator[Tensor]]


def block_energy(gradient: Tensor) -> Tensor:
    """Sums the squares of a gradient (N, C, H, W) over channels and blocks of 16x16 pixels, to (N, h, w)."""
    energy = gradient.square().sum(1, keepdim=True)
    height, width = energy.shape[-2:]
    whole_blocks = F.pad(energy, (0, -width % MAP_BLOCK, 0, -height % MAP_BLOCK))
    return F.avg_pool2d(whole_blocks, MAP_BLOCK)[:, 0] * MAP_BLOCK**2


def _logits(task: Task, images: Tensor) -> Tensor:
    """The logits (N, K, ...) of a classifier or a segmenter."""
    # Not run_network, whose check for NaN waits for the GPU each time.
    output = task.network(fed(task.network, images))
    logits: Tensor = output["out"] if isinstance(output, Mapping) else output
    return logits.float()


def _noise(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)


def _fisher(
    task: Task, draws: int, generator: torch.Generator | None
) -> Callable[[Tensor], Iterator[Tensor]]:
    """A function that yields random projections of the logits.

    The mean of their squared gradients is the diagonal of the Fisher information. Their covariance is that
    of a class drawn from the network's own distribution.
    """

    def outputs(images: Tensor) -> Iterator[Tensor]:
        logits = _logits(task, images)
        probabilities = logits.detach().softmax(1)
        roots = probabilities.sqrt()
        for _ in range(draws):
            noise = _noise(roots, generator)
            projection = roots * noise - probabilities * (roots * noise).sum(1, keepdim=True)
            yield (projection * logits).sum()

    return outputs


def _divergence(task: Task, x: Tensor) -> Callable[[Tensor], Iterator[Tensor]]:
    """A function that yields the task's distance from its network's output on the clean pictures."""
    targets = task.targets(x)

    def outputs(images: Tensor) -> Iterator[Tensor]:
        yield task.loss(images, targets).sum()

    return outputs


def _noisy(x: Tensor, coded: Tensor, generator: torch.Generator | None) -> Tensor:
    """Adds white noise to pictures, as strong as the coding error of each."""
    strength = (coded - x).square().mean((1, 2, 3), keepdim=True).sqrt()
    return (x + strength * _noise(x, generator)).clamp(0, 1)


def _probe(
    x: Tensor, coded: Sequence[Tensor], task: Task, draws: int, generator: torch.Generator | None
) -> _Probe:
    if isinstance(task, (Classification, Segmentation)):
        return _Probe([x, *coded], _fisher(task, draws, generator))
    # A divergence has no gradient on the clean picture itself.
    noisy = [_noisy(x, coded[-1], generator) for _ in range(draws)]
    return _Probe([*coded, *noisy], _divergence(task, x))


def _at(point: Tensor, outputs: Callable[[Tensor], Iterator[Tensor]], task: Task) -> Tensor:
    """The importance (N, h, w) at one point, as the mean over the outputs."""
    with torch.enable_grad():
        images = point.detach().requires_grad_()
        energies = [block_energy(_gradient(output, images, task)) for output in outputs(images)]
    return torch.stack(energies).mean(0)


def _gradient(output: Tensor, images: Tensor, task: Task) -> Tensor:
    """The gradient of one scalar output with respect to the pictures.

    Raises:
        ValueError: the task has none.
    """
    gradient = gradient_of(output, images, retain_graph=True)
    if gradient is None:
        raise ValueError(f"the task {task.name!r} has {NO_GRADIENT}")
    return gradient


def _check_finite(logarithms: Tensor, tasks: Sequence[Task], group: Sequence[int]) -> None:
    """Raises ValueError unless all importance is finite.

    All is checked together, for each check waits for the GPU.

    Args:
        logarithms: log2 of the importance, (tasks, N, h, w).
        tasks: the tasks, for the message.
        group: the numbers of the N pictures, for the message.
    """
    wrong = ~logarithms.isfinite().flatten(2).all(2)
    if not bool(wrong.any()):
        return
    index, picture = wrong.nonzero()[0].tolist()
    value = "NaN" if bool(logarithms[index, picture].isnan().any()) else "infinity"
    raise ValueError(
        f"the task {tasks[index].name!r} gave gradients of {value} for picture {group[picture]}: what its "
        "network says, or its loss, is not finite there"
    )


def _coded(x: Tensor, qps: Tensor, threads: int | None, options: CodecOptions) -> list[Tensor]:
    """Codes pictures at qps somewhat below and somewhat above theirs."""
    around = [(qps + shift).round().clamp(0, MAX_QP).long() for shift in (-_SPREAD, _SPREAD)]
    with torch.no_grad():
        return [compress(x, qp, threads=threads, **options).x_hat for qp in around]


def _of_batch(
    x: Tensor,
    tasks: Sequence[Task],
    qps: Tensor,
    group: Sequence[int],
    draws: int,
    generator: torch.Generator | None,
    threads: int | None,
    options: CodecOptions,
) -> Tensor:
    """The importance (N, h, w) of pictures of one size; ``group`` has their numbers, for messages."""
    coded = _coded(x, qps, threads, options)
    logarithms = []
    for task in tasks:
        probe = _probe(x, coded, task, draws, generator)
        points = [log_importance(_at(point, probe.outputs, task)) for point in probe.points]
        logarithms.append(torch.stack(points).mean(0))
    stacked = torch.stack(logarithms)
    _check_finite(stacked, tasks, group)
    return torch.exp2(stacked.mean(0))


def _as_tasks(task: Task | Sequence[Task]) -> list[Task]:
    """One task or several as a list.

    Raises:
        TypeError: something else is among them.
        ValueError: there are none.
    """
    tasks = [task] if isinstance(task, Task) else list(task) if isinstance(task, Sequence) else [task]
    for item in tasks:
        kind: type[Any] = type(item)
        if not issubclass(kind, Task):
            hint = (
                '; npp.tasks.build_task("match", model=network) makes one of any network'
                if issubclass(kind, torch.nn.Module)
                else ""
            )
            raise TypeError(f"task must be an npp.tasks.Task or several, not {kind.__name__}{hint}")
    if not tasks:
        raise ValueError("task must be one at least, not an empty list")
    return tasks


@overload
def importance(
    x: Tensor,
    task: Task | Sequence[Task],
    qp: FractionalQp,
    *,
    draws: int = 1,
    batch: int = 8,
    generator: torch.Generator | None = None,
    threads: int | None = None,
    **options: Unpack[CodecOptions],
) -> Tensor: ...


@overload
def importance(
    x: Sequence[Tensor],
    task: Task | Sequence[Task],
    qp: FractionalQp,
    *,
    draws: int = 1,
    batch: int = 8,
    generator: torch.Generator | None = None,
    threads: int | None = None,
    **options: Unpack[CodecOptions],
) -> list[Tensor]: ...


@shows_options()
@runs_codec("npp.importance")
@torch.inference_mode(False)
def importance(
    x: Tensor | Sequence[Tensor],
    task: Task | Sequence[Task],
    qp: FractionalQp,
    *,
    draws: int = 1,
    batch: int = 8,
    generator: torch.Generator | None = None,
    threads: int | None = None,
    **options: Unpack[CodecOptions],
) -> Tensor | list[Any]:
    """Measures how much the output of a task's network depends on each block of 16x16 pixels.

    It is the sum of squared gradients with respect to the pixels of a block. For classification and
    segmentation they are gradients of random projections of the logits, whose mean square is the diagonal of
    the Fisher information, on the clean picture and on it coded at qp - 3 and qp + 3. For every other task
    they are gradients of the task's loss against the network's own clean output, on the coded pictures and on
    noisy ones. The geometric mean over these pictures is taken, and then over the tasks.

    It costs two coded pictures, and for each task three or four forward passes and as many backward ones;
    each further draw costs three more backward passes (Fisher) or one of both (others). ``effort=1`` is
    good enough for the coded pictures.

    Args:
        x: (N, 3, H, W) floats in [0, 1], or a list of (3, H, W) whose sizes may differ.
        task: a task, or several; the logarithms of their importance are averaged.
        qp: 0 to 51, at which the pictures will be coded; a number or one per picture.
        draws: random projections for each picture, or noisy pictures; 1 to 1000.
        batch: pictures that go through the networks together, 1 to 1024.
        generator: of random numbers, on x's device; torch's own if ``None``.
        threads: codec threads, as in :func:`npp.encode`.
        **options: of the codec, see :class:`npp.CodecOptions`.

    Returns:
        (N, ceil(H/16), ceil(W/16)) float32, above 0, on x's device, without gradient; a list of (h, w) for
        a list. Its level says how sensitive the whole picture is, in units of the network's own.

    Raises:
        TypeError: x or task of another type.
        ValueError: a wrong shape or setting; NaN in x (:class:`npp.EncodeError`); gradients of a task that
            are not finite, or none at all, as those of a quantised network.
    """
    tasks = _as_tasks(task)
    whole("draws", draws, 1, MOST_DRAWS)
    whole("batch", batch, 1, 1024)
    if not isinstance(x, Tensor) and isinstance(x, Sequence):
        for picture in x:
            check_images(picture[None] if isinstance(picture, Tensor) else picture)
    else:
        check_images(x)
    pictures = [picture.detach().float() for picture in x]
    groups = _runs(len(x), batch if isinstance(x, Tensor) else 1)
    device = x.device if isinstance(x, Tensor) else torch.device("cpu")
    qps = resolve_qps(qp, len(x), torch.float32, device)
    maps: list[Tensor] = []
    for group in groups:
        images = torch.stack([pictures[i] for i in group])
        with cpu_by_default(images):  # some networks give their tables no device
            group_qps = qps[group].to(images.device)
            maps += _of_batch(images, tasks, group_qps, group, draws, generator, threads, options)
    if not isinstance(x, Tensor):
        return maps
    empty = x.new_zeros((0, -(-x.shape[-2] // MAP_BLOCK), -(-x.shape[-1] // MAP_BLOCK)), dtype=torch.float32)
    return torch.stack(maps) if maps else empty


def _runs(count: int, length: int) -> Iterator[list[int]]:
    """Yields the numbers 0 to count - 1 in runs of at most that length."""
    return (list(range(start, min(count, start + length))) for start in range(0, count, length))
