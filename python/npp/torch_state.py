"""torch's global state when npp is called, and how npp works whatever that state is.

inference_mode, default devices, tracing and the transforms of torch.func change what creating or reading a
tensor means. What is kept beyond a call must not depend on which of them the first caller was in.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache, wraps
from itertools import chain
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

_Made = TypeVar("_Made")
_Entry = TypeVar("_Entry", bound=Callable[..., Any])
_KEPT = 32


def in_plain_torch(make: Callable[[], _Made]) -> _Made:
    """Calls ``make`` on a thread of its own, where no mode, transform, or default device of the caller holds.

    All of torch's modes belong to a thread. The default dtype does not: state dtypes within ``make``.
    """
    made: list[_Made] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            made.append(make())
        except BaseException as error:  # raised in the caller's thread
            failed.append(error)

    thread = threading.Thread(target=run, name="npp-make")
    thread.start()
    thread.join()
    if failed:
        raise failed.pop()
    return made[0]


def made_once(make: Callable[..., _Made]) -> Callable[..., _Made]:
    """A decorator that caches the results of a function of hashable arguments, such as tables of constants.

    It is made with autograd able to use it, whatever mode the first caller is in. While torch traces or
    another mode takes over tensors, nothing is taken from what is kept and nothing is added.
    """
    kept = lru_cache(maxsize=_KEPT)(lambda *key: in_plain_torch(lambda: make(*key)))

    @wraps(make)
    def get(*key: Hashable) -> _Made:
        if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack():
            return make(*key)
        return kept(*key)

    get.cache_clear = kept.cache_clear  # type: ignore[attr-defined]
    return get


def outside_graphs(function: Callable[..., _Made], why: str) -> Callable[..., _Made]:
    """A function for callers that torch compiles: with one graph break around it.

    Not torch.compiler.disable: that imports the compiler at once, a second that ``import npp`` would pay.
    This one imports it in its first call: only compiled callers may call it.

    Args:
        function: what no graph can hold.
        why: for the message where no break is allowed.
    """
    wrapped: Any = torch._disable_dynamo(function)  # type: ignore[attr-defined]
    wrapped._torchdynamo_disable = True
    wrapped._torchdynamo_disable_msg = why
    return cast("Callable[..., _Made]", wrapped)


def no_graph(name: str) -> str:
    """Why no graph can hold a function of npp's that runs the codec, and what to do."""
    return (
        f"{name} runs the codec, which no graph can hold: compile without fullgraph=True, or compile or "
        f"export what is in front of {name} and behind it (npp.Preprocessor can be); call it between them"
    )


def runs_codec(name: str) -> Callable[[_Entry], _Entry]:
    """A function that runs the codec, for callers that torch compiles too: as in :func:`outside_graphs`.

    Without it torch would look into the function, and stop at whatever it cannot compile there first.

    Args:
        name: under which users know the function.
    """

    def entry(function: _Entry) -> _Entry:
        outside = outside_graphs(function, no_graph(name))

        @wraps(function)
        def run(*arguments: Any, **named: Any) -> Any:
            chosen = outside if torch.compiler.is_dynamo_compiling() else function
            return chosen(*arguments, **named)

        return cast("_Entry", run)

    return entry


def first_weight(network: nn.Module) -> Tensor | None:
    """A network's first parameter; ``None`` if it has none.

    A replica in nn.DataParallel has no parameters but tensors in their places.
    """
    for module in network.modules():
        in_their_places: dict[str, Tensor | None] = getattr(module, "_former_parameters", {})
        for weight in (*module._parameters.values(), *in_their_places.values()):
            if weight is not None:
                return weight
    return None


def device_of(network: nn.Module) -> torch.device:
    """The device of a network's first parameter or buffer; the CPU if it has none."""
    return next(
        (tensor.device for tensor in chain(network.parameters(), network.buffers())), torch.device("cpu")
    )


def widened(values: Tensor) -> Tensor:
    """Values in float32 at least, where half precision would be too coarse; float64 stays."""
    return values if values.dtype == torch.float64 else values.float()


