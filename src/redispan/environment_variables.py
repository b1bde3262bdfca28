"""The environment variables of redispan, declared so that ``opentelemetry-instrument`` offers them as flags.

``opentelemetry-instrument`` imports this module before the program starts, and an exception here would keep the program
from starting. So the module imports only redispan's own settings, and it cannot raise.
"""

try:
    import dataclasses as _dataclasses

    from redispan.settings import Settings as _Settings
    from redispan.settings import table as _table

    for _field in _dataclasses.fields(_Settings):
        globals()[_table.variable_of(_field.name)] = _table.variable_of(_field.name)
except Exception:  # noqa: S110 - the program must start even if redispan's installation is broken
    pass
