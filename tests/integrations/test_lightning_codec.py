"""The codec in front of the network of somebody's LightningModule."""

from __future__ import annotations

import io
import math
import subprocess
import sys
from copy import deepcopy
from fractions import Fraction
from numbers import Real
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import npp

lightning = pytest.importorskip("lightning", reason="lightning is not installed")
from npp.integrations.lightning_codec import CodedInput  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # the package's own
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


class Own(lightning.LightningModule):  # type: ignore[misc]
    """Somebody's module, which knows nothing of the codec."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Conv2d(3, 3, 1)
        self.model = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.seen: list[Tensor] = []
        nn.init.dirac_(self.filter.weight)
        nn.init.zeros_(self.filter.bias)
        self.model[0].register_forward_pre_hook(lambda _, arguments: self.seen.append(arguments[0].detach()))

    def _loss(self, batch: Any) -> Tensor:
        x, y = batch
        return F.cross_entropy(self.model(self.filter(x)), y)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self._loss(batch)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/loss", self._loss(batch))

    test_step = validation_step

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def _pictures() -> Tensor:
    noise = torch.rand(4, 3, 6, 8)
    return nn.functional.interpolate(noise, (48, 64), mode="bicubic").clamp(0, 1)


def _loader(pictures: Tensor) -> DataLoader[Any]:
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return DataLoader(TensorDataset((pictures - mean) / std, torch.arange(len(pictures))), batch_size=2)


def _trainer(folder: Path, *callbacks: Any) -> Any:
    return lightning.Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=list(callbacks),
    )


def test_the_network_sees_coded_pictures_and_what_is_before_it_learns(tmp_path: Path) -> None:
    pictures, own = _pictures(), Own()
    before = {name: value.clone() for name, value in own.state_dict().items()}
    callback = CodedInput(
        qp=(30, 45), eval_qp=37, module="model", mean=MEAN, std=STD, codec=npp.BPG(effort=0)
    )
    trainer = _trainer(tmp_path, callback)
    trainer.fit(own, _loader(pictures), _loader(pictures))
    assert set(own.state_dict()) == set(before)
    assert any(not torch.equal(own.filter.state_dict()[n], before[f"filter.{n}"]) for n in ("weight", "bias"))
    assert 0 < float(trainer.callback_metrics["train/bpp"]) < 24
    assert 0 < float(trainer.callback_metrics["val/bpp"]) < 24

    own = Own()
    (measured,) = _trainer(tmp_path, callback).test(own, _loader(pictures), verbose=False)
    coded = npp.compress(pictures, 37, effort=0)
    seen = torch.cat(own.seen) * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
    assert float((seen - coded.x_hat).abs().max()) < 0.01
    assert measured["test/bpp"] == pytest.approx(float(coded.bpp.mean()), rel=0.05)
    own.seen.clear()
    own.model(pictures)
    assert torch.equal(own.seen[0], pictures)  # the codec is gone when the run is over


def test_each_picture_has_its_qp_and_a_seed_repeats_them(tmp_path: Path) -> None:
    pictures = _pictures()[:1].expand(4, -1, -1, -1)

    def seen() -> Tensor:
        torch.manual_seed(3)
        own = Own()
        callback = CodedInput(qp=(20, 51), module="model", mean=MEAN, std=STD, codec=npp.BPG(effort=0))
        _trainer(tmp_path, callback).fit(own, _loader(pictures))
        return torch.cat(own.seen)

    first = seen()
    assert torch.equal(seen(), first)
    assert not torch.equal(first[0], first[1]) and not torch.equal(first[0], first[2])


def _place(rank: int = 0, epoch: int = 0, step: int = 0) -> Any:
    return SimpleNamespace(global_rank=rank, current_epoch=epoch, global_step=step)


class Told(nn.Module):
    """A codec that writes down with which qps it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.codec, self.qps = npp.BPG(effort=0), list[list[int]]()

    def forward(self, x: Tensor, qps: list[int]) -> npp.Compressed:
        self.qps.append(qps)
        return self.codec(x, qps)  # type: ignore[no-any-return]


def _drawn(own: Own, trainer: Any, batch_idx: int = 0) -> list[int]:
    callback = CodedInput(qp=(0, 51), module="model", codec=Told())
    callback.setup(trainer, own, "fit")
    callback.on_train_batch_start(trainer, own, None, batch_idx)
    own.model(torch.full((8, 3, 16, 16), 0.5))
    callback.on_exception(trainer, own, KeyboardInterrupt())
    (qps,) = callback.codec.qps
    assert all(type(qp) is int and 0 <= qp <= 51 for qp in qps)
    return qps


