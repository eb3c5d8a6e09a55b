"""npp encode --share: the total is met, a killed run goes on, and nothing foreign is replaced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data
from command_line import encode, files, moving, run, save_moving
from PIL import Image
from recipe_files import made_recipe, saved_recipe
from shared_runs import SIDE, results_size, shared_report, state_lines

import npp
from npp.cli.encode_request import parse_size
from npp.cli.exit_codes import UsageError
from npp.cli.share_state import STATE_NAME


def test_total_is_met_at_different_qps(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = shared_report("--total", "24k", capsys=capsys)
    assert 0.99 * 24_000 <= results_size() <= 24_000
    share = report["share"]
    assert (share["asked_bytes"], share["bytes"], share["pictures"]) == (24_000, results_size(), 16)
    assert share["bpp"] == 8 * results_size() / (16 * SIDE * SIDE)
    qps = [one["qp"] for one in report["files"]]
    assert len(set(qps)) > 2
    for one in report["files"]:
        file = Path(one["output"]).read_bytes()
        assert file == npp.encode(np.asarray(Image.open(one["file"])), one["qp"], effort=1)
        assert one["bytes"] == len(file)
    assert not Path("out", STATE_NAME).exists()
    # The same mean loss of the model at one qp for all takes more.
    even = min(qp for qp in range(52) if 2 ** (qp / 3) >= np.mean([2 ** (one / 3) for one in qps]))
    pictures = [np.asarray(Image.open(f"in/{i:02}.png")) for i in range(16)]
    assert sum(len(file) for file in npp.encode(pictures, even - 1, effort=1)) > results_size()


def test_every_file_is_reported_once(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("in", "-o", "out", "--share", "--total", "24k") == 0
    said = capsys.readouterr().err
    report = shared_report("--total", "24k", "--force", capsys=capsys)
    assert report["share"]["encodes"] > 16  # some were encoded at more than one qp
    assert [said.count(f"in/{i:02}.png") for i in range(16)] == [1] * 16
    assert f"{results_size()} of 24000 bytes" in said


def test_mean_bpp_counts_all_pixels(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(skimage.data.astronaut()[:300, :300]).save("in/large.png")
    report = shared_report("--mean-bpp", 0.8, capsys=capsys)
    pixels = 16 * SIDE * SIDE + 300 * 300
    assert report["share"]["asked_bytes"] == int(0.8 * pixels / 8)
    assert 0.98 * 0.8 <= 8 * results_size() / pixels <= 0.8


@pytest.mark.parametrize("sensitivity", ["none", "predicted"])
def test_with_a_recipe(sensitivity: str, crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = saved_recipe(crops)
    report = shared_report("--total", "9k", "--for", recipe, "--sensitivity", sensitivity, capsys=capsys)
    assert 0.97 * 9_000 <= results_size() <= 9_000
    for one in report["files"]:
        picture = np.asarray(Image.open(one["file"]))
        assert Path(one["output"]).read_bytes() == made_recipe().encode(picture, one["qp"])
        assert one["recipe"] == "test"
        assert one["coded_width"] == (SIDE // 2 if one["qp"] >= 30 else SIDE)
    if sensitivity == "predicted":
        plain = {one["file"]: one["qp"] for one in report["files"]}
        other = shared_report(
            "--total", "9k", "--for", recipe, "--sensitivity", "none", "--force", capsys=capsys
        )
        assert plain != {one["file"]: one["qp"] for one in other["files"]}, "it has had no say"
        asked_nothing = shared_report("--total", "9k", "--for", recipe, "--force", capsys=capsys)
        assert plain == {one["file"]: one["qp"] for one in asked_nothing["files"]}, "it is not the default"


def test_result_does_not_depend_on_threads(crops: Path) -> None:
    for threads in (1, 5):
        arguments = ("-o", f"by{threads}", "--share", "--total", "20k", "--threads", threads)
        assert encode("in", *arguments) == 0
    assert len(files(crops / "by1")) == 16
    for name in files(crops / "by1"):
        assert Path("by1", name).read_bytes() == Path("by5", name).read_bytes()


def test_unused_total_is_reported(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("in", "-o", "out", "--share", "--total", "10M") == 0
    said = capsys.readouterr().err
    assert f"{results_size()} of 10000000 bytes" in said
    assert "npp: the total is not used up: every file is at qp 0" in said
    assert encode("in", "-o", "less", "--share", "--total", "24k") == 0
    assert "not used up" not in capsys.readouterr().err


def test_totals_that_cannot_be_met(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("in", "-o", "out", "--share", "--total", 500) == 1
    assert "500 bytes in all are too few: by quick files qp 51 takes about" in capsys.readouterr().err
    assert files(crops / "out") == [STATE_NAME], "nothing is encoded, and the curves serve another try"
    least = sum(len(npp.encode(np.asarray(Image.open(f"in/{i:02}.png")), 51, effort=1)) for i in range(16))
    report = shared_report("--total", least - 20, capsys=capsys, code=1)
    assert report["share"]["bytes"] == least, "as near as there is, and said"


def test_total_far_below_qp_51_stops_after_the_first_files(
    crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing of it stays but what was found out, for the same command and for a total that can be met."""
    least = sum(len(npp.encode(np.asarray(Image.open(f"in/{i:02}.png")), 51, effort=1)) for i in range(16))
    Path("in/16.png").write_bytes(b"no picture")
    for _ in range(2):
        report = shared_report("--total", int(0.6 * least), capsys=capsys, code=1)
        assert files(crops / "out") == [STATE_NAME]
        assert state_lines("file") == 8, "half of the pictures were not encoded, and the others once"
        assert not report["share"]
        errors = {one["error"] for one in report["files"][:16]}
        (error,) = errors
        assert error.startswith(
            f"{int(0.6 * least)} bytes in all are too few: by the first files qp 51 takes "
        )
        assert 0.9 * least < int(error.split()[-1]) < 1.1 * least
        assert "too few" not in report["files"][16]["error"]
    Path("in/16.png").unlink()
    assert shared_report("--total", int(1.05 * least), capsys=capsys)["share"]["bytes"] <= 1.05 * least


