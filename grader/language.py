"""What students read, in their language. Records are English, the form that others parse; reports are translated.

A catalogue pairs English templates with those of another language. An English message is translated by the template
that it fits, and what is filled into it likewise: “{check}: {reason}” holds two messages of their own. Where several
fit, the one that says most in its own words counts; where none fits, the text stays as it is. What students wrote
stands in holes, and nothing of it is ever read as a template.

    [[compare]]
    en = "{what} has shape {found:list}, expected {expected:list}"
    ko = "{what}의 모양은 {found}입니다. {expected:이어야} 합니다"

`:list` says what may stand in a hole (KINDS), `:이어야` which particle follows it (grader/particles.py). The section
[[words]] holds what a report says in words of its own: looked up, never searched for in a message. [[joints]] are what
stands between messages.
docs/languages.md says how to add a message, or a language.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from string import Formatter
from typing import NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from grader.errors import AssignmentError
from grader.inert import one_line
from grader.particles import PARTICLES, particle
from grader.records import CheckResult, CriterionResult, Diagnosis, Exhibits, Figure, Flag, NoiseResult, Record

FOLDER = "languages"  # beside this file, and in an assignment's folder
HERE = Path(__file__).resolve().parent / FOLDER
DEFAULT = "en"
LANGUAGES = (DEFAULT, *sorted(path.stem for path in HERE.glob("*.toml")))
WORDS, JOINTS = "words", "joints"
# What a hole may hold, where not anything. Every one is bounded: a stranger's text must not take a matcher's time.
KINDS = {
    "number": r"[-−]?(?:\d{1,20}(?:[.,]\d{1,20}){0,8}(?:e[+-]?\d{1,3})?|inf|nan)%?",
    "name": r"[\w.]{1,300}",
    "names": r"[\w.]{1,300}(?:, [\w.]{1,300}){0,99}",
    "list": r"[\d, ()\[\]]{2,300}",
    "phrase": r"[a-z][a-z ]{0,60}",
    "part": r"[^;]{1,2000}",  # at the end of a sentence to which others are joined
    # As grader.checking.diagnosis says where a layer is called.
    "layer": r"self\.[\w.]{1,300}(?: \(cell \d{1,9}, line \d{1,9}: .{0,200}?\))?",
}
TRANSLATED = ("", "layer", "part", "phrase")  # kinds of holes in which messages of ours may stand
MAX_TEXT = 20_000  # characters; a longer text stays English
MAX_PARTS = 120  # of one message that are looked up, each within the other


class Piece(NamedTuple):
    """Literal text of a template, and the hole after it; "" for none. spec: its kind, or the particle behind it."""

    literal: str
    hole: str
    spec: str


class Read(NamedTuple):
    """A text in another language. known: how many of its English characters stand in templates."""

    text: str
    known: int


@dataclass(frozen=True)
class Entry:
    """A message in English and in another language."""

    section: str
    english: str
    other: str

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        return tuple(_pieces(self.english))

    @cached_property
    def is_whole(self) -> bool:
        """Whether nothing is filled in."""
        return not any(piece.hole for piece in self.pieces)

    @cached_property
    def weight(self) -> int:
        """How much of it is not filled in."""
        return sum(len(piece.literal) for piece in self.pieces)

    @cached_property
    def anchor(self) -> str:
        """Its longest literal, without which no text fits."""
        return max((piece.literal for piece in self.pieces), key=len)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches what the English template makes, in time linear in its length.

        From one hole without a kind to the next, the first place that fits is kept for good (an atomic group): as with
        a shell's *, if another one leads to a match, that one does.
        """
        segments = [""]
        for literal, hole, kind in self.pieces:
            segments[-1] += re.escape(literal)
            if hole and kind:
                segments[-1] += f"(?P<{hole}>{KINDS[kind]})"
            elif hole:
                segments.append(f"(?P<{hole}>.*?)")
        *before, last = segments
        return re.compile("".join(f"(?>{segment})" for segment in before) + last, re.DOTALL)


