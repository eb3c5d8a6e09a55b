"""The documentation's settings run, where they are parts of a file of `npp train` or `npp evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from doc_pages import PAGES, Block, blocks, name
from doc_small import small
from doc_world import make_world

import npp
import npp.cli

pytest.importorskip("lightning")  # here, so that its log goes to the stream that stays
pytest.importorskip("jinja2")

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own

#: Settings that are only read (test_doc_blocks.py does), by their page and a word in them, and why.
NOT_RUN = {
    ("docs/tasks.md", "nanodet"): "files of detectors that are not part of npp",
    ("docs/tasks.md", "my_package"): "a module of the reader's own; tests/tasks/test_builder.py has one",
    ("docs/guides/own-task.md", "my_module"): "the same",
    ("docs/frameworks.md", "mmdet:"): "a detector of MMDetection; tests/integrations/openmmlab has one",
    ("docs/frameworks.md", "transformers:"): "tests/integrations/test_framework_runs.py has such a file",
    (
        "docs/training.md",
        "torchvision:",
    ): "downloads weights; tests/training/test_train_command.py has several tasks",
}
_DATA = {"folder": "photos"}
_FINDER = {"name": "detection", "model": "x", "label": "NanoDet"}


def _reason(page: Path, block: Block) -> list[tuple[str, str]]:
    return [key for key in NOT_RUN if key[0] == name(page) and key[1] in block.code]


def _parts() -> list[Any]:
    """Settings without a file's name; test_doc_commands.py runs those that have one."""
    return [
        pytest.param(block, id=f"{name(page)}-{number}")
        for page in PAGES
        for number, block in enumerate(blocks(page, "yaml"))
        if block.file is None and not _reason(page, block)
    ]


def _whole(values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A file with these settings in it, and the command that takes it."""
    if "arms" not in values and "analysis" not in values:
        task = {"name": "classification", "model": "x"}
        return "train", {
            "data": _DATA,
            "tasks": [task],
            "out": "runs/part",
            "allocator": {"start": "general"},
        } | values
    named = {arm for group in values.get("analysis", {}).get("groups", {}).values() for arm in group}
    blur = {"name": "blur", "codec_of": "bpg", "prefilter": {"blur": 0.5}}
    arms = [{"name": "bpg", "effort": 1}, blur, *({"name": arm, "effort": 2} for arm in sorted(named))]
    return "evaluate", {"data": _DATA, "seen": [_FINDER], "arms": arms, "out": "runs/part"} | values


@pytest.mark.parametrize("block", _parts())
def test_settings_run(
    block: Block, tmp_path: Path, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "efficientnet" in block.code:
        pytest.importorskip("efficientnet_lite_pytorch")
    clone = make_world(tmp_path, photo)
    monkeypatch.chdir(clone)
    (clone / "runs/first").mkdir(parents=True)
    npp.Preprocessor.load("classification").save("runs/first/preprocessor.safetensors")
    command, values = _whole(yaml.safe_load(block.code))
    Path("part.yaml").write_text(yaml.safe_dump(values))
    words = [command, "part.yaml"]
    with pytest.raises(SystemExit) as ended:
        npp.cli.main([*words, *small(words)])
    assert ended.value.code in (0, None)
    made = {path.name for path in Path("runs/part").iterdir()}
    assert made >= (
        {"choice.json"} if "choose" in values else {"summary.json"} if command == "evaluate" else set()
    )


def test_what_is_not_run_is_on_the_pages() -> None:
    found = {key for page in PAGES for block in blocks(page, "yaml") for key in _reason(page, block)}
    assert found == set(NOT_RUN)
    assert len(_parts()) >= 4
