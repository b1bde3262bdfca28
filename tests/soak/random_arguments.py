"""Arguments of every shape that a program might pass by mistake, each with a mark that finds it again."""

from __future__ import annotations

import decimal
import enum
import fractions
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from behaviour.test_rude_arguments import QUESTIONS, rude

MARK = "m4rk3d"
KEYS = tuple(f"{MARK}:{kind}" for kind in ("text", "number", "list", "hash", "set", "sorted", "stream", "none"))
HUGE_BYTES = 300_000

touched: Counter[str] = Counter()
"""What was asked of the witnesses."""


class Colour(enum.Enum):
    """An enumeration, which redis-py refuses."""

    RED = f"{MARK}-red"


def witness(kind: type, *value: object) -> Any:
    """Return an object of a subclass that answers like its parent, and counts the calls of its methods."""

    def asked(name: str) -> Callable[..., Any]:
        parents = getattr(kind, name)

        def answer(self: Any, *args: Any, **kwargs: Any) -> Any:
            touched[f"{kind.__name__}.{name}"] += 1
            return parents(self, *args, **kwargs)

        return answer

    # Not its repr, which the test itself calls.
    names = [name for name in QUESTIONS if hasattr(kind, name) and name != "__repr__"]
    return type("Witness", (kind,), {name: asked(name) for name in names})(*value)


def argument(source: random.Random, *, usual: bool = False) -> Callable[[], Any]:
    """Return a maker of an argument: the same one each time, or a new one where it is used up or counts.

    Args:
        source: The random generator.
        usual: Whether redis-py accepts it, so that enough calls reach the server.
    """
    text = f"{MARK}{source.randrange(10**6)}"
    number = source.randrange(-(10**4), 10**4)
    # fmt: off
    plain: tuple[Any, ...] = (
        text, text.encode(), bytearray(text.encode()), memoryview(text.encode()), f"{text} and more", f"x\r\n{text}",
        f"ERR {text}", f"{text}\0", f"{text}\u20ac", f"{text}\ud800", text.encode() + b"\xff\xfe", "", b"", " ",
        number, number, 10**40, 0.5, float("nan"), float("inf"), True, None, decimal.Decimal("1.5"),
        fractions.Fraction(1, 3), 1j, [text], (text, [text, {text: text}]), {text: 1}, {"nested": [[[[text]]]]},
        frozenset({text}), object, Colour.RED, ValueError(text), range(3), Ellipsis,
    )
    made: tuple[Callable[[], Any], ...] = (
        lambda: rude(str, text), lambda: rude(bytes, text.encode()), lambda: rude(int, number), lambda: rude(object),
        lambda: witness(str, text), lambda: witness(bytes, text.encode()), lambda: witness(int, number),
        lambda: (part for part in (text, text)), lambda: iter([text]),
    )
    # fmt: on
    if usual:
        taken = source.choice((text, text.encode(), number, source.randrange(5), 0.5, *KEYS[:3]))
        return lambda: taken
    kind = source.random()
    if kind < 0.35:
        key: Any = source.choice(KEYS)
        return lambda: key
    if kind < 0.75:
        value = source.choice(plain)
        return lambda: value
    if kind < 0.98:
        return source.choice(made)
    huge = source.choice((text * (HUGE_BYTES // len(text)), text.encode() * (HUGE_BYTES // len(text)), [text] * 5000))
    return lambda: huge
