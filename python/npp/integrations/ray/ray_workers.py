"""What runs on the machines of a cluster: workers with the codec, and networks on GPUs."""

from __future__ import annotations

import importlib
import multiprocessing
import pickle
import random
from collections.abc import Container, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol

import torch
from torch import Tensor
from typing_extensions import override

from npp.batch.existing_results import existing_file
from npp.batch.manifest import ManifestRow
from npp.batch.outcomes import FileResult
from npp.integrations.ray.ray_columns import (
    EARLIER_RESULT,
    ERROR,
    INPUT,
    PATH,
    from_text,
    name_at,
    names_in,
    written_by_npp,
)
from npp.integrations.ray.ray_rows import rows_table
from npp.integrations.ray.ray_sinks import Sink, batch_name, with_results
from npp.integrations.ray.ray_storage import read_anything
from npp.recipes.parts import CodecInput, Parts
from npp.recipes.recipe import Recipe

_ATTEMPTS_TOGETHER = 2  # of a batch as a whole; after them each picture has a process of its own


class Unit(Protocol):
    """A batch unit, as far as a worker needs it."""

    def one(self, data: bytes, /) -> FileResult:
        """The result for one file; what goes wrong is told in it."""


class Networks:
    """A recipe's filter and allocator on a device, for the workers that have none.

    Args:
        recipe: its networks are used, its codec options are not.
        device: by default the GPU.
    """

    def __init__(self, recipe: Recipe, device: str = "cuda") -> None:
        self._recipe, self._device = recipe.to(device).eval(), device

    @torch.inference_mode()
    def prepare(self, x: Any, qp: int, parts: Parts) -> tuple[Any, Any]:
        """Does what :meth:`npp.Recipe.prepare` does, on the device, and gives arrays back."""
        ready = self._recipe.prepare(torch.from_numpy(x).to(self._device), qp, parts)
        return _array(ready.x), None if ready.qp_map is None else _array(ready.qp_map)


def _array(x: Tensor) -> Any:
    return x.float().cpu().numpy()


class PreparedElsewhere(Recipe):
    """A recipe whose networks run in actors of :class:`Networks`; everything else it does itself.

    Args:
        recipe: the whole recipe.
        networks: the actors; each picture goes to one of them.
    """

    def __init__(self, recipe: Recipe, networks: Sequence[Any]) -> None:
        super().__init__(recipe.name, scale=recipe.scale, options=recipe.options, qp=recipe.qp)
        self._networks = list(networks)

    @override  # everything that a recipe does with pictures comes through here
    def _prepared(self, x: Tensor, qp: int, parts: Parts) -> CodecInput:
        ray: Any = importlib.import_module("ray")
        arrays = ray.get(random.choice(self._networks).prepare.remote(x.numpy(), qp, parts))
        # Arrays from Ray's memory cannot be written to.
        ready, qp_map = (None if array is None else torch.from_numpy(array.copy()) for array in arrays)
        assert ready is not None
        return CodecInput(ready, qp_map)


