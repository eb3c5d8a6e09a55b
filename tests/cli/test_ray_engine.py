"""``npp encode --engine ray``: what it hands to the run, and what it says of the run's end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from npp.batch import BatchEncoder
from npp.batch.manifest import ManifestRow
from npp.cli.encode_request import EncodeRequest
from npp.cli.exit_codes import UsageError
from npp.cli.output_files import WritePolicy
from npp.cli.ray_engine import encode_with_ray
from npp.integrations.ray import Cluster, RaySummary
from npp.integrations.ray import ray_pipelines as pipelines
from npp.integrations.ray.ray_run_types import OnRow, RunInput, RunOutput


class _Run(NamedTuple):
    """The arguments of a run that did not take place."""

    run_input: RunInput
    run_output: RunOutput
    cluster: Cluster


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[_Run]:
    """The runs that the engine asks for, which end at once without a row."""
    begun: list[_Run] = []

    def run(unit: object, run_input: RunInput, run_output: RunOutput, cluster: Cluster, _: OnRow) -> Any:
        begun.append(_Run(run_input, run_output, cluster))
        return RaySummary()

    monkeypatch.setattr(pipelines, "run", run)
    return begun


def _encode(
    inputs: list[str],
    output: str,
    policy: WritePolicy | None = None,
    *,
    quiet: bool = True,
    address: str | None = None,
    **more: Any,
) -> tuple[list[dict[str, Any]], int]:
    settings = BatchEncoder(40).settings
    request = EncodeRequest(inputs, output, settings, policy or WritePolicy(), threads=3, quiet=quiet, **more)
    return encode_with_ray(request, address)


def _raising(error: Exception) -> Callable[..., Any]:
    def run(*_arguments: object) -> Any:
        raise error

    return run


def test_errors_of_files_are_usage_errors(folder: Path) -> None:
    pytest.importorskip("ray.data", reason="Ray is not installed")
    Path("file").touch()
    with pytest.raises(UsageError, match=rf"^out must be a folder, and {folder}/file is a file$"):
        _encode(["photos/a.png", "photos/b.jpg"], "file/out/")
    Path("m.jsonl").mkdir()
    with pytest.raises(UsageError, match=r"m\.jsonl"):
        _encode(["photos/a.png", "photos/b.jpg"], "out/", manifest="m.jsonl")


@pytest.mark.parametrize("as_instance_of_cause", [False, True])
def test_an_error_in_a_worker_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, as_instance_of_cause: bool
) -> None:
    exceptions = pytest.importorskip("ray.exceptions", reason="Ray is not installed")
    cause = FileNotFoundError(2, "No such file or directory", "/there/weights.pt")
    error = exceptions.RayTaskError("ray::Map()", "Traceback:\n  File x\nFileNotFoundError: ...\n", cause)
    monkeypatch.setattr(
        pipelines, "run", _raising(error.as_instanceof_cause() if as_instance_of_cause else error)
    )
    with pytest.raises(UsageError, match=r"^No such file or directory: /there/weights\.pt$"):
        _encode(["photos/a.png", "photos/b.jpg"], "out/")


def test_a_fault_of_the_program_is_not_called_a_usage_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelines, "run", _raising(ZeroDivisionError("a fault")))
    with pytest.raises(ZeroDivisionError, match=r"^a fault$"):
        _encode(["photos/a.png", "photos/b.jpg"], "out/")


def test_workers_get_absolute_paths_with_the_names_that_were_given(folder: Path, runs: list[_Run]) -> None:
    assert _encode(["photos"], "out/", recursive=True, address="there") == ([], 0)
    (run,) = runs
    assert [tuple(picture) for picture in run.run_input.source] == [
        (f"{folder}/photos/a.png", "photos/a.png", "a.bpg"),
        (f"{folder}/photos/b.jpg", "photos/b.jpg", "b.bpg"),
        (f"{folder}/photos/deep/c.png", "photos/deep/c.png", "deep/c.bpg"),
    ]
    assert run.run_output == RunOutput("out/") and run.cluster == Cluster("there", 3)


@pytest.mark.parametrize(
    ("inputs", "output"), [(["s3://bucket/photos"], "out/"), (["photos"], "gs://bucket/out")]
)
def test_urls_are_looked_up_by_the_cluster(
    folder: Path, runs: list[_Run], inputs: list[str], output: str
) -> None:
    _encode(inputs, output)
    assert (runs[0].run_input.source, runs[0].run_output.out) == (inputs, output)


def test_results_go_into_a_folder(folder: Path, runs: list[_Run]) -> None:
    with pytest.raises(UsageError, match=r"^--engine ray writes into a folder, not to standard output$"):
        _encode(["photos/a.png"], "-")
    with pytest.raises(UsageError, match=r"^--engine ray reads files, and writes into a folder"):
        _encode(["photos/a.png"], "a.bpg")
    assert runs == []


@pytest.mark.parametrize(
    ("policy", "existing"),
    [
        (WritePolicy(), "error"),
        (WritePolicy(force=True), "replace"),
        (WritePolicy(skip_existing=True), "skip"),
    ],
)
def test_existing_files_are_refused_replaced_or_skipped(
    folder: Path, runs: list[_Run], policy: WritePolicy, existing: str
) -> None:
    _encode(["photos/a.png", "photos/b.jpg"], "out/", policy)
    assert runs[0].run_output.existing == existing


def test_every_picture_has_a_line_and_a_row(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        ManifestRow("photos/a.png", "out/a.bpg", 1000, 1.25, 30, "0" * 64),
        ManifestRow("photos/b.jpg", "out/b.bpg", 1000, 1.25, None, "0" * 64),
        ManifestRow("photos/deep/c.png", None, error="no picture"),
    ]

    def run(unit: object, run_input: object, run_output: object, cluster: object, on_row: OnRow) -> Any:
        for row in rows:
            on_row(row)
        return RaySummary(written=2, failed=1)

    monkeypatch.setattr(pipelines, "run", run)
    reports, code = _encode(["photos"], "out/", quiet=False)
    assert ([report["input"] for report in reports], code) == ([row.input for row in rows], 1)
    assert capsys.readouterr().err.splitlines() == [
        "photos/a.png -> out/a.bpg: 1000 bytes, 1.250 bpp, qp 30",
        "photos/b.jpg -> out/b.bpg: 1000 bytes, 1.250 bpp",
        "npp: photos/deep/c.png: no picture",
        "2 written, 1 failed",
    ]
