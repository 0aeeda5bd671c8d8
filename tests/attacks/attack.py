"""An attack: some code that a submission runs beside a solution, and what that may cost."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import Any, Literal

from conftest import PART1, PART2, HandIn

Work = Literal["right", "wrong"]

# Where the encoder's own code begins to run; the attack comes first, and may answer in its place.
FORWARD = "# X: (batch, length, dim), mask: the source mask"
INIT = "self.self_attn = MultiHeadAttention(dim, head_num)\n        self.ffn = FFN(dim, FFN_dim)\n        self.norm1"
BODY = '"""Self-attention and a feed-forward network, each followed by dropout, residual and norm."""'
LAST = "output = self.norm2(X + self.dropout(self.ffn(X)))"

HOOKS = {
    "forward": (FORWARD, f"{FORWARD}\n        answer = attack(self, X, mask)\n        if answer is not None:\n"
                         "            return answer"),
    "init": (INIT, f"attack(self, None, None)\n        {INIT}"),
    "class": (BODY, f"{BODY}\n    attack(None, None, None)"),
}  # fmt: skip

IMPORTS = "import array, atexit, contextlib, ctypes, errno, gc, inspect, json, mmap, os, re, resource\n"
IMPORTS += "import signal, socket, stat, struct, sys, threading, time, types, builtins\n"

# How an attack that only looks tells what it found: its own class then raises, and the loot stands in the report.
TELL = """
def tell(found):
    if found:
        raise RuntimeError(f"LOOT: {str(found)[:300]}")
"""


@dataclass(frozen=True)
class Attack:
    """What one submission does beside, or in place of, its solution of EncoderLayer.

    code: the body of attack(self, X, mask), which may return an answer in place of the layer's own.
    at: when it runs: with each forward (`every`) or the first alone, with __init__, or while the class is defined.
    work: what the submission hands in beside it: the right encoder layer, or one whose answers are all zero.
    costs: points lost by criterion *beyond* those of the same submission without the attack: what it breaks itself.
    verdict: what the checks say that it costs; blame is the student's in every case.
    then: what the next submission runs, to look for what this one has left.
    weakened: the grader against which it succeeds, a key of WEAKENINGS in weakened.py.
    needs: what a machine must have for that, a key of OFFERED in weakened.py.
    granted: what docs/sandbox.md says that the second tier does not defend, where it is that.
    """

    name: str
    tries: str
    code: str
    at: Literal["forward", "init", "class"] = "forward"
    every: bool = False
    work: Work = "right"
    costs: dict[str, float] = field(default_factory=dict)
    verdict: str = ""
    then: str = ""
    limits: dict[str, Any] = field(default_factory=dict)
    weakened: str = ""
    needs: str = ""
    granted: str = ""


def submission(work: Work, code: str = "", at: str = "forward", every: bool = False, place: object = None) -> HandIn:
    """The solved notebook of part 1 with this work and this code in it. place: what the code finds as `FIELD`."""
    hand_in = HandIn().without_figures()
    del hand_in.notebooks[PART2]
    hand_in.files.clear()  # nothing else is judged here
    if work == "wrong":
        hand_in.edit(LAST, f"output = 0 * {LAST.removeprefix('output = ')}")
    if code:
        hand_in.edit(*HOOKS[at])
        hand_in.cell(PART1, f"FIELD = {place!r}", at=0)
        hand_in.cell(PART1, f"{IMPORTS}import torch\nfrom torch import nn\n{TELL}\n{_function(code, every)}", at=1)
    return hand_in


def _function(code: str, every: bool) -> str:
    once = "" if every else "    if _ran:\n        return None\n    _ran.append(True)\n"
    return f"_ran = []\ndef attack(self, X, mask):\n{once}{textwrap.indent(textwrap.dedent(code).strip(), '    ')}\n"
