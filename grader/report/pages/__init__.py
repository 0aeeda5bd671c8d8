"""Pages for people: each one self-contained HTML file, a pure function of records.

    student.py    one student's page: from a record to what the template shows
    classroom.py  the class's page, the only one with a script; class_rows.py: what it shows of one student
    own_work.py   what a review of the class found, on the pages for instructors
    pictures.py   matrices and grey images as PNG
    plots.py      curves as the geometry of an inline SVG
    templates/    base.html.jinja (head, policy, style), macros.html.jinja, page.css, one template a page

A page loads nothing and runs nothing, but for a script that its policy names by its hash: its Content-Security-Policy
says so to the browser. Every text in a template is escaped; what may come from a student goes through the filter
`inert` (`grader.inert.plain`) besides.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from grader.inert import plain
from grader.language import Catalogue

TEMPLATES = Path(__file__).parent / "templates"
MOST = 1_000  # characters of one text of a student's
_REPLACED = re.compile("\ufffd{2,}")  # one says enough


def render(template: str, known: Catalogue, **values: Any) -> bytes:
    """The page that templates/<template> makes of these values, in UTF-8.

    In the language of `known`: `say("…")` looks up a template's own words, `told(…)` translates what it is given.
    """
    words = {"language": known.language, "say": known.say, "told": known.translate}
    return _environment().get_template(template).render(words | values).encode("utf-8", "replace")


def prepare() -> None:
    """Compile the templates, where there is time for it: the first page of each kind would wait for that."""
    environment = _environment()
    for name in environment.list_templates(extensions=["jinja"]):
        environment.get_template(name)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,  # a slip in a template is an error, not a gap
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters["inert"] = inert
    made.filters["points"] = points
    return made


def inert(text: object, most: int = MOST) -> str:
    """A stranger's text as one line in which nothing acts, cut to `most` characters. Escaped by the template."""
    return _REPLACED.sub("\ufffd", plain(str(text), most))


def points(number: float) -> str:
    """12.0 as “12”, 6.5 as “6.5”."""
    return f"{number:.10g}"
