"""Output on terminals without UTF-8: a character that the terminal lacks becomes an ASCII one of the same width."""

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
    """Let standard output replace the characters that its encoding lacks, instead of raising."""
    reconfigure: Any = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None and not (sys.stdout.encoding or "").lower().startswith("utf"):
        codecs.register_error(_HANDLER, _replace)
        reconfigure(errors=_HANDLER)


def _replace(fault: UnicodeError) -> tuple[str, int]:
    if not isinstance(fault, UnicodeEncodeError):
        raise fault
    return "".join(_LIKE.get(character, "?") for character in fault.object[fault.start : fault.end]), fault.end
