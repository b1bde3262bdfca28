"""``Patch``: one attribute of a class or object that redispan replaces, and can restore exactly.

A patch keeps the original, and whether the owner defined it itself or inherited it. Undoing the patch restores exactly
that, and only if the attribute is still redispan's shell. If another tool has wrapped the shell meanwhile, its wrapper
stays, and the shell underneath only passes calls through.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

_log = logging.getLogger("redispan")

_MISSING = object()


class Patch:
    """One attribute that a shell replaces."""

    def __init__(self, owner: Any, name: str, build: Callable[[Callable[..., Any]], Any]) -> None:
        """Replace ``owner.name`` with ``build(original)``.

        Args:
            owner: A class or a module-like object.
            name: The attribute; it must exist.
            build: Takes the original and returns the shell that replaces it.

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
        """Whether the attribute is still this patch's shell."""
        return vars(self.owner).get(self.name, _MISSING) is self.shell

    def undo(self) -> None:
        """Restore the original, unless another tool has replaced or wrapped the shell."""
        if not self.intact:
            _log.debug("redispan: %s.%s was patched by others meanwhile and stays", self.owner, self.name)
            return
        if self.own is _MISSING:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, self.own)


class Addition(Patch):
    """One attribute that the owner did not have before. Undoing it deletes the attribute."""

    def __init__(self, owner: Any, name: str, value: Any) -> None:
        """Set ``owner.name`` to ``value``."""
        self.owner = owner
        self.name = name
        self.own = self.original = _MISSING
        self.shell = value
        setattr(owner, name, value)
