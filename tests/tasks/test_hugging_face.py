"""Networks of transformers as tasks: random weights, made from configurations, nothing is downloaded."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import framework_nets as nets
import numpy as np
import pytest
import torch
from PIL import Image
from task_nets import boxes, check_divergence_grows
from torch import Tensor, nn

from npp.tasks import Prepared, build_task, load_network
from npp.tasks.hugging_face import processor_format

pytestmark = pytest.mark.filterwarnings("default")  # the packages' own
transformers = pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("scipy", reason="the matching of boxes needs scipy")

DETECTORS = {"detr": nets.detr, "rt_detr": nets.rt_detr, "yolos": nets.yolos}
PROCESSORS = {
    "detr": ("DetrImageProcessor", {}),
    "rt_detr": ("RTDetrImageProcessor", {"size": {"height": 64, "width": 64}}),
    "yolos": ("YolosImageProcessor", {"size": {"shortest_edge": 70, "longest_edge": 100}}),
}
TRUTH = [boxes([10.0, 10, 60, 50], [0.0, 5, 30, 60], labels=[1, 4]), boxes(labels=[])]


@pytest.fixture(params=DETECTORS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _pictures() -> Tensor:
    noise = torch.rand(2, 3, 8, 12)
    return nn.functional.interpolate(noise, (64, 96), mode="bicubic").clamp(0, 1)


def _smooth(height: int, width: int) -> Image.Image:
    low = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(low).resize((width, height), Image.Resampling.BICUBIC)


def _tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255


def test_a_detector_says_how_far_its_view_moved(kind: str) -> None:
    network = DETECTORS[kind]()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    learning = [value.requires_grad for value in network.parameters()]
    task = build_task("detection", model=network, threshold=0.0, input=nets.IMAGENET).train()
    images = _pictures()
    check_divergence_grows(task, images, atol=1e-5)
    assert [value.requires_grad for value in network.parameters()] == learning
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_true_boxes_take_the_models_own_loss(kind: str) -> None:
    network = DETECTORS[kind]().eval()
    task = build_task("detection", model=network, loss="training")
    images = _pictures()
    loss = task.loss(images, TRUTH)
    truth = TRUTH[0]["boxes"] / torch.tensor([96, 64, 96, 64])
    centred = torch.cat([(truth[:, :2] + truth[:, 2:]) / 2, truth[:, 2:] - truth[:, :2]], 1)
    labels = [{"class_labels": TRUTH[0]["labels"], "boxes": centred}]
    with torch.no_grad():
        torch.testing.assert_close(loss[0].detach(), network(images[:1], labels=labels).loss.reshape(()))
    assert loss.isfinite().all() and torch.equal(task.loss(images, TRUTH), loss)
    leaf = images.clone().requires_grad_()
    task.loss(leaf, TRUTH).sum().backward()
    assert leaf.grad is not None and (leaf.grad.abs().sum((1, 2, 3)) > 0).all()
    with pytest.raises(ValueError, match="labels from 0 to 4"):
        task.loss(images, [boxes([1.0, 1, 9, 9], labels=[5]), boxes(labels=[])])


def test_detections_are_those_of_the_image_processor(kind: str) -> None:
    pytest.importorskip("torchvision", reason="image processors need torchvision")
    name, settings = PROCESSORS[kind]
    processor = getattr(transformers, name)(**settings)
    network = DETECTORS[kind]().eval()
    own = processor_format(processor.to_dict(), detection=True)
    image = _smooth(50, 84)
    task = build_task(
        "detection",
        model=network,
        input={"mean": own.mean, "std": own.std, "size": own.size, "resize": own.resize}
        | {"multiple": own.multiple},
    )
    fed = processor(images=image, return_tensors="pt", do_pad=False)["pixel_values"]
    prepared = task.network.get_submodule("prepared")
    assert isinstance(prepared, Prepared)
    ours = prepared.prepare(_tensor(image))
    assert ours.shape == fed.shape
    assert float((ours - fed).abs().mean()) < 0.02
    with torch.no_grad():
        output = prepared.network(ours)
    (wanted,) = processor.post_process_object_detection(output, threshold=0.0, target_sizes=[(50, 84)])
    (found,) = task.predict(_tensor(image))
    order = wanted["scores"].argsort(descending=True)
    torch.testing.assert_close(found["scores"], wanted["scores"][order])
    torch.testing.assert_close(found["labels"], wanted["labels"][order])
    ends = torch.tensor([84.0, 50.0, 84.0, 50.0])
    torch.testing.assert_close(found["boxes"], wanted["boxes"][order].clamp_min(0).minimum(ends))


def test_places_not_ranks_are_compared() -> None:
    """RT-DETR's queries come in the order of their scores, which is another on another picture."""
    task = build_task("detection", model=nets.rt_detr(), input={"size": 64})
    images = _pictures()
    dense = [target["dense"] for target in task.targets(images)]
    for one in dense:
        assert len(one["place_logits"]) == 8 * 8 + 4 * 4 + 2 * 2 > len(one["logits"])
        overlap = (one["place_logits"][:, None] == one["logits"][None]).all(-1)
        assert overlap.any(0).all()
        rows = overlap.int().argmax(0)
        assert torch.equal(one["place_boxes"][rows], one["boxes"])


