"""Where memory runs out in a recipe: a MemoryError that names step and size, and no lost results."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest
from memory_limits import printed_by

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")

_BEGIN = """
import torch, npp

def told(outcome):
    if isinstance(outcome, list):
        return [told(one) for one in outcome]
    if isinstance(outcome, Exception):
        return [type(outcome).__name__, str(outcome), outcome.__context__ is None]
    return type(outcome).__name__

recipe = npp.Recipe.load("detection")
large = torch.full((3, 2000, 3000), 128, dtype=torch.uint8)
small = large[:, :96, :96].contiguous()
"""


def _in_a_process(script: str) -> Any:
    return printed_by(_BEGIN + script)


_FILES = """
files = [recipe.encode(picture, 40, effort=0) for picture in (small, large)]
recipe.decode(files[0])  # what is loaded and started once is there
pictures = [small, large, small]
calls = [
    lambda: recipe.decode([files[0], files[1], files[0]], errors="return"),
    lambda: recipe.decode([files[0], files[1]]),
    lambda: recipe.decode(files[1]),
    lambda: recipe.encode(pictures, 40, effort=0, errors="return"),
    lambda: recipe.encode(pictures, 40, effort=0),
    lambda: recipe.encode(large, 40, effort=0, errors="return"),
]
print(json.dumps([told(limited(40, call)) for call in calls]))
"""


def test_a_picture_without_memory_costs_only_itself() -> None:
    decoded, one_of_several, alone, encoded, encoded_several, encoded_alone = _in_a_process(_FILES)
    text = "memory ran out while enlarging a picture of 3000x2000 pixels"
    assert decoded == ["Tensor", ["MemoryError", f"data[1]: {text}", True], "Tensor"]
    assert one_of_several[:2] == ["MemoryError", f"data[1]: {text}"]
    assert alone[:2] == ["MemoryError", text]
    text = r"memory ran out while (preparing|scaling) a picture of 3000x2000 pixels"
    assert (encoded[0], encoded[2], encoded[1][0], encoded[1][2]) == ("bytes", "bytes", "MemoryError", True)
    assert encoded_several[0] == encoded_alone[0] == "MemoryError"
    assert re.fullmatch(rf"image\[1\]: {text}", encoded[1][1])
    assert re.fullmatch(rf"image\[1\]: {text}", encoded_several[1])
    assert re.fullmatch(text, encoded_alone[1])


_BATCHES = """
x = torch.full((1, 3, 1500, 2000), 0.5)
recipe.compress(x[..., :96, :96], 40, effort=0)
found = [
    limited(20, lambda: recipe.compress(x, 22, effort=0)),
    limited(20, lambda: recipe.refine(x, 22, lambda shown: shown.mean((1, 2, 3)), steps=1, effort=0)),
]
print(json.dumps([told(outcome) for outcome in found]))
"""


def test_compressing_and_refining_name_step_and_size() -> None:
    for kind, message, _ in _in_a_process(_BATCHES):
        assert kind == "MemoryError"
        assert message.startswith("memory ran out while ")
        assert message.endswith(" a picture of 2000x1500 pixels")
