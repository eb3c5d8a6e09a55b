"""A cluster for a run: the one that is there, or one on this machine that ends with the run."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from npp.checks import MOST_PROCESSES
from npp.codec.limits import usable_cores
from npp.extras import require

_OBJECT_STORE = 512 << 20
_BLOCK_BYTES = 16 << 20


def require_ray() -> Any:
    """The module ``ray``, with Ray Data.

    Raises:
        MissingPackageError: it or something that it needs is not installed.
    """
    require("ray.data", "npp.integrations.ray", install="'npp[ray]'")
    return importlib.import_module("ray")


def _check_alone(workers: int | None) -> None:
    """Refuses numbers that are a typing error: Ray starts a process for each CPU that it is told of."""
    most = max(MOST_PROCESSES, usable_cores())
    if workers is not None and workers > most:
        raise ValueError(
            f"workers must be at most {most} where Ray is started on this machine, not {workers}"
        )


def connect(address: str | None, workers: int | None) -> int:
    """Connects this process to a cluster, if it is not yet; gives the number of workers.

    Without an address, and without one in ``RAY_ADDRESS``, Ray is started on this machine: with the cores
    that this process may use, 512 MB for objects, no dashboard, and workers of the usual niceness, as
    ``npp encode`` has it; Ray's own would be 15.

    Args:
        address: of a cluster, as ``ray.init`` takes it.
        workers: at most so many; by default one for each CPU of the cluster.

    Raises:
        ValueError: more workers than a machine can bear, where Ray is started on this one.
    """
    ray = require_ray()
    if not ray.is_initialized():
        address = address or os.environ.get("RAY_ADDRESS")
        arguments: dict[str, Any] = {"address": address}
        if address is None:
            _check_alone(workers)
            os.environ.setdefault("RAY_worker_niceness", "0")
            arguments = {"num_cpus": workers or usable_cores(), "object_store_memory": _OBJECT_STORE}
            arguments["include_dashboard"] = False
        ray.init(**arguments, logging_level="WARNING", log_to_driver=False)
    cpus = int(ray.cluster_resources().get("CPU", 1))
    return max(1, min(workers or cpus, cpus))


@contextmanager
def session(address: str | None, workers: int | None) -> Iterator[int]:
    """Connects to a cluster for a block; gives what :func:`connect` does. An earlier connection stays."""
    ray = require_ray()
    begun = not ray.is_initialized()
    try:
        yield connect(address, workers)
    finally:
        if begun:
            ray.shutdown()


@contextmanager
def data_settings() -> Iterator[None]:
    """Ray Data's settings for a run: small blocks, no progress bars, and functions' own errors."""
    data: Any = importlib.import_module("ray.data")
    context = data.DataContext.get_current()
    settings = {
        "enable_progress_bars": False,
        "print_on_execution_start": False,
        "target_max_block_size": _BLOCK_BYTES,
        "target_min_block_size": 1,
        "raise_original_map_exception": True,  # Ray Data's own says only that a function has failed
    }
    before = {name: getattr(context, name) for name in settings}
    for name, value in settings.items():
        setattr(context, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)


def actor(kind: type, *arguments: Any, **options: Any) -> Any:
    """An actor that is started again where it dies, and whose calls are then made again."""
    ray: Any = importlib.import_module("ray")
    remote_class = ray.remote(kind).options(max_restarts=-1, max_task_retries=-1, **options)
    return remote_class.remote(*arguments)


def beside_the_driver() -> dict[str, Any]:
    """Options of an actor that takes no CPU and stays on the driver's machine if it can."""
    ray: Any = importlib.import_module("ray")
    strategies: Any = importlib.import_module("ray.util.scheduling_strategies")
    node = ray.get_runtime_context().get_node_id()
    return {
        "num_cpus": 0,
        "scheduling_strategy": strategies.NodeAffinitySchedulingStrategy(node, soft=True),
    }
