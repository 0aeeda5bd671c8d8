"""The held-out images on an NVIDIA GPU: a sandbox of its own, into which the GPU's device files are let.

The CPU stays the judge. Some of the images are shown to the model on both: where a GPU says something else, or fails
in any way, the CPU's answers count and the record says why.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import torch

from grader.errors import Failed, SandboxError
from grader.wire import WorkerLimits
from grader.work import GPU_CHOICES

if TYPE_CHECKING:
    from grader.sandbox.process import WarmProcess

AUTO, ALWAYS, NEVER = GPU_CHOICES
# What the driver itself needs beside the GPU's own file. NVIDIA's container toolkit binds the same.
DRIVER_FILES = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")
GPU_FILE = re.compile(r"nvidia([0-9]+)")
# Seconds. On 16 cores and an H100 a model of 0.2 M parameters took 2.6 s on the CPU and 4.6 s on the GPU, most of it
# for another import of torch and for CUDA's own start.
WORTH = 10.0
# Sums in another order differ in the seventh digit. 1e-3 of the largest logit is ten thousand times that, and about
# ten of 10,000 images lie as close to a tie.
CLOSE = 1e-3


def device_files(folder: Path = Path("/dev"), visible: str | None = None) -> tuple[str, ...]:
    """The device files of one GPU: the first, or the first that CUDA_VISIBLE_DEVICES names by number; () for none.

    visible: the value of that variable; None where it is not set.
    """
    try:
        names = set(os.listdir(folder))
    except OSError:
        return ()
    gpus = sorted((int(found[1]), name) for name in names if (found := GPU_FILE.fullmatch(name)))
    if visible is not None:
        first = visible.split(",")[0].strip()
        gpus = [(number, name) for number, name in gpus if str(number) == first]
    if not gpus or not {"nvidiactl", "nvidia-uvm"} <= names:
        return ()
    return tuple(str(folder / name) for name in (*DRIVER_FILES, gpus[0][1]) if name in names)


class Gpu:
    """The GPU of one grading process, opened when it is first wanted.

    worth: seconds. What the CPU does in less stays there, since a GPU takes as long to begin.
    Raises SandboxError from `sandbox` where it cannot be had: the reason, which is not looked for twice.
    """

    def __init__(self, limits: WorkerLimits, hidden: Iterable[Path] = (), worth: float = WORTH) -> None:
        self.worth = worth
        self._limits = limits
        self._hidden = tuple(hidden)
        self._warm: WarmProcess | None = None
        self._reason = ""

    def sandbox(self) -> WarmProcess:
        """The sandbox whose workers compute on the GPU."""
        if self._reason:
            raise SandboxError(self._reason)
        if self._warm is None:
            from grader.sandbox.tiers import proven  # whoever has a GPU is on Linux; a self-check is anywhere

            try:
                self._warm = proven("bwrap", self._limits, self._hidden)
            except SandboxError as error:
                self._reason = str(error)
                raise
        return self._warm

    def close(self) -> None:
        """End its sandbox, if it is open; whoever wants it afterwards gets a new one."""
        if self._warm is not None:
            self._warm.close()
            self._warm = None


def find_gpu(choice: str, tier: str, limits: WorkerLimits, hidden: Iterable[Path] = ()) -> Gpu | None:
    """The GPU of this machine, if torch computes on one and bubblewrap isolates here; None otherwise.

    choice: one of GPU_CHOICES. tier: the one that the checks run in; Landlock does not bind what a driver may be asked.
    """
    if choice == NEVER or tier != "bwrap" or torch.version.cuda is None:
        return None
    devices = device_files(visible=os.environ.get("CUDA_VISIBLE_DEVICES"))
    if not devices:
        return None
    limits = msgspec.structs.replace(limits, devices=devices)
    return Gpu(limits, hidden, WORTH if choice == AUTO else 0.0)


Answer = tuple[torch.Tensor, torch.Tensor]  # logits (B, classes), and the places of these images


def held_against(
    first: Sequence[Answer], on_gpu: Iterable[Answer], on_cpu: Callable[[torch.Tensor], Iterable[Answer]]
) -> list[Answer]:
    """The GPU's answers. The CPU's take their place in batches where rounding might decide an image.

    first: the CPU's answers to the first batches. on_cpu: its answers to the images at these places, in batches of the
    same size. Raises Failed where the two differ by more than rounding, and what either side raises.
    """
    found = list(on_gpu)
    again = [number for number in range(len(first), len(found)) if unsure(found[number][0])]
    checked = list(enumerate(first))
    if again:
        places = torch.cat([found[number][1] for number in again])
        checked += zip(again, on_cpu(places), strict=True)
    for number, (logits, batch) in checked:
        if not agree(logits, found[number][0]):
            raise Failed("the model answers otherwise on the GPU than on the CPU")
        found[number] = logits, batch
    return found


def unsure(logits: torch.Tensor) -> bool:
    """Whether rounding might decide the answer to one of a batch: logits (B, classes), NaN included."""
    best = logits.double().topk(2, dim=1).values
    margin = best[:, 0] - best[:, 1]
    return not bool((margin > CLOSE * logits.double().abs().amax(dim=1)).all())


def agree(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two logits (B, classes) of the same images differ by no more than what `unsure` allows for."""
    one, other = one.double(), other.double()
    if not torch.equal(one.isnan(), other.isnan()):
        return False
    scale = one.abs().amax(dim=1, keepdim=True).nan_to_num()
    return bool(((one - other).abs().nan_to_num() <= CLOSE / 4 * scale).all())
