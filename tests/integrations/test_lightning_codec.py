"""The codec in front of the network of somebody's LightningModule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
        callback.on_train_batch_start(None, own, None, 0)
        outputs = own.model(own.filter(x))
        callback.teardown(None, own, "fit")
        assert callback.bpp is not None
        return [outputs, callback.bpp]

    expected = coded()
    with torch.device("meta"):
        found = coded()
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="qp must be"):
        CodedInput(qp=(46, 25))
    with pytest.raises(ValueError, match="qp must be an integer from 0 to 51, not 99"):
        CodedInput(eval_qp=99)
    with pytest.raises(ValueError, match="mean must be one number or three"):
        CodedInput(mean=[0.5, 0.5])
    with pytest.raises(AttributeError, match="backbone"):
        CodedInput(module="backbone").setup(None, Own(), "fit")
    own, callback = Own(), CodedInput(module="model")
    callback.setup(None, own, "fit")
    with pytest.raises(TypeError, match=r"first argument of model must be pictures \(N, C, H, W\)"):
        own.model(torch.rand(3, 8, 8))
