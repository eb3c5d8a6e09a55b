"""Runs a batch unit over a data set of Ray: from what is read to what is written."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from npp.batch.batch_units import BatchDecoder, BatchEncoder
from npp.batch.manifest import ManifestRow
from npp.integrations.ray import ray_sources as sources
from npp.integrations.ray.ray_attempts import attempt_counter
from npp.integrations.ray.ray_columns import Columns
from npp.integrations.ray.ray_counting import count_rows
from npp.integrations.ray.ray_journal import RunRecord
from npp.integrations.ray.ray_listings import listings_of
from npp.integrations.ray.ray_owners import OwnersOnTheCluster
from npp.integrations.ray.ray_rows import refused
from npp.integrations.ray.ray_run_types import Cluster, OnRow, RaySummary, RunInput, RunOutput
from npp.integrations.ray.ray_sessions import (
    actor,
    connect,
    data_settings,
    require_ray,
    session,
)
from npp.integrations.ray.ray_shared import Probe, chosen
from npp.integrations.ray.ray_sinks import (
    Existing,
    FileSink,
    PartSink,
    Sink,
    TarSink,
    inputs_in_parts,
    parts_in,
)
from npp.integrations.ray.ray_storage import Storage, storage_of
from npp.integrations.ray.ray_tables import Tables, check_apart, find_tables, unreadable_named
from npp.integrations.ray.ray_workers import BatchWorker, Networks, PreparedElsewhere, Unit

_SUFFIXES = {"parquet": ".parquet", "webdataset": ".tar"}


def run(
    unit: BatchEncoder | BatchDecoder,
    run_input: RunInput,
    run_output: RunOutput,
    cluster: Cluster,
    on_row: OnRow | None = None,
) -> Any:
    """Does the work of a unit for all that is given; see :func:`encode`."""
    require_ray()
    tables = None
    if not _is_dataset(run_input.source) and not _are_pictures(run_input.source):
        run_input = replace(
            run_input, source=listings_of(_paths(run_input.source), recursive=run_input.recursive)
        )
        tables = find_tables(run_input.source, run_input.suffixes, run_output.out)
    if run_output.out is None:
        with unreadable_named(tables):
            return _lazy_dataset(unit, run_input, run_output, cluster, tables)
    storage_of(run_output.out).check_folder()
    with session(cluster.address, cluster.workers) as workers, data_settings(), unreadable_named(tables):
        if run_output.format == "files":
            pictures = _pictures(run_input, run_output, tables)
            if pictures is not None:
                return _run_pictures(unit, pictures, run_output, _ActorPool(cluster, workers), on_row)
        return _run_rows(unit, run_input, run_output, _ActorPool(cluster, workers), on_row, tables)


def _paths(source: Any) -> list[str]:
    paths = [source] if isinstance(source, (str, os.PathLike)) else list(source)
    return [os.fspath(path) for path in paths]


def _is_dataset(source: Any) -> bool:
    data: Any = importlib.import_module("ray.data")
    return isinstance(source, data.Dataset)


def _are_pictures(source: Any) -> bool:
    return isinstance(source, Sequence) and bool(source) and isinstance(source[0], sources.Picture)


def _pictures(
    run_input: RunInput, run_output: RunOutput, tables: Tables | None
) -> list[sources.Picture] | None:
    """Files that are pictures by themselves; ``None`` where rows of something are given."""
    if _is_dataset(run_input.source) or tables is not None:
        return None
    if _are_pictures(run_input.source):
        return list(run_input.source)
    return sources.find_pictures(run_input.source, run_input.suffixes, run_output.suffix)


class _ActorPool(NamedTuple):
    """Workers on a cluster, each an actor of Ray.

    Attributes:
        cluster: where they are.
        workers: how many.
        cpus: of each.
    """

    cluster: Cluster
    workers: int
    cpus: float = 1

    def map(
        self,
        dataset: Any,
        unit: Unit,
        sink: Sink | None,
        column: str,
        *,
        batch: int | None,
        done: Any = None,
        result: str = "bpg",
        qps: Any = None,
    ) -> Any:
        """A data set through workers. Ray Data starts dead ones again and repeats their work.

        Args:
            dataset: Ray's.
            unit, sink, column, done, result, qps: as :class:`BatchWorker` takes them.
            batch: rows that a worker gets at a time; ``None`` for those of a block.
        """
        data: Any = importlib.import_module("ray.data")
        arguments = (_with_networks(unit, self.cluster), column, sink, attempt_counter(), done, result, qps)
        return dataset.map_batches(
            BatchWorker,
            fn_constructor_args=arguments,
            batch_format="pyarrow",
            batch_size=batch,
            compute=data.ActorPoolStrategy(
                min_size=1, max_size=self.workers, initial_size=self.workers, max_tasks_in_flight_per_actor=2
            ),
            num_cpus=self.cpus,
        )

    def beside_others(self) -> _ActorPool:
        """As many of them as there may be where other tasks need a CPU at the same time, with its CPUs.

        Tasks that read a data set's rows, or that work on what is made of them, wait for a CPU. If all CPUs
        had a worker, which keeps its own as long as there may be input, nothing would ever be read.
        """
        ray: Any = importlib.import_module("ray")
        spare_cpus = int(ray.cluster_resources().get("CPU", 1)) - 1
        if spare_cpus > 0:
            return self._replace(workers=min(self.workers, spare_cpus))
        return self._replace(workers=1, cpus=0)


def _with_networks(unit: Unit, cluster: Cluster) -> Unit:
    """A unit whose recipe's networks run on GPUs, if there are networks and GPUs."""
    ray: Any = importlib.import_module("ray")
    gpus = int(ray.cluster_resources().get("GPU", 0)) if cluster.gpus is None else cluster.gpus
    if not isinstance(unit, BatchEncoder) or (use := unit.settings.recipe) is None:
        return unit
    if not gpus or not {"filter", "qp_map"} & set(use.used()):
        return unit
    networks = [actor(Networks, use.recipe, num_cpus=0, num_gpus=1) for _ in range(gpus)]
    return elsewhere(unit, networks)


