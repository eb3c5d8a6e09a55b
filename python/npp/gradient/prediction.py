"""What a network sees in pictures, as a task that :func:`npp.refine` keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor, nn

from npp.checks import brief, kind_of, number
from npp.codec.batch_hints import batch_hint, floats_hint
from npp.gradient.kl_divergence import kl_divergence

PictureLoss: TypeAlias = Callable[[Tensor], Tensor]
View: TypeAlias = Callable[[Tensor], Tensor]
_MARGIN = 7  # this part of each side is cut off


def mirrored(x: Tensor) -> Tensor:
    """Pictures with left and right exchanged. Not for text.

    Args:
        x: (..., W).

    Raises:
        TypeError: x is no tensor.
        ValueError: x has no side.
    """
    _check_tensor(x)
    if x.ndim < 1:
        raise ValueError(f"x must be (..., W), not {tuple(x.shape)}")
    return x.flip(-1)


def _check_tensor(x: object) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"x must be a tensor, not {brief(x)}")


def zoomed(x: Tensor, vertical: float = 0.5, horizontal: float = 0.5) -> Tensor:
    """Six sevenths of each side of pictures (N, C, H, W), enlarged to their size.

    Args:
        x: the pictures.
        vertical, horizontal: where the part lies, 0 at the top or left to 1 at the bottom or right.

    Returns:
        As x.

    Raises:
        TypeError: x is no tensor.
        ValueError: x has another shape, or the place is outside 0 to 1.
    """
    _check_tensor(x)
    if x.ndim != 4:
        raise ValueError(f"x must be (N, C, H, W), not {tuple(x.shape)}{batch_hint(x)}")
    vertical, horizontal = number("vertical", vertical, 0, 1), number("horizontal", horizontal, 0, 1)
    height, width = x.shape[-2:]
    cut = height // _MARGIN, width // _MARGIN
    top, left = round(vertical * cut[0]), round(horizontal * cut[1])
    crop = x[..., top : top + height - cut[0], left : left + width - cut[1]]
    return nn.functional.interpolate(crop, (height, width), mode="bilinear")


def _mirrored_corner(x: Tensor) -> Tensor:
    return zoomed(mirrored(x), 0, 0)


#: For ``views=`` of :func:`keep_prediction`: four more looks at a picture, its mirror image, its middle, and
#: two of its corners, one of them of the mirror image. A network must keep what it says of each of them.
VIEWS: tuple[View, ...] = (mirrored, zoomed, _mirrored_corner, partial(zoomed, vertical=1, horizontal=1))


def keep_prediction(network: PictureLoss, x: Tensor, views: Iterable[View] = ()) -> PictureLoss:
    """A task for :func:`refine`: the network must go on seeing what it sees in the clean pictures.

    Args:
        network: pictures (N, C, H, W) in [0, 1] to logits (N, classes), or (N, classes, ...) for dense ones.
            A module is used as it is, and so must be in evaluation mode where that matters.
        x: the clean pictures.
        views: differentiable changes of the picture, such as :data:`npp.VIEWS`, after which the network must
            agree with itself too. Each costs another pass through the network. What is found then serves
            other networks more: it cannot rest on what one network does at one place.

    Returns:
        Decoded pictures to KL(clean || decoded), (N,) nats, the mean over the picture and its views, and over
        the places of dense logits. It raises ValueError for logits of another shape than those of x.

    Raises:
        TypeError: the network or a view cannot be called, x is no floating tensor, or the network gives no
            tensor of logits.
        ValueError: x is no batch of pictures; the network gives logits of another shape, or has batch
            normalisation or dropout in training mode.
    """
    _check(network, x)
    looks = (_as_it_is, *_several(views))
    # Not in inference_mode: what is made there could not take part in refine's gradients.
    with torch.inference_mode(False), torch.no_grad():
        clean = [_logits(network, look, x).log_softmax(1) for look in looks]

    def divergence(x_hat: Tensor) -> Tensor:
        seen = (_logits(network, look, x_hat).log_softmax(1) for look in looks)
        return torch.stack([_divergence(*pair) for pair in zip(clean, seen, strict=True)]).mean(0)

    return divergence


def _check(network: object, x: object) -> None:
    if not callable(network):
        raise TypeError(f"network must be a module or a function of pictures, not {brief(network)}")
    for name, layer in network.named_modules() if isinstance(network, nn.Module) else ():
        if layer.training and _changes_in_training(layer):
            raise ValueError(
                f"network must be in evaluation mode, network.eval(): its {type(layer).__name__} {name!r} is "
                "in training mode, where clean and decoded pictures are not treated alike"
            )
    if not isinstance(x, Tensor) or not x.is_floating_point():
        kind = getattr(x, "dtype", type(x).__name__)
        raise TypeError(f"x must be a floating tensor (N, C, H, W) in [0, 1], not {kind}{floats_hint(x)}")
    if x.ndim != 4:
        raise ValueError(f"x must be (N, C, H, W), not {tuple(x.shape)}{batch_hint(x)}")


def _changes_in_training(layer: nn.Module) -> bool:
    """Whether a layer draws something in training mode, or learns from what it sees."""
    if isinstance(layer, nn.modules.dropout._DropoutNd):
        return layer.p > 0
    norm = isinstance(layer, (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm))
    return norm and layer.running_mean is not None


def _logits(network: PictureLoss, look: View, x: Tensor) -> Tensor:
    """(N, classes, ...) of pictures, which stay as they are where a network changes its input in place.

    Raises:
        TypeError, ValueError: the network gives something else.
    """
    seen = look(x.clone())
    logits: object = network(seen)
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        kind = logits.dtype if isinstance(logits, Tensor) else kind_of(logits)
        raise TypeError(
            f"network must give a tensor of logits (N, classes, ...), not {kind}; a function that "
            "picks them out of its output helps"
        )
    if logits.ndim < 2 or len(logits) != len(seen):
        raise ValueError(
            f"network must give logits (N, classes, ...) of {len(seen)} pictures, not {tuple(logits.shape)}"
        )
    return logits


def _several(views: object) -> tuple[View, ...]:
    functions = tuple(views) if isinstance(views, Iterable) else None
    if functions is None or not all(callable(view) for view in functions):
        raise TypeError("views must be several functions of pictures, such as npp.VIEWS")
    return functions


def _as_it_is(x: Tensor) -> Tensor:
    return x


def _divergence(clean: Tensor, now: Tensor) -> Tensor:
    """KL (N,) of log-probabilities (N, classes, ...), the mean over places.

    Raises:
        ValueError: the shapes differ.
    """
    if now.shape != clean.shape:
        raise ValueError(
            f"network must give logits {tuple(clean.shape)} as of the clean pictures, not {tuple(now.shape)}"
        )
    return kl_divergence(clean, now).reshape(len(now), -1).mean(1)
