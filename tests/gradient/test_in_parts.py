"""compress_in_parts: the whole batch's values and gradients, part by part."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pictures import pictures
from torch import Tensor

import npp
from npp.gradient.in_parts import part_slices

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")),
]
QPS = [20, 24, 28, 32, 36, 40, 44]


def loss(x_hat: Tensor, bpp: Tensor) -> Tensor:
    return (x_hat.square().mean((1, 2, 3)) + 0.1 * bpp).sum()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("chroma", ["420", "444"])
@pytest.mark.parametrize("surrogate", ["gated", "identity"])
def test_values_and_gradients_are_those_of_the_whole_batch(surrogate: str, chroma: Any, device: str) -> None:
    x = pictures(7, 64)[:, :, :48].to(device)
    maps = torch.linspace(-3, 3, 7 * 12).reshape(7, 3, 4).to(device)
    whole_x, whole_map = x.clone().requires_grad_(), maps.clone().requires_grad_()
    options: Any = {"surrogate": surrogate, "chroma": chroma}
    whole = npp.compress(whole_x, QPS, qp_map=whole_map, **options)
    loss(whole.x_hat, whole.bpp).backward()
    own_x, own_map = x.clone().requires_grad_(), maps.clone().requires_grad_()
    found = []
    for part in npp.compress_in_parts(own_x, torch.tensor(QPS), parts=3, qp_map=own_map, **options):
        loss(part.x_hat, part.bpp).backward()  # graphs of parts are apart
        found.append(part)
    assert [len(part.x_hat) for part in found] == [2, 2, 3]
    assert torch.equal(torch.cat([part.x_hat for part in found]), whole.x_hat)
    assert torch.equal(torch.cat([part.bpp for part in found]), whole.bpp)
    assert [file for part in found for file in part.bitstreams] == whole.bitstreams
    torch.testing.assert_close(own_x.grad, whole_x.grad)
    torch.testing.assert_close(own_map.grad, whole_map.grad)


def test_a_list_of_maps_is_cut_with_its_pictures() -> None:
    x = pictures(3, 32)
    maps = [None, torch.full((2, 2), 4.0), None]
    parts = list(npp.compress_in_parts(x, 30, parts=3, qp_map=maps))
    assert [part.bitstreams[0] for part in parts] == npp.compress(x, 30, qp_map=maps).bitstreams


@pytest.mark.parametrize(("count", "parts"), [(1, 4), (5, 4), (8, 4), (32, 5), (3, 1)])
def test_parts_hold_each_picture_once(count: int, parts: int) -> None:
    pieces = [range(count)[where] for where in part_slices(count, parts)]
    assert [one for piece in pieces for one in piece] == list(range(count))
    assert len(pieces) == min(count, parts)
    assert max(map(len, pieces)) - min(map(len, pieces)) <= 1


def test_wrong_arguments_are_refused_at_once() -> None:
    for parts in (0, 1025):
        with pytest.raises(ValueError, match=f"^parts must be .* 1 to 1,?024, not {parts}$"):
            npp.compress_in_parts(pictures(2, 32), parts=parts)
    with pytest.raises(npp.EncodeError, match=r"qp has 3 values for 2 image"):
        npp.compress_in_parts(pictures(2, 32), [30, 31, 32])
    with pytest.raises(npp.EncodeError, match=r"qp_map"):
        npp.compress_in_parts(pictures(2, 32), qp_map=torch.zeros(2, 9, 9))
    with pytest.raises(npp.EncodeError, match=r"lossless") as caught:
        npp.compress_in_parts(pictures(2, 32), qp_map=torch.zeros(2, 2, 2), lossless=True)
    with pytest.raises(npp.EncodeError) as whole:
        npp.compress(pictures(2, 32), qp_map=torch.zeros(2, 2, 2), lossless=True)
    assert str(caught.value) == str(whole.value)
    for maps in (torch.zeros(3, 2, 2), [torch.zeros(2, 2)]):
        with pytest.raises(npp.EncodeError, match=rf"qp_map has {len(maps)} map\(s\) for 2 picture\(s\)"):
            npp.compress_in_parts(pictures(2, 32), qp_map=maps)


def test_a_wrong_map_is_named_by_its_place_in_the_batch() -> None:
    maps = [torch.zeros(2, 2), None, None, torch.zeros(2, 3)]
    with pytest.raises(npp.EncodeError, match=r"^qp_map\[3\] has shape \(2, 3\)") as caught:
        npp.compress_in_parts(pictures(4, 32), parts=4, qp_map=maps)
    assert caught.value.index == 3


@pytest.mark.parametrize("of", ["pictures", "map"])
def test_a_surrogate_without_maps_is_refused_at_once(of: str) -> None:
    x = pictures(2, 32).requires_grad_(of == "pictures")
    maps = torch.zeros(2, 2, 2, requires_grad=of == "map")
    with pytest.raises(ValueError, match=r"^the surrogate \w+ takes no qp_map; those by coefficient do"):
        npp.compress_in_parts(x, qp_map=maps, surrogate="hyperprior")
    plain = npp.compress_in_parts(x.detach(), qp_map=maps.detach(), surrogate="hyperprior", parts=2)
    assert len(list(plain)) == 2  # without a gradient no surrogate is asked


def test_parts_after_a_failed_one_can_be_taken() -> None:
    x = pictures(3, 32)
    x[1] = torch.nan
    parts = npp.compress_in_parts(x, parts=3)
    assert next(parts).bitstreams == npp.compress(x[:1]).bitstreams
    with pytest.raises(npp.EncodeError):
        next(parts)
    assert next(parts).bitstreams == npp.compress(x[2:]).bitstreams
    assert next(parts, None) is None


@pytest.mark.filterwarnings("ignore:The .grad attribute")
def test_it_works_within_what_torch_compiles() -> None:
    def step(x: Tensor) -> Tensor:
        seen, total = torch.sigmoid(3 * x), x.new_zeros(())
        for part in npp.compress_in_parts(seen, 35, parts=2, effort=0):
            total = total + loss(part.x_hat, part.bpp)
        return total

    x = pictures(4, 32).requires_grad_()
    torch._dynamo.reset()
    (got,) = torch.autograd.grad(torch.compile(step, backend="aot_eager")(x), x)
    (expected,) = torch.autograd.grad(step(x), x)
    torch.testing.assert_close(got, expected)
    with pytest.raises(Exception, match=r"npp\.compress|torch\._dynamo\.disable"):
        torch.compile(step, backend="eager", fullgraph=True)(x)


def test_transforms_are_refused_with_what_works() -> None:
    def total(x: Tensor) -> Tensor:
        return sum((part.bpp.sum() for part in npp.compress_in_parts(x, 35)), x.new_zeros(()))

    for transformed in (torch.func.grad(total), torch.func.vmap(lambda x: total(x[None]))):
        with pytest.raises(npp.UnsupportedError, match=r"under torch\.func's transforms; use npp\.compress"):
            transformed(pictures(2, 32))


def test_a_broken_picture_is_named_when_its_part_is_taken() -> None:
    x = pictures(4, 32)
    x[3, 0, 0, 0] = torch.nan
    parts = npp.compress_in_parts(x, parts=2)
    next(parts)
    with pytest.raises(npp.EncodeError, match=r"x\[1\] holds .*NaN") as caught:
        next(parts)
    assert caught.value.index == 1


def test_whoever_stops_early_leaves_nothing_behind() -> None:
    parts = npp.compress_in_parts(pictures(6, 64), parts=6)
    next(parts)
    del parts
    assert npp.compress(pictures(1, 32)).x_hat.shape == (1, 3, 32, 32)
