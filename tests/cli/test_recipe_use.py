"""npp encode --for: files are the recipe's, options go over it, and what was coded smaller comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import EXIF, decoded, files, moving, pixels, run, save_moving
from PIL import Image
from recipe_files import made_recipe, saved_recipe

import npp
from npp.cli.recipe_options import shared_cores
from npp.cli.recipes_command import recipe_lines
from npp.recipes import Parts, Recipe, ScaleRule


def _report(*arguments: object, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert run("encode", *arguments, "--json", "-q") == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["files"]
    return found


@pytest.mark.parametrize(
    ("switches", "parts"),
    [
        ([], Parts()),
        (["--qp-map-only"], Parts(scale=False, filter=False)),
        (["--no-scale"], Parts(scale=False)),
        (["--no-filter"], Parts(filter=False)),
        (["--no-map"], Parts(qp_map=False)),
        (["--no-map", "--no-scale", "--no-filter"], Parts(scale=False, filter=False, qp_map=False)),
    ],
)
def test_files_are_the_recipes(
    switches: list[str], parts: Parts, folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("photos/a.png", "-o", "a.bpg", "--for", saved_recipe(folder), *switches)
    (report,) = _report(*arguments, capsys=capsys)
    file = Path("a.bpg").read_bytes()
    assert file == made_recipe().encode(photo, parts=parts)
    assert report["recipe"] == "test"
    assert report["parts"] == [name for name in ("scale", "filter", "qp_map") if getattr(parts, name)]
    assert (report["qp"], report["width"], report["height"]) == (36, 112, 80)
    assert report["bpp"] == 8 * len(file) / (112 * 80), "of the picture, not of what was coded"
    assert report["coded_width"] == (56 if parts.scale else 112)
    error = (made_recipe().decode(file).permute(1, 2, 0).double().numpy() - photo) / 255
    assert report["psnr"] == pytest.approx(-10 * np.log10(np.mean(error**2)))


def test_people_are_told_the_size_of_what_was_coded_smaller(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("photos/a.png", "--for", saved_recipe(folder))
    assert run("encode", *arguments, "-o", "small.bpg") == 0
    assert ", qp 36, 56x40\n" in capsys.readouterr().err
    assert run("encode", *arguments, "-o", "whole.bpg", "--no-scale") == 0
    assert ", qp 36\n" in capsys.readouterr().err


def test_what_is_given_goes_over_the_recipes_own(folder: Path, photo: np.ndarray) -> None:
    given = ["--qp", 20, "--effort", 3, "--tune", "ssim", "--chroma", "444"]
    assert run("encode", "photos/a.png", "-o", "a.bpg", "--for", saved_recipe(folder), *given) == 0
    wanted = made_recipe().encode(photo, 20, effort=3, tune="ssim", chroma="444")
    assert Path("a.bpg").read_bytes() == wanted


def test_target_counts_the_pictures_own_pixels(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("photos/a.png", "-o", "a.bpg", "--for", saved_recipe(folder), "--target-bpp", 0.6)
    (report,) = _report(*arguments, capsys=capsys)
    assert report["coded_width"] == 56, "the test is about pictures that are coded smaller"
    assert report["bpp"] <= 0.6
    worse = made_recipe().encode(pixels("photos/a.png"), report["qp"] - 1)
    assert 8 * len(worse) / (112 * 80) > 0.6


def test_metadata_gray_and_alpha(folder: Path, photo: np.ndarray) -> None:
    recipe = saved_recipe(folder)
    image = Image.fromarray(photo)
    image.save("a.png", exif=b"Exif\0\0" + EXIF)
    image.convert("L").save("gray.png")
    Image.fromarray(np.dstack([photo, photo[..., 0]])).save("rgba.png")
    assert run("encode", "a.png", "gray.png", "rgba.png", "-o", "out", "--for", recipe) == 0
    assert npp.probe(Path("out/a.bpg").read_bytes()).metadata.exif == EXIF
    assert npp.probe(Path("out/gray.bpg").read_bytes()).chroma == "400"
    info = npp.probe(Path("out/rgba.bpg").read_bytes())
    assert (info.has_alpha, info.width) == (True, 56)
    assert run("encode", "a.png", "-o", "b.bpg", "--for", recipe, "--strip-metadata") == 0
    assert npp.probe(Path("b.bpg").read_bytes()).metadata.exif is None


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_network_refines_the_recipes_map(
    folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 5, 4), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1))
    with torch.no_grad():
        network[0].weight.mul_(20)
    x = torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255
    torch.export.save(torch.export.export(network, (x,)), folder / "network.pt2")
    Image.fromarray(photo).save("a.png", exif=b"Exif\0\0" + EXIF)
    given = [
        "a.png",
        "-o",
        "a.bpg",
        "--for",
        saved_recipe(folder),
        "--refine",
        "network.pt2",
        "--no-refine-views",
    ]
    (report,) = _report(*given, capsys=capsys)
    file = Path("a.bpg").read_bytes()
    found = made_recipe().refine(x, None, npp.keep_prediction(lambda pictures: network(pictures), x))
    assert torch.equal(npp.decode(file), npp.decode(found.bitstreams[0]))
    assert npp.probe(file).metadata.exif == EXIF
    assert made_recipe().decode(file).shape == (3, 80, 112) and report["coded_width"] == 56
    assert not torch.equal(npp.decode(file), npp.decode(made_recipe().encode(photo)))


def test_animations_are_refused_by_name(
    folder: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    save_moving("in.gif", moving(photo), duration=40)
    arguments = ("in.gif", "photos/a.png", "-o", "out", "--for", saved_recipe(folder))
    assert run("encode", *arguments) == 1
    said = "npp: in.gif: a recipe prepares stills, and this is an animation of 4 frames"
    assert said in capsys.readouterr().err
    assert files(folder / "out") == ["a.bpg"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--for", "no-such-name"], "--for: no file 'no-such-name', and no recipe of that name"),
        (["--for", "photos/a.png"], "--for: photos/a.png is not a safetensors file"),
        (["--for", "RECIPE", "--lossless"], "--for and --lossless exclude each other"),
        (["--for", "RECIPE", "--qp-map-only", "--no-map"], "--qp-map-only and --no-map exclude each other"),
        (["--no-scale"], "--no-scale needs --for"),
        (["--qp-map-only"], "--qp-map-only needs --for"),
    ],
)
def test_wrong_usage(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = saved_recipe(folder)
    given = [recipe if argument == "RECIPE" else argument for argument in arguments]
    before = files(folder)
    assert run("encode", "photos/a.png", "-o", "a.bpg", *given) == 2
    assert message in capsys.readouterr().err
    assert files(folder) == before


def test_threads_do_not_change_files_and_share_the_cores(folder: Path, photo: np.ndarray) -> None:
    for i in range(6):
        Image.fromarray(np.roll(photo, i, 0)).save(f"photos/{i}.png")
    before = torch.get_num_threads()
    for threads in (1, 4):
        arguments = ("photos", "-o", f"by{threads}", "--for", saved_recipe(folder), "--threads", threads)
        assert run("encode", *arguments) == 0
    assert torch.get_num_threads() == before
    assert len(files(folder / "by1")) == 8
    for name in files(folder / "by1"):
        assert Path("by1", name).read_bytes() == Path("by4", name).read_bytes()
    with shared_cores(1000):
        assert torch.get_num_threads() == 1, "networks of many workers must not take all cores each"


def test_decode_restores_the_size_when_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("encode", "photos/a.png", "-o", "a.bpg", "--for", saved_recipe(folder)) == 0
    assert run("decode", "a.bpg", "-o", "small.png") == 0
    assert "was 112x80 before it was coded smaller: --restore-size" in capsys.readouterr().err
    assert np.array_equal(pixels("small.png"), decoded("a.bpg"))
    assert run("decode", "a.bpg", "-o", "large.png", "--restore-size") == 0
    assert "--restore-size" not in capsys.readouterr().err
    large = made_recipe().decode(Path("a.bpg").read_bytes())
    assert np.array_equal(pixels("large.png"), large.permute(1, 2, 0).numpy())
    assert large.shape == (3, 80, 112)
    assert run("decode", "a.bpg", "-o", "x.png", "--restore-size", "--max-pixels", 112 * 80 - 1) == 1
    said = "the picture was 112x80 = 8960 pixels; at most 8959 are allowed (--max-pixels)"
    assert said in capsys.readouterr().err


def test_decode_for_a_recipe_restores(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    restorer = npp.Restorer(width=8, depth=1, edge_width=4)
    with torch.no_grad():
        for parameter in restorer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    recipe = Recipe("restored", scale=ScaleRule({0: 0.5}), restorer=restorer).eval()
    recipe.save("restored.safetensors")
    assert run("encode", "photos/a.png", "-o", "a.bpg", "--for", "restored.safetensors") == 0
    assert run("decode", "a.bpg", "-o", "large.png", "--restore-size") == 0
    assert run("decode", "a.bpg", "-o", "seen.png", "--for", "restored.safetensors") == 0
    seen = recipe.decode(Path("a.bpg").read_bytes())
    assert np.array_equal(pixels("seen.png"), seen.permute(1, 2, 0).numpy())
    assert not np.array_equal(pixels("seen.png"), pixels("large.png"))
    capsys.readouterr()
    assert run("decode", "a.bpg", "-o", "x.png", "--for", "none") == 2
    assert "--for: no file 'none'" in capsys.readouterr().err


def test_info_shows_block_qps_and_the_size_before(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("encode", "photos/a.png", "-o", "a.bpg", "--for", saved_recipe(folder), "-q") == 0
    qps = npp.decode_qp_map(Path("a.bpg").read_bytes()).double()
    assert qps.min() < qps.max(), "the test needs a map that varies"
    capsys.readouterr()
    assert run("info", "a.bpg") == 0
    out = capsys.readouterr().out
    assert f"yes ({int(qps.min())}..{int(qps.max())}, mean {float(qps.mean()):.1f})" in out
    assert "56x40, 112x80 before it was coded smaller" in out
    assert run("info", "a.bpg", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)["files"]
    assert found["block_qps"] is True
    assert (found["qp_min"], found["qp_max"]) == (int(qps.min()), int(qps.max()))
    assert found["qp_mean"] == pytest.approx(float(qps.mean()))
    assert (found["width"], found["width_before"], found["height_before"]) == (56, 112, 80)
    assert found["bpp"] == 8 * found["bytes"] / (112 * 80)


def test_info_of_files_with_one_qp(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("encode", "photos/a.png", "-o", "a.bpg", "--effort", 1, "-q") == 0
    assert run("info", "a.bpg", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)["files"]
    assert (found["block_qps"], found["qp_min"], found["width_before"]) == (False, None, None)


def test_a_file_of_a_recipe_says_what_is_in_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_recipe().save("own.safetensors")
    assert run("recipes", "own.safetensors", "classification", "--json") == 0
    own, shipped = json.loads(capsys.readouterr().out)["recipes"]
    assert (own["name"], own["qp"], own["options"]["effort"]) == ("own.safetensors", 36, 1)
    assert (own["card"], shipped["name"]) == (made_recipe().card, "classification")
    assert run("recipes", "other.safetensors") == 2
    assert "RECIPE: no file 'other.safetensors', and no recipe of that name" in capsys.readouterr().err


def test_recipes_are_listed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("recipes", "--json") == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["recipes"]] == Recipe.available()
    monkeypatch.setattr(Recipe, "available", staticmethod(lambda: ["test"]))
    monkeypatch.setattr(Recipe, "load", staticmethod(lambda _: made_recipe()))
    assert run("recipes") == 0
    out = capsys.readouterr().out
    assert out.splitlines() == [
        "test",
        "  qp 36; parts: scale, filter, qp_map; options: effort 1, tune machine",
        "  For tests.",
        "  Two lines.",
    ]
    assert recipe_lines({"name": "x", "qp": 3, "parts": [], "options": {}, "card": ""}) == [
        "x",
        "  qp 3; parts: none; options: the usual ones",
    ]
