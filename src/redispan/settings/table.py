"""The declaration, parsing and checking of settings, for ``redispan.settings``.

A setting is a dataclass field whose metadata holds its meaning, unit and limits. An argument overrides the environment
variable ``OTEL_PYTHON_REDISPAN_<NAME>``, which overrides the default. An unusable value is never an error: it becomes
one warning that names the variable and the value in use.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

ENV_PREFIX = "OTEL_PYTHON_REDISPAN_"

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


class UnusableValue(ValueError):
    """A value that a setting can't take; the message is the value."""


@dataclasses.dataclass(frozen=True)
class SettingInfo:
    """The declaration of one setting, for the reference page, ``redispan doctor`` and the parser.

    Attributes:
        doc: Its meaning, as in the reference page.
        topic: The group of settings it belongs to.
        unit: The unit of its value; empty for none.
        parse: Turns a given value into the setting's value, or raises.
        takes: The values it takes, in words, for a warning.
    """

    doc: str
    topic: str
    unit: str = ""
    parse: Callable[[Any], Any] = str
    takes: str = "text"


@dataclasses.dataclass(frozen=True)
class Resolved:
    """The result of ``resolve``.

    Attributes:
        values: The value in effect of every setting.
        sources: The source of every value: ``argument``, ``environment`` or ``default``.
        warnings: One warning for each value or argument that was refused.
    """

    values: dict[str, Any]
    sources: dict[str, str]
    warnings: tuple[str, ...]


def setting(
    default: Any,
    doc: str,
    *,
    topic: str,
    unit: str = "",
    choices: tuple[str, ...] = (),
    low: float | None = None,
    high: float | None = None,
    optional: bool = False,
    commands: bool = False,
) -> Any:
    """Declare one setting. The kind of its value follows from the default.

    Args:
        default: The default value.
        doc: Its meaning, for the reference page.
        topic: The group of settings it belongs to.
        unit: The unit of its value.
        choices: The only values it takes, if it takes words.
        low: The smallest number it takes.
        high: The largest number it takes.
        optional: Whether it takes None too, written as an empty value or ``none``.
        commands: Whether it holds names of commands, which become upper case.

    Returns:
        The dataclass field.
    """
    parse: Callable[[Any], Any]
    if choices:
        parse, takes = _choice(choices), "one of " + ", ".join(choices)
    elif isinstance(default, bool):
        parse, takes = _boolean, "true or false"
    elif isinstance(default, tuple):
        parse, takes = _names(upper=commands), "names separated by commas"
    elif isinstance(default, (int, float)):
        parse, takes = _number(type(default), low, high), _range_words(type(default), low, high)
    elif low is not None or high is not None:
        parse, takes = _number(float, low, high), _range_words(float, low, high)
    else:
        parse, takes = _text, "text"
    if optional:
        parse, takes = _or_none(parse), takes + ", or empty for none"
    info = SettingInfo(doc=doc, topic=topic, unit=unit, parse=parse, takes=takes)
    return dataclasses.field(default=default, metadata={"setting": info})


def info_of(field: dataclasses.Field[Any]) -> SettingInfo:
    """Return the declaration of the setting in ``field``."""
    found: SettingInfo = field.metadata["setting"]
    return found


def variable_of(name: str) -> str:
    """Return the name of the environment variable of the setting ``name``."""
    return ENV_PREFIX + name.upper()


def resolve(
    fields: tuple[dataclasses.Field[Any], ...], arguments: Mapping[str, Any], environ: Mapping[str, str]
) -> Resolved:
    """Resolve the value of every setting: an argument, else the environment variable, else the default.

    An unusable value is refused with a warning, and the next source counts.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    warnings: list[str] = []
    for field in fields:
        info = info_of(field)
        values[field.name], sources[field.name] = field.default, "default"
        variable = variable_of(field.name)
        candidates = (
            (environ.get(variable), variable, "environment"),
            (arguments.get(field.name), f"argument {field.name!r}", "argument"),
        )
        for given, origin, source in candidates:
            if given is None or (source == "environment" and not given.strip()):
                continue
            try:
                values[field.name], sources[field.name] = info.parse(given), source
            except Exception:
                in_use = values[field.name]
                warnings.append(f"{origin}: unusable value {_shown(given)}; it takes {info.takes}. Using {in_use!r}.")
    known = {field.name for field in fields}
    warnings.extend(f"argument {name!r}: no such setting; ignored." for name in arguments if name not in known)
    return Resolved(values, sources, tuple(warnings))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _text(value: Any) -> str:
    return str(value).strip()


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise UnusableValue(word)


def _choice(choices: tuple[str, ...]) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        word = str(value).strip().lower()
        if word not in choices:
            raise UnusableValue(word)
        return word

    return parse


def _number(kind: type, low: float | None, high: float | None) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        if isinstance(value, bool):
            raise UnusableValue(str(value))
        number = kind(value.strip() if isinstance(value, str) else value)
        # `not a >= b` instead of `a < b`, because it refuses a NaN too.
        if (low is not None and not number >= low) or (high is not None and not number <= high):
            raise UnusableValue(str(value))
        if not math.isfinite(number):
            raise UnusableValue(str(value))
        return number

    return parse


def _range_words(kind: type, low: float | None, high: float | None) -> str:
    noun = "a whole number" if kind is int else "a number"
    if low is not None and high is not None:
        return f"{noun} from {low:g} to {high:g}"
    if low is not None:
        return f"{noun} of at least {low:g}"
    return noun


def _names(*, upper: bool) -> Callable[[Any], tuple[str, ...]]:
    def parse(value: Any) -> tuple[str, ...]:
        parts = value.split(",") if isinstance(value, str) else list(value)
        cleaned = [" ".join(str(part).split()) for part in parts]
        return tuple(part.upper() if upper else part for part in cleaned if part)

    return parse


def _or_none(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def parse_optional(value: Any) -> Any:
        if isinstance(value, str) and value.strip().lower() in ("", "none"):
            return None
        return parse(value)

    return parse_optional
