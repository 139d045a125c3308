"""Which device and number format the networks run in, and what makes a run repeatable."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from leanet.core.errors import InputError
from leanet.core.settings import Device, Precision


def select(device: Device, asked_by: str = "params.yaml: device") -> torch.device:
    """`device` (auto, cpu, cuda or mps) as a torch device; auto takes the fastest there is.

    asked_by: where it was named, for the error.

    Raises:
        InputError: the named device is not there.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        device = next(name for name in there if there[name])
    if not there[device]:
        names = ", ".join(name for name in there if there[name])
        raise InputError(f"{asked_by} is {device}, but this machine has only {names}")
    return torch.device(device)


def prepare(device: Device, asked_by: str = "params.yaml: device") -> torch.device:
    """`select`, and this process made ready to compute there: repeatable on the CPU, fast elsewhere.

    It sets determinism, cuDNN and the C library's memory for the whole process.
    """
    selected = select(device, asked_by)
    # Convolutions of one shape over and over: let cuDNN look for the fastest once.
    torch.backends.cudnn.benchmark = selected.type == "cuda"
    if selected.type == "cpu":
        _keep_memory()
    # On the CPU every result is to come out again bit by bit. That no result depends on memory before it is
    # written is torch's to know; filling it all beforehand, the default here, costs time at every step.
    # Not `use_deterministic_algorithms`, which does the same and loads torch's compiler, of a second and more.
    torch.set_deterministic_debug_mode("error" if selected.type == "cpu" else "default")
    torch.utils.deterministic.fill_uninitialized_memory = False
    return selected


@contextmanager
def one_core_a_thread(device: torch.device) -> Iterator[int | None]:
    """Threads begun inside compute on one core each on the CPU: no sum depends on how many cores share it.

    Yields how many threads to begin, as `leanet.core.parallel.in_order` takes it: all cores, or one to feed a GPU.
    """
    if device.type != "cpu":
        yield 1
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield None
    finally:
        torch.set_num_threads(before)


def _keep_memory() -> None:
    """Have the C library keep what is freed: it would give large blocks back, and get and clear them anew,
    many times a training step, at a quarter of the step's time (benchmarks/README.md)."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):  # glibc has it, musl has not
        trim_threshold, mmap_max = -1, -4  # malloc.h
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, -1)


def number_format(precision: Precision, device: torch.device) -> torch.dtype:
    """`precision` (auto, float32 or bf16) as the type that convolutions compute in.

    auto is bf16 where the hardware multiplies in it, since elsewhere it is emulated and slower.
    """
    if precision == "auto":
        if device.type == "cuda":
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
            native = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
        precision = "bf16" if native else "float32"
    return {"bf16": torch.bfloat16, "float32": torch.float32}[precision]


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Run what follows in `dtype` where that is safe; in float32, change nothing."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16)


def seed(*numbers: int) -> None:
    """Seed torch from several numbers (a setting's seed, a fold, …), each choice independent."""
    torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))
