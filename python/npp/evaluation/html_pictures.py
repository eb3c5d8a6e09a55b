"""Photos of the report: pictures to slide between, with boxes and maps as overlays."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from npp.evaluation.report_pictures import GAIN, as_picture, change_picture, map_layer
from npp.evaluation.strip_rows import ShownBoxes, ShownFile, StripRow

_LONGEST = 1024  # longest side of an embedded picture
_LOSSLESS = 512 * 512  # pixels up to which pictures are embedded as PNG
_QUALITY = 95  # of JPEG, without subsampling of chroma


@dataclass(frozen=True)
class Outline:
    """A detector's box in pixels of the photo.

    Attributes:
        x, y: its upper left corner.
        width, height: at least 1.
        same: whether the detector finds it in the original too.
    """

    x: float
    y: float
    width: float
    height: float
    same: bool


@dataclass(frozen=True)
class Layer:
    """One picture of a photo.

    Attributes:
        label: a line about it.
        alt: description for screen readers.
        source: the picture as a data URI.
        outlines: boxes of the detector; ``None`` without one.
    """

    label: str
    alt: str
    source: str
    outlines: tuple[Outline, ...] | None = None


@dataclass(frozen=True)
class OffsetMap:
    """Quantiser offsets as an overlay of a photo.

    Attributes:
        source: a PNG of one pixel a block as a data URI.
        alt: description for screen readers.
        most: the largest offset in qps, which has the strongest colour.
    """

    source: str
    alt: str
    most: float


@dataclass(frozen=True)
class PhotoView:
    """A photo with all its layers and overlays.

    Attributes:
        name: name of the file.
        width, height: size in pixels.
        layers: pictures, the original first and the arm's file last.
        offsets: offsets of the arm, or ``None``.
        note: how the embedded pictures differ from the measured ones; empty if they do not.
    """

    name: str
    width: int
    height: int
    layers: tuple[Layer, ...]
    offsets: OffsetMap | None
    note: str

    @property
    def has_outlines(self) -> bool:
        """Whether any layer has boxes."""
        return any(layer.outlines for layer in self.layers)


def _data_uri(picture: Image.Image, **options: int | str) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, **options)  # type: ignore[arg-type]
    kind = str(options["format"]).lower()
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _embedded(picture: Image.Image) -> str:
    """A data URI: PNG where the picture is small, else JPEG that is hardly worse and no longer than the page
    bears."""
    picture.thumbnail((_LONGEST, _LONGEST), Image.Resampling.LANCZOS)
    if picture.width * picture.height <= _LOSSLESS:
        return _data_uri(picture, format="PNG", optimize=1)
    return _data_uri(picture, format="JPEG", quality=_QUALITY, subsampling=0)


def _note(width: int, height: int, sources: Iterable[str]) -> str:
    """The note about how pictures of this size are embedded; their URIs tell the format."""
    longest = max(width, height)
    notes = []
    if longest > _LONGEST:
        notes.append(f"at {_LONGEST / longest:.0%} of their size")
    if any(source.startswith("data:image/jpeg;") for source in sources):
        notes.append(f"as JPEG of quality {_QUALITY}")
    return f"Embedded {' and '.join(notes)}; what was measured is the whole photo." if notes else ""


def _outlines(boxes: ShownBoxes | None) -> tuple[Outline, ...] | None:
    if boxes is None:
        return None
    return tuple(
        Outline(round(x1, 1), round(y1, 1), round(max(x2 - x1, 1), 1), round(max(y2 - y1, 1), 1), same)
        for (x1, y1, x2, y2), same in zip(boxes.boxes.tolist(), boxes.found.tolist(), strict=True)
    )


def _boxes_text(boxes: ShownBoxes | None) -> str:
    if boxes is None:
        return ""
    unmatched = len(boxes.found) - int(boxes.found.sum())
    text = f"; the detector says {len(boxes.found)} boxes"
    return f"{text}, {unmatched} of them not on the original" if unmatched else text


def _layer(name: str, shown: ShownFile, content: str) -> Layer:
    alt = f"Photo {name}, {content}{_boxes_text(shown.boxes)}"
    return Layer(shown.label, alt, _embedded(as_picture(shown.image)), _outlines(shown.boxes))


def _offset_map(name: str, qp_map: Tensor | None) -> OffsetMap | None:
    if qp_map is None:
        return None
    low, high = float(qp_map.min()), float(qp_map.max())
    rows, columns = qp_map.shape
    alt = f"Quantiser offsets over {name}: {columns} by {rows} blocks, {low:+.1f} to {high:+.1f} qp"
    return OffsetMap(_data_uri(map_layer(qp_map), format="PNG"), alt, max(-low, high))


def photo_view(name: str, row: StripRow) -> PhotoView:
    """A row of the strip for the page.

    Args:
        name: name of the photo.
        row: its pictures.
    """
    height, width = row.original.image.shape[-2:]
    layers = [_layer(name, row.original, "original")]
    if row.change is not None:
        label = f"what was changed before the codec, ×{GAIN}"
        layers.append(Layer(label, f"Photo {name}, {label}", _embedded(change_picture(row.change))))
    # The anchor is compared with itself if there is no other arm to show.
    files = {shown.label: shown for shown in row.files}
    layers += [_layer(name, shown, f"decoded; {shown.label}") for shown in files.values()]
    note = _note(width, height, (layer.source for layer in layers))
    return PhotoView(name, width, height, tuple(layers), _offset_map(name, row.qp_map), note)
