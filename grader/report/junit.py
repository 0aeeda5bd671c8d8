"""JUnit XML: one suite a student, one case a check. A fault of the grader is an error, one of the student's a failure.

The elements and their order are those that Ant's, Jenkins's and GitLab's readers agree on. Every text passes
`grader.inert.one_line`, which leaves none of the characters that XML forbids.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from grader.inert import one_line
from grader.records import Blame, CheckResult, CriterionResult, Record, Verdict
from grader.report.results import ABSENT, GRADED, NOT_GRADED, PENDING, REFUSED, Standing
from grader.report.wording import MOST, accuracy_words, verdict_words

FAILURE, ERROR, SKIPPED = "failure", "error", "skipped"
ENDINGS = {Blame.STUDENT: FAILURE, Blame.NEITHER: SKIPPED, Blame.GRADER: ERROR}
WITHOUT_RECORD = {REFUSED: FAILURE, NOT_GRADED: ERROR, PENDING: SKIPPED, ABSENT: SKIPPED}


@dataclass(frozen=True)
class _Case:
    """One test case. ending: failure, error, skipped, or "" where it passed; kind: the verdict."""

    name: str
    classname: str
    seconds: float = 0.0
    ending: str = ""
    kind: str = ""
    message: str = ""


def junit_xml(everyone: Sequence[Standing], written: datetime, host: str) -> bytes:
    """The file for these submissions. written: when, in UTC; host: the machine's name."""
    root = ET.Element("testsuites")
    suites = [_suite(standing, written, host) for standing in everyone]
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in suites)))
    root.set("time", f"{sum(float(suite.get('time', '0')) for suite in suites):.3f}")
    root.extend(suites)
    ET.indent(root)
    data: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return data + b"\n"


def _suite(standing: Standing, written: datetime, host: str) -> ET.Element:
    record = standing.record
    cases = list(_cases(record)) if record else [_without_record(standing)]
    endings = Counter(case.ending for case in cases)
    suite = ET.Element(
        "testsuite",
        name=one_line(standing.student_id, MOST),
        tests=str(len(cases)),
        failures=str(endings[FAILURE]),
        errors=str(endings[ERROR]),
        skipped=str(endings[SKIPPED]),
        time=f"{record.seconds if record else 0:.3f}",
        timestamp=written.strftime("%Y-%m-%dT%H:%M:%S"),
        hostname=one_line(host, MOST),
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(standing).items():
        ET.SubElement(properties, "property", name=name, value=one_line(value, MOST))
    for case in cases:
        suite.append(_element(case))
    if record and (said := "\n".join(_said(record))):
        ET.SubElement(suite, "system-out").text = said
    return suite


def _properties(standing: Standing) -> Mapping[str, str]:
    known = {"student_id": standing.student_id, "status": standing.status}
    if standing.counts is not None:
        known["submission"] = standing.counts.hand_in.name
    if (record := standing.record) is None:
        return known
    accuracy = record.checkpoint.accuracy
    return known | {
        "assignment": record.assignment,
        "score": f"{record.score:g}",
        "max_score": f"{record.max_score:g}",
        **({"accuracy": f"{accuracy:.4f}"} if accuracy is not None else {}),
        **{f"points.{c.id}": f"{c.points:g} / {c.max_points:g}" for c in record.criteria},
        "needs_person": "yes" if record.needs_person else "no",
        "sandbox": record.sandbox,
        "grader_version": record.grader_version,
    }


def _cases(record: Record) -> Iterator[_Case]:
    for criterion in record.criteria:
        classname = f"{record.assignment}.{criterion.id}"
        if criterion.by_hand is not None or not criterion.checks:
            yield _whole(criterion, classname)
            continue
        for check in criterion.checks:
            passed = check.verdict is Verdict.PASSED
            yield _Case(
                name=check.title,
                classname=classname,
                seconds=check.seconds,
                ending="" if passed else ENDINGS[check.blame],
                kind=check.verdict.value,
                message=": ".join(filter(None, (_lost(check), check.message))),
            )


def _lost(check: CheckResult) -> str:
    return f"-{check.max_points - check.points:g}" if check.points < check.max_points else ""


def _whole(criterion: CriterionResult, classname: str) -> _Case:
    """A criterion as one case: a person's mark stands in place of its checks."""
    full = criterion.points >= criterion.max_points
    ending = FAILURE if criterion.by_hand is not None else ENDINGS[criterion.blame]
    return _Case(
        name=criterion.title,
        classname=classname,
        ending="" if full else ending,
        kind="by hand" if criterion.by_hand is not None else criterion.verdict.value,
        message=f"{criterion.points:g} of {criterion.max_points:g}, {verdict_words(criterion)}",
    )


def _without_record(standing: Standing) -> _Case:
    reason = standing.outcome.reason if standing.outcome else standing.status
    return _Case(
        name=GRADED,
        classname="submission",
        ending=WITHOUT_RECORD[standing.status],
        kind=standing.status,
        message=reason,
    )


def _element(case: _Case) -> ET.Element:
    element = ET.Element(
        "testcase", name=one_line(case.name, MOST), classname=one_line(case.classname, MOST), time=f"{case.seconds:.3f}"
    )
    if case.ending:
        message = one_line(case.message, MOST)
        ending = ET.SubElement(element, case.ending, message=message, type=case.kind)
        ending.text = message  # some readers show the attribute, others the text
    return element


def _said(record: Record) -> Iterator[str]:
    if accuracy := accuracy_words(record):
        yield accuracy
    for diagnosis in record.diagnoses:
        yield f"{one_line(diagnosis.criterion, MOST)}: {one_line(diagnosis.message, MOST)}"
    for flag in record.flags:
        yield f"flag {one_line(flag.id, MOST)}: {one_line(flag.message, MOST)}"