def test_qps_follow_from_the_seed_and_the_place_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Own()
    monkeypatch.setenv("PL_GLOBAL_SEED", "3")
    state = torch.get_rng_state()
    first = _drawn(own, _place())
    assert _drawn(own, _place()) == first and torch.equal(torch.get_rng_state(), state)
    others = [
        _drawn(own, _place(rank=1)),
        _drawn(own, _place(epoch=1)),
        _drawn(own, _place(step=1)),
        _drawn(own, _place(), batch_idx=1),
    ]
    monkeypatch.setenv("PL_GLOBAL_SEED", "4")
    others.append(_drawn(own, _place()))
    assert len({tuple(qps) for qps in [first, *others]}) == 6
    monkeypatch.delenv("PL_GLOBAL_SEED")
    torch.manual_seed(3)
    assert _drawn(own, _place()) == first
    torch.manual_seed(-1)  # which torch takes, too
    _drawn(own, _place())


def test_a_run_that_goes_on_draws_what_one_in_one_go_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "5")
    pictures = _pictures()

    def qps(name: str, epochs: int, resume: Path | None = None) -> list[list[int]]:
        callback = CodedInput(qp=(0, 51), eval_qp=40, module="model", mean=MEAN, std=STD, codec=Told())
        trainer = _trainer(tmp_path, callback)
        trainer.fit_loop.max_epochs, trainer.accumulate_grad_batches = epochs, 2
        trainer.fit(Own(), _loader(pictures), _loader(pictures), ckpt_path=resume)
        trainer.save_checkpoint(tmp_path / name)
        told: list[list[int]] = callback.codec.qps
        return told

    whole = qps("whole.ckpt", 2)
    begun = qps("begun.ckpt", 1)
    rest = qps("rest.ckpt", 2, tmp_path / "begun.ckpt")
    assert begun + rest == whole and len(begun) == len(rest) == 4
    trained = [whole[i] for i in (0, 1, 4, 5)]
    assert len({tuple(one) for one in trained}) == 4
    assert all(one == [40, 40] for i, one in enumerate(whole) if i not in (0, 1, 4, 5))


class Several(Own):
    """Sends a batch through the network twice, its second half alone; of each two batches the latter not."""

    def _loss(self, batch: Any) -> Tensor:
        x, y = batch
        return F.cross_entropy(self.model(x), y) + F.cross_entropy(self.model(x[1:]), y[1:])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        if batch_idx % 2 == 0:
            self._loss(batch)

    test_step = validation_step


class Noted(lightning.Callback):  # type: ignore[misc,name-defined]
    """The shape of what CodedInput has at the end of each batch."""

    def __init__(self, coded: CodedInput) -> None:
        self.coded, self.seen = coded, []

    def _note(self, *_: Any) -> None:
        self.seen.append(None if self.coded.bpp is None else tuple(self.coded.bpp.shape))

    on_train_batch_end = on_validation_batch_end = on_test_batch_end = on_predict_batch_end = _note


def test_the_rate_is_that_of_all_calls_of_a_batch_and_of_no_other_batch(tmp_path: Path) -> None:
    pictures = torch.cat([_pictures()[:2], torch.zeros(2, 3, 48, 64)])
    coded = npp.compress(pictures, 40, effort=0).bpp
    each = [torch.cat([part, part[1:]]).mean().item() for part in coded.split(2)]
    callback = CodedInput(qp=40, module="model", mean=MEAN, std=STD, codec=npp.BPG(effort=0))
    noted = Noted(callback)
    trainer = _trainer(tmp_path, callback, noted)
    trainer.fit(Several(), _loader(pictures), _loader(pictures))
    # Lightning shows a training step's last value, and the mean of the others.
    assert trainer.callback_metrics["train/bpp"] == pytest.approx(each[1], rel=0.05)
    assert trainer.callback_metrics["val/bpp"] == pytest.approx(each[0], rel=0.05)
    (tested,) = trainer.test(Several(), _loader(pictures), verbose=False)
    assert tested["test/bpp"] == pytest.approx(each[0], rel=0.05)
    assert noted.seen == [(1,), (1,), (1,), None, (1,), None]


def test_steps_that_send_nothing_through_the_network_have_no_rate(tmp_path: Path) -> None:
    class Elsewhere(Own):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("weight", self.filter.weight.sum())

        def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
            return self.filter(batch[0])

    callback = CodedInput(qp=40, module="model", codec=npp.BPG(effort=0))
    noted = Noted(callback)
    trainer, own = _trainer(tmp_path, callback, noted), Elsewhere()
    trainer.fit(own, _loader(_pictures()), _loader(_pictures()))
    assert {"train/bpp", "weight"} <= set(
        trainer.callback_metrics
    ) and "val/bpp" not in trainer.callback_metrics
    trainer.predict(own, _loader(_pictures()))
    assert noted.seen == [(2,), (2,), None, None, None, None]


