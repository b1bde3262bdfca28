"""What redispan instruments: the same ranges as the extras ``instruments`` and ``instruments-any`` in pyproject.toml."""

instruments: tuple[str, ...] = ()
"""All of these have to be installed."""

instruments_any = ("redis >= 5.0", "valkey >= 6.0")
"""And any one of these."""
