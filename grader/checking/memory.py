"""What is found out once, however many checks look at it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Found = TypeVar("Found")


class Memory:
    """Keeps answers, those upon each set of stand-ins apart."""

    def __init__(self) -> None:
        self.standins: frozenset[str] = frozenset()  # that are in use
        self._found_out: dict[tuple[Hashable, frozenset[str]], Any] = {}

    def once(self, key: Hashable, ask: Callable[[], Found]) -> Found:
        """What `ask` finds out, which is asked once for all who need it. What it raises is not kept."""
        place = (key, self.standins)
        if place not in self._found_out:
            self._found_out[place] = ask()
        found: Found = self._found_out[place]
        return found
