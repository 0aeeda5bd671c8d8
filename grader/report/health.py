"""What `grade.py doctor` found, for a person at a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from grader.doctor import Facts

GOOD, POOR, BAD = "green", "yellow", "bold red"
Row = tuple[str, str, str]  # what, how it is, style


def show(facts: Facts, tier: str, ready: bool, advice: tuple[str, str], console: Console) -> None:
    """Print the facts, which tier `auto` takes, and what to do."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value, style in rows(facts):
        table.add_row(name, Text(value, style=style))
    console.print(table)
    sentence, command = advice
    console.print()
    if sentence:
        console.print(Text(sentence))
        console.print(Text(f"    {command}", style="bold cyan"), soft_wrap=True)
    verdict = f"ready: --sandbox auto takes {tier}" if ready else "submissions cannot be graded here"
    console.print(Text(verdict, style=GOOD if ready else BAD))


def rows(facts: Facts) -> Iterator[Row]:
    """One line a fact."""
    place = f", in a container ({facts.container})" if facts.container else ""
    user = "root" if facts.root else "an ordinary user"
    yield (
        "system",
        f"{facts.distribution or facts.system}, kernel {facts.release}, {facts.machine}{place}, as {user}",
        "",
    )
    yield "machine", f"{facts.cores} cores, {facts.memory_mb / 1024:.1f} GiB of memory", ""
    yield "Python", facts.python, ""
    for name, version in facts.packages.items():
        yield name, version or "missing", "" if version else BAD
    yield "bubblewrap", facts.bwrap or "missing", "" if facts.bwrap else POOR
    yield "user namespaces", facts.nested or "nest", POOR if facts.nested else ""
    for name, value in facts.settings.items():
        yield name, value, ""
    yield "Landlock", f"version {facts.landlock}" if facts.landlock else "none", "" if facts.landlock else POOR
    yield "system-call filters", "yes" if facts.filters else "none", "" if facts.filters else POOR
    groups = facts.cgroups or "none can be made here: limits on memory and threads are rlimits alone"
    yield "control groups", groups, "" if facts.cgroups else POOR
    for tier, reason in facts.tiers.items():
        yield f"tier {tier}", reason or "works", POOR if reason else GOOD
    if facts.gpu is not None:
        yield "GPU", facts.gpu or "works, for the held-out images", POOR if facts.gpu else GOOD
    yield "held-out data", facts.held_out or "whole", BAD if facts.held_out else GOOD
