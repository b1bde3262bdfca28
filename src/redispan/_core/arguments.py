"""Reading the arguments of commands without running code of the program.

An argument may belong to a subclass of ``str``, ``bytes`` or ``int`` that overrides how it compares, hashes or prints,
and such an override may raise. redis-py sends the underlying value, so that value is what redispan reads.
"""

from __future__ import annotations


def plain(value: object) -> object:
    """Return the ``str``, ``bytes`` or ``int`` in an argument as the built-in type, and any other value unchanged.

    This never raises. A ``bool`` is returned unchanged too.
    """
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return bytes.__getitem__(value, slice(None))
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__add__(value, 0)
    return value
