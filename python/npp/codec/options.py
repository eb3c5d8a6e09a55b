"""Options of the encoder: their names, their values and what is allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypedDict, get_args

import npp._bpg as _bpg
from npp._bpg import EncodeError, UnsupportedError
from npp.checks import MAX_QP, brief, flag, is_int, known_settings, number, one_of, whole

Chroma = Literal["400", "420", "422", "444", "420_mpeg2", "422_mpeg2"]
ColorSpace = Literal["ycbcr", "rgb", "ycgco", "ycbcr_bt709", "ycbcr_bt2020"]
Tune = Literal["ssim", "machine"]

#: Names in the order of BPG's pixel_format and color_space fields.
CHROMA_NAMES: tuple[Chroma, ...] = get_args(Chroma)
COLOR_SPACE_NAMES: tuple[ColorSpace, ...] = get_args(ColorSpace)
MAX_EFFORT = 9
_MAX_DEBLOCK = 6
_MAX_CHROMA_OFFSET = 12
_MAX_PSY_RD = 5
#: Types whose values can be told from one another and stay what they are; a tensor is hashable and does not.
_UNCHANGING = (str, int, float, bool, type(None))


class CodecOptions(TypedDict, total=False):
    """Options that every encoding function takes as keyword arguments.

    Attributes:
        effort: 0 (fastest) to 9; 8, the default, is the setting that matches bpgenc's default level.
        chroma: sampling of the colour planes, default ``"420"``. Gray pictures are always ``"400"``.
        bit_depth: 8 (default), 10 or 12 bits a sample in the file.
        color_space: default ``"ycbcr"`` (BT.601).
        limited_range: video range instead of full range, default ``False``.
        lossless: default ``False``. Uses ``color_space="rgb"`` and ``chroma="444"`` unless told
            otherwise; exact for 8-bit RGB then, but not ``premultiplied``, and in ``limited_range`` only from
            10 bits on.
        alpha_qp: qp of the alpha plane, default the picture's own.
        premultiplied: store colour multiplied by alpha, default ``False``.
        tune: ``"ssim"`` (default) is bpgenc's; ``"machine"`` chooses the encoder's tools for networks.
        deblock: strength of the filter against block edges, -6 (next to none) to 6; ``None``, the default,
            is what effort and tune choose, about 0. Some networks gain by less of it, others lose.
        chroma_qp_offset: quantiser of the two colour planes against that of luma, -12 (finer) to 12;
            ``None``, the default, is 0, with tune ``"machine"`` -3.
        psy_rd: how much the encoder prefers blocks that keep how much texture they have, even where single
            pixels come out less exact, 0 to 5; ``None``, the default, is 0, not at all. Above 0 the encoder
            searches as x265 does from its rd level 3 on. Meant for the eye; PSNR loses.
    """

    effort: int
    chroma: Chroma
    bit_depth: int
    color_space: ColorSpace
    limited_range: bool
    lossless: bool
    alpha_qp: int | None
    premultiplied: bool
    tune: Tune
    deblock: int | None
    chroma_qp_offset: int | None
    psy_rd: float | None


def _bit_depth(value: Any) -> int:
    if is_int(value) and value in (9, 11, 13, 14):
        raise UnsupportedError(
            f"bit_depth must be 8, 10 or 12, not {value}: BPG has it, x265 cannot write it"
        )
    one_of("bit_depth", value, (8, 10, 12), EncodeError)
    return int(value)


@dataclass(frozen=True)
class ResolvedOptions:
    """Checked options with every default filled in."""

    effort: int
    chroma: Chroma
    bit_depth: int
    color_space: ColorSpace
    limited_range: bool
    lossless: bool
    alpha_qp: int | None
    premultiplied: bool
    tune: Tune
    psy_rd: float
    x265: str

    def native(self, *, gray: bool) -> _bpg.EncodeOptions:
        """The extension's form of these options, for a gray or a colour picture."""
        return _native(self, gray or self.chroma == "400")

    def alpha_qps(self, qps: list[int]) -> list[int]:
        """The qp of each picture's alpha plane, from those of the pictures: the same unless one is given."""
        return qps if self.alpha_qp is None else [self.alpha_qp] * len(qps)

    @property
    def chroma_qp_offset(self) -> int:
        """How much coarser than luma the colour planes are quantised: by option, tune or effort."""
        return _chroma_qp_offset(self)


@lru_cache(maxsize=128)
def _native(options: ResolvedOptions, gray: bool) -> _bpg.EncodeOptions:
    return _bpg.EncodeOptions(
        chroma=0 if gray else CHROMA_NAMES.index(options.chroma),
        color_space=0 if gray else COLOR_SPACE_NAMES.index(options.color_space),
        bit_depth=options.bit_depth,
        limited_range=options.limited_range,
        lossless=options.lossless,
        premultiplied=options.premultiplied,
        effort=options.effort,
        machine=options.tune == "machine",
        psy_rd=options.psy_rd,
        x265=options.x265,
    )


