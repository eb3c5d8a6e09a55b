"""Settings of cells."""

from __future__ import annotations

from typing import Any

import pytest

from npp.tasks import CellFormat


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"nms": 0.5}, "cells has no setting 'nms'; allowed are boxes, scores"),
        ({"nms_iou": 1.5}, "nms_iou must be a number from 0 to 1, not 1.5"),
        ({"least_score": -1}, "least_score must be"),
        ({"limit": 0}, "limit must be an integer from 1"),
        ({"peaks": 1}, "peaks must be True or False"),
        ({"box_format": "xywh"}, "box_format must be one of 'xyxy', 'cxcywh'"),
        (
            {"joined_layout": "last"},
            "joined_layout must be one of 'auto', 'cells_first'",
        ),
    ],
)
def test_wrong_cells_are_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        CellFormat.of(settings)
