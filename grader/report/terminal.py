"""The record for a person at a terminal: rich where there is one, plain text where the output is piped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from grader.inert import one_line
from grader.language import ENGLISH, Catalogue
from grader.records import CriterionResult, Diagnosis, Record, Verdict
from grader.report.wording import accuracy_words, by_message, gpu_words, not_passed, verdict_words

STYLES = {
    Verdict.PASSED: "green",
    Verdict.PARTIAL: "yellow",
    Verdict.SKIPPED: "dim",
    Verdict.BROKEN: "bold magenta",
}
LOST = "red"


def show(record: Record, console: Console, known: Catalogue = ENGLISH) -> None:
    """Print the marks, then every lost point with its reason, then what is worth a look.

    The record comes in the language of `known`, in which the report's own words are looked up.
    """
    console.print()
    name = f"{record.submission.student_id}  ({record.submission.archive})"
    console.print(
        Text(one_line(name), style="bold"), no_wrap=True, overflow="ellipsis"
    )  # else its end could forge a line
    console.print(_marks(record, known))
    for criterion in record.criteria:
        reasons = list(_reasons(criterion, record.diagnoses, known))
        if reasons:
            console.print(Padding(Group(*reasons), (0, 0, 1, 0)))
    for flag in record.flags:
        console.print(_hanging(Text(f"{known.say('flag')}  ", style="yellow"), flag.message, 6))
    if gpu := gpu_words(record, known):
        console.print(Text(gpu))
    console.print(Text(_last_line(record, known), style="bold"))


def _marks(record: Record, known: Catalogue) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    for criterion in record.criteria:
        style = STYLES.get(criterion.verdict, LOST)
        points = f"{criterion.points:g} / {criterion.max_points:g}"
        table.add_row(Text(criterion.title), points, Text(verdict_words(criterion, known), style=style))
    return table


def _hanging(label: Text, message: str, width: int) -> Table:
    """A label with a message beside it, whose further lines stay in their own column."""
    grid = Table.grid()
    grid.add_column(min_width=width, no_wrap=True)
    grid.add_column(overflow="fold")  # rich takes the space behind wide letters for too much, and cuts with an ellipsis
    grid.add_row(label, Text(one_line(message)))  # a str would be read as markup
    return grid


def _reasons(
    criterion: CriterionResult, diagnoses: Sequence[Diagnosis], known: Catalogue
) -> Iterator[Text | Padding | Table]:
    lost = not_passed(criterion)
    if lost:
        points, most = f"{criterion.points:g}", f"{criterion.max_points:g}"
        yield Text(known.say("{title}: {points} of {most}", title=criterion.title, points=points, most=most), "bold")
    for diagnosis in diagnoses:
        if diagnosis.criterion == criterion.id:
            yield Padding(Text(one_line(diagnosis.message), style="bold cyan"), (0, 0, 0, 2))
    for message, checks in by_message(lost).items():
        for check in checks:
            points = f"-{check.max_points - check.points:g}"
            yield _hanging(Text(f"  {points:>5}  ", style=STYLES.get(check.verdict, LOST)), check.title, 9)
        yield Padding(Text(f"{known.say(checks[0].verdict.value)}: {one_line(message)}"), (0, 0, 0, 9))


def _last_line(record: Record, known: Catalogue) -> str:
    parts = [f"{record.score:g} / {record.max_score:g}"]
    if accuracy := accuracy_words(record, known):
        parts.append(accuracy)
    if record.needs_person:
        parts.append(known.say("the grader is at fault somewhere: a person must look"))
    parts.append(known.say("sandbox {tier}, {seconds} s", tier=record.sandbox, seconds=f"{record.seconds:.1f}"))
    return "   ".join(parts)
