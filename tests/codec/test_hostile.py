"""Hostile files: refused with the right error or decoded safely, within bounded time and memory."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hostile import bases, check
from hostile.families import FAMILIES
from hostile.generate import EXPECTED, FOLDER, expected, files
from hostile.parts import Parts, with_bit
from torch import Tensor

import npp
import npp.cli

TESTS = Path(__file__).parents[1]
NAMED = json.loads(EXPECTED.read_text())
FOUND = sorted((FOLDER / "found").glob("*.bpg"))


def _run(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@functools.cache
def _checked(*arguments: str) -> dict[str, Any]:
    """What the runner says; a crash, a limit that was hit or any word on standard error fails here."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("memory is measured with Linux's /proc")
    result = _run("hostile.runner", *arguments)
    assert result.returncode == 0 and result.stderr == "", (result.returncode, result.stderr[-2000:])
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def _stored() -> dict[str, Any]:
    """The reports of the named and the found files."""
    files: dict[str, Any] = _checked("--named", *map(str, FOUND))["files"]
    return files


def test_stored_files_are_what_the_generator_makes() -> None:
    assert expected() == NAMED
    assert {path.stem: path.read_bytes() for path in FOLDER.glob("*.bpg")} == files()
    assert sum(path.stat().st_size for path in FOLDER.glob("*.bpg")) < 200_000


def test_base_files_are_good_and_taken_apart_rightly() -> None:
    for name, data in bases.load().items():
        decoded = npp.decode(data)
        assert decoded.float().std() > 20, name
        assert npp.decode(Parts.parse(data).to_bytes()).equal(decoded) if name != "intra" else True
    good = bases.load()
    # The same pixels by libavcodec and by our own decoder.
    assert npp.decode(good["intra"]).equal(npp.decode(good["still"]))


@pytest.mark.parametrize("name", sorted(NAMED))
def test_named_file(name: str) -> None:
    report = _stored()[name]
    assert report["problems"] == []
    assert report["outcome"] == NAMED[name]["outcome"], (report["error"], NAMED[name]["why"])


def test_found_files() -> None:
    for path in FOUND:
        assert _stored()[path.stem]["problems"] == [], path


def test_extreme_edges_at_12_bits() -> None:
    """The encoder's own reconstruction; libavcodec's vector code for deblocking gives 0, 0, 4095."""
    file = (FOLDER / "found" / "twelve_bit_deblocking_overflow.bpg").read_bytes()
    alpha = npp.decode(file, dtype=torch.float64)[3] * 4095
    assert alpha[6, 38:41].round().tolist() == [133, 245, 3676]


def test_a_header_alone_takes_no_memory() -> None:
    for name in ("forty_bytes_claim_16384x10000", "claims_16384x10000", "line_of_178_million", "sides_65535"):
        report = _stored()[name]
        assert report["outcome"] == "refused" and report["rss_kib"] < 4096, name
    assert (FOLDER / "forty_bytes_claim_16384x10000.bpg").stat().st_size <= 40


def test_headers_alone_take_no_memory_in_a_batch() -> None:
    """Together they claim 117 GiB."""
    file = (FOLDER / "forty_bytes_claim_16384x10000.bpg").read_bytes()
    with pytest.raises(npp.DecodeError, match=r"bitstreams\[0\]: .*cannot hold a picture") as caught:
        npp.decompress([file] * 64, threads=1)
    assert caught.value.index == 0
    assert caught.value.results is not None
    assert [error.index for error in caught.value.results] == list(range(64))


def test_a_batch_without_room_is_put_together_from_its_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    files = npp.encode([torch.rand(3, 24, 40), torch.rand(3, 24, 40)], 30, effort=0)
    wanted = npp.decompress(files)
    monkeypatch.setattr("npp.codec.decoding._room", lambda *_: None)
    assert torch.equal(npp.decompress(files), wanted)
    damaged = files[1].replace(b"\x44\x01", b"\x46\x01", 1)  # its header is in order, its PPS is gone
    with pytest.raises(npp.DecodeError, match=r"^bitstreams\[1\]: (?!data)") as caught:
        npp.decompress([files[0], damaged])
    assert caught.value.index == 1


def test_a_batch_above_the_limit_on_pixels_is_refused_as_damaged_files_are() -> None:
    files = npp.encode([torch.rand(3, 24, 40)], 30, effort=0)
    npp.set_max_pixels(24 * 40 - 1)
    try:
        with pytest.raises(npp.DecodeError, match=r"bitstreams\[0\] is 40x24 .*at most 959") as caught:
            npp.decompress(files)
    finally:
        npp.set_max_pixels(None)
    assert caught.value.index == 0


