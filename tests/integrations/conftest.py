"""Commands on a folder of pictures or for somebody's network."""

from __future__ import annotations

import pytest
from framework_commands import BuiltTasks
from picture_folder import folder

__all__ = ["built", "folder"]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> BuiltTasks:
    """Watches the tasks that commands make."""
    return BuiltTasks(monkeypatch)