def test_the_bits_have_a_gradient() -> None:
    callback, own = CodedInput(qp=40, module="model", mean=MEAN, std=STD), Own()
    callback.setup(None, own, "fit")
    (x, _), *_ = _loader(_pictures())
    own.model(own.filter(x))
    assert callback.bpp is not None and callback.bpp.shape == (2,)
    callback.bpp.sum().backward()
    assert own.filter.weight.grad is not None and own.filter.weight.grad.abs().sum() > 0


def test_the_default_device_changes_nothing() -> None:
    (x, _), *_ = _loader(_pictures())
    own = Own()

    def coded() -> list[Tensor]:
        torch.manual_seed(3)
        callback = CodedInput(qp=(20, 51), module="model", mean=MEAN, std=STD)
        callback.setup(None, own, "fit")
        callback.on_train_batch_start(_place(), own, None, 0)
        outputs = own.model(own.filter(x))
        callback.teardown(None, own, "fit")
        assert callback.bpp is not None
        return [outputs, callback.bpp]

    expected = coded()
    with torch.device("meta"):
        found = coded()
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


class Called(Own):
    """Somebody's module that is called by its own steps."""

    def forward(self, x: Tensor) -> Tensor:
        return self.model(self.filter(x))

    def _loss(self, batch: Any) -> Tensor:
        x, y = batch if isinstance(batch, list) else (batch, torch.zeros(len(batch), dtype=torch.int64))
        return F.cross_entropy(self(x), y)


class Wrapper(nn.Module):
    """Calls the module that it is given, as DistributedDataParallel does."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *arguments: Any) -> Any:
        return self.module(*arguments)


@pytest.mark.parametrize("labelled", [True, False])
def test_the_whole_module_codes_pictures_once_where_a_strategy_calls_it_for_its_steps(labelled: bool) -> None:
    strategy = pytest.importorskip("lightning.pytorch.strategies.strategy")
    (x, y), *_ = _loader(_pictures())
    own, plain = Called(), Called()
    callback = CodedInput(qp=40, mean=MEAN, std=STD, codec=npp.BPG(effort=0))
    with torch.no_grad():
        callback.setup(None, own, "fit")
        outputs = own(x)
        (expected,) = own.seen
        strategy._ForwardRedirection()(Wrapper(own), own, "training_step", [x, y] if labelled else x, 0)
        assert torch.equal(own.seen[1], expected) and not torch.equal(expected, x) and len(own.seen) == 2
        callback.teardown(None, own, "fit")
        own(x)
    assert torch.equal(own.seen[2], x) and set(vars(own)) == set(vars(plain)) and len(outputs) == len(x)


class Quiet(lightning.LightningModule):  # type: ignore[misc]
    """Somebody's module that can be stored whole."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)  # type: ignore[no-any-return]


def _stored(network: nn.Module) -> Any:
    file = io.BytesIO()
    torch.save(network, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("copied", [deepcopy, _stored])
@pytest.mark.parametrize("module", ["", "model"])
def test_copies_of_the_network_are_without_the_codec(module: str, copied: Any) -> None:
    """A teacher, an average or a file that is made during a run would code its input for ever."""
    (x, _), *_ = _loader(_pictures())
    own = Quiet()
    callback = CodedInput(qp=40, module=module, mean=MEAN, std=STD, codec=npp.BPG(effort=0))
    with torch.no_grad():
        plain = own(x)
        callback.setup(None, own, "fit")
        coded = own(x)
        copy = copied(own)
        assert torch.equal(copy(x), plain) and torch.equal(own(x), coded) and not torch.equal(plain, coded)
        assert torch.equal(copied(own.model)(x), plain)
        for parameter in copy.parameters():
            parameter.zero_()
        assert not copy(x).any() and own(x).any()


def test_bits_with_a_gradient_hold_up_no_copy(tmp_path: Path) -> None:
    class Copied(lightning.Callback):  # type: ignore[misc,name-defined]
        def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
            deepcopy(callback), deepcopy(module.model)

    own, callback = Own(), CodedInput(qp=(20, 51), module="model", mean=MEAN, std=STD)
    callback.codec = npp.BPG(effort=0)
    trainer = _trainer(tmp_path, Copied(), callback)
    trainer.fit(own, _loader(_pictures()))
    assert callback.bpp is not None and not callback.bpp.requires_grad
    assert deepcopy(callback).bpp is None


@pytest.mark.slow
def test_bits_of_two_processes_are_the_mean_of_all(tmp_path: Path) -> None:
    """Noise for one, flat pictures for the other: the first one's alone would be twice the mean."""
    x = torch.cat([torch.rand(2, 3, 32, 32), torch.zeros(2, 3, 32, 32)])[
        [0, 2, 1, 3]
    ]  # samples are dealt in turn
    script = tmp_path / "two.py"
    torch.save(x, tmp_path / "x.pt")
    script.write_text(_TWO_PROCESSES)
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) == pytest.approx(
        float(npp.compress(x, 30, effort=0).bpp.mean()), rel=1e-3
    )


