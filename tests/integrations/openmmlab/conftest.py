"""Tests with MMDetection and MMPretrain, skipped where they are absent: `make test-frameworks` has them."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pytest

for package in ("mmengine", "mmcv", "mmdet", "mmpretrain", "pycocotools"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed", allow_module_level=True)

from mmcv_stand_in import install  # noqa: E402

HERE = Path(__file__).parent

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what these packages do is not ours to mend
    install()
    import mmdet.datasets
    import mmdet.models  # noqa: F401
    import mmpretrain.datasets
    import mmpretrain.models  # noqa: F401
    from small_openmmlab import write_classes, write_coco


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Nor when they are run."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.fixture(scope="session")
def coco(photo: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures with boxes."""
    return write_coco(photo, tmp_path_factory.mktemp("coco") / "data")


@pytest.fixture(scope="session")
def classes(photo: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures of two classes."""
    return write_classes(photo, tmp_path_factory.mktemp("classes") / "data")
