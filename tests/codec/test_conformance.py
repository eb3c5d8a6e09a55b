"""The reference encoders' files, decoded to the bit as the reference decoder does."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import npp

_SHARED_VECTORS = 93
_REFUSED_DEPTHS = (11, 13, 14)


@pytest.fixture(scope="module")
def vectors(shared: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((shared / "conformance" / "manifest.json").read_text())
    return entries


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "conformance"


def _as_frames(image: Tensor, channels: int) -> Tensor:
    """(F, H, W, channels) the way the reference decoder writes pixels."""
    frames = image if image.ndim == 4 else image[None]
    peak = 255 if image.dtype == torch.uint8 else 65535
    wide = frames.to(torch.int32)
    color = wide[:, :3] if wide.shape[1] >= 3 else wide[:, :1].expand(-1, 3, -1, -1)
    alpha = wide[:, 3:4] if wide.shape[1] == 4 else torch.full_like(wide[:, :1], peak)
    wanted = torch.cat([color, alpha], dim=1) if channels == 4 else color
    return wanted.permute(0, 2, 3, 1).to(image.dtype)


def _sha256(image: Tensor, channels: int) -> str:
    return hashlib.sha256(_as_frames(image, channels).contiguous().numpy().tobytes()).hexdigest()


def test_every_vector_is_bit_exact_or_refused(vectors: list[dict[str, Any]], folder: Path) -> None:
    assert len(vectors) == _SHARED_VECTORS
    exact = 0
    for vector in vectors:
        data = (folder / vector["file"]).read_bytes()
        if vector["bit_depth"] in _REFUSED_DEPTHS:
            with pytest.raises(npp.UnsupportedError, match=str(vector["bit_depth"])):
                npp.decode(data)
            continue
        for dtype, bits in ((torch.uint8, 8), (torch.uint16, 16)):
            image = npp.decode(data, dtype=dtype)
            if image.shape[-3] == 4:
                # The rgb hashes are of straight or premultiplied colour without alpha: see below.
                assert _sha256(image, 4) == vector["sha256"][f"rgba{bits}"], (vector["name"], dtype)
            else:
                assert _sha256(image, 3) == vector["sha256"][f"rgb{bits}"], (vector["name"], dtype)
                assert _sha256(image, 4) == vector["sha256"][f"rgba{bits}"], (vector["name"], dtype)
        exact += 1
    assert exact == 90


def test_probe_agrees_with_the_manifest_on_every_field(vectors: list[dict[str, Any]], folder: Path) -> None:
    spaces = ("ycbcr", "rgb", "ycgco", "ycbcr_bt709", "ycbcr_bt2020")
    for vector in vectors:
        info = npp.probe((folder / vector["file"]).read_bytes())
        name = vector["name"]
        for key in ("width", "height", "bit_depth", "pixel_format", "frames", "loop_count"):
            assert getattr(info, key) == vector[key], (name, key)
        for key in ("has_alpha", "premultiplied", "has_w", "limited_range", "animation"):
            assert getattr(info, key) is bool(vector[key]), (name, key)
        assert info.color_space == spaces[vector["color_space"]], name
        assert info.durations == tuple(Fraction(*duration) for duration in vector["durations"]), name
        assert [[tag, len(data)] for tag, data in info.extensions] == vector["extensions"], name


def test_floats_are_the_integers_divided_by_their_peak(vectors: list[dict[str, Any]], folder: Path) -> None:
    for name in ("420_odd", "b10_444", "alpha_premul"):
        data = (folder / f"{name}.bpg").read_bytes()
        deep = npp.probe(data).bit_depth > 8
        integers = npp.decode(data, dtype=torch.uint16 if deep else torch.uint8)
        for dtype in (torch.float16, torch.float32, torch.float64, torch.bfloat16):
            floats = npp.decode(data, dtype=dtype)
            exact = integers.to(torch.float64) / (65535 if deep else 255)
            wanted = exact.to(torch.float32).to(dtype) if dtype == torch.bfloat16 else exact.to(dtype)
            assert torch.equal(floats, wanted), (name, dtype)


def test_a_list_of_files_gives_a_list_of_tensors(vectors: list[dict[str, Any]], folder: Path) -> None:
    files = [(folder / f"{name}.bpg").read_bytes() for name in ("420_odd", "gray", "alpha1", "anim")]
    one_by_one = [npp.decode(data) for data in files]
    for threads in (1, 2, 5):
        together = npp.decode(files, threads=threads)
        assert all(torch.equal(a, b) for a, b in zip(together, one_by_one, strict=True))


def test_metadata_comes_back(folder: Path) -> None:
    metadata = npp.probe((folder / "meta_jpeg_exif_icc_xmp.bpg").read_bytes()).metadata
    assert metadata.icc_profile is not None and metadata.icc_profile[36:40] == b"acsp"
    assert metadata.xmp is not None and b"xmp" in metadata.xmp.lower()
    assert metadata.exif is not None and len(metadata.exif) == 58
