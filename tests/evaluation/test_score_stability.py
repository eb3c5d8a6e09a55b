"""Networks that do not say the same of the same photo each time are warned of, and no others."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_evaluation import detector, reader, segmenter, tiny_network, values
from torch import Tensor, nn
from torch.nn import functional as F

from npp.evaluation.evaluate_config import parse_config
from npp.evaluation.judges import JudgeConfig, build_judge
from npp.evaluation.measuring import Measurer
from npp.evaluation.part_store import PartStore

_CPU = torch.device("cpu")


class _Dropping(nn.Module):
    """Dropout that does not ask whether it is trained, as a function is called without ``training``."""

    def __init__(self) -> None:
        super().__init__()
        body = tiny_network()
        assert isinstance(body, nn.Sequential)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.features = nn.Sequential(*body[:-1], nn.Linear(8, 64))
            self.head = nn.Linear(64, 6)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(F.dropout(self.features(x), 0.1))
        return logits


def _normalised(**settings: bool) -> nn.Module:
    network = tiny_network()
    assert isinstance(network, nn.Sequential)
    return nn.Sequential(network[0], nn.BatchNorm2d(8, **settings), *network[1:])


def _trial(photos: Path, folder: Path, spec: JudgeConfig, batch: int = 8) -> Callable[[], Measurer]:
    judge = build_judge(spec, _CPU, seen=False)
    config, store = parse_config(values(photos)), PartStore(folder)
    return lambda: Measurer(config.data, [judge], store, batch=batch, device=_CPU, threads=1)


def _classifier(network: nn.Module) -> JudgeConfig:
    return JudgeConfig("classification", label="net", settings={"model": network})


def test_a_random_network_is_warned_of_once(photos: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    trial = _trial(photos, tmp_path, _classifier(_Dropping()))
    with pytest.warns(UserWarning, match=r"network net: the score 'kl' of .* random") as caught:
        trial()
    assert len([one for one in caught if "network net" in str(one.message)]) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trial()  # from the store


def test_a_network_that_mixes_a_batch_is_warned_of(photos: Path, tmp_path: Path) -> None:
    spec = _classifier(_normalised(track_running_stats=False))
    with pytest.warns(UserWarning, match=r"network net: the score 'kl' of .* alone: .*batch: 1"):
        _trial(photos, tmp_path / "together", spec)()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _trial(photos, tmp_path / "alone", spec, batch=1)()


@pytest.mark.parametrize(
    "spec",
    [
        _classifier(_normalised()),
        _classifier(nn.Sequential(tiny_network(), nn.Dropout(0.5))),
        JudgeConfig("python:small_evaluation:Brightness", label="bright"),
        JudgeConfig("python:small_evaluation:Goodness", label="good"),
        *(
            JudgeConfig(
                judge["name"],
                settings={key: value for key, value in judge.items() if key not in ("name", "label")},
            )
            for judge in (detector(), segmenter(), reader())
        ),
    ],
    ids=lambda spec: spec.name,
)
def test_other_networks_are_not_warned_of(spec: JudgeConfig, photos: Path, tmp_path: Path) -> None:
    if spec.name == "detection":
        pytest.importorskip("torchvision", reason="mean average precision asks for it")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _trial(photos, tmp_path, spec)()


class _WantsDetail(nn.Module):
    """As networks that look for something and raise where nothing is."""

    def __init__(self) -> None:
        super().__init__()
        self.body = tiny_network()

    def forward(self, x: Tensor) -> Tensor:
        if not bool((x.diff(dim=-1)[..., :7] != 0).any()):
            raise ValueError("no object found in the picture")
        logits: Tensor = self.body(x)
        return logits


def test_a_network_that_cannot_look_at_a_blurred_photo_is_measured(photos: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _trial(photos, tmp_path, _classifier(_WantsDetail()))()
