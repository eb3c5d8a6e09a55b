"""What every method of a task keeps to, whoever wrote it."""

from __future__ import annotations

import functools
from typing import Any, cast

from torch import Tensor

from npp.codec.sample_range import on_other_scale, sample_range, values_told
from npp.per_picture import check_entries, scores_by_picture, values_by_picture
from npp.tasks.frozen import Method, off_the_default_device, on_its_own_pictures, without_gradients
from npp.torch_state import has_readable_values


def guarded(name: str, method: Method) -> Method:
    """A method of a task within what holds for all tasks.

    Args:
        name: ``targets``, ``loss_targets``, ``predict``, ``scores`` or ``loss``.
        method: as a class of tasks has it.
    """
    if name in ("targets", "loss_targets"):
        method = _on_the_right_scale(method)
    # Entries are counted around the copy: too few targets are told before pictures are copied for nothing.
    method = _told_by_picture(name, on_its_own_pictures(method))
    if name != "loss":
        method = without_gradients(method)
    # Outermost, so that the copy and the checks make their tensors on no other device either.
    return off_the_default_device(method)


def _on_the_right_scale(method: Method) -> Method:
    """For ``targets``: refuses pictures of 0 to 255, of which networks say something too, but nonsense.

    To read values of another device waits for it: there only a task's first pictures are looked at.
    """

    @functools.wraps(method)
    def wrapped(self: Any, images: Tensor, *others: Any, **named: Any) -> Any:
        if isinstance(images, Tensor) and (images.device.type == "cpu" or not self._scale_is_known):
            _check_scale(images)
            self._scale_is_known = True
        return method(self, images, *others, **named)

    return cast("Method", wrapped)


def _check_scale(images: Tensor) -> None:
    if not (images.is_floating_point() and images.numel() and has_readable_values(images)):
        return
    low, high = sample_range(images)
    if on_other_scale(low, high):
        raise ValueError(f"images hold {values_told(low, high)}")


def _told_by_picture(kind: str, method: Method) -> Method:
    """For the methods of tasks: what they are given and what they say has an entry for each picture.

    Of several pictures a mean, or a loss (N, 1), would be stretched over all of them wherever it is used.
    """

    @functools.wraps(method)
    def wrapped(self: Any, images: Tensor, *others: Any, **named: Any) -> Any:
        if not isinstance(images, Tensor) or not images.ndim:  # the method says what is wrong with them
            return method(self, images, *others, **named)
        who = f"the task {getattr(self, 'name', type(self).__name__)!r}"
        if kind in ("loss", "scores") and (others or "targets" in named):
            check_entries(f"{who}: targets", others[0] if others else named["targets"], len(images))
        found = method(self, images, *others, **named)
        if kind == "loss":
            return values_by_picture(who, "a loss", found, len(images))
        if kind == "scores":
            return scores_by_picture(who, found, len(images))
        check_entries(f"{who}: what {kind} gives", found, len(images))
        return found

    return cast("Method", wrapped)