@pytest.mark.parametrize("name", FAMILIES)
def test_family(name: str) -> None:
    """Truncation at every byte in full, a part of the others."""
    summary = _checked("--families", "--limit", "120")["families"][name]
    assert summary["files"] > 0 and summary["problems"] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_family_in_full(name: str) -> None:
    summary = _checked("--families")["families"][name]
    assert summary["files"] > 0 and summary["problems"] == []


def _outcome(data: bytes) -> Tensor | str:
    try:
        return npp.decode(data, threads=1)
    except npp.BPGError as error:
        return str(error)


def test_a_damaged_file_shows_nothing_of_the_picture_before() -> None:
    """Threads keep the memory of a picture for the next of its size: it must not shine through."""
    generator = torch.Generator().manual_seed(0)
    before = [
        npp.encode(torch.rand(3, 64, 64, generator=generator) * scale, 30, effort=0) for scale in (1, 0.2)
    ]
    good = npp.encode(torch.rand(3, 64, 64, generator=generator), 20, effort=1)
    shown = 0
    for at in range(20, len(good), len(good) // 150):
        damaged = bytearray(good)
        damaged[at] ^= 0x5A
        outcomes = []
        for file in before:
            npp.decode(file, threads=1)
            outcomes.append(_outcome(bytes(damaged)))
        first, second = outcomes
        if isinstance(first, Tensor) and isinstance(second, Tensor):
            assert torch.equal(first, second)
            shown += 1
        else:
            assert first == second
    assert 0 < shown < 150


def test_animation_of_thousands_of_frames() -> None:
    frames = (torch.arange(2500 * 64).reshape(2500, 1, 8, 8) % 251).to(torch.uint8)
    data = npp.encode_animation(frames, 40, effort=0)
    assert npp.probe(data).frames == 2500 and npp.decode(data).shape == frames.shape
    with pytest.raises(npp.DecodeError):
        npp.decode(data[: len(data) // 2])
    try:
        npp.set_max_pixels(2500 * 64 - 1)
        with pytest.raises(npp.DecodeError, match=r"2500 frame\(s\) of 8x8"):
            npp.decode(data)
    finally:
        npp.set_max_pixels(None)


def test_extensions_of_a_written_file_are_bounded_too() -> None:
    metadata = npp.Metadata(extensions=((7, b""),) * 4097)
    with pytest.raises(npp.EncodeError, match=r"4097 extensions.*4096"):
        npp.encode(torch.full((1, 8, 8), 0.5), effort=0, metadata=metadata)
    kept = npp.Metadata(extensions=((7, b""),) * 4096)
    assert npp.probe(npp.encode(torch.full((1, 8, 8), 0.5), effort=0, metadata=kept)).metadata == kept


def test_command_line_decodes_a_folder_of_them(tmp_path: Path) -> None:
    source, out = tmp_path / "hostile", tmp_path / "out"
    source.mkdir()
    for path in FOLDER.glob("*.bpg"):
        shutil.copy(path, source)
    result = _run("npp.cli", "decode", source, "-o", f"{out}/", "--format", "webp")
    assert result.returncode == 1, result.stderr[-2000:]
    failed = {name for name, case in NAMED.items() if case["outcome"] == "refused"}
    failed.add("animation_period_largest")  # no other format can say that
    assert {path.name for path in out.iterdir()} == {f"{name}.webp" for name in set(NAMED) - failed}
    lines = result.stderr.splitlines()
    for name in failed:
        assert sum(line.startswith(f"npp: {source / name}.bpg: ") for line in lines) == 1, name
    assert any("is shown for 8.58993e+09 s; WEBP allows 16777.2 s at most" in line for line in lines)
    assert "Traceback" not in result.stderr and "[hevc" not in result.stderr


def test_command_line_leaves_nothing_behind(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("no_pps", "bit_depth_14", "animation_period_0", "empty", "alpha_gone"):
        with pytest.raises(SystemExit) as stop:
            npp.cli.main(["decode", str(FOLDER / f"{name}.bpg"), "-o", str(tmp_path / "x.png")])
        assert stop.value.code == 1 and list(tmp_path.iterdir()) == []
        assert f"{name}.bpg" in capfd.readouterr().err


def test_checks_notice_what_they_look_for(monkeypatch: pytest.MonkeyPatch) -> None:
    good = bases.load()["still"]
    assert check.check(good).problems == [] and check.check(good).outcome == "decoded"
    assert check.check(with_bit(good, 0)).outcome == "refused"
    decode = npp.decode
    monkeypatch.setattr(npp, "decode", lambda data, threads: decode(data)[:, 1:])
    assert any("probe says" in problem for problem in check.check(good).problems)
