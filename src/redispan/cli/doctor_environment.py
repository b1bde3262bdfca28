"""Checks of the environment: OpenTelemetry's exporters, endpoints and sampler, and redispan's own settings."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from importlib import import_module, metadata
from typing import Any

from redispan.cli.check_results import Section
from redispan.cli.doctor_installed import version_of
from redispan.settings import Settings
from redispan.settings.table import ENV_PREFIX, info_of, variable_of

SIGNALS = ("traces", "metrics", "logs")

_TRUE = ("true", "1")
_SECRET = ("monitoring_token", "alert_webhook")
"""Settings whose values are hidden. The URL of a webhook is secret, because it needs no other password."""
_DEFAULT_PORTS = {"grpc": 4317, "http/protobuf": 4318, "http/json": 4318}
_EXPORTER_OF_PROTOCOL = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http", "http/json": "otlp_json_http"}


@dataclasses.dataclass(frozen=True)
class OtlpTarget:
    """The OTLP endpoint of one signal, its protocol, and the variable that names it or ``default``."""

    signal: str
    endpoint: str
    protocol: str
    source: str


def telemetry(environ: Mapping[str, str]) -> Section:
    """Check the exporters in effect, and everything else that decides whether telemetry leaves the program."""
    section = Section("OpenTelemetry")
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        section.problem("OTEL_SDK_DISABLED", "is true: nothing is recorded or sent")
    if environ.get("OTEL_CONFIG_FILE", "").strip():
        section.note("OTEL_CONFIG_FILE", "is set: the file decides, and not the variables below")
    _service(section, environ)
    for signal in SIGNALS:
        _exporters(section, signal, environ)
    sampler = environ.get("OTEL_TRACES_SAMPLER", "").strip() or "parentbased_always_on"
    if sampler.endswith("always_off"):
        section.note("sampler", f"{sampler}: no spans; metrics count every operation all the same")
    else:
        section.ok("sampler", " ".join((sampler, environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip())).rstrip())
    opt_in = environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "").strip()
    section.ok("conventions", f"1.44 stable names; OTEL_SEMCONV_STABILITY_OPT_IN={opt_in or '(unset)'}")
    for kind, provider in _providers():
        section.note(kind, provider)
    return section


def settings(environ: Mapping[str, str]) -> Section:
    """List every setting, starting with those that were set, and every unusable value and unknown variable."""
    section = Section("Settings")
    values, resolved = Settings.from_environment(environ=environ)
    fields = dataclasses.fields(Settings)
    names = [field.name for field in fields]
    for field in sorted(fields, key=lambda field: resolved.sources[field.name] == "default"):
        shown = _shown(field.name, getattr(values, field.name), info_of(field).unit)
        if resolved.sources[field.name] == "default":
            section.note(field.name, f"{shown}  (default)")
        else:
            section.ok(field.name, f"{shown}  ({variable_of(field.name)})")
    for warning in resolved.warnings:
        variable, _, rest = warning.partition(": ")
        section.problem(variable, rest)
    known = {variable_of(name) for name in names}
    for variable in sorted(environ):
        if variable.startswith(ENV_PREFIX) and variable not in known:
            nearest = difflib.get_close_matches(variable, known, n=1)
            section.problem(variable, f"no such setting{f'; did you mean {nearest[0]}?' if nearest else ''}")
    return section


def _shown(name: str, value: Any, unit: str) -> str:
    if value is None or value in ("", ()):
        return "(none)"
    if name in _SECRET:
        return "(set)"
    if isinstance(value, bool):
        return str(value).lower()  # as in an environment variable
    words = ",".join(value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value)
    return f"{words} {unit}".rstrip()


def exporters_of(signal: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the exporters in effect for one signal."""
    named = environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip()
    if not named and version_of("opentelemetry-distro") is not None:
        named = "otlp"
    return tuple(part.strip() for part in named.split(",") if part.strip() and part.strip().lower() != "none")


def otlp_targets(environ: Mapping[str, str]) -> list[OtlpTarget]:
    """Return the OTLP endpoint of each signal that is sent over OTLP."""
    return [
        _target(signal, environ)
        for signal in SIGNALS
        if any(n.startswith("otlp") for n in exporters_of(signal, environ))
    ]


def _target(signal: str, environ: Mapping[str, str]) -> OtlpTarget:
    protocol = _specific(signal, "PROTOCOL", environ)[0].lower() or "grpc"
    endpoint, source = _specific(signal, "ENDPOINT", environ)
    if not endpoint:
        endpoint, source = f"http://localhost:{_DEFAULT_PORTS.get(protocol, 4318)}", "default"
    return OtlpTarget(signal, endpoint, protocol, source)


def _specific(signal: str, what: str, environ: Mapping[str, str]) -> tuple[str, str]:
    for variable in (f"OTEL_EXPORTER_OTLP_{signal.upper()}_{what}", f"OTEL_EXPORTER_OTLP_{what}"):
        value = environ.get(variable, "").strip()
        if value:
            return value, variable
    return "", ""


def _service(section: Section, environ: Mapping[str, str]) -> None:
    name = environ.get("OTEL_SERVICE_NAME", "").strip()
    if name:
        section.ok("service.name", name)
    elif "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        section.ok("service.name", "from OTEL_RESOURCE_ATTRIBUTES")
    else:
        section.note("service.name", "unknown_service: set OTEL_SERVICE_NAME")


def _exporters(section: Section, signal: str, environ: Mapping[str, str]) -> None:
    names = exporters_of(signal, environ)
    if not names:
        section.note(signal, f"not sent: OTEL_{signal.upper()}_EXPORTER names no exporter")
    for name in names:
        protocol = _specific(signal, "PROTOCOL", environ)[0].lower() or "grpc"
        entry_point = _EXPORTER_OF_PROTOCOL.get(protocol, "") if name == "otlp" else name
        fault = _exporter_fault(signal, entry_point)
        words = f"otlp over {protocol}" if name == "otlp" else name
        if fault:
            section.problem(signal, f"{words}: {fault}")
        else:
            section.ok(signal, words)


def _exporter_fault(signal: str, name: str) -> str:
    found = [point for point in metadata.entry_points(group=f"opentelemetry_{signal}_exporter") if point.name == name]
    if not found:
        return 'no such exporter is installed: pip install "redispan[otlp]", or the package that has it'
    try:
        found[0].load()
    except Exception as fault:
        return f"it is installed, and cannot be loaded: {type(fault).__name__}"
    return ""


def _providers() -> list[tuple[str, str]]:
    """Return the kind and class of each provider that this process has set."""
    found: list[tuple[str, str]] = []
    for kind, module, getter in (
        ("tracer provider", "opentelemetry.trace", "get_tracer_provider"),
        ("meter provider", "opentelemetry.metrics", "get_meter_provider"),
        ("logger provider", "opentelemetry._logs", "get_logger_provider"),
    ):
        try:
            provider: Any = getattr(import_module(module), getter)()
        except Exception:  # noqa: S112 - the check of the versions reports what is missing
            continue
        name = f"{type(provider).__module__}.{type(provider).__qualname__}"
        if not name.startswith(module) and "Proxy" not in name:
            found.append((kind, name))
    return found
