"""The hyperprior network: transforms, normalisation, densities, and its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from npp.checks import flags, wholes
from npp.hevc.quantiser import QP_FEATURES, qp_features, slice_qp, step_size
from npp.torch_state import made_once, widened
from npp.weight_files import write_torch_file

_FLOOR = 1e-6


class GDN(nn.Module):
    """y_i = x_i / sqrt(β_i + Σ_j γ_ij x_j²), or times the root when inverse (Ballé et al., arXiv 1511.06281).

    β and γ are kept positive as squares of the parameters.

    Args:
        channels: of the input (N, channels, H, W) and the output.
        inverse: multiply instead of divide.
    """

    def __init__(self, channels: int, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        self.beta_root = nn.Parameter(torch.ones(channels))
        self.gamma_root = nn.Parameter(0.3 * torch.eye(channels) + 0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised (or, with ``inverse``, denormalised) features (N, channels, H, W) of features x."""
        gamma = self.gamma_root.square()[:, :, None, None]
        norm = F.conv2d(x.square(), gamma, self.beta_root.square() + _FLOOR)
        return x * norm.sqrt() if self.inverse else x * norm.rsqrt()


_LEAST_LIKELIHOOD = 1e-9
_LEAST_SCALE = 0.11


def quantise(latent: Tensor, noisy: bool) -> Tensor:
    """Rounds with a straight-through gradient, or adds uniform noise of one step on the latent's device."""
    if noisy:
        return latent + torch.rand_like(latent) - 0.5
    return latent + (latent.detach().round() - latent.detach())


