"""GitHub Actions: annotations, which the log of a run turns into marks on it, and the Markdown of a step's summary.

A student's text is written where nothing in it is interpreted: in a command's escaped data, and in Markdown's code
spans, in which there are no links, no HTML, no mentions and no cells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from grader.inert import one_line
from grader.records import CriterionResult, Flag, Record, Verdict
from grader.report.results import NOT_GRADED, REFUSED, Standing, Summary
from grader.report.wording import accuracy_words, reasons, verdict_words

MOST_OF_A_LEVEL = 10  # annotations of one level that GitHub shows of a step
SUMMARY_BYTES = 1 << 20  # of a step's summary; a larger one is not shown at all
_MOST = 1_000  # characters of one piece of a student's text
_MOST_MESSAGE = 4_000  # of one annotation
_MORE = "\n… and more, for which there is no room: the record has all of it\n"
_SAFE_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._/-]{0,199}")
_PUNCTUATION = re.compile(r"([\\`*_{}\[\]<>#|~&@$])")


@dataclass(frozen=True)
class Annotation:
    """file: a notebook's name, "" where the fact belongs to none."""

    level: Literal["error", "warning"]
    title: str
    message: str
    file: str = ""


# ---- annotations ----------------------------------------------------------------------------------------------------


def annotations_of(standing: Standing) -> Iterator[Annotation]:
    """Those of one submission: each criterion that lost points, what is broken, the flags."""
    record = standing.record
    if record is None:
        yield from class_annotations([standing])
        return
    for criterion in record.criteria:
        broken = criterion.verdict is Verdict.BROKEN and criterion.by_hand is None
        if broken or criterion.points < criterion.max_points:
            message = "\n".join([verdict_words(criterion), *reasons(criterion, record.diagnoses)])
            title = f"{criterion.title}: {criterion.points:g} of {criterion.max_points:g}"
            yield Annotation("warning" if broken else "error", title, message)
    for flag in record.flags:
        yield Annotation("warning", f"flag: {flag.id}", flag.message, _file_of(flag, record))


def _file_of(flag: Flag, record: Record) -> str:
    role = flag.evidence.get("file")
    name = record.submission.files.get(role, "") if isinstance(role, str) else ""
    return name if _SAFE_FILE.fullmatch(name) and ".." not in name else ""


def class_annotations(everyone: Iterable[Standing]) -> Iterator[Annotation]:
    """Those of a class: who could not be graded, and where a person must look. A lost point is none."""
    for standing in everyone:
        reason = standing.outcome.reason if standing.outcome else ""
        if standing.status == NOT_GRADED:
            yield Annotation("error", f"{standing.student_id}: not graded", reason)
        elif standing.status == REFUSED:
            yield Annotation("warning", f"{standing.student_id}: refused", reason)
        elif standing.record is not None and standing.record.needs_person:
            message = "the grader is at fault somewhere: a person must look"
            yield Annotation("warning", f"{standing.student_id}: needs a person", message)


def commands(found: Iterable[Annotation]) -> str:
    """The lines for a log. Of each level as many as GitHub shows; the rest is counted in one notice."""
    found = list(found)
    lines, left = [], []
    for level in ("error", "warning"):
        of_level = [annotation for annotation in found if annotation.level == level]
        lines += [_command(annotation) for annotation in of_level[:MOST_OF_A_LEVEL]]
        if (more := len(of_level) - MOST_OF_A_LEVEL) > 0:
            left.append(f"{more} more {level}{'s' if more > 1 else ''}")
    if left:
        lines.append(f"::notice title=grading::{' and '.join(left)}: see the step's summary")
    return "".join(f"{line}\n" for line in lines)


def _command(annotation: Annotation) -> str:
    message = "\n".join(one_line(line, _MOST) for line in annotation.message.split("\n"))[:_MOST_MESSAGE]
    properties = {"file": annotation.file, "title": one_line(annotation.title, _MOST)}
    named = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
    return f"::{annotation.level} {named}::{_data(message)}"


