"""Checks of the installed packages: the versions that matter, and other instrumentations of redis-py."""

from __future__ import annotations

import importlib.util
import platform
import sys
from collections.abc import Mapping
from importlib import metadata

from redispan.cli.check_results import Section
from redispan.version import __version__

OLDEST_REDIS = (5, 0)

# The distribution, whether its absence is a problem, and what its absence means.
_PACKAGES = (
    ("redis", True, "nothing to instrument: pip install redis"),
    ("valkey", False, ""),
    ("hiredis", False, "redis-py parses answers in Python"),
    ("opentelemetry-api", True, "redispan cannot work: pip install redispan again"),
    ("opentelemetry-sdk", True, 'telemetry goes nowhere: pip install "redispan[otlp]"'),
    ("opentelemetry-instrumentation", True, "no opentelemetry-instrument: pip install redispan again"),
    ("opentelemetry-instrumentation-redis", False, "redispan works without it"),
    ("opentelemetry-distro", False, "exporters must be named in OTEL_TRACES_EXPORTER and its siblings"),
    ("opentelemetry-exporter-otlp", False, ""),
    ("opentelemetry-exporter-otlp-proto-grpc", False, ""),
    ("opentelemetry-exporter-otlp-proto-http", False, ""),
    ("tenacity", False, "the tuned pool retries without it"),
)

# The module, the product, and the switch that keeps it from instrumenting redis-py.
_OTHERS = (
    ("ddtrace", "Datadog", "DD_TRACE_REDIS_ENABLED=false"),
    ("sentry_sdk", "Sentry", "disabled_integrations=[RedisIntegration()]"),
    ("newrelic", "New Relic", "its instrumentation settings for redis"),
    ("elasticapm", "Elastic APM", "its instrumentation settings for redis"),
    ("scout_apm", "Scout", "disabled_instruments=redis"),
    ("logfire", "Logfire", "leave out logfire.instrument_redis()"),
)


def versions(_environ: Mapping[str, str]) -> Section:
    """Check the versions of Python and of every package that matters."""
    section = Section("Versions")
    section.ok("python", f"{platform.python_version()} ({sys.executable})")
    section.ok("redispan", __version__)
    for name, needed, consequence in _PACKAGES:
        version = version_of(name)
        if version is None:
            if name == "redis" and version_of("valkey") is not None:
                section.note(name, "not installed; valkey is, and one of them is enough")
            elif needed:
                section.problem(name, f"not installed; {consequence}")
            elif consequence:
                section.note(name, f"not installed; {consequence}")
        elif name == "redis" and _numbers(version) < OLDEST_REDIS:
            section.problem(name, f"{version} is too old and is left alone; 5.0 or newer is needed")
        else:
            section.ok(name, version)
    return section


def others(environ: Mapping[str, str]) -> Section:
    """List the other instrumentations of redis-py that are installed."""
    section = Section("Who else instruments redis-py")
    if version_of("opentelemetry-instrumentation-redis") is not None:
        kept = environ.get("OTEL_PYTHON_REDISPAN_CONTRIB", "").strip().lower() == "keep"
        fate = "kept, as set: redispan writes no spans" if kept else "taken over: one span per command"
        disabled = {name.strip() for name in environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")}
        if {"redispan", "*"} & disabled:
            fate = "left alone: redispan is switched off"
        if version_of("redis") is None:
            fate = "idle: there is no redis-py"
        section.ok("opentelemetry-instrumentation-redis", fate)
    if is_there("redis.observability"):
        policy = environ.get("OTEL_PYTHON_REDISPAN_NATIVE_METRICS", "").strip().lower() or "leave"
        fate = "replaced" if policy == "replace" else "kept"
        state = "on in this process: " if _native_metrics_are_on() else "off unless the program turns them on; then "
        text = f"redis-py's own metrics, {state}{fate} (native_metrics={policy})"
        section.ok("redis.observability", text)
    for module, product, switch in _OTHERS:
        if is_there(module):
            section.note(
                module, f"{product} is installed; where it is active too, each command is traced twice ({switch})"
            )
    if not section.findings:
        section.ok("nobody", "nothing else was found")
    return section


def _native_metrics_are_on() -> bool:
    if "redis.observability.providers" not in sys.modules:
        return False
    from redispan._client.internals import clients

    return clients.native_config() is not None


def version_of(distribution: str) -> str | None:
    """Return the installed version, or None if the distribution is absent or its metadata is broken."""
    try:
        return metadata.version(distribution)
    except Exception:
        # Broken metadata counts as absent.
        return None


def is_there(module: str) -> bool:
    """Return whether ``module`` can be found. A module with a broken parent counts as absent."""
    try:
        return importlib.util.find_spec(module) is not None
    except Exception:
        return False


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