@dataclass(frozen=True)
class Catalogue:
    """What is known in one language. An empty one leaves everything in English."""

    language: str = DEFAULT
    entries: Mapping[str, Entry] = field(default_factory=dict)  # by the English template

    @cached_property
    def _templates(self) -> list[Entry]:
        """Those with holes: what says most in its own words first, joints last."""
        found = [e for e in self.entries.values() if e.section != WORDS and not e.is_whole]
        return sorted(found, key=lambda entry: (entry.section == JOINTS, -entry.weight))

    def translate(self, text: str) -> str:
        """An English message of ours in this language, as far as it is known; any other text as it is."""
        return self._read(text, {}).text if self.entries and len(text) <= MAX_TEXT else text

    def _read(self, text: str, seen: dict[str, Read]) -> Read:
        """seen: what was read of this message before."""
        if text not in seen:
            seen[text] = Read(text, 0)
            entry = self.entries.get(text)
            if entry is not None and entry.section != WORDS and entry.is_whole:
                seen[text] = Read(_filled(entry.other, {}), len(text))
            elif " " in text and len(seen) <= MAX_PARTS:
                seen[text] = self._fitted(text, seen)
        return seen[text]

    def _fitted(self, text: str, seen: dict[str, Read]) -> Read:
        """By the first template that fits; among joints, by the one that parts it into what is known best."""
        best = Read(text, 0)
        for entry in self._templates:
            if entry.anchor in text and (match := entry.pattern.fullmatch(text)):
                parts = {
                    piece.hole: self._read(match[piece.hole], seen)
                    for piece in entry.pieces
                    if piece.hole and piece.spec in TRANSLATED
                }
                holes = match.groupdict() | {hole: part.text for hole, part in parts.items()}
                known = sum(part.known for part in parts.values())
                if entry.section != JOINTS:
                    return Read(_filled(entry.other, holes), entry.weight + known)
                if known > best.known:
                    best = Read(_filled(entry.other, holes), known)
        return best

    def say(self, template: str, **values: object) -> str:
        """A report's own words, filled in: `say("{points} of {most}", points=3, most=8)`."""
        entry = self.entries.get(template)
        known = template if entry is None else entry.other
        return _filled(known, {name: str(value) for name, value in values.items()})


ENGLISH = Catalogue()


def catalogue(language: str, *folders: Path) -> Catalogue:
    """The engine's messages in a language of LANGUAGES, and those of these assignments' folders, which come first.

    Raises AssignmentError, naming the file and the entry, where one cannot be used.
    """
    found: dict[str, Entry] = {}
    if language != DEFAULT:
        for folder in (HERE, *(folder / FOLDER for folder in folders)):
            path = folder / f"{language}.toml"
            if folder == HERE or path.exists():
                found |= {entry.english: entry for entry in read_entries(path)}
    return Catalogue(language, found)


def check_languages(folder: Path) -> None:
    """Raise AssignmentError unless every catalogue of an assignment's folder can be used."""
    for path in sorted((folder / FOLDER).glob("*.toml")):
        read_entries(path)


def read_entries(path: Path) -> tuple[Entry, ...]:
    """The entries of one file; its name is the language's code. Raises AssignmentError."""
    language = path.stem
    try:
        sections = msgspec.convert(
            tomllib.loads(path.read_text(encoding="utf-8")), type=dict[str, list[dict[str, str]]]
        )
    except (OSError, ValueError, msgspec.ValidationError) as error:  # TOMLDecodeError and UnicodeDecodeError among them
        raise AssignmentError(f"{path}: {one_line(str(error), 300)}") from None
    except RecursionError:
        raise AssignmentError(f"{path}: a value is nested too deeply; write it flat") from None
    found: dict[str, Entry] = {}
    for section, texts in sections.items():
        for text in texts:
            place = f"{path}: [[{one_line(section, 60)}]] “{one_line(text.get(DEFAULT, ''), 100)}”"
            if set(text) != {DEFAULT, language}:
                raise AssignmentError(f"{place}: an entry holds {DEFAULT} and {language}, and nothing else")
            entry = Entry(section, text[DEFAULT], text[language])
            if fault := _fault(entry):
                raise AssignmentError(f"{place}: {fault}")
            if found.setdefault(entry.english, entry) is not entry:
                raise AssignmentError(f"{place} stands there twice; keep one")
    return tuple(found.values())


