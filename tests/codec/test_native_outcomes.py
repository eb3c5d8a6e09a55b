"""What the extension says of each picture: fields with names, which cannot be set, and no leaks."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import npp._bpg as _bpg
from npp.codec.options import resolve_options

PICTURE = np.full((3, 16, 24), 0.5, np.float32)
OPTIONS = resolve_options({"effort": 0}).native(gray=False)


def encoded(picture: Any, qp: int = 30) -> _bpg.EncodeOutcome:
    (outcome,) = _bpg.start_encode([picture], _bpg.BatchQps([qp], [qp]), [OPTIONS], [], 1).result()
    return outcome


def decoded(file: bytes, place: Any = None) -> _bpg.DecodeOutcome:
    places = None if place is None else [place]
    (outcome,) = _bpg.start_decode([file], np.dtype("u1"), places, 1 << 20, 1).result()
    return outcome


def animated(frames: list[Any], qp: int = 30) -> _bpg.AnimationOutcome:
    count = len(frames)
    qps = _bpg.BatchQps([qp] * count, [qp] * count)
    return _bpg.start_animation(frames, qps, [1] * count, OPTIONS, 0, (1, 25), []).result()


def with_sample(value: float) -> Any:
    picture = PICTURE.copy()
    picture[1, 2, 3] = value
    return picture


def test_a_picture_s_outcome() -> None:
    outcome = encoded(PICTURE)
    assert outcome.file is not None and outcome.error is None
    assert (outcome.outside, outcome.nan) == (False, False)
    assert 0 < outcome.hevc_seconds < outcome.seconds
    assert (encoded(with_sample(2)).outside, encoded(with_sample(2)).nan) == (True, False)
    assert encoded(with_sample(np.nan)).nan
    refused = encoded(PICTURE, 52)
    assert refused.file is None and isinstance(refused.error, _bpg.EncodeError)


def test_a_file_s_outcome() -> None:
    file = encoded(PICTURE).file
    assert file is not None
    outcome, place = decoded(file), np.zeros(PICTURE.shape, np.uint8)
    assert outcome.picture is not None and outcome.error is None and outcome.picture.shape == PICTURE.shape
    into_place = decoded(file, place)
    assert into_place.picture is None and into_place.error is None
    np.testing.assert_array_equal(place, outcome.picture)
    refused = decoded(b"no file")
    assert refused.picture is None and isinstance(refused.error, _bpg.DecodeError)


def test_an_animation_s_outcome() -> None:
    outcome = animated([PICTURE, PICTURE])
    assert outcome.file and outcome.error is None and not outcome.outside and not outcome.nan
    outside, nan = animated([PICTURE, with_sample(2)]), animated([PICTURE, PICTURE, with_sample(np.nan)])
    assert (outside.file, outside.outside, outside.nan, outside.bad_frame) == (b"", True, False, 1)
    assert (nan.file, nan.nan, nan.bad_frame) == (b"", True, 2)
    refused = animated([PICTURE, PICTURE], 52)
    assert refused.file is None and isinstance(refused.error, _bpg.EncodeError)


def test_an_outcome_stays_what_it_is() -> None:
    outcomes: list[Any] = [encoded(PICTURE), decoded(b""), animated([PICTURE])]
    for outcome in outcomes:
        with pytest.raises(AttributeError):
            outcome.error = None


def test_an_outcome_whose_error_was_raised_goes_away() -> None:
    """The traceback refers to the frame, the frame to the outcome and the outcome to the error."""

    class Neighbour:
        pass

    def fails(kind: str) -> weakref.ref[Neighbour]:
        neighbour = Neighbour()
        seen = weakref.ref(neighbour)
        refused: Any = {
            "encode": lambda: encoded(PICTURE, 52),
            "decode": lambda: decoded(b""),
            "animation": lambda: animated([PICTURE], 52),
        }[kind]()
        try:
            raise refused.error
        except _bpg.BPGError:
            return seen

    for kind in ("encode", "decode", "animation"):
        seen = fails(kind)
        gc.collect()
        assert seen() is None, kind


def test_outcomes_name_their_types() -> None:
    file = encoded(PICTURE).file
    assert file is not None
    for outcome, name in (
        (encoded(PICTURE), "EncodeOutcome"),
        (decoded(file), "DecodeOutcome"),
        (animated([PICTURE]), "AnimationOutcome"),
    ):
        assert repr(outcome).startswith(f"npp._bpg.{name}(")
        assert type(outcome) is getattr(_bpg, name)
