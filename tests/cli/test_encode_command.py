"""npp encode: usage, options, the search for a rate, what the report says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import decoded, encode, files, moving, pixels, run, save_moving
from PIL import Image

import npp
from npp.batch.file_encoding import smallest_qp
from npp.cli.file_reports import FileReport
from npp.photos import png16


def test_file_to_file_and_back(folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("photos/a.png", "-o", "a.bpg", "--qp", 20) == 0
    assert Path("a.bpg").read_bytes() == npp.encode(photo, 20, effort=1)
    assert run("decode", "a.bpg", "-o", "again.png") == 0
    assert np.array_equal(pixels("again.png"), decoded("a.bpg"))
    out, err = capsys.readouterr()
    assert out == ""
    assert "photos/a.png -> a.bpg: " in err and "qp 20" in err and "a.bpg -> again.png: 112x80" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photos/a.png", "x/a.jpg", "-o", "out"], "would both become out/a.bpg"),
        (["photos", "photos/a.png", "-o", "out.bpg"], "looks like a file"),
        (["photos", "-o", "photos/a.png"], "photos/a.png is a file; several inputs need a folder"),
        (["photos/a.png", "-o", "photos/a.png"], "would be written and is read too"),
        (["photos/a.png", "photos/b.jpg", "-o", "-"], "standard output takes one file, not 2"),
        (["empty", "-o", "out"], "files in this folder"),
        (
            ["photos/a.png", "-o", "out.bpg", "-q", "30"],
            "npp: 30 is no file; the quantiser is --qp 30, -q is --quiet",
        ),
        (
            ["photos/a.png", "-o", "out.bpg", "--refine", "efficientnet-lite0"],
            "takes a file of torch.export.save, names such as efficientnet-lite0 are for --judge",
        ),
        (["-", "-o", "out/"], "standard input has no name"),
        (["photos", "-o", "out", "--qp", "52"], "qp must be an integer from 0 to 51, not 52"),
        (["photos", "-o", "out", "--qp", "20", "--target-bpp", "1"], "exclude each other"),
        (["photos", "-o", "out", "--lossless", "--target-bpp", "1"], "exclude each other"),
        (["photos", "-o", "out", "--target-bpp", "0"], "--target-bpp must be above 0"),
        (["photos", "-o", "out", "--target-bpp", "nan"], "--target-bpp must be above 0"),
        (["photos", "-o", "out", "--target-bpp", "inf"], "--target-bpp must be above 0 and finite, not inf"),
        (
            ["photos", "-o", "out", "--lossless", "--refine", "NET"],
            "--refine and --lossless exclude each other",
        ),
        (["photos", "-o", "out", "--force", "--skip-existing"], "exclude each other"),
        (["photos", "-o", "out", "--chroma", "411"], "chroma must be one of '400', '420'"),
        (["photos", "-o", "out", "--bit-depth", "11"], "bit_depth must be 8, 10 or 12, not 11"),
        (["photos", "-o", "out", "--effort", "10"], "effort must be an integer from 0 to 9, not 10"),
        (["photos", "-o", "out", "--tune", "psnr"], "tune must be one of 'ssim', 'machine'"),
        (["photos", "-o", "out", "--alpha-qp", "-1"], "alpha_qp must be an integer from 0 to 51, not -1"),
        (["photos", "-o", "out", "--threads", "0"], "threads must be at least 1, not 0"),
        (["photos", "-o", "out", "--no-refine-views"], "--refine-views and --no-refine-views need --refine"),
        (["", "-o", "out"], "an input is empty; . is the folder where the command runs"),
        (["photos", "-o", ""], "--output is empty; . is the folder where the command runs"),
        (["photos", "-o", "out", "--refine", "nothing.pt2"], "--refine: there is no file nothing.pt2"),
        (["photos/a.png", "-o", "-", "--json"], "--json and --output - both want standard output"),
        (["photos/a.png", "-o", "b.png"], "b.png: .png is another format's suffix"),
        (["photos/a.png", "-o", "new/b.JPEG"], "new/b.JPEG: .jpeg is another format's suffix"),
        (["photos/a.png", "-o", "b.webp", "--force"], "b.webp: .webp is another format's suffix"),
        (["photos/a.png", "-o", "b.bpg", "--max-pixels", "0"], "'--max-pixels'"),
    ],
)
def test_wrong_usage_of_encode(
    folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("x").mkdir()
    Path("empty").mkdir()
    Path("x/a.jpg").write_bytes(Path("photos/b.jpg").read_bytes())
    before = files(folder)
    assert run("encode", *arguments) == 2
    assert message in capsys.readouterr().err
    assert files(folder) == before


def test_every_option_reaches_the_codec(folder: Path, photo: np.ndarray) -> None:
    alpha = np.full((*photo.shape[:2], 1), 200, np.uint8)
    Image.fromarray(np.dstack([photo, alpha])).save("rgba.png")
    arguments = "--qp 30 --chroma 422 --bit-depth 10 --color-space ycbcr_bt709 --limited-range --alpha-qp 5"
    assert encode("rgba.png", "-o", "a.bpg", *arguments.split(), "--premultiplied", "--tune", "machine") == 0
    assert Path("a.bpg").read_bytes() == npp.encode(
        np.dstack([photo, alpha]),
        30,
        effort=1,
        chroma="422",
        bit_depth=10,
        color_space="ycbcr_bt709",
        limited_range=True,
        alpha_qp=5,
        premultiplied=True,
        tune="machine",
    )
    assert encode("rgba.png", "-o", "lossless.bpg", "--lossless") == 0
    assert run("decode", "lossless.bpg", "-o", "lossless.png") == 0
    assert np.array_equal(pixels("lossless.png"), pixels("rgba.png"))


def test_lossless_says_which_options_make_it_inexact(
    folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = np.dstack([photo, photo[::-1, :, 0]])
    Image.fromarray(picture).save("in.png")
    assert run("encode", "--help") == 0
    unwrapped = re.sub(r"-\n +", "-", capsys.readouterr().out)
    (explained,) = re.findall(r"--lossless +(Exact .*?)\n +--alpha-qp ", unwrapped, flags=re.DOTALL)
    named = re.findall(r"--[a-z-]+", explained)
    options = [[name] for name in ("--limited-range", "--premultiplied", "--strip-metadata")]
    options += [["--chroma", "420"], ["--color-space", "ycbcr"], ["--bit-depth", "10"], ["--alpha-qp", "51"]]
    options += [["--tune", "machine"], ["--deblock", "6"], ["--chroma-qp-offset", "12"], ["--psy-rd", "5"]]
    inexact = []
    for more in options:
        assert encode("in.png", "-o", "out.bpg", "--lossless", "--force", *more) == 0
        if not np.array_equal(decoded("out.bpg"), picture):
            inexact.append(more[0])
    assert sorted(inexact) == sorted(named)


def test_report(folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/worse.jpg").write_text("no picture")
    Path("out").mkdir()
    Path("out/b.bpg").write_bytes(b"")
    assert encode("photos", "-o", "out", "--qp", 33, "--json", "--skip-existing") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["npp"] == npp.__version__
    a, b, worse = report["files"]
    file = Path("out/a.bpg").read_bytes()
    wanted = npp.decode(file).permute(1, 2, 0).numpy().astype(float)
    assert (a["file"], a["output"], a["status"], a["error"]) == ("photos/a.png", "out/a.bpg", "written", None)
    assert (a["width"], a["height"], a["frames"], a["qp"]) == (112, 80, 1, 33)
    assert a["bytes"] == len(file)
    assert a["bpp"] == 8 * len(file) / (112 * 80)
    assert a["psnr"] == pytest.approx(20 * np.log10(255) - 10 * np.log10(np.mean((wanted - photo) ** 2)))
    assert a["seconds"] > 0
    assert b["status"] == "skipped"
    assert worse["status"] == "failed" and "cannot identify" in worse["error"]


def test_what_people_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("photos/a.png", "-o", "out/", "--qp", 20, "--json") == 0
    printed = capsys.readouterr()
    (found,) = json.loads(printed.out)["files"]
    line = f"{found['bytes']} bytes, {found['bpp']:.3f} bpp, qp 20, {found['psnr']:.2f} dB"
    assert printed.err == f"photos/a.png -> out/a.bpg: {line}\n"
    assert encode("photos/a.png", "missing.png", "-o", "out", "--skip-existing") == 1
    assert sorted(capsys.readouterr().err.splitlines()) == [
        "1 skipped, 1 failed",
        "npp: missing.png: No such file or directory",
        "photos/a.png: skipped, out/a.bpg exists",
    ]


def test_reports_are_in_the_order_of_the_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"{i}.png" for i in range(8)]
    for i, name in enumerate(names):
        Image.new("L", (8 + 60 * (i % 3), 8)).save(name)
    assert encode(*reversed(names), "-o", "out", "--threads", 3, "--json", "-q") == 0
    assert [found["file"] for found in json.loads(capsys.readouterr().out)["files"]] == names[::-1]


def test_report_of_lossless_alpha_and_depth(
    folder: Path, photo: np.ndarray, deep_photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.dstack([photo, photo[..., :1]])).save("rgba.png")
    assert encode("rgba.png", "-o", "a.bpg", "--lossless", "--json") == 0
    (report,) = json.loads(capsys.readouterr().out)["files"]
    assert (report["psnr"], report["alpha_psnr"], report["qp"]) == (None, None, None)
    assert encode("rgba.png", "-o", "b.bpg", "--json", "--alpha-qp", 0) == 0
    (report,) = json.loads(capsys.readouterr().out)["files"]
    assert report["alpha_psnr"] > report["psnr"] > 25
    Path("deep.png").write_bytes(png16.write(deep_photo, npp.Metadata()))
    assert encode("deep.png", "-o", "c.bpg", "--json", "--bit-depth", 12, "--qp", 0, "--chroma", "444") == 0
    (report,) = json.loads(capsys.readouterr().out)["files"]
    assert report["psnr"] > 55  # above what 8 bits could give: 16-bit samples are compared


def test_gray_is_compared_with_gray(
    folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(photo).convert("L").save("gray.png")
    Image.fromarray(photo).convert("LA").save("la.png")
    assert encode("gray.png", "la.png", "-o", "out", "--json", "--qp", 10) == 0
    gray, la = json.loads(capsys.readouterr().out)["files"]
    assert gray["psnr"] == pytest.approx(la["psnr"], abs=0.01)
    assert gray["psnr"] > 45
    assert encode("photos/a.png", "-o", "no_color.bpg", "--json", "--chroma", "400") == 0
    assert 10 < json.loads(capsys.readouterr().out)["files"][0]["psnr"] < 30


def test_target_bpp(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("photos/a.png", "-o", "a.bpg", "--target-bpp", 1.5, "--json") == 0
    (report,) = json.loads(capsys.readouterr().out)["files"]
    assert report["bpp"] <= 1.5
    assert report["bytes"] == len(Path("a.bpg").read_bytes())
    pixels_of_a = pixels("photos/a.png")
    worse = npp.encode(pixels_of_a, report["qp"] - 1, effort=1)
    assert 8 * len(worse) / (112 * 80) > 1.5
    assert encode("photos/a.png", "-o", "b.bpg", "--target-bpp", 0.001) == 1
    assert "a.png: --target-bpp is 0.001, but qp 51 needs" in capsys.readouterr().err
    assert not Path("b.bpg").exists()


def test_smallest_qp_for_every_target() -> None:
    calls: list[int] = []

    def encode_at(qp: int) -> tuple[bytes, float]:
        calls.append(qp)
        return bytes([qp]), 52 - qp

    for target in range(1, 60):
        calls.clear()
        qp, file = smallest_qp(target, encode_at)
        assert qp == max(0, 52 - target)
        assert file == bytes([qp])
        assert len(calls) <= 7
    with pytest.raises(npp.EncodeError, match="qp 51 needs 1 already"):
        smallest_qp(0.5, encode_at)


def test_smallest_qp_takes_few_files_of_a_photo() -> None:
    counts: list[int] = []
    for halving in (4.5, 6, 8):  # qps that halve the bits
        calls: list[int] = []

        def encode_at(qp: int, halving: float = halving, calls: list[int] = calls) -> tuple[bytes, float]:
            calls.append(qp)
            return bytes([qp]), 12 * 2 ** (-qp / halving)

        for wanted in range(14, 46):
            calls.clear()
            assert smallest_qp(12 * 2 ** (-(wanted - 0.5) / halving), encode_at)[0] == wanted
            counts.append(len(calls))
    assert max(counts) <= 7 and sum(counts) / len(counts) < 4.5


def test_bpp_of_an_animation_counts_all_frames(
    folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    save_moving("in.webp", moving(photo), duration=40, lossless=True)
    assert encode("in.webp", "-o", "a.bpg", "--json", "--target-bpp", 1) == 0
    (report,) = json.loads(capsys.readouterr().out)["files"]
    assert report["bpp"] == 8 * report["bytes"] / (64 * 64 * 4) <= 1
    assert report["psnr"] > 20


def test_threads_do_not_change_anything(folder: Path, photo: np.ndarray) -> None:
    for i in range(12):
        Image.fromarray(np.roll(photo, i, 0)).save(f"photos/{i}.png")
    assert encode("photos", "-o", "one", "--threads", 1) == 0
    assert encode("photos", "-o", "many", "--threads", 6) == 0
    assert files(folder / "one") == files(folder / "many")
    for name in files(folder / "one"):
        assert Path("one", name).read_bytes() == Path("many", name).read_bytes()


def test_notes_are_in_the_report() -> None:
    report = FileReport("a", "b", "written", notes=("x",), values={"bytes": 3})
    assert report.as_json() == {
        "file": "a",
        "output": "b",
        "status": "written",
        "error": None,
        "notes": ["x"],
        "bytes": 3,
    }


@pytest.mark.parametrize("name", ["a.bpg", "a.BPG", "a", "a.part", "a.b.bpg"])
def test_names_that_promise_no_other_format(folder: Path, name: str) -> None:
    assert encode("photos/a.png", "-o", name) == 0
    assert Path(name).read_bytes().startswith(b"BPG")


def test_the_limit_on_pixels_is_named_and_moved(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["photos/a.png", "-o", "a.bpg"]
    assert encode(*arguments, "--max-pixels", 112 * 80 - 1) == 1
    said = capsys.readouterr().err
    assert "npp: photos/a.png: the picture is 112x80 = 8960 pixels; at most 8959 are allowed" in said
    assert "(--max-pixels)" in said and "npp.set_max_pixels" not in said
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert encode(*arguments, "--max-pixels", 112 * 80) == 0
    assert Image.MAX_IMAGE_PIXELS == 1000
    assert npp.get_max_pixels() == 178_956_970


def test_floats_and_wide_gray(folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    gray = photo[..., 0]
    Image.fromarray(gray.astype(np.float32) / 255).save("float.tif")
    Image.fromarray(gray.astype(np.int32) * 257).save("wide.tif")
    assert encode("float.tif", "wide.tif", "-o", "out", "--lossless", "--json") == 0
    reports = json.loads(capsys.readouterr().out)["files"]
    assert [report["psnr"] > 60 if report["psnr"] else True for report in reports] == [True, True]
    for name in ("float", "wide"):
        assert np.array_equal(decoded(f"out/{name}.bpg")[..., 0], gray)
    Image.fromarray(gray.astype(np.float32)).save("outside.tif")
    assert encode("outside.tif", "-o", "x.bpg") == 1
    assert "npp: outside.tif: image holds values from" in capsys.readouterr().err
