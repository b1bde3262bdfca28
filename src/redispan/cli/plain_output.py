"""Output on terminals that can't show everything: what has no character there gets one of ASCII, of the same width."""

from __future__ import annotations

import codecs
import sys
from typing import Any

_HANDLER = "redispan-plain"

_LIKE = {
    "├": "|", "└": "`", "│": "|", "─": "-", "\N{MULTIPLICATION SIGN}": "x", "…": ".",
    "✗": "x", "✓": "+", "·": "-", "▲": "!", "↻": "~",
    "█": "#", "▉": "#", "▊": "#", "▋": "#", "▌": "=", "▍": "=", "▎": "-", "▏": "-",
}  # fmt: skip


def settle() -> None:
    """Let standard output replace what its encoding lacks; an end in a traceback would be worse than plain letters."""
    reconfigure: Any = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None and not (sys.stdout.encoding or "").lower().startswith("utf"):
        codecs.register_error(_HANDLER, _replace)
        reconfigure(errors=_HANDLER)


def _replace(fault: UnicodeError) -> tuple[str, int]:
    if not isinstance(fault, UnicodeEncodeError):
        raise fault
    return "".join(_LIKE.get(character, "?") for character in fault.object[fault.start : fault.end]), fault.end
