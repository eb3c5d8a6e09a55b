"""How the commands of extras end: one line about what is wrong, and the exit code for it."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import typer

import npp
from npp.cli.run_errors import explained
from npp.evaluation.part_store import PartStore
from npp.photos.finding import PhotoWarning


@pytest.mark.parametrize(
    ("error", "begun", "code", "said"),
    [
        (ValueError("qps must fall"), False, 2, "npp: a.yaml: qps must fall\n"),
        (ValueError("a.yaml: qps must fall"), False, 2, "npp: a.yaml: qps must fall\n"),
        (ValueError("qps must fall"), True, 1, "npp: a.yaml: qps must fall\n"),
        (
            FileNotFoundError(2, "No such file or directory", "b"),
            False,
            2,
            "npp: a.yaml: No such file or directory: b\n",
        ),
        (ArithmeticError("the loss is NaN"), False, 1, "npp: the loss is NaN\n"),
        (KeyboardInterrupt(), True, 130, "npp: stopped; go on there\n"),
    ],
)
def test_every_end_has_its_line_and_its_code(
    error: BaseException, begun: bool, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        pytest.raises(typer.Exit) as ended,
        explained("train", lambda: "go on there", Path("a.yaml"), lambda: begun),
    ):
        raise error
    found = capsys.readouterr()
    assert (ended.value.exit_code, found.out, found.err) == (code, "", said)


def test_a_missing_package_is_named_with_the_commands_extra(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, explained("eval", lambda: ""):
        raise ModuleNotFoundError("No module named 'yaml'", name="yaml")
    assert ended.value.exit_code == 2
    assert capsys.readouterr().err.endswith("pip install 'npp[eval]'\n")


def test_what_libraries_print_is_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    with explained("train", lambda: ""):
        print("from within")
    print("the result")
    assert capsys.readouterr() == ("the result\n", "from within\n")


def test_npps_own_warnings_are_lines_without_its_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = PartStore(tmp_path)
    store.save("a", {"b": 1})
    (damaged,) = tmp_path.glob("*.part")
    warnings.simplefilter("default")
    with explained("eval", lambda: ""):
        for _ in range(2):
            damaged.write_bytes(b"damaged")
            assert store.get_or_make("a", lambda: {"b": 2}) == {"b": 2}
    said = f"npp: {damaged} is damaged; what was in it is measured again\n"
    assert capsys.readouterr().err == said


def test_photos_that_are_left_out_are_said_once_each_and_other_warnings_stay_warnings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def warn() -> None:
        with explained("train", lambda: ""):
            for name in ("a.png", "b.png", "a.png"):
                warnings.warn(PhotoWarning(f"left out: {name}"), stacklevel=1)
            warnings.warn("another one", UserWarning, stacklevel=1)

    with pytest.warns(UserWarning, match="^another one$") as others:
        warn()
    assert len(others) == 1
    assert capsys.readouterr().err == "npp: left out: a.png\nnpp: left out: b.png\n"


def test_warnings_of_torch_keep_their_source(capsys: pytest.CaptureFixture[str]) -> None:
    """Torch's C++ warns as the line of npp that called it."""
    words = "The given NumPy array is not writable (Triggered internally at tensor_numpy.cpp:213.)"
    with pytest.warns(UserWarning, match="not writable"), explained("train", lambda: ""):
        warnings.warn_explicit(words, UserWarning, str(Path(npp.__file__).parent / "photos/loading.py"), 7)
    assert capsys.readouterr().err == ""
