"""Which commands a batch consists of, found out once for the whole batch instead of command by command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from operator import itemgetter

from redispan._core.commands import AT_ONCE, CommandInfo, identify

_FIRST = itemgetter(0)
_PLAIN_WORDS = {str}


class Census(dict[CommandInfo, int]):
    """How often each command occurs.

    Attributes:
        plain: Each is told by its first argument alone, which is its name as the table has it and nothing else.
    """

    plain = False


def take(commands: Sequence[Sequence[object]]) -> Census:
    """Count the commands of a batch; never raises, whatever they are."""
    try:
        # Nearly all are plain words. Only such are compared: comparing bytes with str is what `python -bb` forbids,
        # and a class of the program's may do anything when it is.
        words = list(map(_FIRST, commands))
        if set(map(type, words)) == _PLAIN_WORDS:
            first = words[0]
            counts = {first: len(words)} if words.count(first) == len(words) else Counter(words)
            found = Census({AT_ONCE[word]: count for word, count in counts.items()})
            found.plain = True
            return found
    except Exception:  # noqa: S110 - an empty command, or a word that is not in the table as it stands
        pass
    return Census(Counter([identify(args) for args in commands]))
