"""An allocator's training from a configuration file."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import training_nets
import yaml
from PIL import Image
from small_runs import ROOT, pictures, run_cli
from training_nets import classifier, upper

import npp
from npp.config.yaml_files import ConfigError
from npp.tasks.match import Match
from npp.tasks.region_task import Region
from npp.training import DistillationConfig, TrainConfig, distil_allocator, load_training
from npp.training import allocator_distillation as distillation
from npp.training.allocator_labels import LabelSettings, label_photos
from npp.training.allocator_start import with_heads
from npp.training.label_store import read_shards

CLASSIFIER = {"label": "net", "name": "classification", "model": "python:training_nets:classifier"}
READER = {"label": "reader", "name": "match", "model": "python:training_nets:upper"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photos in ``data/a``, and in ``data/b`` others with regions, one of them without."""
    for name, count, size in (("a", 6, 72), ("b", 4, 160)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i, picture in enumerate(pictures(count, size)):
            image = Image.fromarray((picture * 255).byte().permute(1, 2, 0).numpy())
            image.save(tmp_path / "data" / name / f"{i}.png")
    rows = [f"{i}.png,{40 + 10 * i},60,30,16,ABC" for i in range(3)]
    (tmp_path / "regions.csv").write_text("\n".join(["file,x,y,width,height,text", *rows]))
    return tmp_path


def written(folder: Path, **changes: Any) -> Path:
    """A configuration of seconds."""
    values = {
        "trains": "allocator",
        "out": str(folder / "out"),
        "tasks": [CLASSIFIER, READER],
        "photos": [
            {"folder": str(folder / "data/a"), "fractions": [0.7, 0.3, 0], "tasks": ["net"], "share": 2},
            {
                "folder": str(folder / "data/b"),
                "fractions": [1, 0, 0],
                "tasks": ["reader"],
                "regions": str(folder / "regions.csv"),
            },
        ],
        "allocator": {"trunk": None, "width": 8, "depth": 1},
        "labels": {"count": 6, "size": 64, "longest": [80, 112], "whole": 0.5, "shard": 2},
        "training": {"optimiser": {"steps": 4, "batch": 2, "warmup": 1}, "wholes": 1, "checkpoint_every": 2},
        **changes,
    }
    path = folder / "allocator.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def loaded(path: Path, *changes: str) -> DistillationConfig:
    config = load_training(path, changes)
    assert isinstance(config, DistillationConfig)
    return config


def test_a_training_ends_with_an_allocator_and_what_it_is_worth(folder: Path) -> None:
    told: dict[str, list[int]] = {}
    totals = {}

    def stage(name: str, total: int) -> Any:
        totals[name] = total
        return told.setdefault(name, []).append

    path = distil_allocator(loaded(written(folder)), stage=stage)
    allocator = npp.Allocator.load(path)
    assert path == folder / "out/allocator.safetensors" and allocator.settings.heads == ("net", "reader")
    assert allocator.settings.width == 8 and allocator(pictures(1, 64), 34).shape == (1, 4, 4)
    by_head = [set(one.logarithms) for one in read_shards(folder / "out/labels")]
    assert by_head == [{"net"}] * 4 + [{"reader"}] * 2  # by their shares
    assert set(json.loads((folder / "out/ranks.json").read_text())) == {"net", "mean"}
    assert {name: sum(done) for name, done in told.items()} == totals
    assert next(iter(totals.items())) == ("labelling", 6) and totals["learning"] == 4
    again = loaded(folder / "out/config.yaml")
    assert again == loaded(written(folder)) and again.training.optimiser.weight_decay == 0.05


def test_a_training_that_was_stopped_goes_on_exactly(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class PowerCutError(Exception):
        pass

    def cut_after(count: int) -> Any:
        done = []

        def progress(now: int) -> None:
            done.append(now)
            if sum(done) >= count:
                raise PowerCutError

        return progress

    whole = distil_allocator(loaded(written(folder)))
    config = loaded(written(folder, out=str(folder / "cut")))
    for name, count in (("labelling", 3), ("learning", 3)):
        with pytest.raises(PowerCutError):
            distil_allocator(config, stage=lambda now, _, w=name, c=count: cut_after(c if now == w else 99))
    assert torch.load(folder / "cut/last.ckpt", weights_only=True)["step"] == 2
    monkeypatch.setattr(npp.training.allocator_labels, "importance", None)  # all labels are there
    with torch.device("meta"):  # the default device changes nothing
        last = distil_allocator(config)
    cut = npp.Allocator.load(last).state_dict()
    for name, tensor in npp.Allocator.load(whole).state_dict().items():
        assert torch.equal(tensor, cut[name]), name


def test_what_is_there_from_other_settings_is_refused(folder: Path) -> None:
    distil_allocator(loaded(written(folder)))
    with pytest.raises(
        ConfigError, match=r"out: .*labels/0 holds labels that were made with other labels\.qps"
    ):
        distil_allocator(loaded(written(folder), "labels.qps=[30, 40]"))
    with pytest.raises(ConfigError, match=r"labels/1 holds labels that were made with other tasks"):
        distil_allocator(loaded(written(folder), "tasks.1.model=python:training_nets:lower"))
    with pytest.raises(ConfigError, match=r"training: .*last\.ckpt is of a training with batch 2, not 3"):
        distil_allocator(loaded(written(folder), "training.optimiser.batch=3"))
    with pytest.raises(ConfigError, match=r"training: .*last\.ckpt has done 4 steps, more than the 2"):
        distil_allocator(loaded(written(folder), "training.optimiser.steps=2"))
    with pytest.raises(
        ConfigError, match=r"training: .*last\.ckpt is of a training with other weights to start"
    ):
        distil_allocator(loaded(written(folder), "allocator.trunk=efficientnet-lite0"))
    distil_allocator(loaded(written(folder), "training.optimiser.steps=6", "labels.count=12"))
    assert len(read_shards(folder / "out/labels")) == 12
    (folder / "out/last.ckpt").write_bytes(b"half of a check")
    with pytest.raises(ConfigError, match=r"training: .*last\.ckpt is no checkpoint, or a damaged one"):
        distil_allocator(loaded(written(folder)))


def test_what_was_refused_leaves_the_folder_as_it_is(folder: Path) -> None:
    distil_allocator(loaded(written(folder)))
    before = _contents(folder / "out")
    for change in ("training.dropout=0.3", "labels.qps=[30, 40]", "training.optimiser.steps=2"):
        with pytest.raises(ConfigError):
            distil_allocator(loaded(written(folder), "labels.count=12", change))
    assert _contents(folder / "out") == before


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_labels_of_another_network_are_not_gone_on_with(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same name in the configuration may be other weights by now."""
    distil_allocator(loaded(written(folder)))

    def other() -> torch.nn.Module:
        network = classifier()
        with torch.no_grad():
            next(network.parameters()).mul_(1.5)
        return network

    monkeypatch.setattr(training_nets, "classifier", other)
    with pytest.raises(ConfigError, match=r"labels/0 holds labels that were made with other networks"):
        distil_allocator(loaded(written(folder), "labels.count=12"))


def test_labels_of_other_photos_regions_and_files_are_not_gone_on_with(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names and weights may be those of before."""
    monkeypatch.syspath_prepend(folder)
    module = folder / "net_of_labels.py"
    module.write_text("from training_nets import classifier as net\n")
    tasks = [{**CLASSIFIER, "model": "python:net_of_labels:net"}, READER]
    config = written(folder, tasks=tasks)
    distil_allocator(loaded(config))

    def refused(what: str) -> None:
        with pytest.raises(ConfigError, match=f"holds labels that were made with other {what};"):
            distil_allocator(loaded(config, "labels.count=12"))

    photo, regions = folder / "data/a/0.png", folder / "regions.csv"
    for path, text, what in (
        (photo, (folder / "data/b/3.png").read_bytes(), "contents of photos"),
        (regions, regions.read_bytes().replace(b"1.png,50", b"1.png,52"), "lines of regions"),
        (module, module.read_bytes() + b"# with another body\n", "files of networks"),
    ):
        before = path.read_bytes()
        path.write_bytes(text)
        importlib.reload(sys.modules["net_of_labels"])  # as a new process has it
        refused(what)
        path.write_bytes(before)
    importlib.reload(sys.modules["net_of_labels"])
    # Lines of other photos, and photos that were copied anew, make no other labels; older ones tell less.
    regions.write_bytes(regions.read_bytes() + b"\nelsewhere.png,1,2,30,16,ABC")
    origin = folder / "out/labels/0/origin.json"
    older = json.loads(origin.read_text())
    del older["contents of photos"]
    origin.write_text(json.dumps(older))
    distil_allocator(loaded(config, "labels.count=12", "training.optimiser.steps=6"))


def test_more_labels_after_the_last_step_change_no_weight(folder: Path) -> None:
    """What was learned in the units of the labels that were there is told in these units."""
    before = npp.Allocator.load(distil_allocator(loaded(written(folder)))).state_dict()
    with pytest.warns(UserWarning, match=r"last\.ckpt has done all 4 steps: nothing is left to train"):
        more = distil_allocator(loaded(written(folder), "labels.count=12"))
    after = npp.Allocator.load(more).state_dict()
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]), name


def test_a_trial_begins_anew(folder: Path) -> None:
    distil_allocator(loaded(written(folder)), fast_dev_run=True)
    path = distil_allocator(loaded(written(folder), "labels.qps=[30, 40]"), fast_dev_run=True)
    assert path == folder / "out/fast-dev-run/allocator.safetensors" and path.is_file()


def test_an_optional_task_is_left_out_with_its_photos(folder: Path) -> None:
    absent = {"label": "reader", "name": "recognition", "model": "python:absent_here:net", "alphabet": "ab"}
    path = written(folder, tasks=[CLASSIFIER, {**absent, "optional": True}])
    with pytest.warns(UserWarning, match=r"tasks\[1\] 'reader' is left out: No module named 'absent_here'"):
        weights = distil_allocator(loaded(path), fast_dev_run=True)
    assert weights.parent == folder / "out/fast-dev-run"
    assert npp.Allocator.load(weights).settings.heads == ("net",)
    with pytest.raises(ConfigError, match=r"tasks\[1\]: No module named 'absent_here'"):
        distil_allocator(loaded(written(folder, tasks=[CLASSIFIER, absent])), fast_dev_run=True)


def test_a_region_is_all_that_its_task_sees(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 100, (200, 320, 3), dtype=np.uint8)
    pixels[90:114, 150:198] = rng.integers(200, 256, (24, 48, 3))
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    settings = LabelSettings(count=6, size=96, whole=0, shard=6)
    regions = {path: [Region(150, 90, 198, 114)]}
    label_photos([path], {"reader": Match(upper())}, tmp_path / "labels", settings, regions=regions)
    for one in read_shards(tmp_path / "labels"):
        bright = torch.from_numpy(one.x.min(2) > 150).float()[None]
        # The pixels that hold an edge of the region are seen too.
        shown = torch.nn.functional.max_pool2d(bright, 5, 1, 2).numpy().reshape(6, 16, 6, 16).mean((1, 3))
        logarithms = one.logarithms["reader"]
        inside = logarithms > logarithms.min() + 0.01
        assert 0 < inside.sum() < 30 and (shown[inside] > 0).all()
        mean = np.log2(np.exp2(logarithms[inside]).mean())
        assert logarithms[~inside].max() == pytest.approx(mean - 6, abs=0.7)


def test_a_region_is_seen_in_whole_photos_too(tmp_path: Path) -> None:
    """Nearly all of the photo, stretched by little; the labels are where the region is."""
    pixels = np.full((200, 320, 3), 40, dtype=np.uint8)
    pixels[90:114, 150:198] = 230
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    settings = LabelSettings(count=6, size=96, whole=1, longest=(240, 320), shard=6)
    regions = {path: [Region(150, 90, 198, 114)]}
    label_photos([path], {"reader": Match(upper())}, tmp_path / "labels", settings, regions=regions)
    found = read_shards(tmp_path / "labels")
    assert len({one.x.shape for one in found}) > 1
    for one in found:
        rows, columns = one.x.shape[0] // 16, one.x.shape[1] // 16
        assert columns > rows and 240 <= one.x.shape[1] <= 320
        logarithms = one.logarithms["reader"]
        assert logarithms.shape == (rows, columns)
        inside = logarithms > logarithms.min() + 0.01
        shown = (one.x.min(2) > 150).reshape(rows, 16, columns, 16).any((1, 3))
        assert 0 < inside.sum() < 30 and (shown[inside]).all()


def test_new_heads_leave_the_old_ones_as_they_are() -> None:
    torch.manual_seed(0)
    start = npp.Allocator(width=8, depth=1, heads=("a", "b")).eval()
    with torch.no_grad():
        for parameter in start.parameters():
            parameter.normal_(std=0.3)
    other = with_heads(start, ["new", "b", "a"]).eval()
    x = pictures(1, 64)
    for head in ("a", "b"):
        assert torch.equal(start.with_mix({head: 1})(x, 34), other.with_mix({head: 1})(x, 34))
    assert not other.with_mix({"new": 1})(x, 34).any()
    # The level of a head sees all heads' maps; where one is new it sees nothing of it.
    for head in ("a", "b"):
        levels = [one.with_mix({head: 1}).sensitivity(x, 34) for one in (start, other)]
        assert torch.allclose(*levels, atol=1e-5)


def test_a_start_keeps_what_it_has_learned(folder: Path) -> None:
    start = npp.Allocator.load(distil_allocator(loaded(written(folder))))
    config = written(
        folder,
        out=str(folder / "second"),
        allocator={"start": str(folder / "out/allocator.safetensors")},
        training={"optimiser": {"steps": 0}},
    )
    second = npp.Allocator.load(distil_allocator(loaded(config)))
    for name, tensor in start.state_dict().items():
        assert torch.allclose(tensor, second.state_dict()[name], atol=1e-4), name
    assert second.network.level.weight.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["trains=filter"], r"trains must be recipe or allocator, not 'filter'"),
        (["labels.sizes=3"], r"labels\.sizes is not known; allowed are count, draws"),
        (["labels.size=100"], r"labels\.size must be a multiple of 16, not 100"),
        (["training.kept=9"], r"training\.kept must be an integer from 0 to 8, not 9"),
        (["training.optimiser.steps=-1"], r"training\.optimiser\.steps must be at least 0"),
        (["tasks.1.label=net"], r"tasks\[1\]\.label must be another than those before, not 'net'"),
        (["photos.0.tasks=[nobody]"], r"photos\[0\]\.tasks must be of net, reader, not 'nobody'"),
        (["photos.1.tasks=[net]"], r"tasks\[1\]: no photos are for 'reader'"),
        (["photos.0.share=0"], r"photos\[0\]\.share must be above 0"),
        (["photos=[]"], "photos must not be empty"),
        (["allocator.heads=[a]"], r"allocator\.heads are the labels of tasks"),
        (["allocator.start=general"], r"allocator\.settings depth, width are those of start"),
    ],
)
def test_wrong_settings_are_named(folder: Path, changes: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_training(written(folder), changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["photos.1.folder=/nowhere"], r"photos\[1\]\.folder: /nowhere is not a folder"),
        (["photos.1.regions=/nowhere.csv"], r"photos\[1\]\.regions: .*nowhere\.csv"),
        (["photos.1.regions={}/allocator.yaml"], r"photos\[1\]\.regions: .* is not of that form"),
        (["tasks.0.model=magic"], r"tasks\[0\]: model must be one of"),
        (["allocator.wdth=3"], "allocator: unknown setting 'wdth'"),
    ],
)
def test_what_does_not_exist_is_named(folder: Path, changes: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        distil_allocator(loaded(written(folder), *(one.format(folder) for one in changes)))


def test_a_region_beside_its_photo_is_named(folder: Path) -> None:
    regions = folder / "regions.csv"
    regions.write_text(regions.read_text().replace("1.png,50,60", "1.png,50,160"))
    with pytest.raises(
        ConfigError, match=r"^photos\[1\]\.regions: 1\.png must be marked within its 160x160 "
    ):
        distil_allocator(loaded(written(folder)))
    assert not (folder / "out").exists()


def test_regions_go_by_the_path_below_the_folder(folder: Path) -> None:
    photos, regions = folder / "data/b", folder / "regions.csv"
    for name, place in (("x", "0.png"), ("y", "1.png")):
        (photos / name).mkdir()
        (photos / place).rename(photos / name / "2.png")
    with pytest.raises(ConfigError, match=r"folder has .*2\.png and .*2\.png, and both are listed as 2\.png"):
        distil_allocator(loaded(written(folder)))
    left = {"x/2.png": 40, "y/2.png": 50, "2.png": 60}
    rows = [f"{name},{x},60,30,16,ABC" for name, x in left.items()]
    regions.write_text("\n".join(["file,x,y,width,height,text", *rows]))
    distil_allocator(loaded(written(folder)))
    known = json.loads((folder / "out/labels/1/origin.json").read_text())
    found = dict(zip(known["photos"], known["lines of regions"], strict=True))
    assert {name: lines[0][0] for name, lines in found.items()} == left


def test_the_command_trains_it(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["train", str(written(folder)), "--out", str(folder / "run"), "--seed", "3"]
    assert run_cli(*words, "--fast-dev-run") == 0
    captured = capsys.readouterr()
    weights = folder / "run/fast-dev-run/allocator.safetensors"
    assert captured.out.split() == [str(weights)] and npp.Allocator.load(weights).settings.width == 8
    assert "npp: labelling" in captured.err and "npp: learning" in captured.err
    assert loaded(weights.parent / "config.yaml").seed == 3
    assert run_cli(*words, "--resume", str(folder / "last.ckpt")) == 2
    assert "goes on by itself" in capsys.readouterr().err
    assert run_cli(*words, "--devices", "2") == 2
    assert "allocator.yaml: trainer is not known" in capsys.readouterr().err

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(distillation, "_train_step", stop)
    assert run_cli(*words) == 130
    assert "npp: stopped; the same command goes on from here" in capsys.readouterr().err


def test_the_shipped_configuration_names_what_general_knows() -> None:
    config = loaded(ROOT / "configs/allocator.yaml")
    labels = [task.label for task in config.tasks]
    assert tuple(labels) == npp.Allocator().settings.heads and config.allocator.start == "general-1"
    assert {label for source in config.photos for label in source.tasks or ()} == set(labels)
    assert isinstance(load_training(ROOT / "configs/recipe-detection.yaml"), TrainConfig)
