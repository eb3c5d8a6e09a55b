"""npp train."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import ROOT, SMALL_TASK, run_cli

import npp
from npp.gradient.surrogates.hyperprior import HyperpriorConfig, load_hyperprior
from npp.training.draws import Sample
from npp.training.lightning_module import RecipeModule
from npp.training.proxy import train_proxy
from npp.training.train_config import TrainConfig, load_config

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own


def _config_of(words: list[str], monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    """The configuration that a command would train by."""
    given: list[TrainConfig] = []

    def note(config: TrainConfig, **named: object) -> Path:
        given.append(config)
        return Path("recipe.safetensors")

    monkeypatch.setattr("npp.training.training_dispatch.run_training", note)
    assert run_cli(*words) == 0
    return given[0]


@pytest.fixture
def words(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command that trains, into the folder ``run``; more words may follow."""
    monkeypatch.setenv("NPP_DATA", str(photos))
    return ["train", str(ROOT / "configs/smoke.yaml"), "--out", str(tmp_path / "run"), "--set", SMALL_TASK]


def test_a_trial_run_says_what_it_did(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(*words, "--devices", "1", "--fast-dev-run") == 0
    out = tmp_path / "run" / "fast-dev-run"
    weights = out / "preprocessor.safetensors"
    said = capsys.readouterr()
    assert said.out.split() == [str(weights)] and weights.is_file()
    assert weights.with_name("recipe.safetensors").is_file()
    told = " ".join(said.err.split())
    assert "npp: the trial went through: one step of the training, one batch of validation." in told
    assert f"What it made lies in {out} and shows" in told
    assert f"without --fast-dev-run the whole run (4 steps) goes to {tmp_path / 'run'}" in told
    assert not re.search("litlogger|TPU|LeafSpec|weights_only", said.err), "Lightning's asides tell nothing"


def test_an_option_comes_before_the_same_setting(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    config = _config_of([*words, "--seed", "3", "--set", "seed=5", "--set", "out=elsewhere"], monkeypatch)
    assert config.seed == 3 and config.out == words[3]


def test_a_wrong_setting_is_named_with_its_file(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(*words, "--set", "optimiser.batch=0") == 2
    wrong = f"npp: {words[1]}: optimiser.batch must be an integer from 1 to 65536, not 0"
    assert wrong in capsys.readouterr().err


@pytest.mark.parametrize(
    ("devices", "allowed"),
    [("x", "auto, -1 for all, at least 1, or .*"), ("-1", "auto or at least 1 on a CPU")],
)
def test_wrong_devices_are_refused_with_what_is_allowed(
    devices: str, allowed: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(*words, "--devices", devices, "--set", "trainer.accelerator=cpu") == 2
    refused = capsys.readouterr().err
    assert re.search(rf"smoke\.yaml: trainer\.devices must be {allowed}, not '?{devices}'?\n$", refused)


def test_an_unknown_key_is_refused_with_those_of_its_section(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(*words, "--set", "codec.efort=3") == 2
    said = capsys.readouterr().err
    assert f"npp: {words[1]}: codec.efort is not known; allowed are " in said
    assert all(name in said for name in ("surrogate", "threads", "chroma", "effort"))


@pytest.mark.parametrize(
    ("change", "known"),
    [
        (
            "preprocessor.widht=3",
            "allowed are width, depth, .*, and beside these network, start, train, pretraining",
        ),
        ("allocator={stren: 3}", "allowed are .*, strength, limit, and beside these .*start, train"),
        ("tasks.0.modell=x", "allowed are .*, and beside these name, weight"),
    ],
)
def test_an_unknown_setting_of_a_part_is_refused_with_the_keys_of_its_section_too(
    change: str, known: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(*words, "--set", change) == 2
    assert re.search(known, capsys.readouterr().err)


def test_a_missing_checkpoint_and_a_missing_configuration_are_named(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(*words, "--resume", str(tmp_path / "none.ckpt")) == 2
    assert "there is no checkpoint" in capsys.readouterr().err
    assert run_cli("train", str(tmp_path / "absent.yaml")) == 2
    assert capsys.readouterr().err.count("absent.yaml") == 1


def _stopped_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has Ctrl-C be pressed at a step of this process's trainings."""
    trained = RecipeModule.training_step

    def stop(self: RecipeModule, batch: Sample, index: int) -> torch.Tensor:
        if index == step:
            raise KeyboardInterrupt
        return trained(self, batch, index)

    monkeypatch.setattr(RecipeModule, "training_step", stop)


def test_ctrl_c_before_a_checkpoint_ends_with_130_and_says_that_there_is_none(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _stopped_at(0, monkeypatch)
    assert run_cli(*words) == 130
    assert "npp: stopped; there is no checkpoint yet" in capsys.readouterr().err
    last = tmp_path / "run/checkpoints/last.ckpt"
    last.parent.mkdir(exist_ok=True)
    last.write_bytes(b"of an earlier run")
    os.utime(last, (1, 1))
    assert run_cli(*words) == 130
    assert "npp: stopped; there is no checkpoint yet" in capsys.readouterr().err


def test_ctrl_c_says_from_which_checkpoint_to_go_on(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = signal.getsignal(signal.SIGINT)
    words[2:4] = ["--set", f"out={tmp_path}"]  # said in the settings alone
    last = tmp_path / "checkpoints/last.ckpt"
    with monkeypatch.context() as patch:
        _stopped_at(3, patch)
        assert run_cli(*words) == 130
    captured = capsys.readouterr()
    assert f"npp: stopped; --resume {last} goes on from there" in captured.err
    assert captured.out == "" and signal.getsignal(signal.SIGINT) is handler
    # A run that went on and has no checkpoint of its own yet goes on from where it began.
    _stopped_at(3, monkeypatch)
    on = ["--resume", str(last), "--set", "optimiser.steps=6", "--out", str(tmp_path / "on")]
    assert run_cli(*words, *on) == 130
    said = capsys.readouterr().err
    assert f"npp: stopped; there is no new checkpoint yet; --resume {last} goes on from where this" in said


def test_what_was_pretrained_is_not_lost_by_ctrl_c(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(self: RecipeModule, batch: Sample, index: int) -> torch.Tensor:
        raise KeyboardInterrupt

    monkeypatch.setenv("NPP_DATA", str(photos))
    unet = "preprocessor={network: unet, width: 2, pretraining: {steps: 3, batch: 1}}"
    words = ["train", str(ROOT / "configs/smoke.yaml"), "--out", str(tmp_path), "--set", SMALL_TASK]
    with monkeypatch.context() as patch:
        patch.setattr(RecipeModule, "training_step", stop)
        assert run_cli(*words, "--set", unet) == 130
    said = re.search(r"--set '(preprocessor=\{start: .+\})' spares", capsys.readouterr().err)
    assert said is not None
    before = (tmp_path / "pretrained.safetensors").read_bytes()
    assert run_cli(*words, "--set", said[1], "--fast-dev-run") == 0
    assert npp.Preprocessor.load(tmp_path / "fast-dev-run/preprocessor.safetensors").settings["width"] == 2
    assert not (tmp_path / "fast-dev-run/pretraining.json").exists()
    assert (tmp_path / "pretrained.safetensors").read_bytes() == before


@pytest.mark.parametrize("name", ["o😀", "p$HOME", "caf\udce9", 'a "b": #c\\n', "é\u0085\t|'", "5", "null"])
def test_options_are_read_as_they_were_given(
    name: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words[3] = name
    assert _config_of(words, monkeypatch).out == name


def test_results_go_to_a_folder_of_any_name(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "o😀 #"
    words = ["train", str(ROOT / "configs/smoke.yaml"), "--out", str(out), "--set", SMALL_TASK]
    words += ["--set", f"data.folder={photos}", "--set", "trainer.progress=false", "--fast-dev-run"]
    assert run_cli(*words) == 0
    assert (out / "fast-dev-run/recipe.safetensors").is_file()
    assert load_config(out / "fast-dev-run/config.yaml").out == str(out / "fast-dev-run")


def test_a_module_beside_the_configuration_is_found(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net_beside_yaml.py").write_text(
        "from training_nets import classifier\n\n\ndef net():\n    print('hello')\n    return classifier()\n"
    )
    text = (
        (ROOT / "configs/smoke.yaml").read_text().replace("efficientnet-lite0", "python:net_beside_yaml:net")
    )
    (tmp_path / "own.yaml").write_text(text)
    before = list(sys.path)
    words = ["--set", f"data.folder={photos}", "--out", str(tmp_path / "run"), "--fast-dev-run"]
    assert run_cli("train", str(tmp_path / "own.yaml"), *words) == 0
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1 and "hello" in captured.err and sys.path == before
    # What was used can be used again from where it was written.
    del sys.modules["net_beside_yaml"]
    assert run_cli("train", str(tmp_path / "run/fast-dev-run/config.yaml"), "--fast-dev-run") == 0


def test_command_still_trains_the_proxy(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run_cli("train", "proxy", "--data", str(tmp_path), "--crop", "64") == 2
    assert "no photos" in capsys.readouterr().err
    assert run_cli("train", "proxy", "--data", str(tmp_path), "--devices", "x") == 2
    assert "npp: devices must be auto, -1 for all, at least 1, or" in capsys.readouterr().err


@pytest.mark.parametrize("objective", ["distil", "published"])
def test_the_proxy_is_trained_as_its_options_say(
    objective: Any, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the command trains is, to the last bit, what the library trains with the same values."""
    given: dict[str, Any] = {
        "steps": 2, "batch": 2, "crop": 32, "learning_rate": 3e-3, "distortion_weight": 20.0, "effort": 1,
        "devices": 1, "accelerator": "cpu", "seed": 4,
    }  # fmt: skip
    sizes = HyperpriorConfig(width=8, latent=12, stages=3, conditioned=objective == "distil", residual=True)
    wanted = train_proxy(photos, tmp_path / "a", objective=objective, config=sizes, progress=False, **given)
    words = ["train", "proxy", "--data", str(photos), "--out", str(tmp_path / "b"), "--objective", objective]
    words += ["--width", "8", "--latent", "12", "--stages", "3", "--residual", "-q"]
    words += [word for key, value in given.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    capsys.readouterr()
    assert run_cli(*words) == 0
    said = capsys.readouterr()
    assert said.out == f"{tmp_path / 'b' / wanted.name}\n" and "it/s" not in said.err
    found = load_hyperprior(tmp_path / "b" / wanted.name)
    assert found.config == sizes
    expected = load_hyperprior(wanted).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in found.state_dict().items())
    checkpoint = tmp_path / "b/checkpoints/last.ckpt"
    assert run_cli(*words, "--steps", "3", "--resume", str(checkpoint)) == 0
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 3
    assert run_cli(*words, "--resume", str(tmp_path / "none.ckpt")) == 2


def test_without_progress_nothing_is_said_of_stages(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", str(ROOT / "configs/smoke.yaml"), "--set", f"data.folder={photos}", "--set", SMALL_TASK]
    words += ["--set", "preprocessor={network: unet, width: 2, pretraining: {steps: 1, batch: 1}}"]
    for progress in ("true", "false"):
        out = tmp_path / progress
        assert run_cli(*words, "--out", str(out), "--set", f"trainer.progress={progress}") == 0
        said = "npp: pretraining the filter\n" in capsys.readouterr().err
        assert said is (progress == "true")


def test_help_of_training_names_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["train", "--help"], ["train"]):
        run_cli(*words)
        said = capsys.readouterr()
        assert "proxy" in said.out + said.err and "CONFIG.yaml" in said.out + said.err
    assert run_cli("train", "--help") == 0


@pytest.mark.slow
def test_two_processes_train_as_one(photos: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "npp.cli", "train", str(ROOT / "configs/smoke.yaml"), "--set", SMALL_TASK]
    words += ["--set", "trainer.progress=false", "--set", "trainer.keep=last"]
    words += ["--set", "allocator={width: 8, depth: 1}"]
    environment = {
        **os.environ,
        "NPP_DATA": str(photos),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]),
    }
    two = ["--out", str(tmp_path / "two"), "--devices", "2", "--set", "trainer.strategy=ddp"]
    one = ["--out", str(tmp_path / "one"), "--set", "optimiser.batch=4"]
    for more in (two, one):
        subprocess.run([*words, *more], check=True, env=environment)
    weights = [npp.Recipe.load(tmp_path / out / "recipe.safetensors") for out in ("two", "one")]
    for a, b in zip(*(one.state_dict().values() for one in weights), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
