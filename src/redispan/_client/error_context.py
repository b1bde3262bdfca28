"""Errors that travelled through repeated attempts reach the caller as they were raised.

Raising an error anew sets its ``__context__`` to whatever is being handled by then, and what it came from is lost: the
caller could no longer tell a refused connection from a name that nobody knows.
"""

from __future__ import annotations


class Contexts:
    """Remembers what the latest error was raised in, and puts it back when that error leaves the block."""

    __slots__ = ("_context", "_error")

    def __init__(self, error: BaseException) -> None:
        """Start with the first failure."""
        self._error: BaseException | None = None
        self._context: BaseException | None = None
        self.note(error)

    def note(self, error: BaseException) -> None:
        """An attempt failed; what is told of the same error again, when it was raised anew, changes nothing."""
        if error is not self._error:
            self._error, self._context = error, error.__context__

    def __enter__(self) -> Contexts:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is not None and error is self._error:
            error.__context__ = self._context
        self._error = self._context = None
