"""One bad picture in a batch: the error says which, and the others' results are not lost."""

from __future__ import annotations

import gc
import io
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import npp
from npp.codec.device_transfer import DeviceTransfer

GOOD = torch.rand(3, 24, 32, generator=torch.Generator().manual_seed(1))
NAN = torch.full((3, 16, 16), float("nan"))
OUTSIDE = torch.full((3, 16, 16), 2.0)
TWO_CHANNELS = torch.rand(2, 16, 16)


def _caught(call: Callable[[], object]) -> npp.BPGError:
    with pytest.raises(npp.BPGError) as caught:
        call()
    return caught.value


def test_encode_returns_errors_in_place() -> None:
    file = npp.encode(GOOD, 30, effort=0)
    batch = [GOOD, NAN, GOOD, TWO_CHANNELS, OUTSIDE, Image.new("I", (8, 8), 70000), GOOD]
    outcomes = npp.encode(batch, [30] * 7, effort=0, errors="return")
    assert [outcomes[i] for i in (0, 2, 6)] == [file] * 3
    for index, words in ((1, "NaN"), (3, "2 channels"), (4, "from 2 to 2"), (5, "mode I holds")):
        error = outcomes[index]
        assert isinstance(error, npp.EncodeError) and error.index == index and error.results is None
        assert f"image[{index}]" in str(error) and words in str(error)


def test_encode_keeps_each_pictures_qp_beside_errors() -> None:
    outcomes = npp.encode([TWO_CHANNELS, GOOD, NAN, GOOD], [51, 20, 51, 40], effort=0, errors="return")
    assert [outcomes[1], outcomes[3]] == npp.encode([GOOD, GOOD], [20, 40], effort=0)


def test_encode_of_bad_pictures_only() -> None:
    outcomes = npp.encode([TWO_CHANNELS, TWO_CHANNELS], errors="return")
    assert [type(one) for one in outcomes] == [npp.EncodeError] * 2


def _damaged(name: str) -> Image.Image:
    """A picture whose file opens and cannot be read; of those of DDS Pillow says so with a ValueError."""
    file = io.BytesIO()
    Image.fromarray((GOOD.permute(1, 2, 0) * 255).byte().numpy()).save(file, name)
    return Image.open(io.BytesIO(file.getvalue()[:800]))


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "DDS"])
@pytest.mark.parametrize("encode", [npp.encode, npp.Recipe(qp=30, options={"effort": 0}).encode])
def test_a_pil_picture_that_cannot_be_read_costs_no_other(encode: Any, file_format: str) -> None:
    try:
        _damaged(file_format).load()
    except (OSError, ValueError):
        pass
    else:
        pytest.skip("this Pillow reads what is left of such a file")
    good, _, bad = encode([GOOD, TWO_CHANNELS, _damaged(file_format)], 30, effort=0, errors="return")
    assert good == npp.encode(GOOD, 30, effort=0)
    assert type(bad) is OSError and bad.__traceback__ is None
    assert str(bad).startswith("image[2] cannot be read: ")
    with pytest.raises(OSError, match=r"image\[1\] cannot be read: "):
        encode([GOOD, _damaged(file_format), TWO_CHANNELS], effort=0)
    with pytest.raises(OSError, match=r"image cannot be read: "):
        encode(_damaged(file_format), effort=0)
    with pytest.raises(OSError, match=r"frames\[0\] cannot be read: "):
        npp.encode_animation([_damaged(file_format)], effort=0)


def test_encode_raises_with_the_others_results() -> None:
    file = npp.encode(GOOD, 30, effort=0)
    error = _caught(lambda: npp.encode([GOOD, GOOD, NAN, OUTSIDE, GOOD], 30, effort=0))
    assert error.index == 2 and "image[2]" in str(error)
    results = error.results
    assert results is not None and [results[i] for i in (0, 1, 4)] == [file] * 3
    assert [results[i].index for i in (2, 3)] == [2, 3]


def test_a_wrong_shape_is_raised_before_any_work() -> None:
    error = _caught(lambda: npp.encode([GOOD, TWO_CHANNELS, NAN]))
    assert error.index == 1 and error.results is None


def test_a_single_picture_has_no_index() -> None:
    assert npp.encode(GOOD, 30, effort=0, errors="return") == npp.encode(GOOD, 30, effort=0)
    for picture in (NAN, TWO_CHANNELS):
        returned = npp.encode(picture, errors="return")
        assert isinstance(returned, npp.EncodeError) and returned.index is None
        assert str(returned).startswith("image ")
        raised = _caught(lambda picture=picture: npp.encode(picture))  # type: ignore[misc]
        assert raised.index is None and raised.results is None and str(raised) == str(returned)


def test_decode_returns_errors_in_place() -> None:
    file = npp.encode(GOOD, 30, effort=0)
    outcomes = npp.decode([file, b"no", file[:-5], file], errors="return")
    assert torch.equal(outcomes[0], outcomes[3]) and torch.equal(outcomes[0], npp.decode(file))
    for index in (1, 2):
        error = outcomes[index]
        assert isinstance(error, npp.DecodeError) and error.index == index and error.results is None
        assert str(error).startswith(f"data[{index}]: ")
    alone = npp.decode(b"no", errors="return")
    assert isinstance(alone, npp.DecodeError) and alone.index is None
    assert npp.decode([], errors="return") == []


