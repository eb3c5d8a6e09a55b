"""Standard input, output and error: pipes, terminals, full disks, closed descriptors."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import decoded, encode, files, run
from PIL import Image

import npp
from npp.batch.outcomes import single_line
from npp.cli.streams import console
from npp.evaluation.report_tables import Table


def _pipe(data: bytes, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    return run(*arguments)


def test_standard_input_and_output(
    photo: np.ndarray, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    png = io.BytesIO()
    Image.fromarray(photo).save(png, "PNG")
    encoded = npp.encode(photo, effort=1)
    arguments = ["encode", "-", "-o", "-", "--effort", "1"]
    assert _pipe(png.getvalue(), *arguments, monkeypatch=monkeypatch) == 0
    assert capsysbinary.readouterr().out == encoded
    arguments = ["decode", "-", "-o", "-", "--format", "webp"]
    assert _pipe(encoded, *arguments, monkeypatch=monkeypatch) == 0
    with Image.open(io.BytesIO(capsysbinary.readouterr().out)) as image:
        assert image.format == "WEBP"
        assert np.array_equal(np.asarray(image), decoded(encoded))
    assert _pipe(b"junk", "decode", "-", "-o", "-", monkeypatch=monkeypatch) == 1
    out, err = capsysbinary.readouterr()
    assert out == b""
    assert err.startswith(b"npp: standard input: ")


def test_a_real_pipe(photo: np.ndarray) -> None:
    command = [sys.executable, "-m", "npp", "decode", "-", "-o", "-", "--format", "ppm"]
    encoded = npp.encode(photo, effort=1)
    done = subprocess.run(command, input=encoded, capture_output=True, check=True)
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert np.array_equal(np.asarray(image), decoded(encoded))


def test_a_reader_that_goes_away_is_no_traceback(folder: Path) -> None:
    assert encode("photos", "-r", "-o", "out", "-q") == 0
    command = f"{sys.executable} -m npp info --json out -r | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


@pytest.fixture
def terminal() -> Callable[[list[str]], str]:
    """Runs a command with its standard error on a pseudo-terminal and gives what it wrote there."""

    def run_there(command: list[str]) -> str:
        main, child = os.openpty()
        with subprocess.Popen(command, stderr=child, env={**os.environ, "TERM": "xterm"}) as process:
            os.close(child)
            text = b""
            while True:
                try:
                    part = os.read(main, 4096)
                except OSError:  # the child has closed it
                    break
                if not part:
                    break
                text += part
        os.close(main)
        assert process.returncode == 0
        return text.decode()

    return run_there


def test_progress_bar_is_for_terminals(
    folder: Path, terminal: Callable[[list[str]], str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-m", "npp", "encode", "photos", "--effort", "1"]
    assert "Encoding" in terminal([*command, "-o", "one"])
    assert encode("photos", "-o", "two") == 0
    err = capsys.readouterr().err
    assert "Encoding" not in err
    assert len(err.splitlines()) == 3


def test_bars_of_stages_are_for_terminals_that_are_not_told_to_be_quiet(
    terminal: Callable[[list[str]], str],
) -> None:
    script = (
        "from npp.cli.progress_bars import stage_bars\nwith stage_bars({}) as stage: stage('a stage', 2)(2)"
    )
    assert "a stage" in terminal([sys.executable, "-c", script.format(False)])
    assert terminal([sys.executable, "-c", script.format(True)]) == ""


def _npp(*arguments: str, shell: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own; ``shell`` has redirections."""
    command = " ".join([sys.executable, "-m", "npp", *arguments, shell])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, env=environment
    )


@pytest.mark.parametrize(
    "variables", [{"FORCE_COLOR": "1"}, {"TTY_COMPATIBLE": "1"}, {"TTY_INTERACTIVE": "1"}]
)
def test_log_files_get_no_escape_codes(folder: Path, variables: dict[str, str]) -> None:
    done = _npp("encode", "photos", "-o", "out", "--effort", "1", **variables)
    assert done.returncode == 0
    assert "\x1b" not in done.stderr + done.stdout
    assert len(done.stderr.splitlines()) == 3


@pytest.mark.parametrize(
    ("shell", "reason"),
    [
        ("> /dev/full", "standard output: No space left on device"),
        (">&-", "standard output is closed"),
    ],
)
@pytest.mark.parametrize("command", ["encode photos -o out -q --effort 1", "info a.bpg"])
def test_a_report_that_does_not_arrive_is_a_failure(
    folder: Path, shell: str, reason: str, command: str
) -> None:
    assert encode("photos/a.png", "-o", "a.bpg", "-q") == 0
    done = _npp(*command.split(), "--json", shell=shell)
    assert done.returncode == 1
    assert done.stderr == f"npp: the report is not whole: {reason}\n"


