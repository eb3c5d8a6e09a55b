"""Dataclasses from mappings: what fits, and messages that name the key, the value and what is allowed."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from torch import nn

import npp.checks as checks
from npp.checks import UnknownSettingError
from npp.config.typed import REST, fill, plain, refusal
from npp.config.yaml_files import ConfigError
from npp.evaluation.arms import ArmConfig
from npp.evaluation.judges import JudgeConfig
from npp.tasks import build_task
from npp.training.allocator_config import LabelTaskConfig
from npp.training.parts_config import AllocatorConfig, CodecConfig, PreprocessorConfig, RestorerConfig
from npp.training.train_config import TaskConfig


@dataclass(frozen=True)
class Soft:
    soft: float | dict[int, float]


@dataclass(frozen=True)
class Learned:
    learned: str
    strength: float = 1.0


@dataclass(frozen=True)
class Part:
    name: str
    steps: int = 1
    rate: float = 0.5
    dry: bool = False
    sides: tuple[int, int] = (1, 1)
    filter: Literal["none"] | Soft | Learned | None = None
    range: tuple[int, int] | Literal["all"] | None = None
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict, metadata=REST)

    def __post_init__(self) -> None:
        checks.at_least(self, 0, "steps")
        checks.positive(self, "rate")


#: Keys of a part that are no settings of what it describes.
OWN = "name, steps, rate, dry, sides, filter, range, groups"


@dataclass(frozen=True)
class Whole:
    parts: tuple[Part, ...] = ()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"steps": 2}, r"^parts\[0\]\.name is missing"),
        ({"name": 3}, r"^parts\[0\]\.name must be text, not 3"),
        ({"name": "a", "steps": -1}, r"^parts\[0\]\.steps must be at least 0, not -1"),
        ({"name": "a", "steps": True}, r"^parts\[0\]\.steps must be an integer, not True"),
        ({"name": "a", "rate": "x"}, r"^parts\[0\]\.rate must be a number, not 'x'"),
        ({"name": "a", "rate": float("nan")}, r"^parts\[0\]\.rate must be a finite number above 0, not nan"),
        (
            {"name": "a", "rate": 10**400},
            r"^parts\[0\]\.rate must be a number that a float can hold, not an int",
        ),
        ({"name": "a", "rate": float("inf")}, r"^parts\[0\]\.rate must be a finite number above 0, not inf"),
        ({"name": "a", "dry": 1}, r"^parts\[0\]\.dry must be true or false, not 1"),
        ({"name": "a", "sides": {}}, r"^parts\[0\]\.sides must be a list, not \{\}"),
        ({"name": "a", "sides": [1, 2, 3]}, r"^parts\[0\]\.sides must be a list of 2 entries"),
        (
            {"name": "a", "filter": 5},
            r"^parts\[0\]\.filter must be none or one of soft, learned with its",
        ),
        ({"name": "a", "range": [1]}, r"\.range must be a list of 2 entries or all or null, not \[1\]$"),
        ({"name": "a", "filter": {"sharp": 1}}, r"filter must be none or .* not \{'sharp': 1\}"),
        ({"name": "a", "filter": {"learned": 1}}, r"^parts\[0\]\.filter\.learned must be text, not 1"),
        (
            {"name": "a", "filter": {"soft": {"x": 1}}},
            r"^a key of parts\[0\]\.filter\.soft must be an integer",
        ),
        ({"name": "a", "filter": {"soft": {3: "x"}}}, r"^parts\[0\]\.filter\.soft\.3 must be a number"),
        (
            {"name": "a", "filter": {"learned": "w", "power": 1}},
            r"filter\.power is not known; allowed are learned",
        ),
        ({"name": "a", "groups": {"g": 1}}, r"^parts\[0\]\.groups\.g must be a list, not 1"),
        (5, r"^parts\[0\] must be keys and values, not 5"),
    ],
)
def test_messages_name_the_key(values: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        fill(Whole, {"parts": [values]})


def test_unknown_keys_of_a_file_are_named() -> None:
    with pytest.raises(ConfigError, match=r"^extra is not known; allowed are parts"):
        fill(Whole, {"extra": 0})


def test_what_comes_out_goes_in_again() -> None:
    given = {"name": "a", "filter": {"soft": {3: 1}}, "groups": {"g": ["x", "y"]}, "own": [1, {"deep": None}]}
    part = fill(Part, given)
    assert (
        part.filter == Soft({3: 1.0})
        and part.groups == {"g": ("x", "y")}
        and part.settings == {"own": given["own"]}
    )
    assert fill(Part, plain(part)) == part
    assert fill(Part, {"name": "a", "filter": {"learned": "w"}}).filter == Learned("w")
    assert fill(Part, {"name": "a", "filter": "none"}).filter == "none"


@pytest.mark.parametrize(
    ("settings", "words", "beside"),
    [
        ({"modle": 3}, "task 'match' has no setting 'modle'; allowed are model", f", and beside these {OWN}"),
        ({"model": nn.Flatten(), "input": {"sice": 3}}, "input has no setting 'sice'; allowed are mean", ""),
    ],
)
def test_the_sections_own_keys_are_allowed_beside_a_parts_settings(
    settings: dict[str, Any], words: str, beside: str
) -> None:
    """Not where it was something further down that did not know a setting."""
    with pytest.raises(UnknownSettingError, match=words) as refused:
        build_task("match", **settings)
    listed, meant, guess = str(refused.value).partition("; did you mean")
    assert refusal(refused.value, Part("a", settings=settings)) == f"{listed}{beside}{meant}{guess}"


def test_a_message_guesses_what_was_meant() -> None:
    """Of a section's own keys and of a part's, and only what is like it."""
    with pytest.raises(ConfigError, match=r"^parst is not known; allowed are parts; did you mean 'parts'\?$"):
        fill(Whole, {"parst": 0})
    with pytest.raises(UnknownSettingError, match=r"'modle'; allowed are .*; did you mean 'model'\?$"):
        build_task("match", modle=3)
    for settings, guess in (({"nmae": 1}, "; did you mean 'name'?"), ({"qqq": 1}, "")):
        with pytest.raises(UnknownSettingError) as refused:
            build_task("match", **settings)
        said = refusal(refused.value, Part("a", settings=settings))
        assert said.endswith(f", and beside these {OWN}{guess}")


def test_other_errors_are_told_as_they_are() -> None:
    error = ValueError("this setting is wrong; allowed are others")
    assert refusal(error, Part("a")) == str(error)


def test_an_unknown_setting_comes_back_from_another_process() -> None:
    with pytest.raises(UnknownSettingError) as refused:
        checks.check_known_settings("no setting", ["b", "a", "d", "c"], ["a", "c"])
    again = pickle.loads(pickle.dumps(refused.value))
    assert str(again) == "no setting 'b'; allowed are a, c"
    assert (again.names, again.allowed) == (["b", "d"], ("a", "c"))
    assert isinstance(again, TypeError) and isinstance(again, ValueError)


@dataclass(frozen=True)
class _Numbered:
    whole: dict[int, int] = field(default_factory=dict)
    soft: Literal["best"] | float | dict[float, float] = "best"
    named: dict[str, int] = field(default_factory=dict)


def test_digits_are_a_key_where_keys_are_numbers() -> None:
    """A --set that adds an entry has no other word for a number; names of digits stay names."""
    given = {"whole": {"44": 1, 3: 2}, "soft": {"37": 0.5}, "named": {"5": 1}}
    found = fill(_Numbered, given)
    assert found == _Numbered({44: 1, 3: 2}, {37.0: 0.5}, {"5": 1})
    with pytest.raises(ConfigError, match=r"^a key of whole must be there once, not twice as 44$"):
        fill(_Numbered, {"whole": {"44": 1, 44: 2}})
    for wrong in ("4x", "-4", "²", "1" * 5000):
        with pytest.raises(ConfigError, match=r"^a key of whole must be an integer, not '"):
            fill(_Numbered, {"whole": {wrong: 1}})


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (TaskConfig, "settings"),
        (LabelTaskConfig, "settings"),
        (JudgeConfig, "settings"),
        (ArmConfig, "options"),
        (PreprocessorConfig, "settings"),
        (AllocatorConfig, "settings"),
        (RestorerConfig, "settings"),
        (CodecConfig, "options"),
    ],
)
def test_keywords_of_a_section_are_told_where_they_go(kind: Any, field: str) -> None:
    said = rf"^{kind.__name__} has no argument 'model'; further keys go into {field}=\{{'model': 'onnx:a'\}}$"
    with pytest.raises(TypeError, match=said):
        kind(model="onnx:a")
    needed = {"name": "one"} if "name" in kind.__dataclass_fields__ else {}
    assert getattr(fill(kind, {**needed, "bit_depth": 10}), field) == {"bit_depth": 10}
