"""One file for each trick. What must become of it is written beside it: "refused" or "decoded"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from hostile.parts import (
    ALPHA1,
    ANIMATION,
    EXTENSIONS,
    PPS,
    PREFIX_SEI,
    RESERVED,
    SPS,
    START_CODE,
    Parts,
    extension,
    is_slice,
    kind_of,
    layer_of,
    nal,
    slices,
    ue7,
    with_bit,
)

Outcome = Literal["refused", "decoded"]
Bases = dict[str, bytes]
_VPS = 32
_CONTROL = 5
_TRAIL_R = 1


@dataclass(frozen=True)
class Case:
    """A hostile file: what becomes of it, and why."""

    outcome: Outcome
    why: str
    make: Callable[[Bases], bytes]


CASES: dict[str, Case] = {}


def _case(
    name: str, outcome: Outcome, why: str
) -> Callable[[Callable[[Bases], bytes]], Callable[[Bases], bytes]]:
    def register(make: Callable[[Bases], bytes]) -> Callable[[Bases], bytes]:
        assert name not in CASES
        CASES[name] = Case(outcome, why, make)
        return make

    return register


def _still(name: str, outcome: Outcome, why: str, change: Callable[[Parts], Parts | bytes]) -> None:
    """A change to the parts of the plain still."""
    _changed(name, outcome, why, "still", change)


def _changed(
    name: str, outcome: Outcome, why: str, base: str, change: Callable[[Parts], Parts | bytes]
) -> None:
    def make(bases: Bases) -> bytes:
        changed = change(Parts.parse(bases[base]))
        return changed if isinstance(changed, bytes) else changed.to_bytes()

    _case(name, outcome, why)(make)


# --- the first bytes

_case("empty", "refused", "no bytes at all")(lambda bases: b"")
_case("magic_only", "refused", "ends behind the magic number")(lambda bases: b"BPG\xfb")
_case("wrong_magic", "refused", "last byte of the magic number")(
    lambda bases: b"BPG\xfa" + bases["still"][4:]
)
_case("png", "refused", "another format's magic number")(lambda bases: b"\x89PNG\r\n\x1a\n" + bases["still"])
_still("pixel_format_6", "refused", "reserved", lambda p: replace(p, flags=(0xC0, 0)))
_still("pixel_format_7", "refused", "reserved", lambda p: replace(p, flags=(0xE0, 0)))
_still("bit_depth_15", "refused", "above 14", lambda p: replace(p, flags=(0x27, 0)))
_still("bit_depth_23", "refused", "above 14", lambda p: replace(p, flags=(0x2F, 0)))
_still(
    "bit_depth_14", "refused", "UnsupportedError: no decoder for it", lambda p: replace(p, flags=(0x26, 0))
)
_still("color_space_5", "refused", "reserved", lambda p: replace(p, flags=(0x20, 0x50)))
_still("color_space_15", "refused", "reserved", lambda p: replace(p, flags=(0x20, 0xF0)))
_changed(
    "gray_in_rgb",
    "refused",
    "a gray picture's colour space must be 0",
    "gray",
    lambda p: p.with_flags(0, 0x10),
)

# --- lying sizes

_still("width_0", "refused", "illegal", lambda p: replace(p, width=0))
_still("height_0", "refused", "illegal", lambda p: replace(p, height=0))
_still("width_largest", "refused", "2**32 - 1", lambda p: replace(p, width=2**32 - 1))
_still(
    "sides_2_31", "refused", "the product overflows 32 bits", lambda p: replace(p, width=2**31, height=2**31)
)
_still("sides_65535", "refused", "above the pixel limit", lambda p: replace(p, width=65535, height=65535))
_still(
    "claims_16384x10000",
    "refused",
    "a few bytes cannot hold it",
    lambda p: replace(p, width=16384, height=10000),
)
_still("line_of_178_million", "refused", "one row", lambda p: replace(p, width=178_956_970, height=1))
_still("overlong_width", "refused", "a leading zero group", lambda p: replace(p, width=b"\x80\x50"))
_still("overlong_height", "refused", "a leading zero group", lambda p: replace(p, height=b"\x80\x80\x40"))
_still(
    "width_of_33_bits", "refused", "ue7 above 32 bits", lambda p: replace(p, width=b"\x90\x80\x80\x80\x00")
)
_still(
    "width_of_six_bytes",
    "refused",
    "ue7 of six bytes",
    lambda p: replace(p, width=b"\xff\xff\xff\xff\xff\x7f"),
)
_still(
    "larger_by_a_block", "decoded", "libavcodec reads zeros where data ends", lambda p: replace(p, width=144)
)
_still("taller_by_a_row", "refused", "the data lacks blocks", lambda p: replace(p, height=129))
_still("smaller_by_a_block", "decoded", "nobody reads on behind the picture", lambda p: replace(p, width=64))
_still("cropped", "decoded", "the same blocks, fewer pixels", lambda p: replace(p, width=79, height=63))


@_case("forty_bytes_claim_16384x10000", "refused", "a header and next to no data")
def _(bases: Bases) -> bytes:
    parts = Parts.parse(bases["still"])
    short = parts.with_units([parts.units[0], parts.units[1][:10]])
    return replace(short, width=16384, height=10000).to_bytes()


# --- lying lengths

_still(
    "length_beyond_the_end",
    "refused",
    "one byte too many",
    lambda p: replace(p, picture_length=len(p.body()) + 1),
)
_still("length_largest", "refused", "4 GiB", lambda p: replace(p, picture_length=2**32 - 1))
_still("length_overlong", "refused", "a leading zero group", lambda p: replace(p, picture_length=b"\x80\x05"))
_still(
    "length_of_half",
    "decoded",
    "libavcodec reads zeros where data ends: the format has no trace of what is gone",
    lambda p: replace(p, picture_length=len(p.body()) // 2),
)
_still("length_1", "refused", "not even a header fits", lambda p: replace(p, picture_length=1))
_still(
    "length_0", "decoded", "to the end of the file, which is legal", lambda p: replace(p, picture_length=0)
)
_still("header_length_0", "refused", "no fields", lambda p: replace(p, headers=(b"",)))
_still("header_length_1", "refused", "fields are cut off", lambda p: replace(p, headers=(p.headers[0][:1],)))
_still(
    "header_length_beyond_the_end",
    "refused",
    "longer than the file",
    lambda p: p.to_bytes(ue7(5000) + p.body()[1:]),
)
_still(
    "header_length_eats_data",
    "refused",
    "the first NAL unit is gone",
    lambda p: p.to_bytes(b"\x0a" + p.body()[1:]),
)
_still(
    "header_with_padding",
    "decoded",
    "bytes behind its fields",
    lambda p: replace(p, headers=(p.headers[0] + b"\0\0",)),
)
_still("no_data", "refused", "headers and nothing else", lambda p: p.with_units([]))

# --- extensions

_still(
    "extensions_beyond_the_end",
    "refused",
    "4 GiB of them",
    lambda p: replace(p, extensions=b"", extension_length=2**32 - 1),
)
_still(
    "extension_beyond_its_list",
    "refused",
    "one byte too many",
    lambda p: replace(p, extensions=b"\x01\x03ab"),
)
_still(
    "extension_length_largest",
    "refused",
    "4 GiB",
    lambda p: replace(p, extensions=b"\x01\x8f\xff\xff\xff\x7f"),
)
_still("extension_tag_only", "refused", "ends behind a tag", lambda p: replace(p, extensions=b"\x07"))
_still(
    "extension_tag_overlong",
    "refused",
    "a leading zero group",
    lambda p: replace(p, extensions=b"\x80\x01\0"),
)
_still(
    "extension_unknown", "decoded", "kept and ignored", lambda p: replace(p, extensions=extension(77, b"x"))
)
_still("extensions_none", "decoded", "announced, of length 0", lambda p: replace(p, extensions=b""))
_still(
    "extension_twice",
    "decoded",
    "the first one counts",
    lambda p: replace(p, extensions=extension(1, b"a") + extension(1, b"b")),
)
_still(
    "extension_bomb",
    "refused",
    "4,097 extensions of two bytes",
    lambda p: replace(p, extensions=extension(9, b"") * 4097),
)
_still(
    "exif_of_garbage",
    "decoded",
    "nobody reads it here",
    lambda p: replace(p, extensions=extension(1, b"II*\0" + b"\xff" * 40)),
)


@_case("thumbnail_in_thumbnail", "decoded", "a file in a file, 60 deep; nobody opens them")
def _(bases: Bases) -> bytes:
    parts = Parts.parse(bases["gray"])
    inner = b""
    for _ in range(60):
        inner = extension(4, b"BPG\xfb\x00\x08\x01\x01\x00" + ue7(len(inner)) + inner)
    return replace(parts, extensions=inner).to_bytes()


# --- animations


def _control(numerator: int, denominator: int, loops: int = 0) -> bytes:
    return extension(_CONTROL, ue7(loops) + ue7(numerator) + ue7(denominator))


def _animation(name: str, outcome: Outcome, why: str, change: Callable[[Parts], Parts]) -> None:
    _changed(f"animation_{name}", outcome, why, "animation", change)


_animation("period_0", "refused", "illegal", lambda p: replace(p, extensions=_control(0, 25)))
_animation("period_of_a_zeroth", "refused", "illegal", lambda p: replace(p, extensions=_control(1, 0)))
_animation("period_0_of_0", "refused", "illegal", lambda p: replace(p, extensions=_control(0, 0)))
_animation(
    "period_largest",
    "decoded",
    "136 years a frame",
    lambda p: replace(p, extensions=_control(2**32 - 1, 1, 2**32 - 1)),
)
_animation("without_control", "refused", "the extension is missing", lambda p: replace(p, extensions=None))
_animation(
    "control_cut_off",
    "refused",
    "two numbers of three",
    lambda p: replace(p, extensions=extension(5, b"\0\1")),
)
_animation(
    "control_overlong",
    "refused",
    "a leading zero group",
    lambda p: replace(p, extensions=extension(5, b"\0\x80\1\1")),
)
_animation(
    "second_period_0",
    "refused",
    "the second control is illegal",
    lambda p: replace(p, extensions=_control(1, 25) + _control(0, 1)),
)
_still(
    "period_0_in_a_still",
    "refused",
    "illegal wherever it stands",
    lambda p: replace(p, extensions=_control(0, 1)),
)
_still(
    "still_with_control",
    "decoded",
    "means nothing in a still",
    lambda p: replace(p, extensions=_control(1, 25)),
)
_still(
    "animation_of_one_frame",
    "decoded",
    "legal",
    lambda p: replace(p.with_flags(0, ANIMATION), extensions=_control(1, 25)),
)
_animation(
    "as_still", "decoded", "later pictures of a still are ignored", lambda p: p.with_flags(0, ANIMATION)
)
_animation(
    "first_frame_gone", "refused", "P pictures refer to nothing", lambda p: p.with_units(_frames(p, [1, 2]))
)
_animation(
    "second_frame_gone",
    "decoded",
    "the third refers to gray instead, libavcodec says nothing",
    lambda p: p.with_units(_frames(p, [0, 2])),
)
_animation(
    "frames_swapped", "refused", "each refers to the other", lambda p: p.with_units(_frames(p, [0, 2, 1]))
)
_animation(
    "frame_twice", "refused", "two pictures of one time", lambda p: p.with_units(_frames(p, [0, 1, 1]))
)
_animation(
    "alpha_of_a_frame_gone",
    "refused",
    "three pictures, two planes",
    lambda p: p.with_units(_without_alpha(p, 2)),
)
_animation(
    "p_frame_in_a_still",
    "refused",
    "a still that is a P picture",
    lambda p: p.with_flags(0, ANIMATION).with_units(_frames(p, [1])),
)
_animation(
    "duration_0",
    "decoded",
    "counts as one period",
    lambda p: p.with_units(_with_sei(p, b"\xff\x02\x02\0\0\x80")),
)
_animation(
    "sei_cut_off", "refused", "libavcodec refuses it", lambda p: p.with_units(_with_sei(p, b"\xff\x02\x05\0"))
)
_animation(
    "sei_of_ff",
    "refused",
    "a payload type of 10,200 and no end",
    lambda p: p.with_units(_with_sei(p, b"\xff" * 40)),
)


def _frames(parts: Parts, order: list[int]) -> list[bytes]:
    """The parameter sets, then the frames (alpha, colour and what is said about them) in another order."""
    first = slices(parts.units)[0]
    frames: list[list[bytes]] = [[]]
    for unit in parts.units[first:]:
        frames[-1].append(unit)
        if is_slice(unit) and layer_of(unit) == 0:
            frames.append([])
    return [*parts.units[:first], *(unit for i in order for unit in frames[i])]


def _without_alpha(parts: Parts, frame: int) -> list[bytes]:
    planes = [i for i in slices(parts.units) if layer_of(parts.units[i]) == 1]
    return [unit for i, unit in enumerate(parts.units) if i != planes[frame]]


def _with_sei(parts: Parts, payload: bytes) -> list[bytes]:
    """The duration replaced by another message."""
    return [nal(PREFIX_SEI, payload) if kind_of(unit) == PREFIX_SEI else unit for unit in parts.units]


# --- NAL units

_still("no_pps", "refused", "the slice refers to nothing", lambda p: p.without(PPS))
_still("pps_behind_the_slice", "refused", "too late", lambda p: p.with_units(reversed(p.units)))
_still("pps_twice", "decoded", "the same again", lambda p: p.with_units([p.units[0], *p.units]))
_still("pps_cut_off", "refused", "its fields end early", lambda p: p.with_units([p.units[0][:3], p.units[1]]))
_still(
    "pps_of_another_id",
    "refused",
    "the slice's id is missing",
    lambda p: p.with_units([nal(PPS, b"\x58" + p.units[0][3:]), p.units[1]]),
)
_still(
    "pps_of_zeros",
    "refused",
    "an Exp-Golomb code without end",
    lambda p: p.with_units([nal(PPS, b"\0\0\3" * 9 + b"\x80"), p.units[1]]),
)
_still(
    "pps_in_the_alpha_layer",
    "refused",
    "no such layer, so no PPS",
    lambda p: p.with_units([nal(PPS, p.units[0][2:], 1), p.units[1]]),
)
_still("only_a_pps", "refused", "no picture", lambda p: p.with_units(p.units[:1]))
_still(
    "with_sps", "refused", "BPG leaves it out", lambda p: p.with_units([nal(SPS, p.units[0][2:]), *p.units])
)
_still(
    "with_vps", "refused", "BPG leaves it out", lambda p: p.with_units([nal(_VPS, p.units[0][2:]), *p.units])
)
_still(
    "reserved_nal_unit",
    "decoded",
    "decoders skip it",
    lambda p: p.with_units([nal(RESERVED, b"\x80"), *p.units]),
)
_still(
    "layer_5",
    "decoded",
    "decoders skip it",
    lambda p: p.with_units([p.units[0], nal(20, b"\xff" * 20, 5), p.units[1]]),
)
_still(
    "forbidden_bit",
    "refused",
    "of a NAL header",
    lambda p: p.with_units([p.units[0], with_bit(p.units[1], 0)]),
)
_still("nal_unit_of_one_byte", "refused", "no header", lambda p: p.with_units([*p.units, b"\x44"]))
_still(
    "nal_unit_of_two_bytes",
    "refused",
    "a slice without a payload in front of all",
    lambda p: p.with_units([p.units[0], b"\x28\x01", p.units[1]]),
)
_still(
    "temporal_id_0",
    "refused",
    "illegal",
    lambda p: p.with_units([p.units[0], p.units[1][:1] + b"\0" + p.units[1][2:]]),
)
_still(
    "start_codes_only",
    "refused",
    "no NAL unit",
    lambda p: p.to_bytes(b"\x03" + p.headers[0] + START_CODE * 50),
)
_still("leading_start_code", "decoded", "harmless", lambda p: p.with_units([b"", *p.units]))
_still(
    "start_codes_in_a_row",
    "decoded",
    "harmless",
    lambda p: p.with_units([p.units[0], b"", b"", b"", p.units[1]]),
)
_still(
    "zeros_between",
    "decoded",
    "trailing_zero_8bits",
    lambda p: p.with_units([p.units[0] + bytes(999), p.units[1]]),
)
_still(
    "zeros_behind",
    "decoded",
    "trailing_zero_8bits",
    lambda p: p.with_units([p.units[0], p.units[1] + bytes(999)]),
)
_still(
    "emulation_prevention_at_the_end",
    "decoded",
    "cabac_zero_words",
    lambda p: p.with_units([p.units[0], p.units[1] + b"\0\0\3" * 30]),
)
_still(
    "emulation_prevention_of_nothing",
    "decoded",
    "00 00 03 and no byte behind it",
    lambda p: p.with_units([p.units[0] + b"\0\0\3", p.units[1]]),
)
_still(
    "garbage_in_the_slice",
    "decoded",
    "behind its end nobody reads",
    lambda p: p.with_units([p.units[0], p.units[1] + bytes(range(2, 255))]),
)
_still(
    "garbage_behind", "decoded", "behind the picture data", lambda p: replace(p, behind=bytes(range(256)) * 2)
)
_still(
    "files_in_a_row", "decoded", "the second one is not looked at", lambda p: replace(p, behind=p.to_bytes())
)
_still(
    "start_code_cuts_the_slice",
    "decoded",
    "libavcodec reads zeros where data ends",
    lambda p: p.with_units([p.units[0], p.units[1][:60], p.units[1][60:]]),
)

# --- slices

_still(
    "p_slice_in_a_still",
    "refused",
    "an IRAP picture has I slices",
    lambda p: p.with_units([p.units[0], with_bit(p.units[1], 16 + 5)]),
)
_still(
    "b_slice_in_a_still",
    "refused",
    "an IRAP picture has I slices",
    lambda p: p.with_units([p.units[0], with_bit(p.units[1], 16 + 3)]),
)
_still(
    "slice_type_3",
    "refused",
    "there is none",
    lambda p: p.with_units([p.units[0], _with_payload_byte(p.units[1], 0xA4)]),
)
_still(
    "slice_of_pps_63",
    "refused",
    "no such PPS",
    lambda p: p.with_units([p.units[0], _with_payload_byte(p.units[1], 0x81)]),
)
_still(
    "not_first_slice",
    "refused",
    "the picture has no first slice",
    lambda p: p.with_units([p.units[0], with_bit(p.units[1], 16)]),
)
_still(
    "slice_twice",
    "decoded",
    "a second picture, which a still ignores",
    lambda p: p.with_units([*p.units, p.units[1]]),
)
_still(
    "trailing_picture",
    "refused",
    "a P picture's NAL type",
    lambda p: p.with_units([p.units[0], nal(_TRAIL_R, p.units[1][2:])]),
)
_still(
    "reserved_irap",
    "refused",
    "NAL type 22 is no picture",
    lambda p: p.with_units([p.units[0], nal(22, p.units[1][2:])]),
)
_still(
    "cra_instead_of_idr",
    "refused",
    "other fields in the slice header",
    lambda p: p.with_units([p.units[0], nal(21, p.units[1][2:])]),
)
_still(
    "slice_of_ones",
    "refused",
    "no sensible header",
    lambda p: p.with_units([p.units[0], nal(20, b"\xff" * 300)]),
)
_still("slice_cut_off", "refused", "in its header", lambda p: p.with_units([p.units[0], p.units[1][:4]]))


def _with_payload_byte(unit: bytes, byte: int) -> bytes:
    return unit[:2] + bytes((byte,)) + unit[3:]


# --- HEVC headers that do not fit

_still("ctb_of_128", "refused", "HEVC ends at 64", lambda p: p.with_header(sizes=(1, 3, 0, 3, 2)))
_still("ctb_of_8", "refused", "HEVC begins at 16", lambda p: p.with_header(sizes=(0, 0, 0, 0, 0)))
_still("transform_of_64", "refused", "HEVC ends at 32", lambda p: p.with_header(sizes=(0, 3, 2, 2, 1)))
_still(
    "transform_above_block",
    "refused",
    "a block is smaller than its transform",
    lambda p: p.with_header(sizes=(0, 3, 1, 2, 1)),
)
_still(
    "hierarchy_of_five",
    "refused",
    "deeper than blocks can be",
    lambda p: p.with_header(sizes=(0, 3, 0, 3, 5)),
)
_still(
    "field_of_2_31",
    "refused",
    "an Exp-Golomb code of 63 bits",
    lambda p: p.with_header(sizes=(2**31 - 1, 3, 0, 3, 1)),
)
_still(
    "field_of_zeros", "refused", "an Exp-Golomb code without end", lambda p: replace(p, headers=(bytes(12),))
)
_still("explicit_rdpcm", "refused", "always 0 in BPG", lambda p: p.with_header(range_flags=1 << 5))
_still("extended_precision", "refused", "always 0 in BPG", lambda p: p.with_header(range_flags=1 << 4))
_still(
    "all_range_flags",
    "refused",
    "four of them are always 0 in BPG",
    lambda p: p.with_header(range_flags=0x1FF),
)
_still(
    "implicit_rdpcm",
    "decoded",
    "changes nothing in a lossy picture",
    lambda p: p.with_header(range_flags=1 << 6),
)
_still(
    "pcm_of_other_depth",
    "refused",
    "9 bits of an 8-bit picture",
    lambda p: p.with_header(pcm=(9, 9, 0, 0, 0)),
)
_still(
    "pcm_above_ctb",
    "refused",
    "PCM blocks larger than the tree",
    lambda p: p.with_header(sizes=(0, 1, 0, 2, 1), pcm=(8, 8, 2, 2, 0)),
)
_changed("gray_as_444", "decoded", "garbage; one plane's data as three", "gray", lambda p: p.with_flags(0x60))
_changed(
    "alpha_flag_cleared",
    "decoded",
    "colour's header looks like a NAL unit of layer 32, which nobody wants",
    "alpha",
    lambda p: p.with_flags(ALPHA1),
)
_still("alpha_flag_set", "refused", "colour's data is taken for a header", lambda p: p.with_flags(ALPHA1))
_still(
    "alpha_without_data",
    "refused",
    "two headers, one stream",
    lambda p: replace(p.with_flags(ALPHA1), headers=p.headers * 2),
)
_changed("alpha_gone", "refused", "no NAL units of it", "alpha", lambda p: p.without(layer=1))
_changed("colour_gone", "refused", "no NAL units of it", "alpha", lambda p: p.without(layer=0))
_changed(
    "alpha_slice_gone", "refused", "its PPS is there", "alpha", lambda p: p.with_units(_without_alpha(p, 0))
)
_changed(
    "alpha_behind_colour",
    "decoded",
    "the order of layers does not matter",
    "alpha",
    lambda p: p.with_units(sorted(p.units, key=layer_of)),
)
_changed(
    "extensions_flag_set",
    "refused",
    "the picture is taken for extensions",
    "still",
    lambda p: _with_second(p, EXTENSIONS),
)
_changed(
    "extensions_flag_cleared",
    "refused",
    "extensions are taken for the picture",
    "animation",
    lambda p: _with_second(p.with_flags(0, ANIMATION), EXTENSIONS),
)


def _with_second(parts: Parts, flag: int) -> bytes:
    """Another second flag byte, and nothing else."""
    data = bytearray(parts.to_bytes())
    data[5] ^= flag
    return bytes(data)


def _combined(color: Parts, alpha: Parts) -> bytes:
    """The colour of one file with the alpha plane of another."""
    planes = [unit for unit in alpha.units if layer_of(unit) == 1]
    colors = [unit for unit in color.units if layer_of(unit) == 0]
    headers = (alpha.headers[0], color.headers[1])
    return replace(color, headers=headers, units=(*planes, *colors)).to_bytes()


@_case("alpha_smaller_than_colour", "refused", "24x24 alpha in a 64x48 picture")
def _(bases: Bases) -> bytes:
    return _combined(Parts.parse(bases["alpha"]), Parts.parse(bases["small"]))


@_case("alpha_larger_than_colour", "decoded", "its first 24x24 samples, wrongly cut into blocks")
def _(bases: Bases) -> bytes:
    return _combined(Parts.parse(bases["small"]), Parts.parse(bases["alpha"]))


@_case("alpha_in_colour", "decoded", "alpha's monochrome slice as 4:2:0 colour: garbage that decodes")
def _(bases: Bases) -> bytes:
    parts = Parts.parse(bases["alpha"])
    planes = [nal(kind_of(unit), unit[2:]) for unit in parts.units if layer_of(unit) == 1]
    return parts.with_units([*(unit for unit in parts.units if layer_of(unit) == 1), *planes]).to_bytes()


@_case("colour_in_alpha", "decoded", "colour's slice as monochrome alpha: garbage that decodes")
def _(bases: Bases) -> bytes:
    parts = Parts.parse(bases["alpha"])
    colors = [unit for unit in parts.units if layer_of(unit) == 0]
    return parts.with_units([*(nal(kind_of(unit), unit[2:], 1) for unit in colors), *colors]).to_bytes()