@lru_cache(maxsize=128)
def _chroma_qp_offset(options: ResolvedOptions) -> int:
    return _bpg.chroma_qp_offset(options.native(gray=False))


def resolve_options(options: Mapping[str, Any]) -> ResolvedOptions:
    """Checks codec options and fills in the defaults.

    ``_x265`` (``"name=value:name=value"``) reaches x265 directly; it is for the search scripts in
    benchmarks/ and may change.

    Raises:
        UnknownSettingError: an unknown option; it is a TypeError and a ValueError.
        EncodeError: a value that is not allowed; the message says which are.
        UnsupportedError: a bit depth of 9, 11, 13 or 14.
    """
    # True is equal to 1 and as good a key, but no effort: hence the types.
    items = tuple((name, type(value), value) for name, value in options.items())
    return _resolve_once(items) if all(kind in _UNCHANGING for _, kind, _ in items) else _resolve(options)


@lru_cache(maxsize=128)
def _resolve_once(items: tuple[tuple[str, type, Any], ...]) -> ResolvedOptions:
    return _resolve({name: value for name, _, value in items})


def _resolve(options: Mapping[str, Any]) -> ResolvedOptions:
    named = [name for name in options if name != "_x265"]
    known_settings("unknown option", named, CodecOptions.__annotations__)
    lossless = flag("lossless", options.get("lossless", False), EncodeError)
    chroma = options.get("chroma", "444" if lossless else "420")
    one_of("chroma", chroma, CHROMA_NAMES, EncodeError)
    color_space = options.get("color_space", "rgb" if lossless and chroma == "444" else "ycbcr")
    one_of("color_space", color_space, COLOR_SPACE_NAMES, EncodeError)
    tune = options.get("tune", "ssim")
    one_of("tune", tune, get_args(Tune), EncodeError)
    alpha_qp, psy_rd = options.get("alpha_qp"), options.get("psy_rd")
    return ResolvedOptions(
        effort=whole("effort", options.get("effort", 8), 0, MAX_EFFORT, EncodeError),
        chroma=chroma,
        bit_depth=_bit_depth(options.get("bit_depth", 8)),
        color_space=color_space,
        limited_range=flag("limited_range", options.get("limited_range", False), EncodeError),
        lossless=lossless,
        alpha_qp=None if alpha_qp is None else whole("alpha_qp", alpha_qp, 0, MAX_QP, EncodeError),
        premultiplied=flag("premultiplied", options.get("premultiplied", False), EncodeError),
        tune=tune,
        psy_rd=0.0 if psy_rd is None else number("psy_rd", psy_rd, 0, _MAX_PSY_RD, EncodeError),
        x265=":".join(setting for setting in (*_tools(options), str(options.get("_x265", ""))) if setting),
    )


def _tools(options: Mapping[str, Any]) -> Iterator[str]:
    """What x265 calls the options that change one of its tools."""
    deblock, chroma = options.get("deblock"), options.get("chroma_qp_offset")
    if deblock is not None:
        strength = whole("deblock", deblock, -_MAX_DEBLOCK, _MAX_DEBLOCK, EncodeError)
        yield f"deblock={strength},{strength}"
    if chroma is not None:
        offset = whole("chroma_qp_offset", chroma, -_MAX_CHROMA_OFFSET, _MAX_CHROMA_OFFSET, EncodeError)
        yield f"cbqpoffs={offset}:crqpoffs={offset}"


def values_of(name: str, value: Any) -> Any:
    """Numbers of an array or a tensor as a list, or as one number; anything else as it is.

    Raises:
        EncodeError: a set or a mapping, which has them in no order.
        UnsupportedError: a tensor without values in memory, or within a transform of torch.func.
    """
    if isinstance(value, (Mapping, Set)):
        kind = type(value).__name__
        raise EncodeError(f"{name} must be one for all or a sequence with one each, not a {kind}")
    if hasattr(value, "is_nested"):  # a tensor, so that torch is there; others do without it
        from npp.codec.tensor_memory import in_memory

        value = in_memory(value, name)
    return value.tolist() if hasattr(value, "tolist") else value


def resolve_qp(qp: Any, count: int) -> list[int]:
    """One qp per image from an int, a sequence or a tensor.

    Raises:
        EncodeError: not whole numbers from 0 to 51, or another number of them than images.
        UnsupportedError: as :func:`values_of`.
    """
    if is_int(qp):
        return [whole("qp", qp, 0, MAX_QP, EncodeError)] * count
    values = values_of("qp", qp)
    if is_int(values):
        return [whole("qp", values, 0, MAX_QP, EncodeError)] * count
    if isinstance(values, (str, bytes)) or not hasattr(values, "__len__"):
        raise EncodeError(f"qp must be an integer from 0 to {MAX_QP} or one per image, not {brief(qp)}")
    if len(values) != count:
        raise EncodeError(
            f"qp has {len(values)} values for {count} image(s); one each is needed, or a single int"
        )
    return [whole(f"qp[{i}]", value, 0, MAX_QP, EncodeError) for i, value in enumerate(values)]
