"""Checks of numbers: what is not finite is no number that a setting may have."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from npp import checks
from npp.evaluation.block_maps import GradientMapConfig
from npp.gradient.surrogates.hyperprior import HyperpriorConfig
from npp.integrations.ray.ray_run_types import Cluster, RunOutput
from npp.tasks.cell_format import CellFormat
from npp.tasks.input_format import InputFormat
from npp.training.allocator_config import DistilSettings
from npp.training.allocator_labels import LabelSettings
from npp.training.parts_config import CodecConfig
from npp.training.train_config import OptimiserConfig, TrainerConfig

NO_NUMBERS = [math.nan, math.inf, -math.inf, 10**400, True, "2", 2j, [2]]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: str(value)[:9])
@pytest.mark.parametrize("low", [-math.inf, -5, 1])
def test_what_is_not_finite_is_neither_at_least_nor_above_anything(value: Any, low: float) -> None:
    owner = SimpleNamespace(first=7, second=value)
    from_low, above = (f" from {low:g} on", f" above {low:g}") if math.isfinite(low) else ("", "")
    with pytest.raises(ValueError, match=f"^second must be a finite number{from_low}, not "):
        checks.at_least(owner, low, "first", "second")
    with pytest.raises(ValueError, match=r"^second must be a finite number above 0, not "):
        checks.positive(owner, "first", "second")
    with pytest.raises(ValueError, match=f"^second must be a finite number{above}, not "):
        checks.number_above("second", value, low)
    with pytest.raises(ValueError, match=f"^second must be a finite number{from_low}, not "):
        checks.number("second", value, low, math.inf)


def test_the_end_is_at_least_itself_and_not_above_itself() -> None:
    owner = SimpleNamespace(first=1, second=1.5, third=0.9999, none=None)
    checks.at_least(owner, 1, "first", "second", "none")
    with pytest.raises(ValueError, match=r"^third must be at least 1, not 0\.9999$"):
        checks.at_least(owner, 1, "first", "third")
    owner.nothing = 0
    checks.positive(owner, "first", "second", "third")
    with pytest.raises(ValueError, match=r"^nothing must be above 0, not 0$"):
        checks.positive(owner, "second", "nothing")
    with pytest.raises(ValueError, match=r"^none must be a finite number above 0, not None$"):
        checks.positive(owner, "none")
    assert checks.number_above("first", 1, 0.5) == 1.0


@pytest.mark.parametrize(
    ("make", "values"),
    [
        (lambda **values: GradientMapConfig("judge", **values), {"draws": 2}),
        (HyperpriorConfig, {"width": 8, "latent": 8, "stages": 2}),
        (Cluster, {"workers": 2, "gpus": 1}),
        (lambda **values: RunOutput("out", **values), {"rows_per_part": 3}),
        (CellFormat, {"limit": 7}),
        (InputFormat, {"multiple": 32}),
        (lambda **values: InputFormat(resize="crop", size=(8, 8), **values), {"crop_from": 9}),
        (DistilSettings, {"kept": 1, "wholes": 2, "checkpoint_every": 3, "seed": 4}),
        (LabelSettings, {"count": 1, "size": 64, "shard": 2, "draws": 2, "effort": 3, "seed": 4}),
        (LabelSettings, {"longest": (64, 96), "qps": (20, 40)}),
        (CodecConfig, {"threads": 2, "recipe_effort": 3}),
        (OptimiserConfig, {"batch": 2, "steps": 3, "warmup": 1}),
        (TrainerConfig, {"log_every": 2, "parts": 2}),
    ],
)
def test_numpys_integers_become_pythons(make: Callable[..., Any], values: dict[str, Any]) -> None:
    """JSON and YAML have no form for others."""
    made = make(**{name: _of_numpy(value) for name, value in values.items()})
    assert json.dumps({name: getattr(made, name) for name in values}) == json.dumps(values)


def _of_numpy(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_of_numpy, value))
    return np.int64(value) if isinstance(value, int) else value


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (2.0, TypeError, "jobs must be an integer or None, not 2.0"),
        (True, TypeError, "jobs must be an integer or None, not True"),
        (0, ValueError, "jobs must be at least 1 or None, not 0"),
        (9, ValueError, "jobs must be at most 8 or None, not 9"),
    ],
)
def test_what_is_no_integer_is_another_kind_of_error_than_one_out_of_range(
    value: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as wrong:
        checks.typed_whole("jobs", value, 1, 8, " or None")
    assert type(wrong.value) is error and str(wrong.value) == message
    assert type(checks.typed_whole("jobs", np.int64(8), 1, 8)) is int


@pytest.mark.parametrize("given", [(40, 30), (0, 52), (-1, 3), (20.5, 40), (1, 2, 3), None, (True, 3)])
def test_bounds_of_qps_are_two_rising_ones(given: Any) -> None:
    assert checks.lowest_and_highest_qp("qps", (30, 30), "30") == (30, 30)
    with pytest.raises(
        ValueError, match=r"^qps must be the lowest and the highest, integers from 0 to 51, not"
    ):
        checks.lowest_and_highest_qp("qps", given, given)


def test_a_qp_is_an_integer_for_the_codec_and_a_number_for_networks() -> None:
    assert checks.whole_qp("qp", 51) == 51 and checks.fractional_qp("qp", 30.5) == 30.5
    with pytest.raises(ValueError, match=r"^qp must be an integer from 0 to 51, not 30\.5$"):
        checks.whole_qp("qp", 30.5)
    with pytest.raises(ValueError, match=r"^qp must be a number from 0 to 51, not 51\.5$"):
        checks.fractional_qp("qp", 51.5)