class BatchWorker:
    """Works on batches of rows with inputs, and the pictures' bytes in ``column`` or else their paths.

    Args:
        unit: what becomes of a picture.
        column: with the pictures' bytes.
        sink: where results go; ``None`` gives them back in the rows.
        attempts: what :func:`npp.integrations.ray.ray_attempts.attempt_counter` gives.
        done: a reference to the set of inputs that are not to be done again.
        result: what the results' column is called where there is no sink.
        qps: a reference to :class:`npp.integrations.ray.ray_shared.SharedQps`, for a unit that takes them.
    """

    def __init__(
        self,
        unit: Unit,
        column: str,
        sink: Sink | None,
        attempts: Any,
        done: Any = None,
        result: str = "bpg",
        qps: Any = None,
    ) -> None:
        self._ray: Any = importlib.import_module("ray")
        torch.set_num_threads(1)
        self._unit, self._column, self._sink, self._attempts = unit, column, sink, attempts
        self._done: set[str] = set() if done is None else self._ray.get(done)
        self._result = result
        self._qps: Any = None if qps is None else self._ray.get(qps)

    def __call__(self, table: Any) -> Any:
        """A batch; gives a table of manifest rows, or without a sink the batch with its results."""
        done = [name for name in names_in(table, INPUT) if name in self._done]
        if done:
            table = _rows_but(table, self._done)
        inputs = names_in(table, INPUT)
        batch = batch_name(inputs)
        earlier: dict[str, ManifestRow] = {}
        left_alone: dict[str, ManifestRow] = {}
        if self._sink is not None and inputs:
            earlier = self._sink.earlier(batch, table)
            left_alone = self._sink.left_alone(batch, _rows_but(table, earlier))
        todo = _rows_but(table, {**earlier, **left_alone})
        results = self._results(batch, todo) if len(todo) else []
        if self._sink is None:
            rows = [ManifestRow.of(name, name, result) for name, result in zip(inputs, results, strict=True)]
            return with_results(table, rows, results, self._column, self._result)
        rows = [earlier[name] for name in inputs if name in earlier]
        if len(todo):
            rows += self._sink.take(batch, todo, results)
        existing = _inputs_with_earlier_results(table)
        before = [row for row in rows if row.input in existing]
        before += [left_alone[name] for name in inputs if name in left_alone]
        return rows_table([row for row in rows if row.input not in existing], before, done)

    def _results(self, name: str, table: Any) -> list[FileResult]:
        attempt = self._ray.get(self._attempts.begin.remote(name))
        if attempt > _ATTEMPTS_TOGETHER:
            results = self._apart(table)
        else:
            results = [self._result_at(self._unit, table, row) for row in range(len(table))]
        self._attempts.end.remote(name)
        return results

    def _result_at(self, unit: Any, table: Any, row: int) -> FileResult:
        try:
            return result_of(unit, *self._arguments(table, row))
        except Exception as error:  # a picture that cannot be read
            return FileResult.failed(error)

    def _arguments(self, table: Any, row: int) -> tuple[bytes, str | None, int | None]:
        """A picture's bytes; the name of the earlier result that they are, if any, else its qp."""
        data, earlier_result = self._picture(table, row)
        qp = None if earlier_result is not None or self._qps is None else self._qps.of(_input_at(table, row))
        return data, earlier_result, qp

    def _picture(self, table: Any, row: int) -> tuple[bytes, str | None]:
        """A picture's bytes, and the name of the earlier result that they are, if any."""
        earlier_result = name_at(table, EARLIER_RESULT, row)
        if self._column in table.column_names:
            data = table[self._column][row].as_py()
            if data is None and (error := _known_error(table, row)) is not None:
                raise ValueError(error)
            if not isinstance(data, bytes):
                raise TypeError(
                    f"column {self._column} must hold the bytes of files, not {type(data).__name__}"
                )
            return data, earlier_result
        path = earlier_result or name_at(table, PATH, row) or _input_at(table, row)
        return read_anything(path), earlier_result

    def _apart(self, table: Any) -> list[FileResult]:
        """Each picture in a process of its own, which it may take down."""
        results: list[FileResult] = []
        context = multiprocessing.get_context("spawn")
        cloudpickle: Any = importlib.import_module("ray.cloudpickle")  # as Ray has brought the unit here
        unit: bytes = cloudpickle.dumps(self._unit)
        pool: ProcessPoolExecutor | None = None
        for row in range(len(table)):
            try:
                arguments = self._arguments(table, row)
                pool = pool or ProcessPoolExecutor(1, mp_context=context)
                results.append(pool.submit(_unpacked, unit, *arguments).result())
            except BrokenProcessPool:
                pool = None
                results.append(FileResult.failed("the process that worked on it has died, as it did before"))
            except Exception as error:
                results.append(FileResult.failed(error))
        if pool is not None:
            pool.shutdown()
        return results


def _inputs_with_earlier_results(table: Any) -> set[str]:
    """Inputs that have an earlier run's result, which only needs a row in the manifest."""
    if EARLIER_RESULT not in table.column_names:
        return set()
    rows = zip(names_in(table, INPUT), table[EARLIER_RESULT].to_pylist(), strict=True)
    return {name for name, result in rows if result is not None}


def _input_at(table: Any, row: int) -> str:
    return from_text(table[INPUT][row].as_py())


def _known_error(table: Any, row: int) -> str | None:
    """Why a row has no picture: its tar cannot be read, or it failed in an earlier run."""
    columns = table.column_names
    column = ERROR if ERROR in columns else "error" if written_by_npp(columns) else None
    error: str | None = None if column is None else table[column][row].as_py()
    return error


def _rows_but(table: Any, inputs: Container[str]) -> Any:
    """A table's rows without those about some inputs."""
    pa: Any = importlib.import_module("pyarrow")
    rows = [row for row, name in enumerate(names_in(table, INPUT)) if name not in inputs]
    return table.take(pa.array(rows, pa.int64()))  # an empty list alone would have no type


def _unpacked(unit: bytes, data: bytes, earlier_result: str | None, qp: int | None) -> FileResult:
    return result_of(pickle.loads(unit), data, earlier_result, qp)


def result_of(unit: Any, data: bytes, earlier_result: str | None, qp: int | None) -> FileResult:
    """What becomes of a picture.

    Args:
        unit: a batch unit.
        data: the bytes of the picture, or of the earlier result.
        earlier_result: its name, where there is one; what is known about it is the result.
        qp: for a unit that takes one.
    """
    if earlier_result is not None:
        return existing_file(earlier_result, lambda: data)
    result: FileResult = unit.one(data) if qp is None else unit.one(data, qp)
    return result
