"""Messages for students: each is translated, holes and all, and no student's text can do anything to it."""

from __future__ import annotations

import html
import io
import json
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Literal

import messages
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import Message
from msgspec.structs import replace
from rich.console import Console
from test_inert_reports import HOSTILE, check_inert
from test_inert_reports import record as hostile_record

from grader.assignment import load_assignment
from grader.autograder.pack import pack
from grader.entries import KINDS, Entry, read_entries
from grader.errors import AssignmentError
from grader.gather import HandIn
from grader.language import ENGLISH, JOINTS, WORDS, catalogue, localised
from grader.languages import DEFAULT, LANGUAGES
from grader.ledger import Listed, ground
from grader.particles import particle
from grader.records import (
    Answers,
    Blame,
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
    NoiseResult,
    Record,
    SubmissionInfo,
    Verdict,
    to_json,
)
from grader.report.gradescope import results_json
from grader.report.pages.student import student_page
from grader.report.results import Standing, summarise, write_class_pages, write_results
from grader.report.terminal import show
from grader.work import Outcome

REFERENCE = ROOT / "reference"
KOREAN = catalogue("ko", REFERENCE)
CODES = [code for code in LANGUAGES if code != DEFAULT]
ENGINE = ROOT / "grader/languages"
FILES = [folder / f"{code}.toml" for code in CODES for folder in (ENGINE, REFERENCE / "languages")]
HANGUL = re.compile("[가-힣]")
# Phrases that stand among the messages and are none.
NO_MESSAGES = {
    "grader/checking/refusals.py": {"can't start new thread", *(f"[Errno {n}] " for n in (1, 13, 24, 27, 28, 30))},
    "grader/checkpoint.py": {
        "held-out transform",  # a program's name
        "held-out images",  # a progress bar's: looked up by its name
    },
    "grader/commands/selfcheck.py": {  # help, and what mends this Python
        "Check your own hand-in before you hand it in: are the files there, do the notebooks parse, have the answers "
        "the right\nshapes, do the weights load, how many test images are right. Your code runs on this machine, as "
        "you, without a sandbox.\nExit codes: 0 nothing found, 1 something to mend, 2 usage, 3 the archive cannot be "
        "read, 130 interrupted.\n",
        "this Python lacks {}: python -m pip install {}",
        "\r{}: {} of {}",
    },
    "grader/selfcheck.py": {"no file fits", "no student id was recognised"},  # beginnings of notes that it leaves out
    "grader/exhibits.py": {"exhibits of {}"},  # a module's name
    "grader/integrity/readers.py": {  # for instructors
        "a process that read submissions ended; memory may be short: try --jobs 1",
    },
    "grader/report/pages/plots.py": {  # what `grader.curves` calls them
        *("training loss", "test loss", "validation loss", "training accuracy", "test accuracy", "validation accuracy"),
    },
    "grader/pytest_plugin.py": {  # for whoever calls pytest
        "the archive or folder to run the checks against",
        "the assignment's folder (default: the one that holds the checks)",
        "auto, bwrap, landlock or none: what isolates student code (default: auto)",
        "grading notebooks",
        "the sandbox is gone: {}",
    },
    "grader/statements.py": {"if True:"},
    "grader/worker/objects.py": {  # what torch says, and its names
        *("hidden buffer", "can't allocate memory", "not enough memory", "accelerator device", "dummy base class"),
        "synchronize empty_cache ipc_collect init set_device manual_seed manual_seed_all seed seed_all "
        "reset_peak_memory_stats reset_max_memory_allocated",
        "current_device memory_allocated max_memory_allocated memory_reserved max_memory_reserved",
    },
    "reference/checks/test_patch_embed.py": {"not linear"},  # compared, never said
}


def keys(path: Path) -> dict[tuple[str, bool], Entry]:
    """The entries by their keys, and by whether they are a report's own words."""
    return {(messages.key(messages.holes_blank(e.english)), e.section == WORDS): e for e in read_entries(path)}


