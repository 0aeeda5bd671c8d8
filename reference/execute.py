"""Executes the solved notebooks, training included: python reference/execute.py [--part 1|2]

    masters ──solved──▶ build/reference/ ──nbclient──▶ reference/notebooks/solved/*.ipynb, outputs kept
                                                   └─▶ reference/data/vit.pth

Part 1 takes a few minutes, part 2 an hour or two on two cores. An interrupted training goes on from
build/reference/runs/*.ckpt at the next start; remove these files to train from the beginning. A notebook that fails
leaves the earlier results as they are. Needs the extra `reference`: pip install -e '.[reference]'.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from grader.template import read_master, solved

REFERENCE = Path(__file__).resolve().parent
ROOT = REFERENCE.parent
MASTERS = REFERENCE / "notebooks"
WORK = ROOT / "build" / "reference"
DEBIAN_DATA = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist
MAX_WEIGHTS = 5_000_000  # bytes; the repository ships them
DATA_FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


class Talking(NotebookClient):
    """Repeats on the terminal what the cells print, and says how long each one took."""

    began = 0.0

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        if msg["msg_type"] == "stream":
            print(msg["content"]["text"], end="", flush=True)
        return super().process_message(msg, cell, cell_index)


def execute(master: Path) -> None:
    """Execute one solved notebook in WORK and put it into notebooks/solved/."""
    notebook = solved(read_master(master), master.name)
    metadata = dict(notebook.metadata)
    client = Talking(
        notebook,
        timeout=None,
        kernel_name="python3",
        record_timing=False,  # times differ from run to run, the outputs should not
        coalesce_streams=True,
        resources={"metadata": {"path": str(WORK)}},
        # Before the first cell: on some machines torchvision cannot be imported without it.
        extra_arguments=["--IPKernelApp.exec_lines=import grader.torchvision_mend"],
    )
    count = len(notebook.cells)

    def started(cell: Any, cell_index: int) -> None:
        client.began = time.monotonic()
        if cell.cell_type == "code":
            print(f"── {master.name}: cell {cell_index + 1}/{count} ({cell.id})", flush=True)

    def finished(cell: Any, cell_index: int, execute_reply: Any) -> None:
        print(f"   {time.monotonic() - client.began:.1f} s", flush=True)

    client.on_cell_start = started
    client.on_cell_executed = finished
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    client.execute(env={**os.environ, "PYTHONPATH": path})

    notebook.metadata.clear()
    notebook.metadata.update(metadata)  # the kernel added its versions
    _replace(MASTERS / "solved" / master.name, (nbformat.writes(notebook).rstrip("\n") + "\n").encode())


def provide_data() -> None:
    """Unpack FashionMNIST from the distribution's package, if it is there; else torchvision downloads it."""
    raw = WORK / "data" / "FashionMNIST" / "raw"
    for name in DATA_FILES:
        packed, unpacked = DEBIAN_DATA / f"{name}-ubyte.gz", raw / f"{name}-ubyte"
        if packed.is_file() and not unpacked.is_file():
            _replace(unpacked, gzip.decompress(packed.read_bytes()))


def keep_weights() -> None:
    """Copy the trained weights to where the repository ships them. Exits with a message when they are too large."""
    weights = (WORK / "vit.pth").read_bytes()
    if len(weights) >= MAX_WEIGHTS:
        raise SystemExit(f"vit.pth has {len(weights):,} bytes; the repository ships less than {MAX_WEIGHTS:,}")
    _replace(REFERENCE / "data" / "vit.pth", weights)


def main() -> int:
    parser = argparse.ArgumentParser(description="Execute the solved notebooks, training included.")
    parser.add_argument("--part", choices=("1", "2"), help="execute this part alone")
    part = parser.parse_args().part
    WORK.mkdir(parents=True, exist_ok=True)
    if not (WORK / "imgs").exists():
        shutil.copytree(MASTERS / "imgs", WORK / "imgs")
    provide_data()
    for master in sorted(MASTERS.glob(f"Assignment2-{part or '*'}*.ipynb")):
        began = time.monotonic()
        try:
            execute(master)
        except CellExecutionError as error:
            print(f"{master.name} failed; earlier results stay as they are.\n{error}", file=sys.stderr)
            return 1
        print(f"── {master.name}: done in {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
    if part != "1":
        keep_weights()
    return 0


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
