"""Arguments of the program's own classes, read without asking those classes: what they answer, or raise, is theirs.

A ``str`` subclass may compare, hash or print as it likes, and redis-py sends the text that is in it all the same.
"""

from __future__ import annotations


def plain(value: object) -> object:
    """The text or number in an argument as Python's own type; anything else as it is. Never raises."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return bytes.__getitem__(value, slice(None))
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__add__(value, 0)
    return value
