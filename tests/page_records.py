"""Records made by hand for the tests of the pages: a full one, a partial one, one whose every text is hostile."""

from __future__ import annotations

import random

from msgspec.structs import replace

from grader.records import (
    Answers,
    CheckpointResult,
    CheckResult,
    CriterionResult,
    Curve,
    Diagnosis,
    Excerpt,
    Exhibits,
    Figure,
    Flag,
    FoundExperiment,
    HandMark,
    Mark,
    Matrix,
    Mistake,
    Record,
    SubmissionInfo,
    Verdict,
)

CLASSES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
SOURCE = """class MultiHeadAttention(nn.Module):
    def scaled_dot_product(self, Q, K, V, mask=None):
        scores = Q @ K.transpose(-2, -1) / math.sqrt(self.dim)
        if mask is not None:
            scores = scores.masked_fill(mask == 0, -1e9)
        return scores.softmax(-1)[:, :, ::2] @ V"""
FAULT_OF_OURS = "the grader is at fault: FileNotFoundError: /srv/grader/reference/checks/test_mlp.py"


def check(
    name: str, verdict: Verdict, earned: float, most: float, message: str = "", **evidence: object
) -> CheckResult:
    return CheckResult(
        id=name,
        title=f"What {name} says in one sentence, with sin(x) and V in it",
        verdict=verdict,
        blame=verdict.blame,
        message=message,
        evidence=evidence,
        points=earned,
        max_points=most,
        seconds=0.25,
    )


def criterion(name: str, title: str, verdict: Verdict, checks: list[CheckResult], **more: object) -> CriterionResult:
    return CriterionResult(
        id=name,
        title=title,
        points=sum(one.points for one in checks),
        max_points=sum(one.max_points for one in checks),
        verdict=verdict,
        blame=verdict.blame,
        checks=tuple(checks),
        **more,  # type: ignore[arg-type]
    )


def figure(name: str, about: str, text: str = "Matrices beside each other") -> Figure:
    noise = random.Random(name)
    panels = tuple(
        Matrix(title=title, rows=8, cols=6, low=-1.0, high=1.0, levels=noise.randbytes(48))
        for title in ("Yours", "As it should be", "Difference")
    )
    return Figure(id=name, criterion=about, title=text, caption=text, matrices=panels, row="key", col=text, signed=True)


def answers() -> Answers:
    # from 10% to 100% right, so that every shade of the confusion matrix is there
    counts = tuple(tuple(90 * (row + 1) if row == col else 90 - 10 * row for col in range(10)) for row in range(10))
    pixels = bytes(range(256)) * 3 + bytes(16)
    mistakes = [
        Mistake(pixels=pixels, rows=28, cols=28, predicted=n, confidence=0.99 - n / 100, label=9) for n in range(6)
    ]
    return Answers(counts=counts, mistakes=tuple(mistakes))


def exhibits(text: str = "") -> Exhibits:
    """All that there can be; `text` stands wherever a student's may."""
    curve = Curve(file="part2", run=text or "base", what="loss", cell=3, steps=(1.0, 2.0, 3.0), values=(2.3, 0.9, 0.41))
    experiment = FoundExperiment(
        settings={"patch_size": 4, text or "depth": text or 6},
        accuracy=91.2,
        analysis=text or "Deeper is better.",
        source=text or "row 1 of the table in cell 42",
    )
    return Exhibits(
        title="Assignment 2",
        excerpts=(Excerpt(file="part1", cell=19, line=4, source=text + SOURCE),),
        marks=(
            Mark(criterion="attention", excerpt=0, lines=(6,), exact=True),
            Mark(criterion="masking", excerpt=0, lines=(7, 8)),
        ),
        figures=(figure("attention-map", "attention"), figure("masking-causal", "masking", text or "Under a mask")),
        answers=answers(),
        class_names=CLASSES,
        curves=(curve, replace(curve, what="test accuracy", values=(60.0, 81.0, 88.5))),
        experiments=(experiment, replace(experiment, accuracy=None, analysis="")),
        left_out=(f"“A figure” could not be drawn: {text}",) if text else (),
    )


def full() -> Record:
    criteria = (
        criterion("attention", "Multi-head attention", Verdict.PASSED, [check("a.one", Verdict.PASSED, 15, 15)]),
        criterion("masking", "Masking", Verdict.PASSED, [check("m.one", Verdict.PASSED, 8, 8)]),
        criterion(
            "experiments", "Experiments", Verdict.PASSED, [check("e.one", Verdict.PASSED, 10, 10)], proposed=True
        ),
    )
    return Record(
        submission=SubmissionInfo(
            student_id="1102444016",
            archive="1102444016.tar.gz",
            sha256="0" * 64,
            files={"part1": "Assignment2-1_Transformer_from_scratch.ipynb", "part2": "Assignment2-2_Vit.ipynb"},
        ),
        assignment="transformer-vit",
        score=33.0,
        max_score=33.0,
        criteria=criteria,
        checkpoint=CheckpointResult(accuracy=0.9141, correct=9141, total=10_000, settings={"depth": 5}, seconds=4.0),
        sandbox="bwrap",
        grader_version="0.1",
        seconds=12.0,
        exhibits=exhibits(),
    )


def partial(text: str = "scaled_dot_product's output is wrong: 160 of 160 values differ") -> Record:
    """Something of each verdict. `text`: what the student's code has said."""
    lost = check(
        "attention.scaled", Verdict.FAILED, 0, 6, text, found=0.7, expected=0.25, at=[1, 2, 0], secret="rtol 1e-4"
    )
    criteria = (
        criterion("attention", "Multi-head attention", Verdict.PARTIAL, [lost, check("a.two", Verdict.PASSED, 9, 9)]),
        criterion("masking", "Masking", Verdict.RAISED, [check("m.one", Verdict.RAISED, 0, 8, text, cell=19, line=6)]),
        criterion("mlp", "Mlp", Verdict.BROKEN, [check("mlp.one", Verdict.BROKEN, 0, 0, FAULT_OF_OURS)]),
        criterion(
            "block",
            "Transformer block",
            Verdict.PARTIAL,
            [check("b.one", Verdict.FAILED, 3, 4, text)],
            by_hand=HandMark(points=3, comment=text, computed=1.5),
        ),
        criterion("vit", "Vision Transformer", Verdict.SKIPPED, [check("v.one", Verdict.SKIPPED, 6, 6, "later")]),
        criterion(
            "experiments", "Experiments", Verdict.PARTIAL, [check("e", Verdict.PARTIAL, 4, 10, text)], proposed=True
        ),
    )
    return replace(
        full(),
        score=22.0,
        max_score=43.0,
        criteria=criteria,
        flags=(Flag(id="saved_error", message=text, evidence={"cells": text}),),
        diagnoses=(Diagnosis(id="scale_by_dim", message="The scores are divided by √dim.", criterion="attention"),),
        needs_person=True,
    )


def hostile(text: str) -> Record:
    """The partial one, with `text` wherever a student can put one."""
    files = {"part1": text, "part2": text}
    info = SubmissionInfo(student_id=text, archive=text, sha256="", files=files, ignored=(text,))
    record = partial(text)
    named = tuple(replace(diagnosis, message=text) for diagnosis in record.diagnoses)
    checkpoint = replace(record.checkpoint, settings={text: text}, settings_source=text)
    return replace(record, submission=info, exhibits=exhibits(text), diagnoses=named, checkpoint=checkpoint)
