"""Families of hostile files that are made in memory: too many or too large to store."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from hostile.parts import ANIMATION, EXTENSIONS, Parts, extension, is_slice, layer_of, nal, with_bit

Bases = dict[str, bytes]


@dataclass(frozen=True)
class Family:
    """What is made, and whether each one must be refused (else: refused or decoded, both are fine).

    ``make`` gives at most ``limit`` files, spread over all there are, or all of them for None.
    """

    must_refuse: bool
    make: Callable[[Bases, int | None], Iterator[tuple[str, bytes]]]


def _spread(count: int, limit: int | None, seed: int) -> list[int]:
    """Indices below ``count``: all, or a fixed random choice."""
    if limit is None or limit >= count:
        return list(range(count))
    return sorted(random.Random(seed).sample(range(count), limit))


def _truncated(base: str) -> Callable[[Bases, int | None], Iterator[tuple[str, bytes]]]:
    def make(bases: Bases, limit: int | None) -> Iterator[tuple[str, bytes]]:
        data = bases[base]
        for size in _spread(len(data), limit, 1):
            yield f"{base}[:{size}]", data[:size]

    return make


def _truncated_open(bases: Bases, limit: int | None) -> Iterator[tuple[str, bytes]]:
    """Files that say "to the end of the file" have no length that a cut contradicts."""
    data = replace(Parts.parse(bases["alpha"]), picture_length=0).to_bytes()
    for size in _spread(len(data), limit, 2):
        yield f"open[:{size}]", data[:size]


def _flipped(base: str) -> Callable[[Bases, int | None], Iterator[tuple[str, bytes]]]:
    def make(bases: Bases, limit: int | None) -> Iterator[tuple[str, bytes]]:
        data = bases[base]
        for bit in _spread(8 * len(data), limit, 3):
            yield f"{base}, bit {bit}", with_bit(data, bit)

    return make


def _mutated(bases: Bases, limit: int | None) -> Iterator[tuple[str, bytes]]:
    """Several changes at once: bytes replaced, cut out, repeated, or taken from another file."""
    dice = random.Random(4)
    names = sorted(bases)
    for number in range(limit or 4000):
        data = bytearray(bases[dice.choice(names)])
        for _ in range(dice.randint(1, 6)):
            at, size = dice.randrange(max(1, len(data))), dice.choice((1, 1, 2, 4, 16, 64))
            other = bases[dice.choice(names)]
            start = dice.randrange(len(other))
            data[at : at + size] = dice.choice(
                (
                    b"",
                    bytes(dice.choice((0, 1, 3, 0x7F, 0x80, 0xFF)) for _ in range(size)),
                    dice.randbytes(size),
                    bytes(data[at : at + size]) * 2,
                    other[start : start + size],
                )
            )
        yield f"mutation {number}", bytes(data)


def _spliced(bases: Bases, limit: int | None) -> Iterator[tuple[str, bytes]]:
    """Flags and size of one file, HEVC headers of another, NAL units of a third."""
    parts = {name: Parts.parse(data) for name, data in bases.items() if name != "intra"}
    combinations = [(a, b, c) for a in parts for b in parts for c in parts]
    for index in _spread(len(combinations), limit, 5):
        a, b, c = combinations[index]
        headers = (parts[b].headers[0], parts[b].headers[-1])[-len(parts[a].headers) :]
        yield f"{a} + {b} + {c}", replace(parts[a], headers=headers, units=parts[c].units).to_bytes()


def _lying_sizes(bases: Bases, limit: int | None) -> Iterator[tuple[str, bytes]]:
    """All powers of two and their neighbours as sides."""
    sides = sorted({2**power + step for power in range(3, 32) for step in (-1, 0, 1)})
    pairs = [(name, w, h) for name in ("still", "alpha", "intra") for w in sides for h in (1, 64, w)]
    for index in _spread(len(pairs), limit, 6):
        name, width, height = pairs[index]
        parts = replace(Parts.parse(bases[name]), width=width, height=height) if name != "intra" else None
        if parts is None:
            still = Parts.parse(bases["still"])
            parts = replace(still.with_header(range_flags=1 << 6), width=width, height=height)
        yield f"{name} as {width}x{height}", parts.to_bytes()


def _bombs(bases: Bases, limit: int | None) -> Iterator[tuple[str, bytes]]:
    """Much of something that costs few bytes."""
    still, animation = Parts.parse(bases["still"]), Parts.parse(bases["animation"])
    many = 200_000
    yield "empty extensions", replace(still, extensions=extension(9, b"") * many).to_bytes()
    yield "NAL units of two bytes", still.with_units([nal(41, b"")] * many).to_bytes()
    yield "NAL units behind the slice", still.with_units([*still.units, *[nal(41, b"")] * many]).to_bytes()
    yield "PPSs", still.with_units([still.units[0]] * many + [still.units[1]]).to_bytes()
    yield "start codes", still.with_units([b""] * many).to_bytes()
    yield "zeros", still.to_bytes(still.body()[: len(still.headers[0]) + 1] + bytes(5 * many))
    yield "an SEI of FF", still.with_units([nal(39, b"\xff" * 5 * many), *still.units]).to_bytes()
    yield "SEI messages", still.with_units([nal(39, b"\x05\x00" * many + b"\x80"), *still.units]).to_bytes()
    tiny = [nal(1, b"\x80")] * many
    yield "pictures of one byte", animation.with_units([*animation.units, *tiny]).to_bytes()
    yield "pictures of one byte in a still", still.with_units([*still.units, *tiny]).to_bytes()
    later = [unit for unit in animation.units if is_slice(unit)][2:4]
    yield "the same P picture", animation.with_units([*animation.units, *later * 2000]).to_bytes()
    huge = replace(animation.with_units([*animation.units, *later * 2000]), width=4096, height=4096)
    yield "huge frames", huge.to_bytes()
    slices = [nal(20, b"\x20" + b"\x55" * 3)] * many
    yield "slices that begin nowhere", still.with_units([*still.units, *slices]).to_bytes()
    idr = [unit for unit in still.units if is_slice(unit)]
    yield "the same I picture", _as_animation(still.with_units([*still.units[:1], *idr * 300])).to_bytes()
    alpha = [unit for unit in animation.units if layer_of(unit) == 1]
    yield "alpha without end", animation.with_units([*animation.units, *alpha * 2000]).to_bytes()


def _as_animation(still: Parts) -> Parts:
    control = extension(5, b"\x00\x01\x19")
    return replace(still.with_flags(0, ANIMATION | EXTENSIONS), extensions=control)


FAMILIES: dict[str, Family] = {
    **{
        f"truncated {name}": Family(True, _truncated(name))
        for name in ("still", "alpha", "animation", "intra")
    },
    "truncated, without a length": Family(False, _truncated_open),
    **{
        f"bit flips {name}": Family(False, _flipped(name))
        for name in ("still", "alpha", "animation", "gray", "deep422", "lossless", "small", "intra")
    },
    "mutations": Family(False, _mutated),
    "splices": Family(False, _spliced),
    "lying sizes": Family(False, _lying_sizes),
    "bombs": Family(False, _bombs),
}
