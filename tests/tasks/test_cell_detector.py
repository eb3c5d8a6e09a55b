"""Detectors of many cells: hand-made networks and files, read by what they put out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from task_nets import boxes
from torch import Tensor, nn
from torch.nn import functional as F

from npp.tasks import build_task
from npp.tasks.boxes import paired_iou
from npp.tasks.divergence import binary_kl

SIZE, STRIDE, CLASSES = 32, 4, 3
GRID = SIZE // STRIDE


class Cells(nn.Module):
    """Every cell says a box around itself, and scores by the colours in there."""

    def __init__(self, form: str = "dict") -> None:
        super().__init__()
        self.form = form
        self.scale = nn.Parameter(torch.tensor(8.0))

    def forward(self, x: Tensor) -> Any:
        logits = (self.scale * (F.avg_pool2d(x, STRIDE) - 0.5)).flatten(2).transpose(1, 2)
        rows, columns = torch.meshgrid(torch.arange(GRID), torch.arange(GRID), indexing="ij")
        centre = (STRIDE * (torch.stack([columns, rows], -1).reshape(1, -1, 2) + 0.5)).expand(len(x), -1, -1)
        size = 8 + 4 * logits[..., :2].tanh()
        corners = torch.cat([centre - size / 2, centre + size / 2], -1)
        if self.form == "dict":
            return {"boxes": corners, "scores": logits.sigmoid()}
        if self.form == "split":
            objects = logits.amax(-1, keepdim=True)
            return {"b": corners, "s": logits, "o": objects}
        cells = [torch.cat([centre, size], -1), logits.sigmoid()]
        if self.form == "yolov5":
            return torch.cat([cells[0], torch.full_like(logits[..., :1], 0.5), cells[1]], -1)
        return torch.cat(cells, -1).transpose(1, 2)


def task_of(form: str = "dict", input: Mapping[str, Any] | None = None, **cells: Any) -> Any:  # noqa: A002
    network = Cells(form)
    return build_task("detection", model=network, input={"size": SIZE, **(input or {})}, cells=cells)


@pytest.fixture
def picture() -> Tensor:
    """Black with a red and a green spot, 64 x 32: twice as high as the input."""
    x = torch.zeros(1, 3, 64, 32)
    x[0, 0, 16:24, 8:12] = 1
    x[0, 1, 40:48, 20:24] = 1
    return x


def test_boxes_are_in_pixels_of_the_picture(picture: Tensor) -> None:
    task = task_of(least_score=0.5)
    (found,) = task.predict(picture)
    assert found["labels"].tolist() == [0, 1] and (found["scores"] > 0.9).all()
    centres = (found["boxes"][:, :2] + found["boxes"][:, 2:]) / 2
    torch.testing.assert_close(centres, torch.tensor([[10.0, 20.0], [22.0, 44.0]]))
    again = task.targets(torch.cat([picture, picture.flip(3)]))
    torch.testing.assert_close(again[0]["boxes"], found["boxes"])


@pytest.mark.parametrize("place", ["corner", "centre"])
def test_boxes_of_a_letterboxed_picture(place: str) -> None:
    picture = torch.zeros(1, 3, 64, 32)
    picture[0, 0, 16:24, 8:16] = picture[0, 1, 40:48, 16:24] = 1
    task = task_of(input={"resize": "letterbox", "fill": 0.25, "place": place}, least_score=0.5)
    (found,) = task.predict(picture)
    assert sorted(found["labels"].tolist()) == [0, 1]
    centres = (found["boxes"][:, :2] + found["boxes"][:, 2:]) / 2
    torch.testing.assert_close(centres, torch.tensor([[12.0, 20.0], [20.0, 44.0]])[found["labels"]])


def test_forms_of_output_are_the_same(picture: Tensor) -> None:
    (wanted,) = task_of().predict(picture)
    joined = {"joined": "output0", "box_format": "cxcywh"}
    (found,) = task_of("yolov8", **joined).predict(picture)
    for name, values in wanted.items():
        torch.testing.assert_close(found[name], values)
    network = task_of("yolov5", **joined, joined_objectness=True).network
    torch.testing.assert_close(
        network.dense(picture)["scores"], task_of().network.dense(picture)["scores"] / 2
    )
    names = {"boxes": "b", "scores": "s", "objectness": "o", "logits": True}
    split = task_of("split", **names).network.dense(picture)["scores"]
    clean = task_of().network.dense(picture)["scores"]
    torch.testing.assert_close(split, clean * clean.amax(-1, keepdim=True))


def test_the_divergence_is_of_scores_and_sure_boxes(picture: Tensor) -> None:
    task = task_of()
    targets = task.targets(picture)
    assert float(task.loss(picture, targets)) == pytest.approx(0, abs=1e-5)
    leaf = (picture + 0.1 * torch.randn_like(picture)).requires_grad_()
    clean, now = task.network.dense(picture), task.network.dense(leaf)
    expected = (
        binary_kl(clean["scores"], now["scores"]).sum()
        + (clean["scores"].amax(-1) * (1 - paired_iou(clean["boxes"], now["boxes"]))).sum()
    )
    loss = task.loss(leaf, targets)
    torch.testing.assert_close(loss, expected[None])
    loss.sum().backward()
    assert leaf.grad is not None and leaf.grad.isfinite().all() and leaf.grad.abs().sum() > 0
    assert set(task.scores(leaf.detach(), targets)) == {"kl", "f1"}


def test_true_boxes_have_losses_that_are_less_where_they_are_right(picture: Tensor) -> None:
    task = task_of(least_score=0.5)
    right = boxes([4.0, 16, 16, 24], [20, 32, 24, 56], labels=[0, 1])
    wrong = boxes([4.0, 16, 16, 24], [20, 32, 24, 56], labels=[1, 0])
    far = boxes([18, 0, 30, 16], labels=[0])
    losses = [float(task.loss(picture, [one])) for one in (right, wrong, far, boxes(labels=[]))]
    assert losses[0] < losses[1] and losses[0] < losses[2] and all(loss > 0 for loss in losses)
    assert task.scores(picture, [right])["f1"].tolist() == [1]
    leaf = picture.clone().requires_grad_()
    task.loss(leaf, [right]).sum().backward()
    assert leaf.grad is not None and leaf.grad.abs().sum() > 0


def test_labels_beyond_the_classes_are_named(picture: Tensor) -> None:
    with pytest.raises(ValueError, match=r"labels from 0 to 2, not 3 \(box 0\)"):
        task_of().loss(picture, [boxes([6.0, 12, 14, 28], labels=[3])])


def test_peaks_are_the_highest_of_their_neighbours() -> None:
    picture = torch.zeros(1, 3, SIZE, SIZE)
    picture[0, 0, 8:12, 8:12], picture[0, 0, 8:12, 12:16] = 1, 0.9
    settings = {"least_score": 0.5, "nms_iou": 1.0}
    assert len(task_of(**settings).predict(picture)[0]["scores"]) == 2
    (found,) = task_of(peaks=True, **settings).predict(picture)
    assert len(found["scores"]) == 1 and float(found["scores"]) == pytest.approx(
        float(torch.tensor(4.0).sigmoid())
    )


def test_overlapping_boxes_of_a_class_are_one_and_there_is_a_limit() -> None:
    picture = torch.ones(1, 3, SIZE, SIZE)
    every = task_of(nms_iou=1.0).predict(picture)[0]["scores"]
    assert len(every) == 100
    same = {
        "boxes": torch.tensor([[[3.1, 3.3, 13.7, 9.9]]]).expand(1, 60, 4),
        "scores": torch.full((1, 60, 3), 0.5),
    }
    assert len(task_of(nms_iou=1.0).network.detections(same, list(picture))[0]["scores"]) == 100
    assert len(task_of(nms_iou=0.05).predict(picture)[0]["scores"]) < 100
    assert len(task_of(nms_iou=1.0, limit=7).predict(picture)[0]["scores"]) == 7
    assert len(task_of(least_score=0.99).predict(picture)[0]["scores"]) == 0


def test_outputs_of_another_form_are_named(picture: Tensor) -> None:
    with pytest.raises(ValueError, match="must give tensors named boxes, points, not boxes, scores"):
        task_of(scores="points").predict(picture)
    with pytest.raises(ValueError, match=r"scores must be probabilities, not .*logits: true"):
        task_of("split", boxes="b", scores="s").predict(picture)
    with pytest.raises(ValueError, match=r"boxes \(N, K, 4\) and scores"):
        task_of("split", boxes="s", scores="s", logits=True).predict(picture)
    with pytest.raises(ValueError, match="peaks needs an input of fixed size"):
        cells = {"boxes": torch.zeros(1, 60, 4), "scores": torch.zeros(1, 60, 3)}
        task_of(peaks=True).network.detections(cells, list(picture))
    with pytest.raises(ValueError, match=r"input goes with onnx:PATH, .*or with cells"):
        build_task("detection", model=nn.Identity(), input={"size": 3})


class Given(nn.Module):
    """Gives the same for every picture."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = nn.Buffer(output)

    def forward(self, x: Tensor) -> Tensor:
        return self.output.expand(len(x), *self.output.shape[1:])


