"""The learned proxy: its densities, its causality, its files, its training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch
from PIL import Image
from small_runs import pictures

import npp
from npp.gradient.surrogates.hyperprior import (
    GDN,
    FactorizedDensity,
    Hyperprior,
    HyperpriorConfig,
    gaussian_likelihood,
    load_hyperprior,
    quantise,
    save_hyperprior,
)
from npp.gradient.surrogates.learned import _SHIPPED, LearnedCodec
from npp.photos.finding import PhotoWarning
from npp.training.proxy_data import CropDataset

SMALL = HyperpriorConfig(width=8, latent=12, stages=3, conditioned=True, residual=True)
QP = torch.tensor([24.0, 44.0])


def test_densities_sum_to_one() -> None:
    values = torch.arange(-400.0, 401)
    mean, scale = torch.tensor(0.3), torch.tensor(2.0)
    assert gaussian_likelihood(values, mean, scale).sum().item() == pytest.approx(1, abs=1e-4)
    density = FactorizedDensity(2)
    total = density(values.view(1, 1, -1, 1).expand(1, 2, -1, -1)).sum((0, 2, 3))
    torch.testing.assert_close(total, torch.ones(2), atol=1e-3, rtol=0)


def test_a_gaussian_is_never_narrower_than_a_ninth_of_a_step() -> None:
    """Half a step on either side of its mean, in deviations of softplus(s) + 0.11."""
    for scale in (-20.0, 0.0, 2.0):
        deviation = math.log1p(math.exp(scale)) + 0.11
        wanted = math.erf(0.5 / deviation / math.sqrt(2))
        value = torch.tensor([3.0], dtype=torch.float64)
        found = gaussian_likelihood(value, value, torch.full_like(value, scale))
        assert found.tolist() == [pytest.approx(wanted, rel=1e-9)]


def test_an_untrained_residual_network_gives_its_input() -> None:
    x = pictures(2, 64)
    found = Hyperprior(SMALL).eval()(x, QP)["x_hat"]
    torch.testing.assert_close(found, x, atol=1e-6, rtol=0)


def test_gdn_divides_and_its_inverse_multiplies() -> None:
    x = torch.randn(2, 4, 5, 5)
    direct, inverse = GDN(4), GDN(4, inverse=True)
    gamma, beta = direct.gamma_root.square(), direct.beta_root.square()
    root = (beta[None, :, None, None] + torch.einsum("ij,njhw->nihw", gamma, x.square())).sqrt()
    torch.testing.assert_close(direct(x), x / root, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(inverse(x), x * root, rtol=1e-4, atol=1e-4)


def test_quantise_rounds_or_adds_noise_of_one_step() -> None:
    latent = torch.randn(1000, requires_grad=True)
    rounded = quantise(latent, noisy=False)
    torch.testing.assert_close(rounded, latent.detach().round())
    (gradient,) = torch.autograd.grad(rounded.sum(), latent)
    assert torch.equal(gradient, torch.ones_like(latent))
    noise = quantise(latent, noisy=True) - latent
    assert 0.45 < noise.abs().max() <= 0.5


def test_context_sees_only_the_past() -> None:
    model = Hyperprior(SMALL)
    latent = torch.randn(1, 12, 9, 9, requires_grad=True)
    (gradient,) = torch.autograd.grad(model.context(latent)[0, :, 4, 4].sum(), latent)
    seen = gradient.abs().sum((0, 1)) > 0
    assert seen[:4].any() and seen[4, :4].any()
    assert not seen[4, 4:].any() and not seen[5:].any()


@pytest.mark.parametrize("config", [SMALL, HyperpriorConfig(width=8, latent=12)])
def test_forward_gives_compressais_names(config: HyperpriorConfig) -> None:
    model = Hyperprior(config).eval()
    x = torch.rand(2, 3, model.multiple, 2 * model.multiple)
    out = model(x, QP) if config.conditioned else model(x)
    assert out["x_hat"].shape == x.shape
    assert set(out["likelihoods"]) == {"y", "z"}
    assert all(((p > 0) & (p <= 1)).all() for p in out["likelihoods"].values())
    again = model(x, QP) if config.conditioned else model(x)
    assert torch.equal(again["x_hat"], out["x_hat"])


def test_published_sizes_are_the_default() -> None:
    config = HyperpriorConfig()
    assert (config.width, config.latent, config.stages, config.conditioned) == (192, 192, 4, False)


def test_conditioned_network_needs_a_qp() -> None:
    with pytest.raises(ValueError, match="qp is needed"):
        Hyperprior(SMALL)(torch.rand(1, 3, 32, 32))


def test_weights_survive_a_file(tmp_path: Path) -> None:
    model = Hyperprior(SMALL).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_((parameter + 0.01 * torch.randn_like(parameter)).half().float())
    save_hyperprior(model, tmp_path / "proxy.pt")
    loaded = load_hyperprior(tmp_path / "proxy.pt")
    x = torch.rand(2, 3, 32, 32)
    assert loaded.config == SMALL and not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert torch.equal(loaded(x, QP)["x_hat"], model(x, QP)["x_hat"])


def test_weights_of_sizes_in_numpys_integers_survive_a_file(tmp_path: Path) -> None:
    sizes = {"width": np.int64(4), "latent": np.int32(6), "stages": np.int16(2)}
    config = HyperpriorConfig(**sizes)  # type: ignore[arg-type]
    assert [type(getattr(config, name)) for name in sizes] == [int] * 3
    save_hyperprior(Hyperprior(config), tmp_path / "proxy.pt")
    assert load_hyperprior(tmp_path / "proxy.pt").config == config


@pytest.mark.parametrize(
    "stored",
    [{"a": 1}, [1], {"config": {"width": 8}, "weights": {}}, {"config": {"zz": 1}, "weights": {}}, None],
)
def test_a_file_without_a_hyperprior_is_named(tmp_path: Path, stored: object) -> None:
    path = tmp_path / "other.pt"
    with pytest.raises(FileNotFoundError, match=r"other\.pt"):
        load_hyperprior(path)
    if stored is None:
        path.write_bytes(b"no file of torch's")
    else:
        torch.save(stored, path)
    with pytest.raises(ValueError, match=r"other\.pt: it holds no hyperprior: ."):
        load_hyperprior(path)


def test_failed_save_keeps_the_old_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "proxy.pt"
    save_hyperprior(Hyperprior(SMALL), path)
    before = path.read_bytes()

    def stops_half_way(_: object, file: BinaryIO) -> None:
        file.write(before[:1000])
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", stops_half_way)
    with pytest.raises(OSError, match="disk full"):
        save_hyperprior(Hyperprior(SMALL), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_shipped_proxy_is_small_and_knows_the_qp() -> None:
    assert _SHIPPED.stat().st_size <= 3 * 2**20
    model = load_hyperprior(_SHIPPED)
    surrogate = LearnedCodec(model, model.multiple)
    x = pictures(1, 64).expand(2, -1, -1, -1)
    estimate = surrogate(x, QP, None, None)  # type: ignore[arg-type]
    assert estimate.bpp[0] > 2 * estimate.bpp[1]


@pytest.mark.filterwarnings("ignore")  # Lightning's own
@pytest.mark.parametrize("objective", ["distil", "published"])
def test_training_writes_weights_and_resumes(tmp_path: Path, objective: str) -> None:
    pytest.importorskip("lightning")
    from PIL import Image

    from npp.training.proxy import train_proxy

    for i, picture in enumerate(pictures(4, 40)):
        Image.fromarray((picture * 255).byte().permute(1, 2, 0).numpy()).save(tmp_path / f"{i}.png")
    config = HyperpriorConfig(8, 12, 3, conditioned=objective == "distil", residual=objective == "distil")
    quiet = {"batch": 2, "crop": 32, "accelerator": "cpu", "devices": 1, "progress": False}
    out = tmp_path / "run"
    weights = train_proxy(tmp_path, out, objective=objective, config=config, steps=2, **quiet)  # type: ignore[arg-type]
    first = load_hyperprior(weights)
    assert first.config == config
    resume = out / "checkpoints" / "last.ckpt"
    train_proxy(tmp_path, out, objective=objective, config=config, steps=3, resume=resume, **quiet)  # type: ignore[arg-type]
    assert torch.load(resume, weights_only=True)["global_step"] == 3
    assert list(out.rglob("events.out.tfevents*"))
    again = train_proxy(tmp_path, out, objective=objective, config=config, steps=5, **quiet)  # type: ignore[arg-type]
    assert again == weights and torch.load(resume, weights_only=True)["global_step"] == 5
    assert not list(out.rglob("last-v*.ckpt"))
    other = HyperpriorConfig(12, 12, 3, conditioned=objective == "distil", residual=objective == "distil")
    with pytest.raises(ValueError, match=r"^resume: .*last\.ckpt is of another size of network"):
        train_proxy(tmp_path, out, objective=objective, config=other, steps=4, resume=resume, **quiet)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^resume: .*hyperprior\.pt is no checkpoint of a training"):
        train_proxy(tmp_path, out, objective=objective, config=config, steps=4, resume=weights, **quiet)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore")  # Lightning's own
def test_training_rounds_after_its_first_part_and_follows_its_seed_on_any_default_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lightning")
    from PIL import Image

    from npp.training.proxy import train_proxy

    for i, picture in enumerate(pictures(4, 40)):
        Image.fromarray((picture * 255).byte().permute(1, 2, 0).numpy()).save(tmp_path / f"{i}.png")
    noisy: list[bool] = []

    def recording(latent: torch.Tensor, noise: bool) -> torch.Tensor:
        if latent.requires_grad:
            noisy.append(noise)
        return quantise(latent, noise)

    monkeypatch.setattr("npp.gradient.surrogates.hyperprior.quantise", recording)
    quiet = {"batch": 2, "crop": 32, "accelerator": "cpu", "devices": 1, "progress": False}
    runs = []
    for seed, device in ((3, "cpu"), (3, "meta"), (4, "cpu")):
        noisy.clear()
        out = tmp_path / str(len(runs))
        with torch.device(device):
            weights = train_proxy(tmp_path, out, config=SMALL, steps=6, seed=seed, **quiet)  # type: ignore[arg-type]
        runs.append(torch.cat([value.flatten() for value in load_hyperprior(weights).state_dict().values()]))
        assert noisy == 4 * [True] + 8 * [False]
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


def test_training_names_wrong_arguments(tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    from npp.training.proxy import ProxyModule, train_proxy

    with pytest.raises(ValueError, match="no photos"):
        train_proxy(tmp_path, tmp_path, config=SMALL, crop=32)
    with pytest.raises(ValueError, match="crop must be a multiple of 32, not 40"):
        train_proxy(tmp_path, tmp_path, config=SMALL, crop=40)
    with pytest.raises(ValueError, match="conditioned"):
        ProxyModule(SMALL, "published")


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("steps", -1),  # of which Lightning would take as many as there is time for
        ("steps", 0),
        ("steps", 1.5),
        ("batch", 0),
        ("crop", 0),
        ("workers", -1),
        ("workers", 100_000),  # each a process
        ("batch", 10**9),
        ("crop", 10**6),
        ("seed", -1),
        ("learning_rate", math.nan),
        ("learning_rate", 0.0),
        ("distortion_weight", -1.0),
        ("effort", 10),
        ("objective", "destil"),
    ],
)
def test_an_argument_out_of_range_is_named_before_anything_is_written(
    argument: str, value: object, tmp_path: Path
) -> None:
    training = pytest.importorskip("npp.training.proxy", reason="lightning is not installed")
    with pytest.raises(ValueError, match=rf"^{argument} must be .*{value}"):
        training.train_proxy(tmp_path, tmp_path / "run", **{argument: value})
    assert not (tmp_path / "run").exists()


def test_a_photo_that_is_too_narrow_to_be_enlarged_is_replaced(tmp_path: Path) -> None:
    paths = [tmp_path / "narrow.png", tmp_path / "small.png"]
    Image.new("RGB", (1, 400)).save(paths[0])
    Image.new("RGB", (24, 16), (90, 40, 10)).save(paths[1])
    npp.set_max_pixels(64 * 400 - 1)
    try:
        crops = CropDataset(paths, 64, train=False)
        with pytest.warns(PhotoWarning, match=r"narrow\.png"):
            replaced = crops[0]
        assert replaced.shape == (3, 64, 64) and torch.equal(replaced, crops[1])
    finally:
        npp.set_max_pixels(None)
