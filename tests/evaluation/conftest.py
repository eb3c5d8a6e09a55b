"""Photos, and a finished run with every kind of arm."""

from __future__ import annotations

from pathlib import Path

import pytest
import skimage.data
import yaml
from PIL import Image
from small_evaluation import QPS, values

import npp
import npp.cli


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders "test" (6 photos, one of another size) and "selection" (4)."""
    folder = tmp_path_factory.mktemp("photos")
    source = skimage.data.astronaut()
    for i in range(10):
        side = 56 if i == 5 else 48
        top, left = 30 * i, 24 * i + 60
        part = folder / ("test" if i < 6 else "selection")
        part.mkdir(exist_ok=True)
        Image.fromarray(source[top : top + 48, left : left + side]).save(part / f"{i}.png")
    return folder


@pytest.fixture(scope="session")
def finished(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run through the command line, with every kind of arm."""
    out = tmp_path_factory.mktemp("finished")
    weights = out / "learned.safetensors"
    npp.Preprocessor("blur", sigmas={34: 0.6}).save(weights)
    arms = [
        {"name": "bpg", "effort": 0},
        {"name": "same", "codec_of": "bpg"},
        {"name": "machine", "effort": 0, "tune": "machine"},
        {"name": "blur", "codec_of": "best", "prefilter": {"blur": "best"}},
        {"name": "fixed", "effort": 0, "prefilter": {"blur": dict.fromkeys(QPS, 0.6)}},
        {"name": "learned", "effort": 0, "prefilter": {"preprocessor": str(weights)}},
        {"name": "refined", "effort": 0, "prefilter": {"refine": {"steps": 1}}},
    ]
    config = values(
        photos,
        arms=arms,
        blur_sigmas=[0, 0.5],
        analysis={
            "samples": 20,
            "against": ["machine"],
            "differences": [["learned", "blur"]],
            "groups": {"seeds": ["fixed", "learned"]},
        },
    )
    path = out / "tiny.yaml"
    path.write_text(yaml.safe_dump(config))
    command = ["evaluate", str(path), "--out", str(out / "run"), "--limit", "4", "--set", "strip.photos=2"]
    with pytest.raises(SystemExit) as stopped:
        npp.cli.main([*command, "--set", f"qps={list(QPS)}"])
    assert stopped.value.code == 0
    return out / "run"
