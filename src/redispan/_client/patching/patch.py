"""Putting plain functions on classes and objects, and taking exactly them off again.

The original is kept together with whether the owner had it itself or inherited it. Taking a patch off restores
exactly that, and only if the attribute is still ours; where another tool wrapped us meanwhile, its wrapper stays and
our function underneath becomes a pass-through.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

_log = logging.getLogger("redispan")

_MISSING = object()


class Patch:
    """One replaced attribute."""

    def __init__(self, owner: Any, name: str, build: Callable[[Callable[..., Any]], Any]) -> None:
        """Replace ``owner.name`` by ``build(original)``.

        Args:
            owner: A class or a module-like object.
            name: The attribute; it must exist.
            build: Makes the shell around the original.

        Raises:
            AttributeError: If there is no such attribute.
        """
        self.owner = owner
        self.name = name
        self.own = vars(owner).get(name, _MISSING)
        self.original = getattr(owner, name)
        self.shell = build(self.original)
        setattr(owner, name, self.shell)

    @property
    def intact(self) -> bool:
        """Whether the attribute is still what we put there."""
        return vars(self.owner).get(self.name, _MISSING) is self.shell

    def undo(self) -> None:
        """Take the patch off."""
        if not self.intact:
            _log.debug("redispan: %s.%s was patched by others meanwhile and stays", self.owner, self.name)
            return
        if self.own is _MISSING:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, self.own)


class Addition(Patch):
    """One attribute that was not there."""

    def __init__(self, owner: Any, name: str, value: Any) -> None:
        """Put ``value`` at ``owner.name``."""
        self.owner = owner
        self.name = name
        self.own = self.original = _MISSING
        self.shell = value
        setattr(owner, name, value)
