"""From an archive to a submission: files are found by role, never by path, and nothing is ever extracted.

The survey names every member; each role then takes the member that fits it best. A second reading takes those members'
bytes into memory, and no others; but a tar's have passed by in the survey, which keeps those of the names that are
looked for. A folder goes the same way.
What is only odd (a copy, a link, a climbing path) becomes a note; what cannot be read at all becomes an IntakeError.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Literal

from grader.archives import MIB, IntakeLimits, Member, contents, fingerprint, printable, surveyed
from grader.errors import AssignmentError, IntakeError
from grader.records import Frozen

__all__ = ["ID_PATTERN", "File", "IntakeLimits", "Role", "Submission", "read_submission"]

ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_-]*"
NOTEBOOK_SUFFIX = ".ipynb"
_MAX_NAMED = 50  # members that a record names as ignored; a swept-up data folder may have thousands
_MAX_IN_A_SENTENCE = 5
_ONE_AT_A_TIME = "this folder holds several submissions; to grade them all, name a folder for the results with --out"
_SUFFIXES = (".gz", ".tgz", ".tar", ".zip")
ARCHIVE_SUFFIXES = (*_SUFFIXES, ".7z", ".rar", ".bz2", ".xz")
# what browsers, file managers and Jupyter put at the end of a copy's name, and Colab at its front
_COPY_END = re.compile(
    r"( ?\(\d{1,3}\)| ?- ?(copy|복사본)( ?\(?\d{1,3}\)?)?|-copy\d{1,3}| copy( \d{1,3})?|의 사본)$", re.I
)
_COPY_FRONT = re.compile(r"^copy of ", re.I)
_LONG_NUMBER = re.compile(r"(\d{6,})(-\d{1,2})?")  # a course site appends -1, -2 to what is handed in again


class Role(Frozen, frozen=True):
    """A file that is wanted. Its patterns match whole base names (NFC) in any case; the best one stands first."""

    id: str
    kind: Literal["notebook", "weights"]
    patterns: tuple[str, ...]
    required: bool = True
    max_bytes: int = 100 * MIB
    title: str = ""  # what people call it

    @property
    def called(self) -> str:
        return self.title or self.id


@dataclass(frozen=True, slots=True)
class File:
    """A file as handed in: its base name, printable, and its bytes."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Submission:
    """What was handed in. `files` holds the roles that were filled; `notes` are doubts worth a person's look."""

    student_id: str
    archive: str
    sha256: str
    files: Mapping[str, File]
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_submission(
    path: Path,
    roles: Sequence[Role],
    limits: IntakeLimits | None = None,
    id_pattern: str = ID_PATTERN,
    owner: str = "",
) -> Submission:
    """Read a .tar.gz, .tgz, .tar or .zip (known by its content, not its name) or a folder.

    owner: what the archive's place says about whose it is, where its own name may not (a folder for each student).
    Raises IntakeError when it cannot be read, breaks a limit, or holds none of the wanted files.
    """
    limits = limits or IntakeLimits()
    found, passed = surveyed(path, limits, lambda member: bool(roles_by_name(member.name, roles)))
    choice = _choose(found, roles)
    archive = printable(path.resolve().name)
    if not choice.places:
        raise IntakeError(f"{archive}: {_why_nothing(found, choice, roles, path)}")
    if path.is_dir() and (several := _several(found, choice)):
        raise IntakeError(f"{archive}: {_ONE_AT_A_TIME}: {_listed(several)}")
    others = set(choice.places.values()) - passed.keys()
    data = passed | (contents(path, limits, others) if others else {})
    student_id, doubts = student_id_of(archive, path.is_dir(), _top_folder(found), id_pattern, owner)
    return Submission(
        student_id=student_id,
        archive=archive,
        sha256=fingerprint(path, limits),
        files={role: File(found[place].name, data[place]) for role, place in choice.places.items()},
        ignored=_ignored(found, set(choice.places.values())),
        notes=(*choice.notes, *doubts),
    )


@dataclass(slots=True)
class _Choice:
    """Which member fills which role, by place in the survey, and what was doubtful about it."""

    places: dict[str, int] = field(default_factory=dict)
    strangers: list[int] = field(default_factory=list)  # notebooks whose names fit no role
    suits: dict[int, str] = field(default_factory=dict)  # the role that a member suits best, taken or not
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, order=True)
class _Fit:
    """A member that fits a role by its name; the least is the best."""

    pattern: int
    is_copy: bool
    role: int
    depth: int
    path: str
    place: int


