"""Tasks by name."""

from __future__ import annotations

import pytest
from task_nets import classifier

from npp.tasks import build_task


def test_unknown_tasks_and_settings_are_named() -> None:
    with pytest.raises(ValueError, match=r"one of classification, detection, .*not 'clasification'"):
        build_task("clasification")
    with pytest.raises(ValueError, match="no setting 'modle'; allowed are model, input"):
        build_task("classification", modle="efficientnet-lite0")
    with pytest.raises(ValueError, match="needs the setting 'model'"):
        build_task("classification")
    with pytest.raises(TypeError, match="model must be a name"):
        build_task("classification", model=3)
    with pytest.raises(TypeError, match=r"must be an npp\.tasks\.Task"):
        build_task("python:npp.tasks:InputFormat")


def test_a_task_of_ones_own_by_name() -> None:
    task = build_task("python:npp.tasks.classification:Classification", model=classifier())
    assert task.name == "classification"
