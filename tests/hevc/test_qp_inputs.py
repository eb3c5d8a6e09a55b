"""The qp of a network in all the forms that callers have it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import npp
from npp.hevc.qp_inputs import resolve_qps

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "qp",
    [
        [30, 31.5],
        (np.int64(30), 31.5),
        np.array([30, 31.5]),
        np.array([30, 31.5], dtype=np.float16),
        torch.tensor([30, 31.5]),
    ],
    ids=["list", "numbers", "doubles", "halves", "tensor"],
)
def test_one_for_each_picture(qp: Any) -> None:
    assert resolve_qps(qp, 2, torch.float32, CPU).tolist() == [30, 31.5]


@pytest.mark.parametrize("qp", [30, np.int64(30), np.array(30), np.float32(30), torch.tensor(30)], ids=repr)
def test_one_for_all(qp: Any) -> None:
    assert resolve_qps(qp, 2, torch.float32, CPU).tolist() == [30, 30]


@pytest.mark.parametrize(
    ("qp", "error", "message"),
    [
        (np.array([30, 52]), ValueError, "qp must be a number from 0 to 51, not 52"),
        (np.array([True, False]), TypeError, "qp must be a number, or one per picture, not True"),
        (np.array(["30", "31"]), TypeError, "qp must be a number, or one per picture, not '30'"),
        (np.array([[30, 31]]), TypeError, r"qp must be a number, or one per picture, not \[30, 31\]"),
        (np.array([30, 31, 32]), ValueError, r"qp has the shape \(3,\) for 2 picture"),
    ],
    ids=["range", "bool", "words", "rows", "count"],
)
def test_wrong_arrays_are_named(qp: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        resolve_qps(qp, 2, torch.float32, CPU)


def test_networks_take_arrays_as_compress_does() -> None:
    x, qp = torch.rand(2, 3, 32, 32), np.array([30, 40])
    for network in (npp.Preprocessor("blur", sigmas={22: 0.5, 44: 1.0}), npp.Allocator.load("general")):
        with torch.no_grad():
            assert torch.equal(network(x, qp), network(x, torch.from_numpy(qp)))
    assert npp.compress(x, qp, effort=0).x_hat.shape == x.shape