def _choose(survey: Sequence[Member], roles: Sequence[Role]) -> _Choice:
    """The best fit first, over all roles at once, so that one role's loose pattern does not take another's file."""
    choice = _Choice()
    usable = _usable(survey, choice.notes)
    named = sorted(fit for place in usable for fit in _fits(survey[place], place, roles))
    fits = [fit for fit in named if not _too_large(survey[fit.place], roles[fit.role], choice.notes)]
    for fit in fits:
        choice.suits.setdefault(fit.place, roles[fit.role].id)
        if roles[fit.role].id not in choice.places and fit.place not in choice.places.values():
            choice.places[roles[fit.role].id] = fit.place
    for order, role in enumerate(roles):
        rivals = [fit.path for fit in fits if fit.role == order and fit.place not in choice.places.values()]
        if rivals:
            took = survey[choice.places[role.id]].path
            choice.notes.append(f"more than one file fits {role.called}: took {took}, left {_listed(rivals)}")
    known = {fit.place for fit in named}
    choice.strangers = [place for place in usable if place not in known and _is_notebook(survey[place])]
    _take_the_only_stranger(survey, roles, choice)
    if choice.strangers:
        names = _listed(survey[place].path for place in choice.strangers)
        choice.notes.append(f"not a name that the assignment knows, left aside: {names}")
    for role in roles:
        if role.required and role.id not in choice.places:
            choice.notes.append(f"no file fits {role.called}")
    return choice


def _usable(survey: Sequence[Member], notes: list[str]) -> list[int]:
    """The places of regular files that somebody meant to hand in; of one path twice, the last, as unpacked."""
    last = {member.path: place for place, member in enumerate(survey)}
    twice = [path for path, count in Counter(member.path for member in survey).items() if count > 1]
    if twice:
        notes.append(f"more than once in the archive, the last one counts: {_listed(twice)}")
    climbing = [member.path for member in survey if member.climbs]
    if climbing:
        notes.append(f"a path leads out of the archive, only the name was used: {_listed(climbing)}")
    places = [place for place, member in enumerate(survey) if last[member.path] == place and not member.is_junk]
    odd = [f"{survey[place].path} ({survey[place].odd})" for place in places if survey[place].odd]
    if odd:
        notes.append(f"not a regular file, so not read: {_listed(odd)}")
    return [place for place in places if not survey[place].odd]


def _fits(member: Member, place: int, roles: Sequence[Role]) -> Iterator[_Fit]:
    """Its best fit for each role that it fits: by its own name, or by its name without a copy's mark."""
    for order, role in enumerate(roles):
        ranks = [
            (rank, is_copy)
            for rank, pattern in enumerate(role.patterns)
            for is_copy, name in ((False, member.name), (True, _without_copy_marks(member.name)))
            if _matches(pattern, name, role)
        ]
        if ranks:
            rank, is_copy = min(ranks)
            yield _Fit(rank, is_copy, order, len(member.parts), member.path, place)


def roles_by_name(name: str, roles: Sequence[Role]) -> list[str]:
    """The roles that a file of this name may fill, a copy's mark left aside."""
    names = (name, _without_copy_marks(name))
    return [role.id for role in roles if any(_matches(p, n, role) for p in role.patterns for n in names)]


def _matches(pattern: str, name: str, role: Role) -> bool:
    try:
        return re.fullmatch(pattern, name, re.IGNORECASE) is not None
    except re.error as error:
        raise AssignmentError(f"files.{role.id}: the pattern {pattern} is no regular expression: {error}") from None


def _too_large(member: Member, role: Role, notes: list[str]) -> bool:
    if member.size <= role.max_bytes:
        return False
    size, most = (f"{count / MIB:.1f} MiB" for count in (member.size, role.max_bytes))
    notes.append(f"{member.path} has {size}, more than the {most} allowed for {role.called}: it was not read")
    return True


def _take_the_only_stranger(survey: Sequence[Member], roles: Sequence[Role], choice: _Choice) -> None:
    """One notebook of an unknown name and one notebook role without a file belong together."""
    unfilled = [role for role in roles if role.kind == "notebook" and role.id not in choice.places]
    if len(unfilled) == len(choice.strangers) == 1 and survey[choice.strangers[0]].size <= unfilled[0].max_bytes:
        choice.places[unfilled[0].id] = place = choice.strangers.pop()
        choice.notes.append(
            f"took {survey[place].path} for {unfilled[0].called}: not by its name, but as the only one left"
        )


