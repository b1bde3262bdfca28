"""The value of ``db.query.text``: a command as redis-cli would show it, with every literal replaced by ``?``.

There are three modes. ``hidden`` shows only the command's name (``SET ? ?``). ``keys`` also shows each argument that is
certainly a key according to the command table (``SET user:1 ?``). ``off`` returns no text. Commands marked secret
(AUTH, CONFIG, EVAL, ...) and unknown commands are never shown with keys: mode ``keys`` shows them as ``hidden`` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from redispan._core.command_keys import key_positions
from redispan._core.commands import CommandInfo, words_after_name, words_in_name

DEFAULT_LIMIT = 1024
"""The default limit in characters. The conventions discourage longer attributes."""

_ARGUMENTS_SHOWN = 50
_KEY_LENGTH_SHOWN = 64
_CUT = "..."


def query_text(info: CommandInfo, args: Sequence[object], mode: str, limit: int = DEFAULT_LIMIT) -> str | None:
    """Return the text of one command, at most ``limit`` characters; None in mode ``off``. Never raises.

    Args:
        info: The command, as ``identify`` returns it.
        args: The arguments as the caller passed them, the command's name first.
        mode: ``hidden``, ``keys`` or ``off``; anything else counts as ``hidden``.
        limit: The longest text, in characters.
    """
    if mode == "off":
        return None
    try:
        in_name, embedded = words_in_name(args, info), words_after_name(args, info)
        count = len(args) - in_name + embedded
        if mode == "keys" and not info.secret and not embedded:
            return cut(_text_with_keys(info, args[in_name : in_name + _ARGUMENTS_SHOWN], args[in_name:]), limit)
        return hidden_text(info.name, count, limit)
    except Exception:
        return cut(info.name, limit)


def hidden_text(name: str, n_arguments: int, limit: int = DEFAULT_LIMIT) -> str:
    """Return the text of mode ``hidden``, such as ``SET ? ?``, from the command's name and number of arguments."""
    return cut(name + " ?" * min(n_arguments, _ARGUMENTS_SHOWN) + _more(n_arguments), limit)


def batch_text(texts: Iterable[str], limit: int = DEFAULT_LIMIT) -> str:
    """Join the texts of a batch with ``; ``, up to ``limit`` characters. Texts that are all the same appear once."""
    distinct: list[str] = []
    length = 0
    repeated = 0
    for text in texts:
        if not distinct or (len(distinct) == 1 and text == distinct[0]):
            repeated += 1
            distinct = [text]
            continue
        if len(distinct) == 1:
            distinct *= min(repeated, limit)
            length = len(distinct) * (len(text) + 2)
        distinct.append(text)
        length += len(text) + 2
        if length > limit + 2:
            break
    return cut("; ".join(distinct), limit)


def cut(text: str, limit: int) -> str:
    """Return ``text``, or its beginning followed by ``...`` if it is longer than ``limit`` characters."""
    if len(text) <= limit:
        return text
    return text[: max(0, limit - len(_CUT))] + _CUT[:limit]


def _text_with_keys(info: CommandInfo, shown: Sequence[object], arguments: Sequence[object]) -> str:
    keys = key_positions(info.keys, arguments)
    parts = [_key_text(argument) if at in keys else "?" for at, argument in enumerate(shown)]
    return " ".join([info.name, *parts]) + _more(len(arguments))


def _more(n_arguments: int) -> str:
    return f" {_CUT} ({n_arguments - _ARGUMENTS_SHOWN} more)" if n_arguments > _ARGUMENTS_SHOWN else ""


def _key_text(key: object) -> str:
    """Return a key as one word of printable text, cut to a bounded length, and in quotes where it needs them."""
    if isinstance(key, str):
        text = str.__str__(key)[: _KEY_LENGTH_SHOWN + 1]
    elif isinstance(key, (bytes, bytearray, memoryview)):
        text = bytes(key[: _KEY_LENGTH_SHOWN + 1]).decode("utf-8", "backslashreplace")
    elif isinstance(key, int):
        text = int.__repr__(key)
    else:
        return "?"
    text = cut(text, _KEY_LENGTH_SHOWN)
    if not text.isprintable():
        # Escaped text is ASCII, so it holds no lone surrogate, which no exporter can encode.
        return '"' + text.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'
    if text.strip("?") and not any(mark in text for mark in " \"'\\;"):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