def _few_cells(cells: int, classes: int) -> Tensor:
    """(1, K, 4 + C): boxes of 4x4 and scores that rise with the cell and the class, up to 1."""
    corners = torch.arange(cells)[:, None].expand(cells, 4) + torch.tensor([0, 0, 4, 4])
    scores = torch.linspace(0, 1, cells * classes).reshape(cells, classes)
    return torch.cat([corners, scores], 1)[None]


@pytest.mark.parametrize("layout", ["cells_first", "cells_last"])
@pytest.mark.parametrize("cells", [20, 84, 100])
def test_few_cells_of_many_classes_are_read_as_they_say(cells: int, layout: str, picture: Tensor) -> None:
    """80 classes on an input of 64x64 pixels have 84 cells."""
    given = _few_cells(cells, 80)
    network = Given(given if layout == "cells_first" else given.transpose(1, 2))
    settings = {"joined": "output0", "joined_layout": layout}
    task = build_task("detection", model=network, input={"size": SIZE}, cells=settings)
    dense = task.network.dense(picture)
    assert torch.equal(dense["boxes"], given[..., :4]) and torch.equal(dense["scores"], given[..., 4:])


def test_a_layout_that_cannot_be_told_is_said(picture: Tensor) -> None:
    settings = {"joined": "output0"}
    square = build_task("detection", model=Given(_few_cells(84, 80)), cells=settings)
    with pytest.raises(ValueError, match=r"output0 has two sides of 84; .*cells_first or cells_last"):
        square.predict(picture)
    few = build_task("detection", model=Given(_few_cells(20, 80)), cells=settings)
    with pytest.raises(ValueError, match="output0 was read as 84 cells of 16 classes, which joined_layout"):
        few.predict(picture)
    flat = build_task("detection", model=Given(torch.zeros(1, 84)), cells=settings)
    with pytest.raises(
        ValueError, match=r"output0 must be \(N, K, 4 \+ C\) or \(N, 4 \+ C, K\), not \(1, 84\)"
    ):
        flat.predict(picture)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("labels", [[0, 0, 0, 0, 0, 0, 0], [0, 5, 1, 0, 79, 3, 0]])