def untold(found: Message) -> bool:
    return found.text in NO_MESSAGES.get(found.path.relative_to(ROOT).as_posix(), ())


@pytest.fixture(scope="module")
def of_the_engine() -> list[Message]:
    found = [*messages.in_engine(ROOT / "grader"), *messages.in_templates(ROOT / "grader")]
    return [message for message in found if not untold(message)]


@pytest.fixture(scope="module")
def of_the_assignment() -> list[Message]:
    found = [*messages.in_configuration(REFERENCE), *messages.in_checks(REFERENCE)]
    return [message for message in found if not untold(message)]


# ---- complete -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", CODES)
def test_every_message_of_the_engine_is_translated(code: str, of_the_engine: list[Message]) -> None:
    path = ENGINE / f"{code}.toml"
    assert len(of_the_engine) > 150
    check_known(of_the_engine, set(keys(path)), path)


@pytest.mark.parametrize("code", CODES)
def test_every_message_of_the_assignment_is_translated(code: str, of_the_assignment: list[Message]) -> None:
    path = REFERENCE / "languages" / f"{code}.toml"
    assert len(of_the_assignment) > 250
    check_known(of_the_assignment, {*keys(path), *keys(ENGINE / path.name)}, path)


def check_known(found: list[Message], known: set[tuple[str, bool]], path: Path) -> None:
    whole = {entry.english for entry in read_entries(path) if entry.section == WORDS}  # handed to `say` by a name
    missing = [
        f"{message.path.relative_to(ROOT)}, line {message.line}: “{message.text}” is not translated; "
        f"add an entry to {path.relative_to(ROOT)}, or name it among NO_MESSAGES in {Path(__file__).name}"
        for message in found
        if (message.key, False) not in known
        and not (message.said and (message.key, True) in known)
        and message.text not in whole
    ]
    assert not missing, "\n".join(missing)


def test_no_template_of_a_page_says_anything_past_the_catalogue() -> None:
    for path in messages.pages(ROOT / "grader"):
        assert messages.unsaid(path) == [], f"{path.relative_to(ROOT)}: say it with {{{{ say(…) }}}}"


@pytest.mark.parametrize("code", CODES)
def test_every_word_for_a_verdict_and_for_blame_is_translated(code: str) -> None:
    known = catalogue(code)
    for word in (*Verdict, *Blame):
        assert known.say(word.value) != word.value


def test_no_entry_is_left_over(of_the_engine: list[Message], of_the_assignment: list[Message]) -> None:
    said = {message.key for message in (*of_the_engine, *of_the_assignment)}
    said |= {*messages.strings(ROOT / "grader"), *messages.strings(REFERENCE)}
    over = [
        f"{path.relative_to(ROOT)}: nothing says “{entry.english}” any more; take the entry out"
        for path in FILES
        for (key, _), entry in keys(path).items()
        if not {key, entry.english} & said
        and re.search("[A-Za-z]", key)  # what only joins messages stands in no source
    ]
    assert not over, "\n".join(over)


