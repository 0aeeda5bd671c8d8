"""Runs attacks against graders that are weak in one place: weak_workers.py and weak_graders.py.

An attack that can do nothing against these proves nothing against the real one. Each runs in a process of its own,
since some attacks rewrite, hang or end the process that judges them:
    python -m attacks.weakened RECORDS WEAKENING ATTACK ASSIGNMENT FIELD
"""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attacks import weak_graders, weak_workers
from attacks.attack import Attack
from attacks.catalogue import ATTACKS
from attacks.field import Field, canary, left, plant_key
from attacks.judging import LIMITS, aftermath, harm, honest, judged, profits
from attacks.reads import DEVICES
from grader.assignment import Assignment, load_assignment
from grader.errors import SandboxError
from grader.records import Record, from_json, to_json
from grader.sandbox.tiers import open_sandbox

PATIENCE = 60.0  # seconds; a judge that takes longer is one that was stopped
NO_WEAKENING = 70  # the exit code where it could not be made: nothing was attacked

WEAKENINGS: dict[str, Callable[[Assignment], Any]] = {
    name: weakening
    for module in (weak_workers, weak_graders)
    for name, weakening in inspect.getmembers(module, inspect.isfunction)
    if weakening.__module__ == module.__name__ and not name.startswith("_")
}


# ---- what a machine must have for an attack to succeed at all -------------------------------------------------------


def _types() -> bool:
    try:
        return Path("/proc/sys/dev/tty/legacy_tiocsti").read_text() == "1\n"
    except FileNotFoundError:  # a kernel from before one could say no
        return True


def _opens() -> bool:
    for name in DEVICES:
        with contextlib.suppress(OSError):
            os.close(os.open(f"/dev/{name}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY))
            return True
    return False


def _nests() -> bool:
    try:
        open_sandbox("bwrap", LIMITS).close()
    except SandboxError:
        return False
    return True


OFFERED: dict[str, Callable[[], bool]] = {
    "": lambda: True,
    "root": lambda: os.getuid() == 0,
    "a device that this user may open": _opens,
    "a network beyond the loopback": lambda: len(socket.if_nameindex()) > 1,
    "a kernel that lets terminals be typed into": _types,
    "a kernel that keeps keys": plant_key,
    "namespaces for each worker": _nests,
}

# ---- running one ----------------------------------------------------------------------------------------------------


def success(attack: Attack, assignment: Assignment, place: Field, without: Record, folder: Path) -> list[str]:
    """What the attack reaches against the weakened grader, in words; empty where even there it can do nothing."""
    ended, records, remaining = _run(attack.weakened, attack.name, assignment, place, folder)
    if ended:
        return [ended, *place.signs()]
    first, *later = records
    suffered = [word for record in later for word in harm(record, without)]
    return [*profits(attack, first, without), *suffered, *remaining, *place.signs()]


def control(weakening: str, assignment: Assignment, place: Field, folder: Path) -> list[Record]:
    """The records of the right and of the wrong submission without an attack, as the weakened grader judges them."""
    ended, records, _ = _run(weakening, "", assignment, place, folder)
    assert not ended, ended
    return records


def _run(
    weakening: str, name: str, assignment: Assignment, place: Field, folder: Path
) -> tuple[str, list[Record], list[str]]:
    """How the judging process ended, if it gave no records; else these, and what was left running after them."""
    written, tests = folder / "records.json", Path(__file__).resolve().parents[1]
    command = [sys.executable, "-m", "attacks.weakened", str(written), weakening, name, str(assignment.folder)]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(tests), str(tests.parent)]), GRADER_SECRET=canary())
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    told = json.dumps(place.told)
    with subprocess.Popen([*command, told], env=environment, start_new_session=True, **streams) as process:  # type: ignore[call-overload]
        try:
            errors = process.communicate(timeout=PATIENCE)[1].decode()
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return "the grader hung", [], []
    assert process.returncode != NO_WEAKENING, f"{weakening} cannot be made: {errors.strip()[-300:]}"
    if not written.exists() or process.returncode:
        return f"the grader itself ended ({process.returncode}): {errors.strip()[-300:]}", [], []
    records, remaining = json.loads(written.read_text())
    return "", [from_json(record.encode()) for record in records], remaining


def main(written: str, weakening: str, name: str, folder: str, told: str) -> None:
    assignment, place, archives = load_assignment(Path(folder)), json.loads(told), Path(written).parent
    plant_key()
    with contextlib.ExitStack() as stack:
        try:
            weak, sandbox = stack.enter_context(WEAKENINGS[weakening](assignment))
        except Exception:  # noqa: BLE001 - whatever it is, no attack has run
            traceback.print_exc()
            sys.exit(NO_WEAKENING)
        if not name:
            records = [honest("right", weak, sandbox, archives), honest("wrong", weak, sandbox, archives)]
        else:
            records = [judged(ATTACKS[name], weak, sandbox, archives, place)]
            if ATTACKS[name].then:
                records.append(aftermath(ATTACKS[name], weak, sandbox, archives, place))
        remaining = [f"process {pid} lived on" for pid in left(place["child"])]
    Path(written).write_text(json.dumps([[to_json(record).decode() for record in records], remaining]))


if __name__ == "__main__":
    main(*sys.argv[1:])
