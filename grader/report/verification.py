"""What `grade.py verify` found, for a person at a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:  # torch comes with it
    from grader.verify import Finding

MUST = {
    "reference": "full marks",
    "template": "no point",
    "mutant": "loses points in its own criterion alone, and is named",
    "variant": "loses nothing",
    "pair": "two mistakes at once: loses points, and is told of none that is not there",
}


def show(findings: Sequence[Finding], console: Console) -> None:
    """Print what came out otherwise than it must, then a line a kind and the mutation score."""
    for finding in findings:
        if finding.wrong:
            console.print(Text(f"{finding.case.kind} {finding.case.id}", style="bold red"))
            for line in finding.wrong:
                console.print(Text(f"    {line}"))
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for kind, must in MUST.items():
        of_kind = [finding for finding in findings if finding.case.kind == kind]
        right = sum(not finding.wrong for finding in of_kind)
        style = "green" if right == len(of_kind) else "bold red"
        if of_kind:
            table.add_row(kind, Text(f"{right} of {len(of_kind)}", style=style), must)
    console.print(table)
    told = Counter(finding.said for finding in findings if finding.said)
    if told:
        console.print(Text("pairs: " + ", ".join(f"{count} {said}" for said, count in told.most_common())))
    mutants = [finding for finding in findings if finding.case.kind == "mutant"]
    if mutants:
        caught = sum(not finding.wrong for finding in mutants)
        console.print(Text(f"mutation score {caught / len(mutants):.1%}", style="bold"))
