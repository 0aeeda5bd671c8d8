"""Prints docs/attacks.md from the catalogue: PYTHONPATH=.:tests python -m attacks.table > docs/attacks.md

The marks are those that tests/attacks asserts, to the point, each time it runs.
"""

from __future__ import annotations

from attacks.attack import Attack
from attacks.catalogue import ATTACKS, FAMILIES
from attacks.weakened import WEAKENINGS

HONEST = {"right": 23.0, "wrong": 18.0}  # of 23 points for attention and encoder, without any attack

INTRODUCTION = """# Attacks

{count} submissions that attack the grader, and the mark that each gets. `tests/attacks/` holds their code and grades
them in every run of the tests. This page is printed by `PYTHONPATH=.:tests python -m attacks.table > docs/attacks.md`.

Each attack runs inside the encoder layer of a submission whose encoder layer is right ({right:g} of 23 points for
attention and encoder together) or gives zeros ({wrong:g} of 23). *Honest* is the mark of the same submission without
the attack. An attack must get exactly that, or lose what it breaks itself; then the verdict stands beside the mark. The
blame is always the student's: no attack may make a check “broken”, which would ask for a person. What an attack finds
it tells in an error message; canaries in the hidden files, in the environment and in a home folder must stand in no
report.

An attack proves something only if it can succeed. `pytest tests/attacks --weakened` runs each against a grader that is
weak in one place (`tests/attacks/weak_workers.py`, `weak_graders.py`), or in two where one wall stands behind another.
There it must reach something: a better mark, a canary, something that it tells, a check that breaks, harm to the next
submission, a process that lives on, or the grader's own end. The last column names that grader; what each lacks stands
at the end. Some attacks need more than every machine has: elsewhere `--weakened` skips them.

`pytest tests/attacks --tier landlock` attacks the second tier in the same way. What that one is known not to
defend stands in the last column.

`tests/attacks/test_lies.py` has a worker lie in its answers; `tests/attacks/test_judgement.py` has classes that cheat.

What is not caught: a table of the test images that is looked up by nearest neighbour rather than by exact pixels
answers noisy images too, and raises no flag.
"""


def row(attack: Attack) -> str:
    """One line of the table."""
    honest = HONEST[attack.work]
    mark = f"{honest - sum(attack.costs.values()):g}" + (f" ({attack.verdict})" if attack.costs else "")
    against = f"`{attack.weakened}`" + (f", needs {attack.needs}" if attack.needs else "")
    against += f"; in `landlock` not defended: {attack.granted}" if attack.granted else ""
    return f"| `{attack.name}` | {attack.tries} | {honest:g} | {mark} | {against} |"


GRADERS = """## The weak graders

| grader | what is weak in it |
|---|---|
"""


def page() -> str:
    """docs/attacks.md."""
    parts = [INTRODUCTION.format(count=len(ATTACKS), **HONEST)]
    for title, family in FAMILIES.values():
        head = "| attack | what it tries | honest | gets | succeeds against |\n|---|---|---|---|---|"
        parts.append("\n".join([f"## {title.rstrip('.')}\n", head, *map(row, family), ""]))
    names = sorted({attack.weakened for attack in ATTACKS.values()})
    words = {name: " ".join(str(WEAKENINGS[name].__doc__).split()) for name in names}
    return "\n".join([*parts, GRADERS + "".join(f"| `{name}` | {text} |\n" for name, text in words.items())])


if __name__ == "__main__":
    print(page(), end="")
