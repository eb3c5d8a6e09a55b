"""The example of a loop of one's own, run for real with few steps."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

_FILE = Path(__file__).resolve().parents[2] / "examples" / "plain_pytorch_loop.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("plain_pytorch_loop", _FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_it_prints_a_table_and_the_filter_saves_bits(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(example, "SIDE", 48)
    monkeypatch.setattr(sys, "argv", ["plain_pytorch_loop.py", "--steps", "12", "--batch", "4"])
    example.main()
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[:2] == ["qp", "bpp"]
    rows = [[float(value) for value in line.split()] for line in lines]
    assert [row[0] for row in rows] == [28, 34, 40, 46]
    assert all(row[1] > later[1] > 0 for row, later in itertools.pairwise(rows))
    assert all(row[3] < row[1] for row in rows)
    assert all(0 <= part <= 1 for row in rows for part in (row[2], row[4]))


def test_the_network_stays_as_it_was(example: ModuleType) -> None:
    torch.manual_seed(0)
    network = example.Network().eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    loader = [(torch.rand(2, 3, 32, 32), torch.tensor([0, 1]))] * 2
    prefilter = example.train_filter(network, loader, 1.0)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert any(parameter.grad is not None for parameter in prefilter.parameters())
