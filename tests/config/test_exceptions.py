"""Exceptions come back whole from other processes and from copies, for pools carry them."""

from __future__ import annotations

import ast
import builtins
import copy
import importlib
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import npp
from npp.gradient.refine_objective import RefineStep

PACKAGE = Path(npp.__file__).parent
#: What is raised with more than a message, as it is raised.
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "ExclusiveSettingsError": (["qp", "lossless"], "qp must not be given"),
    "MissingPackageError": ("a metric", "torchmetrics", ""),
    "TaskError": ("task 1 gave a loss of NaN for picture 2", 1, 2),
    "UnknownSettingError": ("no setting 'b'", ["b"], ["a"]),
}


def _classes() -> Iterator[tuple[str, ast.ClassDef]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(["npp", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        yield from ((module, node) for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def _exceptions() -> list[str]:
    """``module:name`` of all exceptions and warnings, those of C++ too."""
    kinds = {name for name, one in vars(builtins).items() if isinstance(one, type)}
    known = {name for name in kinds if issubclass(getattr(builtins, name), BaseException)}
    known |= {"BPGError", "DecodeError", "EncodeError", "UnsupportedError"}
    found = [f"npp.codec.errors:{name}" for name in sorted(known - kinds)]
    for _ in range(2):  # one may be a kind of another that is found later
        for module, node in _classes():
            if known & {ast.unparse(base).split(".")[-1] for base in node.bases}:
                known.add(node.name)
                found.append(f"{module}:{node.name}")
    return list(dict.fromkeys(found))


def _through_pickle(error: BaseException) -> BaseException:
    return pickle.loads(pickle.dumps(error))


@pytest.mark.parametrize("again", [_through_pickle, copy.deepcopy, copy.copy])
@pytest.mark.parametrize("place", _exceptions())
def test_an_exception_comes_back_whole(place: str, again: Callable[[BaseException], BaseException]) -> None:
    module, _, name = place.partition(":")
    try:
        kind = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        pytest.skip(f"{error.name} is not installed")
    error = kind(*ARGUMENTS.get(name, ("said",)))
    found = again(error)
    assert type(found) is kind and str(found) == str(error) != ""
    assert found.args == error.args and vars(found) == vars(error)


def test_the_history_of_a_refinement_comes_along() -> None:
    error = npp.TaskError("said", 0, 1)
    error.history = [RefineStep(0, *torch.arange(6.0).split(2))]
    for found in (_through_pickle(error), copy.deepcopy(error)):
        assert isinstance(found, npp.TaskError) and (found.task, found.picture) == (0, 1)
        ((step, *values),) = found.history
        assert step == 0 and torch.equal(torch.cat(values), torch.arange(6.0))


def test_all_exceptions_are_looked_at() -> None:
    names = {place.partition(":")[2] for place in _exceptions()}
    assert {*ARGUMENTS, "ConfigError", "TrainingFailedError", "UsageError", "PhotoWarning"} <= names
