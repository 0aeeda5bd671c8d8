"""What a worker does to compute on an NVIDIA GPU.

The driver is started behind the namespaces and without capabilities, and before the limits and the system-call filter:
it opens sockets of its own (abstract ones, in a network namespace that holds this worker alone), starts two threads,
and reserves sixteen gigabytes of addresses. The filter is then put on all threads. All of it was read off a trace of
torch 2.11 with CUDA 13.0 on an H100.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import nn

# Names under /proc, besides the process's own. In a pid namespace of its own, whose numbers the /proc at hand does not
# know, the driver fails with “OS call failed or operation not supported on this OS”.
DRIVER_READS = ("driver", "devices", "meminfo", "cpuinfo", "stat", "version")
_opened: set[int] = set()


def start() -> None:
    """Start the driver and load what a small model needs. Raises OSError where there is no GPU to be had."""
    before = _descriptors()
    try:
        small = torch.ones(2, 4, 8, device="cuda")
        nn.functional.scaled_dot_product_attention(small, small, small).sum().item()
    except (RuntimeError, AssertionError) as error:
        raise OSError(f"the GPU cannot be used: {str(error).strip().splitlines()[0]}") from None
    # Sums as the CPU computes them: with TF32 they keep ten bits.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    _opened.update(_descriptors() - before)


def descriptors() -> set[int]:
    """The descriptors that the driver holds open."""
    return _opened


def _descriptors() -> set[int]:
    return {int(name) for name in os.listdir("/proc/self/fd")}


def writable_memory() -> int:
    """This process's memory that can be written to, in bytes, as RLIMIT_DATA counts it."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[5]) * os.sysconf("SC_PAGE_SIZE")


def moved(made: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Move an object to the GPU, where it stays, and its arguments."""
    if isinstance(made, nn.Module):
        made.to("cuda")
    return tuple(value.to("cuda") if isinstance(value, torch.Tensor) else value for value in args)
