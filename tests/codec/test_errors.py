"""Bad input: the exception names the argument, the value and what is allowed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import npp

GOOD = torch.rand(3, 16, 16)


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


def test_equal_options_of_wrong_types_are_refused_after_valid_ones() -> None:
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
def test_array_as_choice_is_refused(option: str, value: Any) -> None:
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


@pytest.mark.parametrize("threads", [4097, 10**12])
def test_more_threads_than_any_machine_has(threads: int) -> None:
    with pytest.raises(ValueError, match="threads must be at most 4096"):
        npp.encode(GOOD, threads=threads)
    assert npp.encode(GOOD, threads=np.int64(2)) == npp.encode(GOOD)  # type: ignore[call-overload]


@pytest.mark.parametrize("qp", [{30: 1, 31: 2}, {30, 31}])
def test_qps_without_an_order_are_refused(qp: Any) -> None:
    x = torch.rand(2, 3, 16, 16)
    said = f"qp must be one for all or a sequence with one each, not a {type(qp).__name__}"
    for code in (npp.encode, npp.compress, npp.encode_animation):
        with pytest.raises(npp.EncodeError, match=said):
            code(x, qp)


@pytest.mark.parametrize("dtype", [[1], {}, "uint8", np.uint8, None, torch.int32])
def test_unsupported_dtype_is_refused(dtype: Any) -> None:
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