def elsewhere(unit: BatchEncoder, networks: Sequence[Any]) -> BatchEncoder:
    """A unit whose recipe's networks run in actors of :class:`Networks`."""
    use = unit.settings.recipe
    assert use is not None
    recipe = PreparedElsewhere(use.recipe, networks)
    settings = replace(unit.settings, recipe=replace(use, recipe=recipe))
    return BatchEncoder.from_settings(settings, unit.max_pixels)


def _tables(dataset: Any) -> Iterable[Any]:
    """A data set's rows, as they are made."""
    tables: Iterable[Any] = dataset.iter_batches(batch_format="pyarrow", batch_size=None)
    return tables


def _run_record(storage: Storage, run_output: RunOutput) -> RunRecord:
    manifest = None if run_output.manifest is None else Path(run_output.manifest)
    return RunRecord(storage, manifest, run_output.existing)


def _run_pictures(
    unit: Any, pictures: list[sources.Picture], run_output: RunOutput, pool: _ActorPool, on_row: OnRow | None
) -> RaySummary:
    assert run_output.out is not None
    storage = storage_of(run_output.out)
    with _run_record(storage, run_output) as record:
        plan = record.plan(pictures)
        summary = RaySummary(skipped=plan.skipped)
        for row in plan.refused:
            summary.count(row)
        if plan.pictures:
            batch = sources.batch_size(len(plan.pictures), pool.workers)
            dataset = sources.pictures_dataset(plan.pictures, plan.unrecorded, storage, batch)
            sink = FileSink(storage, run_output.existing, record.journals)
            qps = None
            if run_output.sharing is not None:  # over all pictures, also those that a stopped run has done
                batch = sources.batch_size(len(pictures), pool.workers)
                every = sources.pictures_dataset(pictures, (), storage, batch)
                qps = _shared(every, unit, run_output, "", pool)
            results = pool.map(dataset, unit, sink, "", batch=None, qps=qps)
            count_rows(_tables(results), summary, on_row)
        record.conclude(plan.refused)
    return summary


def _shared(dataset: Any, unit: Any, run_output: RunOutput, column: str, pool: _ActorPool) -> Any:
    """A reference to the qps of all inputs, which the first pass over them finds."""
    ray: Any = importlib.import_module("ray")
    if run_output.sharing is None:
        return None
    probe = Probe(unit.settings, run_output.sharing.probing(unit.settings), unit.max_pixels)
    batch = run_output.rows_per_part if column else None
    probed = pool.map(dataset, probe, None, column, batch=batch, result="curve")
    return ray.put(chosen(_tables(probed), run_output.sharing))


def _rows(run_input: RunInput, run_output: RunOutput, tables: Tables | None) -> tuple[Any, bool]:
    """The rows that a run reads.

    Returns:
        A data set with the rows' inputs, the pictures' bytes and all other columns; and whether workers may
        take all CPUs, because no other task reads.
    """
    format_ = None if run_output.out is None else run_output.format
    columns = Columns(run_input.key, run_input.column, run_output.suffix.removeprefix("."), format_)
    early = run_output.out is not None and run_output.existing == "replace"  # which costs earlier results
    if _is_dataset(run_input.source):
        return sources.with_inputs(run_input.source, columns, early=early), False
    if tables is not None and tables.suffix == ".tar":
        return sources.tars_dataset(tables.paths, run_input.suffixes, run_input.column), True
    if tables is not None:
        return sources.parquet_dataset(tables.paths, columns, early=early), False
    pictures = sources.find_pictures(run_input.source, run_input.suffixes, run_output.suffix)
    return sources.pictures_dataset(pictures, (), storage_of("/"), run_output.rows_per_part), True


