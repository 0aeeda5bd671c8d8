"""What is asked of a worker together with the next question.

Each turn from one process to the other and back costs both more than a tiny layer's answer: caches have gone cold
meanwhile. So building an object, and giving it weights, wait for whatever is asked of it first, and all goes in one
batch. Checks do not notice: what goes wrong is raised at that question, or at the end of the check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from grader import wire
from grader.errors import Fault

Answer = TypeVar("Answer")


class Asks(Protocol):
    """Whoever sends what is promised."""

    def keep_promises(self) -> None: ...


class Promise(Generic[Answer]):
    """The answer to `request` about the class `about`, once it has come.

    taken: makes the answer of the reply; may raise a Fault. explained: says more about what the code raised.
    """

    def __init__(
        self,
        asks: Asks,
        request: wire.AnyRequest,
        about: str,
        taken: Callable[[wire.AnyReply], Answer],
        explained: Callable[[Fault], Fault],
    ) -> None:
        self.request = request
        self.about = about
        self.explained = explained
        self._asks = asks
        self._taken = taken
        self._answer: list[Answer] = []  # one, or none as yet
        self._fault: Fault | None = None

    @property
    def is_open(self) -> bool:
        return not self._answer and self._fault is None

    def take(self, reply: wire.AnyReply) -> None:
        """Raises the Fault that the reply is."""
        self._answer.append(self._taken(reply))

    def break_off(self, fault: Fault) -> None:
        """There will be no answer, and this is why."""
        if self.is_open:
            self._fault = fault

    def kept(self) -> Answer:
        """The answer. Raises the Fault that came of it."""
        if self.is_open:
            self._asks.keep_promises()
        if self._fault is not None:
            raise self._fault
        return self._answer[0]
