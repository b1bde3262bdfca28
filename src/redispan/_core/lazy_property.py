"""Properties that are computed on first use, without a lock.

``functools.cached_property`` of Python 3.10 and 3.11 holds one lock for all instances of a class: who is forked while
another thread computes a figure would wait for it for ever. Here two threads may compute the same figure twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value")


class lazily(Generic[Value]):  # noqa: N801 - a decorator
    """Like ``functools.cached_property``: the value takes the property's place in the instance."""

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        """Wrap the method that computes the value."""
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn the name that it was given."""
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> lazily[Value]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: object | None, owner: type) -> lazily[Value] | Value:
        """Compute the value, and don't be asked again."""
        if instance is None:
            return self
        value = vars(instance)[self._name] = self._compute(instance)
        return value