_TWO_PROCESSES = """
import lightning, torch, npp
from torch import nn
from npp.integrations.lightning_codec import CodedInput

class Own(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = nn.Conv2d(3, 1, 1)

    def validation_step(self, batch, batch_idx):
        self.model(batch)

if __name__ == "__main__":
    trainer = lightning.Trainer(
        accelerator="cpu", devices=2, strategy="ddp_spawn", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
        callbacks=[CodedInput(eval_qp=30, module="model", codec=npp.BPG(effort=0))],
    )
    pictures = torch.utils.data.DataLoader(torch.load("x.pt"), batch_size=2)
    (found,) = trainer.validate(Own(), pictures, verbose=False)
    print(found["val/bpp"])
"""


class Failing(Own):
    """Fails in its first step of training, once the network was called."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        super().training_step(batch, batch_idx)
        raise ZeroDivisionError


def test_a_step_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    pictures, own = _pictures()[:1].expand(4, -1, -1, -1), Failing()
    callback = CodedInput(qp=(20, 51), module="model", mean=MEAN, std=STD, codec=npp.BPG(effort=0))
    with pytest.raises(ZeroDivisionError):
        _trainer(tmp_path, callback).fit(own, _loader(pictures))
    own.seen.clear()
    own.model(pictures)
    assert torch.equal(own.seen[0], pictures)
    own.seen.clear()
    _trainer(tmp_path, callback).validate(own, _loader(pictures), verbose=False)
    assert all(torch.equal(one, own.seen[0][:1]) for batch in own.seen for one in batch.split(1))


@pytest.mark.parametrize("one", [np.float32(0.25), Fraction(1, 4), np.array(0.25), torch.tensor(0.25)])
def test_numbers_of_any_kind_are_taken(one: Any) -> None:
    coded = CodedInput(mean=one, std=[one] * 3 if isinstance(one, Real) else one)
    assert coded.mean.tolist() == [[[0.25]]] and coded.std.unique().tolist() == [0.25]
    for several in (np.array(STD), torch.tensor(STD), tuple(STD)):
        assert torch.equal(CodedInput(std=several).std, torch.tensor(STD)[:, None, None])


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="qp must be"):
        CodedInput(qp=(46, 25))
    with pytest.raises(ValueError, match="qp must be an integer from 0 to 51, not 99"):
        CodedInput(eval_qp=99)
    with pytest.raises(ValueError, match="mean must be one number or three"):
        CodedInput(mean=[0.5, 0.5])
    for name in ("mean", "std"):
        for wrong in (
            "0.5",
            None,
            b"abc",
            {0.1: 1, 0.2: 2, 0.3: 3},
            torch.full((3, 2, 1), 0.2).transpose(0, 1),
        ):
            with pytest.raises(ValueError, match=f"{name} must be one number or three, not"):
                CodedInput(**{name: wrong})
        allowed = "a finite number" if name == "mean" else "a finite number above 0"
        for wrong in (math.nan, [0.1, math.inf, 0.1], True, ["0.5"], [None] * 3, np.full((3, 1), 0.5)):
            with pytest.raises(ValueError, match=f"{name} must be {allowed}, not"):
                CodedInput(**{name: wrong})
    for low in (0, -0.5, [0.2, 0.0, 0.2]):
        with pytest.raises(ValueError, match=r"std must be above 0, not"):
            CodedInput(std=low)
    with pytest.raises(AttributeError, match="backbone"):
        CodedInput(module="backbone").setup(None, Own(), "fit")
    own, callback = Own(), CodedInput(module="model")
    callback.setup(None, own, "fit")
    with pytest.raises(TypeError, match=r"first argument of model must be pictures \(N, C, H, W\)"):
        own.model(torch.rand(3, 8, 8))
