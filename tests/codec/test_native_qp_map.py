"""QP maps in the extension: batches with and without maps, round trips, animations, reading back.

npp._bpg is private; what is here holds for every public function above it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import npp._bpg as _bpg

MAX_PIXELS = 1 << 20
Image = npt.NDArray[np.uint8]
Map = npt.NDArray[np.float32]


def options(effort: int = 4, **changes: Any) -> _bpg.EncodeOptions:
    fields: dict[str, Any] = {
        "chroma": 1,
        "color_space": 0,
        "bit_depth": 8,
        "limited_range": False,
        "lossless": False,
        "premultiplied": False,
        "effort": effort,
        "machine": False,
        "psy_rd": 0.0,
        "deblock": None,
        "chroma_qp_offset": None,
        "x265": "",
    }
    return _bpg.EncodeOptions(**{**fields, **changes})


def picture(photo: Image) -> Image:
    return np.ascontiguousarray(photo.transpose(2, 0, 1))


def drawn_map(image: Image, seed: int, largest: float = 6) -> Map:
    height, width = (-(-side // 16) for side in image.shape[1:])
    return np.random.default_rng(seed).uniform(-largest, largest, (height, width)).astype(np.float32)


def encode(
    images: list[Image], maps: list[Map | None] | None, threads: int = 1, qp: int = 30, effort: int = 4
) -> list[bytes]:
    count = len(images)
    qps = _bpg.BatchQps([qp] * count, [qp] * count, maps)
    handle = _bpg.start_encode(images, qps, [options(effort)] * count, [], threads)
    files = []
    for result in handle.result():
        if result.error is not None:
            raise result.error
        assert result.file is not None
        files.append(result.file)
    return files


def decode(file: bytes) -> npt.NDArray[Any]:
    (result,) = _bpg.start_decode([file], np.dtype("u1"), None, MAX_PIXELS, 1).result()
    assert result.error is None and result.picture is not None
    return result.picture


def one_qp(qp_map: Any) -> _bpg.BatchQps:
    return _bpg.BatchQps([30], [30], [qp_map])


def refusal(image: Image, qp_map: Any, **changes: Any) -> _bpg.BPGError:
    (result,) = _bpg.start_encode([image], one_qp(qp_map), [options(**changes)], [], 1).result()
    assert result.file is None and isinstance(result.error, _bpg.EncodeError)
    return result.error


def test_mixed_batches_do_not_depend_on_threads_or_neighbours(photo: Image) -> None:
    whole = picture(photo)
    images = [whole, whole[:, :33, :47], whole, whole[:, :33, :47], whole, whole[:, 7:8, 3:4]]
    maps = [drawn_map(whole, 1), None, None, drawn_map(images[3], 2), drawn_map(whole, 3), None]
    _bpg.clear_encoders()
    alone = [encode([image], [qp_map])[0] for image, qp_map in zip(images, maps, strict=True)]
    for threads in (1, 2, 3):
        assert encode(images, maps, threads) == alone
    assert len({alone[0], alone[2], alone[4]}) == 3


def test_without_maps_the_bytes_are_those_of_constant_qp(photo: Image) -> None:
    image = picture(photo)
    _bpg.clear_encoders()
    fresh = encode([image], None)
    encode([image], [drawn_map(image, 1)])
    assert encode([image], None) == encode([image], [None]) == fresh
    assert not _bpg.probe(fresh[0])["block_qps"]


@pytest.mark.parametrize("effort", [0, 5, 8])
def test_round_trip_gives_what_a_decoder_gets(photo: Image, effort: int) -> None:
    batch = np.stack([picture(photo)] * 3)
    maps = [drawn_map(batch[0], 1), None, drawn_map(batch[0], 2, 60)]
    x_hat = np.zeros_like(batch)
    qps = _bpg.BatchQps([30] * 3, [30] * 3, maps)
    results = _bpg.start_round_trip(batch, qps, options(effort), x_hat, 2).result()
    for i, result in enumerate(results):
        assert result.error is None and result.file is not None
        np.testing.assert_array_equal(decode(result.file), x_hat[i])
        assert result.file == encode([batch[i]], [maps[i]], effort=effort)[0]


def test_the_array_may_change_while_threads_work(photo: Image) -> None:
    image = picture(photo)
    qp_map = drawn_map(image, 1)
    expected = encode([image], [qp_map.copy()])
    handle = _bpg.start_encode([image], one_qp(qp_map), [options()], [], 1)
    qp_map[:] = np.nan
    assert handle.result()[0].file == expected[0]


def test_animations_take_a_map_for_each_frame(photo: Image) -> None:
    frames = [picture(photo)] * 4
    maps = [None, drawn_map(frames[0], 1), drawn_map(frames[0], 2, 60), None]

    def animation(qp_maps: list[Map | None] | None) -> bytes:
        result = _bpg.start_animation(
            frames, _bpg.BatchQps([30] * 4, [30] * 4, qp_maps), [1] * 4, options(), 0, (1, 25), []
        ).result()
        assert result.error is None and result.file is not None
        return result.file

    mapped, plain = animation(maps), animation(None)
    assert animation([None] * 4) == plain != mapped
    assert decode(mapped).shape == (4, *frames[0].shape)
    assert _bpg.probe(mapped)["block_qps"] and not _bpg.probe(plain)["block_qps"]
    with pytest.raises(_bpg.UnsupportedError, match="animation"):
        _bpg.decode_qp_map(mapped, MAX_PIXELS)


def test_the_map_is_read_back() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 50, 71), dtype=np.uint8)
    qp_map = drawn_map(noise, 4)
    qp_map[0, :4] = 0.5, 1.5, 1000, -1000
    (file,) = encode([noise], [qp_map], effort=1)
    read = _bpg.decode_qp_map(file, MAX_PIXELS)
    asked = np.clip(_bpg.intra_slice_qp(30) + np.round(qp_map), 0, 51)
    np.testing.assert_array_equal(read, asked)
    assert read.dtype == np.int32
    fine = _bpg.decode_qp_map(file, MAX_PIXELS, block_size=8)
    assert fine.shape == (7, 9)
    last = np.ix_([1, 3, 5, 6], [1, 3, 5, 7, 8])
    np.testing.assert_array_equal(fine[last], read)


def test_hostile_files_are_refused(photo: Image) -> None:
    image = picture(photo)
    (file,) = encode([image], [drawn_map(image, 1)])
    for size in range(0, len(file), 7):
        with pytest.raises(_bpg.DecodeError):
            _bpg.decode_qp_map(file[:size], MAX_PIXELS)
    with pytest.raises(_bpg.DecodeError, match="limit"):
        _bpg.decode_qp_map(file, image.shape[1] * image.shape[2] - 1)
    with pytest.raises(_bpg.DecodeError, match="not 12"):
        _bpg.decode_qp_map(file, MAX_PIXELS, 12)


def test_wrong_maps_are_refused(photo: Image) -> None:
    image = picture(photo)
    right = drawn_map(image, 1)
    assert "5x7 offsets" in str(refusal(image, right[:-1].copy()))
    bad = right.copy()
    bad[2, 3] = np.inf
    assert "inf in row 2, column 3" in str(refusal(image, bad))
    assert "lossless" in str(refusal(image, right, lossless=True))
    wrong_arrays = (
        right.astype(np.float64),
        right.T,
        right[None],
        right.tolist(),
        right.byteswap().view(">f4"),
    )
    for wrong in wrong_arrays:
        with pytest.raises(_bpg.EncodeError, match=r"qp_maps\[0\] must be None or a C-contiguous float32"):
            _bpg.BatchQps([30], [30], [wrong])  # type: ignore[list-item]
    with pytest.raises(_bpg.EncodeError, match="one entry for each of 1 pictures, not 2"):
        _bpg.BatchQps([30], [30], [right, right])


def test_there_is_a_qp_for_each_picture(photo: Image) -> None:
    image = picture(photo)
    with pytest.raises(_bpg.EncodeError, match="alpha_qp has 1 values for 2 pictures"):
        _bpg.BatchQps([30, 30], [30])
    two = _bpg.BatchQps([30, 30], [30, 30])
    wrong = "qps are for 2 pictures, and there are 1"
    with pytest.raises(_bpg.EncodeError, match=f"start_encode: {wrong}"):
        _bpg.start_encode([image], two, [options()], [], 1)
    with pytest.raises(_bpg.EncodeError, match=f"start_round_trip: {wrong}"):
        _bpg.start_round_trip(image[None], two, options(), image[None].copy(), 1)
    with pytest.raises(_bpg.EncodeError, match=f"start_animation: {wrong}"):
        _bpg.start_animation([image], two, [1], options(), 0, (1, 25), [])
