"""A small, independent parser of BPG containers and HEVC headers, to check what npp writes."""

from __future__ import annotations

from dataclasses import dataclass, field

PPS, PREFIX_SEI = 34, 39


class Bits:
    """Reads bits, most significant first."""

    def __init__(self, data: bytes) -> None:
        self._bits = "".join(f"{byte:08b}" for byte in data)
        self._at = 0

    def u(self, count: int) -> int:
        value = int(self._bits[self._at : self._at + count], 2)
        self._at += count
        return value

    def ue(self) -> int:
        zeros = 0
        while self.u(1) == 0:
            zeros += 1
        return (1 << zeros) - 1 + (self.u(zeros) if zeros else 0)

    def se(self) -> int:
        k = self.ue()
        return (k + 1) // 2 if k % 2 else -(k // 2)

    def rest(self) -> str:
        return self._bits[self._at :]


@dataclass
class HevcHeader:
    log2_min_cb: int
    log2_diff_cb: int
    log2_min_tb: int
    log2_diff_tb: int
    depth: int
    sao: int
    pcm: int
    strong: int
    extension: int
    padding: str


@dataclass
class Nal:
    type: int
    layer: int
    payload: bytes  # without emulation prevention


@dataclass
class BpgFile:
    pixel_format: int
    alpha1: int
    alpha2: int
    bit_depth: int
    color_space: int
    limited_range: int
    animation: int
    width: int
    height: int
    picture_data_length: int
    remaining: int
    extensions: list[tuple[int, bytes]]
    headers: list[HevcHeader]
    nals: list[Nal]
    raw_data: bytes = field(repr=False)


def _ue7(data: bytes, at: int) -> tuple[int, int]:
    assert data[at] != 0x80
    value = 0
    while True:
        value = value << 7 | data[at] & 0x7F
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def _header(data: bytes) -> HevcHeader:
    bits = Bits(data)
    sizes = [bits.ue() for _ in range(5)]
    sao, pcm = bits.u(1), bits.u(1)
    assert pcm == 0
    strong, extension = bits.u(1), bits.u(1)
    return HevcHeader(
        sizes[0] + 3, sizes[1], sizes[2] + 2, sizes[3], sizes[4], sao, pcm, strong, extension, bits.rest()
    )


def _nal(data: bytes) -> Nal:
    kind = data[0] >> 1 & 0x3F
    layer = (data[0] & 1) << 5 | data[1] >> 3
    assert data[0] < 0x80 and data[1] & 7 == 1
    payload = data[2:]
    assert b"\0\0\0" not in payload and b"\0\0\1" not in payload and b"\0\0\2" not in payload
    return Nal(kind, layer, payload.replace(b"\0\0\3", b"\0\0"))


def parse(data: bytes) -> BpgFile:
    """Parses a whole file; assertions fail where it breaks a rule of the format."""
    assert data[:4] == b"BPG\xfb"
    first, second = data[4], data[5]
    width, at = _ue7(data, 6)
    height, at = _ue7(data, at)
    length, at = _ue7(data, at)
    extensions = []
    if second & 8:
        size, at = _ue7(data, at)
        end = at + size
        while at < end:
            tag, at = _ue7(data, at)
            size, at = _ue7(data, at)
            extensions.append((tag, data[at : at + size]))
            at += size
        assert at == end
    remaining = len(data) - at
    alpha1, alpha2 = first >> 4 & 1, second >> 2 & 1
    headers = []
    for _ in range(2 if alpha1 or alpha2 else 1):
        size, at = _ue7(data, at)
        headers.append(_header(data[at : at + size]))
        at += size
    raw = data[at:]
    nals = [_nal(part.rstrip(b"\0")) for part in raw.split(b"\0\0\1") if part.rstrip(b"\0")]
    return BpgFile(
        first >> 5, alpha1, alpha2, 8 + (first & 15), second >> 4, second >> 1 & 1, second & 1,
        width, height, length, remaining, extensions, headers, nals, raw,
    )  # fmt: skip


@dataclass
class Pps:
    init_qp: int
    chroma_qp_offsets: int
    tiles: int
    entropy_sync: int
    loop_filter_across: int
    override: int
    deblocking_disabled: int


def parse_pps(nal: Nal) -> Pps:
    bits = Bits(nal.payload)
    assert bits.ue() == 0 and bits.ue() == 0  # both ids
    assert bits.u(1) == 0 and bits.u(1) == 0 and bits.u(3) == 0
    bits.u(2)
    bits.ue()
    bits.ue()
    init_qp = 26 + bits.se()
    bits.u(2)
    if bits.u(1):
        bits.ue()
    bits.se()
    bits.se()
    chroma = bits.u(1)
    bits.u(3)
    tiles, sync, across = bits.u(1), bits.u(1), bits.u(1)
    override = disabled = 0
    if bits.u(1):
        override, disabled = bits.u(1), bits.u(1)
    return Pps(init_qp, chroma, tiles, sync, across, override, disabled)


def intra_slice_qp(file: BpgFile, layer: int = 0) -> int:
    """The QP of the first intra slice of a stream."""
    pps = parse_pps(next(nal for nal in file.nals if nal.type == PPS and nal.layer == layer))
    nal = next(nal for nal in file.nals if 16 <= nal.type <= 21 and nal.layer == layer)
    bits = Bits(nal.payload)
    assert bits.u(1) == 1
    bits.u(1)
    assert bits.ue() == 0
    assert bits.ue() == 2  # an I slice
    header = file.headers[-1] if layer == 0 else file.headers[0]
    if nal.type == 21:  # CRA pictures carry a picture order count and a reference picture set
        bits.u(8)
        if not bits.u(1):
            negative, positive = bits.ue(), bits.ue()
            assert negative == positive == 0
    if header.sao:
        bits.u(1 if layer == 1 or file.pixel_format == 0 else 2)
    return pps.init_qp + bits.se()
