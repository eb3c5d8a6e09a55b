"""Parts of measurements are kept by all that they depend on."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from npp.codec.build import build_config
from npp.evaluation import installed_versions
from npp.evaluation.computer import describe_computer
from npp.evaluation.installed_versions import versions
from npp.evaluation.part_store import PartStore
from npp.extras import PACKAGES


def test_store_keeps_parts_by_all_that_they_depend_on(tmp_path: Path) -> None:
    store = PartStore(tmp_path / "parts")
    part = {"sizes": torch.arange(3), "names": ["a", {"b": torch.rand(2)}]}
    assert store.load({"qp": 30}) is None
    store.save({"qp": 30, "arm": "x"}, part)
    assert store.load({"arm": "x", "qp": 30})["names"][1]["b"].equal(part["names"][1]["b"])
    assert store.load({"qp": 31, "arm": "x"}) is None


def test_a_part_is_made_once(tmp_path: Path) -> None:
    def refuse() -> dict[str, int]:
        raise AssertionError("it is there")

    assert PartStore(tmp_path).get_or_make("key", lambda: {"a": 1}) == {"a": 1}
    assert PartStore(tmp_path).get_or_make("key", refuse) == {"a": 1}
    assert PartStore(tmp_path).get_or_make("other", lambda: {"a": 2}) == {"a": 2}


def test_parts_of_another_build_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PartStore(tmp_path).save("key", {"a": 1})
    assert PartStore(tmp_path).load("key") == {"a": 1}
    build = build_config()
    for name in ("npp_commit", "libavcodec_version", "x265_build"):
        monkeypatch.setattr(installed_versions, "build_config", lambda name=name: {**build, name: "another"})
        assert PartStore(tmp_path).load("key") is None
    assert versions()["torch"] == torch.__version__
    judging = ("transformers", "ultralytics", "mmcv", "mmdet", "rapidocr", "pycocotools", "onnx")
    assert all(PACKAGES[package].judges for package in judging)
    for package in ("transformers", "mmcv-lite"):
        with monkeypatch.context() as patched:
            patched.setattr(
                installed_versions,
                "version",
                lambda name, new=package: "9.9" if name == new else version(name),
            )
            assert versions()[package.removesuffix("-lite")] == "9.9"
            assert PartStore(tmp_path).load("key") is None
    assert "commit" not in describe_computer() and describe_computer()["npp_version"] == build["npp_version"]
