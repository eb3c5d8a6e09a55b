"""Scripts that people run say what they do when asked for help, and do nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("benchmarks", "docs", "docs/drawings", "examples", "packaging", "tools")
SCRIPTS = [
    path.relative_to(ROOT).as_posix()
    for folder in FOLDERS
    for path in sorted((ROOT / folder).glob("*.py"))
    if "__main__" in path.read_text(encoding="utf-8")
]

# All scripts in one process, which loads torch once. What a script makes, removes, or opens to write is noted
# while it runs by itself: files of the repository could be written anew with what they had.
ALL = """
import contextlib, importlib, io, json, os, runpy, sys
import npp._bpg  # an editable installation is brought up to date when its extension is first imported

root, *scripts = sys.argv[1:]
acts = {"os.mkdir", "os.remove", "os.rename", "shutil.rmtree"}
done = []

def note(event, arguments):
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if (writes or event in acts) and isinstance(arguments[0], str):
        place = os.path.abspath(arguments[0])
        if place.startswith((root + os.sep, os.getcwd() + os.sep)):
            done.append(f"{event} {place}")

sys.dont_write_bytecode = True
sys.addaudithook(note)
found = {}
for script in scripts:
    before = set(sys.modules)
    sys.argv, sys.path[0] = [script, "--help"], os.path.dirname(os.path.join(root, script))
    said, status = io.StringIO(), "it went on"
    done.clear()
    try:
        with contextlib.redirect_stdout(said):
            runpy.run_path(os.path.join(root, script), run_name="__main__")
    except SystemExit as stop:
        status = stop.code
    except BaseException as error:
        status = repr(error)
    for name in set(sys.modules) - before:  # two folders may have modules of one name
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(sys.path[0]):
            del sys.modules[name]
    found[script] = [status or 0, said.getvalue(), list(done)]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def helped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[object, str, list[str]]]:
    """By script: its exit status, what it printed, and which files it touched, with ``--help``."""
    folder = tmp_path_factory.mktemp("empty")
    command = [sys.executable, "-W", "ignore", "-c", ALL, str(ROOT), *SCRIPTS]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []
    found: dict[str, tuple[object, str, list[str]]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_asked_for_help_gives_it_and_does_nothing(
    script: str, helped: dict[str, tuple[object, str, list[str]]]
) -> None:
    status, said, touched = helped[script]
    assert status == 0
    assert said.startswith("usage: ")
    assert touched == []
