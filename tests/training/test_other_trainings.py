"""A checkpoint of another training is refused, and what an earlier run left then stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_runs import NETWORK, smoke

from npp.config.yaml_files import ConfigError
from npp.tasks import build_task
from npp.training.run_identity import check_identity, identity_of_values, settings_of_tasks, values_of
from npp.training.training_run import train_recipe

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own
MAP = "allocator={width: 8, depth: 1, heads: [one, two], strength: 1, limit: 6, mix: {one: 1}}"
MATCH = f"tasks=[{{name: match, model: '{NETWORK}', distance: kl}}]"
ONE_STEP = ("optimiser.steps=1", "baseline.points=3")


@pytest.fixture(scope="module")
def with_a_map(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of filter and map for a task with settings."""
    out = tmp_path_factory.mktemp("with_a_map")
    return train_recipe(smoke(photos, out, MAP, MATCH, *ONE_STEP)).parent


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("tasks.0.distance=mse", r"tasks\.match: .*'kl'.*, not .*'mse'"),
        ("tasks.0.layers=['0']", r"tasks\.match: .*, not .*layers"),
        ("tasks.0.input={mean: 0.5}", r"tasks\.match: .*, not .*mean"),
        ("allocator.strength=2", r"allocator\.strength: 1\.0, not 2\.0"),
        ("allocator.limit=3", r"allocator\.limit: 6\.0, not 3\.0"),
        ("allocator.mix={two: 1}", r"allocator\.mix: \{'one': 1\.0\}, not \{'two': 1\.0\}"),
        ("allocator.train=false", r"trained parts: \['preprocessor', 'allocator'\], not \['preprocessor'\]"),
        ("preprocessor.floor=0.5", r"preprocessor\.floor: 0\.0, not 0\.5"),
    ],
)
def test_other_settings_of_tasks_and_parts_are_refused(
    change: str, message: str, with_a_map: Path, photos: Path, tmp_path: Path
) -> None:
    config = smoke(photos, tmp_path, MAP, MATCH, *ONE_STEP, change)
    with pytest.raises(ConfigError, match=rf"^resume: .*last\.ckpt is of a training with other {message}"):
        train_recipe(config, resume=with_a_map / "checkpoints/last.ckpt")


def test_a_refused_run_leaves_the_earlier_ones_files(with_a_map: Path, photos: Path) -> None:
    files = [with_a_map / name for name in ("config.yaml", "baseline.json", "recipe.safetensors")]
    before = [path.read_bytes() for path in files]
    for change in ("tasks.0.distance=mse", "validation.qps=[30, 40]", "optimiser.batch=4", "seed=3"):
        extra = ("loss.w_pre=0.25",) if change.startswith("validation") else ()
        config = smoke(photos, with_a_map, MAP, MATCH, *ONE_STEP, change, *extra)
        with pytest.raises(ConfigError, match=r"^resume: "):
            train_recipe(config, resume=with_a_map / "checkpoints/last.ckpt")
    assert [path.read_bytes() for path in files] == before


@pytest.mark.parametrize(
    ("model", "stored"),
    [
        ("onnx:/data/nets/small.onnx", "onnx:small.onnx"),
        ("fastestdet:nets/small.onnx", "fastestdet:small.onnx"),
        ("python:nets:small", "python:nets:small"),
        ("timm:resnet18", "timm:resnet18"),
    ],
)
@pytest.mark.parametrize("setting", ["model", "network"])  # the latter of tasks of one's own
def test_folders_of_networks_are_not_compared(
    setting: str, model: str, stored: str, photos: Path, tmp_path: Path
) -> None:
    task = f"tasks=[{{name: match, {setting}: '{model}', layers: [a/b]}}]"
    assert settings_of_tasks(smoke(photos, tmp_path, task)) == {
        "tasks.match": {setting: stored, "layers": ["a/b"]}
    }


def test_other_values_in_a_network_of_ones_own_are_refused(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its function makes of a variable, say; nothing is said of networks that come from files."""
    function = "def small():\n    net = nn.ReLU()\n    net.scale = os.environ['SCALE']\n    return net\n"
    (tmp_path / "of_a_variable.py").write_text(f"import os\nfrom torch import nn\n{function}")
    monkeypatch.syspath_prepend(tmp_path)
    config = smoke(photos, tmp_path, "tasks=[{name: match, model: 'python:of_a_variable:small'}]")
    found = []
    for scale in ("1", "1", "2"):
        monkeypatch.setenv("SCALE", scale)
        task = build_task("match", model="python:of_a_variable:small")
        found.append(identity_of_values(values_of(config, {"match": task})))
    assert len(found[0]) == 2
    check_identity(found[0], found[1], "last.ckpt")
    said = r"^resume: last\.ckpt is of a training with other values of tasks\.match"
    with pytest.raises(ConfigError, match=said + r": \S*scale '1', not '2'$"):
        check_identity(found[0], found[2], "last.ckpt")
    earlier = {name: value for name, value in found[0].items() if name.startswith("values")}
    with pytest.raises(ConfigError, match=f"{said}$"):  # of a version that stored only digests
        check_identity(earlier, found[2], "last.ckpt")
    check_identity({}, found[2], "a checkpoint of an earlier version")
    assert values_of(smoke(photos, tmp_path, MATCH.replace(NETWORK, "onnx:a.onnx")), {"match": task}) == {}
