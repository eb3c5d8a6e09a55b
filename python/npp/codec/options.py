"""Options of the encoder: their names, their values and what is allowed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypedDict, get_args

import npp._bpg as _bpg
from npp._bpg import EncodeError, UnsupportedError
from npp.checks import MAX_QP, brief, check_known_settings, flag, is_int, number, one_of, whole, whole_qp

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

    What they cost in time and bits is measured in docs/performance.md.

    Attributes:
        effort: 0 (fastest) to 9; default 8, the setting that matches bpgenc's default level. Each step up
            takes longer to encode and mostly gives smaller files at the same quality.
        chroma: sampling of the colour planes: ``"400"`` (none, gray), ``"420"`` (the default: half of the
            width and height), ``"422"`` (half of the width), ``"444"`` (all); ``"420_mpeg2"`` and
            ``"422_mpeg2"`` place the samples as MPEG-2 does. The more samples, the more time and bits. Gray
            pictures are always ``"400"``; with ``lossless`` the default is ``"444"``.
        bit_depth: 8 (default), 10 or 12 bits a sample in the file. Above 8 it keeps more of floats and of
            16-bit pictures, and takes a little longer.
        color_space: ``"ycbcr"`` (the default: BT.601), ``"rgb"``, ``"ycgco"``, ``"ycbcr_bt709"`` or
            ``"ycbcr_bt2020"``. A photo takes most bits in ``"rgb"``, whose planes say much the same; with
            ``lossless`` and chroma ``"444"`` it is the default, for no other is exact.
        limited_range: ``False`` (default), or ``True`` for video range, which has fewer levels, instead of
            full range.
        lossless: ``False`` (default), or ``True``, which takes many times the bits, whatever the qp. Uses
            ``color_space="rgb"`` and ``chroma="444"`` unless told otherwise; exact for 8-bit RGB then, but
            not ``premultiplied``, and in ``limited_range`` only from 10 bits on.
        alpha_qp: qp of the alpha plane, 0 to 51; ``None`` (default) for the picture's own.
        premultiplied: ``False`` (default), or ``True`` to store colour multiplied by alpha. Colour where
            alpha is 0 is lost then.
        tune: ``"ssim"`` (default) is bpgenc's; ``"machine"`` chooses the encoder's tools for networks:
            nothing is dropped because an eye would not miss it, and colour is finer. At the same qp
            the encoder is faster and the files are larger; PSNR loses at the same bits.
        deblock: strength of the filter against block edges, -6 (next to none) to 6; ``None`` (default) is
            what effort and tune choose, about 0. Some networks gain by less of it, others lose.
        chroma_qp_offset: quantiser of the two colour planes against that of luma, -12 (finer, more bits) to
            12; ``None`` (default) is 0, with tune ``"machine"`` -3.
        psy_rd: how much the encoder prefers blocks that keep how much texture they have, even where single
            pixels come out less exact, 0 to 5; ``None`` (default) is 0, not at all. Above 0 the encoder
            searches as x265 does from its rd level 3 on, which takes longer at low efforts. Meant for the
            eye; PSNR loses.
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


#: What each option is where it is not given; with ``lossless``, chroma and color_space are others.
DEFAULTS: CodecOptions = {
    "effort": 8,
    "chroma": "420",
    "bit_depth": 8,
    "color_space": "ycbcr",
    "limited_range": False,
    "lossless": False,
    "alpha_qp": None,
    "premultiplied": False,
    "tune": "ssim",
    "deblock": None,
    "chroma_qp_offset": None,
    "psy_rd": None,
}


#: What other codecs call an option, or npp an argument that stands elsewhere, and what is to be said of it.
_OTHER_WORDS = {
    # By PSNR of luma, as benchmarks/jpeg_qualities.py has it.
    "quality": f": BPG has qp instead, 0 (best) to {MAX_QP} (smallest); 27 is about as exact as JPEG of "
    "quality 90, and 36 as quality 50",
    "crf": ": it is called qp",
    "subsampling": ": it is called chroma",
    "preset": ": it is called effort",
    "speed": ": it is called effort",
}
_PARTS = {
    part: f": it is a part of a recipe, and parts=npp.recipes.Parts({part}=False) leaves it out of a call"
    for part in ("scale", "filter", "qp_map", "restorer")
}


def check_known_names(
    message: str, names: Iterable[str], allowed: Collection[str], *, parts: bool = True
) -> None:
    """Refuses unknown names; for words of other codecs the message says what npp calls them.

    Args:
        message: the message up to the name of the first unknown one.
        names: that somebody gave.
        allowed: those that there are.
        parts: whether there is an argument ``parts`` that says which of a recipe's are used.

    Raises:
        UnknownSettingError: there are such; it is a TypeError and a ValueError.
    """
    unknown = [name for name in names if name not in allowed]
    if unknown:
        words = {**_OTHER_WORDS, **_PARTS} if parts else _OTHER_WORDS
        check_known_settings(message, unknown, allowed, words.get(unknown[0], ""))


def _bit_depth(value: Any) -> int:
    if is_int(value) and value in (9, 11, 13, 14):
        raise UnsupportedError(
            f"bit_depth must be 8, 10 or 12, not {value}: BPG has it, x265 cannot write it"
        )
    one_of("bit_depth", value, (8, 10, 12), EncodeError)
    return int(value)


@dataclass(frozen=True)
class ResolvedOptions:
    """Checked options with every default filled in.

    ``deblock`` and ``chroma_qp_offset`` stay ``None`` where effort and tune choose. ``x265`` is for the
    search scripts in benchmarks/ alone.
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
    psy_rd: float
    deblock: int | None
    chroma_qp_offset: int | None
    x265: str

    def native(self, *, gray: bool) -> _bpg.EncodeOptions:
        """The extension's form of these options, for a gray or a colour picture."""
        return _native(self, gray or self.chroma == "400")

    def alpha_qps(self, qps: list[int]) -> list[int]:
        """The qp of each picture's alpha plane, from those of the pictures: the same unless one is given."""
        return qps if self.alpha_qp is None else [self.alpha_qp] * len(qps)

    @property
    def used_chroma_qp_offset(self) -> int:
        """How much coarser than luma the colour planes are quantised: by option or by tune."""
        return _used_chroma_qp_offset(self)


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
        deblock=options.deblock,
        chroma_qp_offset=options.chroma_qp_offset,
        x265=options.x265,
    )


