"""The unit of work on many files: the command's bytes, in other processes too, and errors as results."""

from __future__ import annotations

import io
import multiprocessing
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import EXIF, moving, run, save_moving
from PIL import Image
from recipe_files import made_recipe, saved_recipe

import npp
from npp.batch import BatchDecoder, BatchEncoder
from npp.batch.file_encoding import EncodeSettings, ExclusiveSettingsError
from npp.batch.pixel_limit import limit_on_pixels
from npp.batch.recipe_use import RecipeUse


def _set(folder: Path, photo: np.ndarray) -> list[Path]:
    """Pictures of several kinds; the last is none."""
    Image.fromarray(photo).save(folder / "rich.jpg", exif=b"Exif\0\0" + EXIF)
    Image.fromarray(photo).convert("L").save(folder / "gray.png")
    save_moving(str(folder / "moving.gif"), moving(photo), duration=40)
    (folder / "bad.png").write_bytes(b"no picture")
    return [folder / name for name in ("rich.jpg", "gray.png", "moving.gif", "bad.png")]


def test_a_pool_of_processes_writes_the_commands_bytes(folder: Path, photo: np.ndarray) -> None:
    paths = _set(folder, photo)
    assert run("encode", *paths, "-o", "out/", "--qp", 33, "--effort", 1) == 1
    unit = BatchEncoder(33, effort=1)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        results = list(pool.map(unit.one, paths))
    for path, result in zip(paths[:3], results[:3], strict=True):
        file = (folder / "out" / path.name).with_suffix(".bpg").read_bytes()
        assert result.file == file and result.error is None
        assert (result.bits, result.values["bytes"], result.values["qp"]) == (8 * len(file), len(file), 33)
    assert results[3].file is None and results[3].error == "cannot identify the picture's format"
    assert results[3].bits == 0 and results[3].checksum is None


def test_a_recipe_travels_with_the_unit(folder: Path, photo: np.ndarray) -> None:
    Image.fromarray(photo).save("a.png")
    unit = pickle.loads(pickle.dumps(BatchEncoder(recipe=saved_recipe(folder))))
    (result,) = unit([Path("a.png").read_bytes()])
    assert result.file == made_recipe().encode(photo)
    assert result.values["qp"] == made_recipe().qp
    assert result.values["bpp"] == pytest.approx(result.bits / photo[..., 0].size)


def test_a_recipe_in_training_stays_in_training(photo: np.ndarray) -> None:
    recipe = made_recipe().train()
    wanted = made_recipe().encode(photo)
    for unit in (BatchEncoder(recipe=recipe), BatchDecoder(recipe=recipe)):
        assert all(module.training for module in recipe.modules())
        found = unit.settings.recipe
        used = found.recipe if isinstance(found, RecipeUse) else found
        assert used is not None and not any(module.training for module in used.modules())
    encode = BatchEncoder(recipe=recipe)
    png = io.BytesIO()
    Image.fromarray(photo).save(png, "PNG")
    assert encode.encode(png.getvalue()).file == wanted


def test_qps_metadata_and_errors(folder: Path, photo: np.ndarray) -> None:
    paths = _set(folder, photo)[:2]
    unit = BatchEncoder(keep_metadata=False, effort=0)
    results = unit(paths, [20, 40])
    assert [result.values["qp"] for result in results] == [20, 40]
    assert results[0].file is not None and npp.probe(results[0].file).metadata == npp.Metadata()
    with pytest.raises(ValueError, match="qps must be one a picture: 2, not 1"):
        unit(paths, [20])
    with pytest.raises(TypeError, match="qps must be one a picture, not 20"):
        unit(paths, 20)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="cannot identify"):
        BatchEncoder()([b"no picture"], errors="raise")
    (missing,) = unit(["nowhere.png"])
    assert missing.error == "No such file or directory: nowhere.png"


