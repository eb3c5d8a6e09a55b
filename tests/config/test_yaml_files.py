"""YAML configurations: numbers, variables, overrides, and messages that name the key."""

from __future__ import annotations

import subprocess
from datetime import date
from pathlib import Path

import pytest
import yaml

from npp.config.yaml_files import ConfigError, as_yaml, expand, read_config


def _file(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


def test_numbers_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPP_TEST_DATA", "/photos")
    text = "lr: 1e-4\nsteps: 10\nname: e5x\nlist: [{folder: '${NPP_TEST_DATA}/a'}]\nblur: {25: 0.5}\n"
    config = read_config(_file(tmp_path, text))
    assert config == {
        "lr": 1e-4,
        "steps": 10,
        "name": "e5x",
        "list": [{"folder": "/photos/a"}],
        "blur": {25: 0.5},
    }


@pytest.mark.parametrize(
    ("value", "given", "found"),
    [
        ("", "$NPP_TEST_DATA/a", "/a"),
        ("", "${NPP_TEST_DATA}", ""),
        ("", "${NPP_TEST_DATA:-/photos}/a", "/photos/a"),
        (None, "${NPP_TEST_DATA:-/photos}/a", "/photos/a"),
        (None, "a${NPP_TEST_DATA:-}", "a"),
        ("/own", "${NPP_TEST_DATA:-/photos}/a", "/own/a"),
    ],
)
def test_variables_mean_what_they_mean_to_a_shell(
    value: str | None, given: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NPP_TEST_DATA", raising=False)
    if value is not None:
        monkeypatch.setenv("NPP_TEST_DATA", value)
    shell = subprocess.run(["sh", "-uc", f'printf %s "{given}"'], capture_output=True, text=True, check=True)
    assert expand(given) == found == shell.stdout


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("p$$x/a$$", "p$x/a$"),
        ("$$NPP_TEST_DATA/$NPP_TEST_DATA", "$NPP_TEST_DATA/a$b"),
        ("$${NPP_TEST_DATA}$$$$", "${NPP_TEST_DATA}$$"),
        ("${NPP_NOT_SET:-c$$d}", "c$d"),
        ("5 $ a day", "5 $ a day"),
    ],
)
def test_a_dollar_can_be_written(
    given: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was filled in is not filled in again, by whoever fills in what Python gives."""
    monkeypatch.setenv("NPP_TEST_DATA", "a$b")
    once = read_config(_file(tmp_path, f"a: [{{b: '{given}'}}]"))["a"][0]["b"]
    assert once == expand(given) == found
    assert expand(once) == expand(expand(given)) == found
    assert yaml.safe_load(as_yaml({"a": found})) == {"a": found.replace("$", "$$")}
    assert read_config(_file(tmp_path, as_yaml({"a": [found, 1], "b": {"c": found}}))) == {
        "a": [found, 1],
        "b": {"c": found},
    }


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("~/a", "/home/me/a"),
        ("$NPP_TEST_DATA/a", "/home/me/b/a"),
        ("$~/a", "~/a"),
        ("$~", "~"),
        ("$~no_such_user_here/$$c", "~no_such_user_here/$c"),
        ("./~a", "./~a"),
        ("a$~", "a$~"),
        ("$$~", "$~"),
    ],
)
def test_a_tilde_can_be_written(
    given: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the beginning, where it is the home folder otherwise; a written configuration keeps it."""
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("NPP_TEST_DATA", "~/b")
    once = read_config(_file(tmp_path, f"a: '{given}'"))["a"]
    assert once == expand(given) == expand(once) == expand(expand(given)) == found
    assert read_config(_file(tmp_path, as_yaml({"a": [found], "b": found}))) == {"a": [found], "b": found}


def test_overrides_reach_sections_lists_and_numbered_keys(tmp_path: Path) -> None:
    path = _file(tmp_path, "data: {crop: 224}\narms: [{name: a}, {name: b}]\nblur: {25: 0.5}\nempty:\n")
    sets = ["data.crop=64", "arms.1.name=c", "blur.25=1", "new.deep=[1, 2e-1]", "empty.key=x"]
    assert read_config(path, sets) == {
        "data": {"crop": 64},
        "arms": [{"name": "a"}, {"name": "c"}],
        "blur": {25: 1},
        "empty": {"key": "x"},
        "new": {"deep": [1, 0.2]},
    }


@pytest.mark.parametrize(
    ("text", "sets", "words"),
    [
        ("a: [", [], "is not YAML"),
        ("- a", [], "must hold keys and values"),
        ("a: {b: '${NPP_NOT_SET}'}", [], r"^a\.b: .*NPP_NOT_SET is not set"),
        ("a: {b: 1, c: 2, b: 3}", [], r"has the key 'b' twice in one section"),
        ("codec: {effort: 8}\nseed: 1\ncodec: {tune: ssim}", [], r"has the key 'codec' twice in one section"),
        (
            "a: ~no_such_user_here/x",
            [],
            r"^a: ~no_such_user_here/x: there is no home folder of that user; \$~ stands for ~",
        ),
        ("a: &a [*a]", [], r"run\.yaml refers to itself in line 1"),
        ("b: 1\na: &a\n  c: {d: *a}", [], r"run\.yaml refers to itself in line 2"),
        ("a: " + "[" * 3000, [], r"run\.yaml is nested too deeply"),
        ("a: 1", ["b=&b [*b]"], "^--set b refers to itself in line 1"),
        ("a: 1", ["b=" + "[" * 3000], "^--set b is nested too deeply"),
        ("a: 1", ["b" + ".b" * 3000 + "=1"], r"run\.yaml is nested too deeply after its --set"),
        ("a: 1\nday: 2001-13-40", [], r"run\.yaml is not YAML: '2001-13-40' in line 2 is no timestamp; text"),
        ("2001-13-40: 1", [], r"not YAML: '2001-13-40' in line 1 is no timestamp; text .* needs quotes"),
        ("a: !!bool x", [], r"not YAML: 'x' in line 1 is no bool"),
        ("a: !!timestamp x", [], r"not YAML: 'x' in line 1 is no timestamp"),
        ("a: 0b_", [], r"not YAML: '0b_' in line 1 is no int"),
        ("a: " + "1" * 5000, [], r"not YAML: a str in line 1 is no int"),
        ("a: 1" + ":00" * 200 + ".5", [], r"not YAML: a str in line 1 is no float"),
        ("a: 1", ["b=2001-13-40"], "^--set b is not YAML: '2001-13-40' in line 1 is no timestamp"),
        ("a: 1", ["a"], "needs key=value"),
        ("a: 1", ["a.b=2"], "nothing below"),
        ("a: [1]", ["a.3=2"], "place in a list of 1"),
        ("a: [1]", ["a.²=2"], "² must be a place in a list of 1"),
        ("a: [1]", ["a." + "1" * 5000 + "=2"], "1 must be a place in a list of 1"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str, sets: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_config(_file(tmp_path, text), sets)


@pytest.mark.parametrize("data", ["a: 1".encode("utf-16"), b"a: 1\nb: \x89PNG\xff", b"\x80\x02}q\0."])
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"run\.yaml is not YAML: it is no text in UTF-8, at byte \d"):
        read_config(path)


def test_an_anchor_may_be_used_again(tmp_path: Path) -> None:
    found = read_config(_file(tmp_path, "a: &a [1, 2]\nb: {c: *a, d: [*a, *a]}\nday: 2001-12-31"))
    assert found["b"] == {"c": [1, 2], "d": [[1, 2], [1, 2]]}
    assert found["day"] == date(2001, 12, 31)


def test_patterns_and_merged_sections(tmp_path: Path) -> None:
    text = "base: &base {a: 1, b: 2}\nother:\n  <<: *base\n  b: 3\n"
    found = read_config(_file(tmp_path, text), ["include=*.jpg", "deep.include=*"])
    assert found["other"] == {"a": 1, "b": 3}
    assert found["include"] == "*.jpg" and found["deep"] == {"include": "*"}
