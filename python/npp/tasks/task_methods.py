"""Rules for the methods of all tasks, including those of users."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from npp.codec.sample_range import on_other_scale, range_message, sample_range
from npp.per_picture import check_entries, scores_by_picture, values_by_picture
from npp.torch_defaults import cpu_by_default
from npp.torch_state import has_readable_values

Method = TypeVar("Method", bound=Callable[..., Any])


def guarded(name: str, method: Method) -> Method:
    """A method of a task with the checks for all tasks around it, in the order of a call.

    Args:
        name: ``targets``, ``loss_targets``, ``predict``, ``scores`` or ``loss``.
        method: the method of the class.
    """

    @functools.wraps(method)
    def wrapped(self: Any, images: Tensor, *args: Any, **kwargs: Any) -> Any:
        # Networks of several packages give some of their tables no device: what they make beside pictures of
        # the CPU is there too, and so is what is made here.
        with cpu_by_default(images), nullcontext() if name == "loss" else _without_history():
            if name in ("targets", "loss_targets"):
                _check_scale(self, images)
            is_batch = isinstance(images, Tensor) and images.ndim > 0  # else the method raises
            who = f"the task {getattr(self, 'name', type(self).__name__)!r}"
            if is_batch and name in ("loss", "scores") and (args or "targets" in kwargs):
                # Before the copy, which a wrong number of targets would waste.
                check_entries(f"{who}: targets", args[0] if args else kwargs["targets"], len(images))
            # Many networks change their input in place, by subtracting a mean or with a first
            # nn.ReLU6(inplace=True): the caller's pictures stay as they are.
            copies = images.clone() if isinstance(images, Tensor) else images
            result = method(self, copies, *args, **kwargs)
            return _by_picture(name, who, result, len(images)) if is_batch else result

    return cast("Method", wrapped)


@contextmanager
def _without_history() -> Iterator[None]:
    """A block whose results are ordinary tensors without gradients.

    Tensors made under ``torch.inference_mode`` could not be used in a later training.
    """
    with torch.inference_mode(False), torch.no_grad():
        yield


def _check_scale(task: Any, images: Any) -> None:
    """Raises ValueError unless pictures are in [0, 1]: for 0 to 255 networks would return nonsense.

    Reading values of another device waits for it, so only a task's first pictures are checked there.
    """
    if not isinstance(images, Tensor) or (images.device.type != "cpu" and task._scale_is_known):
        return
    if images.is_floating_point() and images.numel() and has_readable_values(images):
        low, high = sample_range(images)
        if on_other_scale(low, high):
            raise ValueError(f"images hold {range_message(low, high)}")
    task._scale_is_known = True


def _by_picture(name: str, who: str, result: Any, count: int) -> Any:
    """The result of a method, checked to have one entry for each picture.

    A mean over several pictures, or a loss (N, 1), would be broadcast wherever it is used.
    """
    if name == "loss":
        return values_by_picture(who, "a loss", result, count)
    if name == "scores":
        return scores_by_picture(who, result, count)
    check_entries(f"{who}: what {name} gives", result, count)
    return result
