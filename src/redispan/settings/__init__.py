"""``Settings``: every setting of redispan, with its meaning, unit, default and reason.

A setting can be given as an argument (``Settings(spans="parented")``), as the environment variable
``OTEL_PYTHON_REDISPAN_<NAME>``, or as an ``opentelemetry-instrument`` flag (``--redispan_<name>``).
``docs/reference/settings.md`` is generated from these declarations.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from redispan.settings import table
from redispan.settings.insight import InsightSettings
from redispan.settings.monitoring import MonitoringSettings
from redispan.settings.pool import PoolSettings
from redispan.settings.table import setting


@dataclasses.dataclass(frozen=True)
class Settings(MonitoringSettings, PoolSettings, InsightSettings):
    """The values of all settings, which cannot be changed later.

    Make it with ``Settings(...)`` or ``Settings.from_environment(...)``.
    """

    # --- spans -------------------------------------------------------------------------------------------------
    spans: str = setting(
        "all",
        "Which operations get a span: `all`, `parented` (only inside a trace), `notable` (only slow or failed ones, "
        "written after the fact with their true times). Metrics count every operation in any case.",
        topic="spans",
        choices=("all", "parented", "notable"),
    )
    query_text: str = setting(
        "hidden",
        "What `db.query.text` shows: `hidden` (`SET ? ?`), `keys` (keys kept, values hidden), `off`.",
        topic="spans",
        choices=("hidden", "keys", "off"),
    )
    query_text_limit: int = setting(
        1024, "Longest `db.query.text`.", topic="spans", unit="characters", low=16, high=32768
    )
    script_names: bool = setting(
        True,
        "Name script operations by their sha1 (`EVALSHA <sha1>`). Turn it off where scripts are generated: "
        "every new text would be a new span name.",
        topic="spans",
    )
    include_commands: tuple[str, ...] = setting(
        (), "Only these commands get spans and measurements (empty: all).", topic="spans", commands=True
    )
    exclude_commands: tuple[str, ...] = setting(
        (),
        "These commands get neither span nor measurement (they stay in the self-metrics).",
        topic="spans",
        commands=True,
    )
    # --- failures ----------------------------------------------------------------------------------------------
    exception_events: bool = setting(
        True, "Emit a `db.client.operation.exception` log event for a failed operation.", topic="failures"
    )
    exception_events_per_minute: int = setting(
        60,
        "Most exception events per minute and error type; the rest is counted.",
        topic="failures",
        unit="events/min",
        low=1,
        high=100000,
    )
    # --- metrics -----------------------------------------------------------------------------------------------
    metrics: bool = setting(True, "Emit metrics at all.", topic="metrics")
    fine_buckets: bool = setting(
        False,
        "Histogram buckets from 0.1 ms instead of the conventions' list, whose first bound is 1 ms.",
        topic="metrics",
    )
    native_metrics: str = setting(
        "leave",
        "If redis-py's own OpenTelemetry metrics are active: `leave` those that redispan has too to redis-py, or "
        "`replace` them by redispan's, which takes an instrumentation before redis-py's first measurement.",
        topic="metrics",
        choices=("leave", "replace"),
    )
    contrib: str = setting(
        "replace",
        "What to do with opentelemetry-instrumentation-redis when it is active too: `replace` it, or `keep` it "
        "(redispan then writes no spans of its own).",
        topic="metrics",
        choices=("replace", "keep"),
    )

    @classmethod
    def from_environment(
        cls, arguments: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
    ) -> tuple[Settings, table.Resolved]:
        """Return the settings in effect. This never raises: a value that cannot be used becomes a warning.

        Args:
            arguments: The values given in code, which override the environment.
            environ: The environment variables to read; those of the process by default.

        Returns:
            The settings, and a record of the source of each setting and of the warnings.
        """
        resolved = table.resolve(dataclasses.fields(cls), arguments or {}, os.environ if environ is None else environ)
        return cls(**resolved.values), resolved

    def changed(self) -> dict[str, Any]:
        """Return the settings that differ from their default, by name."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        }
