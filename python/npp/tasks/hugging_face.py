"""Networks of Hugging Face transformers: classifiers, segmenters and object detectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from npp.extras import require
from npp.tasks.input_format import InputFormat
from npp.tasks.query_detector import QueryDetector

_KINDS = (
    "ForImageClassification",
    "ForImageClassificationWithTeacher",
    "ForSemanticSegmentation",
    "ForUniversalSegmentation",
    "ForInstanceSegmentation",
    "ForObjectDetection",
)
# Networks without a head, whose features tasks such as match compare.
_BACKBONES = ("Model", "ModelWithProjection")
_PICTURES = "pixel_values"  # name of the input of networks for pictures
_DETECTION = "ForObjectDetection"
_LEAST = 1e-6
_YOLOS_STEP = 16  # its image processor makes sides multiples of a patch


def is_network(network: nn.Module) -> bool:
    """Whether a network is a pretrained model of the library, and not just a layer of one."""
    return any(kind.__name__ == "PreTrainedModel" for kind in type(network).__mro__)


def load(rest: str) -> tuple[nn.Module, InputFormat]:
    """A model by its name on the hub, or the folder of its ``save_pretrained``, and its input.

    Raises:
        ValueError: the configuration names no network for pictures, or there is no image processor.
        OSError: transformers finds no such name; its message says where it looked.
    """
    library = require("transformers", f"transformers:{rest}")
    config = library.AutoConfig.from_pretrained(rest)
    (kind, *_) = getattr(config, "architectures", None) or ("none",)
    is_backbone = kind.endswith(_BACKBONES) and not hasattr(config, "text_config")
    is_backbone = is_backbone and getattr(getattr(library, kind, None), "main_input_name", "") == _PICTURES
    if not (kind.endswith(_KINDS) or is_backbone) or not hasattr(library, kind):
        allowed = ", ".join(f"...{end}" for end in (*_KINDS, *_BACKBONES))
        raise ValueError(f"transformers:{rest} must be one of {allowed} by its config.json, not {kind}")
    network: nn.Module = getattr(library, kind).from_pretrained(rest)
    try:
        processor = library.AutoImageProcessor.from_pretrained(rest)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"transformers:{rest} has no image processor, which says how pictures are normalised: put one "
            f"there with its save_pretrained, or give the model itself and say it with input ({error})"
        ) from error
    input_format = processor_format(processor.to_dict(), detection=kind.endswith(_DETECTION))
    return network.float(), input_format


def format_of(network: nn.Module) -> InputFormat:
    """The plain format, for a model by itself does not know its normalisation."""
    return InputFormat()


def _scales(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Mean and standard deviation for pictures in [0, 1], from an image processor's settings.

    It computes (255 x * factor - offset - mean) / std of x in [0, 1].
    """
    peak = 255.0 * (settings.get("rescale_factor", 1 / 255) if settings.get("do_rescale", True) else 1.0)
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if settings.get("do_normalize") and settings.get("image_mean") is not None:
        mean, std = tuple(settings["image_mean"]), tuple(settings["image_std"])
    offset = 1.0 if settings.get("rescale_offset") else 0.0
    return {
        "mean": tuple((value + offset) / peak for value in mean),
        "std": tuple(value / peak for value in std),
        "channels": "bgr" if settings.get("do_flip_channel_order") else "rgb",
    }


def _stretched(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The input size of a classifier or a segmentation network."""
    size = settings.get("size") if settings.get("do_resize", True) else None
    if settings.get("do_center_crop") and settings.get("crop_size"):
        size = settings["crop_size"]
    if isinstance(size, Mapping):
        size = _of_names(size)
    return {"size": size or None}


def _of_names(size: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width from a processor's size by name.

    Raises:
        ValueError: the size has other names.
    """
    if size.get("height") and size.get("width"):
        return size["height"], size["width"]
    edge = size.get("shortest_edge")
    if size and not edge:
        raise ValueError(
            f"the image processor's size must have height and width or shortest_edge, not {dict(size)}: "
            "give the model itself, and say with input what it wants"
        )
    return (edge, edge) if edge else None


def _with_edges(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The input format of a detector's processor: one size, or limits for the edges."""
    size = settings.get("size") or {}
    if not settings.get("do_resize", True) or not size.get("shortest_edge"):
        return _stretched({**settings, "do_center_crop": False})
    step = _YOLOS_STEP if "Yolos" in settings.get("image_processor_type", "") else 1
    edges = (size["shortest_edge"], size.get("longest_edge"))
    return {"size": edges, "resize": "edges", "multiple": step}


def processor_format(settings: Mapping[str, Any], *, detection: bool = False) -> InputFormat:
    """The input format that matches the scaling and normalisation of an image processor.

    Args:
        settings: its ``to_dict()``.
        detection: whether pictures are scaled as the processor does. Else they are stretched to the input
            size, without the centre crop of many classifiers, so that every coded pixel counts.
    """
    scaling = _with_edges(settings) if detection else _stretched(settings)
    return InputFormat(**_scales(settings), **scaling)


class _Logits(nn.Module):
    """A model whose output is its logits, or all of its outputs if it has no logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Any:
        """Logits of a normalised batch (N, 3, H, W); segmentation by queries becomes one map.

        The outputs of a backbone, by name, are returned unchanged.
        """
        output = self.model(images)
        if getattr(output, "masks_queries_logits", None) is not None:
            return _map_of_queries(output.class_queries_logits, output.masks_queries_logits)
        logits = getattr(output, "logits", None)
        return output if logits is None else logits


def _map_of_queries(classes: Tensor, masks: Tensor) -> Tensor:
    """Logits (N, K, h, w) from the queries of MaskFormer and Mask2Former.

    Args:
        classes: logits (N, Q, K + 1), the last class for no object.
        masks: logits (N, Q, h, w).
    """
    scores = torch.einsum("nqk,nqhw->nkhw", classes.softmax(-1)[..., :-1], masks.sigmoid())
    return scores.clamp_min(_LEAST).log()


def plain_network(network: nn.Module) -> nn.Module:
    """The model with its logits as the output."""
    return _Logits(network)


def detector(network: nn.Module, format: InputFormat) -> nn.Module:  # noqa: A002
    """The model as a detector.

    Raises:
        ValueError: the model is no detector.
    """
    name = type(network).__name__
    if not any(kind.__name__.endswith(_DETECTION) for kind in type(network).__mro__):
        raise ValueError(f"model must be a {_DETECTION} of transformers for detection, not {name}")
    return QueryDetector(network, format)