def full_precision(x: Tensor) -> torch.autocast | nullcontext[None]:
    """Switches autocast off where it is on for a tensor's device."""
    device = x.device.type
    # Not is_autocast_available: torch 2.11 cannot compile it.
    if device != "meta" and torch.is_autocast_enabled(device):
        return torch.autocast(device_type=device, enabled=False)
    return nullcontext()


def moved(x: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device; for one that comes from the CPU, nothing that is queued there is waited for."""
    if device.type == "cuda" and x.device.type == "cpu" and has_readable_values(x):
        return x.pin_memory().to(device, non_blocking=True)
    return x.to(device)


def in_transform() -> bool:
    """Whether a transform of torch.func (grad, vmap, jvp and so on) is at work; none while torch compiles.

    torch before 2.5 cannot compile the question.
    """
    return not torch.compiler.is_compiling() and bool(torch._C._are_functorch_transforms_active())


_forked = False


def _note_the_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_the_fork)


def one_thread_after_a_fork() -> None:
    """Networks on one thread in a process that was forked, for torch's threads do not live there.

    It would wait for them for ever. Processes of a pool are forked on Linux before Python 3.14.
    """
    global _forked
    if _forked:
        torch.set_num_threads(1)
        _forked = False


# In what torch says where it gets no memory, of the CPU and of other devices.
_WITHOUT_MEMORY = ("DefaultCPUAllocator", "std::bad_alloc", "out of memory", "ALLOC_FAILED")
# All that oneDNN lets torch say of it, while it makes a convolution or runs one.
_ALL_OF_ONEDNN = ("could not create a primitive", "could not execute a primitive")
_RAN_OUT = "memory ran out while"


@contextmanager
def memory_error_names(work: str, height: int, width: int) -> Iterator[None]:
    """Whatever is raised where memory runs out becomes a MemoryError that says what was being done.

    torch raises a RuntimeError then, NumPy and the codec a MemoryError with other words. One that names a
    step within this one stays as it is.

    Args:
        work: goes on "memory ran out while", as "enlarging".
        height, width: of the pictures.

    Raises:
        MemoryError: memory ran out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _lacks_memory(error):
            raise
        raise MemoryError(f"{_RAN_OUT} {work} a picture of {width}x{height} pixels") from None


def _lacks_memory(error: RuntimeError | MemoryError) -> bool:
    """Whether memory ran out, and the message does not say during what."""
    if isinstance(error, MemoryError):
        return not str(error).startswith(_RAN_OUT)
    return str(error) in _ALL_OF_ONEDNN or any(words in str(error) for words in _WITHOUT_MEMORY)


def channels_last(x: Tensor) -> Tensor:
    """A tensor as convolutions of the CPU like it; vmap knows of no such order."""
    return x if in_transform() else x.contiguous(memory_format=torch.channels_last)


def why_without_values(x: Tensor) -> str | None:
    """Why no values can be had of a tensor now: it is traced, or has no memory. None where they can."""
    if torch._C._get_tracing_state() is not None:
        return "traced by torch.jit.trace"
    functional = torch._is_functional_tensor(x)
    if type(x) is not Tensor:
        if _is_instance(x, "torch._subclasses.fake_tensor", "FakeTensor"):
            return "a FakeTensor, as in torch.export"
        functional |= _is_instance(x, "torch._subclasses.functional_tensor", "FunctionalTensor")
    if functional:
        return "a functional tensor, as in torch.export and torch.func.functionalize"
    proxies = sys.modules.get("torch.fx.experimental.proxy_tensor")
    if proxies is not None and proxies.get_innermost_proxy_mode() is not None:
        return "traced by make_fx"
    if x.device.type == "meta":
        return "on the device meta"
    return None


def _is_instance(x: Tensor, module: str, name: str) -> bool:
    """isinstance without an import: where the module is not loaded there is no such object."""
    kind: Any = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(x, kind)


def has_readable_values(x: Tensor) -> bool:
    """Whether a decision in Python may depend on a tensor's values now."""
    if torch.compiler.is_compiling() or why_without_values(x) is not None:
        return False
    return not (in_transform() and _is_batched(x))


def _is_batched(x: Tensor) -> bool:
    """Whether vmap is at work on a tensor, at any level."""
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(x):
        if functorch.is_batchedtensor(x):
            return True
        x = functorch.get_unwrapped(x)
    return False
