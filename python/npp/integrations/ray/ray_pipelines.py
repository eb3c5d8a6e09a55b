"""What is read, what is written, and the data set between them."""

from __future__ import annotations

import importlib
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from npp.batch.batch_units import BatchDecoder, BatchEncoder
from npp.batch.manifest import ManifestRow
from npp.integrations.ray import ray_sources as sources
from npp.integrations.ray.ray_columns import Columns
from npp.integrations.ray.ray_goals import Cluster, Given, Goal, OnRow, RaySummary
from npp.integrations.ray.ray_journal import RunRecord
from npp.integrations.ray.ray_listings import listings_of
from npp.integrations.ray.ray_owners import OwnersOnTheCluster
from npp.integrations.ray.ray_rows import refused, rows_in
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
from npp.integrations.ray.ray_tries import counter
from npp.integrations.ray.ray_workers import BatchWorker, Networks, PreparedElsewhere, Unit

_SUFFIXES = {"parquet": ".parquet", "webdataset": ".tar"}


def run(
    unit: BatchEncoder | BatchDecoder, given: Given, goal: Goal, cluster: Cluster, on_row: OnRow | None = None
) -> Any:
    """Does the work of a unit for all that is given; see :func:`encode`."""
    require_ray()
    tables = None
    if not _is_dataset(given.source) and not _are_pictures(given.source):
        given = replace(given, source=listings_of(_paths(given.source), recursive=given.recursive))
        tables = find_tables(given.source, given.suffixes, goal.out)
    if goal.out is None:
        with unreadable_named(tables):
            return _lazily(unit, given, goal, cluster, tables)
    storage_of(goal.out).check_folder()
    with session(cluster.address, cluster.workers) as workers, data_settings(), unreadable_named(tables):
        if goal.format == "files":
            pictures = _pictures(given, goal, tables)
            if pictures is not None:
                return _run_pictures(unit, pictures, goal, _ActorPool(cluster, workers), on_row)
        return _run_rows(unit, given, goal, _ActorPool(cluster, workers), on_row, tables)


def _paths(source: Any) -> list[str]:
    paths = [source] if isinstance(source, (str, os.PathLike)) else list(source)
    return [os.fspath(path) for path in paths]


def _is_dataset(source: Any) -> bool:
    data: Any = importlib.import_module("ray.data")
    return isinstance(source, data.Dataset)


def _are_pictures(source: Any) -> bool:
    return isinstance(source, Sequence) and bool(source) and isinstance(source[0], sources.Picture)


def _pictures(given: Given, goal: Goal, tables: Tables | None) -> list[sources.Picture] | None:
    """Files that are pictures by themselves; ``None`` where rows of something are given."""
    if _is_dataset(given.source) or tables is not None:
        return None
    if _are_pictures(given.source):
        return list(given.source)
    return sources.find_pictures(given.source, given.suffixes, goal.suffix)


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
        arguments = (_with_networks(unit, self.cluster), column, sink, counter(), done, result, qps)
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


def _consume(
    tables: Iterable[Any],
    summary: RaySummary,
    on_row: OnRow | None,
    tars: sources.TarCheck | None = None,
    failed: Mapping[str, ManifestRow] | None = None,
) -> None:
    """Counts the rows that workers give; of those about one input only the first is a result.

    Args:
        tables: of rows.
        summary: of what became of them.
        on_row: called with every row that is not left alone.
        tars: is told of every input.
        failed: what earlier runs' parts say of those of their inputs that failed.
    """
    seen: set[str] = set()
    for report in itertools.chain.from_iterable(map(rows_in, tables)):
        is_repeated = report.input in seen
        seen.add(report.input)
        if tars is not None:
            tars.saw(report.input)
        row = report.row
        if is_repeated:
            row = ManifestRow(report.input, None, error="another row has this name, too: give each its own")
        elif row is None:
            row = (failed or {}).get(report.input)
        if row is None or (report.left_alone and row.output is not None):
            summary.skipped += 1
            continue
        summary.count(row)
        if on_row is not None:
            on_row(row)


def _run_pictures(
    unit: Any, pictures: list[sources.Picture], goal: Goal, pool: _ActorPool, on_row: OnRow | None
) -> RaySummary:
    assert goal.out is not None
    storage = storage_of(goal.out)
    with RunRecord(storage, None if goal.manifest is None else Path(goal.manifest), goal.existing) as record:
        plan = record.plan(pictures)
        summary = RaySummary(skipped=plan.skipped)
        for row in plan.refused:
            summary.count(row)
        if plan.pictures:
            batch = sources.batch_size(len(plan.pictures), pool.workers)
            dataset = sources.pictures_dataset(plan.pictures, plan.there, storage, batch)
            sink = FileSink(storage, goal.existing, record.journals)
            qps = None
            if goal.sharing is not None:  # over all pictures, also those that a stopped run has done
                batch = sources.batch_size(len(pictures), pool.workers)
                every = sources.pictures_dataset(pictures, (), storage, batch)
                qps = _shared(every, unit, goal, "", pool)
            results = pool.map(dataset, unit, sink, "", batch=None, qps=qps)
            _consume(_tables(results), summary, on_row)
        record.conclude(plan.refused)
    return summary


