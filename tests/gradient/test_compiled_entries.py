"""Functions that run the codec, called by what torch compiles."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pictures import pictures
from recipe_files import made_recipe
from torch import Tensor

import npp


def _loss(x: Tensor) -> Tensor:
    return x.square().mean((1, 2, 3))


TORCH = tuple(map(int, torch.__version__.split(".")[:2]))
RECIPE = made_recipe().eval()
FILES = npp.encode(pictures(), 30, effort=0)
ENTRIES: dict[str, Callable[[Tensor], Any]] = {
    "npp.encode": lambda x: npp.encode(x, 30, effort=0)[0],
    "npp.encode_animation": lambda x: npp.encode_animation(x, 30, effort=0),
    "npp.decode": lambda x: npp.decode(FILES)[0],
    "npp.decompress": lambda x: npp.decompress(FILES),
    "npp.compress": lambda x: npp.compress(x, 30, effort=0).x_hat,
    "npp.refine": lambda x: npp.refine(x, 30, _loss, steps=1, effort=0).x_hat,
    "npp.importance": lambda x: npp.importance(x, [], 30),
    "npp.Recipe.compress": lambda x: RECIPE.compress(x, 30, effort=0).x_hat,
    "npp.Recipe.encode": lambda x: RECIPE.encode(x, 30, effort=0)[0],
    "npp.Recipe.decode": lambda x: RECIPE.decode(FILES)[0],
    "npp.Recipe.refine": lambda x: RECIPE.refine(x, 30, _loss, steps=1, effort=0).x_hat,
}


@pytest.mark.parametrize("name", ENTRIES)
def test_what_runs_the_codec_says_that_no_graph_can_hold_it(name: str) -> None:
    torch._dynamo.reset()
    with pytest.raises(Exception, match=r"which no graph can hold|torch\._dynamo\.disable") as caught:
        torch.compile(ENTRIES[name], backend="eager", fullgraph=True)(pictures())
    message = str(caught.value)
    if "call torch._dynamo.disable() wrapped function" in message:
        return  # torch 2.4 names the function and has no place for a reason
    assert re.search(rf"{re.escape(name)} runs the codec, .*; call it between them", message)


@pytest.mark.filterwarnings("ignore:The .grad attribute")
def test_a_recipe_within_what_torch_compiles_is_one_graph_break_and_exact() -> None:
    def step(x: Tensor) -> tuple[Tensor, Tensor]:
        coded = RECIPE.compress(torch.sigmoid(3 * x), 35, effort=0)
        return coded.x_hat, coded.bpp.mean() + coded.x_hat.square().mean()

    torch._dynamo.reset()
    assert torch._dynamo.explain(step)(pictures().requires_grad_()).graph_break_count == 1
    torch._dynamo.reset()
    x = pictures().requires_grad_()
    seen, total = torch.compile(step, backend="aot_eager")(x)
    wanted, expected = step(x)
    assert torch.equal(seen, wanted)
    for got, right in zip(torch.autograd.grad(total, x), torch.autograd.grad(expected, x), strict=True):
        torch.testing.assert_close(got, right)


@pytest.mark.skipif(TORCH < (2, 7), reason="torch before 2.7 traces no context managers of one's own")
@pytest.mark.parametrize("recipe", [npp.Recipe("nothing"), RECIPE], ids=["nothing", "all parts"])
def test_preparing_runs_no_codec_and_can_be_one_graph(recipe: npp.Recipe) -> None:
    torch._dynamo.reset()
    x = pictures()
    prepare = torch.compile(lambda x: tuple(recipe.prepare(x, 35)), backend="eager", fullgraph=True)
    ready, offsets = prepare(x)
    wanted = recipe.prepare(x, 35)
    torch.testing.assert_close(ready, wanted.x)
    torch.testing.assert_close(offsets, wanted.qp_map)