SAMPLES = {
    "": ["x = f(a)", "블록", "Train"],
    "number": ["3", "0.25", "1e-05", "85.10%", "10,000", "nan"],
    "name": ["Mlp", "self_attn.0"],
    "names": ["a", "a, b_2"],
    "list": ["(2, 3)", "[0]", "[(2, 3), (4,)]"],
    "phrase": ["a link"],
    "part": ["1.ipynb, 2.ipynb"],
    "layer": ["self.norm1", "self.a.0 (cell 3, line 4: x = self.a[0](x, (1, 2)))"],
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_what_an_english_template_makes_becomes_what_the_other_one_makes(path: Path) -> None:
    """So no template hides another one's messages."""
    known = catalogue(path.stem, REFERENCE)
    for entry in read_entries(path):
        for turn in range(3):
            if entry.section in (WORDS, JOINTS):
                continue
            values = {
                piece.hole: SAMPLES[piece.spec][(turn + place) % len(SAMPLES[piece.spec])]
                for place, piece in enumerate(entry.pieces)
                if piece.hole
            }
            english = "".join(piece.literal + values.get(piece.hole, "") for piece in entry.pieces)
            translated = known.translate(english)
            assert translated != english
            for literal in re.split(r"\{[^}]*\}", entry.other):
                assert literal in translated, (english, translated)


# ---- what is told ---------------------------------------------------------------------------------------------------

TOLD = {
    "the output has shape (2, 3), expected (2, 4)": "출력의 모양(shape)이 (2, 3)입니다. (2, 4)여야 합니다",
    "the Mlp's output has shape (2, 3), expected (2, 6)": (
        "Mlp의 출력의 모양(shape)이 (2, 3)입니다. (2, 6)이어야 합니다"
    ),
    "the output of Mlp(8, 20, None) has shape (2, 3, 8), expected (2, 3, 12)": (
        "Mlp(8, 20, None)의 출력의 모양(shape)이 (2, 3, 8)입니다. (2, 3, 12)여야 합니다"
    ),
    "1.zip: the file is empty, as after a broken upload; pack and hand it in again": (
        "1.zip: 업로드가 중단된 것처럼 파일이 비어 있습니다. 다시 압축하여 제출하십시오"
    ),
    "encoder.output: right but for the mistake that is named under “Masking”: Only the first head is masked: the mask "
    "holds for every head.": (
        "encoder.output: “마스킹”에서 지적한 실수를 빼면 맞습니다: 첫 번째 헤드에만 마스크가 적용되었습니다. "
        "마스크는 모든 헤드에 적용해야 합니다."
    ),
    "the notebook of part 2 (Vision Transformer) was not handed in": (
        "2부 노트북(Vision Transformer)이 제출되지 않았습니다"
    ),
    "MultiHeadAttention gave no answer within 10 seconds (as in the checks before: not tried again)": (
        "MultiHeadAttention이(가) 10초 안에 응답하지 않았습니다 (앞의 검사와 같은 결과이므로 다시 시도하지 않았습니다)"
    ),
    "NameError: name 'h' is not defined in cell 3, line 4: y = h; A, h could not be defined: ValueError: no; "
    "B could not be defined: KeyError: 2 in cell 1, line 2: d[2]": (
        "NameError: name 'h' is not defined — 셀 3의 4번째 줄: y = h; A, h을(를) 정의하지 못했습니다: ValueError: no; "
        "B를 정의하지 못했습니다: KeyError: 2 — 셀 1의 2번째 줄: d[2]"
    ),
    "At self.norm1 (cell 3, line 4: x = self.norm1(x)): There is no softmax: the scores of one query must become "
    "positive weights that add up to 1. That is not all: what goes into self.ffn departs once more.": (
        "self.norm1 (셀 3의 4번째 줄: x = self.norm1(x))에서: softmax가 없습니다. 한 쿼리의 점수는 합이 1인 "
        "양수 가중치로 바뀌어야 합니다. 이것이 전부는 아닙니다. self.ffn에 들어가는 값이 다시 한번 어긋납니다."
    ),
    "judged upon a stand-in for Attention and Mlp, because with your own: Attention defines no b": (
        "Attention과(와) Mlp을(를) 기준 구현으로 바꾸어 채점했습니다. 제출한 코드로는 다음과 같았습니다: Attention에 "
        "b이(가) 정의되어 있지 않습니다"
    ),
    "“pos” is (1, 50, 64) in the .pth and (1, 17, 64) in the model (settings depth=3 from ViT(…) in Train(), cell 23, "
    "lines 5 to 9)": (
        "“pos”의 모양이 .pth 파일에서는 (1, 50, 64), 모델에서는 (1, 17, 64)입니다 (설정 depth=3, 출처: 셀 23의 Train() "
        "안의 ViT(…), 5~9번째 줄)"
    ),
    "1.zip: none of the files asked for (the .pth with the trained weights) is in it: no file fits the .pth with the "
    "trained weights; not a regular file, so not read: a (a link), b (a link) and 2 more; check the files and their "
    "names": (
        "1.zip: 요구된 파일(학습된 가중치가 담긴 .pth 파일)이 하나도 없습니다: 학습된 가중치가 담긴 .pth 파일에 "
        "해당하는 파일이 없습니다; 일반 파일이 아니어서 읽지 않았습니다: a (링크), b (링크) 외 2개. 파일과 파일 이름을 "
        "확인하십시오"
    ),
}


@pytest.mark.parametrize("english", TOLD)
def test_messages_within_messages_are_translated_too(english: str) -> None:
    assert KOREAN.translate(english) == TOLD[english]


@pytest.mark.parametrize("code", CODES)
def test_what_submissions_were_really_told_is_translated_to_the_end(code: str) -> None:
    """told.txt: one of each kind of what mutants, odd archives and odd notebooks were told."""
    known = catalogue(code, REFERENCE)
    told = (Path(__file__).parent / "told.txt").read_text(encoding="utf-8").splitlines()
    assert len(told) > 90
    for message in told:
        left = re.search(r"(?:\b[a-z]{2,}\b[ ,]+){3}\b[a-z]{2,}\b", known.translate(message))
        assert left is None, f"“{left[0]}” is left of “{message}”"


@pytest.mark.parametrize(
    ("word", "followed"),
    [
        *(("가중치", "가중치는"), ("출력", "출력은"), ("(2, 3)", "(2, 3)은"), ("(2, 4)", "(2, 4)는"), ("10", "10은")),
        *(("85.10%", "85.10%는"), ("FFN", "FFN은"), ("ViT", "ViT은(는)"), ("“키”", "“키”는"), ("", "은(는)")),
    ],
)
def test_a_particle_follows_the_last_sound_of_a_word(word: str, followed: str) -> None:
    assert word + particle("은", word) == followed


def test_a_rieul_is_followed_as_a_vowel_is_by_one_particle() -> None:
    assert [particle("으로", word) for word in ("1", "3", "4", "출력", "모델")] == ["로", "으로", "로", "으로", "로"]


# ---- what students write --------------------------------------------------------------------------------------------


@given(text=st.text())
@settings(deadline=None)
def test_text_that_is_no_message_of_ours_stays_as_it_is(text: str) -> None:
    assert ENGLISH.translate(text) == text
    assert text in KOREAN.translate(f"the file is damaged: {text}") or KOREAN.translate(text) != text


@pytest.mark.parametrize("text", ["{", "}", "{0}", "{what}", "{name.__class__}", "%s", "{{}}", "\\g<what>", "\\1"])
def test_what_fills_a_hole_is_never_read_as_a_template(text: str) -> None:
    assert KOREAN.translate(f"the file is damaged: {text}") == f"파일이 손상되었습니다: {text}"


@pytest.mark.parametrize(
    "piece",
    ["; ", ": ", ", ", " in cell 1, line 1: ", " (", "self.", "1,", " has shape (1", " is wrong: 1 of 1 values differ"],
)
def test_a_hostile_text_takes_no_time(piece: str) -> None:
    """It is as long as a worker may send; each piece begins what a template goes on with."""
    text = f"RuntimeError: {piece * (2_000 // len(piece))}"
    started = time.process_time()
    KOREAN.translate(text + " in cell 1, line 1: x")
    KOREAN.translate(text * 12)
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize("what", HOSTILE)
def test_a_translated_report_is_as_inert(what: str) -> None:
    shown = io.StringIO()
    show(localised(hostile_record(HOSTILE[what]), KOREAN), Console(file=shown, width=60, highlight=False), KOREAN)
    check_inert(shown.getvalue())


# ---- a record -------------------------------------------------------------------------------------------------------


def record() -> Record:
    """One in which every text is a message of ours."""
    wrong = "the Mlp's output is wrong: 3 of 4 values differ, the first at index [0, 1], at most by 0.3"
    check = CheckResult(
        id="mlp.equations",
        title="fc2(activation(fc1(x))) with GELU unless told otherwise",
        verdict=Verdict.FAILED,
        blame=Blame.STUDENT,
        message=wrong,
        evidence={"at": "the output"},
        max_points=3,
    )
    criterion = CriterionResult(
        id="mlp",
        title="Experiments and their analysis",
        points=0,
        max_points=3,
        verdict=Verdict.FAILED,
        blame=Blame.STUDENT,
        proposed=True,
        checks=(check,),
    )
    return Record(
        submission=SubmissionInfo(student_id="1", archive="1.zip", sha256="", ignored=("x (a link)", "and 3 more")),
        assignment="transformer-vit",
        score=0,
        max_score=3,
        criteria=(criterion,),
        checkpoint=CheckpointResult(
            accuracy=0.914,
            correct=9140,
            total=10000,
            settings_source="ViT(…) in cell 3, line 5",
            noise=NoiseResult(total=1, exact=1, noisy=0, fault="Mlp gave no answer within 10 seconds"),
        ),
        flags=(Flag(id="weights", message="the whole model was saved instead of its state_dict()"),),
        diagnoses=(Diagnosis(id="mlp_relu", message="The blocks are never used.", criterion="mlp"),),
        needs_person=True,
        sandbox="bwrap",
        seconds=3.0,
    )


def test_every_text_of_a_record_is_localised_and_nothing_else() -> None:
    told = localised(record(), KOREAN)
    check = told.criteria[0].checks[0]
    texts = (told.criteria[0].title, check.title, check.message, told.flags[0].message, told.diagnoses[0].message)
    assert told.checkpoint.noise is not None
    for text in (*texts, *told.submission.ignored, told.checkpoint.settings_source, told.checkpoint.noise.fault):
        assert HANGUL.search(text), text
    assert check.evidence == {"at": "the output"}
    assert (told.criteria[0].id, told.criteria[0].verdict, told.score) == ("mlp", "failed", 0)
    assert localised(record(), ENGLISH) == record()
    assert not HANGUL.search(to_json(record()).decode())


def test_a_korean_report_has_no_english_sentence_left() -> None:
    shown = io.StringIO()
    show(localised(record(), KOREAN), Console(file=shown, width=200, highlight=False), KOREAN)
    words = set(re.findall(r"[A-Za-z_]{3,}", shown.getvalue()))
    assert words == {"activation", "GELU", "Mlp", "zip", "bwrap", "state_dict"}
    assert "오답 (잠정)" in shown.getvalue()
    assert "테스트 정확도 91.40% (10000장 중 9140장)" in shown.getvalue()


def test_wide_letters_are_wrapped_and_none_is_lost() -> None:
    told = localised(record(), KOREAN)
    flag = replace(told.flags[0], message=told.criteria[0].checks[0].message)
    for width in range(40, 90):
        shown = io.StringIO()
        show(replace(told, flags=(flag,)), Console(file=shown, width=width, highlight=False), KOREAN)
        assert "".join(shown.getvalue().split()).count("".join(flag.message.split())) == 2, width


def exhibited() -> Record:
    """The same with all that a page shows beside it."""
    exhibits = Exhibits(
        title="Assignment 2: Transformer from scratch, Vision Transformer on FashionMNIST",
        excerpts=(Excerpt(file="part1", cell=3, line=1, source="값 = 1"),),
        marks=(Mark(criterion="mlp", excerpt=0, lines=(1,), exact=True),),
        figures=(
            Figure(
                id="mlp-table",
                criterion="mlp",
                title="Your positional encoding beside the right one",
                caption="The future is hidden: everything above the diagonal must be empty. The darker a cell, the "
                "further changing this key moves this query's output.",
                matrices=(Matrix(title="Yours", rows=1, cols=1, low=-1, high=1, levels=b"1"),),
                row="query",
                col="key",
            ),
        ),
        answers=Answers(counts=((1, 1), (0, 1)), mistakes=(Mistake(b"1", 1, 1, 0, 0.9, 1),)),
        class_names=("가방", "셔츠"),
        curves=tuple(
            Curve(run=run, what="training accuracy", cell=2, steps=(1, 2), values=(3, 4), file="part1")
            for run in ("", "가")
        ),
        experiments=tuple(
            FoundExperiment(
                settings={"깊이": 2}, accuracy=accuracy, analysis="", source="row 2 of the table in cell 31"
            )
            for accuracy in (None, 91.0)
        ),
        left_out=(
            "“Which patch goes into which token”, “Who hears whom under both masks”: not drawn; "
            "the sandbox ended meanwhile",
        ),
    )
    by_hand = replace(record().criteria[0], id="k", by_hand=HandMark(points=1, comment="", computed=0), proposed=False)
    return replace(record(), exhibits=exhibits, criteria=(*record().criteria, by_hand))


@pytest.mark.parametrize("audience", ["student", "instructor"])
def test_a_korean_page_has_no_english_sentence_left(audience: Literal["student", "instructor"]) -> None:
    page = student_page(localised(exhibited(), KOREAN), audience, KOREAN).decode()
    assert '<html lang="ko">' in page
    told = re.findall(r'(?:alt|title|aria-label)="([^"]*)"', page)
    told.append(re.sub(r"<style>.*?</style>|<[^<>]*>", " ", page, flags=re.DOTALL))
    words = set(re.findall(r"[A-Za-z_]{3,}", html.unescape(" ".join(told))))
    ids = {"mlp", "equations", "weights", "state_dict", "output", "the"} if audience == "instructor" else set()
    assert words == {"FashionMNIST", "activation", "GELU", "Mlp", "zip", "bwrap", "part"} | ids


def test_a_classs_pages_for_students_are_in_their_language_and_all_else_is_english(tmp_path: Path) -> None:
    hand_in = HandIn(name="1.zip", path="1.zip")
    student = Standing("1", counts=Listed(position=0, hand_in=hand_in, key="k", outcome=Outcome(record=exhibited())))
    for language in (ENGLISH, KOREAN):
        write_results(tmp_path, [student], summarise([student], "a", "1", []), ["mlp"], language)
        write_class_pages(tmp_path, [student], b"")
    written = {path.relative_to(tmp_path).as_posix(): path.read_text("utf-8") for path in tmp_path.rglob("*.*")}
    assert [name for name, text in written.items() if "고쳐야 할 부분" in text] == ["pages/1.html"]


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(record=localised(record(), KOREAN)),
        Outcome(reason="1.zip: it is encrypted; pack it again without a password", blame="student"),
        Outcome(reason="no space is left", blame="grader"),
    ],
    ids=["graded", "refused", "not graded"],
)
def test_what_students_read_at_gradescope_is_korean(outcome: Outcome) -> None:
    found = json.loads(results_json(outcome, KOREAN))
    seen = [test for test in found["tests"] if test["visibility"] == "visible"]
    for line in "\n".join([found["output"], *(f"{test['name']}\n{test['output']}" for test in seen)]).split("\n"):
        assert HANGUL.search(line), line


