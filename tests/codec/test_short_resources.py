"""Memory and threads that run out: an error that says so, and no wrong file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import npp
from npp.batch import FileResult, ManifestRow, write_manifest
from npp.codec.build import build_config


def _run_to_its_end(script: str) -> None:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


_WITHOUT_MEMORY = """
import resource, sys, torch, npp
file = npp.encode(torch.full((3, 2048, 4096), 0.5), 40, effort=0)
npp.decode([file, file])  # what is loaded and started once is there
with open("/proc/self/statm") as pages:
    now = int(pages.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (150 << 20),) * 2)
for threads in (1, 2):
    try:
        npp.decode([file, file], dtype=torch.float64, threads=threads, errors="return")
    except MemoryError:
        continue
    sys.exit("no MemoryError")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")
def test_decoding_without_memory_raises_memory_error() -> None:
    """The decoder needs some 50 MB of the 150 that are left, the pictures 200 each."""
    _run_to_its_end(_WITHOUT_MEMORY)


_METADATA_WITHOUT_MEMORY = """
import resource, torch, npp
extensions = ((99, bytes(60 << 20)),)
file = npp.encode(torch.zeros(3, 16, 16), effort=0, metadata=npp.Metadata(extensions=extensions))
npp.probe(npp.encode(torch.zeros(3, 16, 16), effort=0))
with open("/proc/self/statm") as pages:
    now = int(pages.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (100 << 20),) * 2)
try:
    npp.probe(file)
except MemoryError:
    raise SystemExit(0)
raise SystemExit("no MemoryError")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")
def test_memory_that_runs_out_for_metadata_is_a_memory_error() -> None:
    """The first copy of its 60 MB finds room in the 100 that are left, that for Python does not."""
    _run_to_its_end(_METADATA_WITHOUT_MEMORY)


_DECODING_SHORT_OF_MEMORY = """
import json, resource, sys, threading, npp, npp.cli, npp.pillow
from contextlib import redirect_stdout
from io import BytesIO, TextIOWrapper
from PIL import Image
from npp.photos import open_photo

threading.stack_size(1 << 20)  # of 8 MB none could be had

def verify(name):
    said = TextIOWrapper(BytesIO())
    try:
        with redirect_stdout(said):
            npp.cli.main(["verify", f"{name}.jsonl", "--json", "--quiet", "--threads", "1"])
    except SystemExit as ended:
        return [ended.code, json.loads(said.buffer.getvalue())]

def tried(call, name):
    try:
        return call(name)
    except MemoryError:
        return "MemoryError"

calls = [
    lambda name: npp.decode(f"{name}.bpg", threads=1),
    lambda name: Image.open(f"{name}.bpg").load(),
    lambda name: open_photo(f"{name}.bpg"),
    verify,
]
for call in calls:
    call("small")  # what is loaded and started once is there
found = []
for megabytes in (8, 16, 24):
    with open("/proc/self/statm") as pages:
        now = int(pages.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (megabytes << 20), resource.RLIM_INFINITY))
    found.append([tried(call, "large") for call in calls])
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
print(json.dumps(found, default=repr))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")
def test_decoding_short_of_memory_does_not_call_a_file_damaged(tmp_path: Path) -> None:
    """Libavcodec takes memory, its pictures do, and our own copies of them."""
    for name, height, width in (("small", 64, 64), ("large", 3000, 4000)):
        file = npp.encode(torch.full((3, height, width), 0.5), 40, effort=0)
        (tmp_path / f"{name}.bpg").write_bytes(file)
        row = ManifestRow.of(f"{name}.png", f"{name}.bpg", FileResult(file))
        write_manifest(tmp_path / f"{name}.jsonl", [row])
    command = [sys.executable, "-c", _DECODING_SHORT_OF_MEMORY]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for *said, (code, report) in json.loads(done.stdout):
        assert said == ["MemoryError"] * 3
        assert code == 1
        assert report["counts"] == {"whole": 0, "wrong": 0, "not encoded": 0, "not decoded": 1}
        assert report["files"][0]["error"] == "there is too little memory to decode it"


