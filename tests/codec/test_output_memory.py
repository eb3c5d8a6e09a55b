"""Memory of large outputs is kept for the next batch, within bounds, and never shared by two of them."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import numpy as np
import pytest
import torch

import npp
import npp._bpg as _bpg

_BATCH = torch.rand(8, 3, 224, 224, generator=torch.Generator().manual_seed(0))
_BYTES = _BATCH.numel() * 4
_MOST = 96 << 20


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    gc.collect()
    npp.clear_encoder_cache()
    yield
    npp.clear_encoder_cache()


def test_a_batch_that_is_gone_leaves_its_memory_for_the_next() -> None:
    x_hat = npp.compress(_BATCH, 40, effort=0).x_hat
    place = x_hat.data_ptr()
    assert _bpg.kept_output_bytes() == 0
    del x_hat
    assert _bpg.kept_output_bytes() == _BYTES
    again = npp.compress(_BATCH, 40, effort=0).x_hat
    assert again.data_ptr() == place and _bpg.kept_output_bytes() == 0


def test_an_output_that_is_still_looked_at_is_not_written_again() -> None:
    x_hat = npp.compress(_BATCH, 40, effort=0).x_hat
    part = x_hat[3, :, 10:20].numpy()
    before = part.copy()
    del x_hat
    other = npp.compress(1 - _BATCH, 40, effort=0).x_hat
    assert np.array_equal(part, before)
    assert not torch.equal(other[3, :, 10:20], torch.from_numpy(before))


def test_reused_memory_changes_no_sample() -> None:
    first = npp.compress(_BATCH, 30, effort=0).x_hat
    fresh, place = first.clone(), first.data_ptr()
    del first
    npp.compress(1 - _BATCH, 30, effort=0)
    again = npp.compress(_BATCH, 30, effort=0).x_hat
    assert again.data_ptr() == place and torch.equal(again, fresh)


def test_decoded_photos_leave_their_memory_too() -> None:
    photo = torch.rand(3, 700, 800, generator=torch.Generator().manual_seed(1))
    file = npp.encode(photo, 40, effort=0)
    picture = npp.decode(file, dtype=torch.float32)
    wanted = picture.clone()
    del picture
    assert _bpg.kept_output_bytes() == photo.numel() * 4
    assert torch.equal(npp.decode(file, dtype=torch.float32), wanted)


def test_small_outputs_are_the_c_library_s() -> None:
    npp.compress(_BATCH[:2], 40, effort=0)
    assert _bpg.kept_output_bytes() == 0


def test_what_is_kept_is_bounded_and_the_last_of_it_stays() -> None:
    held = [_bpg.output_bytes(40 << 20) for _ in range(4)]
    places = [one.ctypes.data for one in held]
    while held:
        del held[0]
    assert _bpg.kept_output_bytes() == 80 << 20 <= _MOST
    assert _bpg.output_bytes(40 << 20).ctypes.data == places[-1]


def test_an_output_above_the_bound_goes_back_at_once() -> None:
    _bpg.output_bytes(_MOST + 1)
    assert _bpg.kept_output_bytes() == 0


def test_clear_encoder_cache_gives_it_back() -> None:
    npp.compress(_BATCH, 40, effort=0)
    assert _bpg.kept_output_bytes() == _BYTES
    npp.clear_encoder_cache()
    assert _bpg.kept_output_bytes() == 0


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float16, torch.float32, torch.float64])
def test_large_outputs_are_tensors_like_small_ones(dtype: torch.dtype) -> None:
    """No views: autograd refuses to change those in place where it lets others be changed."""
    most = {torch.uint8: 255, torch.uint16: 65535}.get(dtype)
    x = _BATCH.repeat(4, 1, 1, 1).double()
    x = (x * most).round().to(dtype) if most else x.to(dtype)
    weight = torch.ones((), requires_grad=True)
    with torch.no_grad():
        x_hat = npp.compress(x, 40, effort=0).x_hat
    assert x_hat.nbytes >= _bpg.LARGE_OUTPUT and x_hat.dtype == dtype and not x_hat._is_view()
    if dtype.is_floating_point:
        x_hat.mul_(weight)
        assert x_hat.grad_fn is not None
    x_hat.detach_()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_keeps_memory_of_its_own() -> None:
    x_hat = npp.compress(_BATCH, 40, effort=0).x_hat
    npp.compress(_BATCH, 40, effort=0)
    assert _bpg.kept_output_bytes() == _BYTES
    child = os.fork()
    if child == 0:
        kept = _bpg.kept_output_bytes()
        del x_hat
        again = _bpg.output_bytes(_BYTES)
        again[:] = 1
        os._exit(0 if kept == 0 and _bpg.kept_output_bytes() == 0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert _bpg.kept_output_bytes() == _BYTES
    assert torch.equal(npp.compress(_BATCH, 40, effort=0).x_hat, x_hat)
