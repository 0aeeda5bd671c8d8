"""The trusted answer: the reference's classes, executed in this process. Never sent anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from grader.assignment import Assignment
from grader.errors import AssignmentError
from grader.notebook import Notebook
from grader.program import slice_program


class Oracle:
    """The classes of the reference, by attribute: `oracle.MultiHeadAttention(dim=16, head_num=2)`.

    Modules come in eval mode, freshly seeded. While stand-ins are in use, the reference's classes are built upon the
    same stand-ins as the student's, so that the two can be compared.
    """

    def __init__(self, assignment: Assignment, solutions: Mapping[str, Notebook]) -> None:
        self._assignment = assignment
        self._solutions = solutions
        self._namespaces: dict[tuple[str, frozenset[str]], dict[str, Any]] = {}
        self.standins: frozenset[str] = frozenset()

    def use_standins(self, names: Iterable[str]) -> None:
        self.standins = frozenset(names)

    def __getattr__(self, name: str) -> Any:
        spec = self._assignment.config.classes.get(name)
        if spec is None:
            raise AssignmentError(f"a check asks the oracle for {name}, which is not among [classes]")
        factory = self._namespace(spec.file)[name]

        def build(*args: Any, seed: int = 0, **kwargs: Any) -> Any:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed)  # torch.manual_seed notes a traceback each time
                made = factory(*args, **kwargs)
            return made.eval() if isinstance(made, nn.Module) else made

        return build

    def _namespace(self, role: str) -> dict[str, Any]:
        key = (role, self.standins)
        if key not in self._namespaces:
            wanted = [name for name, spec in self._assignment.config.classes.items() if spec.file == role]
            replacements = {name: self._assignment.standin(name) for name in self.standins if name in wanted}
            program = slice_program(self._solutions[role], wanted, replacements)
            if program.missing or program.problems:
                raise AssignmentError(f"the solution of {role} lacks {', '.join(program.missing) or 'a part'}")
            namespace: dict[str, Any] = {"__name__": f"solution_{role}"}
            for entry in program.entries:
                exec(compile(entry.source, f"solution of {role}", "exec"), namespace)
            self._namespaces[key] = namespace
        return self._namespaces[key]