_SHORT_OF_MEMORY = """
import hashlib, resource, sys, torch, npp
torch.manual_seed(0)
x = torch.rand(3, 2000, 2000)
npp.encode(x[:, :64, :64])
npp.clear_encoder_cache()
with open("/proc/self/statm") as pages:
    now = int(pages.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (int(sys.argv[1]) << 20), resource.RLIM_INFINITY))
try:
    file = npp.encode(x, 45, effort=0)
except (MemoryError, npp.EncodeError) as error:
    print(type(error).__name__)
else:
    print(hashlib.sha256(file).hexdigest())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")
@pytest.mark.skipif(build_config()["x265_linkage"] != "static", reason="a shared x265 is not watched")
def test_encoding_short_of_memory_gives_the_right_file_or_an_error() -> None:
    """x265 leaves bytes out where it gets no memory for them, and says so on standard error alone.

    In some places it does not ask whether it got any; such a process dies, and nobody takes its file.
    """
    said = []
    for megabytes in (2, 12, 20, 40, 56, 400):
        command = [sys.executable, "-c", _SHORT_OF_MEMORY, str(megabytes)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said.append(done.stdout.strip() if done.returncode == 0 else str(done.returncode))
    right = said[-1]
    assert len(right) == 64
    assert set(said) <= {"MemoryError", "EncodeError", right, "-11", "-6"}
    assert "MemoryError" in said


_AS_NOBODY = """
if os.getuid() == 0:  # whom no limit holds
    try:
        os.setgid(54321)
        os.setuid(54321)
    except OSError:
        raise SystemExit(77)
"""


_WITHOUT_THREADS = f"""
import os, resource, threading, torch, npp
torch.set_num_threads(1)
x = torch.rand(3, 64, 64)
npp.encode(x)
npp.clear_encoder_cache()
{_AS_NOBODY}
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
try:
    threading.Thread(target=int).start()
except RuntimeError:
    pass
else:
    raise SystemExit(77)
try:
    npp.encode(x)
except npp.EncodeError as error:
    assert "no more threads" in str(error), error
else:
    raise SystemExit("encoded without a thread")
"""


_FEW_THREADS = f"""
import os, resource, torch, npp
torch.set_num_threads(1)
frames = [torch.rand(3, 18, 40)] * 2
right = npp.encode_animation(frames, 30, effort=0)
x = torch.rand(3, 16, 32)
right_picture = npp.encode(x, 30, effort=0, threads=1)
npp.clear_encoder_cache()


def threads_of(process):
    try:
        whose = os.stat("/proc/" + process).st_uid
        return len(os.listdir("/proc/" + process + "/task")) if whose == os.getuid() else 0
    except OSError:  # it has ended
        return 0


{_AS_NOBODY}
own = sum(map(threads_of, filter(str.isdigit, os.listdir("/proc"))))  # of this user, whom the limit counts
resource.setrlimit(resource.RLIMIT_NPROC, (own + 25, own + 25))
for i in range(60):
    npp.encode(torch.full((3, 16 + 2 * i, 48), 0.5), 30, effort=0, threads=1)
assert npp.encode_animation(frames, 30, effort=0) == right
for i in range(60):
    npp.encode(torch.full((3, 16, 48 + 2 * i), 0.5), 30, effort=0, threads=1)
assert npp.encode(x, 30, effort=0, threads=1) == right_picture
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(_WITHOUT_THREADS, id="none: an error, and no endless wait"),
        # Each idle encoder has a thread of x265: pictures of many sizes left more than a system may give.
        pytest.param(_FEW_THREADS, id="few: idle encoders give theirs back"),
    ],
)
def test_encoding_where_threads_run_out(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode == 77:
        pytest.skip("no limit holds this process")
    assert done.returncode == 0, done.stderr
