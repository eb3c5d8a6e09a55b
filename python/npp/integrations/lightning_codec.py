"""The codec in front of the network of a LightningModule, whose code stays as it is."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from npp.checks import number, number_above
from npp.codec.options import resolve_qp
from npp.extras import require
from npp.gradient.pairing import BPG, Compressed
from npp.tasks.input_format import one_or_three
from npp.transforms import qp_range

_Callback: Any = require("lightning.pytorch", "npp.integrations.lightning_codec").Callback


def _unchanged(network: nn.Module, arguments: tuple[Any, ...]) -> None:
    """A hook that changes nothing, which copies of a network have in place of the codec."""


class _CodedFirst:
    """A hook that codes a network's input. Copies of the network, in memory or a file, are without it."""

    def __init__(self, code: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> None:
        self._code = code

    def __call__(self, network: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        return self._code(arguments)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return _unchanged

    def __reduce__(self) -> Any:
        return _given, (_unchanged,)


class _CodedForward:
    """A network's ``forward`` after the codec. Copies of the network have their own ``forward`` instead."""

    def __init__(
        self, code: Callable[[tuple[Any, ...]], tuple[Any, ...]], forward: Callable[..., Any]
    ) -> None:
        self._code, self._forward = code, forward

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._forward(*self._code(arguments), **named)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return deepcopy(self._forward, memo)

    def __reduce__(self) -> Any:
        return _given, (self._forward,)


def _given(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def _seed_of_run() -> int:
    """Lightning's seed where one was set, else torch's."""
    given = os.environ.get("PL_GLOBAL_SEED", "")
    return int(given) if given.isdecimal() else torch.initial_seed()


class CodedInput(_Callback):  # type: ignore[misc]
    """A callback of Lightning: what enters the network has been through the codec first.

    In training each picture has a qp of its own, drawn anew; in validation, tests and predictions all have
    ``eval_qp``. What is drawn follows from the seed as the run begins (that of Lightning's
    ``seed_everything``, else torch's), the rank of the process, the epoch, the step and the batch's place:
    equal seeds draw equal qps, the processes of a run draw different ones, and a run that goes on from a
    checkpoint draws those of a run in one go. No other random numbers are taken.

    Values are the real codec's, and gradients reach what stands in front of the network, so that a filter
    there learns too. The bits per pixel are logged as ``train/bpp``, ``val/bpp`` and ``test/bpp``, the mean
    of all pictures that a batch sent through the network, where there were any; those of the last call, with
    their gradient, are in ``bpp`` for a loss of one's own.

    Args:
        qp: of training, an int or (least, greatest).
        eval_qp: elsewhere; the middle of ``qp`` by default.
        module: name of the part of the LightningModule whose first argument is the batch of pictures, as
            ``"model"`` where its steps call ``self.model(x)``; ``""`` where they call ``self(x)``.
        mean, std: with which that batch is normalised, one finite number or one a channel in [0, 1] units:
            it is brought to [0, 1] for the codec and back. ``std`` is above 0.
        codec: what is called with pictures (N, C, H, W) in [0, 1] and qps (N,), an :class:`npp.BPG` or an
            :class:`npp.Recipe`; ``npp.BPG()`` by default. It is no part of the LightningModule: register
            one that is to learn there.

    Attributes:
        bpp: (N,) of the last call of the network; ``None`` before the first of a batch.

    Raises:
        ValueError: a value outside of these.
        AttributeError: when a run starts: the LightningModule has no such part.
    """

    def __init__(
        self,
        qp: int | tuple[int, int] = (25, 46),
        *,
        eval_qp: int | None = None,
        module: str = "",
        mean: float | Sequence[float] = 0.0,
        std: float | Sequence[float] = 1.0,
        codec: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.qp = qp_range(qp)
        self.eval_qp = resolve_qp(sum(self.qp) // 2 if eval_qp is None else eval_qp, 1)[0]
        self.module = module
        self.mean, self.std = _channels("mean", mean, _finite), _channels("std", std, _positive)
        self.codec = BPG() if codec is None else codec
        self.bpp: Tensor | None = None
        self._bits: list[Tensor] | None = None  # of all calls of a batch, while there is one
        self._take_away: Callable[[], None] | None = None
        self._seed = 0  # of a run that has begun
        self._draws: np.random.Generator | None = None  # of a batch that is trained on

    def __getstate__(self) -> dict[str, Any]:
        """The state of a copy: without the bits of a step, whose graph it cannot have, and of no network."""
        return {**vars(self), "bpp": None, "_bits": None, "_take_away": None, "_draws": None}

    def setup(self, trainer: Any, pl_module: nn.Module, stage: str) -> None:
        """Puts the codec in front of the network."""
        self.teardown(trainer, pl_module, stage)
        self._seed = _seed_of_run()
        if self.module:
            network = pl_module.get_submodule(self.module)
            self._take_away = network.register_forward_pre_hook(_CodedFirst(self._coded)).remove
        else:
            self._take_away = self._wrap(pl_module)

    def teardown(self, trainer: Any, pl_module: nn.Module, stage: str) -> None:
        """Takes the codec away from the network again."""
        self._draws = self._bits = None
        if self._take_away is not None:
            self._take_away()
            self._take_away = None

    def on_exception(self, trainer: Any, pl_module: nn.Module, exception: BaseException) -> None:
        """Takes the codec away from the network: a run that fails or is stopped is not torn down."""
        self.teardown(trainer, pl_module, "")

    def _wrap(self, network: nn.Module) -> Callable[[], None]:
        """Gives a network another ``forward``; a call of the result takes that away again.

        A hook would also see the batches of strategies as DDP, which call the LightningModule itself for its
        steps and have ``forward`` be the step meanwhile.
        """
        attributes = vars(network)
        before = {"forward": attributes["forward"]} if "forward" in attributes else {}
        attributes["forward"] = _CodedForward(self._coded, network.forward)

        def take_away() -> None:
            attributes.pop("forward", None)
            attributes.update(before)

        return take_away

    def _qps(self, count: int) -> list[int]:
        if self._draws is None:
            return [self.eval_qp] * count
        qps: list[int] = self._draws.integers(*self.qp, count, endpoint=True).tolist()
        return qps

    def _coded(self, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments of a network with the pictures among them coded."""
        x = arguments[0] if arguments else None
        if not isinstance(x, Tensor) or x.ndim != 4:
            kind = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise TypeError(
                f"the first argument of {self.module or 'the LightningModule'} must be pictures "
                f"(N, C, H, W), not {kind}"
            )
        mean, std = self.mean.to(x), self.std.to(x)
        coded: Compressed = self.codec(x * std + mean, self._qps(len(x)))
        self.bpp = coded.bpp
        if self._bits is not None:
            self._bits.append(coded.bpp.detach())
        return ((coded.x_hat - mean) / std, *arguments[1:])

    def _start(self) -> None:
        """Begins a batch without bits: those of an earlier batch do not count."""
        self.bpp, self._bits = None, []

    def _log(self, pl_module: Any, name: str) -> None:
        if self._bits:
            bits = torch.cat(self._bits)
            pl_module.log(f"{name}/bpp", bits.mean(), batch_size=len(bits), sync_dist=name != "train")
        self._bits = None

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Starts to draw the qps of a batch."""
        # Several batches share a step where gradients are accumulated, and optimisers that Lightning does not
        # know leave the step as it is.
        place = trainer.global_rank, trainer.current_epoch, trainer.global_step, batch_idx
        self._draws = np.random.default_rng([self._seed, *place])
        self._start()

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Logs the bits."""
        self._draws = None
        self._log(pl_module, "train")
        # The graph behind it is gone, and what has one can neither be copied nor sent to another process.
        self.bpp = None if self.bpp is None else self.bpp.detach()

    def on_validation_batch_start(self, trainer: Any, pl_module: Any, *others: Any) -> None:
        """Starts to count the bits of a batch."""
        self._start()

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, *others: Any) -> None:
        """Logs the bits."""
        self._log(pl_module, "val")

    def on_test_batch_start(self, trainer: Any, pl_module: Any, *others: Any) -> None:
        """Starts to count the bits of a batch."""
        self._start()

    def on_test_batch_end(self, trainer: Any, pl_module: Any, *others: Any) -> None:
        """Logs the bits."""
        self._log(pl_module, "test")

    def on_predict_batch_start(self, trainer: Any, pl_module: Any, *others: Any) -> None:
        """Forgets the bits of the batch before; nothing is logged."""
        self.bpp = None


def _finite(name: str, value: object) -> float:
    return number(name, value, -math.inf, math.inf)


def _positive(name: str, value: object) -> float:
    return number_above(name, value, 0)


def _channels(name: str, value: object, checked: Callable[[str, object], float]) -> Tensor:
    """One number, or one a channel, as a tensor that broadcasts over (N, C, H, W)."""
    numbers = [checked(name, number) for number in one_or_three(name, value)]
    return torch.tensor(numbers, dtype=torch.float32, device="cpu")[:, None, None]
