"""What redispan instruments: the same range as the ``instruments`` extra in pyproject.toml."""

instruments = ("redis >= 5.0",)
