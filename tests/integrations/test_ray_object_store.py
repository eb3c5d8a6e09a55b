"""The program of docs/many-machines.md for a cluster and an object store, with both on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from doc_pages import ROOT, blocks

from npp.batch import BatchEncoder

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")
pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
moto = pytest.importorskip("moto.server", reason="needs moto[server,s3]")
cluster_utils = pytest.importorskip("ray.cluster_utils")
fs = pytest.importorskip("pyarrow.fs")

# Ray warns about itself, and its processes leave sockets to the collector.
pytestmark = pytest.mark.filterwarnings("ignore")
_PAGE = ROOT / "docs/many-machines.md"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """S3 on this machine, with the page's bucket; every process that starts from now on finds it.

    Yields pyarrow's file system of it.
    """
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    found, bucket = fs.FileSystem.from_uri("s3://bucket?allow_bucket_creation=true")
    found.create_dir(bucket)
    yield found
    server.stop()


@pytest.fixture
def cluster_that_runs(store: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cluster of Ray which others have started: ``auto`` finds it."""
    node = {"num_cpus": 2, "object_store_memory": 200 << 20, "include_dashboard": False}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=node)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield
    ray.shutdown()
    cluster.shutdown()


def _names(store: Any, folder: str) -> list[str]:
    found = store.get_file_info(fs.FileSelector(folder, recursive=True))
    return sorted(info.base_name for info in found if info.is_file)


@pytest.mark.usefixtures("cluster_that_runs")
def test_the_page_runs(store: Any, folder: Path) -> None:
    photos = [folder / "photos" / name for name in ("a.png", "b.jpg", "deep/c.png")]
    for path in photos:
        with store.open_output_stream(f"bucket/photos/{path.name}") as out:
            out.write(path.read_bytes())
    rows = pa.table({"id": [path.stem for path in photos], "image": [path.read_bytes() for path in photos]})
    with store.open_output_stream("bucket/rows/rows.parquet") as out:
        parquet.write_table(rows, out)
    (program,) = (block.code for block in blocks(_PAGE, "py"))
    exec(compile(program, _PAGE.name, "exec"), {})
    assert _names(store, "bucket/archive") == ["a.bpg", "b.bpg", "c.bpg"]
    small, plain = BatchEncoder(37, recipe="detection"), BatchEncoder()
    for path in photos:
        with store.open_input_stream(f"bucket/archive/{path.stem}.bpg") as found:
            assert found.read() == small.one(path).file
    parts = [
        parquet.read_table(f"bucket/bpg/{name}", filesystem=store) for name in _names(store, "bucket/bpg")
    ]
    encoded = {row["id"]: row["bpg"] for part in parts for row in part.to_pylist()}
    assert encoded == {path.stem: plain.one(path).file for path in photos}
    assert None not in encoded.values()
