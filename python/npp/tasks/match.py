"""A task for any network: its output and features must not change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from npp.checks import flag, one_of
from npp.gradient.kl_divergence import kl_divergence
from npp.tasks.average_metric import AverageMetric
from npp.tasks.input_format import InputSettings
from npp.tasks.layers import full_names, recorded
from npp.tasks.nested_outputs import tensors_of
from npp.tasks.networks import resolve_network
from npp.tasks.onnx_files import FixedBatch
from npp.tasks.task import Metric, Task, stacked
from npp.torch_state import widened


def _of_batch(calls: Sequence[Any], count: int, size: int) -> Any:
    """A layer's output for a batch: of its last call, or joined from one call for each ``size`` pictures."""
    are_batches = all(
        isinstance(output, Tensor) and output.ndim > 0 and len(output) == size for output in calls
    )
    if are_batches and len(calls) == -(-count // size):
        return torch.cat(list(calls))[:count]
    return calls[-1] if calls else None


DISTANCES = ("auto", "kl", "mse")
_LEAST_ENERGY = 1e-12


def _kl(clean: Tensor, now: Tensor) -> Tensor:
    """KL in nats between softmaxes over dimension 1, the mean over the positions, (N,)."""
    divergences = kl_divergence(widened(clean).log_softmax(1), widened(now).log_softmax(1))
    return divergences.reshape(len(now), -1).mean(1)


def _relative_error(clean: Tensor, now: Tensor) -> Tensor:
    """Squared error relative to the energy of the clean output, (N,)."""
    error = (now - clean).square().reshape(len(now), -1).sum(1)
    return error / clean.square().reshape(len(now), -1).sum(1).clamp_min(_LEAST_ENERGY)


class Match(Task):
    """Keeps a network's output, and if wanted the outputs of some of its layers.

    The loss is the mean of the outputs' distances plus the mean of the layers' relative errors. Targets are
    those of :meth:`targets`: dicts of tensors, ``output`` and the layers' names.

    Args:
        model: see :func:`npp.tasks.load_network`, or a network; its output is a tensor with the batch first,
            or sequences and dicts of such tensors.
        distance: ``"kl"`` between softmaxes over dimension 1, the mean over the positions of dense logits;
            ``"mse"``, squared error relative to the clean output's energy; ``"auto"``: ``"kl"`` for (N, C)
            of at least two classes, else ``"mse"``.
        layers: names of inner layers, as in ``named_modules()``.
        output: whether the output counts.
        input: replaces parts of the network's own input by name, or all of it with an
            :class:`npp.tasks.InputFormat`.
    """

    name = "match"
    higher_is_better = MappingProxyType({"distance": False, "features": False, "agreement": True})

    def __init__(
        self,
        model: str | nn.Module,
        *,
        distance: Literal["auto", "kl", "mse"] = "auto",
        layers: Sequence[str] = (),
        output: bool = True,
        input: InputSettings | None = None,  # noqa: A002
    ) -> None:
        super().__init__(resolve_network(model, input), copy=False)
        one_of("distance", distance, DISTANCES)
        flag("output", output)
        if not output and not layers:
            raise ValueError("layers must name at least one when output is False")
        self.distance = distance
        self.layers = full_names(self.network, layers)
        self.output = output

    def _tensors(self, images: Tensor) -> dict[str, Tensor]:
        """All compared tensors by name."""
        with recorded(self.network, self.layers) as inner:
            output = self.run_network(images)
        self.check_output(images, inner, finite=True)
        tensors = tensors_of(output) if self.output else {}
        size = next((module.size for module in self.network.modules() if isinstance(module, FixedBatch)), 1)
        for layer in self.layers:
            tensors |= tensors_of(_of_batch(inner[layer], len(images), size), f"layer.{layer}")
        for name, values in tensors.items():
            if len(values) != len(images):
                raise ValueError(f"{name} must have the batch first, not shape {tuple(values.shape)}")
        return {name: values.float() for name, values in tensors.items()}

    def _uses_kl(self, values: Tensor) -> bool:
        if self.distance == "kl" and (values.ndim < 2 or values.shape[1] < 2):
            shape = tuple(values.shape)
            raise ValueError(
                f"distance 'kl' needs an output with at least 2 classes in dimension 1, not {shape}"
            )
        return self.distance == "kl" or (self.distance == "auto" and values.ndim == 2 and values.shape[1] > 1)

    def targets(self, images: Tensor) -> list[Any]:
        """A dict of tensors without the batch dimension for each picture."""
        tensors = self._tensors(images)
        return [{name: values[i] for name, values in tensors.items()} for i in range(len(images))]

    def _clean(self, now: Mapping[str, Tensor], targets: Sequence[Any]) -> dict[str, Tensor]:
        for target in targets:
            if not isinstance(target, Mapping) or set(target) != set(now):
                raise ValueError(f"targets must be those of Match.targets, with {', '.join(now)}")
        return {
            name: stacked(name, [target[name] for target in targets], values) for name, values in now.items()
        }

    def _measures(self, now: Mapping[str, Tensor], clean: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Mean distance of outputs and of layers, and agreement for logits, (N,) each."""
        distances, features, agreements = [], [], []
        for name, values in now.items():
            if name.startswith("layer."):
                features.append(_relative_error(clean[name], values))
            elif self._uses_kl(values):
                distances.append(_kl(clean[name], values))
                same = (clean[name].argmax(1) == values.argmax(1)).float()
                agreements.append(same.reshape(len(values), -1).mean(1))
            else:
                distances.append(_relative_error(clean[name], values))
        named = {"distance": distances, "features": features, "agreement": agreements}
        return {name: torch.stack(values).mean(0) for name, values in named.items() if values}

    def loss(self, images: Tensor, targets: Sequence[Any]) -> Tensor:
        """Distance from the clean output and features, (N,)."""
        now = self._tensors(images)
        measures = self._measures(now, self._clean(now, targets))
        return torch.stack([measures[name] for name in ("distance", "features") if name in measures]).sum(0)

    def scores(self, images: Tensor, targets: Sequence[Any]) -> dict[str, Tensor]:
        """``"distance"`` of the output, its ``"agreement"`` with KL, ``"features"`` with layers."""
        now = self._tensors(images)
        return self._measures(now, self._clean(now, targets))

    def metric(self) -> Metric:
        """Means over pictures of :meth:`scores`."""

        def measure(prediction: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> dict[str, float]:
            now = {name: values[None] for name, values in prediction.items()}
            clean = {name: target[name][None].to(values) for name, values in now.items()}
            return {name: float(values) for name, values in self._measures(now, clean).items()}

        return AverageMetric(measure)
