"""Pictures for the tests of tasks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor


@pytest.fixture
def images() -> Tensor:
    """Odd and not square."""
    return torch.rand(3, 3, 21, 34)