@lru_cache(maxsize=128)
def _used_chroma_qp_offset(options: ResolvedOptions) -> int:
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
    check_known_names("unknown option", named, CodecOptions.__annotations__)
    chosen: dict[str, Any] = {**DEFAULTS, **options}
    if flag("lossless", chosen["lossless"], EncodeError):
        chosen["chroma"] = options.get("chroma", "444")
        chosen["color_space"] = options.get("color_space", "rgb" if chosen["chroma"] == "444" else "ycbcr")
    one_of("chroma", chosen["chroma"], CHROMA_NAMES, EncodeError)
    one_of("color_space", chosen["color_space"], COLOR_SPACE_NAMES, EncodeError)
    one_of("tune", chosen["tune"], get_args(Tune), EncodeError)
    psy_rd = chosen["psy_rd"]
    return ResolvedOptions(
        effort=whole("effort", chosen["effort"], 0, MAX_EFFORT, EncodeError),
        chroma=chosen["chroma"],
        bit_depth=_bit_depth(chosen["bit_depth"]),
        color_space=chosen["color_space"],
        limited_range=flag("limited_range", chosen["limited_range"], EncodeError),
        lossless=chosen["lossless"],
        alpha_qp=_optional_whole("alpha_qp", chosen, 0, MAX_QP),
        premultiplied=flag("premultiplied", chosen["premultiplied"], EncodeError),
        tune=chosen["tune"],
        psy_rd=0.0 if psy_rd is None else number("psy_rd", psy_rd, 0, _MAX_PSY_RD, EncodeError),
        deblock=_optional_whole("deblock", chosen, -_MAX_DEBLOCK, _MAX_DEBLOCK),
        chroma_qp_offset=_optional_whole("chroma_qp_offset", chosen, -_MAX_CHROMA_OFFSET, _MAX_CHROMA_OFFSET),
        x265=str(options.get("_x265", "")),
    )


def _optional_whole(name: str, options: Mapping[str, Any], least: int, most: int) -> int | None:
    value = options[name]
    return None if value is None else whole(name, value, least, most, EncodeError)


def values_of(name: str, value: Any) -> Any:
    """The numbers of an array or a tensor as a list, or as one number; anything else unchanged.

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
        EncodeError: not integers from 0 to 51, or another number of them than images.
        UnsupportedError: as :func:`values_of`.
    """
    if is_int(qp):
        return [whole_qp("qp", qp, EncodeError)] * count
    values = values_of("qp", qp)
    if is_int(values):
        return [whole_qp("qp", values, EncodeError)] * count
    if isinstance(values, (str, bytes)) or not hasattr(values, "__len__"):
        raise EncodeError(f"qp must be an integer from 0 to {MAX_QP} or one per image, not {brief(qp)}")
    if len(values) != count:
        raise EncodeError(
            f"qp has {len(values)} values for {count} image(s); one each is needed, or a single int"
        )
    return [whole_qp(f"qp[{i}]", value, EncodeError) for i, value in enumerate(values)]