def test_a_total_that_is_refused_leaves_earlier_files(
    crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    least = sum(len(npp.encode(np.asarray(Image.open(f"in/{i:02}.png")), 51, effort=1)) for i in range(16))
    shared_report("--total", 3 * least, "--keep-state", capsys=capsys)
    before = {path.name: path.read_bytes() for path in (crops / "out").glob("*.bpg")}
    assert len(before) == 16
    report = shared_report("--total", int(0.6 * least), "--keep-state", capsys=capsys, code=1)
    assert "by the first files" in report["files"][0]["error"]
    assert {path.name: path.read_bytes() for path in (crops / "out").glob("*.bpg")} == before


def test_total_just_above_qp_51_is_met_although_curves_deny_it(
    crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Continued from qp 44 the curves of quick files say far more of qp 51 than slower encodes take."""
    assert run("encode", "in", "-o", "least", "--qp", 51, "-q") == 0
    total = int(results_size("least") * 1.03)
    assert run("encode", "in", "-o", "out", "--share", "--total", total, "-q") == 0
    assert results_size("least") <= results_size() <= total


def test_animations_take_part(crops: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    save_moving("in/moving.webp", moving(photo), duration=40, lossless=True)
    report = shared_report("--mean-bpp", 0.9, capsys=capsys)
    pixels = 16 * SIDE * SIDE + 4 * 64 * 64
    assert report["share"]["asked_bytes"] == int(0.9 * pixels / 8)
    assert report["files"][-1]["frames"] == 4
    assert 0.98 * 0.9 <= report["share"]["bpp"] <= 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--share"], "--share needs one of --total and --mean-bpp"),
        (["--share", "--total", "1k", "--mean-bpp", "1"], "--share needs one of --total and --mean-bpp"),
        (["--total", "1k"], "--total needs --share"),
        (["--mean-bpp", "1"], "--mean-bpp needs --share"),
        (["--keep-state"], "--keep-state needs --share"),
        (["--sensitivity", "none"], "--sensitivity needs --share"),
        (["--share", "--total", "1x"], "--total must be bytes as 500000, 500k, 12M or 12Mi, not '1x'"),
        (["--share", "--mean-bpp", "0"], "--mean-bpp must be above 0"),
        (["--share", "--total", "1k", "--qp", "30"], "--share and --qp exclude each other"),
        (["--share", "--total", "1k", "--lossless"], "--share and --lossless exclude each other"),
        (["--share", "--total", "1k", "--target-bpp", "1"], "--share and --target-bpp exclude each other"),
        (["--share", "--total", "1k", "--skip-existing"], "a stopped run goes on by itself"),
        (["--share", "--total", "1k", "--sensitivity", "predicted"], "needs --for with a recipe that has"),
    ],
)
def test_wrong_usage(
    arguments: list[str], message: str, crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(crops)
    assert run("encode", "in", "-o", "out", *arguments) == 2
    assert message in capsys.readouterr().err
    assert files(crops) == before


def test_one_file_needs_a_folder(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("encode", "in/00.png", "-o", "a.bpg", "--share", "--total", "1k") == 2
    assert "--share writes into a folder, not to a.bpg" in capsys.readouterr().err
    assert encode("in/00.png", "-o", "out/", "--share", "--total", "1k") == 0
    assert 850 <= results_size() <= 1000


def test_sizes() -> None:
    sizes = {"500000": 500_000, "500k": 500_000, "12M": 12_000_000, "1.5Mi": 1_572_864, "2 GB": 2 * 10**9}
    assert {text: parse_size(text) for text in sizes} == sizes
    for text in ("", "k", "-3", "1e6", "0", "12T", "9" * 400):
        with pytest.raises(UsageError, match="--total must be bytes"):
            parse_size(text)