def _fault(entry: Entry) -> str:
    """Why an entry cannot be used, or ""."""
    try:
        english, other = entry.pieces, tuple(_pieces(entry.other))
    except ValueError as error:
        return f"{error}; a brace that is meant as one is written twice"
    holes = [piece.hole for piece in english if piece.hole]
    wanted, given = set(holes), {piece.hole for piece in other if piece.hole}
    if unknown := given - wanted:
        return f"{{{min(unknown)}}} is no hole of the English text"
    if lost := wanted - given:
        return f"the hole {{{min(lost)}}} is left out in the other language"
    if not all(hole.isidentifier() for hole in holes) or len(holes) > len(wanted):
        return "a hole is a name in braces, and each stands once in the English text"
    if unknown := {piece.spec for piece in english if piece.spec} - set(KINDS):
        return f"a hole holds one of {', '.join(KINDS)}, not “{min(unknown)}”"
    if unknown := {piece.spec for piece in other if piece.spec} - set(PARTICLES):
        return f"“{min(unknown)}” is no particle; there are {', '.join(PARTICLES)}"
    free = [bool(piece.hole and not piece.spec) for piece in english]
    if any(one and two and not after.literal for one, two, after in zip(free, free[1:], english[1:], strict=False)):
        return "two holes side by side cannot be told apart; write them as one, or say of what kind they are"
    return "" if any(piece.literal for piece in english) and entry.other else "there is no text in it"


def _pieces(template: str) -> Iterator[Piece]:
    """Raises ValueError for a lone brace."""
    for literal, hole, spec, conversion in Formatter().parse(template):
        if conversion:
            raise ValueError(f"“!{conversion}” has no place in a hole")
        yield Piece(literal, hole or "" if hole != "" else "{}", spec or "")


def _filled(template: str, values: Mapping[str, str]) -> str:
    """The template with its holes filled. A value is put in as it is, whatever it holds."""
    text = ""
    for literal, hole, spec in _pieces(template):
        text += literal
        if hole:
            text += values[hole] + (particle(spec, values[hole]) if spec else "")
    return text


# ---- a record -------------------------------------------------------------------------------------------------------


Told = TypeVar("Told", Flag, Diagnosis)


def localised(record: Record, known: Catalogue) -> Record:
    """The record with every sentence and title in this language: for reports. Ids, verdicts and evidence stay."""
    if not known.entries:
        return record
    checkpoint = record.checkpoint
    return replace(
        record,
        submission=replace(record.submission, ignored=_each(record.submission.ignored, known)),
        criteria=tuple(_criterion(criterion, known) for criterion in record.criteria),
        checkpoint=replace(
            checkpoint,
            settings_source=known.translate(checkpoint.settings_source),
            noise=_noise(checkpoint.noise, known),
        ),
        flags=tuple(_message(flag, known) for flag in record.flags),
        diagnoses=tuple(_message(diagnosis, known) for diagnosis in record.diagnoses),
        exhibits=_exhibits(record.exhibits, known),
    )


def _each(texts: Iterable[str], known: Catalogue) -> tuple[str, ...]:
    return tuple(known.translate(text) for text in texts)


def _criterion(criterion: CriterionResult, known: Catalogue) -> CriterionResult:
    checks = tuple(_check(check, known) for check in criterion.checks)
    return replace(criterion, title=known.translate(criterion.title), checks=checks)


def _check(check: CheckResult, known: Catalogue) -> CheckResult:
    return replace(check, title=known.translate(check.title), message=known.translate(check.message))


def _noise(noise: NoiseResult | None, known: Catalogue) -> NoiseResult | None:
    return noise if noise is None else replace(noise, fault=known.translate(noise.fault))


def _exhibits(exhibits: Exhibits | None, known: Catalogue) -> Exhibits | None:
    if exhibits is None:
        return None
    return replace(
        exhibits,
        title=known.translate(exhibits.title),
        figures=tuple(_figure(figure, known) for figure in exhibits.figures),
        experiments=tuple(replace(one, source=known.translate(one.source)) for one in exhibits.experiments),
        left_out=_each(exhibits.left_out, known),
    )


def _figure(figure: Figure, known: Catalogue) -> Figure:
    return replace(
        figure,
        title=known.translate(figure.title),
        caption=known.translate(figure.caption),
        row=known.translate(figure.row),
        col=known.translate(figure.col),
        matrices=tuple(replace(matrix, title=known.translate(matrix.title)) for matrix in figure.matrices),
    )


def _message(told: Told, known: Catalogue) -> Told:
    return replace(told, message=known.translate(told.message))