def test_boxes_that_a_file_has_chosen_are_refused(labels: list[int], last: bool, picture: Tensor) -> None:
    """YOLOv10, and exports with nms=True; the label would be read as a class's score."""
    scores = torch.tensor([0.9, 0.8, 0.8, 0.4, 0.1, 0.0, 0.0])
    chosen = torch.cat([torch.rand(7, 4), scores[:, None], torch.tensor(labels)[:, None]], 1)[None]
    network = Given(chosen.transpose(1, 2) if last else chosen)
    task = build_task("detection", model=network, cells={"joined": "output0"})
    with pytest.raises(ValueError, match="output0 holds boxes already chosen"):
        task.predict(picture)
    cells = torch.cat(
        [20 * torch.rand(1, 7, 4).cumsum(2), torch.rand(1, 7, 1), torch.rand(1, 7, 1).round()], 2
    )
    cells[0, :2, 4] = torch.tensor([0.1, 0.2])
    assert build_task("detection", model=Given(cells), cells={"joined": "output0"}).predict(picture)


# Files


@pytest.fixture
def cells_file(tmp_path: Path) -> Path:
    """An ONNX file with outputs ``scores``, ``extra`` and ``boxes`` of random weights, 24 x 16 pixels."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    for package in ("onnx2torch", "torchvision"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    generator = torch.Generator().manual_seed(4)
    weights = {
        "w_scores": torch.randn(5, 3, 4, 4, generator=generator),
        "w_boxes": 0.2 * torch.rand(4, 3, 4, 4, generator=generator),
        "shift": torch.tensor([0.0, 0.0, 30.0, 30.0]),
    }
    tensors = [onnx.numpy_helper.from_array(value.numpy(), name) for name, value in weights.items()]
    tensors += [
        onnx.helper.make_tensor(f"shape_{count}", onnx.TensorProto.INT64, [3], [0, count, -1])
        for count in (4, 5)
    ]
    nodes = []
    for name, count in (("scores", 5), ("boxes", 4)):
        nodes += [
            helper.make_node("Conv", ["image", f"w_{name}"], [f"map_{name}"], strides=[4, 4]),
            helper.make_node("Reshape", [f"map_{name}", f"shape_{count}"], [f"flat_{name}"]),
            helper.make_node("Transpose", [f"flat_{name}"], [f"row_{name}"], perm=[0, 2, 1]),
        ]
    nodes += [
        helper.make_node("Sigmoid", ["row_scores"], ["scores"]),
        helper.make_node("Identity", ["row_scores"], ["extra"]),
        helper.make_node("Add", ["row_boxes", "shift"], ["boxes"]),
    ]
    outputs = [
        helper.make_tensor_value_info(name, kind, ["n", 24, width])
        for name, width in (("scores", 5), ("extra", 5), ("boxes", 4))
    ]
    entry = helper.make_tensor_value_info("image", kind, ["n", 3, 16, 24])
    graph = helper.make_graph(nodes, "cells", [entry], outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    onnx.save(model, tmp_path / "cells.onnx")
    return tmp_path / "cells.onnx"


def test_a_file_of_cells(cells_file: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="compared with onnxruntime")
    task = build_task("detection", model=f"onnx:{cells_file}", threshold=0.3)
    images = torch.rand(2, 3, 16, 24)
    scores, _, corners = runtime.InferenceSession(cells_file).run(None, {"image": images.numpy()})
    dense = task.network.dense(images)
    torch.testing.assert_close(dense["scores"], torch.from_numpy(scores))
    torch.testing.assert_close(dense["boxes"], torch.from_numpy(corners))
    targets = task.targets(images)
    assert all((one["scores"] >= 0.3).all() and len(one["scores"]) for one in targets)
    torch.testing.assert_close(task.loss(images, targets), torch.zeros(2))
    large = torch.rand(1, 3, 50, 70).requires_grad_()
    task.loss(large, task.targets(large.detach().flip(3))).sum().backward()
    assert large.grad is not None and large.grad.abs().sum() > 0


def test_names_that_a_file_lacks_are_named(cells_file: Path) -> None:
    with pytest.raises(ValueError, match="no output 'points'; cells can name scores, extra, boxes"):
        build_task("detection", model=f"onnx:{cells_file}", cells={"boxes": "points"})
    renamed = build_task("detection", model=f"onnx:{cells_file}", cells={"scores": "extra", "logits": True})
    plain = build_task("detection", model=f"onnx:{cells_file}")
    images = torch.rand(1, 3, 16, 24)
    torch.testing.assert_close(renamed.network.dense(images), plain.network.dense(images))


@pytest.mark.parametrize(
    ("file", "label", "settings"),
    [
        ("nanodet-plus-m-416.onnx", 21, {}),
        ("yolox-nano-416.onnx", 21, {"input": {"resize": "letterbox", "fill": 114 / 255}}),
        ("centernet-mbv3-512.onnx", 16, {"cells": {"peaks": True}}),  # takes the bear for a dog
    ],
)
def test_real_detectors_see_a_bear(file: str, label: int, settings: dict[str, Any], shared: Path) -> None:
    from npp.photos.loading import load_photo

    for package in ("onnx", "onnx2torch", "torchvision"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    path = shared / "models" / file
    bear = next(iter((shared / "data" / "bsds500").rglob("100080.jpg")), None)
    if bear is None or not path.is_file():
        pytest.skip(f"{file} or the photo 100080.jpg of BSDS500 is absent")
    task = build_task("detection", model=f"onnx:{path}", **settings)
    image = load_photo(bear, None, "full")[None]
    best = task.predict(image)[0]
    assert int(best["labels"][0]) == label  # of COCO's 80, from 0
    centre = (best["boxes"][0, :2] + best["boxes"][0, 2:]) / 2
    assert 100 < centre[0] < 220 and 240 < centre[1] < 400
    targets = task.targets(image)
    assert float(task.loss(image, targets)) == 0
    noisy = [image + level * torch.randn_like(image) for level in (0.01, 0.04, 0.16)]
    scores = [float(task.scores(one, targets)["kl"]) for one in noisy]
    assert scores == sorted(scores)


class SoftCells(nn.Module):
    """The same with boxes as parts of the sides, and one softmax over the classes and nothing."""

    def __init__(self, background: str, logits: bool) -> None:
        super().__init__()
        self.cells, self.background, self.logits = Cells("split"), background, logits

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found = self.cells(x)
        nothing = torch.zeros_like(found["s"][..., :1])
        both = [nothing, found["s"]] if self.background == "first" else [found["s"], nothing]
        scores = torch.cat(both, -1)
        return {"boxes": found["b"] / SIZE, "scores": scores if self.logits else scores.softmax(-1)}


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("background", ["first", "last"])
def test_parts_of_the_sides_and_a_class_for_nothing_are_understood(
    background: str, logits: bool, picture: Tensor
) -> None:
    cells = {"normalised": True, "background": background, "logits": logits}
    task = build_task("detection", model=SoftCells(background, logits), input={"size": SIZE}, cells=cells)
    wanted = Cells("split")(F.interpolate(picture, (SIZE, SIZE), mode="bilinear", antialias=True))
    dense = task.network.dense(picture)
    torch.testing.assert_close(dense["boxes"], wanted["b"])
    e = wanted["s"].exp()
    torch.testing.assert_close(dense["scores"], e / (1 + e.sum(-1, keepdim=True)))


class FixedBoxes(nn.Module):
    """These boxes, surely of a class where the picture is bright, whatever else it shows."""

    def __init__(self, given: Tensor) -> None:
        super().__init__()
        self.given = given

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        many = self.given.expand(len(x), -1, -1)
        sure = x.amax((1, 2, 3)).clamp(0.01, 0.9)
        return {"boxes": many, "scores": sure[:, None, None].expand(*many.shape[:2], 2)}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            [[0.5, 0.5, 0.2, 0.3], [0.1, 0.2, 0.9, 1.0]],
            "of the input, 32x32, not 1 at most.*normalised",
        ),
        ([[20, 20, 8, 6], [12, 20, 9, 7], [3, 3, 9, 9]], "67% have x2 < x1 or y2 < y1.*box_format: cxcywh"),
    ],
)
def test_boxes_of_another_form_are_named(given: list[list[float]], text: str, picture: Tensor) -> None:
    """They would be measured, and all that is measured would be nonsense."""
    task = build_task("detection", model=FixedBoxes(torch.tensor(given)), input={"size": SIZE}, cells={})
    with pytest.raises(ValueError, match=text):
        task.targets(picture)


@pytest.mark.parametrize(
    "given",
    [
        [[0, 0, 0, 0], [0, 0, 0, 0]],
        [[0, 0, 1, 1]],  # what some give where there is nothing
        [[1, 1, 9, 9], [2, 2, 8, 8], [9, 9, 3, 3]],
    ],
)
def test_boxes_that_may_be_right_are_taken(given: list[list[float]], picture: Tensor) -> None:
    task = build_task(
        "detection", model=FixedBoxes(torch.tensor(given).float()), input={"size": SIZE}, cells={}
    )
    assert task.loss(picture, task.targets(picture)).isfinite().all()


def test_what_cells_say_in_which_nothing_is_counts_for_nothing(picture: Tensor) -> None:
    turned = torch.tensor([[20.0, 20, 8, 6], [12, 20, 9, 7]])
    task = build_task("detection", model=FixedBoxes(turned), input={"size": SIZE}, cells={})
    assert task.targets(0 * picture)[0]["boxes"].shape == (0, 4)
    with pytest.raises(ValueError, match="box_format"):
        task.targets(picture)
    network: Any = task.network
    network.prepared.network.given = turned.flip(1)
    task.targets(picture)
    network.prepared.network.given = turned
    task.targets(picture)  # it is known by now that they are right where it matters
