"""Finds the submissions in what was named: archives, folders of them, a course site's bulk download as one zip.

    SUBMISSIONS/
        1102444016.tar.gz                                an archive: one submission
        1102444017/*.ipynb, *.pth                        loose files: the folder is one
        Kim Minsu_12345_assignsubmission_file_/hw.zip    a folder a student: the archive in it, the folder says whose
        list.csv                                         none: left out, and named

Nothing of a submission is opened here beyond its first bytes; a bulk download is taken apart into a private folder.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from grader.archives import IntakeLimits, Member, looks_packed, members, printable
from grader.assignment import Config
from grader.errors import IntakeError
from grader.intake import ARCHIVE_SUFFIXES, ID_PATTERN, Role, roles_by_name, stem_of, student_id_of
from grader.records import Frozen

BULK = IntakeLimits(archive_bytes=1 << 40, members=200_000, total_bytes=1 << 40, ratio=1e9, cpu_seconds=3600.0)
_ODD_NAMES = re.compile(r"\.|__macosx$", re.I)  # hidden, or left by a Mac
_COURSE_SITE = re.compile(r"_(assignsubmission_file|onlinetext)_?$")  # what Moodle appends to a student's name
_LONG_NUMBER = re.compile(r"[0-9]{6,}")


class HandIn(Frozen, frozen=True):
    """A submission as it was found. `name` is its path below what was named, and tells it from all others.

    student_id: as far as names tell it. owner: the folder that says whose it is, where the archive's own name does not.
    modified: seconds since 1970.
    """

    name: str
    path: str
    student_id: str = ""
    owner: str = ""
    modified: float = 0.0


@dataclass
class Gathered:
    """What was found, in a stable order, and what was left out and why."""

    hand_ins: list[HandIn] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


def roles_of(config: Config) -> list[Role]:
    """The files that the assignment asks for, as intake looks for them."""
    return [
        Role(id=name, kind=spec.kind, patterns=spec.patterns, max_bytes=spec.max_mb << 20, title=spec.title)
        for name, spec in config.files.items()
    ]


def intake_limits(config: Config) -> IntakeLimits:
    """What one archive of the assignment may cost."""
    return IntakeLimits(archive_bytes=config.limits.archive_mb << 20, members=config.limits.members)


def gather(
    paths: Sequence[Path],
    roles: Sequence[Role],
    unpacked: Path,
    id_pattern: str = ID_PATTERN,
    without: Path | None = None,
) -> Gathered:
    """The submissions in these files and folders.

    unpacked: an empty folder that a bulk download is unpacked into. without: a folder that is none (the results).
    Raises IntakeError where there is none, or where what was named cannot be read.
    """
    gathered, without = Gathered(), without.resolve() if without is not None else None
    for number, path in enumerate(paths):
        if not path.exists():
            raise IntakeError(f"{path} does not exist; name an archive or a folder")
        above = f"{path.resolve().name}/" if len(paths) > 1 and path.is_dir() else ""
        if path.is_dir():
            _visit(path, above, roles, gathered, without, top=True)
        elif _is_bulk(path, roles):
            folder = unpacked / str(number)
            gathered.ignored += _unpack(path, folder)
            _visit(folder, above, roles, gathered, without, top=True)
        else:
            gathered.hand_ins.append(_entry(path, path.name))
    if not gathered.hand_ins:
        named = ", ".join(map(str, paths))
        raise IntakeError(f"{named}: no submission is in it; name a folder with archives (.tar.gz, .zip) or folders")
    gathered.hand_ins = [_with_id(one, id_pattern) for one in _with_owners(_told_apart(gathered.hand_ins))]
    return gathered


def _visit(
    folder: Path, above: str, roles: Sequence[Role], gathered: Gathered, without: Path | None, top: bool = False
) -> None:
    """Add what is found in a folder, but for one that is left alone. Raises IntakeError where it cannot be read."""
    try:
        with os.scandir(folder) as scan:
            found = sorted((e for e in scan if not _ODD_NAMES.match(e.name)), key=lambda entry: entry.name)
        files = [entry for entry in found if entry.is_file()]
        folders = [entry for entry in found if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        raise IntakeError(f"{folder} cannot be read: {error.strerror}; check its access rights") from None
    archives = [entry for entry in files if _is_archive(Path(entry.path), roles)]
    wanted = any(roles_by_name(_nfc(entry.name), roles) for entry in files)
    if wanted and not top:
        gathered.hand_ins.append(_entry(folder, above.rstrip("/")))
        return
    below = Gathered([_entry(Path(entry.path), above + entry.name) for entry in archives])
    for entry in folders:
        if Path(entry.path).resolve() != without:
            _visit(Path(entry.path), f"{above}{entry.name}/", roles, below, without)
    if (wanted and not below.hand_ins) or (not top and _is_one(below.hand_ins, roles)):
        gathered.hand_ins.append(_entry(folder, above.rstrip("/") or folder.resolve().name))
        return
    names = {entry.name for entry in archives}
    gathered.ignored += [above + entry.name for entry in files if entry.name not in names]
    gathered.hand_ins += below.hand_ins
    gathered.ignored += below.ignored


def _is_one(found: Sequence[HandIn], roles: Sequence[Role]) -> bool:
    """Whether what lies below a folder is one student's: `notebooks/` here, `weights/` there, or all one deeper."""
    if not found or any(not Path(entry.path).is_dir() for entry in found):
        return False
    held = [
        {role for file in Path(entry.path).rglob("*") for role in roles_by_name(_nfc(file.name), roles)}
        for entry in found
    ]
    return sum(map(len, held)) == len(set().union(*held))


