"""A model of OpenMMLab behind the codec: trained recipe in front, frozen network behind."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import Self

from npp.allocation import Allocator
from npp.codec.options import resolve_qp
from npp.config.typed import fill
from npp.extras import require
from npp.gradient.surrogates import Surrogate
from npp.integrations.openmmlab.picture_coding import CodedPictures, code_pictures
from npp.integrations.openmmlab.qp_weights import QpWeights, loss_config, trade_off_config
from npp.preprocessing import Preprocessor
from npp.recipes import Recipe, ScaleRule
from npp.tasks.frozen import frozen
from npp.tasks.openmmlab_models import build_model, read_model_config
from npp.tasks.training_losses import loss_branch
from npp.training.parts_config import AllocatorConfig, CodecConfig, PreprocessorConfig
from npp.training.recipe_model import build_allocator, build_preprocessor

_mmengine: Any = require("mmengine.model", "npp.integrations.openmmlab")
_INNER = "inner."
_TEST_EFFORT = 8
Inputs = Tensor | Sequence[Tensor]


def _channels_are_bgr(channels: str) -> bool:
    if channels not in ("bgr", "rgb"):
        raise ValueError(f"channels must be bgr or rgb, not {channels!r}")
    return channels == "bgr"


def _loaded_recipe(name_or_path: str, options: Mapping[str, Any]) -> Recipe:
    recipe = Recipe.load(name_or_path)
    recipe.options.update(options)  # type: ignore[typeddict-item]  # resolve_options checks them
    if recipe.allocator is not None:
        # How sensitive a picture is as a whole has no part in its map, and so no gradient.
        recipe.allocator.network.level.requires_grad_(False)
    return recipe


class _PartSettings(NamedTuple):
    """The settings of which a recipe is built, as :class:`CodedModel` takes them."""

    preprocessor: Mapping[str, Any] | None
    allocator: Mapping[str, Any] | None
    scale: float

    def are_given(self) -> bool:
        """Whether any of them is not the default."""
        return self.preprocessor is not None or self.allocator is not None or self.scale != 1

    def build(self, options: Mapping[str, Any]) -> Recipe:
        """A recipe of these parts with some codec options.

        Raises:
            ConfigError: a part that cannot be built; the message names it.
        """
        return Recipe(
            "openmmlab",
            scale=ScaleRule({0: self.scale}) if self.scale < 1 else None,
            preprocessor=self._preprocessor(),
            allocator=self._allocator(),
            options=dict(options),  # type: ignore[arg-type]  # Recipe checks them
        )

    def _preprocessor(self) -> Preprocessor | None:
        if self.preprocessor is None:
            return None
        return build_preprocessor(fill(PreprocessorConfig, self.preprocessor, "preprocessor"))

    def _allocator(self) -> Allocator | None:
        if self.allocator is None:
            return None
        return build_allocator(fill(AllocatorConfig, self.allocator, "allocator"))


class CodedModel(_mmengine.BaseModel):  # type: ignore[misc]  # mmengine has no types
    """A frozen model that sees pictures after a recipe and the real BPG codec.

    Pictures come as the pipeline loads them, raw from 0 to 255 and of any sizes; what the inner model's own
    data preprocessor does (normalising, padding) is done behind the codec. With a lossless codec and no
    filter the inner model gets exactly what it would have got.

    All pictures of a training step have one qp, since the inner model's losses are means over the batch.

    Args:
        model: the model that is frozen: the section ``model`` of its configuration, or the configuration's
            name (``mmdet::...``) or file.
        checkpoint: its weights, as ``load_from`` would take them. ``None`` initialises it by its own
            configuration at once, ``"none"`` by random numbers without a download.
        recipe: name or path of a recipe to begin with, instead of ``preprocessor``, ``allocator``, ``scale``.
        preprocessor, allocator: keys of the same names in a configuration of ``npp train``, as
            ``dict(network="gains")`` and ``dict(start="general")``; ``None`` for none.
        scale: the factor by which both sides are shrunk for the codec, 0.1 to 1.
        codec: ``codec`` in a configuration of ``npp train``: surrogate, threads and options. ``effort`` is
            that of training.
        test_effort: effort of validation and test, and of the recipe that is saved; by default 8, or that of
            ``recipe``.
        test_qp: qp of validation and test; :class:`QPSweepLoop` changes it.
        trade_off: ``"published"``, or ``trade_off`` in a configuration of ``npp train``, as
            ``dict(qps=(25, 44), slope_factor=3)``, which needs :class:`SlopeHook`.
        loss: ``loss`` in a configuration of ``npp train``: weights of the other terms.
        channels: order in which the pipeline loads pictures, ``"bgr"`` (mmcv's) or ``"rgb"``.
        seed: seeds the draws of qps.
        data_preprocessor: settings that the runner hands over, for an inner model that has none of its own.
        init_cfg: must be ``None``.

    Attributes:
        inner: the frozen model.
        recipe: what is trained, an :class:`npp.Recipe`.
        test_qp: may be set.

    Raises:
        ConfigError, ValueError: a wrong setting; the message names it.
        FileNotFoundError: there is no such configuration or file of weights.
    """

    def __init__(
        self,
        model: Mapping[str, Any] | str,
        checkpoint: str | None = None,
        *,
        recipe: str | None = None,
        preprocessor: Mapping[str, Any] | None = None,
        allocator: Mapping[str, Any] | None = None,
        scale: float = 1.0,
        codec: Mapping[str, Any] | None = None,
        test_effort: int | None = None,
        test_qp: int = 37,
        trade_off: str | Mapping[str, Any] = "published",
        loss: Mapping[str, Any] | None = None,
        channels: str = "bgr",
        seed: int = 0,
        data_preprocessor: Mapping[str, Any] | None = None,
        init_cfg: None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)  # its data preprocessor only moves tensors to the device
        self._bgr = _channels_are_bgr(channels)
        self._seed = seed
        self._set_codec(codec or {}, recipe, _PartSettings(preprocessor, allocator, scale), test_effort)
        trade = trade_off_config(trade_off)
        self._loss = loss_config(loss, trade)
        self.weights = QpWeights(trade, self._loss)
        self.test_qp = resolve_qp(test_qp, 1)[0]
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.inner = frozen(_inner_model(model, checkpoint, data_preprocessor))
        self._register_state_dict_hook(_without_inner)
        self.register_load_state_dict_post_hook(_inner_is_not_missing)
        self.train()

    def _set_codec(
        self,
        codec: Mapping[str, Any],
        recipe: str | None,
        parts: _PartSettings,
        test_effort: int | None,
    ) -> None:
        config = fill(CodecConfig, codec, "codec")
        overrides = {name: value for name, value in config.all_options.items() if name in codec}
        if recipe is None:
            options = {**config.all_options, "effort": _TEST_EFFORT if test_effort is None else test_effort}
            self.recipe = parts.build(options)
        else:
            if parts.are_given():
                raise ValueError("recipe and preprocessor, allocator, scale exclude each other")
            overrides.pop("effort", None)
            if test_effort is not None:
                overrides["effort"] = test_effort
            self.recipe = _loaded_recipe(recipe, overrides)
        self._train_effort = config.effort
        self._threads = config.threads
        # In a tuple, so that torch does not register it: a surrogate with parameters is not trained here.
        self._surrogate: tuple[Surrogate] = (config.build_surrogate(),)

    # What mmengine calls

    def init_weights(self) -> None:
        """Does nothing, since all weights are in place once the model is built.

        mmengine calls this before training, not before testing; the inner model would lose its weights.
        """
        self._is_init = True

    def train(self, mode: bool = True) -> Self:
        """Sets the recipe's mode; the inner model stays in eval mode."""
        super().train(mode)
        self.inner.eval()
        return self

    def forward(self, inputs: Inputs, data_samples: Any = None, mode: str = "tensor") -> Any:
        """Runs the inner model on pictures after recipe and codec.

        Args:
            inputs: (N, C, H, W), or pictures (C, H, W) of any sizes, raw from 0 to 255.
            data_samples: as the inner model wants them.
            mode: ``"loss"``, ``"predict"`` or ``"tensor"``.

        Returns:
            In mode ``"loss"`` a dict: the inner model's losses times λ, ``loss_bpp``, ``loss_fidelity`` and
            with an allocator ``loss_map``; not summed, ``task`` or ``task_...``: the inner losses as they
            were, ``bpp`` and ``qp``. In mode ``"predict"`` each sample says ``bpp``, bits for each pixel of
            the picture that was given to the network; ``bpg_bytes``, the file's; ``bpg_qp``.
        """
        if mode == "loss":
            return self._losses(inputs, data_samples)
        coded = self._code(self.recipe, inputs, self.test_qp, self.recipe.options)
        outputs = self._run_inner(coded, data_samples, mode)
        if mode == "predict":
            for sample, bpp, size in zip(outputs, coded.bpp.tolist(), coded.sizes, strict=True):
                sample.set_metainfo({"bpp": bpp, "bpg_bytes": size, "bpg_qp": self.test_qp})
        return outputs

    # Between codec and inner model

    def _code(self, recipe: Recipe, inputs: Inputs, qp: int, options: Mapping[str, Any]) -> CodedPictures:
        return code_pictures(
            recipe,
            inputs,
            qp,
            bgr=self._bgr,
            surrogate=self._surrogate[0],
            threads=self._threads,
            options=options,
        )

    def _run_inner(self, coded: CodedPictures, data_samples: Any, mode: str) -> Any:
        inner: Any = self.inner
        data = {"inputs": coded.pictures, "data_samples": data_samples}
        return inner._run_forward(inner.data_preprocessor(data, mode == "loss"), mode=mode)

    def _inner_losses(self, coded: CodedPictures, data_samples: Any) -> dict[str, Any]:
        """The inner model's losses, computed by its layers in eval mode."""
        with loss_branch(self.inner):
            losses: dict[str, Any] = self._run_inner(coded, data_samples, "loss")
        return losses

    # Training

    @property
    def _training_options(self) -> dict[str, Any]:
        return {**self.recipe.options, "effort": self._train_effort}

    def _next_qp(self) -> int:
        """The qp of this step, which follows from step and process, so that a resumed run draws the same."""
        dist = require("mmengine.dist", "training")
        index = int(self.step) * dist.get_world_size() + dist.get_rank()
        generator = torch.Generator().manual_seed((self._seed << 32) + index)
        qps = self.weights.qps
        return qps[int(torch.randint(len(qps), (), generator=generator, device="cpu"))]

    def _losses(self, inputs: Inputs, data_samples: Any) -> dict[str, Any]:
        if self.weights.missing():
            raise ValueError(
                "trade_off by slope, or loss.normalise, needs custom_hooks=[dict(type='SlopeHook')]"
            )
        qp = self._next_qp()
        if self.training:
            self.step += 1
        coded = self._code(self.recipe, inputs, qp, self._training_options)
        norm = self.weights.norm[qp]
        weight = self.weights.task[qp] / norm  # λ, as bits are divided
        losses: dict[str, Any] = {}
        for name, value in self._inner_losses(coded, data_samples).items():
            if "loss" in name:
                losses["loss_task" if name == "loss" else name] = _each(value, lambda loss: loss * weight)
                # mmengine adds up whatever has "loss" in its name.
                losses[name.replace("loss", "task")] = _each(value, Tensor.detach)
            else:
                losses[name] = value
        losses["loss_bpp"] = coded.bpp.mean() / norm
        losses["loss_fidelity"] = self._loss.w_pre * self._loss.mse_scale * coded.mse.mean() / norm
        if self.recipe.allocator is not None:
            losses["loss_map"] = self._loss.w_map * coded.energy.mean()
        losses["bpp"] = coded.bpp.detach().mean()
        losses["qp"] = losses["bpp"].new_tensor(float(qp))
        return losses

    @torch.no_grad()
    def plain_losses(self, data: Any, qp: int) -> tuple[float, float]:
        """Measures a batch after BPG alone: mean bpp and the sum of the inner model's losses.

        Args:
            data: a batch of the training loader, left as it is.
            qp: 0 to 51.
        """
        moved = copy.deepcopy(self.data_preprocessor(data, True))
        coded = self._code(Recipe(), moved["inputs"], qp, self._training_options)
        losses = self._inner_losses(coded, moved["data_samples"])
        values = [value for name, value in losses.items() if "loss" in name]
        flat = [loss for value in values for loss in (value if isinstance(value, list | tuple) else [value])]
        return float(coded.bpp.mean()), float(torch.stack([loss.mean() for loss in flat]).sum())


def _inner_model(
    model: Mapping[str, Any] | str, checkpoint: str | None, data_preprocessor: Mapping[str, Any] | None
) -> nn.Module:
    scope = None
    if isinstance(model, str):
        config = read_model_config(model)
        scope = config.get("default_scope")
        settings = dict(config.model)
    else:
        settings = dict(model)
    if data_preprocessor is not None:
        settings.setdefault("data_preprocessor", data_preprocessor)
    return build_model(settings, checkpoint, scope)


def _each(value: Any, change: Any) -> Any:
    """Applies ``change`` to a loss, or to each of a list of losses (one for each level of a pyramid)."""
    return [change(loss) for loss in value] if isinstance(value, list | tuple) else change(value)


def _without_inner(module: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
    """Takes the inner model out of a state dict: its weights come from a checkpoint of its own."""
    for name in [name for name in state if name.startswith(prefix + _INNER)]:
        del state[name]


def _inner_is_not_missing(module: nn.Module, incompatible: Any) -> None:
    """Lets a checkpoint without the inner model count as complete."""
    missing = incompatible.missing_keys
    missing[:] = [name for name in missing if not name.startswith(_INNER)]