def _without_copy_marks(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return _COPY_FRONT.sub("", _COPY_END.sub("", stem)) + dot + suffix if dot else name


def _is_notebook(member: Member) -> bool:
    return member.name.casefold().endswith(NOTEBOOK_SUFFIX)


def _several(survey: Sequence[Member], choice: _Choice) -> list[str]:
    """The submissions within a folder, where it holds several and no wanted file beside them.

    A submission is a folder with files for two roles at least: one student's `runs/` and `weights/` hold one each.
    """
    levels = zip(*(survey[place].parts[:-1] for place in choice.suits), strict=False)
    above = [names[0] for names in takewhile(lambda names: len(set(names)) == 1, levels)]  # the folders around all
    roles: dict[str, set[str]] = {}
    for place, role in choice.suits.items():
        parts = survey[place].parts[len(above) :]
        if len(parts) == 1:
            return []
        roles.setdefault("/".join((*above, parts[0])), set()).add(role)
    several = sorted(folder for folder, held in roles.items() if len(held) > 1)
    return several if len(several) > 1 else []


def _why_nothing(survey: Sequence[Member], choice: _Choice, roles: Sequence[Role], path: Path) -> str:
    """None of the wanted files is there: the sentence that says what is there instead."""
    wanted = ", ".join(role.called for role in roles)
    inner = [
        member.path for member in survey if member.name.casefold().endswith(ARCHIVE_SUFFIXES) and not member.is_junk
    ]
    if not path.is_dir() and any(_matches(p, printable(path.name), role) for role in roles for p in role.patterns):
        return "it is one of the files asked for, and an archive or a folder is wanted; name the folder that it lies in"
    if not survey:
        kind = "a folder" if path.is_dir() else "an archive"
        return f"it is {kind} without a file in it; pack the files and hand it in again"
    if path.is_dir() and len(inner) > 1:
        return f"{_ONE_AT_A_TIME}: {_listed(inner)}"
    if inner:
        return f"none of the files asked for ({wanted}) is in it, but {_listed(inner)}; hand in that archive itself"
    why = f"none of the files asked for ({wanted}) is in it"
    return f"{why}: {'; '.join(choice.notes)}; check the files and their names"


def _ignored(survey: Sequence[Member], taken: Collection[int]) -> tuple[str, ...]:
    names = [
        f"{member.path} ({member.odd})" if member.odd else member.path
        for place, member in enumerate(survey)
        if place not in taken and not member.is_junk
    ]
    more = len(names) - _MAX_NAMED
    return (*names[:_MAX_NAMED], *([f"and {more} more"] if more > 0 else []))


def student_id_of(
    archive: str, is_folder: bool, top: str | None = None, id_pattern: str = ID_PATTERN, owner: str = ""
) -> tuple[str, tuple[str, ...]]:
    """The id and the doubts about it: from the archive's name, the one folder at its top, or its owner.

    The default pattern fits almost any name, so a long number comes first, in each of these places; then the owner.
    """
    stem = archive if is_folder else stem_of(archive)
    places = [stem, *([top] if top else []), *([owner] if owner else [])]
    if id_pattern == ID_PATTERN:
        for place in places:
            numbers = [match[1] for token in place.split("_") if (match := _LONG_NUMBER.fullmatch(token))]
            if numbers:
                return numbers[-1], ()
        if not re.fullmatch(id_pattern, stem) and len(numbers := re.findall(r"[0-9]{6,}", stem)) == 1:
            doubt = f"no student id was recognised in the name {archive}: took the only long number in it"
            return numbers[0], (doubt,)
        if owner:
            return owner, ()
        for place in places:
            if re.fullmatch(id_pattern, place):
                return place, ()
    else:
        for place in places:
            if found := [match[0] for match in re.finditer(id_pattern, place) if match[0]]:
                return found[-1], ()
    return stem, (f"no student id was recognised in the name {archive}",)


def stem_of(archive: str) -> str:
    """`1102444016.tar (1).gz` and `1102444016.tar.gz.zip` as `1102444016`."""
    stem, before = archive, ""
    while stem != before:
        before = stem
        suffix = next((s for s in _SUFFIXES if stem.casefold().endswith(s) and len(stem) > len(s)), "")
        stem = _COPY_END.sub("", stem[: len(stem) - len(suffix)]) or before
    return stem


def _top_folder(survey: Sequence[Member]) -> str | None:
    tops = {member.parts[:-1][:1] for member in survey if not member.is_junk and not member.climbs}
    return tops.pop()[0] if len(tops) == 1 and () not in tops else None


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - _MAX_IN_A_SENTENCE
    return ", ".join(names[:_MAX_IN_A_SENTENCE]) + (f" and {more} more" if more > 0 else "")
