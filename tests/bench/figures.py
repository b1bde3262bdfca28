"""The measurements: one number for each state and operation, and the values derived from them."""

from __future__ import annotations

from collections.abc import Mapping

from bench.states import BARE, BY_NAME, State


class Figures:
    """One measure, such as instructions, of every requested state and operation."""

    def __init__(self, found: Mapping[str, Mapping[str, float]]) -> None:
        self._found = found
        self.states = tuple(BY_NAME[name] for name in found)
        self.operations = tuple(found[BARE.name])

    def all_of(self, state: State, operation: str) -> float | None:
        """Return the cost of the whole watched call."""
        return self._found.get(state.name, {}).get(operation)

    def over_bare(self, state: State, operation: str) -> float | None:
        """Return the cost that watching adds to the call."""
        watched, bare = self.all_of(state, operation), self.all_of(BARE, operation)
        return None if watched is None or bare is None else watched - bare

    def ratio(self, state: State, against: State, operation: str) -> float | None:
        """Return the cost that watching adds, divided by the cost that the other watcher adds."""
        one, other = self.over_bare(state, operation), self.over_bare(against, operation)
        return None if one is None or not other else one / other

    def saved(self, state: State, operation: str) -> float | None:
        """Return the cost that a state's settings save, compared with the same watcher without them."""
        default = self.over_bare(State(state.watcher, state.sdk), operation)
        varied = self.over_bare(state, operation)
        return None if default is None or varied is None else default - varied
