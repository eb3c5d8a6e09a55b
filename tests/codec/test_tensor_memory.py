"""Tensors whose values no codec can read are refused by name, wherever they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import npp

X = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(1))
FILE = npp.encode(X, effort=0)
BYTES = torch.from_numpy(np.frombuffer(FILE, np.uint8).copy())
MAP = torch.zeros(2, 2)

WITHOUT: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "meta": (lambda x: x.to("meta"), "on the device meta"),
    "sparse": (lambda x: x.to_sparse(), "of layout torch.sparse_coo"),
    "nested": (lambda x: torch.nested.nested_tensor([x, x]), "nested"),
    "jagged": (lambda x: torch.nested.nested_tensor([x, x], layout=torch.jagged), "nested"),
}
MKLDNN: tuple[Callable[[Tensor], Tensor], str] = (lambda x: x.to_mkldnn(), "of layout torch._mkldnn")

PICTURES: dict[str, Callable[[Tensor], Any]] = {
    "image": lambda x: npp.encode(x, effort=0),
    "image ": lambda x: npp.encode(x[None] if not x.is_nested else x, effort=0),
    "image  ": lambda x: npp.Recipe(qp=30).encode(x),
    "image[0]": lambda x: npp.encode([x, X], errors="return", effort=0),
    "frames": lambda x: npp.encode_animation(x, effort=0),
    "frames[0]": lambda x: npp.encode_animation([x], effort=0),
}
MAPS: dict[str, Callable[[Tensor], Any]] = {
    "qp_map": lambda given: npp.encode(X, qp_map=given, effort=0),
    "qp_map ": lambda given: npp.encode([X, X], qp_map=given, effort=0),
    "qp_map[0]": lambda given: npp.encode([X], qp_map=[given], effort=0),
}
FILES: dict[str, Callable[[Tensor], Any]] = {
    "data": npp.decode,
    "data[0]": lambda given: npp.decode([given, FILE]),
    "data ": npp.probe,
    "data  ": npp.decode_qp_map,
    "bitstreams[0]": lambda given: npp.decompress([given]),
}
NUMBERS: dict[str, Callable[[Tensor], Any]] = {
    "qp": lambda given: npp.encode(X[None], given, effort=0),
    "qp ": lambda given: npp.compress(X[None], given, effort=0),
    "durations": lambda given: npp.encode_animation(X[None], durations=given, effort=0),
}


def _refused(name: str, why: str, call: Callable[[], Any]) -> None:
    with pytest.raises(npp.UnsupportedError) as caught:
        call()
    assert str(caught.value).startswith(f"{name.strip()} is {why}, and the codec needs "), str(caught.value)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("kind", WITHOUT)
def test_tensors_without_memory_are_named(kind: str) -> None:
    make, why = WITHOUT[kind]
    for calls, given in ((PICTURES, X), (MAPS, MAP), (FILES, BYTES), (NUMBERS, torch.tensor([30.0]))):
        made = make(given)
        for name, call in calls.items():
            _refused(name, why, lambda call=call, made=made: call(made))  # type: ignore[misc]


def test_tensors_of_mkldnn_are_named() -> None:
    make, why = MKLDNN
    batch = make(X[None])
    _refused("image", why, lambda: npp.encode(batch))
    _refused("frames", why, lambda: npp.encode_animation(batch))
    for calls, given in ((MAPS, MAP), (NUMBERS, torch.tensor([30.0]))):
        for name, call in calls.items():
            _refused(name, why, lambda call=call, given=given: call(make(given)))  # type: ignore[misc]


def test_a_duration_without_a_value_is_none() -> None:
    with pytest.raises(npp.EncodeError, match=r"durations\[0\] must be positive, finite seconds"):
        npp.encode_animation([X], durations=[torch.tensor(0.1, device="meta")])


TRANSFORMS: dict[str, Callable[[Callable[[Tensor], Any]], Any]] = {
    "vmap": lambda call: torch.func.vmap(lambda x: (call(x), x)[1])(torch.stack([X, X])),
    "grad": lambda call: torch.func.grad(lambda x: (call(x), x.sum())[1])(X),
    "jvp": lambda call: torch.func.jvp(lambda x: (call(x), x)[1], (X,), (X,)),
}


@pytest.mark.filterwarnings("ignore:`torch.jit.script`")  # by which torch makes jvp
@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS.keys())
def test_what_a_transform_wraps_is_named(transform: Callable[[Callable[[Tensor], Any]], Any]) -> None:
    found: list[str] = []

    def call(x: Tensor) -> None:
        for given, calls in ((x, PICTURES), (x[0].mul(255).byte(), FILES)):
            one = given if given.ndim == 3 else given[0]
            for name, use in calls.items():
                _refused(name, "within a transform of torch.func", lambda use=use, one=one: use(one))  # type: ignore[misc]
                found.append(name)

    transform(call)
    assert set(found) == {*PICTURES, *FILES}


def test_what_vmap_does_not_wrap_is_read() -> None:
    files: list[bytes] = []
    maps = MAP[None]

    def call(x: Tensor) -> Tensor:
        files.append(npp.encode(X, effort=0))
        files.append(npp.encode(X[None], qp_map=maps, effort=0)[0])
        assert npp.decode(BYTES).shape == X.shape
        _refused("qp_map", "within a transform of torch.func", lambda: npp.encode(X, qp_map=x[0, :2, :2]))
        _refused("qp", "within a transform of torch.func", lambda: npp.encode(X[None], 30 + 0 * x[0, 0, :1]))
        return x

    torch.func.vmap(call)(torch.stack([X, X]))
    assert files == [FILE, npp.encode(X[None], qp_map=maps, effort=0)[0]]
