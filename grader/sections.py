"""The prose of a notebook, cut where an analysis of one experiment ends and the next begins."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from grader.notebook import Notebook

_ABOUT = (
    r"analys\w*|settings?|experiments?|exp|cases?|trials?|config\w*|runs?|models?|results?"
    r"|분석|설정|실험|결과|모델|고찰"
)
_KEYWORD = re.compile(rf"(?<![a-z])(?:{_ABOUT})(?![a-z])", re.IGNORECASE)
_HEADING = re.compile(r"\s{0,3}(#{1,6})\s(.*)")
_ITEM = re.compile(
    rf"\s*(?:[-*+]\s+)?(?:\*\*|__)?((?:(?:{_ABOUT})\s?#?\s?)?\(?(\d{{1,2}})\)?(?:\s?번)?)"
    r"(?:\*\*|__)?\s?[.):](?!\d)(.*)",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(r"[\s.…_\-—–*`>|~]*|.*\b(?:TODO|TBD|FIXME|FILL.?IN)\b.*|<!--.*|.*-->", re.IGNORECASE)
_LEAST_LETTERS = 20  # of an analysis; shorter is a stub
_MAX_LINE = 500


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, or a numbered item, and the prose below it. `number` is the one it carries or stands under."""

    cell: int
    line: int
    heading: str
    number: int | None
    text: str

    @property
    def is_about_experiments(self) -> bool:
        """Whatever its number: `6. Training` is not."""
        return not self.heading or bool(_KEYWORD.search(self.heading))

    @property
    def is_filled(self) -> bool:
        # A Hangul syllable says about as much as two or three letters.
        letters = sum(2 if "가" <= c <= "힣" else 1 for c in self.text if c.isalpha())
        return letters >= _LEAST_LETTERS


def sections(notebook: Notebook, given: Collection[str] = ()) -> Iterator[Section]:
    """All sections of the Markdown cells in order. Lines in `given`, the hand-out's own, are no student's prose."""
    for cell in notebook.cells:
        if cell.kind != "markdown":
            continue
        heading = ""
        number: int | None = None
        start = 1
        above: tuple[int, int | None] = (7, None)  # level and number of the heading that others stand under
        text: list[str] = []
        for position, line in enumerate(cell.source.split("\n"), 1):
            title = _HEADING.match(line[:_MAX_LINE])
            item = None if title else _ITEM.match(line[:_MAX_LINE])
            if title or item or "|" in line:  # a table ends a section too: prose above it is not about its rows
                yield Section(cell.index, start, heading, number, " ".join(text))
                start, text = position, []
            if title:
                level, own = len(title[1]), _number(title[2])
                heading, number = title[2].strip(" #"), own if own is not None or level <= above[0] else above[1]
                if own is not None or level <= above[0]:
                    above = (level, own)
            elif item:
                heading, number = item[1], int(item[2])
                text = [] if line.strip() in given else [item[3].strip("* ")]
            elif "|" not in line and line.strip() not in given and not _PLACEHOLDER.fullmatch(line[:_MAX_LINE]):
                text.append(line.strip())
        yield Section(cell.index, start, heading, number, " ".join(text))


def _number(heading: str) -> int | None:
    """3 in `Setting 3`, `실험 3`, `3. Deeper` and `Analysis of setting #3`; none in `Problem 2` and `depth = 3`."""
    found = re.search(rf"(?<![a-z])(?:{_ABOUT})\s?[#:\-]?\s?(\d{{1,2}})(?![\d.]*\d)", heading, re.IGNORECASE)
    found = found or re.match(r"[\s*#(]*(\d{1,2})(?:[.):번]|\s*$)(?!\d)", heading)
    return int(found[1]) if found else None
