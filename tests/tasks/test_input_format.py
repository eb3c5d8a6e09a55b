"""Pictures are fitted to a network's input."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from npp.tasks import InputFormat, Prepared, build_task
from npp.tasks.classification import Classification
from npp.tasks.input_format import fit_of


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


def test_the_centre_of_a_larger_picture() -> None:
    image = torch.rand(1, 3, 32, 48)
    format = InputFormat(size=28, resize="crop", crop_from=32)  # noqa: A001
    assert torch.equal(Prepared(nn.Identity(), format)(image), image[..., 2:30, 10:38])
    smaller = Prepared(nn.Identity(), InputFormat(size=14, resize="crop", crop_from=16))(image)
    wanted = F.interpolate(image, (16, 24), mode="bilinear", antialias=True)[..., 1:15, 5:19]
    torch.testing.assert_close(smaller, wanted)


def test_letterbox_keeps_the_shape_and_fills_the_rest() -> None:
    image = torch.rand(2, 3, 8, 12)
    corner = Prepared(nn.Identity(), InputFormat(mean=0.1, size=24, resize="letterbox", fill=0.5))(image)
    scaled = F.interpolate(image, (16, 24), mode="bilinear", antialias=True)
    torch.testing.assert_close(corner[..., :16, :], scaled - 0.1)
    torch.testing.assert_close(corner[..., 16:, :], torch.full((2, 3, 8, 24), 0.4))
    centre = Prepared(nn.Identity(), InputFormat(size=24, resize="letterbox", place="centre"))(image)
    torch.testing.assert_close(centre[..., 4:20, :], scaled)
    assert (centre[..., :4, :] == 0).all() and (centre[..., 20:, :] == 0).all()
    open_side = Prepared(nn.Identity(), InputFormat(size=(16, None), resize="letterbox"))(image)
    torch.testing.assert_close(open_side, scaled)


def test_edges_are_scaled_to_theirs() -> None:
    def sizes(height: int, width: int, **settings: Any) -> tuple[int, int]:
        fit = fit_of(InputFormat(resize="edges", **settings), height, width)
        assert fit.size == fit.scaled and fit.corner == (0, 0)
        return fit.size

    assert sizes(480, 640, size=(800, 1333)) == (800, 1066)
    assert sizes(640, 480, size=(800, 1333)) == (1066, 800)
    assert sizes(400, 1000, size=(800, 1333)) == (533, 1333)
    assert sizes(400, 1000, size=(800, None)) == (800, 2000)
    assert sizes(480, 640, size=(512, 1333), multiple=16) == (512, 672)
    image = torch.rand(1, 3, 8, 12)
    assert torch.equal(Prepared(nn.Identity(), InputFormat(size=(8, 20), resize="edges"))(image), image)


def test_sides_are_whole_multiples() -> None:
    image = torch.rand(1, 3, 9, 13)
    grown = Prepared(nn.Identity(), InputFormat(multiple=4, fill=0.5))(image)
    assert grown.shape[-2:] == (12, 16) and torch.equal(grown[..., :9, :13], image)
    assert (grown[..., 9:, :] == 0.5).all() and (grown[..., 13:] == 0.5).all()
    framed = InputFormat(size=32, resize="letterbox", place="centre", multiple=8)
    fit = fit_of(framed, 30, 64)
    assert (fit.size, fit.scaled, fit.corner) == ((16, 32), (15, 32), (0, 0))
    assert fit_of(framed, 64, 20) == ((32, 16), (32, 10), (0, 3))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"resize": "letterbox"},
        {"resize": "letterbox", "place": "centre"},
        {"resize": "letterbox", "place": "centre", "multiple": 8},
    ],
)
@pytest.mark.parametrize("size", [None, 24, (40, 30)])
def test_boxes_go_to_the_input_and_back(settings: dict[str, Any], size: Any) -> None:
    fit = fit_of(InputFormat(size=size, **settings), 50, 80)
    found = torch.tensor([[0.0, 0.0, 80.0, 50.0], [10.0, 20.0, 30.0, 25.0]])
    on_input = fit.boxes_on_input(found, 50, 80)
    assert (on_input[:, 2:] <= torch.tensor([fit.size[1], fit.size[0]]) + 1e-4).all()
    torch.testing.assert_close(fit.boxes_on_picture(on_input, 50, 80), found)
    beyond = torch.tensor([-500.0, -500.0, 500.0, 500.0])
    torch.testing.assert_close(fit.boxes_on_picture(beyond, 50, 80), found[0])


def test_boxes_on_the_input_and_in_parts_of_its_sides() -> None:
    """A picture of 20x40 is scaled by 2 and stands in the middle of 80x80."""
    fit = fit_of(InputFormat(size=80, resize="letterbox", place="centre"), 20, 40)
    boxes = torch.tensor([[10.0, 5.0, 30.0, 15.0]])
    on_input = fit.boxes_on_input(boxes, 20, 40)
    assert on_input.tolist() == [[20.0, 30.0, 60.0, 50.0]]
    assert torch.equal(fit.boxes_on_picture(on_input, 20, 40), boxes)
    assert fit.unit_boxes_on_input(boxes, 20, 40).tolist() == [[0.5, 0.5, 0.5, 0.25]]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"mean": [1, 2]}, "mean must be one number or three"),
        ({"mean": "123"}, "mean must be one number or three"),
        ({"mean": float("nan")}, "mean must be a finite number, not nan"),
        ({"mean": [0.1, 0.2, "x"]}, "mean must be a finite number, not 'x'"),
        ({"size": True}, "size must be a number"),
        ({"size": [True, 3]}, "whole numbers of 1 or more"),
        ({"channels": "gray", "mean": [0.1, 0.2, 0.3]}, "mean and std must be one number each"),
        ({"std": 0}, "std must be above 0"),
        ({"size": 0}, "1 or more"),
        ({"size": [None, None]}, "size must be"),
        ({"resize": "pad"}, "'stretch', 'crop', 'letterbox', 'edges'"),
        ({"resize": "edges"}, r"size must be \(shorter, longer\)"),
        ({"resize": "edges", "size": (9, 8)}, r"size must be \(shorter, longer\)"),
        ({"multiple": 0}, "multiple must be an integer from 1"),
        ({"multiple": 32, "size": 64}, "multiple goes with resize 'letterbox' or 'edges'"),
        ({"place": "left"}, "'corner', 'centre'"),
        ({"fill": 114}, "fill must be a number from 0 to 1, not 114"),
        ({"crop_from": 256, "size": 224}, "crop_from goes with resize 'crop'"),
        ({"crop_from": 200, "size": 224, "resize": "crop"}, "crop_from must be an integer from 224"),
        ({"channels": "rbg"}, "'rgb', 'bgr', 'gray'"),
    ],
)
def test_wrong_input_formats_are_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        InputFormat(**settings)


@pytest.mark.parametrize("settings", [[1, 2], "mean", 3, (("mean", 1),)], ids=str)
def test_settings_must_be_a_mapping_or_a_format(settings: Any) -> None:
    with pytest.raises(ValueError, match=r"input must be a mapping of .*, one of these or None, not"):
        Classification(nn.Conv2d(3, 4, 1), input=settings)
    with pytest.raises(ValueError, match="input has no setting 3"):
        InputFormat().changed({3: 1})  # type: ignore[dict-item]


def test_a_format_may_be_given_whole() -> None:
    given = InputFormat(mean=0.5, std=0.25, size=16)
    assert InputFormat(mean=0.1, resize="letterbox").changed(given) is given
    task = Classification(nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4)), input=given)
    named = Classification(task.network.network, input={"mean": 0.5, "std": 0.25, "size": 16})  # type: ignore[arg-type]
    x = torch.rand(1, 3, 40, 40)
    assert torch.equal(task.network(x), named.network(x))


def test_numbers_may_be_numpys_and_torchs() -> None:
    values = [0.25, 0.5, 0.75]
    given = InputFormat(mean=torch.tensor(values), std=torch.tensor(0.5), size=torch.tensor([24, 32]))
    assert given == InputFormat(mean=values, std=0.5, size=(24, 32))
    given = InputFormat(mean=np.array([0.1, 0.2, 0.3]), std=np.float32(0.5), size=np.int64(24))
    assert given == InputFormat(mean=[0.1, 0.2, 0.3], std=0.5, size=24)
    assert InputFormat(size=(None, np.int32(9))).size == (None, 9)
    assert InputFormat(mean=Fraction(1, 4), std=torch.tensor(0.5)).mean == (0.25,)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("settings", [{"size": 48}, {"size": 32, "resize": "letterbox", "mean": 0.4}, {}])
def test_pictures_are_prepared_in_float32_at_least(dtype: torch.dtype, settings: dict[str, Any]) -> None:
    """What a network in half precision is fed is the exact input, rounded once."""
    image = torch.rand(2, 3, 40, 56)
    network = nn.Conv2d(3, 4, 3).to(dtype)
    given = InputFormat(std=(0.229, 0.224, 0.225), **settings)
    found = Prepared(network, given).prepare(image)
    exact = Prepared(nn.Identity(), given)(image)
    assert found.dtype == dtype
    if dtype == torch.float64:
        torch.testing.assert_close(found, exact.double(), rtol=1e-5, atol=1e-5)
    else:
        assert torch.equal(found, exact.to(dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_tasks_give_a_network_in_half_precision_exact_pictures(dtype: torch.dtype) -> None:
    seen: list[torch.Tensor] = []
    network = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten()).to(dtype)
    task = build_task("classification", model=network, input={"size": 24})
    task.network.network[0].register_forward_hook(lambda module, given, output: seen.append(given[0]))
    image = torch.rand(1, 3, 40, 56, requires_grad=True)
    task.loss(image, task.targets(image)).sum().backward()
    assert image.grad is not None and image.grad.dtype == torch.float32
    assert torch.equal(seen[-1], Prepared(nn.Identity(), InputFormat(size=24))(image.detach()).to(dtype))
