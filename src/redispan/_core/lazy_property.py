"""``lazily``: a property that is computed at its first use, without a lock.

In Python 3.10 and 3.11, ``functools.cached_property`` holds one lock for all instances of a class. A process that is
forked while another thread computes such a property would wait for this lock forever. ``lazily`` has no lock, so two
threads may compute the same value twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value")


class lazily(Generic[Value]):  # noqa: N801 - a decorator
    """A decorator like ``functools.cached_property``: the value replaces the property in the instance."""

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        """Wrap the method that computes the value."""
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        """Store the name of the property, under which the value is kept in the instance."""
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> lazily[Value]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: object | None, owner: type) -> lazily[Value] | Value:
        """Compute the value and store it in the instance, so that this is not called again."""
        if instance is None:
            return self
        value = vars(instance)[self._name] = self._compute(instance)
        return value
