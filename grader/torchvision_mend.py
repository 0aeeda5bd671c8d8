"""Make `import torchvision` work beside a CPU build of torch.

A torchvision wheel that was built for CUDA registers fake kernels at import for operators that its own native library
declares. Where that library cannot be loaded (the CUDA runtime is not there) the declarations are missing, and the
import ends with "operator torchvision::nms does not exist". Declaring the two schemas first lets everything that an
image-classification notebook uses work; box operators stay without a kernel. Importing this module does so, once.
On a machine whose pair of wheels matches it must do nothing: the native library would then declare the same twice.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

_library: Any = None


def needed() -> bool:
    """Whether torchvision is here and its native library cannot be loaded. torch must have been imported before:
    the library takes its symbols from it."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return False
    import ctypes

    for folder in spec.submodule_search_locations:
        for native in sorted(Path(folder).glob("_C*.so")) + sorted(Path(folder).glob("_C*.pyd")):
            try:
                ctypes.CDLL(str(native))
            except OSError:
                continue
            return False
    return True


def mend() -> None:
    """Declare the missing schemas, if they are missing and torchvision has not been imported yet."""
    global _library
    if _library is not None or "torchvision" in sys.modules:
        return
    import torch

    if not needed():
        return
    _library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in SCHEMAS:
        _library.define(schema)


mend()
