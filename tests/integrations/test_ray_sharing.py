"""Shared qps of a Ray run: curves of all pictures first, then a qp for each."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from judge_files import MEAN_COLOUR, write_judge
from ray_pictures import png_bytes
from recipe_files import saved_recipe

from npp.batch import BatchEncoder, FileResult
from npp.batch.rate_sampling import SamplingGoal
from npp.integrations.ray import Cluster, Sharing, encode
from npp.integrations.ray.ray_shared import Probe, SampledCurve, chosen, shared_qps


def _curve(result: FileResult) -> SampledCurve:
    return SampledCurve.from_json(json.loads(result.file or b""))


def test_shared_qps_meet_the_total(photo: np.ndarray) -> None:
    pictures = {str(i): png_bytes(np.roll(photo, 5 * i, 1)[: 40 + 2 * i] // (1 + i % 3)) for i in range(16)}
    unit = BatchEncoder()
    probe = Probe(unit.settings, SamplingGoal(), max_pixels=None)
    curves = {name: _curve(probe.one(data)) for name, data in pictures.items()}
    sizes = [len(result.file or b"") for result in unit(list(pictures.values()), [33] * 16)]
    qps = shared_qps(curves, Sharing(total_bytes=sum(sizes)))
    results = unit(list(pictures.values()), [qps[name] for name in pictures])
    assert len(set(qps.values())) > 1, "pictures differ"
    assert sum(result.bits for result in results) == pytest.approx(8 * sum(sizes), rel=0.06)
    pixels = sum(sampled.curve.pixels for sampled in curves.values())
    assert shared_qps(curves, Sharing(mean_bpp=8 * sum(sizes) / pixels)) == qps
    with pytest.raises(ValueError, match="one of total_bytes and mean_bpp"):
        Sharing()
    assert probe.one(b"no picture").error == "cannot identify the picture's format"


def test_unprobed_picture_gets_the_probes_error_instead_of_a_qp(photo: np.ndarray) -> None:
    """What could not be probed has the probe's error, and no other qp."""
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    probe = Probe(BatchEncoder().settings, SamplingGoal(), max_pixels=10_000)
    pictures = {"a": png_bytes(photo[:64]), "large": png_bytes(np.tile(photo, (2, 2, 1)))}
    results = [probe.one(data) for data in pictures.values()]
    columns = {
        "input": list(pictures),
        "curve": [result.file for result in results],
        "error": [result.error for result in results],
    }
    table = pa.table(columns)
    sharing = Sharing(total_bytes=1000)
    found = chosen([table.slice(0, 1), table.slice(1)], sharing)
    assert found.of("a") == shared_qps({"a": _curve(results[0])}, sharing)["a"]
    assert results[1].error is not None and "pixels" in results[1].error
    with pytest.raises(ValueError, match=re.escape(results[1].error)):
        found.of("large")
    with pytest.raises(ValueError, match="no qp was chosen for another"):
        found.of("another")


def test_shared_qps_ask_the_recipe(tmp_path: Path) -> None:
    """An allocator is asked where there is one, unless that is refused."""
    side = 96  # the recipe codes halves, and a smaller picture would have few blocks that differ
    places = [(y, x) for y in range(0, 400, 100) for x in range(0, 400, 100)]
    pictures = [png_bytes(skimage.data.astronaut()[y : y + side, x : x + side]) for y, x in places]
    with_recipe = BatchEncoder(recipe=saved_recipe(tmp_path)).settings
    found = {}
    for asked in (None, True, False):
        sharing = Sharing(mean_bpp=0.5, predicted=asked)
        probe = Probe(with_recipe, sharing.probing(with_recipe), max_pixels=None)
        curves = {str(i): _curve(probe.one(data)) for i, data in enumerate(pictures)}
        found[asked] = shared_qps(curves, sharing)
    assert found[None] == found[True] != found[False]

    plain = BatchEncoder().settings
    assert not Sharing(mean_bpp=1).probing(plain).predicted
    with pytest.raises(ValueError, match="predicted needs a recipe that has an allocator"):
        encode("photos", "out", sharing=Sharing(mean_bpp=1, predicted=True), cluster=Cluster())


def test_shared_qps_ask_a_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network says what is lost, also where it has been sent to another process in another folder."""
    monkeypatch.chdir(tmp_path)
    write_judge("ray_judge", MEAN_COLOUR)
    places = [(y, x) for y in range(0, 400, 100) for x in range(0, 400, 100)]
    pictures = [png_bytes(skimage.data.astronaut()[y : y + 64, x : x + 64]) for y, x in places]
    settings = BatchEncoder().settings
    found = {}
    for judge in (None, "ray_judge.yaml"):
        sharing = Sharing(mean_bpp=0.8, judge=judge)
        probing = pickle.loads(pickle.dumps(sharing.probing(settings)))
        monkeypatch.chdir("/")
        probe = Probe(settings, probing, max_pixels=None)
        curves = {str(i): _curve(probe.one(data)) for i, data in enumerate(pictures)}
        found[judge] = shared_qps(curves, sharing)
        monkeypatch.chdir(tmp_path)
    assert found[None] != found["ray_judge.yaml"]
    with pytest.raises(ValueError, match="judge and predicted exclude each other"):
        Sharing(mean_bpp=1, judge="ray_judge.yaml", predicted=True)
    with pytest.raises(ValueError, match="nothing"):
        encode("photos", "out", sharing=Sharing(mean_bpp=1, judge="nothing"), cluster=Cluster())
