"""The documentation's shell commands do what they say, one after the other, on tiny photos."""

from __future__ import annotations

import shlex
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from doc_pages import PAGES, blocks, name
from doc_shell import run_block
from doc_small import small
from doc_world import make_world, placed

import npp.cli

pytest.importorskip("lightning")  # here, so that its log goes to the stream that stays
pytest.importorskip("jinja2")

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own
WITH_COMMANDS = [page for page in PAGES if blocks(page, "sh")]

#: Programs that are not run, and why.
NOT_RUN = {
    "make": "builds and tests for minutes; test_docs.py looks whether the target is there",
    "pip": "installs packages; test_doc_blocks.py looks whether the extra is there",
    "sudo": "installs system packages",
    "tensorboard": "a server that does not end",
    "sbatch": "hands a script to SLURM",
    "torchrun": "starts processes on two machines; tests/training/test_several_processes.py does so on one",
    "python": "scripts that build or measure for minutes, and those of MMDetection",
    ".venv/bin/python": "tests, and the inventory, which test_inventory.py makes as well",
}
#: Options with which npp is not run, and why.
NOT_RUN_OPTIONS = {
    "--address": "needs a Ray cluster that runs; tests/integrations/test_ray_data.py has one",
}


def _files(page: Path, clone: Path) -> None:
    """Writes the page's files of settings beside the commands that name them."""
    for block in blocks(page, "yaml"):
        if block.file:
            (clone / block.file).write_text(placed(block.code, clone))


def _script(page: Path, clone: Path) -> str:
    """All blocks of a page, as somebody types them into one terminal."""
    return placed("\n".join(block.code for block in blocks(page, "sh")), clone)


def _look_at_output(words: list[str]) -> None:
    """What -o or --out names is there; a part of few files may hold none."""
    for option, value in pairwise(words):
        if option in ("-o", "--out") and "--shard" not in words:
            path = Path(value.replace("%03d", "001"))
            assert path.is_file() or any(path.iterdir()), shlex.join(words)


def _look_at_options(words: list[str], capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Options of a command that is not run are those of its help."""
    with pytest.raises(SystemExit):
        npp.cli.main([words[0], "--help"])
    known = capfd.readouterr().out
    assert all(word in known for word in words if word.startswith("-")), shlex.join(words)
    return 0, ""


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name)
def test_commands_run(
    page: Path,
    tmp_path: Path,
    photo: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    clone = make_world(tmp_path, photo)
    monkeypatch.chdir(clone)
    monkeypatch.setenv("COLUMNS", "120")
    _files(page, clone)

    def command(words: list[str], environment: dict[str, str]) -> tuple[int, str]:
        if any(word in NOT_RUN_OPTIONS for word in words):
            return _look_at_options(words, capfd)
        with monkeypatch.context() as patch, pytest.raises(SystemExit) as ended:
            for key in environment.keys() - {"PATH", "_"}:
                patch.setenv(key, environment[key])
            capfd.readouterr()
            npp.cli.main([*words, *small(words)])
        out, said = capfd.readouterr()
        code = int(ended.value.code or 0)
        assert code == 0, f"npp {shlex.join(words)}: exit code {code}\n{said}"
        _look_at_output(words)
        return code, out

    run_block(_script(page, clone), clone, tmp_path / "talk", command, NOT_RUN)


def test_what_is_not_run_is_on_the_pages(tmp_path: Path) -> None:
    """Neither a program nor an option of the lists above has gone from the pages; most commands are npp's."""
    words: list[str] = []
    counted = 0

    def command(given: list[str], _environment: dict[str, str]) -> tuple[int, str]:
        nonlocal counted
        counted += 1
        words.extend(given)
        return 0, ""

    programs = set()
    (tmp_path / "tests/package").mkdir(parents=True)
    for page in WITH_COMMANDS:
        calls = run_block(_script(page, tmp_path), tmp_path, tmp_path / "talk", command, NOT_RUN)
        programs |= {call.split()[0] for call in calls}
    assert programs == set(NOT_RUN)
    assert set(NOT_RUN_OPTIONS) <= set(words)
    assert counted > 50
