"""The command as a whole: help, versions, missing packages, a run that is stopped."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import encode, files, run
from PIL import Image

import npp
import npp.cli
from npp.batch.manifest import read_manifest, write_manifest
from npp.cli.app import app
from npp.cli.command_table import COMMANDS, help_text


def test_typers_own_usage_errors_have_the_same_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("encode", "a.png") == 2
    assert run("encode", "a.png", "-o", "b.bpg", "--quality", "3") == 2
    assert run("nonsense") == 2
    assert "No such command" in capsys.readouterr().err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"npp {npp.__version__}\n"
    for command in ([], ["encode"], ["decode"], ["info"]):
        assert run(*command, "--help") == 0
        assert "Exit code: 0 all" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_leaves_whole_files_only(folder: Path, number: signal.Signals) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8))
    Path("many").mkdir()
    picture.save("many/0.png", compress_level=1)
    for i in range(1, 40):
        os.link("many/0.png", f"many/{i}.png")
    # A shell that starts the tests in the background leaves SIGINT ignored, and children inherit that.
    script = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    script += "from npp.cli import main; main()"
    command = [sys.executable, "-c", script, "encode", "many", "-o", "out", "--qp", "5", "--threads", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "->" in process.stderr.readline()
        process.send_signal(number)
        rest = process.stderr.read()
    assert process.returncode in ((130, 1) if number == signal.SIGINT else (143,))
    assert "Traceback" not in rest
    written = files(folder / "out")
    assert 1 <= len(written) < 40
    for name in written:
        assert name.endswith(".bpg")
        npp.decode((folder / "out" / name).read_bytes())


def test_a_second_ctrl_c_leaves_at_once(folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3000, 3000, 3), dtype=np.uint8)
    Path("two").mkdir()
    Image.fromarray(noise[:32, :32]).save("two/a.png")
    Image.fromarray(noise).save("two/b.png", compress_level=1)
    script = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    script += "from npp.cli import main; main()"
    options = ["-o", "out", "--qp", "0", "--effort", "9", "--threads", "1"]
    command = [sys.executable, "-c", script, "encode", "two", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "a.png ->" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert "Ctrl-C again leaves at once" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == ""
    assert process.returncode == 130
    assert files(folder / "out") == ["a.bpg"]


def test_ctrl_c_ends_verify_with_the_file_that_is_looked_at(folder: Path) -> None:
    """Files that nobody has begun with are not looked at any more."""
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), dtype=np.uint8)
    Path("large.bpg").write_bytes(npp.encode(noise, 0, effort=0))
    assert run("encode", "photos/a.png", "-o", "out/", "--manifest", "m.jsonl", "--effort", 0, "-q") == 0
    (row,) = read_manifest("m.jsonl")
    file = Path("large.bpg").read_bytes()
    large = replace(row, output="large.bpg", bytes=len(file), checksum=hashlib.sha256(file).hexdigest())
    gone = replace(row, input="gone", output="gone.bpg")
    write_manifest("m.jsonl", [gone, *(replace(large, input=f"{i}") for i in range(500))])
    script = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    script += "from npp.cli import main; main()"
    command = [sys.executable, "-c", script, "verify", "m.jsonl", "--threads", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "gone.bpg" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert "are being worked on are finished" in process.stderr.readline()
        process.stderr.read()
    assert process.returncode == 130


@pytest.mark.parametrize("module", ["typer", "rich"])
def test_without_the_extra(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith(("npp.cli", module))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    assert run("--version") == 2
    said = f"npp: the command line needs the package {module}: pip install 'npp[cli]'\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["info", "photo.bpg"], ["info", "--json", "."]]
)
def test_what_is_asked_most_often_needs_neither_torch_nor_typer(folder: Path, arguments: list[str]) -> None:
    encode("photos/a.png", "-o", "photo.bpg")
    script = f"""
import sys
from npp.cli import main
try:
    main({arguments})
except SystemExit as stop:
    assert stop.code == 0
print(sorted({{"torch", "numpy", "PIL", "rich", "typer"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_short_way_and_typers_say_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encode("photos/a.png", "-o", "photo.bpg")
    capsys.readouterr()
    for arguments in (["--help"], ["--version"], ["info", "photo.bpg"], ["info", "missing.bpg", "--json"]):
        codes, texts = [], []
        for way in (npp.cli.main, app):
            with pytest.raises(SystemExit) as stop:
                way(arguments)
            codes.append(stop.value.code)
            texts.append(capsys.readouterr())
        assert codes[0] == codes[1] and texts[0] == texts[1]
    assert run("--help") == 0
    assert capsys.readouterr().out == help_text()


def test_the_list_of_commands_says_what_they_say(capsys: pytest.CaptureFixture[str]) -> None:
    for name, place in COMMANDS.items():
        assert run(name, "--help") == 0
        said = " ".join(capsys.readouterr().out.split())
        assert place.about.split(" (needs")[0].removesuffix(".") in said


def test_the_library_does_not_import_the_command_line() -> None:
    names = {"typer", "rich", "npp.cli", "npp.pillow"}
    script = f"import sys, npp; print({names} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_installed_command(folder: Path) -> None:
    command = Path(sys.executable).with_name("npp")
    if not command.exists():
        pytest.skip("npp is not installed as a command here")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"npp {npp.__version__}\n"


@pytest.mark.parametrize("command", [[], ["encode"], ["train"], ["train", "proxy"], ["evaluate"]])
def test_both_ways_to_ask_for_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    texts = []
    for switch in ("-h", "--help"):
        assert run(*command, switch) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != ""
