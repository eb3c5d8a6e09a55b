"""Whole evaluations: stopped ones, changed ones, wrong ones."""

from __future__ import annotations

import gc
import io
import json
import os
import shutil
import sys
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import compress as zipped

import numpy as np
import pytest
import torch
import yaml
from rich.console import Console
from small_evaluation import QPS, tiny_network, values

import npp
import npp.cli
from npp.config.digests import hash_state
from npp.config.yaml_files import ConfigError
from npp.evaluation.arm_words import describe_arm
from npp.evaluation.arms import Arm, ArmConfig
from npp.evaluation.choosing import Selector
from npp.evaluation.coding import Batch
from npp.evaluation.evaluate_config import load_evaluation, parse_config
from npp.evaluation.evaluation_run import evaluate
from npp.evaluation.judges import Judge, JudgeConfig, build_judge
from npp.evaluation.measuring import Measurer
from npp.evaluation.part_store import PartStore
from npp.evaluation.prefilters import Unfiltered
from npp.photos.finding import PhotoWarning
from npp.photos.photo_set import PhotoSet
from npp.progress import no_stages


def _count_codings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    from npp.evaluation import measuring

    qps: list[int] = []
    original = measuring.code_batch

    def counted(batch: Any, arm: Arm, qp: int, *rest: Any) -> Any:
        qps.append(qp)
        return original(batch, arm, qp, *rest)

    monkeypatch.setattr(measuring, "code_batch", counted)
    return qps


def test_networks_that_took_no_part_are_enough(photos: Path, tmp_path: Path) -> None:
    given = values(photos)
    given["unseen"] = given.pop("seen")
    config = parse_config(given)
    assert config.seen == ()
    found = evaluate(config, tmp_path)
    (label,) = {one.label for one in config.unseen}
    assert any(one.axis.network == label for one in found.findings.comparisons)
    report = (tmp_path / "report.html").read_text()
    assert "Unseen networks" in report
    assert "Seen networks" not in report
    assert "(unseen)" in (tmp_path / "table.md").read_text()


def test_a_network_in_memory_judges_as_it_does_by_name(photos: Path, tmp_path: Path) -> None:
    by_name = parse_config(values(photos))
    judge = by_name.seen[0]
    settings = {**judge.settings, "model": tiny_network()}
    config = replace(by_name, seen=(JudgeConfig(judge.name, settings=settings),))
    assert config.seen[0].label == "Sequential"
    evaluate(by_name, tmp_path / "name"), evaluate(config, tmp_path / "memory")
    found = [json.loads((tmp_path / out / "summary.json").read_text()) for out in ("name", "memory")]
    by_label = json.dumps(found[0]["comparisons"]).replace('"tiny"', '"Sequential"')
    assert json.loads(by_label) == found[1]["comparisons"]
    kind = "torch.nn.modules.container.Sequential given from Python"
    assert found[1]["config"]["seen"][0]["model"] == kind
    assert kind in (tmp_path / "memory/report.html").read_text()