def gaussian_likelihood(value: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Probability that a Gaussian, quantised with step 1, gives ``value``. Elementwise; float32 at least."""
    value, mean, scale = widened(value), widened(mean), widened(scale)
    distance = (value - mean).abs()
    deviation = F.softplus(scale) + _LEAST_SCALE
    upper = torch.special.ndtr((0.5 - distance) / deviation)
    lower = torch.special.ndtr((-0.5 - distance) / deviation)
    likelihood: Tensor = (upper - lower).clamp_min(_LEAST_LIKELIHOOD)
    return likelihood


def nats(likelihoods: Mapping[str, Tensor]) -> Tensor:
    """Information (N,) of latents whose symbols have those likelihoods (N, ...); a bit is log 2 of it.

    It is in float32 at least, for float16 has no sums of that size. Nor has it likelihoods as small as the
    least: what is below that counts as the least.
    """
    information = [-_representable(likelihood).log().flatten(1).sum(1) for likelihood in likelihoods.values()]
    return torch.stack(information).sum(0)


def _representable(likelihood: Tensor) -> Tensor:
    wide = widened(likelihood)
    return wide.clamp_min(_LEAST_LIKELIHOOD) if wide.dtype != likelihood.dtype else wide


_DENSITY_SIZES = (1, 3, 3, 3, 1)  # units of the layers
_DENSITY_SPREAD = 10.0  # about how far from 0 the initial density reaches


class FactorizedDensity(nn.Module):
    """A learned density for each channel, by a monotone network (Ballé et al. 2018, appendix 6.1).

    Args:
        channels: of the latent.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        growth = _DENSITY_SPREAD ** (1 / (len(_DENSITY_SIZES) - 1))
        self.matrices, self.biases, self.factors = nn.ParameterList(), nn.ParameterList(), nn.ParameterList()
        for inputs, outputs in pairwise(_DENSITY_SIZES):
            start = torch.expm1(torch.tensor(1 / growth / outputs)).log()
            self.matrices.append(nn.Parameter(start.repeat(channels, outputs, inputs)))
            self.biases.append(nn.Parameter(torch.rand(channels, outputs, 1) - 0.5))
            self.factors.append(nn.Parameter(torch.zeros(channels, outputs, 1)))

    def _cumulative_logit(self, value: Tensor) -> Tensor:
        last = len(self.matrices) - 1
        for i, (matrix, bias, factor) in enumerate(
            zip(self.matrices, self.biases, self.factors, strict=True)
        ):
            value = F.softplus(widened(matrix)) @ value + widened(bias)
            if i < last:
                value = value + torch.tanh(widened(factor)) * torch.tanh(value)
        return value

    def forward(self, value: Tensor) -> Tensor:
        """Probability of each quantised value of (N, C, H, W); same shape out, in float32 at least."""
        count, channels, height, width = value.shape
        flat = widened(value).transpose(0, 1).reshape(channels, 1, -1)
        lower, upper = self._cumulative_logit(flat - 0.5), self._cumulative_logit(flat + 0.5)
        # On the side where both sigmoids are small their difference keeps its digits.
        side = -torch.sign(lower + upper).detach()
        likelihood = (torch.sigmoid(side * upper) - torch.sigmoid(side * lower)).abs()
        return likelihood.clamp_min(_LEAST_LIKELIHOOD).view(channels, count, height, width).transpose(0, 1)


_HYPER_STAGES = 2
_PEAK, _MIDDLE = 255.0, 0.5
_MOST_CHANNELS, _MOST_STAGES = 4096, 10


@dataclass(frozen=True)
class HyperpriorConfig:
    """Sizes of a :class:`Hyperprior`. The defaults are the published network.

    Attributes:
        width: channels N of the transforms, 1 to 4096.
        latent: channels M of the latent, 1 to 4096.
        stages: halvings of the picture's size before the latent, 1 to 10.
        conditioned: the network is given the qp: it sees and gives pixels in units of BPG's quantiser step,
            which makes the task nearly the same at every qp, and its channels have gains by qp.
        residual: synthesis gives x_hat - x, what the codec does to the picture, instead of x_hat.

    Raises:
        ValueError: a value that is out of its range.
    """

    width: int = 192
    latent: int = 192
    stages: int = 4
    conditioned: bool = False
    residual: bool = False

    def __post_init__(self) -> None:
        for name, most in (("width", _MOST_CHANNELS), ("latent", _MOST_CHANNELS), ("stages", _MOST_STAGES)):
            wholes(self, 1, most, name)
        flags(self, "conditioned", "residual")


class _QpGain(nn.Module):
    """Scales channels by exp of a quadratic in the qp; the identity at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(QP_FEATURES, channels))

    def forward(self, x: Tensor, qp: Tensor) -> Tensor:
        return x * torch.exp(qp_features(qp) @ self.weights)[:, :, None, None]


class _Transform(nn.Module):
    """A stack of strided (or transposed) 5x5 convolutions with GDN between and optional gains by qp."""

    def __init__(self, channels: list[int], up: bool, conditioned: bool) -> None:
        super().__init__()
        layer = _up if up else _down
        steps = list(pairwise(channels))
        self.convs = nn.ModuleList([layer(inputs, outputs) for inputs, outputs in steps])
        self.norms = nn.ModuleList([GDN(outputs, inverse=up) for _, outputs in steps[:-1]])
        gained = channels[:-1] if up else channels[1:]
        self.gains = nn.ModuleList([_QpGain(count) for count in gained]) if conditioned else None
        self.up = up

    def forward(self, x: Tensor, qp: Tensor | None) -> Tensor:
        for i, conv in enumerate(self.convs):
            if self.up and self.gains is not None:
                x = self.gains[i](x, qp)
            x = conv(x)
            if not self.up and self.gains is not None:
                x = self.gains[i](x, qp)
            if i < len(self.norms):
                x = self.norms[i](x)
        return x


def _down(inputs: int, outputs: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 5, stride=2, padding=2)


def _up(inputs: int, outputs: int) -> nn.Module:
    return nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=2, output_padding=1)


@made_once
def _before(dtype: torch.dtype, device: torch.device) -> Tensor:
    """(5, 5): 1 where a place comes before the middle one in raster order.

    No buffer of the module: one made on the device meta and filled with weights would lack it.
    """
    mask = torch.zeros(5, 5, dtype=dtype, device=device)
    mask[:2] = 1
    mask[2, :2] = 1
    return mask


class _MaskedConv(nn.Conv2d):
    """5x5 convolution that sees only what comes before in raster order."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * _before(self.weight.dtype, self.weight.device), self.bias, padding=2)


class Hyperprior(nn.Module):
    """Analysis and synthesis with GDN, scale-and-mean hyperprior, autoregressive context.

    In training mode latents get uniform noise; in evaluation they are rounded with a straight-through
    gradient, so that the result is deterministic.
    """

    def __init__(self, config: HyperpriorConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or HyperpriorConfig()
        n, m, inner = config.width, config.latent, config.stages - 1
        self.analysis = _Transform([3, *[n] * inner, m], up=False, conditioned=config.conditioned)
        self.synthesis = _Transform([m, *[n] * inner, 3], up=True, conditioned=config.conditioned)
        self.hyper_analysis = nn.Sequential(
            nn.Conv2d(m, n, 3, padding=1), nn.LeakyReLU(), _down(n, n), nn.LeakyReLU(), _down(n, n)
        )
        self.hyper_synthesis = nn.Sequential(
            _up(n, n),
            nn.LeakyReLU(),
            _up(n, n * 3 // 2),
            nn.LeakyReLU(),
            nn.Conv2d(n * 3 // 2, 2 * m, 3, padding=1),
        )
        self.context = _MaskedConv(m, 2 * m)
        self.parameters_of = nn.Sequential(
            nn.Conv2d(4 * m, 10 * m // 3, 1), nn.LeakyReLU(),
            nn.Conv2d(10 * m // 3, 8 * m // 3, 1), nn.LeakyReLU(),
            nn.Conv2d(8 * m // 3, 2 * m, 1),
        )  # fmt: skip
        self.density = FactorizedDensity(n)
        if config.residual:  # starts as x_hat = x
            last = self.synthesis.convs[-1]
            assert isinstance(last, nn.ConvTranspose2d) and last.bias is not None
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this."""
        return 1 << (self.config.stages + _HYPER_STAGES)

    def forward(self, x: Tensor, qp: Tensor | None = None) -> dict[str, Any]:
        """Codes pictures.

        Args:
            x: (N, 3, H, W) in [0, 1], sizes multiples of :attr:`multiple`.
            qp: (N,) BPG qp, needed if the network is conditioned on it.

        Returns:
            ``x_hat`` (N, 3, H, W) and ``likelihoods`` of the latents ``y`` and ``z``, CompressAI's names. The
            likelihoods are in float32 at least.
        """
        if self.config.conditioned and qp is None:
            raise ValueError("qp is needed: this network is conditioned on it")
        qp = qp if self.config.conditioned else None
        step = None if qp is None else (step_size(slice_qp(qp)) / _PEAK)[:, None, None, None]
        y = self.analysis(x if step is None else (x - _MIDDLE) / step, qp)
        z_hat = quantise(self.hyper_analysis(y), self.training)
        y_hat = quantise(y, self.training)
        known = torch.cat([self.hyper_synthesis(z_hat), self.context(y_hat)], dim=1)
        scale, mean = self.parameters_of(known).chunk(2, dim=1)
        decoded = self.synthesis(y_hat, qp)
        if step is not None:
            decoded = decoded * step + (0 if self.config.residual else _MIDDLE)
        likelihoods = {"y": gaussian_likelihood(y_hat, mean, scale), "z": self.density(z_hat)}
        return {"x_hat": x + decoded if self.config.residual else decoded, "likelihoods": likelihoods}


def save_hyperprior(model: Hyperprior, path: Path | str) -> None:
    """Writes configuration and half-precision weights; an existing file is replaced whole or not at all."""
    weights = {name: value.half() for name, value in model.state_dict().items()}
    write_torch_file(path, {"config": asdict(model.config), "weights": weights})


def load_hyperprior(path: Path | str) -> Hyperprior:
    """Reads what :func:`save_hyperprior` wrote: frozen, in evaluation mode, float32.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no hyperprior; the message names it.
    """
    file = Path(path)
    data = file.read_bytes()
    try:
        stored = torch.load(BytesIO(data), map_location="cpu", weights_only=True)
        with torch.device("cpu"):
            model = Hyperprior(HyperpriorConfig(**stored["config"])).float()
        model.load_state_dict({name: value.float() for name, value in stored["weights"].items()})
    except MemoryError:
        raise  # which is not the file's fault
    except Exception as error:  # of what is no such file torch's reader says anything
        text = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: it holds no hyperprior: {text}") from error
    return model.eval().requires_grad_(False)
