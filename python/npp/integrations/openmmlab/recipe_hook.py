"""A hook of mmengine that writes the trained recipe as a file of npp."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from npp.extras import require
from npp.integrations.openmmlab.coded_model import CodedModel

_hooks: Any = require("mmengine.hooks", "npp.integrations.openmmlab")


def coded_model(runner: Any) -> CodedModel:
    """The runner's model without what distributed training wraps around it.

    Raises:
        TypeError: it is no :class:`CodedModel`.
    """
    model = getattr(runner.model, "module", runner.model)
    if not isinstance(model, CodedModel):
        raise TypeError(f"the runner's model must be a CodedModel, not {type(model).__name__}")
    return model


class RecipeHook(_hooks.Hook):  # type: ignore[misc]  # mmengine has no types
    """Writes the recipe beside every checkpoint, for :meth:`npp.Recipe.load`, ``npp encode`` and the others.

    The weights are those of the checkpoint: with ``EMAHook`` the averaged ones.

    Args:
        name: the name of the file in the run's folder; each checkpoint replaces it.
    """

    # Behind EMAHook, which exchanges the weights of a checkpoint.
    priority = "VERY_LOW"

    def __init__(self, name: str = "recipe.safetensors") -> None:
        self._name = name

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Writes the file; mmengine calls this in one process, before each checkpoint."""
        recipe = copy.deepcopy(coded_model(runner).recipe)
        state, prefix = checkpoint["state_dict"], "recipe."
        recipe.load_state_dict(
            {name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)}
        )
        recipe.name = Path(self._name).stem
        recipe.card = f"Trained with npp.integrations.openmmlab by {runner.experiment_name}."
        recipe.save(Path(runner.work_dir) / self._name)