def test_decode_raises_with_the_others_results() -> None:
    file = npp.encode(GOOD, 30, effort=0)
    error = _caught(lambda: npp.decode([file, file[:-5], file], dtype=torch.float32))
    assert isinstance(error, npp.DecodeError) and error.index == 1
    assert error.results is not None and error.results[1].index == 1
    wanted = npp.decode(file, dtype=torch.float32)
    assert torch.equal(error.results[0], wanted) and torch.equal(error.results[2], wanted)


def test_decompress_raises_with_the_others_results() -> None:
    x = torch.stack([GOOD, GOOD.flip(0)])
    out = npp.compress(x, 30, effort=0)
    good = out.bitstreams[0]
    damaged = good.replace(b"\x44\x01", b"\x46\x01", 1)  # its header is in order, its PPS is gone
    assert npp.probe(damaged).height == 24
    error = _caught(lambda: npp.decompress([damaged, good]))
    assert error.index == 0 and error.results is not None and error.results[0].index == 0
    assert torch.equal(error.results[1], out.x_hat[0])
    for files, index in (([good, good[:30]], 1), ([good, good, npp.encode(TWO_CHANNELS[:1])], 2)):
        refused = _caught(lambda files=files: npp.decompress(files))  # type: ignore[misc]
        assert refused.index == index and refused.results is None


def test_compress_raises_with_the_others_files() -> None:
    x = torch.stack([GOOD, GOOD, GOOD])
    x[1, 2, 3, 4] = float("nan")
    error = _caught(lambda: npp.compress(x, 30, effort=0))
    assert isinstance(error, npp.EncodeError) and error.index == 1 and "x[1]" in str(error)
    assert error.results is not None and error.results[1].index == 1
    assert error.results[0] == error.results[2] == npp.encode(GOOD, 30, effort=0)


class _Remote(DeviceTransfer):
    """Takes a CPU tensor the way that tensors of other devices take."""

    def __init__(self, x: Tensor, *, deep: bool) -> None:
        super().__init__(x, deep=deep)
        self._remote = True


def test_compress_finds_the_bad_picture_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.stack([GOOD, GOOD, GOOD])
    here = npp.compress(x, 30, effort=0)
    monkeypatch.setattr(npp.codec.round_trip, "DeviceTransfer", _Remote)
    there = npp.compress(x, 30, effort=0)
    assert there.bitstreams == here.bitstreams and torch.equal(there.x_hat, here.x_hat)
    x[2, 0, 0, 0] = float("nan")
    error = _caught(lambda: npp.compress(x, 30, effort=0))
    assert error.index == 2 and "x[2] holds NaN" in str(error)
    assert error.results is not None and error.results[:2] == here.bitstreams[:2]


def test_a_bad_frame_has_an_index() -> None:
    for frames in (torch.stack([GOOD, GOOD + 2]), [GOOD, GOOD[:, :8]], [GOOD, TWO_CHANNELS]):
        assert _caught(lambda frames=frames: npp.encode_animation(frames, effort=0)).index == 1  # type: ignore[misc]


def test_types_and_options_are_raised_all_the_same() -> None:
    calls: list[Callable[[], Any]] = [
        lambda: npp.encode([GOOD, np.zeros((4, 4), bool)], errors="return"),
        lambda: npp.decode([b"no", 3], errors="return"),  # type: ignore[list-item]
    ]
    for call in calls:
        with pytest.raises(TypeError, match=r"\[1\]"):
            call()
    with pytest.raises(npp.EncodeError, match="qp"):
        npp.encode([GOOD], 60, errors="return")
    with pytest.raises(npp.EncodeError, match="empty"):
        npp.encode([], errors="return")
    for wrong in ("ignore", None, True):
        for function in (npp.encode, npp.decode):
            with pytest.raises(ValueError, match=r"errors must be 'raise' or 'return', not"):
                function([], errors=wrong)  # type: ignore[call-overload]


def test_errors_travel_between_processes() -> None:
    file = npp.encode(GOOD, 30, effort=0)
    error: Any = pickle.loads(pickle.dumps(_caught(lambda: npp.decode([file, b"no"]))))
    assert isinstance(error, npp.DecodeError) and error.index == 1
    assert torch.equal(error.results[0], npp.decode(file))


@pytest.mark.parametrize("errors", ["raise", "return"])
def test_errors_do_not_keep_pictures_alive(errors: Any) -> None:
    file = npp.encode(GOOD, 30, effort=0)
    gc.disable()
    try:
        error: npp.BPGError | None = None
        try:
            error = npp.decode([b"no", file], errors=errors)[0]  # type: ignore[assignment]
        except npp.DecodeError as raised:
            gone = weakref.ref(raised.results[1])  # type: ignore[index]
        else:
            assert error is not None
            gone = weakref.ref(error)
        del error
        assert gone() is None
    finally:
        gc.enable()
