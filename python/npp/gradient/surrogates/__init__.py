"""Differentiable stand-ins for the codec: where the gradient of :func:`npp.compress` comes from."""

from __future__ import annotations

from collections.abc import Callable

from npp.checks import brief, did_you_mean
from npp.gradient.surrogates.coefficientwise import Gated, Identity, Masked, Scaled, SoftDCT
from npp.gradient.surrogates.hyperprior import Hyperprior, HyperpriorConfig, load_hyperprior, save_hyperprior
from npp.gradient.surrogates.learned import LearnedCodec, ShippedHyperprior
from npp.gradient.surrogates.surrogate import Estimate, Real, Surrogate

_FACTORIES: dict[str, Callable[[], Surrogate]] = {
    "identity": Identity,
    "dct": SoftDCT,
    "scaled": Scaled,
    "gated": Gated,
    "masked": Masked,
    "hyperprior": ShippedHyperprior,
}

#: Names that ``surrogate=`` takes.
NAMES = tuple(_FACTORIES)

#: The one whose gradient lowers the real objective most at every qp (docs/gradients.md).
DEFAULT_SURROGATE = "gated"


def resolve_surrogate(surrogate: str | Surrogate) -> Surrogate:
    """A surrogate from its name, or the object itself.

    Raises:
        ValueError: an unknown name.
        TypeError: neither a name nor a surrogate.
    """
    if isinstance(surrogate, str):
        if surrogate not in _FACTORIES:
            raise ValueError(
                f"surrogate must be one of {', '.join(map(repr, NAMES))} or an object, not {brief(surrogate)}"
                f"{did_you_mean(surrogate, NAMES)}"
            )
        return _FACTORIES[surrogate]()
    if isinstance(surrogate, type):
        raise TypeError(f"surrogate must be an object such as {surrogate.__name__}(), not the class itself")
    if not callable(surrogate) or not hasattr(surrogate, "needs_real"):
        raise TypeError(
            "surrogate must be a name or a callable (x, qp, real, options) -> Estimate with an attribute "
            f"needs_real, not {type(surrogate).__name__}"
        )
    return surrogate


__all__ = [
    "DEFAULT_SURROGATE",
    "NAMES",
    "Estimate",
    "Gated",
    "Hyperprior",
    "HyperpriorConfig",
    "Identity",
    "LearnedCodec",
    "Masked",
    "Real",
    "Scaled",
    "ShippedHyperprior",
    "SoftDCT",
    "Surrogate",
    "load_hyperprior",
    "resolve_surrogate",
    "save_hyperprior",
]