def test_a_stopped_run_goes_on_and_ends_the_same(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = parse_config(values(photos))
    whole = evaluate(config, tmp_path / "whole")

    def stopping(_name: str, _total: int) -> Any:
        done = []

        def progress(_pictures: int) -> None:
            done.append(1)
            if len(done) == 7:
                raise KeyboardInterrupt

        return progress

    with pytest.raises(KeyboardInterrupt):
        evaluate(config, tmp_path / "stopped", stopping)
    assert not (tmp_path / "stopped" / "summary.json").exists()
    codings = _count_codings(monkeypatch)
    again = evaluate(config, tmp_path / "stopped")
    # Two sizes make two batches.
    assert len(codings) == 2 * 2 * len(QPS) - 7
    for name in ("results/bpg.json", "results/machine.json", "table.md", "strip.png"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    first, second = whole.measured.arms["machine"], again.measured.arms["machine"]
    assert all(np.array_equal(first.scores[key], second.scores[key]) for key in first.scores)
    codings.clear()
    evaluate(config, tmp_path / "stopped")
    assert codings == []


def test_what_changes_is_measured_anew_and_the_rest_is_not(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(parse_config(values(photos)), tmp_path)
    codings = _count_codings(monkeypatch)
    arms = [{"name": "bpg", "effort": 0}, {"name": "renamed", "effort": 0, "prefilter": {"blur": 0.8}}]
    evaluate(parse_config(values(photos, arms=arms, qps=[*QPS, 45])), tmp_path)
    # The new arm at six qps, the anchor at one, in two batches.
    assert sorted(codings) == sorted([*QPS, *QPS, 45, 45, 45, 45])


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-9],
        lambda _: b"",
        lambda data: data[:40] + b"?" + data[41:],
        lambda _: zipped(b"x"),
    ],
    ids=["cut", "emptied", "changed", "other"],
)
def test_a_damaged_part_is_named_and_measured_again(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[bytes], bytes]
) -> None:
    config = parse_config(values(photos), limit=2)
    evaluate(config, tmp_path)
    table = (tmp_path / "table.md").read_bytes()
    paths = sorted((tmp_path / "parts").iterdir())
    for path in paths:
        path.write_bytes(damage(path.read_bytes()))
    codings = _count_codings(monkeypatch)
    with pytest.warns(UserWarning, match=r"\.part is damaged; what was in it is measured again$") as warned:
        evaluate(config, tmp_path)
    assert {str(one.message).split(" is damaged")[0] for one in warned} == set(map(str, paths))
    assert sorted(codings) == sorted([*QPS, *QPS])
    assert (tmp_path / "table.md").read_bytes() == table
    codings.clear()
    evaluate(config, tmp_path)
    assert codings == []


def test_the_results_are_those_of_the_configuration_alone(photos: Path, tmp_path: Path) -> None:
    def run(name: str, **settings: Any) -> set[str]:
        arms = [{"name": "bpg", "effort": 0}, {"name": name, "effort": 0, "tune": "machine", **settings}]
        evaluate(parse_config(values(photos, arms=arms), limit=2), tmp_path)
        return {path.name for path in (tmp_path / "results").iterdir()}

    assert run("half", share="rates") == {"bpg.json", "half.json", "half shared by rates.json"}
    assert (tmp_path / "shared.npz").is_file()
    own = tmp_path / "results" / "own.json"
    own.write_text("{}")  # somebody's
    assert run("renamed") == {"bpg.json", "renamed.json", own.name}
    assert not (tmp_path / "shared.npz").exists()
    # Of a folder whose summary is not npp's nothing is known.
    for summary in ("[", "[]", '{"arms": 3}'):
        (tmp_path / "summary.json").write_text(summary)
        assert run("bpg2") == {"bpg.json", "renamed.json", "bpg2.json", own.name}


def test_a_higher_limit_keeps_the_photos_of_a_lower_one(photos: Path) -> None:
    few, many = (parse_config(values(photos), limit=limit).data.paths() for limit in (3, 6))
    assert len(many) == 6 and few == many[:3]


def test_what_cannot_be_loaded_is_said_before_anything_is_measured(photos: Path, tmp_path: Path) -> None:
    arms = [{"name": "a"}, {"name": "b", "prefilter": {"preprocessor": "gone.safetensors"}}]
    with pytest.raises(ConfigError, match=r"arm b: .*gone\.safetensors"):
        evaluate(parse_config(values(photos, arms=arms)), tmp_path)
    with pytest.raises(ConfigError, match="network m: "):
        evaluate(parse_config(values(photos, seen=[{"name": "classification", "model": "m"}])), tmp_path)
    seen = [{**values(photos)["seen"][0], "quality": "iou"}]
    with pytest.raises(ConfigError, match="network tiny: quality must be one of kl"):
        evaluate(parse_config(values(photos, seen=seen)), tmp_path)


def test_selection_photos_must_be_others(photos: Path, tmp_path: Path) -> None:
    selection = {"folder": str(photos / "test")}
    arms = [{"name": "a", "effort": 0}, {"name": "b", "effort": 0, "prefilter": {"blur": "best"}}]
    config = parse_config(values(photos, arms=arms, selection={**selection, "part": "all"}))
    with pytest.raises(ValueError, match="selection and data share photos"):
        evaluate(config, tmp_path)


