"""torch's defaults within npp, and the caller's afterwards."""

from __future__ import annotations

import pytest
import torch

from npp.torch_defaults import cpu_by_default, plain_defaults


def test_they_are_the_callers_again_afterwards() -> None:
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        with plain_defaults():
            assert torch.ones(1).dtype == torch.float32 and torch.ones(1).device.type == "cpu"
        with pytest.raises(ZeroDivisionError), plain_defaults():
            raise ZeroDivisionError
        assert torch.ones(1).dtype == torch.float64 and torch.ones(1).is_meta
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    with torch.device("meta"), cpu_by_default():
        assert torch.ones(1).device.type == "cpu"


def test_tensors_of_other_devices_stay_there_where_nobody_set_a_default() -> None:
    there = torch.ones(1, device="meta")
    with cpu_by_default():
        assert torch.as_tensor(there) is there