@pytest.mark.parametrize("which", ["", "place_"])
@pytest.mark.parametrize("nothing", [True, False])
def test_the_divergence_of_queries_is_what_a_pencil_says(nothing: bool, which: str) -> None:
    """Two queries; the first one's box grows from 10x10 to 10x15, with half a pixel more on each side."""
    network = build_task("detection", model=nets.detr()).network
    if nothing:  # the last of six under one softmax stands for no object
        sure, half = [0.02, 0.02, 0.02, 0.02, 0.02, 0.9], [0.1, 0.1, 0.1, 0.1, 0.1, 0.5]
        clean, now = (torch.tensor([[half, one]]).log() for one in (sure, half))
        there = 0.5
        moved = 5 * 0.02 * math.log(0.02 / 0.1) + 0.9 * math.log(0.9 / 0.5)
    else:  # each of the five is a coin
        clean = torch.tensor([[[0.7, 0.1, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1, 0.1]]]).logit()
        now = torch.tensor([[[0.7, 0.1, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1, 0.4]]]).logit()
        there = 0.7
        moved = 0.1 * math.log(0.1 / 0.4) + 0.9 * math.log(0.9 / 0.6)
    before = torch.tensor([[[10.0, 10, 20, 20], [30, 30, 50, 60]]])
    after = torch.tensor([[[10.0, 10, 20, 25], [30, 30, 50, 60]]])
    others = {"logits": torch.zeros(1, 3, 5), "boxes": torch.rand(1, 3, 4)} if which else {}
    dense = [
        {**others, f"{which}logits": logits, f"{which}boxes": corners}
        for logits, corners in ((clean, before), (now, after))
    ]
    found = network.divergence(*dense)
    assert found.tolist() == pytest.approx([moved + there * (1 - 11 * 11 / (11 * 16))], rel=1e-4)


def test_boxes_without_an_area_are_where_they_were() -> None:
    network = nets.detr()
    with torch.no_grad():
        last: Any = network.get_submodule("bbox_predictor.layers.2")
        last.weight.zero_()
        last.bias.copy_(torch.tensor([0.0, 0.0, -30.0, -30.0]))
    task = build_task("detection", model=network)
    images = _pictures()
    torch.testing.assert_close(task.loss(images, task.targets(images)), torch.zeros(2), atol=1e-5, rtol=0)
    assert [len(found["boxes"]) for found in task.predict(images)] == [0, 0]


def test_detectors_by_name(tmp_path: Path) -> None:
    pytest.importorskip("torchvision", reason="image processors need torchvision")
    nets.detr().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has no image processor"):
        build_task("detection", model=f"transformers:{tmp_path}")
    transformers.DetrImageProcessor(size={"shortest_edge": 48, "longest_edge": 80}).save_pretrained(tmp_path)
    task = build_task("detection", model=f"transformers:{tmp_path}", threshold=0.0)
    own = task.network.get_submodule("prepared").format
    assert own.mean == pytest.approx((0.485, 0.456, 0.406)) and own.std == pytest.approx(
        (0.229, 0.224, 0.225)
    )
    assert (own.resize, own.size) == ("edges", (48, 80))
    images = _pictures()
    assert len(task.targets(images)[0]["boxes"]) > 0
    smaller = build_task("detection", model=f"transformers:{tmp_path}", input={"size": [32, 64]})
    assert smaller.network.get_submodule("prepared").format.size == (32, 64)
    with pytest.raises(ValueError, match="ForObjectDetection of transformers for detection"):
        build_task("detection", model=nets.vit())


@pytest.mark.parametrize("make", [nets.vit, nets.resnet])
def test_classifiers(make: Callable[[], nn.Module], tmp_path: Path) -> None:
    pytest.importorskip("torchvision", reason="image processors need torchvision")
    network = make().eval()
    network.save_pretrained(tmp_path)
    transformers.ViTImageProcessor(size={"height": 64, "width": 64}).save_pretrained(tmp_path)
    task = build_task("classification", model=f"transformers:{tmp_path}")
    images = _pictures()
    stretched = nn.functional.interpolate(images, (64, 64), mode="bilinear", antialias=True)
    with torch.no_grad():
        wanted = network((stretched - 0.5) / 0.5).logits.log_softmax(1)
    torch.testing.assert_close(torch.stack(task.targets(images)), wanted, rtol=1e-4, atol=1e-4)
    leaf = (0.8 * images).requires_grad_()
    task.loss(leaf, task.targets(images)).sum().backward()
    assert leaf.grad is not None and (leaf.grad.abs().sum((1, 2, 3)) > 0).all()
    inside = build_task("classification", model=network, input={"mean": 0.5, "std": 0.5, "size": 64})
    torch.testing.assert_close(torch.stack(inside.targets(images)), wanted, rtol=1e-4, atol=1e-4)
    assert load_network(f"transformers:{tmp_path}")(images).shape == (2, nets.CLASSES)


