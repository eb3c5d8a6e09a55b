"""Threads, forks, DataLoader workers, interrupts, shutdown."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import npp
from npp.codec.limits import resolve_threads, usable_cores
from npp.codec.round_trip import start_round_trip


def _picture(seed: int, side: int = 48) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 6, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1)
    return smooth[0]


class _Encoded(Dataset[bytes]):
    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> bytes:
        return npp.encode(_picture(index), 30, effort=1)


def _keep(batch: list[bytes]) -> list[bytes]:
    return batch


def _run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )


def test_many_python_threads_encode_and_decode() -> None:
    pictures = [_picture(i, 32 + 8 * (i % 5)) for i in range(16)]
    files = [npp.encode(picture, 30, effort=1) for picture in pictures]
    decoded = [npp.decode(file) for file in files]

    def work(index: int) -> None:
        which = index % len(pictures)
        assert npp.encode(pictures[which], 30, effort=1) == files[which]
        assert torch.equal(npp.decode(files[which]), decoded[which])
        out = npp.compress(pictures[which][None], 30, effort=1)
        assert out.bitstreams == [files[which]]

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(work, range(256)))


def test_the_interpreter_runs_while_the_codec_works() -> None:
    x = torch.rand(4, 3, 256, 256)
    ticks = 0
    done = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not done.is_set():
            ticks += 1
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        npp.compress(x, 20, threads=1)
    finally:
        done.set()
        thread.join()
    assert ticks > 20


def test_dataloader_workers_after_the_parent_has_encoded() -> None:
    expected = [npp.encode(_picture(i), 30, effort=1) for i in range(12)]
    for _ in range(2):
        loader = DataLoader(_Encoded(), batch_size=3, num_workers=2, collate_fn=_keep)
        assert [file for batch in loader for file in batch] == expected
    assert npp.encode(_picture(0), 30, effort=1) == expected[0]


class _DefaultThreads(Dataset[int]):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> int:
        return resolve_threads(None)


def test_dataloader_workers_use_one_thread_each_by_default() -> None:
    loader = DataLoader(_DefaultThreads(), num_workers=1, batch_size=None)
    assert list(loader) == [1, 1]
    assert resolve_threads(None) == usable_cores() and resolve_threads(7) == 7


def test_fork_in_the_middle_of_a_batch() -> None:
    x = torch.stack([_picture(i, 96) for i in range(8)])
    expected = npp.encode(x, 25, effort=2)
    started = start_round_trip(x, 25, {"effort": 2}, 2)
    child = os.fork()
    if child == 0:
        # The child has no pool threads of its own yet and must not wait for the parent's.
        ok = npp.encode(x, 25, effort=2) == expected and torch.equal(
            npp.decode(expected[0]), npp.decode(expected)[0]
        )
        os._exit(0 if ok else 1)
    assert started.result()[2] == expected
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class _Damaged(Dataset[Tensor]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Tensor:
        data = npp.encode(_picture(index), 30, effort=0)
        return npp.decode(data[:-9] if index == 2 else data)


def test_a_dataloader_worker_hands_its_error_on() -> None:
    with pytest.raises(npp.DecodeError, match="truncated file"):
        list(DataLoader(_Damaged(), num_workers=1, batch_size=None))


_FORKED_WITH_A_CALL = """
    import os, signal, sys, torch, npp
    from npp.codec.round_trip import start_round_trip
    trip = start_round_trip(torch.rand(4, 3, 256, 256), 30, {"effort": 8}, 2)
    for way in ("forgotten", "result", "exit"):
        child = os.fork()
        if child == 0:
            signal.alarm(60)  # instead of for ever
            if way == "result":
                try:
                    trip.result()
                except RuntimeError as error:
                    os._exit(0 if "before the process forked" in str(error) else 1)
            if way == "exit":
                sys.exit(0)
            del trip
            os._exit(0 if len(npp.encode(torch.rand(3, 64, 64), 30)) > 0 else 1)
        print(way, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    print(len(trip.result()[2]))
"""


def test_a_fork_with_a_call_that_its_parent_began() -> None:
    result = _run(_FORKED_WITH_A_CALL)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["forgotten 0", "result 0", "exit 0", "4"]


_FORKED_AT_A_FIRST_QP = """
    import os, signal, time, torch, npp
    from npp.codec.round_trip import start_round_trip
    x = torch.rand(2, 3, 64, 64)
    for bit_depth in (8, 10, 12):
        for qp in range(0, 52, 2):
            options = {"effort": 0, "bit_depth": bit_depth}
            trip = start_round_trip(x, qp, options, 2)
            time.sleep(qp % 13 * 0.0002)  # some of the forks come while x265 fills its tables
            child = os.fork()
            if child == 0:
                signal.alarm(10)  # instead of for ever
                os._exit(0 if npp.encode(x[0], qp, **options) else 1)
            if (status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])) != 0:
                print(bit_depth, qp, status)
            trip.result()
