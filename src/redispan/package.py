"""The packages that redispan instruments, with their version ranges.

They are the same as in the extras ``instruments`` and ``instruments-any`` of pyproject.toml.
"""

instruments: tuple[str, ...] = ()
"""Packages that must all be installed."""

instruments_any = ("redis >= 5.0", "valkey >= 6.0")
"""Packages of which any one must be installed."""
