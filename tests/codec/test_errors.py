"""Bad input: the exception names the argument, the value and what is allowed."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import npp
from npp.batch import FileResult, ManifestRow, write_manifest
from npp.codec.build import build_config

GOOD = torch.rand(3, 16, 16)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (torch.full((3, 8, 8), float("nan")), ["image", "NaN", "[0, 1]"]),
        (torch.full((3, 8, 8), 1.5), ["image", "1.5", "[0, 1]"]),
        (torch.full((3, 8, 8), -0.25), ["image", "-0.25", "[0, 1]"]),
        (torch.full((3, 8, 8), float("inf")), ["image", "inf", "[0, 1]"]),
        (torch.rand(2, 8, 8), ["image", "2 channels", "1 (gray)"]),
        (torch.rand(5, 8, 8), ["image", "5 channels"]),
        (torch.rand(0, 3, 8, 8), ["image", "empty"]),
        ([], ["image", "empty"]),
        (torch.rand(3, 0, 8), ["image", "8x0", "at least 1"]),
        (np.zeros((0, 4, 3), np.uint8), ["image", "4x0"]),
        (torch.rand(8, 8), ["image", "(8, 8)", "(C, H, W)"]),
        (np.zeros((1, 2, 3, 4), np.uint8), ["image", "(1, 2, 3, 4)"]),
        ([GOOD, torch.rand(2, 8, 8)], ["image[1]", "2 channels"]),
        ([GOOD, torch.full((3, 8, 8), 7.0)], ["image[1]", "7"]),
    ],
)
def test_bad_pictures(image: Any, words: list[str]) -> None:
    with pytest.raises(npp.EncodeError) as caught:
        npp.encode(image)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("image", "help_"),
    [
        (255 * GOOD, "divide samples of 0 to 255 by 255"),
        ((GOOD - 0.5) / 0.2, "normalise after the codec"),
        (torch.full((3, 8, 8), 1.004), "clamp what is a little outside"),
        (torch.rand(20, 30, 3), r"tensors are \(C, H, W\): movedim\(-1, -3\)"),
        (np.zeros((3, 20, 30)), r"arrays are \(H, W, C\): numpy.moveaxis\(x, 0, -1\)"),
        (torch.rand(20, 30, 40), r"3 \(RGB\) and 4 \(RGBA\)$"),
    ],
)
def test_what_strangers_pass_is_answered_with_help(image: Any, help_: str) -> None:
    with pytest.raises(npp.EncodeError, match=help_):
        npp.encode(image)


def test_the_help_turns_dimensions_round() -> None:
    assert torch.rand(2, 20, 30, 3).movedim(-1, -3).shape == (2, 3, 20, 30)
    with pytest.raises(npp.EncodeError, match="movedim"):
        npp.compress(torch.rand(2, 20, 30, 3), 30)


@pytest.mark.parametrize(
    ("file", "help_"),
    [
        ("x.png", r"npp\.photos\.open_photo\(path\) opens a photo, and npp\.batch\.BatchEncoder"),
        (Path("x.png"), r"npp\.photos\.open_photo\(path\) opens a photo, and npp\.batch\.BatchEncoder"),
        (b"x.png", r"PIL\.Image\.open\(io\.BytesIO\(data\)\) opens the bytes of a file$"),
        (io.BytesIO(b"x.png"), r"PIL\.Image\.open\(file\) opens it$"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_file_is_no_picture_yet(file: Any, help_: str) -> None:
    for given, name in ((file, "image"), ([file], r"image\[0\]")):
        with pytest.raises(TypeError, match=rf"^{name} must be a PIL image.*, not \w+; {help_}"):
            npp.encode(given)


def test_what_opens_the_files_does_so(tmp_path: Path) -> None:
    """The functions that the message names take such paths."""
    path = tmp_path / "x.png"
    Image.new("RGB", (24, 16), (200, 100, 50)).save(path)
    file = npp.encode(npp.photos.open_photo(path))
    assert npp.decode(file).shape == (3, 16, 24)
    assert npp.batch.BatchEncoder().encode(path).file == file


@pytest.mark.parametrize(
    "image",
    [
        torch.zeros(3, 8, 8, dtype=torch.int32),
        np.zeros((8, 8), bool),
        np.zeros((8, 8), "c16"),
        "x.png",
        None,
        3,
    ],
)
def test_wrong_types(image: Any) -> None:
    with pytest.raises(TypeError, match="image"):
        npp.encode(image)


@pytest.mark.parametrize(
    "qp", [-1, 52, 3.5, "29", None, [20], [20, 60], [20, 30, 40], True, torch.tensor([1.5, 2.0])]
)
def test_bad_qp(qp: Any) -> None:
    with pytest.raises(npp.EncodeError, match="qp"):
        npp.encode([GOOD, GOOD], qp)


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("effort", 10, "0 to 9"),
        ("effort", -1, "0 to 9"),
        ("effort", "fast", "0 to 9"),
        ("chroma", "411", "'420'"),
        ("chroma", 420, "'420'"),
        ("color_space", "bt601", "'ycbcr'"),
        ("bit_depth", 16, "8, 10, 12"),
        ("tune", "psnr", "'machine'"),
        ("alpha_qp", 52, "0 to 51"),
        ("deblock", -7, "-6 to 6"),
        ("deblock", 0.5, "-6 to 6"),
        ("chroma_qp_offset", 13, "-12 to 12"),
        ("chroma_qp_offset", True, "-12 to 12"),
        ("psy_rd", 5.5, "0 to 5"),
        ("psy_rd", -0.1, "0 to 5"),
        ("psy_rd", float("nan"), "0 to 5"),
        ("psy_rd", True, "0 to 5"),
        ("psy_rd", "1", "0 to 5"),
        ("lossless", 1, "True or False"),
        ("premultiplied", "yes", "True or False"),
        ("limited_range", None, "True or False"),
    ],
)
def test_bad_option_values(option: str, value: Any, allowed: str) -> None:
    for call in (npp.encode, lambda x, **kw: npp.compress(x[None], 30, **kw)):
        with pytest.raises(npp.EncodeError) as caught:
            call(GOOD, **{option: value})
        message = str(caught.value)
        assert option in message and allowed in message and repr(value) in message


@pytest.mark.parametrize("depth", [9, 11, 13, 14])
def test_depths_that_x265_cannot_write(depth: Any) -> None:
    with pytest.raises(npp.UnsupportedError, match=rf"bit_depth.*{depth}"):
        npp.encode(GOOD, bit_depth=depth)


def test_options_seen_before_excuse_no_others() -> None:
    npp.encode(GOOD, 30, effort=1, lossless=False)
    same: list[dict[str, Any]] = [
        {"effort": True},
        {"effort": 1.0},
        {"effort": 1, "lossless": 0},
        {"effort": [1]},
    ]
    for options in same:
        with pytest.raises(npp.EncodeError, match=r"effort|lossless"):
            npp.encode(GOOD, 30, **options)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("bit_depth", torch.tensor(10)),
        ("bit_depth", np.array(10)),
        ("bit_depth", torch.tensor([10])),
        ("bit_depth", torch.tensor(9)),
        ("bit_depth", 10.0),
        ("bit_depth", np.array([8, 10])),
        ("chroma", np.array("420")),
        ("color_space", np.array(["rgb", "ycbcr"])),
        ("tune", np.array("ssim")),
    ],
)
def test_a_choice_is_no_array_of_choices(option: str, value: Any) -> None:
    with pytest.raises(npp.EncodeError, match=f"{option} must be one of .*, not "):
        npp.encode(GOOD, **{option: value})


def test_integers_of_numpy_are_options() -> None:
    given = {"effort": np.int64(0), "bit_depth": np.int8(10), "deblock": np.int16(2), "psy_rd": np.float32(0)}
    wanted = npp.encode(GOOD, effort=0, bit_depth=10, deblock=2, psy_rd=0.0)
    assert npp.encode(GOOD, **given) == wanted  # type: ignore[call-overload]


def test_unknown_options_are_named() -> None:
    options: Any = {"efort": 3}
    with pytest.raises(TypeError, match=r"efort.*effort"):
        npp.encode(GOOD, **options)


@pytest.mark.parametrize("threads", [0, -3])
def test_bad_threads(threads: int) -> None:
    with pytest.raises(ValueError, match=rf"threads.*{threads}"):
        npp.encode(GOOD, threads=threads)
    with pytest.raises(TypeError, match="threads"):
        npp.encode(GOOD, threads=1.5)  # type: ignore[call-overload]


def test_oversize_is_refused_before_memory_is_taken() -> None:
    huge = torch.zeros(1, 1, 1, dtype=torch.uint8).expand(3, 40_000, 40_000)
    with pytest.raises(npp.EncodeError, match=r"40000x40000.*178956970"):
        npp.encode(huge)


@pytest.mark.parametrize(("axis", "side"), [("height", 0), ("width", 1)])
def test_a_side_above_the_longest_is_refused_with_the_longest(axis: str, side: int) -> None:
    shape = [1, 1]
    shape[side] = 2**31 - 64  # of one byte in memory
    try:
        npp.set_max_pixels(2**32)
        with pytest.raises(npp.EncodeError, match=f"{axis} must be from 1 to 2147483583, not 2147483584"):
            npp.encode(np.broadcast_to(np.uint8(0), shape))
    finally:
        npp.set_max_pixels(None)


def test_the_pixel_limit_can_be_moved() -> None:
    data = npp.encode(GOOD)
    try:
        npp.set_max_pixels(10**30)
        assert npp.decode(npp.encode(GOOD)).shape == (3, 16, 16)
        npp.set_max_pixels(255)
        assert npp.get_max_pixels() == 255
        with pytest.raises(npp.EncodeError, match=r"16x16.*255"):
            npp.encode(GOOD)
        with pytest.raises(npp.DecodeError, match=r"16x16.*255"):
            npp.decode(data)
        npp.set_max_pixels(256)
        assert npp.decode(npp.encode(GOOD)).shape == (3, 16, 16)
        assert npp.decompress([data]).shape == (1, 3, 16, 16)
        npp.set_max_pixels(1e9)  # type: ignore[arg-type]
        assert npp.get_max_pixels() == 10**9
    finally:
        npp.set_max_pixels(None)
    assert npp.decode(data).shape == (3, 16, 16)
    with pytest.raises(ValueError, match=r"pixels.*0"):
        npp.set_max_pixels(0)
    with pytest.raises(TypeError, match=r"pixels must be an integer or None, not 0\.5"):
        npp.set_max_pixels(0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [-1, 65536])
def test_gray_of_pillow_that_16_bits_do_not_hold(wrong: int) -> None:
    samples = np.full((8, 8), 65535, np.int32)
    assert npp.decode(npp.encode(Image.fromarray(samples), 0), dtype=torch.uint16).numpy().min() > 65000
    samples[3, 4] = wrong
    held = f"mode I holds {samples.min()}..{samples.max()}; 0..65535 fits into 16 bits"
    with pytest.raises(npp.EncodeError, match=held):
        npp.encode(Image.fromarray(samples))


@pytest.mark.parametrize(
    "x", [torch.rand(3, 8, 8), torch.rand(0, 3, 8, 8), torch.rand(1, 2, 8, 8), torch.rand(1, 3, 0, 8)]
)
def test_compress_refuses_bad_shapes(x: torch.Tensor) -> None:
    with pytest.raises(npp.EncodeError, match="x "):
        npp.compress(x, 30)


def test_compress_names_the_image_that_holds_nan() -> None:
    x = torch.rand(3, 3, 8, 8)
    x[1, 0, 0, 0] = float("nan")
    with pytest.raises(npp.EncodeError, match=r"x\[1\].*NaN"):
        npp.compress(x, 30)


def test_compress_refuses_other_things() -> None:
    wrong: Any = np.zeros((1, 3, 8, 8), np.float32)
    with pytest.raises(TypeError, match="x must be a torch tensor"):
        npp.compress(wrong, 30)
    with pytest.raises(TypeError, match="int64"):
        npp.compress(torch.zeros(1, 3, 8, 8, dtype=torch.int64), 30)


def test_decode_refuses_other_things() -> None:
    wrong: Any
    for wrong in (3.0, 3, None):
        with pytest.raises(TypeError, match="data must be bytes, a buffer"):
            npp.decode(wrong)
    with pytest.raises(TypeError, match="dtype"):
        npp.decode(npp.encode(GOOD), dtype=torch.int32)


@pytest.mark.parametrize("data", [b"", b"BPG", b"\x89PNG\r\n\x1a\n" + bytes(40), bytes(100)])
def test_not_a_bpg_file(data: bytes) -> None:
    for call in (npp.decode, npp.probe):
        with pytest.raises(npp.DecodeError, match="not a BPG file"):
            call(data)


@pytest.mark.parametrize("options", [{}, {"chroma": "444", "bit_depth": 10}, {"lossless": True}])
def test_every_truncation_is_refused(options: Any) -> None:
    x = torch.rand(4, 24, 40)
    data = npp.encode(x, 40, metadata=npp.Metadata(exif=b"II*\0"), **options)
    for size in range(len(data)):
        with pytest.raises(npp.DecodeError):
            npp.decode(data[:size])


def test_errors_in_a_batch_name_the_index() -> None:
    good = npp.encode(GOOD)
    with pytest.raises(npp.DecodeError, match=r"data\[1\]"):
        npp.decode([good, good[:-5], good])
    with pytest.raises(npp.DecodeError, match=r"bitstreams\[2\]"):
        npp.decompress([good, good, good[:-5]])
    with pytest.raises(npp.DecodeError, match=r"bitstreams\[1\].*3x8x8.*3x16x16"):
        npp.decompress([good, npp.encode(torch.rand(3, 8, 8))])
    with pytest.raises(npp.DecodeError, match=r"bitstreams\[1\].*1x16x16.*3x16x16"):
        npp.decompress([good, npp.encode(torch.rand(1, 16, 16))])
    with pytest.raises(npp.DecodeError, match=r"bitstreams\[1\] is an animation of 1 frame"):
        npp.decompress([good, npp.encode_animation([GOOD])])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"durations": 0}, "durations"),
        ({"durations": [0.1]}, "durations has 1"),
        ({"durations": -1.0}, "durations"),
        ({"durations": [1e-4, 9999.0]}, "too far apart"),
        ({"durations": [1e-5, 1.0]}, "durations.0. must be positive, finite seconds above 5e-05"),
        ({"durations": [80_001.0, 80_000.0]}, "without a common period must be at most 71580 s, not 80001 s"),
        ({"loop_count": -1}, "loop_count"),
        ({"loop_count": 65_536}, "loop_count must be an integer from 0 .for ever. to 65535"),
    ],
)
def test_bad_animations(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(npp.EncodeError, match=words):
        npp.encode_animation(torch.rand(2, 3, 16, 16), **arguments)


def test_frames_must_fit_together() -> None:
    with pytest.raises(npp.EncodeError, match=r"frames\[1\]"):
        npp.encode_animation([torch.rand(3, 16, 16), torch.rand(3, 8, 8)])
    gray, colour = Image.new("LA", (16, 16)), Image.new("RGBA", (16, 16))
    with pytest.raises(npp.EncodeError, match=r"frames\[1\] has shape .* all frames need one .* and kind"):
        npp.encode_animation([gray, colour])


def test_all_errors_are_value_errors() -> None:
    for error in (npp.EncodeError, npp.DecodeError, npp.UnsupportedError):
        assert issubclass(error, npp.BPGError) and issubclass(error, ValueError)


def test_bad_metadata() -> None:
    wrong: Any = "text"
    with pytest.raises(TypeError, match="exif"):
        npp.Metadata(exif=wrong)
    with pytest.raises(ValueError, match="tag"):
        npp.Metadata(extensions=((5, b""),))
    with pytest.raises(ValueError, match=r"from 6 to 2..32 - 1, not 4294967296"):
        npp.Metadata(extensions=((2**32, b""),))
    with pytest.raises(TypeError, match="metadata"):
        npp.encode(GOOD, metadata={"exif": b""})  # type: ignore[call-overload]


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
def test_memory_that_runs_out_is_no_picture_s_fault() -> None:
    """The decoder needs some 50 MB of the 150 that are left, the pictures 200 each."""
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_MEMORY], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


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
    done = subprocess.run(
        [sys.executable, "-c", _METADATA_WITHOUT_MEMORY], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


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
def test_a_file_is_not_called_damaged_where_memory_is_short(tmp_path: Path) -> None:
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
def test_a_file_is_right_or_there_is_none_where_memory_is_short() -> None:
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
def test_a_system_of_which_threads_run_out(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode == 77:
        pytest.skip("no limit holds this process")
    assert done.returncode == 0, done.stderr


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_tensors_without_pixels_are_named() -> None:
    x = torch.rand(3, 16, 16)
    nested = torch.nested.nested_tensor([x, x])
    for given, words in ((x.to("meta"), "on the device meta"), (x.to_sparse(), "of layout torch.sparse_coo")):
        with pytest.raises(npp.UnsupportedError, match=f"image is {words}, and the codec needs pixels"):
            npp.encode(given)
    with pytest.raises(npp.UnsupportedError, match=r"image\[0\] is nested"):
        npp.encode([nested])


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_empty_pictures_of_any_mode_are_named() -> None:
    for mode in ("L", "I", "F", "I;16"):
        with pytest.raises(npp.EncodeError, match="is 0x5 pixels; both sides must be at least 1"):
            npp.encode(Image.new(mode, (0, 5)))
    assert npp.encode(np.asmatrix(np.zeros((20, 20), np.uint8))) == npp.encode(np.zeros((20, 20), np.uint8))


@pytest.mark.parametrize("threads", [4097, 10**12])
def test_more_threads_than_any_machine_has(threads: int) -> None:
    with pytest.raises(ValueError, match="threads must be at most 4096"):
        npp.encode(GOOD, threads=threads)
    assert npp.encode(GOOD, threads=np.int64(2)) == npp.encode(GOOD)  # type: ignore[call-overload]


def test_what_is_just_above_one_is_told_exactly() -> None:
    x = torch.zeros(3, 16, 16)
    x[0, 0, 0] = float(np.nextafter(np.float32(1), np.float32(2)))
    with pytest.raises(npp.EncodeError, match=r"to 1\.0000001"):
        npp.encode(x)


@pytest.mark.parametrize("qp", [{30: 1, 31: 2}, {30, 31}])
def test_qps_without_an_order_are_refused(qp: Any) -> None:
    x = torch.rand(2, 3, 16, 16)
    said = f"qp must be one for all or a sequence with one each, not a {type(qp).__name__}"
    for code in (npp.encode, npp.compress, npp.encode_animation):
        with pytest.raises(npp.EncodeError, match=said):
            code(x, qp)


@pytest.mark.parametrize("dtype", [[1], {}, "uint8", np.uint8, None, torch.int32])
def test_what_is_no_dtype_of_pictures_is_refused(dtype: Any) -> None:
    file = npp.encode(torch.rand(3, 16, 16), 40, effort=0)
    with pytest.raises(TypeError, match=r"dtype must be one of torch\.uint8, .*, not "):
        npp.decode(file, dtype=dtype)
    with pytest.raises(TypeError, match=r"dtype must be one of torch\.uint8, .*, not "):
        npp.decompress([file], dtype=dtype)


def test_the_limit_on_pixels_is_named_alike_wherever_it_is_met() -> None:
    gray = torch.zeros(1, 16, 16)
    file = npp.encode(gray, effort=0)
    npp.set_max_pixels(255)
    try:
        for start, error, call in (
            ("image", npp.EncodeError, lambda: npp.encode(gray)),
            (r"image\[0\]", npp.EncodeError, lambda: npp.encode([gray])),
            ("x", npp.EncodeError, lambda: npp.compress(gray[None], 30)),
            (r"bitstreams\[0\]", npp.DecodeError, lambda: npp.decompress([file])),
        ):
            said = rf"^{start} is 16x16 = 256 pixels; at most 255 are allowed \(npp\.set_max_pixels\)$"
            with pytest.raises(error, match=said):
                call()
    finally:
        npp.set_max_pixels(None)
