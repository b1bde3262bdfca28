"""What redispan instruments: the ranges of the extras ``instruments`` and ``instruments-any`` in pyproject.toml."""

instruments: tuple[str, ...] = ()
"""All of these have to be installed."""

instruments_any = ("redis >= 5.0", "valkey >= 6.0")
"""And any one of these."""
