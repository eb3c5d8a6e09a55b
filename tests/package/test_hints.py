"""What messages tell beside what is wrong: the call that was probably meant, or the name."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import torch
from PIL import Image

import npp
from npp.recipes import Parts
from npp.tasks.match import Match


@pytest.mark.parametrize(
    ("x", "help_", "made"),
    [
        (torch.rand(3, 20, 30), r"x\[None\] is a batch of one picture", lambda x: x[None]),
        (torch.rand(2, 20, 30), r"x\[:, None\] is a batch of gray pictures", lambda x: x[:, None]),
        (torch.rand(20, 30), r"x\[None, None\] is a batch of one gray picture", lambda x: x[None, None]),
        (
            torch.rand(20, 30, 3),
            r"x\.movedim\(-1, -3\) turns \(H, W, C\) round, and \[None\] makes a batch",
            lambda x: x.movedim(-1, -3)[None],
        ),
        (
            np.zeros((1, 3, 20, 30), np.float32),
            r"torch\.from_numpy\(array\) makes one of an array, and npp\.encode takes",
            torch.from_numpy,
        ),
        (
            Image.new("RGB", (30, 20)),
            r"npp\.photos\.to_tensor\(image\)\[None\] makes one of a PIL image, which npp\.encode takes",
            lambda image: npp.photos.to_tensor(image)[None],
        ),
        ([torch.rand(3, 20, 30)], r"torch\.stack makes one of tensors of one size", torch.stack),
    ],
    ids=["CHW", "NHW", "HW", "HWC", "array", "PIL", "list"],
)
def test_of_what_is_no_batch_it_is_told_what_makes_one(x: Any, help_: str, made: Any) -> None:
    with pytest.raises((TypeError, npp.EncodeError), match=help_):
        npp.compress(x, 40, effort=0)
    assert npp.compress(made(x), 40, effort=0).bpp.shape == (len(made(x)),)


def test_every_function_of_a_batch_says_what_makes_one() -> None:
    picture, whole = torch.rand(3, 32, 32), torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    task = Match(torch.nn.AvgPool2d(4))

    def loss(x: torch.Tensor) -> torch.Tensor:
        return x.mean((1, 2, 3))

    functions: list[Any] = [
        npp.Preprocessor(network="blur", sigmas={0: 0.5}),
        npp.Allocator.load("general"),
        lambda x, qp: npp.refine(x, qp, loss),
        lambda x, qp: npp.keep_prediction(loss, x),
        lambda x, qp: npp.Recipe().compress(x, qp),
        lambda x, qp: task.targets(x),
        lambda x, qp: npp.importance(x, task, qp),
    ]
    for function in functions:
        with pytest.raises((TypeError, ValueError), match=r"; \w+\[None\] is a batch of one picture"):
            function(picture, 30)
        with pytest.raises(TypeError, match=r"torch\.uint8; \w+\.float\(\) / 255 makes it so"):
            function(whole, 30)
        with pytest.raises(TypeError, match=r"; npp\.photos\.to_tensor\(image\)\[None\] makes one"):
            function(Image.new("RGB", (8, 8)), 30)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("quality", r"BPG has qp instead, 0 \(best\) to 51"),
        ("subsampling", "it is called chroma"),
        ("preset", "it is called effort"),
        *((field.name, rf"npp\.recipes\.Parts\({field.name}=False\)") for field in fields(Parts)),
    ],
)
def test_words_of_other_codecs_and_of_recipes_are_told_what_they_are_here(word: str, said: str) -> None:
    x, recipe = torch.rand(1, 3, 16, 16), npp.Recipe()
    calls: list[Any] = [
        npp.BPG,
        npp.batch.BatchEncoder,
        partial(recipe.encode, x),
        partial(recipe.compress, x),
        partial(recipe.refine, x, 37, lambda decoded: decoded.mean((1, 2, 3))),
    ]
    for call in calls if word == "qp_map" else [*calls, partial(npp.encode, x), partial(npp.compress, x)]:
        with pytest.raises(TypeError, match=f"unknown option '{word}': .*{said}"):
            call(**{word: False})


def test_a_recipe_is_told_how_it_does_without_a_part() -> None:
    for name, part in (("scale", "scale"), ("preprocessor", "filter"), ("allocator", "qp_map")):
        with pytest.raises(
            TypeError, match=rf"^{name} must be .*, not False; None makes .*Parts\({part}=False\) a call"
        ):
            npp.Recipe("mine", **{name: False})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"no argument 'filter': .*npp\.recipes\.Parts\(filter=False\)"):
        npp.Recipe("mine", filter=False)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("call", "near"),
    [
        (lambda x: npp.compress(x, surrogate="gate"), "gated"),
        (lambda x: npp.BPG(surrogate="Gated"), "gated"),
        (lambda x: npp.tasks.build_task("clasification"), "classification"),
        (lambda x: npp.encode(x, tune="SSIM"), "ssim"),
        (lambda x: npp.Recipe.load("Detecton"), "detection"),
        (lambda x: npp.Preprocessor(network="Unet"), "unet"),
    ],
    ids=["surrogate", "capital", "task", "tune", "recipe", "filter"],
)
def test_a_misspelt_name_is_told_which_was_meant(call: Any, near: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=f"; did you mean '{near}'\\?$"):
        call(torch.rand(1, 3, 16, 16))


@pytest.mark.parametrize("module", [npp, npp.recipes, npp.gradient], ids=lambda module: module.__name__)
def test_a_misspelt_public_name_lets_python_find_the_near_one(module: Any) -> None:
    right = module.__all__[-1]
    with pytest.raises(AttributeError) as caught:
        getattr(module, f"{right}s")
    assert caught.value.name == f"{right}s"
    assert caught.value.obj is module


def test_the_qps_that_stand_for_qualities_of_jpeg_are_those_measured() -> None:
    report = json.loads((Path(__file__).parents[2] / "docs/results/jpeg_qualities.json").read_text())
    measured = {row["quality"]: round(row["qp"]) for row in report["rows"]}
    words = rf"{measured[90]} is about as exact as JPEG of quality 90, and {measured[50]} as quality 50"
    with pytest.raises(TypeError, match=words):
        npp.encode(torch.rand(3, 8, 8), quality=90)  # type: ignore[call-arg]


def test_a_hint_calls_the_argument_by_its_name() -> None:
    task = Match(torch.nn.AvgPool2d(4))
    with pytest.raises(ValueError, match=r"images must .*; images\[None\] is a batch of one picture"):
        task.targets(torch.rand(3, 32, 32))


@pytest.mark.parametrize(
    "function",
    [
        npp.encode,
        npp.encode_animation,
        npp.decode,
        npp.probe,
        npp.compress,
        npp.compress_in_parts,
        npp.refine,
        npp.importance,
        npp.BPG.forward,
        npp.Recipe.compress,
        npp.Recipe.encode,
        npp.Recipe.forward,
        npp.Preprocessor.forward,
        npp.Allocator.forward,
    ],
    ids=lambda function: function.__qualname__,
)
def test_tools_can_read_what_arguments_may_be(function: Any) -> None:
    assert "return" in get_type_hints(function)