def _data(text: str) -> str:
    """As GitHub's own toolkit escapes what stands behind the second pair of colons."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


# ---- the summary ----------------------------------------------------------------------------------------------------


def summary(standing: Standing, room: int = SUMMARY_BYTES) -> str:
    """One submission in Markdown. room: bytes that it may take."""
    record, student = standing.record, standing.student_id
    if record is None:
        reason = standing.outcome.reason if standing.outcome else ""
        return _fitting([f"## {standing.status}: {_code(student)}\n\n", f"{_code(reason)}\n"], room)
    return _fitting(_blocks(record), room)


def _blocks(record: Record) -> Iterator[str]:
    yield f"## {_code(record.submission.student_id)}: {record.score:g} of {record.max_score:g} points\n\n"
    accuracy = accuracy_words(record)
    facts = [*([accuracy] if accuracy else []), f"sandbox {record.sandbox}", f"{record.seconds:.1f} s"]
    yield f"{_plain(', '.join(facts))}\n\n"
    if record.needs_person:
        yield "**The grader is at fault somewhere: a person must look.**\n\n"
    yield "| criterion | points | |\n|---|--:|---|\n"
    for criterion in record.criteria:
        yield _row(_plain(criterion.title), f"{criterion.points:g} / {criterion.max_points:g}", _verdict(criterion))
    yield "\n"
    for criterion in record.criteria:
        if lines := list(reasons(criterion, record.diagnoses)):
            yield f"**{_plain(criterion.title)}**: {criterion.points:g} of {criterion.max_points:g}\n\n"
            yield from (f"- {_code(line)}\n" for line in lines)
            yield "\n"
    if record.flags:
        yield "**Flags**, facts without points\n\n"
        yield from (f"- {_code(flag.id)} {_code(flag.message)}\n" for flag in record.flags)


def _verdict(criterion: CriterionResult) -> str:
    return _code(verdict_words(criterion)) if criterion.by_hand is not None else _plain(verdict_words(criterion))


def class_summary(everyone: Sequence[Standing], figures: Summary, room: int = SUMMARY_BYTES) -> str:
    """A class in Markdown: its figures, and a row a student. room: bytes that it may take."""
    return _fitting(_class_blocks(everyone, figures), room)


def _class_blocks(everyone: Sequence[Standing], figures: Summary) -> Iterator[str]:
    counts = ", ".join(f"{count} {status}" for status, count in figures.counts.items())
    yield f"## {figures.submissions} submissions\n\n{_plain(counts)}\n\n"
    for title, values in (("score", figures.scores), ("accuracy", figures.accuracies)):
        if values:
            yield f"{title}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()) + "\n\n"
    yield "| student | | points | test accuracy | note |\n|---|---|--:|--:|---|\n"
    for standing in everyone:
        record = standing.record
        points = f"{record.score:g} / {record.max_score:g}" if record else ""
        accuracy = record.checkpoint.accuracy if record else None
        notes = [standing.outcome.reason if standing.outcome else "", *standing.notes]
        if record and record.needs_person:
            notes.append("a person must look")
        note = "; ".join(filter(None, notes))
        shown = f"{accuracy:.2%}" if accuracy is not None else ""
        yield _row(_code(standing.student_id), standing.status, points, shown, _code(note))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def _fitting(blocks: Iterable[str], room: int) -> str:
    """As many of the blocks as there is room for, and a word where there are more."""
    kept: list[str] = []
    left = room - len(_MORE.encode())
    for block in blocks:
        left -= len(block.encode())
        if left < 0:
            kept.append(_MORE)
            break
        kept.append(block)
    return "".join(kept) if kept != [_MORE] else ""


def _code(text: str) -> str:
    """A stranger's text as a code span. What would end the span, or a table's cell, is spelled with its like."""
    line = one_line(text, _MOST).replace("`", "ˋ").replace("|", "¦").strip()
    return f"`{line}`" if line else ""


def _plain(text: str) -> str:
    """Words of the assignment or of ours as they stand: no sign in them is Markdown's."""
    return _PUNCTUATION.sub(r"\\\1", one_line(text, _MOST))