"""


def test_a_fork_while_tables_are_filled_for_the_first_picture_of_a_qp() -> None:
    result = _run(_FORKED_AT_A_FIRST_QP)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_forks_while_threads_encode_and_decode() -> None:
    x = torch.stack([_picture(i, 64) for i in range(4)])
    expected = npp.encode(x, 30, effort=1)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            assert npp.encode(x, 30, effort=1, threads=2) == expected
            npp.decode(expected, threads=2)

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(work) for _ in range(3)]
        try:
            for _ in range(8):
                child = os.fork()
                if child == 0:
                    os._exit(0 if npp.encode(x[:2], 30, effort=1) == expected[:2] else 1)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        finally:
            stop.set()
    for future in running:
        future.result()


_INTERRUPTED = """
    import os, signal, sys, threading, time, torch, npp
    from dataclasses import replace
    from hostile.parts import ANIMATION, EXTENSIONS, Parts
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background shells
    image = torch.rand(3, 128, 128)
    file = npp.encode(image, 20, effort=0)
    still = Parts.parse(file)

    def intra_frames(count):
        control = b"\\x05\\x03\\x00\\x01\\x19"
        parts = replace(still.with_flags(0, ANIMATION | EXTENSIONS), extensions=control)
        return parts.with_units([still.units[0], *still.units[1:] * count]).to_bytes()

    def outcome(work):
        work(2)
        start = time.monotonic()
        work(4)
        one = (time.monotonic() - start) / 4
        count = max(8, int(10 / one))
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        start = time.monotonic()
        try:
            work(count)
        except KeyboardInterrupt:
            # Work for ten seconds, of which it must not have done a half.
            return "interrupted" if time.monotonic() - start < one * count / 2 else "finished first"
        return "not interrupted"

    print("encode:", outcome(lambda count: npp.encode([image] * count, 10, threads=1)))
    print("decode:", outcome(lambda count: npp.decode([file] * count, threads=1)))
    print("compress:", outcome(lambda count: npp.compress(image.expand(count, -1, -1, -1), 10, threads=1)))
    print("encode_animation:", outcome(lambda count: npp.encode_animation([image] * count, 10)))
    print("decode an animation:", outcome(lambda count: npp.decode(intra_frames(count))))
    assert len(npp.encode([image] * 2, effort=0)) == 2  # the codec is still usable
