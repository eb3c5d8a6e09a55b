"""What npp writes obeys the format, so that the reference decoder reads it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hevc_parser import PPS, PREFIX_SEI, intra_slice_qp, parse, parse_pps
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import npp
from npp.codec.options import CHROMA_NAMES, COLOR_SPACE_NAMES


def _noise(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 200),
    width=st.integers(1, 200),
    channels=st.sampled_from((1, 3, 4)),
    chroma=st.sampled_from(CHROMA_NAMES),
    color_space=st.sampled_from(COLOR_SPACE_NAMES),
    bit_depth=st.sampled_from((8, 10, 12)),
    effort=st.integers(0, 9),
    tune=st.sampled_from(("ssim", "machine")),
    qp=st.integers(0, 51),
    lossless=st.booleans(),
)
def test_container_and_headers(
    height: int, width: int, channels: int, qp: int, lossless: bool, **options: Any
) -> None:
    data = npp.encode(_noise(channels, height, width), qp, lossless=lossless, **options)
    file = parse(data)
    assert (file.width, file.height, file.bit_depth) == (width, height, options["bit_depth"])
    gray = channels == 1 or options["chroma"] == "400"
    assert file.pixel_format == (0 if gray else CHROMA_NAMES.index(options["chroma"]))
    assert file.color_space == (0 if gray else COLOR_SPACE_NAMES.index(options["color_space"]))
    assert file.alpha1 == (channels == 4) and file.alpha2 == 0 and file.animation == 0
    assert file.picture_data_length == file.remaining
    assert not file.raw_data.startswith((b"\0\0\1", b"\0\0\0\1"))
    for header in file.headers:
        log2_ctb = header.log2_min_cb + header.log2_diff_cb
        assert 4 <= log2_ctb <= 6 and header.log2_min_tb < header.log2_min_cb
        assert header.log2_min_tb + header.log2_diff_tb <= min(log2_ctb, 5)
        assert header.depth <= log2_ctb - header.log2_min_tb
        assert header.extension == 0 and set(header.padding) <= {"0"} and len(header.padding) < 8
    layers = 2 if channels == 4 else 1
    assert sorted({nal.layer for nal in file.nals}) == list(range(layers))
    kinds = [(nal.type, nal.layer) for nal in file.nals]
    assert all(kind == PPS or 16 <= kind <= 21 for kind, _ in kinds)  # no VPS, no SPS, no SEI
    for layer in range(layers):
        pps = parse_pps(next(nal for nal in file.nals if nal.type == PPS and nal.layer == layer))
        assert pps.tiles == 0 and pps.entropy_sync == 0
        if not lossless:
            assert intra_slice_qp(file, layer) == max(0, math.floor(qp - 6 * math.log2(1.4) + 0.5))
    if layers == 2:  # the alpha picture stands before the colour picture
        slices = [layer for kind, layer in kinds if kind != PPS]
        assert slices == sorted(slices, reverse=True)


def test_slice_qp_is_bpgencs(shared: Path) -> None:
    manifest = json.loads((shared / "conformance" / "manifest.json").read_text())
    checked = 0
    for vector in manifest:
        words = vector["args"].split()
        if vector["encoder"] != "x265" or "-q" not in words or vector["animation"]:
            continue
        qp = int(words[words.index("-q") + 1])
        theirs = intra_slice_qp(parse((shared / "conformance" / vector["file"]).read_bytes()))
        ours = intra_slice_qp(parse(npp.encode(_noise(3, 64, 64), qp, effort=0)))
        assert ours == theirs, (vector["name"], qp)
        checked += 1
    assert checked > 30


def test_animations_refer_to_one_picture_and_say_their_durations() -> None:
    frames = torch.stack([_noise(4, 32, 48) * (1 - 0.1 * i) for i in range(4)])
    file = parse(npp.encode_animation(frames, 30, durations=[0.1, 0.2, 0.1, 0.5], loop_count=2, effort=1))
    assert file.animation == 1 and (5, b"\x02\x01\x0a") in file.extensions
    slices = [(nal.type, nal.layer) for nal in file.nals if nal.type < 22]
    assert [layer for _, layer in slices] == [1, 0] * 4
    assert [16 <= kind <= 21 for kind, _ in slices] == [True, True] + [False] * 6
    seis = [nal for nal in file.nals if nal.type == PREFIX_SEI]
    assert all(nal.layer == 0 for nal in seis)
    # Payload type 257 as 255 + 2, two bytes: the number of frame periods. One period is not said.
    assert [nal.payload[:5] for nal in seis] == [b"\xff\x02\x02\x00\x02", b"\xff\x02\x02\x00\x05"]


@pytest.mark.slow
def test_parity_with_bpgenc_on_kodak(shared: Path) -> None:
    bjontegaard = pytest.importorskip("bjontegaard")
    reference = json.loads((shared / "reference" / "bpgenc_kodak.json").read_text())
    qps = [22, 27, 32, 37, 42, 47]
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)[:, None, None]
    rates: dict[str, list[float]] = {"psnr_y": [], "psnr_rgb": []}
    for name in sorted({entry["image"] for entry in reference}):
        pixels = np.asarray(Image.open(shared / "data" / "kodak" / name).convert("RGB"))
        x = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
        out = npp.compress(x[None].expand(len(qps), -1, -1, -1), qps)
        difference = out.x_hat.double() - x.double()
        errors = {
            "psnr_y": (difference * weights).sum(1).square().mean((1, 2)),
            "psnr_rgb": difference.square().mean((1, 2, 3)),
        }
        theirs = sorted(
            (e for e in reference if e["image"] == name and e["level"] == 8), key=lambda e: e["qp"]
        )
        assert [entry["qp"] for entry in theirs] == qps
        for metric, error in errors.items():
            rates[metric].append(
                bjontegaard.bd_rate(
                    [entry["bytes"] for entry in theirs],
                    [entry[metric] for entry in theirs],
                    [len(file) for file in out.bitstreams],
                    (10 * torch.log10(255**2 / error)).tolist(),
                    method="pchip",
                )
            )
    assert np.mean(rates["psnr_y"]) <= 0 and np.mean(rates["psnr_rgb"]) <= 0, rates