@pytest.mark.parametrize("make", [nets.segformer, nets.mask2former])
def test_segmentation(make: Callable[[], nn.Module]) -> None:
    network = make().eval()
    task = build_task("segmentation", model=network, input=nets.IMAGENET)
    images = _pictures()
    clean = task.targets(images)
    assert clean[0].shape == (nets.CLASSES, 64, 96)
    torch.testing.assert_close(task.loss(images, clean), torch.zeros(2), atol=1e-5, rtol=0)
    leaf = (0.8 * images).requires_grad_()
    task.loss(leaf, clean).sum().backward()
    assert leaf.grad is not None and (leaf.grad.abs().sum((1, 2, 3)) > 0).all()
    pixels = (images - torch.tensor(nets.IMAGENET["mean"])[:, None, None]) / torch.tensor(
        nets.IMAGENET["std"]
    )[:, None, None]
    with torch.no_grad():
        output = network(pixels)
    if "masks_queries_logits" in output:
        pytest.importorskip("torchvision", reason="image processors need torchvision")
        processor = transformers.Mask2FormerImageProcessor()
        maps = processor.post_process_semantic_segmentation(output, [(64, 96)] * 2)
        same = torch.stack([(a == b).float().mean() for a, b in zip(maps, task.predict(images), strict=True)])
        assert (same > 0.9).all()  # theirs scales masks to 384 x 384 first
    else:
        logits = nn.functional.interpolate(output.logits, (64, 96), mode="bilinear", align_corners=False)
        assert torch.equal(torch.stack(task.predict(images)), logits.argmax(1))


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        (
            {"do_rescale": True, "rescale_factor": 1 / 127.5, "rescale_offset": True},
            {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "size": None},
        ),
        (
            {"do_normalize": False, "do_flip_channel_order": True, "size": {"shortest_edge": 288}}
            | {"do_center_crop": True, "crop_size": {"height": 256, "width": 256}},
            {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "channels": "bgr", "size": (256, 256)},
        ),
        (
            {"do_rescale": False, "do_normalize": True, "image_mean": [127.5] * 3, "image_std": [51] * 3},
            {"mean": (0.5, 0.5, 0.5), "std": (0.2, 0.2, 0.2)},
        ),
        ({"size": {"shortest_edge": 384}}, {"size": (384, 384)}),
        ({"size": {"height": 512, "width": 640}, "do_resize": False}, {"size": None}),
    ],
)
def test_settings_of_image_processors(settings: dict[str, Any], wanted: dict[str, Any]) -> None:
    found = processor_format(settings)
    for name, value in wanted.items():
        own = getattr(found, name)
        assert own == pytest.approx(value) if isinstance(value, tuple) else own == value, name


def test_what_is_no_network_for_pictures_is_named(tmp_path: Path) -> None:
    transformers.BertConfig(architectures=["BertForMaskedLM"]).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"must be one of \.\.\.ForImageClassification.*not BertForMaskedLM"):
        build_task("classification", model=f"transformers:{tmp_path}")


def test_detectors_of_the_detr_kind_say_whether_their_labels_are_coco_s_ids() -> None:
    """Those that are trained so name COCO's gaps, of which 0 is the first."""
    network = nets.detr()
    assert not build_task("detection", model=network).network.says_category_ids
    network.config.id2label = {**network.config.id2label, 0: "N/A"}
    assert build_task("detection", model=network).network.says_category_ids


def made_detector() -> nn.Module:
    return nets.detr().eval()


def made_classifier() -> nn.Module:
    return nets.vit().eval()


def made_backbone() -> nn.Module:
    return nets.vit().eval().vit  # type: ignore[no-any-return]


def test_a_function_may_give_a_network_of_the_package() -> None:
    """As a configuration names one that is in memory."""
    images = _pictures()
    function = f"python:{__name__}:made_detector"
    detector = build_task("detection", model=function, input={**nets.IMAGENET, "size": (64, 64)})
    assert (detector.loss(images, detector.targets(images)).abs() < 1e-4).all()
    function = f"python:{__name__}:made_classifier"
    (one, _) = build_task("classification", model=function, input={"size": 64}).targets(images)
    assert one.ndim == 1 and float(one.exp().sum()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("by_name", [False, True])
def test_a_backbone_is_matched_by_what_it_puts_out(by_name: bool, tmp_path: Path) -> None:
    network: Any = made_backbone()
    model: Any = network
    if by_name:
        network.save_pretrained(tmp_path / "model")
        transformers.ViTImageProcessor(size={"height": 64, "width": 64}).save_pretrained(tmp_path / "model")
        model = f"transformers:{tmp_path / 'model'}"
    task = build_task("match", model=model)
    images = torch.rand(2, 3, 64, 64)
    targets = task.targets(images)
    assert any("last_hidden_state" in name for name in targets[0])
    assert task.loss(images, targets).tolist() == [0, 0]
    assert (task.loss(1 - images, targets) > 0).all()
    with pytest.raises(ValueError, match=r"must give logits \(N, C\).*last_hidden_state"):
        build_task("classification", model=model).targets(images)
