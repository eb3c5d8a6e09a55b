"""Strips: the map over the photo, boxes, and the arm at the anchor's bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_evaluation import QPS, RED, allocator, curve, detector, measurements, red_photos, values

from npp.evaluation.arms import Arm
from npp.evaluation.coding import Batch, code_batch
from npp.evaluation.evaluate_config import parse_config
from npp.evaluation.evaluation_run import evaluate
from npp.evaluation.prefilters import Unfiltered
from npp.evaluation.report_pictures import map_over, plot_curves, with_boxes
from npp.evaluation.strip_rows import ShownBoxes, ShownFile, same_bytes
from npp.photos.photo_set import PhotoSet
from npp.recipes import ScaleRule

CPU = torch.device("cpu")


def test_names_of_arms_are_shown_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure_module = pytest.importorskip("matplotlib.figure")
    drawn = []

    class Kept(figure_module.Figure):
        def savefig(self, *args: Any, **options: Any) -> None:
            drawn.append(self)
            super().savefig(*args, **options)

    monkeypatch.setattr(figure_module, "Figure", Kept)
    bpp, kl = curve()
    names = ["_hidden", "$a_b_c$", "plain"]
    plot_curves(measurements(**dict.fromkeys(names, (bpp, kl))), tmp_path / "a.png", "$a_b_c$: 2 photos")
    (figure,) = drawn
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == names
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_a_map_colours_its_blocks_and_draws_their_grid() -> None:
    offsets = torch.zeros(3, 4)
    offsets[0, 0], offsets[2, 3], offsets[1, 1] = -6.0, 6.0, 2.0
    shown = np.asarray(map_over(torch.full((3, 48, 64), 0.5), offsets)).astype(int)
    assert shown.shape == (48, 64, 3)
    gray, finer, coarser, weak = shown[24, 56], shown[8, 8], shown[40, 56], shown[24, 24]
    assert gray.tolist() == [128, 128, 128]
    assert finer[0] > 160 and finer[0] - finer[2] > 50
    assert coarser[2] > 160 and coarser[2] - coarser[0] > 50
    assert 0 < weak[2] - weak[0] < (coarser[2] - coarser[0]) / 2
    assert (shown[40, 32] > gray).all() and (shown[32, 40] > gray).all()


def test_boxes_that_are_gone_on_the_original_are_red() -> None:
    boxes = ShownBoxes(torch.tensor([[8.0, 8, 24, 24], [30.0, 10, 60, 40]]), torch.tensor([True, False]))
    shown = np.asarray(with_boxes(ShownFile(torch.full((3, 48, 64), 0.5), "", boxes))).astype(int)
    assert shown[8, 16, 1] > shown[8, 16, 0] + 80 and shown[40, 45, 0] > shown[40, 45, 1] + 80
    assert shown[16, 16].tolist() == [128, 128, 128]
    plain = np.asarray(with_boxes(ShownFile(torch.full((3, 48, 64), 0.5), "", None)))
    assert (plain == 128).all()


def test_the_arm_is_shown_with_no_more_bytes_than_the_anchor(photos: Path) -> None:
    found = PhotoSet(str(photos / "test"), mode="full", part="all")
    batch = Batch(found, [photos / "test" / "1.png"], CPU)
    arm = Arm("half", {"effort": 0}, Unfiltered(), ScaleRule({0: 0.5}))
    most = int(code_batch(batch, Arm("bpg", {"effort": 0}, Unfiltered()), 28, [], 1).sizes[0])
    shown = same_bytes(batch, arm, 36, most, [], 1)
    sizes = {qp: int(code_batch(batch, arm, qp, [], 1).sizes[0]) for qp in range(20, 52)}
    assert int(shown.sizes[0]) == max(size for size in sizes.values() if size <= most)
    tiny = same_bytes(batch, arm, 36, 1, [], 1)
    assert int(tiny.sizes[0]) == sizes[51]


def test_a_strip_has_the_map_and_the_boxes(tmp_path: Path) -> None:
    red_photos(tmp_path / "test")
    allocator(tmp_path / "allocator.safetensors")
    arms = [
        {"name": "bpg", "effort": 0, "share": "rates"},
        {
            "name": "map",
            "effort": 0,
            "map": {"allocator": str(tmp_path / "allocator.safetensors")},
            "share": ["sensitivity", "measured"],
        },
    ]
    data = {"folder": str(tmp_path / "test"), "mode": "full", "part": "all"}
    config = parse_config(
        values(tmp_path, data=data, seen=[{**detector(), "metrics": False}], unseen=[], arms=arms)
    )
    assert config.strip.arm == "map" and config.strip.qp == QPS[2]
    found = evaluate(config, tmp_path / "run")
    with Image.open(tmp_path / "run" / "strip.png") as strip:
        shown = np.asarray(strip.convert("RGB")).astype(int)
    # Original, map, anchor, arm: a column each of at least the labels' width.
    assert shown.shape[1] == 4 * 266 + 6 and shown.shape[0] > 3 * 96
    first = found.measured.pictures[0]
    x1, y1, x2, _ = RED[int(first[0])]
    for left in (6, 6 + 2 * 266, 6 + 3 * 266):
        edge = shown[26 + 20 + y1 : 26 + 20 + y1 + 2, left + x1 + 4 : left + x2 - 4]
        assert (edge[..., 1] > edge[..., 0] + 60).mean() > 0.7, left
    # Sharing has rows of its own.
    assert found.shared is not None and list(found.measured.arms) == ["bpg", "map"]
    assert list(found.shared.measured.arms) == [
        "bpg",
        "bpg shared by rates",
        "map shared by sensitivity",
        "map shared by measured",
    ]
    text = (tmp_path / "run" / "table.md").read_text()
    plain, shared = text.split("**Bits shared over the set", 1)
    assert "shared by" not in plain and "map shared by measured" in shared
    assert (tmp_path / "run" / "results" / "map shared by measured.json").exists()
