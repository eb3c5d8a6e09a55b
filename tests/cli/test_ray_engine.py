"""``npp encode --engine ray``: what it says where Ray gives up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from npp.batch import BatchEncoder
from npp.batch.manifest import ManifestRow
from npp.batch.outcomes import describe
from npp.cli.encode_request import EncodeRequest
from npp.cli.exit_codes import UsageError
from npp.cli.output_files import WritePolicy
from npp.cli.ray_engine import _existing, _in_worker, _jobs, _line, _pictures, encode_with_ray


def _encode(inputs: list[str], output: str, **more: Any) -> None:
    settings = BatchEncoder(40).settings
    encode_with_ray(
        EncodeRequest(inputs, output, settings, WritePolicy(), threads=1, quiet=True, **more), None
    )


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


def test_workers_are_told_where_files_lie_and_what_they_are_called(folder: Path) -> None:
    jobs = _jobs(["photos"], "out/", True)
    assert jobs is not None
    assert [tuple(picture) for picture in _pictures(jobs, "out/")] == [
        (f"{folder}/photos/a.png", "photos/a.png", "a.bpg"),
        (f"{folder}/photos/b.jpg", "photos/b.jpg", "b.bpg"),
        (f"{folder}/photos/deep/c.png", "photos/deep/c.png", "deep/c.bpg"),
    ]


@pytest.mark.parametrize(
    ("inputs", "output"), [(["s3://bucket/photos"], "out/"), (["photos"], "gs://bucket/out")]
)
def test_urls_are_left_to_the_cluster(folder: Path, inputs: list[str], output: str) -> None:
    assert _jobs(inputs, output, True) is None


def test_results_go_into_a_folder(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"^--engine ray writes into a folder, not to standard output$"):
        _encode(["photos/a.png"], "-")
    with pytest.raises(UsageError, match=r"^--engine ray reads files, and writes into a folder"):
        _jobs(["photos/a.png"], "a.bpg", False)


def test_what_exists_is_refused_replaced_or_skipped() -> None:
    policies = (WritePolicy(), WritePolicy(force=True), WritePolicy(skip_existing=True))
    assert list(map(_existing, policies)) == ["error", "replace", "skip"]


def test_a_line_says_what_became_of_a_picture() -> None:
    row = ManifestRow("photos/a.png", "out/a.bpg", 1000, 1.25, 30, "0" * 64)
    assert _line(row) == "photos/a.png -> out/a.bpg: 1000 bytes, 1.250 bpp, qp 30"
    without = ManifestRow("photos/a.png", "out/a.bpg", 1000, 1.25, None, "0" * 64)
    assert _line(without) == "photos/a.png -> out/a.bpg: 1000 bytes, 1.250 bpp"