def test_photos_of_one_name_in_several_folders_are_told_apart(photos: Path, tmp_path: Path) -> None:
    """Folders of classes often hold photos of the same names."""
    for name in ("cat", "dog"):
        shutil.copytree(photos / "selection", tmp_path / "photos" / name)
    data = {"folder": str(tmp_path / "photos"), "size": 40, "part": "all"}
    config = parse_config(values(photos, data=data), limit=5)
    found = evaluate(config, tmp_path / "run")
    pictures = np.load(tmp_path / "run/measurements.npz")["pictures"].tolist()
    assert pictures == list(found.measured.pictures) and len(set(pictures)) == 5
    assert all((tmp_path / "photos" / name).is_file() for name in pictures)
    page = (tmp_path / "run/report.html").read_text()
    assert all(name in page for name in pictures[:2])
    lost = {"name": "python:small_evaluation:Lost"}
    given = {**values(photos, data=data), "seen": [lost], "unseen": [], "selection": None}
    with pytest.raises(ConfigError, match=r"must be finite, not nan \(with (cat|dog)/\w+\.png\)"):
        evaluate(parse_config(given), tmp_path / "lost")


def test_names_that_are_no_utf8_cost_nothing(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(photos / "test", folder)
    for path in list(folder.iterdir()):
        path.rename(folder / os.fsdecode(os.fsencode(path.stem) + b"\xff.png"))
    data = {"folder": str(folder), "size": 40, "part": "all"}
    path = tmp_path / os.fsdecode(b"\xff.yaml")
    path.write_text(yaml.safe_dump(values(photos, data=data)))
    config = load_evaluation(path, limit=3)
    assert config.name == "\\xff"
    assert len(evaluate(config, tmp_path / "run").measured.pictures) == 3
    assert (tmp_path / "run" / "report.html").read_text(encoding="utf-8").count("udcff.png") > 0


def test_what_goes_wrong_after_measuring_is_no_wrong_usage(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def wrong(*_: Any) -> None:
        raise ValueError("no page")

    monkeypatch.setattr("npp.evaluation.evaluation_run.write_report", wrong)
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(values(photos)))
    with pytest.raises(SystemExit) as stopped:
        npp.cli.main(
            ["evaluate", str(tmp_path / "a.yaml"), "--limit", "2", "--out", str(tmp_path / "run"), "-q"]
        )
    assert stopped.value.code == 1 and "a.yaml: no page" in capsys.readouterr().err


def test_photos_that_are_not_there_leave_no_folder(photos: Path, tmp_path: Path) -> None:
    given = values(photos, data={"folder": str(tmp_path / "gone"), "part": "all"})
    with pytest.raises(ConfigError, match=r"^data\.folder: .*gone is not a folder"):
        evaluate(parse_config(given), tmp_path / "runs" / "mine")
    selection = {"folder": str(tmp_path / "gone"), "part": "all"}
    arms = [{"name": "a", "effort": 0}, {"name": "b", "effort": 0, "prefilter": {"blur": "best"}}]
    with pytest.raises(ConfigError, match=r"^selection\.folder: .*gone is not a folder"):
        evaluate(parse_config(values(photos, arms=arms, selection=selection)), tmp_path / "runs" / "mine")
    assert not (tmp_path / "runs").exists()


def test_a_run_s_own_pictures_are_no_photos(photos: Path, tmp_path: Path) -> None:
    data = {"folder": str(tmp_path), "size": 40, "part": "all"}
    shutil.copytree(photos / "test", tmp_path / "test")
    with pytest.raises(
        ConfigError, match=rf"^out must not lie in data\.folder, {tmp_path}, where .*curves\.png"
    ):
        evaluate(parse_config(values(photos, data=data)), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    config = parse_config(values(photos, data={**data, "include": "test/*"}))
    for _ in range(2):
        assert len(evaluate(config, tmp_path / "run").measured.pictures) == 6


def test_command_line_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("seen: [{name: classification}]\nqps: [1, 2]\ndata: {folder: .}\n")
    with pytest.raises(SystemExit) as stopped:
        npp.cli.main(["evaluate", str(path)])
    assert stopped.value.code == 2 and f"npp: {path}: qps" in capsys.readouterr().err
    path.write_text(
        "seen: [{name: classification}]\ndata: {folder: .}\narms: [{name: a}, {name: b, efort: 3}]\n"
    )
    with pytest.raises(SystemExit):
        npp.cli.main(["evaluate", str(path)])
    said = capsys.readouterr().err
    assert f"npp: {path}: arms[1].efort is not known; allowed are " in said
    assert all(name in said for name in ("prefilter", "codec_of", "recipe", "share", "chroma", "effort"))


def test_an_unknown_setting_of_a_network_lists_all_keys(photos: Path, tmp_path: Path) -> None:
    seen = [{"name": "classification", "model": "efficientnet-lite0", "modle": 3}]
    own = "name, label, quality, metrics, categories"
    with pytest.raises(
        ConfigError, match=rf"no setting 'modle'; allowed are model, .*, and beside these {own}"
    ):
        evaluate(parse_config(values(photos, seen=seen)), tmp_path)


def test_photos_that_cannot_be_read_are_left_out_and_named(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(photos / "test", folder)
    (folder / "3.png").write_bytes((folder / "3.png").read_bytes()[:600])
    config = parse_config(values(photos, data={"folder": str(folder), "mode": "full", "part": "all"}))
    with pytest.warns(PhotoWarning, match=r"left out, for it cannot be read: .*3\.png"):
        found = evaluate(config, tmp_path / "run")
    assert set(found.measured.pictures) == {"0.png", "1.png", "2.png", "4.png", "5.png"}


def test_the_default_dtype_and_device_change_nothing(photos: Path, tmp_path: Path) -> None:
    config = parse_config(values(photos), limit=2)
    before = evaluate(config, tmp_path / "float32").measured.arms["bpg"]
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            now = evaluate(config, tmp_path / "float64").measured.arms["bpg"]
    finally:
        torch.set_default_dtype(torch.float32)
    assert np.array_equal(before.sizes, now.sizes)
    assert all(np.array_equal(before.scores[key], now.scores[key]) for key in before.scores)


def test_what_is_missing_is_said_before_the_work(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    with pytest.raises(ConfigError, match=r"^device is 'cuda:99', but there is"):
        evaluate(parse_config(values(photos, device="cuda:99")), out)
    seen = [{"name": "classification", "model": "python:absent_module:net", "label": "m"}]
    with pytest.raises(ConfigError, match=r"^network m: No module named 'absent_module'"):
        evaluate(parse_config(values(photos, seen=seen)), out)
    with pytest.raises(ConfigError, match=r"^data\.folder: .*gone is not a folder"):
        evaluate(parse_config(values(photos, data={"folder": str(photos / "gone")})), out)
    monkeypatch.setitem(sys.modules, "torchmetrics.classification", None)
    with pytest.raises(ConfigError, match="network tiny: a metric needs the package torchmetrics"):
        evaluate(parse_config(values(photos)), out)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"matplotlib: pip install 'npp\[eval\]'"):
        evaluate(parse_config(values(photos)), out)
    assert not (out / "parts").exists()


# What judges, photos and arms are known by


def test_a_judge_is_known_by_its_weights_and_files(photos: Path, tmp_path: Path) -> None:
    spec = parse_config(values(photos)).seen[0]
    one, other = (build_judge(spec, torch.device("cpu"), seen=True) for _ in range(2))
    assert one.key == other.key and len(one.key["files"]) == 1
    changed = build_judge(spec, torch.device("cpu"), seen=True)
    with torch.no_grad():
        next(changed.task.parameters()).add_(1e-3)
    assert changed.key["weights"] != one.key["weights"]
    assert build_judge(spec, torch.device("cpu"), seen=False).key != one.key
    path = tmp_path / "graph.onnx"
    keys = []
    for content in (b"1", b"2"):
        path.write_bytes(content)
        named = replace(spec, settings={"model": f"onnx:{path}"})
        keys.append(Judge(named, one.task, True).key["files"])
    assert keys[0] != keys[1]


def test_a_judge_in_memory_is_known_by_what_it_keeps_besides_weights(photos: Path, tmp_path: Path) -> None:
    """The same folder is asked again with another temperature: stored answers are not this network's."""

    class Warm(torch.nn.Module):
        temperature = 1.0

        def __init__(self) -> None:
            super().__init__()
            self.body = tiny_network()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.body(x)
            return logits / self.temperature

    network = Warm()
    kl = []
    for temperature, folder in ((1.0, "out"), (4.0, "out"), (4.0, "fresh")):
        network.temperature = temperature
        judges = [{"name": "classification", "model": network}]
        config = parse_config(values(photos, seen=judges, unseen=[]))
        measured = evaluate(config, tmp_path / folder).measured
        arm = next(iter(measured.arms.values()))
        kl.append(next(scores for (_, name), scores in arm.scores.items() if name == "kl"))
    assert not np.allclose(kl[0], kl[1])
    np.testing.assert_array_equal(kl[1], kl[2])


def test_a_judge_whose_module_was_edited_is_refused(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "edited_judge.py"
    module.write_text("from small_evaluation import tiny_network as net\n")
    spec = JudgeConfig("classification", label="net", settings={"model": "python:edited_judge:net"})
    build_judge(spec, torch.device("cpu"), seen=False)
    module.write_text("from small_evaluation import red_box as net\n")
    with pytest.raises(ConfigError, match=r"^network net: module edited_judge has changed since it was imp"):
        build_judge(spec, torch.device("cpu"), seen=False)


def test_a_judge_by_name_keeps_its_key(tmp_path: Path) -> None:
    """Results in folders of earlier versions go by it."""
    spec = JudgeConfig("classification", settings={"model": "efficientnet-lite0"})
    judge = build_judge(spec, torch.device("cpu"), seen=False)
    assert "values" not in judge.key


def test_weights_are_hashed_whatever_their_strides() -> None:
    """A buffer of one number may have the stride 0, as in some ONNX graphs."""
    module = torch.nn.Module()
    module.register_buffer("scale", torch.tensor([2.0]))
    plain = hash_state(module)
    module.register_buffer("scale", torch.tensor(2.0).as_strided((1,), (0,)))
    assert hash_state(module) == plain
    module.register_buffer("scale", torch.tensor([3.0]))
    assert hash_state(module) != plain


def test_photos_are_known_by_what_is_in_them(photos: Path, tmp_path: Path) -> None:
    data = parse_config(values(photos)).data

    def key(path: Path, device: str = "cpu") -> str:
        return Batch(data, [path], torch.device(device)).key

    first, second = photos / "test" / "0.png", photos / "test" / "1.png"
    moved, changed = tmp_path / "moved.png", tmp_path / "0.png"
    shutil.copy2(first, moved)
    shutil.copy2(first, changed)
    changed.write_bytes(changed.read_bytes()[:-1] + b"x")
    os.utime(changed, ns=(first.stat().st_mtime_ns,) * 2)
    assert key(moved) == key(first) and key(changed) != key(first) != key(second)
    assert key(first, "meta") != key(first)
    side = {"folder": str(photos / "test"), "part": "all", "size": 48}
    sides = [PhotoSet(mode=mode, **side) for mode in ("crop", "resize")]
    assert sides[0].shape == sides[1].shape
    assert len({Batch(one, [first], torch.device("cpu")).key for one in sides}) == 2


def test_a_batch_that_is_done_with_holds_no_pixels_and_no_answers(photos: Path) -> None:
    config = parse_config(values(photos))
    judge = build_judge(config.unseen[0], torch.device("cpu"), seen=False)
    batch = Batch(config.data, [photos / "test" / "0.png"], torch.device("cpu"))
    made = [batch.images, *(one[0]["mean"] for one in (batch.targets(judge), batch.targets_in_memory(judge)))]
    kept = list(map(weakref.ref, made))
    made.clear()
    batch.release()
    gc.collect()
    assert [one() for one in kept] == [None] * 3
    assert batch.targets(judge)[0]["mean"] == batch.images.mean()


def test_settings_are_chosen_by_what_each_photo_has(photos: Path, tmp_path: Path) -> None:
    """Not by a metric of all photos together, though comparisons are quoted on it."""
    seen = [{"name": "python:small_evaluation:Brightness", "label": "bright", "quality": "correlation"}]
    config = parse_config(values(photos, seen=seen, unseen=[]))
    judges = [build_judge(spec, torch.device("cpu"), seen=True) for spec in config.seen]
    measurer = Measurer(
        config.data, judges, PartStore(tmp_path), batch=4, device=torch.device("cpu"), threads=1
    )
    assert [axis.name for axis in measurer.axes() if axis.primary] == ["psnr", "correlation"]
    axis = Selector(config, measurer, no_stages)._axis
    assert (axis.network, axis.name) == ("bright", "error") and not axis.dataset


def test_a_network_that_does_not_fit_its_task_is_named(photos: Path, tmp_path: Path) -> None:
    lines = ["import torch", "def build():", "    return torch.nn.Identity()"]
    (tmp_path / "odd_network.py").write_text("\n".join(lines), encoding="utf-8")
    seen = [{"name": "classification", "model": "python:odd_network:build", "label": "odd"}]
    config = parse_config(values(photos, seen=seen, modules=str(tmp_path)))
    with pytest.raises(ConfigError, match=r"^network odd: the network must give logits \(N, C\)"):
        evaluate(config, tmp_path / "run")


@pytest.mark.parametrize(
    ("does", "text"),
    [
        ("return {}['masks']", "KeyError: 'masks'"),
        ("return x.nothing", "AttributeError: 'Tensor' object has no attribute 'nothing'"),
        ("assert x.ndim == 2", "AssertionError"),
        ("raise ValueError('nothing is there')", "ValueError: nothing is there"),
        ("return x @ x[0, 0, :5]", "RuntimeError: .*"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("open('/nowhere')", r"FileNotFoundError: \[Errno 2\] .*'/nowhere'"),
        ("raise Exception", "Exception"),
    ],
)
def test_whatever_a_network_raises_is_told_with_its_name(
    does: str, text: str, photos: Path, tmp_path: Path
) -> None:
    name = f"odd_{tmp_path.name}"  # a module is imported once
    lines = ["import torch", "class Odd(torch.nn.Module):", "    def forward(self, x):", f"        {does}"]
    (tmp_path / f"{name}.py").write_text("\n".join(lines), encoding="utf-8")
    seen = [{"name": "classification", "model": f"python:{name}:Odd", "label": "odd"}]
    config = parse_config(values(photos, seen=seen, modules=str(tmp_path)))
    with pytest.raises(ConfigError, match=rf"^network odd: {text} \(with "):
        evaluate(config, tmp_path / "run")


def test_every_arm_can_share_whatever_it_has(photos: Path, tmp_path: Path) -> None:
    """Sharing measures at more qps than are listed, which a blur has to know as well."""
    arms: list[dict[str, Any]] = [
        {"name": "bpg", "effort": 0},
        {"name": "soft", "effort": 0, "prefilter": {"blur": 0.4}, "share": "rates"},
        {"name": "by qp", "effort": 0, "prefilter": {"blur": dict.fromkeys(QPS, 0.2)}, "share": "rates"},
    ]
    found = evaluate(parse_config(values(photos, arms=arms)), tmp_path)
    assert found.shared is not None and len(found.shared.arms) == 2


def test_sharing_by_rates_needs_no_divergence(photos: Path, tmp_path: Path) -> None:
    good = [{"name": "python:small_evaluation:Goodness", "label": "good"}]
    arms: list[dict[str, Any]] = [
        {"name": "bpg", "effort": 0},
        {"name": "more", "effort": 1, "share": "rates"},
    ]
    assert evaluate(parse_config(values(photos, seen=good, arms=arms)), tmp_path).shared is not None
    arms[1]["share"] = "measured"
    with pytest.raises(ConfigError, match="share: measured needs a divergence, and good has none"):
        evaluate(parse_config(values(photos, seen=good, arms=arms)), tmp_path / "other")


def test_a_quality_that_is_not_measured_is_refused_before_anything_is(photos: Path, tmp_path: Path) -> None:
    given = values(photos)
    given["seen"][0] = {**given["seen"][0], "quality": "top1"}
    with pytest.raises(ConfigError, match="network tiny: quality must be one of kl, agreement, not 'top1'"):
        evaluate(parse_config(given), tmp_path)
    assert not (tmp_path / "results").exists()


def test_a_dataset_metric_may_be_what_is_quoted(photos: Path, tmp_path: Path) -> None:
    seen = [{"name": "python:small_evaluation:Brightness", "label": "bright", "quality": "correlation"}]
    found = evaluate(parse_config(values(photos, seen=seen, unseen=[])), tmp_path)
    (axis,) = [one for one in found.measured.axes if one.network == "bright" and one.primary]
    assert axis.dataset and axis.name == "correlation" and (tmp_path / "report.html").is_file()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"seen": [{"name": "classification", "model": "x", "label": "picture"}]},
            "'picture' is that of PSNR",
        ),
        (
            {"arms": [{"name": "bpg", "share": "rates"}, {"name": "bpg shared by rates", "effort": 1}]},
            "'bpg shared by rates' is that of a row",
        ),
        ({"blur_sigmas": [9]}, "each of blur_sigmas must be a number from 0 to 8, not 9"),
        (
            {"arms": [{"name": "bpg"}, {"name": "soft", "prefilter": {"blur": 99}}]},
            r"arms\[1\].prefilter.blur must be a number from 0 to 8, not 99",
        ),
    ],
)
def test_names_and_values_that_would_break_later_are_refused(
    photos: Path, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_config(values(photos, **change))


def test_arms_with_and_without_a_restorer_are_told_apart(tmp_path: Path) -> None:
    arms = [
        ArmConfig("recipe", recipe="classification"),
        ArmConfig("any decoder", recipe="classification", restorer=False),
    ]
    said = [describe_arm(one, Arm(one.name, {}, Unfiltered())) for one in arms]
    assert said[0] == "BPG (default options), recipe classification"
    assert said[1] == "BPG (default options), recipe classification, restorer no"


def test_labels_may_look_like_markup(photos: Path, tmp_path: Path) -> None:
    given = values(photos)
    given["seen"][0] = {**given["seen"][0], "label": "net[/v2]"}
    found = evaluate(parse_config(given), tmp_path)
    console = Console(width=200, file=io.StringIO())
    for table in found.tables:
        console.print(table.rich())
    assert "net[/v2]" in console.file.getvalue()


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (
            "BelowZero",
            r"the score 'error', of which less is better, must be 0 or more, not -3 \(with .*\.png",
        ),
        ("Lost", r"the score 'error' must be finite, not nan \(with \w+\.png\)"),
        ("ScoreWithoutDirection", r"higher_is_better\['error'\] .* missing; there is 'correlation'$"),
        ("MetricWithoutDirection", r"higher_is_better\['correlation'\] .* missing; there is 'error'$"),
        ("WordForDirection", r"higher_is_better\['error'\] .* True or False, and is 'no'$"),
        ("NoDirections", r"higher_is_better of its task must be True or False by name .*, not None$"),
        ("OneScore", r"the task 'brightness' gave the score 'error' of shape \(\); one per picture, \(2,\)"),
        ("FewTargets", r"the task 'brightness': what targets gives must hold one entry per image, 2, not 1"),
    ],
)
def test_scores_without_a_curve_are_named_when_they_are_measured(
    task: str, text: str, photos: Path, tmp_path: Path
) -> None:
    unseen = [{"name": f"python:small_evaluation:{task}", "label": "odd"}]
    with pytest.raises(ConfigError, match=f"^network odd: {text}"):
        evaluate(parse_config(values(photos, unseen=unseen)), tmp_path)


def test_a_network_in_memory_of_another_structure_is_measured_anew(photos: Path, tmp_path: Path) -> None:
    """Its weights are the same, and so is its class."""
    by_name = parse_config(values(photos))

    def scores(network: torch.nn.Module, **settings: Any) -> Any:
        judge = JudgeConfig("classification", "own", settings={"model": network, **settings})
        found = evaluate(replace(by_name, seen=(judge,)), tmp_path)
        return {arm: values.scores["own", "kl"].tolist() for arm, values in found.measured.arms.items()}

    found = [scores(tiny_network())]
    changed = tiny_network()
    changed[1] = torch.nn.Softplus()
    found.append(scores(changed))
    found += [scores(tiny_network(), input={"mean": np.full(3, mean)}) for mean in (0.2, 0.5)]
    found.append(scores(tiny_network(), input={"mean": [0.2] * 3}))
    assert found[4] == found[2]
    assert all(found[i] != found[j] for i in range(4) for j in range(i))