"""


def test_keyboard_interrupt_ends_long_calls() -> None:
    result = _run(_INTERRUPTED)
    assert result.returncode == 0, result.stderr
    kinds = ("encode", "decode", "compress", "encode_animation", "decode an animation")
    assert result.stdout.splitlines() == [f"{kind}: interrupted" for kind in kinds]


_IN_THE_MIDDLE = """
    import os, signal, threading, time, torch, npp, npp.codec.round_trip
    signal.signal(signal.SIGINT, signal.default_int_handler)
    large = torch.rand(3, 4096, 4096)  # a minute: one picture cannot be stopped in its middle
    calls = {
        "encode": lambda: npp.encode(large, 20, effort=9),
        "compress": lambda: npp.compress(large[None], 20, effort=9),
        "forgotten": lambda: npp.codec.round_trip.start_round_trip(large[None], 20, {"effort": 9}) and None,
    }
    for name, call in calls.items():
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        called = True
        try:
            call()
            called = False
            time.sleep(60)
        except KeyboardInterrupt:
            print(name, called, flush=True)
    data = npp.encode(torch.full((3, 64, 64), 0.5), 30, effort=0)  # no core is free, and yet it comes
    print("next", len(data) > 0, flush=True)
    os._exit(0)  # the large pictures are still being coded
"""


def test_a_large_picture_holds_up_neither_ctrl_c_nor_the_next_call() -> None:
    result = _run(_IN_THE_MIDDLE)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["encode True", "compress True", "forgotten False", "next True"]


@pytest.mark.parametrize("daemon", [True, False])
def test_interpreter_shutdown_with_work_in_flight(daemon: bool) -> None:
    script = f"""
        import threading, time, torch, npp
        from npp.codec.round_trip import start_round_trip
        x = torch.rand(30, 3, 128, 128)
        thread = threading.Thread(target=lambda: npp.encode(x, 20), daemon={daemon})
        thread.start()
        time.sleep(0.5)  # until it waits for the codec; torch itself may not be cut off in the middle
        handle = start_round_trip(x, 30, {{}}, 2)
        print("leaving", flush=True)
    """
    result = _run(script)
    assert result.returncode == 0, (result.returncode, result.stderr[-2000:])


def test_a_started_round_trip_may_be_forgotten() -> None:
    x = torch.rand(6, 3, 64, 64)
    for _ in range(20):
        start_round_trip(x, 30, {"effort": 0}, 2)
    assert npp.compress(x, 30, effort=0).bpp.shape == (6,)


def test_results_do_not_depend_on_who_else_is_working() -> None:
    batch = [torch.rand(3, 40 + 24 * i, 64) for i in range(5)]
    alone = npp.encode(batch, 30, threads=1, effort=2)
    with ThreadPoolExecutor(4) as pool:
        for files in pool.map(
            lambda threads: npp.encode(batch, 30, threads=threads, effort=2), (1, 2, 3, 4) * 3
        ):
            assert files == alone


def test_any_mix_of_sizes_and_detail_comes_back_in_order() -> None:
    flat, noisy = torch.full((3, 64, 64), 0.5), torch.rand(3, 64, 64)
    batch = [
        flat,
        noisy,
        _picture(1, 16),
        noisy.double(),
        flat[:1],
        (noisy * 255).to(torch.uint8),
        flat[:, :1, :1],
    ]
    assert npp.encode(batch, 30, threads=2, effort=1) == [npp.encode(one, 30, effort=1) for one in batch]


def test_idle_encoders_are_bounded_and_can_be_freed() -> None:
    import npp._bpg as _bpg

    npp.clear_encoder_cache()
    assert _bpg.idle_encoders() == (0, 0)
    try:
        npp.set_encoder_cache_limit(200_000)
        for side in range(16, 16 + 8 * 12, 8):
            npp.encode(_picture(0, side), effort=0)
        count, pixels = _bpg.idle_encoders()
        assert 0 < count <= 3 and pixels <= 200_000
        npp.set_encoder_cache_limit(0)
        assert _bpg.idle_encoders() == (0, 0)
        npp.encode(_picture(0), effort=0)
        assert _bpg.idle_encoders() == (0, 0)
    finally:
        npp.set_encoder_cache_limit(8 << 20)
    with pytest.raises(ValueError, match="-1"):
        npp.set_encoder_cache_limit(-1)


def test_sigint_handler_is_left_as_it_was() -> None:
    before = signal.getsignal(signal.SIGINT)
    npp.encode(_picture(0), effort=0)
    assert signal.getsignal(signal.SIGINT) is before
