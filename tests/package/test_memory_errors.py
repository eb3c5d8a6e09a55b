"""What counts as memory that ran out, and how it is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from npp.torch_state import memory_error_names

TOO_MANY = 1 << 58
TOLD = "memory ran out while enlarging a picture of 30x20 pixels"


def _of_torch() -> object:
    return torch.empty(TOO_MANY, dtype=torch.uint8)


def _of_numpy() -> object:
    return np.empty(TOO_MANY, np.uint8)


def _of_a_gpu() -> object:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def _of_onednn() -> object:
    raise RuntimeError("could not create a primitive")


@pytest.mark.parametrize("take", [_of_torch, _of_numpy, _of_a_gpu, _of_onednn])
def test_memory_that_runs_out_is_told_with_step_and_size(take: object) -> None:
    assert callable(take)
    with pytest.raises(MemoryError) as caught, memory_error_names("enlarging", 20, 30):
        take()
    assert (type(caught.value), str(caught.value)) == (MemoryError, TOLD)


def test_the_innermost_step_is_told() -> None:
    with (
        pytest.raises(MemoryError, match=f"^{TOLD}$"),
        memory_error_names("encoding", 2, 3),
        memory_error_names("enlarging", 20, 30),
    ):
        _of_torch()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(
            "could not create a primitive descriptor for a convolution forward propagation primitive"
        ),
        RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"),
        ValueError("out of memory"),
    ],
)
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, memory_error_names("encoding", 2, 3):
        raise error
    assert caught.value is error