def test_a_report_whose_reader_goes_away(folder: Path) -> None:
    assert encode("photos/a.png", "-o", "a.bpg", "-q") == 0
    for i in range(300):  # a longer report than a pipe holds
        os.link("a.bpg", f"{'x' * 200}{i}.bpg")
    done = _npp("info", "'*.bpg'", "--json", shell="| true; exit ${PIPESTATUS[0]}")
    assert done.returncode == 1
    assert done.stderr == "npp: the report is not whole: standard output: Broken pipe\n"
    done = _npp("info", "'*.bpg'", shell="| true; exit ${PIPESTATUS[0]}")
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("shell", ["> /dev/full", ">&-"])
def test_pictures_and_tables_that_do_not_arrive(folder: Path, shell: str) -> None:
    done = _npp("encode", "photos/a.png", "-o", "-", "--effort", "1", shell=shell)
    assert done.returncode == 1
    assert done.stderr.startswith("npp: photos/a.png: standard output") and done.stderr.count("\n") == 1
    assert encode("photos/a.png", "-o", "a.bpg", "-q") == 0
    done = _npp("info", "a.bpg", shell=shell)
    assert done.returncode == 1
    assert done.stderr.startswith("npp: standard output") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("shell", ["2> /dev/full", "2>&-"])
def test_work_goes_on_when_nobody_hears_of_it(folder: Path, shell: str) -> None:
    done = _npp("encode", "photos", "missing.png", "-o", "out", "--effort", "1", "--json", shell=shell)
    assert done.returncode == 1
    statuses = [report["status"] for report in json.loads(done.stdout)["files"]]
    assert statuses == ["written", "written", "failed"]
    assert files(folder / "out") == ["a.bpg", "b.bpg"]


def test_standard_input_that_is_closed(folder: Path) -> None:
    done = _npp("encode", "-", "-o", "a.bpg", shell="<&-")
    assert done.returncode == 1
    assert done.stderr == "npp: standard input: standard input is closed\n"


def test_names_that_are_no_text(folder: Path) -> None:
    assert encode("photos/a.png", "-o", "a.bpg", "-q") == 0
    os.rename(b"a.bpg", b"\xff.bpg")  # noqa: PTH104
    done = _npp("info", "'*.bpg'")
    assert done.returncode == 0 and "112x80" in done.stdout


def test_names_that_the_output_has_no_letters_for(folder: Path) -> None:
    assert encode("photos/a.png", "-o", "\u00e9.bpg", "-q") == 0
    done = _npp("info", "'*.bpg'", PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and done.stdout.startswith("\\xe9.bpg\n")


def test_names_do_not_steer_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "photos/a\n\x1b[31mred\u2028.png"
    Path(name).write_bytes(Path("photos/a.png").read_bytes())
    assert encode(name, "photos/gone\x1b.png", "-o", "out") == 1
    said = capsys.readouterr().err
    assert r"photos/a\n\x1b[31mred\u2028.png -> out/a\n\x1b[31mred\u2028.bpg" in said
    assert r"npp: photos/gone\x1b.png: No such file" in said and "\x1b" not in said
    assert run("info", "out/a\n\x1b[31mred\u2028.bpg") == 0
    assert capsys.readouterr().out.startswith("out/a\\n\\x1b[31mred\\u2028.bpg\n")
    assert single_line(os.fsdecode(b"\xc3\xa9\xff \xf0\x9f\x90\x99")) == "é\\xff 🐙"


def test_a_table_in_a_pipe_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("wide", ("arm", *"abcdef"), (("x", *["+10.0 % [-11.0, +12.0], overlap 0.55"] * 6),))
    console(stderr=False).print(table.rich())
    assert max(map(len, capsys.readouterr().out.splitlines())) > 6 * 36


def test_ctrl_c_on_the_short_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped() -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr("npp.cli.input_files.read_input", stopped)
    assert run("info", "-") == 130


_STOPPED_AT = """
import os, runpy, signal, sys

class Stopping:
    def find_spec(self, name, path=None, target=None):
        if name == place:
            os.kill(os.getpid(), signal.SIGINT)

place, module, *sys.argv[1:] = sys.argv[1:]
sys.meta_path.insert(0, Stopping())
runpy.run_module(module, run_name="__main__")
"""


_PLACES = ("typer", "npp.cli.process", "npp.cli.quick", "npp.cli.app")


@pytest.mark.parametrize(
    ("module", "place"),
    [("npp", "npp.cli"), *((module, place) for module in ("npp", "npp.cli") for place in _PLACES)],
)
def test_ctrl_c_before_the_work_is_no_traceback(folder: Path, module: str, place: str) -> None:
    words = [sys.executable, "-c", _STOPPED_AT, place, module, "encode", "photos", "-o", "out"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stderr, done.stdout) == (130, "", "")
    assert not Path("out").exists()
