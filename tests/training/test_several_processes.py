"""Training with several processes, and what goes on with another number of them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from small_runs import ROOT, SMALL_TASK, run_cli, smoke, state

import npp
from npp.config.yaml_files import ConfigError
from npp.training import first_process, training_dispatch
from npp.training.training_run import first_device, train_recipe

_TIMEOUT = 1500
pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own


def test_another_number_of_pictures_a_step_is_refused(finished: Path, photos: Path, tmp_path: Path) -> None:
    """Where the run is among its photos follows from the steps: two processes would leave photos out."""
    checkpoint = state(finished / "checkpoints/last.ckpt")
    assert checkpoint["pictures_a_step"] == 2
    longer = ("optimiser.steps=6",)
    with pytest.raises(ConfigError, match="steps took 2 pictures, and these would take 4 "):
        config = smoke(photos, tmp_path / "a", *longer, "optimiser.batch=4")
        train_recipe(config, resume=finished / "checkpoints/last.ckpt")
    assert not (tmp_path / "a" / "recipe.safetensors").exists()
    checkpoint["pictures_a_step"] = 2 * 2  # of two processes with a batch of 2
    torch.save(checkpoint, tmp_path / "two.ckpt")
    config = smoke(photos, tmp_path / "b", *longer, "optimiser.batch=4")
    assert train_recipe(config, resume=tmp_path / "two.ckpt").is_file()


def test_more_devices_than_photos_to_validate_with_are_refused(photos: Path, tmp_path: Path) -> None:
    """Before the other process is started, and before anything is measured or written."""
    two = ("trainer.devices=2", "trainer.accelerator=cpu", "trainer.strategy=ddp", "validation.photos=1")
    with pytest.raises(ConfigError, match=r"validation\.photos: .* has 1 here, and the run 2 devices"):
        train_recipe(smoke(photos, tmp_path / "run", *two))
    assert not (tmp_path / "run" / "baseline.json").exists()


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_fork", "ddp_notebook"])
def test_processes_that_would_lose_the_best_weights_are_refused(
    strategy: str, photos: Path, tmp_path: Path
) -> None:
    two = ("trainer.devices=2", "trainer.accelerator=cpu", f"trainer.strategy={strategy}")
    with pytest.raises(ConfigError, match=rf"trainer\.strategy must not .*'{strategy}'.*; ddp starts"):
        train_recipe(smoke(photos, tmp_path / "run", *two))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("rank", [0, 1])
def test_one_process_speaks_for_all(
    rank: int,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Of a run that ends, a trial, and a run that is stopped."""
    out = tmp_path / "run"
    monkeypatch.setattr(first_process.rank_zero_only, "rank", rank, raising=False)
    monkeypatch.setattr(training_dispatch, "run_training", lambda *_, **__: out / "recipe.safetensors")
    words = ["train", str(ROOT / "configs/smoke.yaml"), "--out", str(out), "--set", f"data.folder={photos}"]
    assert run_cli(*words) == 0 == run_cli(*words, "--fast-dev-run")
    said = capfd.readouterr()
    assert said.out.count("preprocessor.safetensors") + said.out.count("recipe.safetensors") == 2 * (1 - rank)
    assert said.err.count("npp: the trial went through") == 1 - rank and not (rank and said.out)

    def stopped(*_: object, **__: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(training_dispatch, "run_training", stopped)
    assert run_cli(*words) == 130
    assert capfd.readouterr().err.count("npp: stopped; there is no checkpoint yet") == 1 - rank


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def _machines(photos: Path, out: Path, *changes: str, program: Sequence[str] = ("-m", "npp")) -> list[str]:
    """What two machines say that train together, each by torchrun as docs/many-machines.md says."""
    port = _free_port()
    settings = [f"data.folder={photos}", SMALL_TASK, "trainer.progress=false", *changes]
    train = [*program, "train", str(ROOT / "configs/smoke.yaml"), "--out", str(out)]
    train += [
        word for one in (*settings, "trainer.nodes=2", "trainer.strategy=ddp") for word in ("--set", one)
    ]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]),
    }
    runs = []
    for rank in range(2):
        torchrun = ["-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
        torchrun += ["--node-rank", str(rank), "--master-addr", "127.0.0.1", "--master-port", str(port)]
        command = [sys.executable, *torchrun, *train]
        with (out.parent / f"said{rank}.txt").open("w") as said:
            runs.append(subprocess.Popen(command, env=environment, stderr=said, stdout=said))
    for run in runs:
        run.wait(timeout=_TIMEOUT)
    return [(out.parent / f"said{rank}.txt").read_text() for rank in range(2)]


@pytest.mark.slow
@pytest.mark.timeout(_TIMEOUT)
def test_two_machines_train_as_one_with_twice_the_batch(photos: Path, tmp_path: Path) -> None:
    steps = ("optimiser.steps=2", "validation.every=2", "trainer.checkpoint_every=2")
    said = _machines(photos, tmp_path / "two", *steps)
    assert (tmp_path / "two" / "recipe.safetensors").is_file(), said
    one = train_recipe(smoke(photos, tmp_path / "one", *steps, "optimiser.batch=4")).parent
    checkpoints = [state(folder / "checkpoints/last.ckpt") for folder in (tmp_path / "two", one)]
    assert [checkpoint["pictures_a_step"] for checkpoint in checkpoints] == [4, 4]
    for name, tensor in checkpoints[1]["state_dict"].items():
        torch.testing.assert_close(checkpoints[0]["state_dict"][name], tensor, rtol=1e-3, atol=1e-5)
    # One process goes on where the two have ended, and the two not with half of the pictures.
    longer = ("optimiser.steps=3", "validation.every=3", "trainer.checkpoint_every=3")
    last = tmp_path / "two" / "checkpoints/last.ckpt"
    config = smoke(photos, tmp_path / "on", *longer, "optimiser.batch=4")
    assert train_recipe(config, resume=last).is_file()
    with pytest.raises(ConfigError, match="steps took 4 pictures, and these would take 2 "):
        train_recipe(smoke(photos, tmp_path / "less", *longer), resume=last)


_PRETRAINED = "preprocessor={network: unet, width: 2, pretraining: {steps: 40, batch: 2}}"
# The filter stays as its pretraining leaves it: what a training of one step does to it is no part of this.
_STEP = ("optimiser.steps=1", "optimiser.learning_rate=1e-9", "validation.every=1")


# The command, in which whoever pretrains says so.
_TOLD = """
import sys
import npp.cli
from npp.training import training_run

pretrain = training_run.pretrain


def told(*given):
    print("I pretrain", file=sys.stderr, flush=True)
    return pretrain(*given)


training_run.pretrain = told
npp.cli.main(sys.argv[1:])
"""


def _told(folder: Path) -> str:
    (folder / "told.py").write_text(_TOLD)
    return str(folder / "told.py")


def _check_start(out: Path, photos: Path) -> None:
    """All processes have begun with one pretraining's weights: their mean is those of each."""
    filter_ = npp.Preprocessor.load(out / "pretrained.safetensors").state_dict()
    kept = npp.Preprocessor.load(out / "preprocessor.safetensors").state_dict()
    alone = train_recipe(smoke(photos, out.parent / "alone", _PRETRAINED, *_STEP)).parent
    wanted = npp.Preprocessor.load(alone / "pretrained.safetensors").state_dict()
    for name, value in filter_.items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-4, atol=1e-6)
        if value.is_floating_point() and "running" not in name:
            torch.testing.assert_close(kept[name], value, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(_TIMEOUT)
def test_one_process_of_torchrun_pretrains_and_the_others_have_its_weights(
    photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "two"
    out.mkdir()
    (out / "pretrained.safetensors").write_bytes(b"of an earlier run")
    said = _machines(photos, out, _PRETRAINED, *_STEP, program=[_told(tmp_path)])
    assert (out / "recipe.safetensors").is_file(), said
    assert sorted(one.count("I pretrain") for one in said) == [0, 1], said
    _check_start(out, photos)


@pytest.mark.slow
@pytest.mark.timeout(_TIMEOUT)
def test_a_process_that_lightning_starts_does_not_pretrain_again(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "two"
    words = [sys.executable, _told(tmp_path), "train", str(ROOT / "configs/smoke.yaml"), "--out", str(out)]
    changes = (f"data.folder={photos}", SMALL_TASK, "trainer.progress=false", _PRETRAINED, *_STEP)
    words += [word for one in (*changes, "trainer.strategy=ddp") for word in ("--set", one)]
    path = os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    run = subprocess.run([*words, "--devices", "2"], env=environment, capture_output=True, text=True)
    assert run.returncode == 0 and run.stderr.count("I pretrain") == 1, run.stderr
    _check_start(out, photos)


# The command, in which the first process takes its time to save, and all say at their end what they see.
_SLOW_TO_SAVE = """
import atexit
import pathlib
import sys
import time
import npp.cli
from npp.training import training_run

save = training_run._save
recipe = pathlib.Path(sys.argv[sys.argv.index("--out") + 1]) / "recipe.safetensors"


def slow(*given):
    time.sleep(3)
    save(*given)


training_run._save = slow
atexit.register(lambda: sys.stderr.write(f"I see {recipe.is_file()}\\n"))
npp.cli.main(sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.timeout(_TIMEOUT)
def test_the_result_is_said_once_and_is_whole_when_any_process_ends(photos: Path, tmp_path: Path) -> None:
    """Nor does Lightning say anything about how npp's own code calls it."""
    out, program = tmp_path / "two", tmp_path / "slow.py"
    program.write_text(_SLOW_TO_SAVE)
    changes = (f"data.folder={photos}", SMALL_TASK, "trainer.progress=false", "trainer.strategy=ddp")
    steps = ("optimiser.steps=2", "validation.every=1")
    words = [sys.executable, str(program), "train", str(ROOT / "configs/smoke.yaml"), "--out", str(out)]
    words += [word for one in (*changes, *steps) for word in ("--set", one)]
    path = os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    run = subprocess.run([*words, "--devices", "2"], env=environment, capture_output=True, text=True)
    assert run.returncode == 0 and run.stderr.count("I see True") == 2, run.stderr
    assert len(run.stdout.splitlines()) == 1 and run.stdout.startswith(str(out)), run.stdout
    for noise in ("sync_dist", "weights_only", "bucket view strides"):
        assert noise not in run.stderr


@pytest.mark.slow
@pytest.mark.timeout(_TIMEOUT)
@pytest.mark.parametrize("begins", ["well", "badly"])
def test_of_processes_that_slurm_starts_one_pretrains(begins: str, photos: Path, tmp_path: Path) -> None:
    """The others wait for it; where it fails, they end too."""
    out = tmp_path / "two"
    steps = (
        _PRETRAINED if begins == "well" else _PRETRAINED.replace("steps: 40", "steps: 2, learning_rate: 1e30")
    )
    changes = (f"data.folder={photos}", SMALL_TASK, "trainer.progress=false", steps, *_STEP)
    words = [sys.executable, _told(tmp_path), "train", str(ROOT / "configs/smoke.yaml"), "--out", str(out)]
    words += [word for one in (*changes, "trainer.strategy=ddp") for word in ("--set", one)]
    path = os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    shared = {"JOB_ID": "1", "JOB_NAME": "training", "NTASKS": "2", "NTASKS_PER_NODE": "2", "NODEID": "0"}
    environment = {
        **os.environ,
        **{f"SLURM_{name}": value for name, value in shared.items()},
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": path,
    }
    runs = []
    for rank in ("0", "1"):
        own = {**environment, "SLURM_PROCID": rank, "SLURM_LOCALID": rank}
        command = [*words, "--devices", "2"]
        runs.append(
            subprocess.Popen(command, env=own, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
    said = [run.communicate(timeout=_TIMEOUT)[1] for run in runs]
    assert [one.count("I pretrain") for one in said] == [1, 0], said
    if begins == "well":
        assert [run.returncode for run in runs] == [0, 0], said
        _check_start(out, photos)
    else:
        assert all(run.returncode for run in runs) and "the pretraining's error" in said[0], said


@pytest.mark.parametrize(
    ("accelerator", "devices", "found"),
    [
        ("cpu", 1, "cpu"),
        ("cuda", "auto", "cuda"),
        ("cuda", 2, "cuda"),
        ("gpu", "1,", "cuda:1"),
        ("cuda", " 2, 3", "cuda:2"),
    ],
)
def test_a_run_without_steps_works_on_the_first_of_its_devices(
    accelerator: str, devices: int | str, found: str
) -> None:
    assert first_device(accelerator, devices) == torch.device(found)
