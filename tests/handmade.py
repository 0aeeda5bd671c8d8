"""Records made by hand, and what students may write to make a report act."""

from __future__ import annotations

from grader.records import (
    Blame,
    CheckpointResult,
    CheckResult,
    CriterionResult,
    Diagnosis,
    Flag,
    HandMark,
    Record,
    SubmissionInfo,
    Verdict,
)
from grader.report.results import Standing, alone
from grader.work import Outcome

FORGED = "100 / 100   sandbox bwrap, 3.0 s"
HOSTILE = {
    "clears the screen": "\x1b[2J\x1b[H",
    "names the window": "\x1b]0;100 points\x07",
    "links elsewhere": "\x1b]8;;https://example.org\x1b\\here\x1b]8;;\x1b\\",
    "is a control character of eight bits": f"\x9b2J\x9d0;x\x9c\x85{FORGED}",
    "goes back on the line": f"\r{FORGED}\b\b\x7f",
    "begins a line": f"\n{FORGED}",
    "begins a line as no one expects": f"\v{FORGED}\f{FORGED}\u2028{FORGED}\u2029{FORGED}\x1c{FORGED}",
    "turns the direction": "\u202e001 / 001\u2066 \u2069\u200f\u061c",
    "is not seen": "1\u200b0\u20600\ufeff\U000e0031",
    "paints over the lines above": "Z" + "\u0363" * 60,
    "is markup": "[bold green]100[/] [link=https://example.org]x[/link] :smile:",
    "speaks to GitHub": "\n::error file=x,line=1::100\n  ::stop-commands::x",
    "speaks to an older GitHub": "x ##[add-mask]100",
    "speaks to Azure and TeamCity": "##vso[task.complete result=Succeeded;] ##teamcity[buildStatus text='100']",
    "closes the JSON": '", "score": 100}',
}
# What formats for other tools give a meaning to. A lone surrogate fits into no JSON, and never comes out of the wire.
FOREIGN = {
    "ends a CDATA section": "]]><failure/>",
    "is XML that grows": "<!DOCTYPE a [<!ENTITY b 'c'>]>&b;&#0;",
    "is HTML": "<script>alert(1)</script><img src=x onerror=y></td></table>",
    "is a table's cell": "a | b |\n|---|---|\n| x \\| y \\\\| z",
    "is Markdown": "# h\n* *a* [b](http://c) ![d](e) ~~f~~ @octocat #1 ```\n```` `` ` http://g.h <http://i.j>",
    "ends a code span": "` <b>x</b> `` | ` |",
    "is a formula": "=cmd()|' /C calc'!A0",
    "is an escaped command": "%0A::1%3A%0D%25,title=y:z",
    "ends a property": "a::1,file=x::2",
    "is TeX, or a filter's": "$$\\input{/etc/passwd}$$ \\(x\\) [[y]] {z}",
    "is null": "a\0b",
    "is half a character": "\ud800 x \udfff",
    "is no character": "\ufffe\uffff",
    "is empty": "",
    "is white": " \t ",
    "ends in a backslash": "C:\\",
    "is a quote": '"\'","',
    "is long": "x|`<" * 25_000,
}
EVERYTHING = HOSTILE | FOREIGN


def record(text: str) -> Record:
    """One in which everything that comes from a student, or from a marks file, is `text`."""
    check = CheckResult(
        id="k.c", title="A check", verdict=Verdict.RAISED, blame=Blame.STUDENT, message=text, evidence={text: text}
    )
    criterion = CriterionResult(
        id="k",
        title="K",
        points=0,
        max_points=1,
        verdict=Verdict.RAISED,
        blame=Blame.STUDENT,
        by_hand=HandMark(points=0, comment=text, computed=0),
        checks=(check,),
    )
    return Record(
        submission=SubmissionInfo(student_id=text, archive=text, sha256="", files={"w": text}, ignored=(text,)),
        assignment="a",
        score=0,
        max_score=1,
        criteria=(criterion,),
        checkpoint=CheckpointResult(settings={text: text}, settings_source=text),
        flags=(Flag(id="f", message=text, evidence={"line": text}),),
        diagnoses=(Diagnosis(id="d", message=text, criterion="k"),),
    )


def criterion(
    name: str, verdict: Verdict, points: float = 0, max_points: float = 4, message: str = ""
) -> CriterionResult:
    """One with one check."""
    check = CheckResult(
        id=f"{name}.c",
        title=f"{name} does what it must",
        verdict=verdict,
        blame=verdict.blame,
        message=message,
        points=points,
        max_points=max_points,
    )
    return CriterionResult(
        id=name,
        title=name.capitalize(),
        points=points,
        max_points=max_points,
        verdict=verdict,
        blame=verdict.blame,
        checks=(check,),
    )


def made_of(*criteria: CriterionResult, student: str = "1102444016", flags: tuple[Flag, ...] = ()) -> Record:
    """A record with these criteria."""
    return Record(
        submission=SubmissionInfo(
            student_id=student, archive=f"{student}.zip", sha256="", files={"part1": "one.ipynb"}
        ),
        assignment="a",
        score=sum(one.points for one in criteria),
        max_score=sum(one.max_points for one in criteria),
        criteria=criteria,
        checkpoint=CheckpointResult(accuracy=0.9141, correct=9141, total=10_000),
        flags=flags,
        needs_person=any(one.blame is Blame.GRADER for one in criteria),
        sandbox="bwrap",
        seconds=1.5,
    )


def standing(one: Record) -> Standing:
    return alone(one.submission.archive, Outcome(record=one))


PASSED = criterion("mlp", Verdict.PASSED, 4)
FAILED = criterion("block", Verdict.FAILED, 0, 4, "the output is wrong")
SKIPPED = criterion("vit", Verdict.SKIPPED, 0, 4, "nothing to look at")
BROKEN = criterion("encoder", Verdict.BROKEN, 0, 0, "ZeroDivisionError; 4 points wait for a person")
