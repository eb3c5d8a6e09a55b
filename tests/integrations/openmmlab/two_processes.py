"""One of two processes that train together on CPUs: ``python two_processes.py CONFIG FOLDER RANK``."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import torch
from mmcv_stand_in import install

install()

from mmengine.config import Config  # noqa: E402
from mmengine.model import MMDistributedDataParallel  # noqa: E402
from mmengine.registry import MODELS, init_default_scope  # noqa: E402
from mmengine.runner import Runner  # noqa: E402


def main(path: Path, folder: Path, rank: int) -> None:
    """Trains and tests; writes RANK.pt."""
    store = torch.distributed.FileStore(str(folder / "store"), 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    config = Config.fromfile(path)
    init_default_scope("mmpretrain")
    torch.manual_seed(0)
    model = MODELS.build({**config.model, "data_preprocessor": config.data_preprocessor})
    with torch.no_grad():
        for parameter in model.recipe.parameters():
            parameter.add_(0.01 * rank)  # made equal by DDP
    wrapped = MMDistributedDataParallel(model, broadcast_buffers=False)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    qps: list[int] = []
    model.register_forward_hook(
        lambda _, given, found: qps.append(int(found["qp"])) if "qp" in found else None
    )
    known = {name: config[name] for name in inspect.signature(Runner).parameters if name in config}
    known |= {"model": wrapped, "launcher": "pytorch", "experiment_name": f"ddp{rank}", "cfg": config}
    runner = Runner(**known)
    runner.train()
    rates = {name: value for name, value in runner.test().items() if "bpg/" in name}
    end = {name: value.clone() for name, value in model.state_dict().items()}
    torch.save({"start": start, "end": end, "qps": qps, "rates": rates}, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
