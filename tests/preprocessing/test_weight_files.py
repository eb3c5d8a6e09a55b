"""Files of weights: what was saved comes back, what does not fit is refused."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from preprocessors import SMALL, make, pictures

import npp
import npp.preprocessing.preprocessor as preprocessor_module
from npp import Preprocessor
from npp.preprocessing.unet import UNet, UNetSettings
from npp.weight_files import WeightFiles, read_torch_file


@pytest.mark.parametrize("network", SMALL)
def test_saved_and_loaded_is_the_same(network: str, tmp_path: Path) -> None:
    preprocessor = make(network)
    preprocessor.train()(pictures(), 30)
    preprocessor.save(tmp_path / "a.safetensors")
    loaded = Preprocessor.load(tmp_path / "a.safetensors")
    assert (loaded.network, loaded.settings) == (network, preprocessor.settings)
    assert not loaded.training
    assert loaded.state_dict().keys() == preprocessor.state_dict().keys()
    x = pictures()
    with torch.no_grad():
        assert torch.equal(loaded(x, 35), preprocessor.eval()(x, 35))


def test_half_precision_weights_load(tmp_path: Path) -> None:
    preprocessor = make("gains").half()
    preprocessor.save(tmp_path / "a.safetensors")
    loaded = Preprocessor.load(tmp_path / "a.safetensors")
    for name, value in preprocessor.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value.float())


@pytest.mark.parametrize(
    ("network", "settings"),
    [
        ("gains", {"width": np.int64(8), "depth": np.int8(1), "floor": np.float32(0.5)}),
        ("gains", {"width": np.uint16(8), "sigmas": {np.int64(30): np.float32(0.5)}}),
        ("unet", {"width": np.int64(2)}),
        ("unet-adaptive", {"width": np.int64(2)}),
        ("blur", {"sigmas": {np.float32(30): np.float64(0.5)}}),
    ],
)
def test_numpys_numbers_can_be_saved(network: str, settings: Any, tmp_path: Path) -> None:
    preprocessor = Preprocessor(network, **settings)
    preprocessor.save(tmp_path / "a.safetensors")
    assert Preprocessor.load(tmp_path / "a.safetensors").settings == preprocessor.settings


def test_shipped_weights_go_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Preprocessor, "_FILES", WeightFiles("preprocessor", tmp_path))
    assert Preprocessor.available() == []
    make("gains").save(tmp_path / "small.safetensors")
    make("blur").save(tmp_path / "blur.safetensors")
    assert Preprocessor.available() == ["blur", "small"]
    assert Preprocessor.load("small").network == "gains"
    with pytest.raises(FileNotFoundError, match=r"'smal'.*'blur', 'small'"):
        Preprocessor.load("smal")


def test_every_shipped_file_loads() -> None:
    names = ["classification", "detection"]
    assert Preprocessor.available() == names
    x = pictures()
    for name in names:
        loaded = Preprocessor.load(name)
        assert not loaded.training and loaded.network == "gains"
        with torch.no_grad():
            fewer, more = npp.compress(loaded(x, 38), 38, effort=0).bpp, npp.compress(x, 38, effort=0).bpp
        assert (fewer < more).all(), f"{name} was trained to save bits"


def _metadata(change: Callable[[dict[str, Any]], object]) -> Callable[[Any, Any], None]:
    def tamper(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        description = json.loads(metadata["npp.preprocessor"])
        change(description)
        metadata["npp.preprocessor"] = json.dumps(description)

    return tamper


def _tensor(name: str, value: torch.Tensor) -> Callable[[Any, Any], None]:
    return lambda tensors, metadata: tensors.update({f"body.leave.{name}": value})


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (lambda tensors, metadata: metadata.clear(), "holds no npp preprocessor"),
        (lambda tensors, metadata: metadata.update({"npp.preprocessor": "{"}), "is damaged"),
        (lambda tensors, metadata: metadata.update({"npp.preprocessor": "[" * 100_000}), "is damaged"),
        (lambda tensors, metadata: metadata.update({"npp.preprocessor": "[1]"}), "is damaged"),
        (_metadata(lambda d: d.update(settings=[])), "is damaged"),
        (_metadata(lambda d: d.update(format=2)), "has format 2"),
        (_metadata(lambda d: d.update(network="other")), "network must be one of"),
        (_metadata(lambda d: d.pop("network")), "network must be one of"),
        (_metadata(lambda d: d["settings"].update(wings=2)), "unknown setting 'wings'"),
        (_metadata(lambda d: d["settings"].update(width=10**9)), "width must be"),
        (
            _metadata(lambda d: d["settings"].update(width=16)),
            r"'body.blocks.0.condition.bias' must be \(32,\), not \(16,\)",
        ),
        (_metadata(lambda d: d["settings"].update(depth=5)), "lacks tensor 'body.blocks.4"),
        (_metadata(lambda d: d["settings"].update(depth=3)), "has an unknown tensor 'body.blocks.3"),
        (_tensor("bias", torch.zeros(92)), r"'body.leave.bias' must be \(93,\), not \(92,\)"),
        (_tensor("bias", torch.zeros(93, dtype=torch.int32)), r"must be torch\.float32, not torch\.int32"),
        (
            _tensor("bias", torch.zeros(93, dtype=torch.float8_e5m2)),
            r"must be torch\.float32, not torch\.float8",
        ),
        (_metadata(lambda d: d["settings"].update(floor=10**400)), "floor must be"),
        (_metadata(lambda d: d["settings"].update(sigmas={"30": 10**400})), "sigmas.*must be"),
        (_tensor("bias", torch.full((93,), math.nan)), "not finite"),
        (_tensor("extra", torch.zeros(1)), "unknown tensor 'body.leave.extra'"),
    ],
)
def test_files_that_do_not_fit_are_refused(
    tamper: Callable[[Any, Any], None], message: str, tmp_path: Path
) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    path = tmp_path / "a.safetensors"
    make("gains").save(path)
    tensors = safetensors.load_file(path)
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tamper(tensors, metadata)
    safetensors.save_file(tensors, path, metadata=metadata)
    with pytest.raises(ValueError, match=message) as caught:
        Preprocessor.load(path)
    assert str(path) in str(caught.value)


def test_a_network_takes_memory_only_where_the_file_has_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of some hundred bytes may ask for gigabytes; nothing of it is allocated."""
    safetensors = pytest.importorskip("safetensors.torch")
    taken = []

    class Watched(UNet):
        def __init__(self, settings: UNetSettings) -> None:
            super().__init__(settings)
            taken.extend(tensor.device.type for tensor in self.state_dict().values())

    networks = {"unet": preprocessor_module._Kind(UNetSettings, Watched)}
    monkeypatch.setattr(preprocessor_module, "_NETWORKS", networks)
    description = {"format": 1, "network": "unet", "settings": {"width": 128}}
    metadata = {"npp.preprocessor": json.dumps(description)}
    path = tmp_path / "small.safetensors"
    safetensors.save_file({"leave.bias": torch.zeros(3)}, path, metadata=metadata)
    with pytest.raises(ValueError, match="lacks tensor"):
        Preprocessor.load(path)
    assert set(taken) == {"meta"}


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=64), st.floats(0, 0.999))
def test_damaged_files_are_refused(tmp_path_factory: pytest.TempPathFactory, junk: bytes, cut: float) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    make("gains", depth=1).save(path)
    whole = path.read_bytes()
    for data in (whole[: int(cut * len(whole))], junk, junk + whole):
        path.write_bytes(data)
        if data != whole:
            with pytest.raises(ValueError, match="not a safetensors file"):
                Preprocessor.load(path)


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    make("blur").save(path)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        make("gains").save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_of_torchs_is_read_without_trust(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"step": 3, "weights": torch.arange(4)}, path)
    content = read_torch_file(path)
    assert content["step"] == 3 and torch.equal(content["weights"], torch.arange(4))
    whole = path.read_bytes()
    for damaged in (b"", b"text", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError):  # noqa: PT011 (torch says anything)
            read_torch_file(path)
    torch.save({"step": print}, path)  # code
    with pytest.raises(ValueError, match="print"):
        read_torch_file(path)
    with pytest.raises(FileNotFoundError):
        read_torch_file(tmp_path / "none.pt")
