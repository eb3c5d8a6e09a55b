"""Reading of boxes from files in COCO's format."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from npp.checks import brief, is_int
from npp.evaluation.by_photo import entry_name
from npp.evaluation.region_files import check_once

_SIDES = 4  # left, top, width and height


@dataclass(frozen=True)
class TrueBoxes:
    """The true boxes of one photo.

    Attributes:
        boxes: (K, 4) x1, y1, x2, y2 in pixels.
        categories: (K,) ids of the categories as in the file.
        size: height and width of the photo as in the file, or ``None``.
    """

    boxes: Tensor
    categories: Tensor
    size: tuple[int, int] | None = None


def _check_ids(kind: str, listed: Sequence[Mapping[str, Any]], name: str) -> None:
    """Raises ValueError unless the ids in a list are unique, for other entries refer to them."""
    names: dict[Any, str] = {}
    for entry in listed:
        label = str(entry.get(name))
        if entry["id"] in names:
            raise ValueError(f"{kind} {entry['id']} is listed twice, as {names[entry['id']]} and {label}")
        names[entry["id"]] = label


def _check_form(content: Any) -> None:
    """Raises ValueError unless a file has the lists of the format, and photos' names are text."""
    for part in ("images", "categories", "annotations"):
        listed = content.get(part) if isinstance(content, dict) else None
        if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
            raise ValueError(f"{part} must be a list of objects")
    for place, image in enumerate(content["images"]):
        if not isinstance(image.get("file_name"), str):
            raise ValueError(f"images[{place}].file_name must be text, not {brief(image.get('file_name'))}")


def _box_of(annotation: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """Left, top, width and height of a box. Raises ValueError unless they are four numbers."""
    box = annotation.get("bbox")
    if (
        not isinstance(box, list)
        or len(box) != _SIDES
        or not all(is_int(side) or isinstance(side, float) for side in box)
    ):
        name = annotation.get("id")
        raise ValueError(f"annotation {name} must have a bbox of four numbers, not {brief(box)}")
    left, top, width, height = map(float, box)
    return left, top, width, height


def read_boxes(path: Path) -> tuple[dict[str, TrueBoxes], tuple[int, ...]]:
    """Boxes by the photo's name as in the file, and ids of all categories; crowds are left out.

    Raises:
        OSError: the file cannot be read.
        KeyError, TypeError, ValueError: the file has another format or contradicts itself.
    """
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    _check_form(content)
    _check_ids("image", content["images"], "file_name")
    _check_ids("category", content["categories"], "name")
    names = {image["id"]: entry_name(image["file_name"]) for image in content["images"]}
    sizes = {names[image["id"]]: _listed_size(image) for image in content["images"]}
    check_once(names.values())
    categories = tuple(int(category["id"]) for category in content["categories"])
    allowed = set(categories)
    rows: dict[str, list[tuple[list[float], int]]] = {name: [] for name in names.values()}
    for annotation in content["annotations"]:
        if not annotation.get("iscrowd"):
            category, image = int(annotation["category_id"]), annotation["image_id"]
            if category not in allowed or image not in names:
                missing = f"category {category}" if image in names else f"image {image!r}"
                raise ValueError(
                    f"annotation {annotation.get('id')} is of {missing}, which the file does not list"
                )
            left, top, width, height = _box_of(annotation)
            if not (width >= 0 and height >= 0 and all(map(math.isfinite, (left, top, width, height)))):
                box = f"{width:g}x{height:g} at {left:g}, {top:g}"
                raise ValueError(f"annotation {annotation.get('id')} of {names[image]} has a box of {box}")
            rows[names[image]].append(([left, top, left + width, top + height], category))
    boxes = {
        name: TrueBoxes(
            torch.tensor([box for box, _ in listed], dtype=torch.float32).reshape(-1, 4),
            torch.tensor([category for _, category in listed], dtype=torch.int64),
            sizes[name],
        )
        for name, listed in rows.items()
    }
    return boxes, categories


def _listed_size(entry: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width of a photo as in the annotations; ``None`` if they are missing."""
    height, width = (entry.get(side, 0) for side in ("height", "width"))
    is_known = all(is_int(side) and side > 0 for side in (height, width))
    return (int(height), int(width)) if is_known else None