def test_the_zip_for_gradescope_says_its_language() -> None:
    with zipfile.ZipFile(io.BytesIO(pack(ROOT, REFERENCE, language="ko"))) as packed:
        assert packed.read("language") == b"ko\n"
        assert HANGUL.search(json.loads(packed.read("unfinished.json"))["output"])
        assert packed.read("grader/languages/ko.toml") == FILES[0].read_bytes()
        assert b'--lang "$(cat language)"' in packed.read("run_autograder")


def test_an_english_page_is_in_english() -> None:
    page = student_page(exhibited(), "student").decode()
    assert '<html lang="en">' in page
    assert "You have 0 of 3 points; the largest loss is 3 in “Experiments and their analysis”" in page


# ---- catalogues that cannot be used ---------------------------------------------------------------------------------

PAIR = '[[a]]\nen = "{}"\nko = "{}"\n'
BROKEN = {
    PAIR.format("a", "{x}"): "{x} is no hole of the English text",
    PAIR.format("a {x}", "가"): "the hole {x} is left out in the other language",
    PAIR.format("a {x}{y}", "{x}{y}"): "two holes side by side",
    PAIR.format("a {x:digit}", "{x}"): "not “digit”",
    PAIR.format("a {x}", "{x:께서}"): "“께서” is no particle",
    PAIR.format("a {}", "{}"): "a hole is a name in braces",
    PAIR.format("a {x} {x}", "{x}"): "each stands once",
    PAIR.format("a {", "가"): "a brace that is meant as one is written twice",
    PAIR.format("a {x!r}", "{x}"): "“!r” has no place in a hole",
    PAIR.format("{x}", "{x}"): "there is no text in it",
    PAIR.format("a", ""): "there is no text in it",
    PAIR.format("a", "가") * 2: "stands there twice",
    '[[a]]\nen = "a"\n': "an entry holds en and ko, and nothing else",
    '[[a]]\nen = "a"\nko = 1\n': "Expected `str`, got `int`",
    '[[a]]\nen = "a\n': "Illegal character '\\n' (at line 2, column 8)",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_catalogue_is_refused_in_one_sentence(text: str, tmp_path: Path) -> None:
    path = tmp_path / "ko.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(AssignmentError) as refused:
        read_entries(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert BROKEN[text] in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_assignment_is_loaded_with_a_look_at_its_languages(tmp_path: Path) -> None:
    for part in REFERENCE.iterdir():
        if part.name != "languages":
            (tmp_path / part.name).symlink_to(part)
    assert load_assignment(tmp_path).config.id == "transformer-vit"  # one without any stays English
    assert catalogue("ko", tmp_path).translate("Positional encoding") == "Positional encoding"
    (tmp_path / "languages").mkdir()
    (tmp_path / "languages/fr.toml").write_text('[[a]]\nen = "a"\nfr = "{x}"\n', encoding="utf-8")
    with pytest.raises(AssignmentError, match=r"fr\.toml: \[\[a\]\] “a”: \{x\} is no hole"):
        load_assignment(tmp_path)


def test_an_assignments_own_words_come_before_the_engines(tmp_path: Path) -> None:
    (tmp_path / "languages").mkdir()
    (tmp_path / "languages/ko.toml").write_text(PAIR.format("the output", "내보낸 값"), encoding="utf-8")
    assert catalogue("ko", tmp_path).translate("the output") == "내보낸 값"


def test_every_kind_of_hole_is_used() -> None:
    used = {piece.spec for path in FILES for entry in read_entries(path) for piece in entry.pieces}
    assert used == {"", *KINDS}


# ---- the command line -----------------------------------------------------------------------------------------------


def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "grade.py"), *arguments], capture_output=True, text=True, check=False
    )


def test_a_refusal_is_told_in_the_language_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "학번.zip"
    done = ask(str(path), "--lang", "ko")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"grade.py: {path}이(가) 존재하지 않습니다. 압축 파일이나 폴더를 지정하십시오\n"


def test_a_language_that_is_not_there_is_refused() -> None:
    done = ask("1.zip", "--lang", "fr")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "invalid choice: 'fr' (choose from 'en', 'ko')" in done.stderr


def test_a_new_translation_grades_no_class_anew(tmp_path: Path) -> None:
    (tmp_path / "assignment.toml").write_text("", encoding="utf-8")
    before = ground(tmp_path, "")
    (tmp_path / "languages").mkdir()
    (tmp_path / "languages/ko.toml").write_text(PAIR.format("a", "가"), encoding="utf-8")
    assert ground(tmp_path, "") == before
    (tmp_path / "mutants.toml").touch()
    assert ground(tmp_path, "") != before