def _shared(dataset: Any, unit: Any, goal: Goal, column: str, pool: _ActorPool) -> Any:
    """A reference to the qps of all inputs, which the first pass over them finds."""
    ray: Any = importlib.import_module("ray")
    if goal.sharing is None:
        return None
    probe = Probe(unit.settings, goal.sharing.probing(unit.settings), unit.max_pixels)
    batch = goal.rows_per_part if column else None
    probed = pool.map(dataset, probe, None, column, batch=batch, result="curve")
    return ray.put(chosen(_tables(probed), goal.sharing))


def _rows(given: Given, goal: Goal, tables: Tables | None) -> tuple[Any, bool]:
    """A data set with the rows' inputs and the pictures' bytes, and what else there is.

    And whether workers may take all CPUs, because nobody else reads.
    """
    format_ = None if goal.out is None else goal.format
    columns = Columns(given.key, given.column, goal.suffix.removeprefix("."), format_)
    early = goal.out is not None and goal.existing == "replace"  # which costs earlier results
    if _is_dataset(given.source):
        return sources.with_inputs(given.source, columns, early=early), False
    if tables is not None and tables.suffix == ".tar":
        return sources.tars_dataset(tables.paths, given.suffixes, given.column), True
    if tables is not None:
        return sources.parquet_dataset(tables.paths, columns, early=early), False
    pictures = sources.find_pictures(given.source, given.suffixes, goal.suffix)
    return sources.pictures_dataset(pictures, (), storage_of("/"), goal.rows_per_part), True


def _lazily(unit: Any, given: Given, goal: Goal, cluster: Cluster, tables: Tables | None) -> Any:
    """The data set with results, which is not worked on before somebody asks for it."""
    workers = connect(cluster.address, cluster.workers)
    with data_settings():
        dataset, _ = _rows(given, goal, tables)
        pool = _ActorPool(cluster, workers).beside_others()
        result = goal.suffix.removeprefix(".")
        return pool.map(dataset, unit, None, given.column, batch=goal.rows_per_part, result=result)


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

    def work_off(
        self, summary: RaySummary, unit: Any, sink: Sink, column: str, *, batch: int, done: Any = None
    ) -> None:
        """Has a unit's workers write all rows, and counts them."""
        results = self.pool.map(self.dataset, unit, sink, column, batch=batch, done=done, qps=self.qps)
        _consume(_tables(results), summary, self.on_row, self.tars, self.failed)


def _run_rows(
    unit: Any,
    given: Given,
    goal: Goal,
    pool: _ActorPool,
    on_row: OnRow | None,
    tables: Tables | None,
) -> RaySummary:
    """Rows of a data set into files, or into parts."""
    assert goal.out is not None
    storage = storage_of(goal.out)
    suffix = _SUFFIXES.get(goal.format, "")
    if tables is not None and tables.suffix == suffix:
        check_apart(tables.paths, goal.out)
    dataset, all_cpus = _rows(given, goal, tables)  # what it refuses costs no earlier result
    done, failed = _inputs_done(storage, suffix, goal.existing) if suffix else (set(), [])
    pool = pool if all_cpus else pool.beside_others()
    tar_paths = tables.paths if tables is not None and tables.suffix == ".tar" else []
    tars = sources.TarCheck(tar_paths, given.suffixes)
    qps = _shared(dataset, unit, goal, given.column, pool)
    rows = _Rows(dataset, pool, qps, tars, on_row, {row.input: row for row in failed})
    if goal.format == "files":
        return _rows_into_files(rows, unit, given.column, goal, storage)
    return _rows_into_parts(rows, unit, given.column, goal, storage, done)


def _rows_into_files(rows: _Rows, unit: Any, column: str, goal: Goal, storage: Storage) -> RaySummary:
    """A file for each row, named after it."""
    summary = RaySummary()
    with RunRecord(storage, None if goal.manifest is None else Path(goal.manifest), goal.existing) as record:
        owners = OwnersOnTheCluster(record.owners(record.resume()))
        named = replace(rows, dataset=sources.with_targets(rows.dataset, goal.suffix))
        sink = FileSink(storage, goal.existing, record.journals, owners)
        named.work_off(summary, unit, sink, column, batch=sources.LARGEST_BATCH // 4)
        record.conclude([])
    rows.tars.conclude()
    return summary


def _rows_into_parts(
    rows: _Rows,
    unit: Any,
    column: str,
    goal: Goal,
    storage: Storage,
    done: set[str],
) -> RaySummary:
    """Files of Parquet or tars with many rows each; those that are ``done`` stay where they are."""
    ray: Any = importlib.import_module("ray")
    summary = RaySummary()
    kind = PartSink if goal.format == "parquet" else TarSink
    sink = kind(storage, column, goal.suffix.removeprefix("."))
    rows.work_off(summary, unit, sink, column, batch=goal.rows_per_part, done=ray.put(done))
    inputs_in_parts(storage, _SUFFIXES[goal.format])
    rows.tars.conclude()
    return summary


def _inputs_done(storage: Storage, suffix: str, existing: Existing) -> tuple[set[str], list[ManifestRow]]:
    """Inputs that need not be done again, and those of them that failed."""
    parts = parts_in(storage, suffix)
    if existing == "skip":
        return inputs_in_parts(storage, suffix)
    if parts and existing == "error":
        raise refused(parts[0])
    for part in parts:
        storage.delete(part)
    return set(), []
