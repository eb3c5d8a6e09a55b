"""The parts of a recipe, and what they make of pictures in front of the codec."""

from __future__ import annotations

from torch import Tensor, nn

from npp.allocation.allocator import Allocator
from npp.codec.options import CodecOptions, resolve_qp
from npp.preprocessing.preprocessor import Preprocessor
from npp.recipes.input_checks import check_floats, check_values
from npp.recipes.option_checks import checked_options, explain_unknown_arguments
from npp.recipes.parts import ALL_PARTS, CodecInput, Parts, check_parts
from npp.recipes.picture_floats import filtered
from npp.recipes.recipe_store import FILES
from npp.recipes.scale import ScaleRule, shrink
from npp.recipes.stored_parts import check_kinds
from npp.restoration import Restorer
from npp.torch_state import memory_error_names

_DEFAULT_QP = 37


class RecipeStages(nn.Module):
    """The stages of :class:`npp.Recipe`, which describes its arguments: scaling, filter and quantiser map."""

    @explain_unknown_arguments
    def __init__(
        self,
        name: str = "",
        *,
        scale: ScaleRule | None = None,
        preprocessor: Preprocessor | None = None,
        allocator: Allocator | None = None,
        restorer: Restorer | None = None,
        options: CodecOptions | None = None,
        qp: int = _DEFAULT_QP,
        card: str = "",
    ) -> None:
        super().__init__()
        check_kinds(scale=scale, preprocessor=preprocessor, allocator=allocator, restorer=restorer)
        self.name = name
        self.scale = scale
        self.preprocessor = preprocessor
        self.allocator = allocator
        self.restorer = restorer
        self.options = checked_options({} if options is None else options)
        self.qp = resolve_qp(qp, 1)[0]
        self.card = card
        self._check_more_than_a_name()

    def _check_more_than_a_name(self) -> None:
        """Refuses a recipe of which only the name is given where that is one of npp's own recipes.

        Nobody means that: the pictures would be coded as without any recipe, and nothing would say so.
        """
        parts = self.scale, self.preprocessor, self.allocator, self.restorer
        has_something = any(part is not None for part in parts) or self.options or self.card
        if not has_something and self.name in FILES.named():
            raise ValueError(
                f"a recipe of the name {self.name!r} alone has no parts and would do nothing; "
                f"npp.Recipe.load({self.name!r}) reads the one that comes with npp"
            )

    def __repr__(self) -> str:
        parts = {
            "scale": self.scale,
            "filter": self.preprocessor,
            "qp_map": self.allocator,
            "restorer": self.restorer,
        }
        present = ", ".join(name for name, part in parts.items() if part is not None) or "none"
        return f"Recipe({self.name!r}, qp={self.qp}, parts: {present}, options: {self.options or 'none'})"

    def prepare(self, x: Tensor, qp: int | Tensor, parts: Parts = ALL_PARTS) -> CodecInput:
        """Scales, filters and maps pictures that are coded at one size and qp each.

        torch can compile it as one graph: the codec is what no graph can hold.

        Args:
            x: (N, C, H, W) floats in [0, 1]; 1, 3 or 4 channels, alpha is scaled only.
            qp: one for all: the size depends on it.
            parts: which parts are used, as :class:`npp.recipes.Parts` says.

        Raises:
            TypeError, UnsupportedError: x is no floating tensor with pixels.
            EncodeError: a wrong shape, NaN or samples of another scale in x; ``index`` says which picture.
        """
        self._check(x, parts)
        return self._prepared(x, resolve_qp(qp, 1)[0], parts)

    def _check(self, x: Tensor, parts: Parts) -> None:
        """Refuses inputs that are no pictures, and values that a part would clamp or spread over them."""
        check_floats(x)
        check_parts(parts)
        used = (parts.scale, self.scale), (parts.filter, self.preprocessor), (parts.qp_map, self.allocator)
        if any(wanted and part is not None for wanted, part in used):
            check_values(x)

    def _prepared(self, x: Tensor, qp: int, parts: Parts) -> CodecInput:
        if parts.scale and self.scale is not None:
            with memory_error_names("scaling", x.shape[-2], x.shape[-1]):
                x = shrink(x, self.scale.size(qp, x.shape[-2], x.shape[-1]))
        if parts.filter and self.preprocessor is not None:
            with memory_error_names("filtering", x.shape[-2], x.shape[-1]):
                x = filtered(self.preprocessor, x, qp)
        if not parts.qp_map or self.allocator is None:
            return CodecInput(x, None)
        with memory_error_names("making the quantiser map of", x.shape[-2], x.shape[-1]):
            return CodecInput(x, self.allocator(x, qp))

    def _restorer(self, parts: Parts) -> Restorer | None:
        return self.restorer if parts.restorer else None
