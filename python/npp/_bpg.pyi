"""The BPG codec on tensor memory. Internal: use the functions of npp."""

from collections.abc import Sequence
from typing import Any, TypedDict, final

import numpy as np
import numpy.typing as npt

class BPGError(ValueError):
    index: int | None
    results: list[Any] | None

class EncodeError(BPGError): ...
class DecodeError(BPGError): ...
class UnsupportedError(BPGError): ...

@final
class EncodeOptions:
    def __init__(
        self,
        *,
        chroma: int,
        color_space: int,
        bit_depth: int,
        limited_range: bool,
        lossless: bool,
        premultiplied: bool,
        effort: int,
        machine: bool,
        psy_rd: float,
        deblock: int | None,
        chroma_qp_offset: int | None,
        x265: str,
    ) -> None: ...

@final
class BatchQps:
    """How finely each picture of a batch, or each frame of an animation, is quantised: one entry each."""

    def __init__(
        self,
        qp: Sequence[int],
        alpha_qp: Sequence[int],
        qp_maps: list[npt.NDArray[np.float32] | None] | None = None,
    ) -> None: ...

@final
class EncodeOutcome:
    """outside, nan: what the samples were; hevc_seconds, seconds: wall time within x265 and of all."""

    @property
    def file(self) -> bytes | None: ...
    @property
    def error(self) -> BPGError | None: ...
    @property
    def outside(self) -> bool: ...
    @property
    def nan(self) -> bool: ...
    @property
    def hevc_seconds(self) -> float: ...
    @property
    def seconds(self) -> float: ...

@final
class DecodeOutcome:
    """Without a picture where it went to a place that was given, or there is an error."""

    @property
    def picture(self) -> npt.NDArray[Any] | None: ...
    @property
    def error(self) -> BPGError | None: ...

@final
class AnimationOutcome:
    """outside, nan: what the samples of bad_frame were, for which there is no file but empty bytes."""

    @property
    def file(self) -> bytes | None: ...
    @property
    def error(self) -> BPGError | None: ...
    @property
    def outside(self) -> bool: ...
    @property
    def nan(self) -> bool: ...
    @property
    def bad_frame(self) -> int: ...

@final
class EncodeHandle:
    def result(self) -> list[EncodeOutcome]: ...

@final
class DecodeHandle:
    def result(self) -> list[DecodeOutcome]: ...

@final
class AnimationHandle:
    def result(self) -> AnimationOutcome: ...

class ProbeResult(TypedDict):
    width: int
    height: int
    pixel_format: int
    color_space: int
    bit_depth: int
    limited_range: bool
    has_alpha: bool
    premultiplied: bool
    has_w: bool
    animation: bool
    loop_count: int
    period: tuple[int, int]
    ticks: list[int]
    extensions: list[tuple[int, bytes]]
    block_qps: bool

def start_encode(
    images: list[npt.NDArray[Any]],
    qps: BatchQps,
    options: Sequence[EncodeOptions],
    extensions: Sequence[tuple[int, bytes]],
    threads: int,
) -> EncodeHandle: ...

LARGE_OUTPUT: int

def output_bytes(size: int) -> npt.NDArray[np.uint8]: ...
def kept_output_bytes() -> int: ...
def start_round_trip(
    pictures: npt.NDArray[Any],
    qps: BatchQps,
    options: EncodeOptions,
    outputs: npt.NDArray[Any],
    threads: int,
    sequence: int = 0,
    waits: bool = False,
) -> EncodeHandle: ...
def start_decode(
    files: Sequence[bytes],
    dtype: np.dtype[Any],
    outputs: list[npt.NDArray[Any]] | None,
    max_pixels: int,
    threads: int,
) -> DecodeHandle: ...
def start_animation(
    images: list[npt.NDArray[Any]],
    qps: BatchQps,
    ticks: Sequence[int],
    options: EncodeOptions,
    loop_count: int,
    period: tuple[int, int],
    extensions: Sequence[tuple[int, bytes]],
) -> AnimationHandle: ...
def probe(file: bytes) -> ProbeResult: ...
def decode_qp_map(file: bytes, max_pixels: int, block_size: int = 16) -> npt.NDArray[np.int32]: ...
def intra_slice_qp(qp: int) -> int: ...
def chroma_qp_offset(options: EncodeOptions) -> int: ...
def clear_encoders() -> None:
    """Closes the idle encoders and gives free memory back to the system, also what decoding left behind."""

def set_encoder_limit(pixels: int) -> None: ...
def idle_encoders() -> tuple[int, int]: ...
def build_config() -> dict[str, Any]:
    """npp_commit is empty where the sources were not a git repository of their own when they were built."""
