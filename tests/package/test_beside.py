"""Beside packages that bring their own x265 or libavcodec: all go on working, and the bytes stay the same."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import npp._bpg as _bpg

# What each package does, before and after npp: a function `work` whose result must not change.
_WORK = {
    "cv2": """
        import cv2, numpy
        def work():
            ok, png = cv2.imencode(".png", picture)
            ok, jpeg = cv2.imencode(".jpg", picture)
            assert (cv2.imdecode(png, cv2.IMREAD_COLOR) == picture).all()
            return cv2.imdecode(jpeg, cv2.IMREAD_COLOR).tobytes()
    """,
    "pillow_heif": """
        import io, pillow_heif
        from PIL import Image
        pillow_heif.register_heif_opener()
        def work():
            file = io.BytesIO()
            Image.fromarray(picture).save(file, "HEIF", quality=50)
            return Image.open(file).convert("RGB").tobytes()
    """,
    "av": """
        import io, av
        def work():
            pixels = b""
            for codec in ("libx265", "libx264"):
                file = io.BytesIO()
                with av.open(file, "w", format="matroska") as out:
                    stream = out.add_stream(codec, rate=25)
                    stream.width, stream.height, stream.pix_fmt = 112, 80, "yuv420p"
                    stream.thread_count = 1
                    stream.options = {"x265-params": "log-level=none", "preset": "ultrafast"}
                    for shift in range(3):
                        frame = av.VideoFrame.from_ndarray(numpy.roll(picture, shift, 1), format="rgb24")
                        out.mux(stream.encode(frame))
                    out.mux(stream.encode())
                with av.open(io.BytesIO(file.getvalue())) as clip:
                    frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
                assert len(frames) == 3
                pixels += b"".join(frame.tobytes() for frame in frames)
            return pixels
    """,
    "torchvision": """
        import torch, torchvision
        def work():
            boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0], [1.0, 1.0, 9.0, 9.0], [20.0, 20.0, 30.0, 30.0]])
            kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)
            pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
            parts = torchvision.ops.roi_align(pixels, [boxes], 7)
            return str(kept.tolist()).encode() + parts.numpy().tobytes()
    """,
}

_OURS = """
    import npp
    def ours():
        files = [
            npp.encode(picture, 29, effort=0),
            npp.encode(picture, 25, effort=0, chroma="444", bit_depth=10),
            npp.encode_animation([picture, picture[::-1].copy()], 30, effort=0, durations=0.04),
        ]
        pixels = [npp.decode(file).numpy().tobytes() for file in files]
        return b"".join(files + pixels)
"""

_START = """
    import hashlib, numpy
    picture = numpy.random.default_rng(0).integers(0, 256, (10, 14, 3), dtype=numpy.uint8)
    picture = numpy.ascontiguousarray(picture.repeat(8, 0).repeat(8, 1))
"""

_TURN = """
    before = {name: work() for name, work in works.items()}
    print(hashlib.sha256(ours()).hexdigest())
    assert {name: work() for name, work in works.items()} == before
    print(hashlib.sha256(ours()).hexdigest())
    assert {name: work() for name, work in works.items()} == before
"""


def _script(names: list[str], ours_first: bool) -> str:
    others = [textwrap.dedent(_WORK[name]) + f"works[{name!r}] = work\n" for name in names]
    parts = [_OURS, *others] if ours_first else [*others, _OURS]
    return "\n".join(textwrap.dedent(part) for part in [_START, "works = {}", *parts, _TURN])


def _hashes(names: list[str], *, ours_first: bool) -> list[str]:
    """Hashes of npp's files and pixels in a process of its own."""
    command = [sys.executable, "-c", _script(names, ours_first)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split()


@pytest.fixture(scope="module")
def alone() -> str:
    (one, other) = _hashes([], ours_first=True)
    assert one == other
    return one


def _present(names: list[str]) -> list[str]:
    return [name for name in names if importlib.util.find_spec(name)]


@pytest.mark.parametrize("name", _WORK)
def test_beside_one_imported_before(name: str, alone: str) -> None:
    if not _present([name]):
        pytest.skip(f"{name} is not installed")
    assert _hashes([name], ours_first=False) == [alone, alone]


@pytest.mark.parametrize("ours_first", [True, False])
@pytest.mark.parametrize("backwards", [True, False])
def test_beside_all(ours_first: bool, backwards: bool, alone: str) -> None:
    names = _present(list(_WORK))
    if len(names) < 2:
        pytest.skip("fewer than two of the packages are installed")
    assert _hashes(names[::-1] if backwards else names, ours_first=ours_first) == [alone, alone]


def test_extension_exports_nothing_else() -> None:
    if shutil.which("nm") is None:
        pytest.skip("nm is absent")
    command = ["nm", "-D", "--defined-only", _bpg.__file__]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split()[-1] for line in lines] == ["PyInit__bpg"]


def test_no_symbol_is_bound_to_another_copy(tmp_path: Path) -> None:
    """The dynamic linker's own account of what every codec symbol was bound to."""
    if not sys.platform.startswith("linux"):
        pytest.skip("only glibc's linker gives an account")
    names = _present(["cv2", "pillow_heif", "av"])
    if not names:
        pytest.skip("no other package with codecs is installed")
    extension = Path(_bpg.__file__)
    script = f"""
        import importlib.util, {", ".join(names)}
        spec = importlib.util.spec_from_file_location("_bpg", {str(extension)!r})
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    """
    linker = {"LD_BIND_NOW": "1", "LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": str(tmp_path / "bindings")}
    command = [sys.executable, "-c", textwrap.dedent(script)]
    subprocess.run(command, env={**os.environ, **linker}, check=True, capture_output=True)
    binding = re.compile(r"binding file (\S+) \[0\] to (\S+) \[0\]: \w+ symbol `((?:av|x265)\w*)'")
    used: set[Path] = set()
    for log in tmp_path.glob("bindings.*"):
        for names_of_files in binding.findall(log.read_text(errors="replace")):
            source, target = map(Path, names_of_files[:2])
            if source.name == extension.name:
                used.add(target)
            else:
                assert target.name != extension.name, f"{source} takes {names_of_files[2]} from npp"
    if _bpg.build_config()["libavcodec_linkage"] == "static":
        assert used <= {extension}  # the codecs are inside, and nobody else's are taken
        return
    names_used = sorted(re.sub(r"[-.].*", "", path.name) for path in used)
    assert {"libavcodec", "libavutil"} <= set(names_used)
    assert len(names_used) == len(set(names_used)), used  # one copy of each
    # Other packages keep theirs in a folder called NAME.libs.
    assert not any(path.parent.suffix == ".libs" and path.parent.stem != "npp" for path in used), used
