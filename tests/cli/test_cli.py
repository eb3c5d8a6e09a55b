"""The command line, run for real: files in, files out, exit codes, reports."""

from __future__ import annotations

import io
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

import npp
import npp.cli
from npp.photos import png16
from npp.cli.encode_job import smallest_qp
from npp.cli.file_reports import FileReport
from npp.cli.output_files import numbered
from npp.cli.picture_reading import read_source
from npp.cli.picture_writing import _whole_units

EXIF = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # orientation 6


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def folder(tmp_path: Path, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with photos/a.png, photos/b.jpg and photos/deep/c.png."""
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    Image.fromarray(photo).save(tmp_path / "photos" / "a.png")
    Image.fromarray(photo[:40]).save(tmp_path / "photos" / "b.jpg")
    Image.fromarray(photo[:, :50]).save(tmp_path / "photos" / "deep" / "c.png")
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    (tmp_path / "photos" / ".hidden.png").write_text("no picture")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: object) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as stop:
        npp.cli.main([str(argument) for argument in arguments])
    code = stop.value.code
    assert isinstance(code, int)
    return code


def encode(*arguments: object) -> int:
    """``npp encode`` at a low effort."""
    return run("encode", "--effort", 1, *arguments)


def decoded(file: Path | str | bytes) -> np.ndarray:
    """A BPG file's pixels, (H, W, C) or (F, H, W, C), 8 bits."""
    data = file if isinstance(file, bytes) else Path(file).read_bytes()
    return npp.decode(data).movedim(-3, -1).numpy()


def pixels(path: Path | str) -> np.ndarray:
    """A picture file's pixels."""
    with Image.open(path) as image:
        return np.asarray(image)


def files(folder: Path) -> list[str]:
    """All files below a folder, temporary ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_file_to_file_and_back(folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("photos/a.png", "-o", "a.bpg", "--qp", 20) == 0
    assert Path("a.bpg").read_bytes() == npp.encode(photo, 20, effort=1)
    assert run("decode", "a.bpg", "-o", "again.png") == 0
    assert np.array_equal(pixels("again.png"), decoded("a.bpg"))
    out, err = capsys.readouterr()
    assert out == ""
    assert "photos/a.png -> a.bpg: " in err and "qp 20" in err and "a.bpg -> again.png: 112x80" in err


def test_folder_to_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("photos", "-o", "out") == 0
    assert files(folder / "out") == ["a.bpg", "b.bpg"]
    assert "2 written" in capsys.readouterr().err
    assert encode("photos/", "-o", "all/", "--recursive") == 0
    assert files(folder / "all") == ["a.bpg", "b.bpg", "deep/c.bpg"]
    assert run("decode", "all", "-r", "-o", "again", "--format", "webp", "-q") == 0
    assert files(folder / "again") == ["a.webp", "b.webp", "deep/c.webp"]
    assert capsys.readouterr().err.count("\n") == 4


def test_patterns(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("photos/*.png", "-o", "one") == 0
    assert files(folder / "one") == ["a.bpg"]
    assert encode("photos/**/*.[pj][np]g", "-o", "all") == 0
    assert files(folder / "all") == ["a.bpg", "b.bpg", "deep/c.bpg"]
    assert encode("photos/*.gif", "-o", "none") == 2
    assert "photos/*.gif: no files match" in capsys.readouterr().err
    assert not Path("none").exists()


def test_a_name_with_brackets_is_a_name(folder: Path) -> None:
    Path("photos/a.png").rename("photos/a[1].png")
    assert encode("photos/a[1].png", "-o", "x.bpg") == 0


def test_single_file_into_an_existing_folder(folder: Path) -> None:
    Path("out").mkdir()
    assert encode("photos/a.png", "-o", "out") == 0
    assert encode("photos/b.jpg", "-o", "new/sub/") == 0
    assert encode("photos/b.jpg", "-o", "deep/er/b.bpg") == 0
    assert files(folder / "out") == ["a.bpg"]
    assert files(folder / "new") == ["sub/b.bpg"]
    assert files(folder / "deep") == ["er/b.bpg"]


def test_the_same_file_twice_is_one(folder: Path) -> None:
    assert encode("photos/a.png", "photos/*.png", "./photos/../photos/a.png", "-o", "out") == 0
    assert files(folder / "out") == ["a.bpg"]


def test_one_bad_file_does_not_stop_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/bad.png").write_bytes(Path("photos/a.png").read_bytes()[:500])
    Path("photos/worse.jpg").write_text("no picture")
    assert encode("photos", "missing.png", "-o", "out") == 1
    assert files(folder / "out") == ["a.bpg", "b.bpg"]
    err = capsys.readouterr().err
    assert "npp: photos/bad.png: " in err and "npp: photos/worse.jpg: " in err
    assert "npp: missing.png: No such file or directory: missing.png" in err
    assert "2 written, 3 failed" in err
    (folder / "out" / "bad.bpg").write_bytes(Path("out/a.bpg").read_bytes()[:-20])
    assert run("decode", "out", "-o", "again") == 1
    assert files(folder / "again") == ["a.png", "b.png"]
    assert "npp: out/bad.bpg: " in capsys.readouterr().err


def test_existing_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").mkdir()
    Path("out/a.bpg").write_bytes(b"precious")
    assert encode("photos", "-o", "out") == 1
    assert "out/a.bpg exists; --force replaces it, --skip-existing leaves it" in capsys.readouterr().err
    assert Path("out/a.bpg").read_bytes() == b"precious"
    assert files(folder / "out") == ["a.bpg", "b.bpg"]
    Path("out/b.bpg").unlink()
    assert encode("photos", "-o", "out", "--skip-existing") == 0
    assert "1 written, 1 skipped" in capsys.readouterr().err
    assert Path("out/a.bpg").read_bytes() == b"precious"
    assert encode("photos", "-o", "out", "--force") == 0
    assert npp.probe(Path("out/a.bpg").read_bytes()).width == 112
    assert files(folder / "out") == ["a.bpg", "b.bpg"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photos/a.png", "x/a.jpg", "-o", "out"], "would both become out/a.bpg"),
        (["photos", "photos/a.png", "-o", "out.bpg"], "looks like a file"),
        (["photos", "-o", "photos/a.png"], "photos/a.png is a file; several inputs need a folder"),
        (["photos/a.png", "-o", "photos/a.png"], "would be written and is read too"),
        (["photos/a.png", "photos/b.jpg", "-o", "-"], "standard output takes one file, not 2"),
        (["empty", "-o", "out"], "files in this folder"),
        (["-", "-o", "out/"], "standard input has no name"),
        (["photos", "-o", "out", "--qp", "52"], "qp must be an integer from 0 to 51, not 52"),
        (["photos", "-o", "out", "--qp", "20", "--target-bpp", "1"], "exclude each other"),
        (["photos", "-o", "out", "--lossless", "--target-bpp", "1"], "exclude each other"),
        (["photos", "-o", "out", "--target-bpp", "0"], "--target-bpp must be above 0"),
        (["photos", "-o", "out", "--target-bpp", "nan"], "--target-bpp must be above 0"),
        (["photos", "-o", "out", "--force", "--skip-existing"], "exclude each other"),
        (["photos", "-o", "out", "--chroma", "411"], "chroma must be one of '400', '420'"),
        (["photos", "-o", "out", "--bit-depth", "11"], "bit_depth must be 8, 10 or 12, not 11"),
        (["photos", "-o", "out", "--effort", "10"], "effort must be an integer from 0 to 9, not 10"),
        (["photos", "-o", "out", "--tune", "psnr"], "tune must be one of 'ssim', 'machine'"),
        (["photos", "-o", "out", "--alpha-qp", "-1"], "alpha_qp must be an integer from 0 to 51, not -1"),
        (["photos", "-o", "out", "--threads", "0"], "threads must be at least 1, not 0"),
        (["photos/a.png", "-o", "-", "--json"], "--json and --output - both want standard output"),
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.bpg", "-o", "a.xyz"], ".xyz: pictures are written as .apng"),
        (["a.bpg", "-o", "a"], "no suffix: pictures are written as .apng"),
        (["a.bpg", "-o", "out/", "--format", "heic"], ".heic: pictures are written as .apng"),
        (["a.bpg", "-o", "a.png", "--bit-depth", "10"], "--bit-depth must be 8 or 16, not 10"),
        (["a.bpg", "-o", "a.jpg", "--quality", "0"], "--quality must be from 1 to 100, not 0"),
    ],
)
def test_wrong_usage_of_decode(
    folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encode("photos/a.png", "-o", "a.bpg", "-q") == 0
    before = files(folder)
    assert run("decode", *arguments) == 2
    assert message in capsys.readouterr().err
    assert files(folder) == before


def test_typers_own_usage_errors_have_the_same_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("encode", "a.png") == 2
    assert run("encode", "a.png", "-o", "b.bpg", "--quality", "3") == 2
    assert run("nonsense") == 2
    assert "No such command" in capsys.readouterr().err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"npp {npp.__version__}\n"
    for command in ([], ["encode"], ["decode"], ["info"]):
        assert run(*command, "--help") == 0
        assert "Exit code: 0 all" in " ".join(capsys.readouterr().out.split())


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
    assert "target_bpp is 0.001, but qp 51 needs" in capsys.readouterr().err
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


def _pipe(data: bytes, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    return run(*arguments)


def test_standard_input_and_output(
    photo: np.ndarray, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    png = io.BytesIO()
    Image.fromarray(photo).save(png, "PNG")
    encoded = npp.encode(photo, effort=1)
    arguments = ["encode", "-", "-o", "-", "--effort", "1"]
    assert _pipe(png.getvalue(), *arguments, monkeypatch=monkeypatch) == 0
    assert capsysbinary.readouterr().out == encoded
    arguments = ["decode", "-", "-o", "-", "--format", "webp"]
    assert _pipe(encoded, *arguments, monkeypatch=monkeypatch) == 0
    with Image.open(io.BytesIO(capsysbinary.readouterr().out)) as image:
        assert image.format == "WEBP"
        assert np.array_equal(np.asarray(image), decoded(encoded))
    assert _pipe(b"junk", "decode", "-", "-o", "-", monkeypatch=monkeypatch) == 1
    out, err = capsysbinary.readouterr()
    assert out == b""
    assert err.startswith(b"npp: standard input: ")


def test_a_real_pipe(photo: np.ndarray) -> None:
    command = [sys.executable, "-m", "npp.cli", "decode", "-", "-o", "-", "--format", "ppm"]
    encoded = npp.encode(photo, effort=1)
    done = subprocess.run(command, input=encoded, capture_output=True, check=True)
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert np.array_equal(np.asarray(image), decoded(encoded))


def test_a_reader_that_goes_away_is_no_traceback(folder: Path) -> None:
    assert encode("photos", "-r", "-o", "out", "-q") == 0
    command = f"{sys.executable} -m npp.cli info --json out -r | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_leaves_whole_files_only(folder: Path, number: signal.Signals) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8))
    Path("many").mkdir()
    picture.save("many/0.png", compress_level=1)
    for i in range(1, 40):
        os.link("many/0.png", f"many/{i}.png")
    # A shell that starts the tests in the background leaves SIGINT ignored, and children inherit that.
    script = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    script += "from npp.cli import main; main()"
    command = [sys.executable, "-c", script, "encode", "many", "-o", "out", "--qp", "5", "--threads", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "->" in process.stderr.readline()
        process.send_signal(number)
        rest = process.stderr.read()
    assert process.returncode in ((130, 1) if number == signal.SIGINT else (143,))
    assert "Traceback" not in rest
    written = files(folder / "out")
    assert 1 <= len(written) < 40
    for name in written:
        assert name.endswith(".bpg")
        npp.decode((folder / "out" / name).read_bytes())


@pytest.mark.parametrize("module", ["typer", "rich"])
def test_without_the_extra(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith(("npp.cli", module))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    assert run("--version") == 2
    assert capsys.readouterr().err == f"npp: the command line needs {module}: pip install 'npp[cli]'\n"


def test_the_library_does_not_import_the_command_line() -> None:
    names = {"typer", "rich", "npp.cli", "npp.pillow"}
    script = f"import sys, npp; print({names} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_installed_command(folder: Path) -> None:
    command = Path(sys.executable).with_name("npp")
    if not command.exists():
        pytest.skip("npp is not installed as a command here")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"npp {npp.__version__}\n"


def test_info(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("photos/a.png", "-o", "a.bpg", "--chroma", "444", "--bit-depth", 10, "-q") == 0
    assert run("info", "a.bpg", "--json") == 0
    (document,) = json.loads(capsys.readouterr().out)["files"]
    info = npp.probe(Path("a.bpg").read_bytes())
    for name in (
        "width",
        "height",
        "chroma",
        "color_space",
        "bit_depth",
        "has_alpha",
        "frames",
        "loop_count",
    ):
        assert document[name] == getattr(info, name)
    assert document["durations"] == [[0, 1]]
    assert document["bytes"] == Path("a.bpg").stat().st_size
    assert run("info", "a.bpg") == 0
    out = capsys.readouterr().out
    assert "112x80" in out and "ycbcr 444, 10 bits" in out


def test_info_of_bad_files_goes_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("photos/a.png", "-o", "a.bpg", "-q") == 0
    assert run("info", "photos/a.png", "missing.bpg", "a.bpg") == 1
    out, err = capsys.readouterr()
    assert "112x80" in out
    assert "npp: photos/a.png: " in err and "npp: missing.bpg: No such file" in err
    assert run("info", "photos/a.png", "a.bpg", "--json") == 1
    bad, good = json.loads(capsys.readouterr().out)["files"]
    assert bad["error"] and good["width"] == 112


def test_info_agrees_with_the_manifest(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vectors = shared / "conformance"
    assert run("info", "--json", vectors) == 0
    documents = {Path(doc["file"]).name: doc for doc in json.loads(capsys.readouterr().out)["files"]}
    assert len(documents) == len(list(vectors.glob("*.bpg")))
    assert documents["anim_delays.bpg"]["durations"] == [[1, 10], [1, 5], [1, 10], [2, 5], [1, 10], [3, 10]]
    assert [tag for tag, _ in documents["meta_jpeg_exif_icc_xmp.bpg"]["extensions"]] == [1, 3, 2]
    assert (
        run("info", vectors / "anim_delays.bpg", vectors / "alpha_premul.bpg", vectors / "jpeg_cmyk.bpg") == 0
    )
    out = capsys.readouterr().out
    assert "6 frames, 1.2 s, shown for ever" in out
    assert "alpha, premultiplied" in out and "CMYK" in out


@cache
def _profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def rich_jpeg(folder: Path, photo: np.ndarray) -> Path:
    """A JPEG with EXIF (orientation 6), an ICC profile and XMP."""
    path = folder / "rich.jpg"
    Image.fromarray(photo).save(path, exif=b"Exif\0\0" + EXIF, icc_profile=_profile(), xmp=b"<x:xmpmeta/>")
    return path


def test_metadata_is_kept_or_stripped(rich_jpeg: Path) -> None:
    assert encode(rich_jpeg, "-o", "kept.bpg") == 0
    info = npp.probe(Path("kept.bpg").read_bytes())
    assert info.metadata == npp.Metadata(exif=EXIF, icc_profile=_profile(), xmp=b"<x:xmpmeta/>")
    assert (info.width, info.height) == (112, 80)  # orientation is metadata: the pixels stay as they are
    assert encode(rich_jpeg, "-o", "stripped.bpg", "--strip-metadata") == 0
    assert npp.probe(Path("stripped.bpg").read_bytes()).extensions == ()


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_metadata_comes_back(rich_jpeg: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode(rich_jpeg, "-o", "a.bpg", "-q") == 0
    assert run("decode", "a.bpg", "-o", f"a.{suffix}") == 0
    with Image.open(f"a.{suffix}") as image:
        assert image.info["icc_profile"] == _profile()
        if suffix == "tif":
            assert "note: exif, xmp left out: TIFF has no place for it" in capsys.readouterr().err
        else:
            assert image.getexif()[0x0112] == 6
            xmp = image.info.get("xmp", image.info.get("XML:com.adobe.xmp"))
            assert xmp in (b"<x:xmpmeta/>", "<x:xmpmeta/>")
    assert run("decode", "a.bpg", "-o", f"b.{suffix}", "--strip-metadata") == 0
    with Image.open(f"b.{suffix}") as image:
        assert not {"exif", "icc_profile", "xmp"} & set(image.info)


def test_metadata_of_png_and_webp_sources(folder: Path, photo: np.ndarray) -> None:
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", "<é/>")
    exif = b"Exif\0\0" + EXIF
    Image.fromarray(photo).save("a.png", exif=exif, icc_profile=_profile(), pnginfo=text)
    Image.fromarray(photo).save("b.webp", exif=exif, icc_profile=_profile(), xmp="<é/>".encode())
    assert encode("a.png", "b.webp", "-o", "out") == 0
    for name in ("a", "b"):
        metadata = npp.probe(Path(f"out/{name}.bpg").read_bytes()).metadata
        assert metadata == npp.Metadata(exif=EXIF, icc_profile=_profile(), xmp="<é/>".encode())


def test_cmyk_becomes_rgb_and_loses_its_profile(
    folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(photo).convert("CMYK").save("cmyk.jpg", icc_profile=b"cmyk profile")
    assert encode("cmyk.jpg", "-o", "a.bpg") == 0
    assert "note: CMYK converted to RGB, its ICC profile left out" in capsys.readouterr().err
    info = npp.probe(Path("a.bpg").read_bytes())
    assert (info.channels, info.metadata.icc_profile) == (3, None)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_modes_come_back(folder: Path, photo: np.ndarray, mode: str) -> None:
    image = Image.fromarray(photo).convert(mode)
    image.save("in.png")
    assert encode("in.png", "-o", "a.bpg", "--lossless") == 0
    assert run("decode", "a.bpg", "-o", "out.png") == 0
    expected = {"1": "L", "P": "RGB"}.get(mode, mode)
    with Image.open("out.png") as again:
        assert again.mode == expected
        assert np.array_equal(np.asarray(again), np.asarray(image.convert(expected)))


def test_palette_with_transparency(folder: Path, photo: np.ndarray) -> None:
    image = Image.fromarray(photo).quantize(16)
    image.save("in.png", transparency=3)
    assert encode("in.png", "-o", "a.bpg", "--lossless") == 0
    assert run("decode", "a.bpg", "-o", "out.png") == 0
    with Image.open("in.png") as source, Image.open("out.png") as again:
        assert again.mode == "RGBA"
        assert np.array_equal(np.asarray(again), np.asarray(source.convert("RGBA")))


def _deep(deep_photo: np.ndarray, channels: int) -> np.ndarray:
    alpha = deep_photo[::-1, :, :1]
    return {
        1: deep_photo[..., :1],
        2: np.dstack([deep_photo[..., :1], alpha]),
        3: deep_photo,
        4: np.dstack([deep_photo, alpha]),
    }[channels]


def _spread(samples: np.ndarray) -> np.ndarray:
    """Gray with alpha as RGBA."""
    return samples[..., [0, 0, 0, 1]] if samples.shape[-1] == 2 else samples


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_png_of_16_bits_is_written_and_read_exactly(deep_photo: np.ndarray, channels: int) -> None:
    samples = _deep(deep_photo, channels)
    metadata = npp.Metadata(exif=EXIF, icc_profile=_profile(), xmp="<é/>".encode())
    data = png16.write(samples, metadata)
    again, gray = png16.read(data)
    assert np.array_equal(again, _spread(samples))
    assert gray == (channels == 2)
    with Image.open(io.BytesIO(data)) as image:
        assert png16.has_deep_color(image)
        image.load()  # another reader's checks of the chunks
        assert image.getexif()[0x0112] == 6
        assert image.info["icc_profile"] == _profile()
        assert image.info["XML:com.adobe.xmp"] == "<é/>"


def test_png_of_16_bits_gray_as_pillow_reads_it(deep_photo: np.ndarray) -> None:
    data = png16.write(deep_photo[..., :1], npp.Metadata())
    with Image.open(io.BytesIO(data)) as image:
        assert not png16.has_deep_color(image)
        assert np.array_equal(np.asarray(image), deep_photo[..., 0])


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_small_png_of_16_bits(size: tuple[int, int]) -> None:
    samples = np.random.default_rng(1).integers(0, 65536, (*size, 3), dtype=np.uint16)
    assert np.array_equal(png16.read(png16.write(samples, npp.Metadata()))[0], samples)


def test_transparent_color_of_a_16_bit_png(deep_photo: np.ndarray) -> None:
    data = png16.write(deep_photo, npp.Metadata())
    color = deep_photo[5, 7]
    chunk = png16._chunk(b"tRNS", color.astype(">u2").tobytes())
    split = data.index(b"IDAT") - 4
    again, _ = png16.read(data[:split] + chunk + data[split:])
    assert np.array_equal(again[..., :3], deep_photo)
    assert np.array_equal(again[..., 3] == 0, (deep_photo == color).all(-1))
    assert again[0, 0, 3] == 65535


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_through_the_commands(folder: Path, deep_photo: np.ndarray, channels: int) -> None:
    samples = _deep(deep_photo, channels)
    Path("in.png").write_bytes(png16.write(samples, npp.Metadata(xmp=b"<x/>")))
    assert encode("in.png", "-o", "a.bpg", "--bit-depth", 12, "--lossless") == 0
    info = npp.probe(Path("a.bpg").read_bytes())
    assert (info.bit_depth, info.chroma) == (12, "400" if channels < 3 else "444")
    assert info.has_alpha == (channels in (2, 4))
    assert run("decode", "a.bpg", "-o", "out.png", "--bit-depth", 16) == 0
    data = Path("out.png").read_bytes()
    assert data[24:26] == bytes([16, {1: 0, 2: 4, 3: 2, 4: 6}[channels]])
    wanted = npp.decode(Path("a.bpg").read_bytes(), dtype=torch.uint16).permute(1, 2, 0).numpy()
    again = pixels("out.png")[..., None] if channels == 1 else png16.read(data)[0]
    assert np.array_equal(again, wanted)
    assert np.abs(again.astype(int) - _spread(samples)).max() <= 16  # 12 of the 16 bits
    assert b"XML:com.adobe.xmp" in data
    assert run("decode", "a.bpg", "-o", "eight.png") == 0
    assert Path("eight.png").read_bytes()[24] == 8


def test_16_bit_sources_are_rounded_not_cut(folder: Path) -> None:
    Path("in.png").write_bytes(png16.write(np.full((8, 8, 3), 0x10FF, np.uint16), npp.Metadata()))
    assert encode("in.png", "-o", "a.bpg", "--lossless") == 0
    assert npp.decode(Path("a.bpg").read_bytes()).unique().tolist() == [0x11]


def test_16_bits_where_the_format_has_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("photos/a.png", "-o", "a.bpg", "-q") == 0
    assert run("decode", "a.bpg", "-o", "a.jpg", "--bit-depth", 16) == 1
    assert "colour of 16 bits can only be written as png, not JPEG" in capsys.readouterr().err
    assert not Path("a.jpg").exists()


@pytest.mark.parametrize("suffix", ["bmp", "jpg", "ppm"])
def test_alpha_where_the_format_has_none(
    folder: Path, photo: np.ndarray, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.dstack([photo, photo[..., :1]])).save("rgba.png")
    assert encode("rgba.png", "-o", "a.bpg", "-q") == 0
    assert run("decode", "a.bpg", "-o", f"a.{suffix}") == 1
    assert "the picture has alpha" in capsys.readouterr().err
    assert not Path(f"a.{suffix}").exists()


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [
        *itertools.product(["png", "webp", "tif"], ["L", "LA", "RGB", "RGBA"]),
        *itertools.product(["bmp", "ppm", "pgm"], ["L", "RGB"]),
    ],
)
def test_exact_formats(folder: Path, photo: np.ndarray, suffix: str, mode: str) -> None:
    alpha = np.linspace(0, 255, photo.shape[1]).astype(np.uint8)[None].repeat(photo.shape[0], 0)
    Image.fromarray(np.dstack([photo, alpha])).convert(mode).save("in.png")
    assert encode("in.png", "-o", "a.bpg", "-q") == 0
    assert run("decode", "a.bpg", "-o", f"a.{suffix}") == 0
    with Image.open(f"a.{suffix}") as image:
        written = np.asarray(image.convert("RGBA"))
    wanted = decoded("a.bpg")
    wanted = wanted.repeat(3, axis=-1) if wanted.shape[-1] == 1 else wanted
    assert np.array_equal(written[..., : wanted.shape[-1]], wanted)


def _moving(photo: np.ndarray, mode: str = "RGB") -> list[Image.Image]:
    pictures = [Image.fromarray(np.ascontiguousarray(photo[:64, 9 * i : 9 * i + 64])) for i in range(4)]
    if mode == "RGBA":
        for i, picture in enumerate(pictures):
            picture.putalpha(Image.fromarray(((np.indices((64, 64))[1] // 8 + i) % 2 * 255).astype(np.uint8)))
    return [picture.convert(mode) for picture in pictures]


def _save_moving(path: str, frames: list[Image.Image], **options: Any) -> None:
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)


def _frames(path: str) -> tuple[list[np.ndarray], list[Any], Any]:
    """RGBA frames, milliseconds, loop."""
    shown, times = [], []
    with Image.open(path) as image:
        for i in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(i)
            image.load()
            shown.append(np.asarray(image.convert("RGBA")))
            times.append(image.info["duration"])
        return shown, times, image.info.get("loop")


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("in.png", {"duration": [30, 50, 1000, 7]}),
        ("in.webp", {"duration": [30, 50, 1000, 7], "lossless": True}),
    ],
)
def test_animations_there_and_back(
    folder: Path, photo: np.ndarray, mode: str, path: str, options: dict[str, Any]
) -> None:
    _save_moving(path, _moving(photo, mode), loop=5, **options)
    assert encode(path, "-o", "a.bpg", "--lossless") == 0
    info = npp.probe(Path("a.bpg").read_bytes())
    assert info.durations == (Fraction(3, 100), Fraction(1, 20), Fraction(1), Fraction(7, 1000))
    assert (info.loop_count, info.has_alpha) == (5, mode == "RGBA")
    source, times, _ = _frames(path)
    for suffix in ("png", "apng", "webp"):
        assert run("decode", "a.bpg", "-o", f"out.{suffix}") == 0
        again, times_again, loop = _frames(f"out.{suffix}")
        assert times_again == times == [30, 50, 1000, 7]
        assert loop == 5
        for one, other in zip(source, again, strict=True):
            visible = one[..., 3] > 0  # an animated WebP may change the colour of transparent pixels
            assert np.array_equal(one[..., 3], other[..., 3])
            assert np.array_equal(one[visible], other[visible])


@pytest.mark.parametrize(("loop", "showings"), [(None, 1), (0, 0), (1, 2), (4, 5)])
def test_gif_there_and_back(folder: Path, photo: np.ndarray, loop: int | None, showings: int) -> None:
    options = {} if loop is None else {"loop": loop}
    _save_moving("in.gif", _moving(photo), duration=[30, 50, 1000, 20], **options)
    assert encode("in.gif", "-o", "a.bpg", "--lossless") == 0
    info = npp.probe(Path("a.bpg").read_bytes())
    assert (info.loop_count, info.frames, info.has_alpha) == (showings, 4, False)
    assert run("decode", "a.bpg", "-o", "out.gif") == 0
    source, times, _ = _frames("in.gif")
    again, times_again, loop_again = _frames("out.gif")
    assert times == times_again == [30, 50, 1000, 20]
    assert loop_again == loop
    for one, other in zip(source, again, strict=True):
        assert np.abs(one.astype(int) - other).mean() < 4  # both have palettes of 256 colours
    assert np.array_equal(np.stack(source)[..., :3], decoded("a.bpg"))


def test_transparent_gif(folder: Path, photo: np.ndarray) -> None:
    _save_moving("in.gif", _moving(photo, "RGBA"), duration=50, disposal=2, loop=0)
    assert encode("in.gif", "-o", "a.bpg", "--lossless") == 0
    assert npp.probe(Path("a.bpg").read_bytes()).has_alpha
    assert run("decode", "a.bpg", "-o", "out.gif") == 0
    for one, other in zip(_frames("in.gif")[0], _frames("out.gif")[0], strict=True):
        assert np.array_equal(one[..., 3], other[..., 3])


def test_gif_without_durations(folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    _save_moving("in.gif", _moving(photo))
    assert encode("in.gif", "-o", "a.bpg") == 0
    assert "note: 4 frame(s) without a duration are shown for 0.1 s" in capsys.readouterr().err
    assert set(npp.probe(Path("a.bpg").read_bytes()).durations) == {Fraction(1, 10)}


def test_apng_whose_first_picture_is_no_frame(folder: Path, photo: np.ndarray) -> None:
    frames = _moving(photo)
    _save_moving("in.png", frames, duration=[40, 60, 80], default_image=True)
    assert encode("in.png", "-o", "a.bpg", "--lossless") == 0
    file = Path("a.bpg").read_bytes()
    assert npp.probe(file).durations == (Fraction(1, 25), Fraction(3, 50), Fraction(2, 25))
    assert np.array_equal(npp.decode(file)[0].permute(1, 2, 0).numpy(), np.asarray(frames[1]))


def test_only_the_first_page_of_a_document(
    folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    _save_moving("in.tif", _moving(photo))
    assert encode("in.tif", "-o", "a.bpg") == 0
    assert "note: only the first of 4 pictures" in capsys.readouterr().err
    assert npp.probe(Path("a.bpg").read_bytes()).frames == 1


def test_frames_as_files(folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    _save_moving("in.webp", _moving(photo), duration=40, lossless=True)
    assert encode("in.webp", "-o", "a.bpg", "--lossless") == 0
    assert run("decode", "a.bpg", "-o", "frames/f-%03d.png", "--json") == 0
    (report,) = json.loads(capsys.readouterr().out)["files"]
    names = [f"f-00{i}.png" for i in (1, 2, 3, 4)]
    assert files(folder / "frames") == names
    assert report["outputs"] == [f"frames/{name}" for name in names]
    for name, frame in zip(names, _moving(photo), strict=True):
        assert np.array_equal(pixels(f"frames/{name}"), np.asarray(frame))
    assert run("decode", "a.bpg", "-o", "frames/f-%03d.png", "--skip-existing") == 0
    assert run("decode", "a.bpg", "-o", "deep/f%d.png", "--bit-depth", 16) == 0
    assert files(folder / "deep") == ["f1.png", "f2.png", "f3.png", "f4.png"]


def test_sequence_is_whole_or_not_there(
    folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    _save_moving("in.webp", _moving(photo, "RGBA"), duration=40, lossless=True)
    assert encode("in.webp", "-o", "a.bpg", "-q") == 0
    Path("out").mkdir()
    Path("out/3.png").write_bytes(b"precious")
    assert run("decode", "a.bpg", "-o", "out/%d.png") == 1
    assert "out/3.png exists" in capsys.readouterr().err
    assert files(folder / "out") == ["3.png"]
    assert run("decode", "a.bpg", "-o", "out/%d.jpg") == 1
    assert files(folder / "out") == ["3.png"]


def test_animation_in_a_format_without(
    folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    _save_moving("in.webp", _moving(photo), duration=40)
    assert encode("in.webp", "-o", "a.bpg", "-q") == 0
    assert run("decode", "a.bpg", "-o", "a.jpg") == 1
    assert "an animation of 4 frames; JPEG has none" in capsys.readouterr().err
    assert run("decode", "a.bpg", "-o", "a.png", "--bit-depth", 16) == 1
    assert "16 bits: only as stills" in capsys.readouterr().err
    assert not Path("a.jpg").exists() and not Path("a.png").exists()


def test_bpp_of_an_animation_counts_all_frames(
    folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    _save_moving("in.webp", _moving(photo), duration=40, lossless=True)
    assert encode("in.webp", "-o", "a.bpg", "--json", "--target-bpp", 1) == 0
    (report,) = json.loads(capsys.readouterr().out)["files"]
    assert report["bpp"] == 8 * report["bytes"] / (64 * 64 * 4) <= 1
    assert report["psnr"] > 20


def test_bpg_is_a_source_too(folder: Path, photo: np.ndarray) -> None:
    assert encode("photos/a.png", "-o", "a.bpg", "--qp", 10) == 0
    assert encode("a.bpg", "-o", "b.bpg", "--lossless") == 0
    assert torch.equal(npp.decode(Path("a.bpg").read_bytes()), npp.decode(Path("b.bpg").read_bytes()))
    _save_moving("in.webp", _moving(photo), duration=40)
    assert encode("in.webp", "-o", "c.bpg") == 0
    assert encode("c.bpg", "-o", "d.bpg", "--lossless") == 0
    assert torch.equal(npp.decode(Path("c.bpg").read_bytes()), npp.decode(Path("d.bpg").read_bytes()))


def test_reference_vectors_decode(shared: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("decode", shared / "conformance", "-o", "out", "--json") == 1
    reports = json.loads(capsys.readouterr().out)["files"]
    failed = {Path(report["file"]).name for report in reports if report["status"] == "failed"}
    assert failed == {"jct_b11_420.bpg", "jct_b13_444.bpg", "jct_b14_420.bpg"}
    for report in reports:
        if report["status"] == "failed" or report["frames"] > 1:
            continue
        wanted = Path(report["file"]).with_suffix(".png")
        with Image.open(wanted) as one, Image.open(report["output"]) as other:
            mode = "RGBA" if "A" in one.getbands() else "RGB"
            assert np.array_equal(np.asarray(one.convert(mode)), np.asarray(other.convert(mode))), wanted.name


def test_threads_do_not_change_anything(folder: Path, photo: np.ndarray) -> None:
    for i in range(12):
        Image.fromarray(np.roll(photo, i, 0)).save(f"photos/{i}.png")
    assert encode("photos", "-o", "one", "--threads", 1) == 0
    assert encode("photos", "-o", "many", "--threads", 6) == 0
    assert files(folder / "one") == files(folder / "many")
    for name in files(folder / "one"):
        assert Path("one", name).read_bytes() == Path("many", name).read_bytes()


def test_numbered_and_units() -> None:
    assert numbered(Path("a/f-%04d.png"), 7) == Path("a/f-0007.png")
    assert numbered(Path("%d"), 12) == Path("12")
    third = Fraction(1, 30)
    assert _whole_units([third] * 6, Fraction(1, 100)) == [3, 4, 3, 3, 4, 3]
    assert _whole_units([Fraction(1, 1000)] * 3, Fraction(1, 100)) == [1, 1, 1]


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


def test_read_source_refuses_what_is_no_picture() -> None:
    with pytest.raises(OSError, match="cannot identify"):
        read_source(b"junk", keep_metadata=True)


@pytest.fixture
def terminal() -> Callable[[list[str]], str]:
    """Runs a command with its standard error on a pseudo-terminal and gives what it wrote there."""

    def run_there(command: list[str]) -> str:
        main, child = os.openpty()
        with subprocess.Popen(command, stderr=child, env={**os.environ, "TERM": "xterm"}) as process:
            os.close(child)
            text = b""
            while True:
                try:
                    part = os.read(main, 4096)
                except OSError:  # the child has closed it
                    break
                if not part:
                    break
                text += part
        os.close(main)
        assert process.returncode == 0
        return text.decode()

    return run_there


def test_progress_bar_is_for_terminals(
    folder: Path, terminal: Callable[[list[str]], str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-m", "npp.cli", "encode", "photos", "--effort", "1"]
    assert "Encoding" in terminal([*command, "-o", "one"])
    assert encode("photos", "-o", "two") == 0
    err = capsys.readouterr().err
    assert "Encoding" not in err
    assert len(err.splitlines()) == 3


def test_a_huge_claim_is_one_failed_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = b"BPG\xfb\x20\x00" + b"\x8f\xff\xff\xff\x7f" * 2 + b"\x00"
    Path("huge.bpg").write_bytes(header + bytes(40))
    assert run("decode", "huge.bpg", "-o", "huge.png") == 1
    assert "npp: huge.bpg: " in capsys.readouterr().err
    assert not Path("huge.png").exists()
