"""What says that a file or a network is another one than before."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from npp.config.digests import digest_of, hash_file, hash_files, hash_sources, hash_state


def test_a_file_is_hashed_to_its_end(tmp_path: Path) -> None:
    data = bytes(3 << 20)
    for name, content in (("a", data), ("b", data[:-1] + b"\1")):
        (tmp_path / name).write_bytes(content)
    assert hash_file(tmp_path / "a") == hashlib.sha256(data).hexdigest()
    assert hash_file(tmp_path / "a") != hash_file(tmp_path / "b")


def test_values_have_the_digests_that_are_stored() -> None:
    whole = "7f3d33323bf00662d546a817bfb1a081991ed4b9a01c6422f0178028959efff6"
    assert digest_of({"b": [1, None, 2.5], "a": "é"}) == whole
    assert digest_of({"a": "é", "b": (1, None, 2.5)}, 16) == whole[:16]
    assert digest_of([Path("a/b")]) == digest_of(["a/b"]) != digest_of(["a/c"])


def test_names_and_shapes_of_weights_count() -> None:
    def state_of(name: str, *shape: int) -> str:
        holder = torch.nn.Module()
        holder.register_buffer(name, torch.arange(6.0).reshape(shape))
        return hash_state(holder)

    assert len({state_of("a", 2, 3), state_of("a", 3, 2), state_of("b", 2, 3)}) == 3
    assert state_of("a", 2, 3) == state_of("a", 2, 3)


def test_sources_are_the_same_in_every_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which the text of a function is not, and neither are those of packages where these do not count."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "of_digests.py").write_text("def net(): ...\n")
    import of_digests  # type: ignore[import-not-found]

    given = {"model": of_digests.net, "depth": 3}
    assert hash_files(given) != hash_files(given)
    own = [hash_file(tmp_path / "of_digests.py")]
    assert hash_sources(given, installed=False) == hash_sources(given, installed=True) == own
    named = ["python:of_digests:net", torch.nn.Identity()]
    assert hash_sources(named, installed=False) == own
    assert len(hash_sources(named, installed=True)) == 2


def test_text_that_is_too_long_for_a_name_is_no_file() -> None:
    """As an alphabet of a thousand letters."""
    assert hash_files({"alphabet": "ab" * 500}) == []


def test_a_function_in_a_partial_is_known_by_its_own_file() -> None:
    wrapped = functools.partial(functools.partial(_function, 1), 2)
    assert hash_sources([wrapped], installed=False) == [hash_file(Path(__file__))]
    assert hash_sources([json.dumps], installed=False) == [], "Python's own library has Python's version"


def _function(*_: int) -> None: ...


def test_a_file_whose_name_has_a_dollar_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration has filled in what was to fill in: $$ became this $."""
    monkeypatch.setenv("SECOND", "other")
    (tmp_path / "a$SECOND.onnx").write_bytes(b"1")
    (tmp_path / "aother.onnx").write_bytes(b"2")
    assert hash_files([f"onnx:{tmp_path}/a$SECOND.onnx"]) == [hash_file(tmp_path / "a$SECOND.onnx")]
    (tmp_path / "a$SECOND.onnx").unlink()
    assert hash_files([f"onnx:{tmp_path}/a$SECOND.onnx"]) == [hash_file(tmp_path / "aother.onnx")]


def test_weights_that_were_saved_again_are_the_same(tmp_path: Path) -> None:
    """Under a name that torch writes into the file, or with their fields in another order."""
    first, second = torch.rand(3, 2), torch.rand(1).bfloat16()

    def hashed(name: str) -> list[str]:
        return hash_sources([str(tmp_path / name)], installed=False)

    torch.save({"model": {"a": first, "b": second}, "step": 5}, tmp_path / "one.pth")
    torch.save({"step": 5, "model": {"b": second, "a": first.clone()}}, tmp_path / "two.pth")
    assert hash_file(tmp_path / "one.pth") != hash_file(tmp_path / "two.pth")
    assert hashed("one.pth") == hashed("two.pth")
    for other in (
        {"a": first + 1, "b": second},
        {"a": first.double(), "b": second},
        {"c": first, "b": second},
    ):
        torch.save({"model": other, "step": 5}, tmp_path / "other.pth")
        assert hashed("other.pth") != hashed("one.pth")
    torch.save({"model": {"a": first, "b": second}, "step": 6}, tmp_path / "other.pth")
    assert hashed("other.pth") != hashed("one.pth")
    save_file({"a": first, "b": second}, tmp_path / "one.safetensors", {"kind": "x", "width": "3"})
    data = (tmp_path / "one.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    fields = dict(reversed(json.loads(data[8 : 8 + length]).items()))
    header = json.dumps(fields).encode()
    (tmp_path / "two.safetensors").write_bytes(
        len(header).to_bytes(8, "little") + header + data[8 + length :]
    )
    assert hash_file(tmp_path / "one.safetensors") != hash_file(tmp_path / "two.safetensors")
    assert hashed("one.safetensors") == hashed("two.safetensors")
    save_file({"a": first, "b": second}, tmp_path / "other.safetensors", {"kind": "x", "width": "4"})
    assert hashed("other.safetensors") != hashed("one.safetensors")


def test_what_is_no_file_of_weights_is_known_by_its_bytes(tmp_path: Path) -> None:
    network = torch.nn.Linear(2, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is out of fashion
        torch.jit.script(network).save(str(tmp_path / "script.pt"))
    torch.save(network, tmp_path / "whole.pt")
    (tmp_path / "damaged.pt").write_bytes(b"PK nothing")
    (tmp_path / "damaged.safetensors").write_bytes(b"nothing")
    (tmp_path / "net.onnx").write_bytes(b"a graph")
    for path in tmp_path.iterdir():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert hash_sources([str(path)], installed=False) == [hash_file(path)], path


def test_weights_with_a_set_beside_them_are_the_same_in_every_process(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2), "names": {"x", "y", "zz", "w"}}, tmp_path / "a.pt")
    program = (
        "from npp.config.digests import hash_sources; "
        f"print(hash_sources([{str(tmp_path / 'a.pt')!r}], installed=False))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in "123"
    }
    assert len(found) == 1


class _Keeps(nn.Module):
    """Something beside tensors, as quantised and other modules keep it."""

    def __init__(self, kept: Any) -> None:
        super().__init__()
        self.kept = kept

    def get_extra_state(self) -> Any:
        return self.kept


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_what_networks_keep_beside_tensors_tells_them_apart() -> None:
    kept = [
        {"a": np.zeros(3)},
        {"a": np.ones(3)},
        {"b": torch.eye(3).to_sparse()},
        {"b": 2 * torch.eye(3).to_sparse()},
    ]
    digests = [hash_state(_Keeps(one)) for one in kept]
    assert len(set(digests)) == 4
    assert hash_state(_Keeps({"a": np.zeros(3)})) == digests[0]
    assert hash_state(_Keeps({"b": torch.eye(3).to_sparse()})) == digests[2]
    small, same, other = (torch.quantize_per_tensor(torch.eye(2) * k, 0.1, 0, torch.qint8) for k in (1, 1, 2))
    assert hash_state(_Keeps(small)) == hash_state(_Keeps(same)) != hash_state(_Keeps(other))
    cannot_be_told = _Keeps({"c": lambda: None})
    assert hash_state(cannot_be_told) != hash_state(cannot_be_told)
