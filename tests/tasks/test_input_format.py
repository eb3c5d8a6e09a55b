"""Pictures are fitted to a network's input."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from npp.tasks import InputFormat, Prepared


def test_input_format() -> None:
    image = torch.rand(2, 3, 8, 12)
    echo = nn.Identity()
    assert torch.equal(Prepared(echo)(image), image)
    bgr = Prepared(echo, InputFormat(mean=(0.1, 0.2, 0.3), std=0.5, channels="bgr"))(image)
    torch.testing.assert_close(bgr[:, 0], (image[:, 2] - 0.1) / 0.5)
    gray = Prepared(echo, InputFormat(channels="gray"))(image)
    torch.testing.assert_close(gray[:, 0], 0.299 * image[:, 0] + 0.587 * image[:, 1] + 0.114 * image[:, 2])
    assert Prepared(echo, InputFormat(size=6))(image).shape[-2:] == (6, 6)
    assert Prepared(echo, InputFormat(size=(4, None)))(image).shape[-2:] == (4, 6)
    assert Prepared(echo, InputFormat(size=[None, 24]))(image).shape[-2:] == (16, 24)
    cropped = Prepared(echo, InputFormat(size=8, resize="crop"))(image)
    assert torch.equal(cropped, image[..., 2:10])
    assert Prepared(echo, InputFormat(size=(5, 9), resize="crop"))(image).shape[-2:] == (5, 9)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"mean": [1, 2]}, "mean must be one number or three"),
        ({"std": 0}, "std must be above 0"),
        ({"size": 0}, "1 or more"),
        ({"size": [None, None]}, "size must be"),
        ({"resize": "pad"}, "stretch, crop"),
        ({"channels": "rbg"}, "rgb, bgr, gray"),
    ],
)
def test_wrong_input_formats_are_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        InputFormat(**settings)
