"""Networks that judge, as a user's own module and a task's YAML file beside it."""

from __future__ import annotations

from pathlib import Path

_MODULE = """
import torch
from npp.tasks import build_task
class Body(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(4, 3, 3)
        torch.manual_seed(0)
        for weight in self.parameters():
            torch.nn.init.normal_(weight, std={std})
    def forward(self, x):
        return {result}
def task():
    return build_task({task}, model=Body(){settings})
"""
#: Logits that move with the picture's mean colour alone.
MEAN_COLOUR = "40 * x.mean((2, 3)) * torch.tensor([1.0, -1.0, 2.0])"


def write_judge(
    name: str, result: str, task: str = "'classification'", settings: str = "", std: float = 1
) -> str:
    """Writes ``NAME.py`` and ``NAME.yaml`` into the current folder; gives the name of the latter."""
    text = _MODULE.format(std=std, result=result, task=task, settings=settings)
    Path(f"{name}.py").write_text(text)
    Path(f"{name}.yaml").write_text(f"name: python:{name}:task\n")
    return f"{name}.yaml"
