"""What students read, in their language. Records are English, the form that others parse; reports are translated.

A catalogue pairs English templates with those of another language. An English message is translated by the template
that it fits, and what is filled into it likewise: “{check}: {reason}” holds two messages of their own. Where several
fit, the one that says most in its own words counts; where none fits, the text stays as it is. What students wrote
stands in holes, and nothing of it is ever read as a template.

`grader.entries` reads the files; docs/languages.md says how to add a message, or a language.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from grader.entries import Entry, filled, read_entries
from grader.languages import DEFAULT, HERE
from grader.records import CheckResult, CriterionResult, Diagnosis, Exhibits, Figure, Flag, NoiseResult, Record

FOLDER = "languages"  # beside this file, and in an assignment's folder
WORDS = "words"  # a section: what a report says itself; looked up, never searched for in a message
JOINTS = "joints"  # a section: what stands between messages
TRANSLATED = ("", "layer", "part", "phrase")  # kinds of holes in which messages of ours may stand
MAX_TEXT = 20_000  # characters; a longer text stays English
MAX_PARTS = 120  # of one message that are looked up, each within the other


class Read(NamedTuple):
    """A text in another language. known: how many of its English characters stand in templates."""

    text: str
    known: int


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
                seen[text] = Read(filled(entry.other, {}), len(text))
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
                    return Read(filled(entry.other, holes), entry.weight + known)
                if known > best.known:
                    best = Read(filled(entry.other, holes), known)
        return best

    def say(self, template: str, **values: object) -> str:
        """A report's own words, filled in: `say("{points} of {most}", points=3, most=8)`."""
        entry = self.entries.get(template)
        known = template if entry is None else entry.other
        return filled(known, {name: str(value) for name, value in values.items()})


ENGLISH = Catalogue()


def catalogue(language: str, *folders: Path) -> Catalogue:
    """The engine's messages in a language of LANGUAGES, and those of these assignments' folders, which come first.

    Raises AssignmentError, naming the file and the entry, where one cannot be used.
    """
    found: dict[str, Entry] = {}
    if language != DEFAULT:
        own = [path for folder in folders if (path := folder / FOLDER / f"{language}.toml").exists()]
        for file in (HERE / f"{language}.toml", *own):
            found |= {entry.english: entry for entry in read_entries(file)}
    return Catalogue(language, found)


def check_languages(folder: Path) -> None:
    """Raise AssignmentError unless every catalogue of an assignment's folder can be used."""
    for path in sorted((folder / FOLDER).glob("*.toml")):
        read_entries(path)


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