def _lazy_dataset(
    unit: Any, run_input: RunInput, run_output: RunOutput, cluster: Cluster, tables: Tables | None
) -> Any:
    """The data set with results, which is not worked on before somebody asks for it."""
    workers = connect(cluster.address, cluster.workers)
    with data_settings():
        dataset, _ = _rows(run_input, run_output, tables)
        pool = _ActorPool(cluster, workers).beside_others()
        result = run_output.suffix.removeprefix(".")
        return pool.map(dataset, unit, None, run_input.column, batch=run_output.rows_per_part, result=result)


@dataclass(frozen=True)
class _Rows:
    """Rows on their way through workers.

    Attributes:
        dataset: with the rows' inputs and the pictures' bytes.
        pool: the workers.
        qps: a reference to the qps of all inputs, where they are chosen together.
        tars: what is seen of the tars that the rows come from.
        on_row: called with every row.
        failed: rows of inputs that failed in earlier runs and are not done again.
    """

    dataset: Any
    pool: _ActorPool
    qps: Any
    tars: sources.TarCheck
    on_row: OnRow | None
    failed: Mapping[str, ManifestRow]

    def process(
        self, summary: RaySummary, unit: Any, sink: Sink, column: str, *, batch: int, done: Any = None
    ) -> None:
        """Has a unit's workers write all rows, and counts them."""
        results = self.pool.map(self.dataset, unit, sink, column, batch=batch, done=done, qps=self.qps)
        count_rows(_tables(results), summary, self.on_row, self.tars, self.failed)


def _run_rows(
    unit: Any,
    run_input: RunInput,
    run_output: RunOutput,
    pool: _ActorPool,
    on_row: OnRow | None,
    tables: Tables | None,
) -> RaySummary:
    """Rows of a data set into files, or into parts."""
    assert run_output.out is not None
    storage = storage_of(run_output.out)
    suffix = _SUFFIXES.get(run_output.format, "")
    if tables is not None and tables.suffix == suffix:
        check_apart(tables.paths, run_output.out)
    dataset, all_cpus = _rows(run_input, run_output, tables)  # what it refuses costs no earlier result
    done, failed = _finished_inputs(storage, suffix, run_output.existing) if suffix else (set(), [])
    pool = pool if all_cpus else pool.beside_others()
    tar_paths = tables.paths if tables is not None and tables.suffix == ".tar" else []
    tars = sources.TarCheck(tar_paths, run_input.suffixes)
    qps = _shared(dataset, unit, run_output, run_input.column, pool)
    rows = _Rows(dataset, pool, qps, tars, on_row, {row.input: row for row in failed})
    if run_output.format == "files":
        return _rows_into_files(rows, unit, run_input.column, run_output, storage)
    return _rows_into_parts(rows, unit, run_input.column, run_output, storage, done)


def _rows_into_files(
    rows: _Rows, unit: Any, column: str, run_output: RunOutput, storage: Storage
) -> RaySummary:
    """A file for each row, named after it."""
    summary = RaySummary()
    with _run_record(storage, run_output) as record:
        owners = OwnersOnTheCluster(record.owners(record.resume()))
        named = replace(rows, dataset=sources.with_targets(rows.dataset, run_output.suffix))
        sink = FileSink(storage, run_output.existing, record.journals, owners)
        named.process(summary, unit, sink, column, batch=sources.LARGEST_BATCH // 4)
        record.conclude([])
    rows.tars.conclude()
    return summary


def _rows_into_parts(
    rows: _Rows,
    unit: Any,
    column: str,
    run_output: RunOutput,
    storage: Storage,
    done: set[str],
) -> RaySummary:
    """Files of Parquet or tars with many rows each; those that are ``done`` stay where they are."""
    ray: Any = importlib.import_module("ray")
    summary = RaySummary()
    kind = PartSink if run_output.format == "parquet" else TarSink
    sink = kind(storage, column, run_output.suffix.removeprefix("."))
    rows.process(summary, unit, sink, column, batch=run_output.rows_per_part, done=ray.put(done))
    inputs_in_parts(storage, _SUFFIXES[run_output.format])
    rows.tars.conclude()
    return summary


def _finished_inputs(storage: Storage, suffix: str, existing: Existing) -> tuple[set[str], list[ManifestRow]]:
    """Inputs that need not be done again, and those of them that failed."""
    parts = parts_in(storage, suffix)
    if existing == "skip":
        return inputs_in_parts(storage, suffix)
    if parts and existing == "error":
        raise refused(parts[0])
    for part in parts:
        storage.delete(part)
    return set(), []
