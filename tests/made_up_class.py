"""A class as standings, made up without grading: for the tests of its page, and to look at it."""

from __future__ import annotations

import random
from collections.abc import Callable

from grader.gather import HandIn
from grader.ledger import Listed
from grader.marks import Mark, with_marks
from grader.records import (
    CheckpointResult,
    CheckResult,
    CriterionResult,
    Diagnosis,
    Exhibits,
    Flag,
    FoundExperiment,
    Record,
    SubmissionInfo,
    Verdict,
)
from grader.report.pages.class_rows import Column, Course
from grader.report.results import Standing, Summary, standings, summarise
from grader.work import Outcome

COURSE = Course(
    "Assignment 2: Transformer from scratch, Vision Transformer on FashionMNIST",
    (
        Column("positional_encoding", "Positional encoding", 10),
        Column("attention", "Multi-head attention", 15),
        Column("masking", "Masking", 8),
        Column("encoder", "Encoder layer", 8),
        Column("decoder", "Decoder layer", 9),
        Column("patch_embed", "Patch embedding", 6),
        Column("vit_attention", "Attention of the ViT", 6),
        Column("mlp", "Mlp", 3),
        Column("block", "Transformer block", 4),
        Column("vit", "Vision Transformer", 6),
        Column("checkpoint", "The trained weights load", 5),
        Column("accuracy", "Test accuracy", 10),
        Column("experiments", "Experiments and their analysis", 10),
    ),
    0.9,
)
MAXIMA = {column.id: column.points for column in COURSE.columns}
MISTAKES = {
    "attention": "the scores are divided by √dim, not by √word_dim",
    "masking": "the mask is added to the scores as 0 and 1, and so hides nothing",
    "decoder": "the cross-attention takes its query from the encoder",
    "block": "the norm comes after the residual, not before",
    "positional_encoding": "sine and cosine are exchanged",
}
ANALYSES = (
    "",
    "Smaller patches give the model more tokens, and it gains two points at four times the time.",
    "깊이를 6에서 12로 늘렸더니 학습 손실은 줄었지만 테스트 정확도는 오르지 않았다. 과적합으로 보인다. " * 2,
    "More heads changed nothing that I could tell from noise; each head has 8 dimensions by then, maybe too few.",
)


def a_class(size: int, seed: int = 7, text: Callable[[str], str] = lambda text: text) -> tuple[list[Standing], Summary]:
    """`size` students, and what their page needs. text: what becomes of each text that a student may have a say in."""
    chance = random.Random(seed)
    listed, names = [], {}
    for number in range(size):
        student = text(f"11024{44016 + number}")
        names[student] = text(chance.choice(("김민수", "이서연", "Park Jiho", "최은영", "Anna Müller", "정하늘")))
        if number % 40 == 11:
            continue  # handed in nothing
        for again in range(1 + (number % 30 == 5)):
            hand_in = HandIn(name=text(f"{student}-{again}.zip"), path="", student_id=student, modified=float(again))
            key = f"{number} {again}"
            outcome = _outcome(number, student, chance, text)
            listed.append(Listed(position=len(listed), hand_in=hand_in, key=key, outcome=outcome))
    everyone = standings(listed, names)
    unused = ["9999999999, mlp: the mark 2 (kim.csv) changes nothing: no submission of this student was graded"]
    return everyone, summarise(everyone, "transformer-vit", "0.9", [text("readme.txt")], unused)


def _outcome(number: int, student: str, chance: random.Random, text: Callable[[str], str]) -> Outcome:
    if number % 97 == 13:
        return Outcome(reason=text(f"{student}.zip: it is no archive"), blame="student")
    if number % 150 == 14:
        return Outcome(reason=text("the sandbox ended again and again meanwhile"), blame="grader")
    record = a_record(number, student, chance, text)
    if number % 25 == 3:
        mark = Mark(points=7.5, comment=text("two analyses are one sentence"), marker=text("Kim"), when="2026-06-12")
        record = with_marks(record, {(student, "experiments"): mark}, MAXIMA)
    return Outcome(record=record)


def a_record(number: int, student: str, chance: random.Random, text: Callable[[str], str]) -> Record:
    """One student's record. A good student loses little."""
    skill = chance.betavariate(4, 1.3)
    accuracy = min(max(chance.gauss(0.885 + 0.03 * skill, 0.012), 0.1), 0.94) if chance.random() < 0.95 else 0.31
    criteria, diagnoses, flags = [], [], []
    for column in COURSE.columns:
        got = 1.0 if chance.random() < 0.55 + 0.44 * skill else chance.choice((0.0, 0.25, 0.5, 0.75))
        if column.id == "accuracy":
            got = float(accuracy >= 0.9)
        verdict = Verdict.PASSED if got == 1 else Verdict.PARTIAL if got else Verdict.FAILED
        if number % 60 == 20 and column.id == "encoder":
            verdict, got = Verdict.BROKEN, 0.0
        most = 0.0 if verdict is Verdict.BROKEN else column.points
        message = "" if got == 1 else text(f"expected 0.4312, found 0.2891 at ({number % 7}, 3, 12)")
        if 0 < got < 1 and column.id in MISTAKES:
            diagnoses.append(Diagnosis(id=f"{column.id}_bug", message=MISTAKES[column.id], criterion=column.id))
        checks = tuple(
            CheckResult(
                id=f"{column.id}.{name}", title=title, verdict=verdict, blame=verdict.blame, message=message,
                points=most * got / 2, max_points=most / 2,
            )
            for name, title in (("output", "The output is that of the equations"), ("shape", "The shape is right"))
        )  # fmt: skip
        criteria.append(
            CriterionResult(
                id=column.id, title=column.title, points=most * got, max_points=most, verdict=verdict,
                blame=verdict.blame, proposed=column.id == "experiments", checks=checks,
            )
        )  # fmt: skip
    for flag, message in (
        ("outputs_cleared", "Vit.ipynb, cell 31: the training has no saved output: cleared, or never run"),
        (
            "accuracy_claimed",
            f"Vit.ipynb, cell 31: the printed test accuracy is 93.10%, the weights reach {accuracy:.2%}",
        ),
        (
            "code_outside_zones",
            "code of the graded classes stands outside the zones, which may be fine: cell 7, cell 12",
        ),
    ):
        if chance.random() < 0.12:
            flags.append(Flag(id=flag, message=text(message)))
    experiments = tuple(
        FoundExperiment(
            settings={"patch_size": 4, "embed_dim": 64 * (1 + run), "depth": 4 + run, "num_heads": 4, "mlp_ratio": 2.0},
            accuracy=round(100 * accuracy - run, 2) if run < 4 else None,
            analysis=text(chance.choice(ANALYSES)),
            source=text(f"row {run + 1} of the table in cell 33"),
        )
        for run in range(chance.randint(2, 8))
    )
    return Record(
        submission=SubmissionInfo(student_id=student, archive=text(f"{student}.tar.gz"), sha256="0" * 64),
        assignment="transformer-vit",
        score=sum(c.points for c in criteria),
        max_score=sum(c.max_points for c in criteria),
        criteria=tuple(criteria),
        checkpoint=CheckpointResult(accuracy=accuracy, correct=round(10_000 * accuracy), total=10_000),
        flags=tuple(flags),
        diagnoses=tuple(diagnoses),
        needs_person=any(c.verdict is Verdict.BROKEN for c in criteria),
        exhibits=Exhibits(title=COURSE.title, experiments=experiments),
    )
