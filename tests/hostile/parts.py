"""A BPG file taken apart, so that one part of it can be made to lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hevc_parser import Bits

START_CODE = b"\0\0\1"
SPS, PPS, PREFIX_SEI, RESERVED = 33, 34, 39, 41
EXTENSIONS, ALPHA2, LIMITED, ANIMATION = 8, 4, 2, 1  # bits of the second flag byte
ALPHA1 = 0x10  # of the first


def ue7(value: int) -> bytes:
    """BPG's number: base 128, most significant first, in the shortest form."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(0x80 | value & 0x7F)
    return bytes(reversed(groups))


def read_ue7(data: bytes, at: int) -> tuple[int, int]:
    """The number at a place, and the place behind it."""
    value = 0
    while True:
        byte = data[at]
        value, at = value << 7 | byte & 0x7F, at + 1
        if byte < 0x80:
            return value, at


def extension(tag: int, body: bytes) -> bytes:
    return ue7(tag) + ue7(len(body)) + body


def nal(kind: int, payload: bytes, layer: int = 0) -> bytes:
    """A NAL unit; the payload has its emulation prevention already."""
    return bytes((kind << 1 | layer >> 5, (layer & 31) << 3 | 1)) + payload


def kind_of(unit: bytes) -> int:
    return unit[0] >> 1 & 0x3F


def layer_of(unit: bytes) -> int:
    return (unit[0] & 1) << 5 | unit[1] >> 3


def is_slice(unit: bytes) -> bool:
    return kind_of(unit) <= 9 or 16 <= kind_of(unit) <= 21


@dataclass(frozen=True)
class Header:
    """An HEVC header's fields as they are coded; ``range_flags`` are the nine of the range extension."""

    sizes: tuple[int, int, int, int, int]
    sao: int
    pcm: tuple[int, int, int, int, int] | None
    strong: int
    range_flags: int | None

    @classmethod
    def parse(cls, data: bytes) -> Header:
        bits = Bits(data)
        a, b, c, d, e = (bits.ue() for _ in range(5))
        sao, pcm = bits.u(1), bits.u(1)
        assert pcm == 0
        strong, extended = bits.u(1), bits.u(1)
        assert extended == 0
        return cls((a, b, c, d, e), sao, None, strong, None)

    def to_bytes(self) -> bytes:
        bits = "".join(_ue(value) for value in self.sizes) + str(self.sao)
        if self.pcm is None:
            bits += "0"
        else:
            luma, chroma, *sizes, unfiltered = self.pcm
            bits += f"1{luma - 1:04b}{chroma - 1:04b}{''.join(map(_ue, sizes))}{unfiltered}"
        bits += str(self.strong)
        bits += "0" if self.range_flags is None else f"11{0:07b}{self.range_flags:09b}"
        bits += "0" * (-len(bits) % 8)
        return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _ue(value: int) -> str:
    code = f"{value + 1:b}"
    return "0" * (len(code) - 1) + code


@dataclass(frozen=True)
class Parts:
    """A file's parts. What is None is worked out from the rest when the file is put together."""

    flags: tuple[int, int]
    width: int | bytes
    height: int | bytes
    extensions: bytes | None
    headers: tuple[bytes, ...]
    units: tuple[bytes, ...]
    picture_length: int | bytes | None = None
    extension_length: int | bytes | None = None
    behind: bytes = b""

    @classmethod
    def parse(cls, data: bytes) -> Parts:
        flags = data[4], data[5]
        width, at = read_ue7(data, 6)
        height, at = read_ue7(data, at)
        length, at = read_ue7(data, at)
        extensions = None
        if flags[1] & EXTENSIONS:
            size, at = read_ue7(data, at)
            extensions, at = data[at : at + size], at + size
        assert length in (0, len(data) - at)
        headers = []
        for _ in range(2 if flags[0] & ALPHA1 or flags[1] & ALPHA2 else 1):
            size, at = read_ue7(data, at)
            headers.append(data[at : at + size])
            at += size
        units = tuple(unit.rstrip(b"\0") for unit in data[at:].split(START_CODE))
        return cls(flags, width, height, extensions, tuple(headers), units)

    def body(self) -> bytes:
        headers = b"".join(ue7(len(header)) + header for header in self.headers)
        return headers + START_CODE.join(self.units)

    def to_bytes(self, body: bytes | None = None) -> bytes:
        body = self.body() if body is None else body
        second = self.flags[1] & ~EXTENSIONS | (0 if self.extensions is None else EXTENSIONS)
        out = b"BPG\xfb" + bytes((self.flags[0], second)) + _number(self.width) + _number(self.height)
        out += _number(len(body) if self.picture_length is None else self.picture_length)
        if self.extensions is not None:
            given = self.extension_length
            out += _number(len(self.extensions) if given is None else given) + self.extensions
        return out + body + self.behind

    def with_flags(self, first: int = 0, second: int = 0) -> Parts:
        """Some bits of the two flag bytes turned over."""
        return replace(self, flags=(self.flags[0] ^ first, self.flags[1] ^ second))

    def with_units(self, units: Iterable[bytes]) -> Parts:
        return replace(self, units=tuple(units))

    def without(self, kind: int | None = None, layer: int | None = None) -> Parts:
        """NAL units of a kind and a layer dropped."""
        return self.with_units(
            unit
            for unit in self.units
            if (kind is not None and kind_of(unit) != kind) or (layer is not None and layer_of(unit) != layer)
        )

    def with_header(self, index: int = -1, **changes: object) -> Parts:
        """Fields of one HEVC header changed."""
        headers = list(self.headers)
        headers[index] = replace(Header.parse(headers[index]), **changes).to_bytes()  # type: ignore[arg-type]
        return replace(self, headers=tuple(headers))


def _number(value: int | bytes) -> bytes:
    return value if isinstance(value, bytes) else ue7(value)


def with_bit(data: bytes, position: int) -> bytes:
    """One bit turned over; the position counts from the first byte's most significant bit."""
    out = bytearray(data)
    out[position // 8] ^= 0x80 >> position % 8
    return bytes(out)


def slices(units: Sequence[bytes]) -> list[int]:
    """Where the slices are."""
    return [i for i, unit in enumerate(units) if is_slice(unit)]
