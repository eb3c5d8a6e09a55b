"""Arguments of a Ray run: what is refused, and how many workers start."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from npp.integrations.ray import Cluster, Sharing, encode
from npp.integrations.ray.ray_run_types import RunOutput
from npp.integrations.ray.ray_sessions import connect


def test_missing_ray_is_named_with_what_installs_it() -> None:
    """The module is imported without Ray; only work needs it."""
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "from npp.integrations.ray import encode\n"
        "try: encode('photos', 'out')\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pip install 'npp[ray]'" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "zip"}, "format must be one of 'files', 'parquet', 'webdataset', not 'zip'"),
        ({"existing": "maybe"}, "existing must be one of 'error', 'skip', 'replace', not 'maybe'"),
        ({"rows_per_part": 0}, "rows_per_part must be an integer from 1 to 1000000000, not 0"),
        ({"rows_per_part": "a"}, "rows_per_part must be an integer from 1 to 1000000000, not 'a'"),
        ({"rows_per_part": None}, "rows_per_part must be an integer from 1 to 1000000000, not None"),
        ({"format": "parquet", "manifest": "m.jsonl"}, "manifest is about files"),
    ],
)
def test_wrong_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RunOutput("out", **arguments)
    with pytest.raises(ValueError, match="sharing excludes qp"):
        encode("photos", "out", qp=30, sharing=Sharing(mean_bpp=1), cluster=Cluster())


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (Sharing, {"total_bytes": "12M"}, "total_bytes must be a finite number above 0, not '12M'"),
        (Sharing, {"total_bytes": 0}, "total_bytes must be above 0, not 0"),
        (Sharing, {"mean_bpp": float("inf")}, "mean_bpp must be a finite number above 0, not inf"),
        (Sharing, {"mean_bpp": True}, "mean_bpp must be a finite number above 0, not True"),
        (
            Sharing,
            {"mean_bpp": 1, "total_bytes": 1},
            "one of total_bytes and mean_bpp must be given, not 1 and 1",
        ),
        (Sharing, {"mean_bpp": 1, "predicted": "no"}, "predicted must be True or False, not 'no'"),
        (Cluster, {"workers": -1}, "workers must be at least 1, not -1"),
        (Cluster, {"workers": 0}, "workers must be at least 1, not 0"),
        (Cluster, {"workers": "2"}, "workers must be an integer from 1 on, not '2'"),
        (Cluster, {"gpus": -1}, "gpus must be an integer from 0 to 4096, not -1"),
        (Cluster, {"gpus": 0.5}, "gpus must be an integer from 0 to 4096, not 0.5"),
        (Cluster, {"gpus": 100_000}, "gpus must be an integer from 0 to 4096, not 100000"),
        (Cluster, {"address": 8265}, "address must be text or None, not 8265"),
    ],
)
def test_errors_name_the_argument(kind: type, arguments: dict, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        kind(**arguments)
    assert Cluster("auto", 1, 0).gpus == 0 and Sharing(total_bytes=np.float32(1)).mean_bpp is None


def test_local_ray_refuses_too_many_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[dict] = []
    ray = SimpleNamespace(
        is_initialized=lambda: False,
        init=lambda **arguments: begun.append(arguments),
        cluster_resources=lambda: {"CPU": 4},
    )
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("npp.integrations.ray.ray_sessions.require_ray", lambda: ray)
    monkeypatch.setattr("npp.integrations.ray.ray_sessions.usable_cores", lambda: 8)
    with pytest.raises(
        ValueError, match=r"^workers must be at most 256 where Ray is started .*, not 100000$"
    ):
        connect(None, 100_000)
    assert not begun
    assert connect(None, 3) == 3 and begun[0]["num_cpus"] == 3
    assert connect("cluster", 100_000) == 4  # of a cluster there are no more than its CPUs
