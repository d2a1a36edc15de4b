"""Times in turn, peaks of memory, differences, and the ceilings of this very device."""

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from benchmarks.engine_counts import GIB, Counter

Call = Callable[[], object]
_CALIBRATIONS = 5  # the median of so many counts; each is ten kernels long
_KERNELS = 10


class RowFailed(Exception):
    """A row has nothing to show; the message says why."""


def reason(error: BaseException) -> str:
    """Why something failed, on one line."""
    if isinstance(error, torch.OutOfMemoryError):
        return "out of memory"
    lines = str(error).strip().splitlines() or [""]
    said = f"{type(error).__name__}: {lines[0]}"
    return (lines[0] if isinstance(error, RowFailed) else said)[:160]


def release(device: torch.device) -> None:
    """Give back what nobody holds any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def wait(device: torch.device) -> None:
    """Until everything handed to the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(call: Call, device: torch.device) -> float:
    """Wall time of a call, from an idle device to an idle device."""
    wait(device)
    began = time.perf_counter()
    call()
    wait(device)
    return time.perf_counter() - began


@dataclass(frozen=True)
class Race:
    """Median seconds by name, and why others have none."""

    seconds: dict[str, float]
    failed: dict[str, str]

    @property
    def ours(self) -> float:
        """Raises: RowFailed."""
        if "ours" not in self.seconds:
            raise RowFailed(self.failed["ours"])
        return self.seconds["ours"]

    @property
    def theirs(self) -> dict[str, float]:
        """All but ours."""
        return {name: value for name, value in self.seconds.items() if name != "ours"}

    @property
    def note(self) -> str:
        """Why baselines are missing."""
        return "; ".join(f"{name}: {why}" for name, why in self.failed.items())


def race(
    calls: Mapping[str, Call],
    device: torch.device,
    rounds: int,
    fewer: Mapping[str, int] | None = None,
    warm: Mapping[str, Call] | None = None,
) -> Race:
    """Time calls in turn, each round beginning with another, after one call of each to warm up.

    fewer: rounds of those that take long.  warm: what warms them up instead. A call that fails is left out, with its reason.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    failed: dict[str, str] = {}

    def attempt(name: str, work: Call) -> None:
        try:
            work()
        except Exception as error:  # whatever it is, the others go on
            failed[name] = reason(error)
        if name in failed:
            release(device)  # outside of the handler: the error's frames hold tensors

    def lap(name: str) -> None:
        times[name].append(seconds(calls[name], device))

    for name, call in calls.items():
        attempt(name, partial(wait_after, (warm or {}).get(name, call), device))
    names = list(calls)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            if name not in failed and turn < (fewer or {}).get(name, rounds):
                attempt(name, partial(lap, name))
    medians = {name: statistics.median(found) for name, found in times.items() if found and name not in failed}
    return Race(medians, failed)


def wait_after(call: Call, device: torch.device) -> None:
    """Call, and let the device finish."""
    call()
    wait(device)


def peak_gib(call: Call, device: torch.device) -> float:
    """Most memory alive at once during a call, beyond what was there before; counted by kernels on a CPU."""
    if device.type != "cuda":
        counter = Counter([])
        with counter:
            call()
        return counter.counts.peak / GIB
    release(device)
    wait(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    wait_after(call, device)
    return (torch.cuda.max_memory_allocated(device) - before) / GIB


def relative(found: Tensor, expected: Tensor) -> float:
    """Norm of the difference as a share of the norm, in float64 on the CPU."""
    found, expected = found.detach().cpu().double(), expected.detach().cpu().double()
    return float((found - expected).norm() / expected.norm())


@contextmanager
def exact() -> Iterator[None]:
    """Float32 without TensorFloat-32, which convolutions take by default."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


@dataclass(frozen=True)
class Ceilings:
    """What this device reaches: FLOP/s of a large bfloat16 product, bytes/s of a large copy, read and written."""

    flops: float
    bandwidth: float

    def __str__(self) -> str:
        return f"{self.flops / 1e12:.0f} TFLOP/s (bf16 product), {self.bandwidth / 1e12:.2f} TB/s (copy, read + written)"


def ceilings(device: torch.device, side: int, copied: int) -> Ceilings:
    """Measure them with a product of square matrices and a copy of so many bytes. Random numbers: zeros run faster."""
    product, copy = _product_s(device, side), _copy_s(device, copied)
    release(device)
    return Ceilings(2 * side**3 / product, 2 * copied / copy)


def _product_s(device: torch.device, side: int) -> float:
    left, right = (torch.randn(side, side, device=device).to(torch.bfloat16) for _ in range(2))
    return _kernel_seconds(lambda: torch.mm(left, right), device)


def _copy_s(device: torch.device, copied: int) -> float:
    source = torch.empty(copied, dtype=torch.uint8, device=device).random_()
    target = torch.empty_like(source)
    return _kernel_seconds(lambda: target.copy_(source), device)


def _kernel_seconds(kernel: Call, device: torch.device) -> float:
    def many() -> None:
        for _ in range(_KERNELS):
            kernel()

    wait_after(many, device)
    found: list[float] = []
    for _ in range(_CALIBRATIONS):
        if device.type == "cuda":
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            many()
            end.record()
            end.synchronize()
            found.append(float(start.elapsed_time(end)) / 1e3)
        else:
            found.append(seconds(many, device))
    return statistics.median(found) / _KERNELS
