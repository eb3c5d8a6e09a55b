"""Training with several processes, and what goes on with another number of them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_runs import ROOT, SMALL_TASK, smoke, state

from npp.config.yaml_files import ConfigError
from npp.training.training_run import train_recipe

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


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def _machines(photos: Path, out: Path, *changes: str) -> list[str]:
    """What two machines say that train together, each by torchrun as docs/many-machines.md says."""
    port = _free_port()
    settings = [f"data.folder={photos}", SMALL_TASK, "trainer.progress=false", *changes]
    train = ["-m", "npp", "train", str(ROOT / "configs/smoke.yaml"), "--out", str(out)]
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
