"""The trusted answer: the reference's classes, executed in this process. Never sent anywhere."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from grader.assignment import Assignment
from grader.checking.memory import Memory
from grader.errors import AssignmentError
from grader.notebook import Notebook
from grader.program import slice_program

MOST_KEPT = 100_000  # numbers in one module
_PLAIN = (int, float, str, bool, type(None))


def _tensors(module: nn.Module) -> list[torch.Tensor]:
    return [*module.parameters(), *module.buffers()]


class _Kept:
    """A module, and how its tensors were when it was new."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self._tensors = _tensors(module)
        self._learned = [tensor.requires_grad for tensor in self._tensors]
        self._values = [tensor.detach().clone() for tensor in self._tensors]

    def restore(self) -> bool:
        """Make it as it was. False where it has other tensors now."""
        now = _tensors(self.module)
        if len(now) != len(self._tensors) or any(a is not b for a, b in zip(now, self._tensors, strict=True)):
            return False
        for tensor, value, learned in zip(self._tensors, self._values, self._learned, strict=True):
            tensor.detach().copy_(value)
            tensor.requires_grad_(learned).grad = None
        self.module.eval()
        return True


class Oracle(Memory):
    """The classes of the reference, by attribute: `oracle.MultiHeadAttention(dim=16, head_num=2)`.

    Modules come in eval mode, freshly seeded. While stand-ins are in use, the reference's classes are built upon the
    same stand-ins as the student's, so that the two can be compared.

    keeps: what was built is given again after `release`, with its tensors as they were. Checks build for a submission
    what they built for the one before. What is asked `once` hangs on no submission, and nobody may change it.
    """

    def __init__(self, assignment: Assignment, solutions: Mapping[str, Notebook], keeps: bool = False) -> None:
        super().__init__()
        self._keeps = keeps
        self._assignment = assignment
        self._solutions = solutions
        self._namespaces: dict[tuple[str, frozenset[str]], dict[str, Any]] = {}
        self._in_use: list[tuple[Hashable, _Kept]] = []
        self._free: defaultdict[Hashable, list[_Kept]] = defaultdict(list)

    def release(self) -> None:
        """Whoever asked so far has no use for it any more."""
        for key, kept in self._in_use:
            self._free[key].append(kept)
        self._in_use.clear()

    def use_standins(self, names: Iterable[str]) -> None:
        self.standins = frozenset(names)

    def __getattr__(self, name: str) -> Any:
        spec = self._assignment.config.classes.get(name)
        if spec is None:
            raise AssignmentError(f"a check asks the oracle for {name}, which is not among [classes]")
        factory = self._namespace(spec.file)[name]

        def build(*args: Any, seed: int = 0, **kwargs: Any) -> Any:
            def anew() -> Any:
                with torch.random.fork_rng(devices=[]):
                    torch.default_generator.manual_seed(seed)  # torch.manual_seed notes a traceback each time
                    made = factory(*args, **kwargs)
                return made.eval() if isinstance(made, nn.Module) else made

            settings = (seed, *args, *itertools.chain.from_iterable(sorted(kwargs.items())))
            if not self._keeps or not all(isinstance(one, _PLAIN) for one in settings):
                return anew()
            # 2, 2.0 and True are equal, and may build different things.
            return self._kept((name, self.standins, len(args), settings, tuple(map(type, settings))), anew)

        return build

    def _kept(self, key: Hashable, anew: Callable[[], Any]) -> Any:
        free = self._free[key]
        while free:
            kept = free.pop()
            if kept.restore():
                self._in_use.append((key, kept))
                return kept.module
        made = anew()
        if isinstance(made, nn.Module) and sum(tensor.numel() for tensor in _tensors(made)) <= MOST_KEPT:
            self._in_use.append((key, _Kept(made)))
        return made

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