@pytest.mark.parametrize(
    "one",
    [
        "a.png",
        Path("a.png"),
        b"bytes",
        bytearray(b"bytes"),
        memoryview(b"bytes"),
        io.BytesIO(b"bytes"),
        np.zeros(5, np.uint8),
        torch.zeros(5, dtype=torch.uint8),
    ],
    ids=lambda one: type(one).__name__,
)
def test_one_file_is_not_gone_through_as_several(one: Any) -> None:
    with pytest.raises(
        TypeError, match=r"^pictures must be several files, not .*; the method one\(\) takes one$"
    ):
        BatchEncoder()(one)
    with pytest.raises(
        TypeError, match=r"^files must be several files, not .*; the method one\(\) takes one$"
    ):
        BatchDecoder()(one)
    for unit in (BatchEncoder(), BatchDecoder()):
        assert [bool(result.error) for result in unit((one, one))] == [True, True]
        assert unit([]) == []


def test_a_limit_on_pixels_holds_while_it_works(folder: Path, photo: np.ndarray) -> None:
    (result,) = BatchEncoder(max_pixels=100)([Path("photos/a.png")])
    assert result.error is not None and "100" in result.error
    for limit in (None, 10**20):
        (good,) = BatchEncoder(effort=0, max_pixels=limit)([Path("photos/a.png")])
        assert good.file is not None
        assert BatchDecoder(max_pixels=limit).decode(good.file).file is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"qp": 30, "target_bpp": 0.5}, "exclude each other"),
        ({"target_bpp": 0}, "target_bpp must be above 0, not 0"),
        ({"target_bpp": float("inf")}, "target_bpp must be a finite number above 0, not inf"),
        ({"target_bpp": -1.0}, "target_bpp must be above 0, not -1.0"),
        ({"qp": 52}, "52"),
        ({"effort": 10}, "effort"),
        ({"lossless": True, "recipe": "detection"}, "lossless must be False with a recipe"),
        (
            {"recipe": "detection", "parts": {"scale": False}},
            r"parts must be npp\.recipes\.Parts, .*not {'scale'",
        ),
        ({"parts": "scale"}, "parts must be"),
        ({"keep_metadata": "no"}, "keep_metadata must be True or False, not 'no'"),
        ({"max_pixels": 0}, "max_pixels must be at least 1 or None, not 0"),
        ({"max_pixels": "1"}, "max_pixels must be an integer or None, not '1'"),
    ],
)
def test_wrong_arguments(arguments: dict, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        BatchEncoder(**arguments)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"qp": 30, "target_bpp": 0.5}, ("qp", "target_bpp", "lossless")),
        ({"target_bpp": 0.5, "options": {"lossless": True}}, ("qp", "target_bpp", "lossless")),
        ({"refine": "a.pt2", "options": {"lossless": True}}, ("refine", "lossless")),
    ],
)
def test_settings_name_what_excludes_each_other(given: dict, names: tuple[str, ...]) -> None:
    """The command line makes options of these names."""
    with pytest.raises(ExclusiveSettingsError, match="exclude each other") as caught:
        EncodeSettings(**given)
    assert caught.value.names == names


