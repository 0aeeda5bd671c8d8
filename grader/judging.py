"""What the pipeline hands to the pytest plugin, and gets back. Light: pytest runs that grade nothing import it too."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from grader.errors import SandboxError
    from grader.records import Diagnosis
    from grader.rubric import Outcome
    from grader.submission import Opened


@dataclass
class Grading:
    """What one pytest session judges. `outcomes` fills as checks end, `diagnoses` as criteria do."""

    opened: Opened
    outcomes: list[Outcome] = field(default_factory=list)
    diagnoses: list[Diagnosis] = field(default_factory=list)
    sandbox_gone: SandboxError | None = None  # nothing was judged then


GRADING = pytest.StashKey[Grading]()
