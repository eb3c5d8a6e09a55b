"""``npp encode --engine ray``: what it says where Ray gives up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from npp.batch import BatchEncoder
from npp.batch.outcomes import describe
from npp.cli.file_reports import UsageError
from npp.cli.output_files import WritePolicy
from npp.cli.ray_engine import _in_worker, encode_with_ray


def _encode(inputs: list[str], output: str, **more: Any) -> None:
    settings = BatchEncoder(40).settings
    given = {"address": None, "recursive": False, "manifest": None, "max_pixels": None, "workers": 1}
    encode_with_ray(inputs, output, settings, WritePolicy(), quiet=True, **{**given, **more})


def test_errors_of_files_are_refusals(folder: Path) -> None:
    pytest.importorskip("ray.data", reason="Ray is not installed")
    Path("file").touch()
    with pytest.raises(UsageError, match=rf"^out must be a folder, and {folder}/file is a file$"):
        _encode(["photos/a.png", "photos/b.jpg"], "file/out/")
    Path("m.jsonl").mkdir()
    with pytest.raises(UsageError, match=r"m\.jsonl"):
        _encode(["photos/a.png", "photos/b.jpg"], "out/", manifest="m.jsonl")


def test_an_error_in_a_worker_is_one_line() -> None:
    exceptions = pytest.importorskip("ray.exceptions", reason="Ray is not installed")
    cause = FileNotFoundError(2, "No such file or directory", "/there/weights.pt")
    told = exceptions.RayTaskError("ray::Map()", "Traceback:\n  File x\nFileNotFoundError: ...\n", cause)
    for error in (told, told.as_instanceof_cause()):
        assert describe(_in_worker(error)) == "No such file or directory: /there/weights.pt"
    assert _in_worker(cause) is cause