def _is_archive(path: Path, roles: Sequence[Role]) -> bool:
    """By name or by content; a `.pth` is a zip as well, and is none."""
    if path.name.casefold().endswith(ARCHIVE_SUFFIXES):
        return True
    return not roles_by_name(_nfc(path.name), roles) and not path.suffix and looks_packed(path)


def _is_bulk(path: Path, roles: Sequence[Role]) -> bool:
    """Whether an archive holds submissions rather than one. What cannot be read is for intake to say."""
    try:
        if not looks_packed(path):
            return False
        found = [member for member in members(path, BULK) if not member.odd and not member.is_junk]
    except IntakeError:
        return False
    if any(member.name.casefold().endswith(ARCHIVE_SUFFIXES) for member in found):
        return not any(len(member.parts) == 1 and roles_by_name(member.name, roles) for member in found)
    return len(_holders(found, roles)) > 1


def _holders(found: Iterable[Member], roles: Sequence[Role]) -> set[tuple[str, ...]]:
    """The folders in it that hold files for two roles at least."""
    held: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for member in found:
        held[member.parts[:-1]].update(roles_by_name(member.name, roles))
    return {folder for folder, names in held.items() if len(names) > 1}


def _unpack(path: Path, folder: Path) -> list[str]:
    """Write a bulk download's files below a folder of our own; say what was left out. Raises IntakeError."""
    folder.mkdir()
    left_out = []
    for member in members(path, BULK):
        if member.odd or member.climbs:
            left_out.append(f"{member.path} ({member.odd or 'its path leads out of the archive'})")
        if member.odd or member.climbs or member.is_junk:
            continue
        target = folder.joinpath(*member.parts)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(member.read())
            os.utime(target, (member.modified, member.modified))
        except OSError as error:
            why = f"{member.path} cannot be unpacked ({error.strerror}); unpack it yourself and name the folder"
            raise IntakeError(f"{path}: {why}") from None
    return left_out


def _entry(path: Path, name: str) -> HandIn:
    try:
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        modified = max((file.stat().st_mtime for file in files), default=0.0)
    except OSError:  # whoever reads it will say so
        modified = 0.0
    return HandIn(name=os.fsencode(name).decode("utf-8", "backslashreplace"), path=str(path), modified=modified)


def _told_apart(hand_ins: list[HandIn]) -> list[HandIn]:
    """Each entry once, with a name of its own: the same folder may be named twice, two files may be called alike."""
    by_path = {os.path.realpath(entry.path): entry for entry in hand_ins}
    names: dict[str, int] = defaultdict(int)
    found = []
    for entry in by_path.values():
        names[entry.name] += 1
        again = names[entry.name] > 1
        found.append(replace(entry, name=f"{entry.name} ({names[entry.name]})") if again else entry)
    return found


def _with_owners(hand_ins: list[HandIn]) -> list[HandIn]:
    """Name the folder as the owner where archives in several folders are called alike (`hw2.zip`), without a number."""
    folders: dict[str, set[str]] = defaultdict(set)
    for entry in hand_ins:
        folders[_stem(entry)].add(os.path.dirname(entry.name))
    found = []
    for entry in hand_ins:
        folder = os.path.dirname(entry.name)
        alike = len(folders[_stem(entry)]) > 1 and not _LONG_NUMBER.search(_stem(entry))
        owner = _COURSE_SITE.sub("", _nfc(os.path.basename(folder))) if alike else ""
        found.append(replace(entry, owner=owner))
    return found


def _with_id(hand_in: HandIn, id_pattern: str) -> HandIn:
    path = Path(hand_in.path)
    student_id, _ = student_id_of(printable(path.name), path.is_dir(), None, id_pattern, hand_in.owner)
    return replace(hand_in, student_id=student_id)


def _stem(entry: HandIn) -> str:
    return stem_of(_nfc(os.path.basename(entry.name))).casefold()


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)