def test_units_from_settings_check_their_limit() -> None:
    unit = BatchEncoder.from_settings(EncodeSettings(qp=40), 10_000)
    assert (unit.settings.qp, unit.max_pixels) == (40, 10_000)
    for build in (BatchEncoder, BatchDecoder):
        with pytest.raises(ValueError, match="max_pixels must be at least 1 or None, not 0"):
            build.from_settings(build().settings, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quality": "95"}, "quality must be an integer from 1 to 100, not '95'"),
        ({"quality": 0}, "quality must be an integer from 1 to 100, not 0"),
        ({"bit_depth": "8"}, "bit_depth must be 8 or 16, not '8'"),
        ({"keep_metadata": 0}, "keep_metadata must be True or False, not 0"),
        ({"restore_size": "no"}, "restore_size must be True or False, not 'no'"),
        ({"max_pixels": -1}, "max_pixels must be at least 1 or None, not -1"),
    ],
)
def test_wrong_arguments_of_decoding(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BatchDecoder(**arguments)


def test_decoding_is_the_commands(folder: Path, photo: np.ndarray) -> None:
    assert run("encode", *_set(folder, photo)[:3], "-o", "bpg/", "--effort", 1) == 0
    assert run("decode", "bpg", "-o", "png") == 0
    paths = sorted(Path("bpg").iterdir())
    results = BatchDecoder(".png")([*paths, b"BPG\xfb"])
    for path, result in zip(paths, results, strict=False):
        assert result.file == Path("png", path.name).with_suffix(".png").read_bytes()
    assert results[-1].error is not None
    still = paths[0].read_bytes()
    for target in ("deep/x.webp", Path("x.webp")):
        assert BatchDecoder(".png").decode(still, target).file == BatchDecoder(".webp").decode(still).file
        assert BatchDecoder(".png").one(still, target).error is None
    with pytest.raises(TypeError, match="target must be a path or None, not 3"):
        BatchDecoder().decode(still, 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="pictures are written as"):
        BatchDecoder(".xyz")
    with pytest.raises(ValueError, match="bit_depth must be 8 or 16"):
        BatchDecoder(bit_depth=10)


def test_a_picture_that_was_larger_says_which_argument_brings_that_back(photo: np.ndarray) -> None:
    height, width = photo.shape[:2]
    file = made_recipe().encode(photo, 40)
    note = f"was {width}x{height} before it was coded smaller: restore_size=True brings that back"
    assert BatchDecoder().decode(file).notes == (note,)
    assert BatchDecoder(restore_size=True).decode(file).notes == ()


def test_limits_on_pixels_of_threads_at_once_are_their_own_and_leave_nothing(photo: np.ndarray) -> None:
    """The first to enter is the first to leave, while the other is still at work."""
    first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()
    pillows = Image.MAX_IMAGE_PIXELS
    seen: list[int] = []

    def first() -> None:
        with limit_on_pixels(1000):
            first_in.set()
            assert second_in.wait(10)
            seen.append(npp.get_max_pixels())
        first_out.set()

    def second() -> None:
        assert first_in.wait(10)
        with limit_on_pixels(2000):
            second_in.set()
            assert first_out.wait(10)
            seen.append(npp.get_max_pixels())
            assert Image.MAX_IMAGE_PIXELS is None

    with ThreadPoolExecutor(2) as pool:
        for running in (pool.submit(first), pool.submit(second)):
            running.result()
    assert seen == [1000, 2000]
    assert npp.get_max_pixels() == 178_956_970
    assert pillows is not None
    assert pillows == Image.MAX_IMAGE_PIXELS
    small, large = BatchEncoder(effort=0, max_pixels=100), BatchEncoder(effort=0, max_pixels=10**6)
    file = npp.encode(photo, 40, effort=0)
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(unit.one, file) for _ in range(20) for unit in (small, large)]
    assert [job.result().error is None for job in jobs] == [False, True] * 20


def test_a_limit_on_pixels_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="pixels must be at least 1"), limit_on_pixels(0):
        pass
    assert Image.MAX_IMAGE_PIXELS is not None


_AFTER_WORK_OF_TORCH = """
import sys, torch, npp
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
torch.set_num_threads(2)
encode = npp.batch.BatchEncoder(37, recipe="classification", effort=0)
decode = npp.batch.BatchDecoder(recipe="classification", suffix=".png")
first = encode.one(sys.argv[1]).file
decode.one(first)
torch.nn.functional.conv2d(torch.rand(4, 16, 64, 64), torch.rand(16, 16, 3, 3))
with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
    assert [one.error for one in pool.map(encode.one, sys.argv[1:])] == [None]
with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
    assert [one.error for one in pool.map(decode.one, [first])] == [None]
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are not forked here")
def test_a_forked_pool_does_not_wait_for_torchs_threads(tmp_path: Path) -> None:
    """They do not live in a forked process, and a network would wait for them for ever."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)).save(tmp_path / "a.png")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _AFTER_WORK_OF_TORCH, str(tmp_path / "a.png")],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
