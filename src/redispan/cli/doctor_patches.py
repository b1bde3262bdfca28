"""Whether redis-py can be patched here: as it is in this process, or by trying it and taking it off again."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

from redispan.cli.findings import Section


def patches(environ: Mapping[str, str]) -> Section:
    """What is patched; under ``opentelemetry-instrument redispan doctor``, as the program would find it."""
    section = Section("Patches")
    disabled = [name.strip() for name in environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")]
    for name in ("redispan", "*"):
        if name in disabled:
            section.problem("switched off", f"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS holds {name!r}")
    try:
        from redispan.instrumentor import RedispanInstrumentor

        instrumentor = RedispanInstrumentor()
    except Exception as fault:
        section.problem("redispan", f"its instrumentor cannot be loaded: {type(fault).__name__}")
        return section
    if instrumentor.is_instrumented_by_opentelemetry:
        section.ok("state", "instrumented in this process")
        _describe(section, instrumentor)
        return section
    said = _Collected()
    logger = logging.getLogger("redispan")
    logger.addHandler(said)
    try:
        instrumentor.instrument()
        section.ok("state", "not instrumented in this process; tried, and taken off again")
        _describe(section, instrumentor)
        instrumentor.uninstrument()
    finally:
        logger.removeHandler(said)
    for message in said.messages:
        section.note("said", message)
    return section


def _describe(section: Section, instrumentor: Any) -> None:
    applied = instrumentor._patches  # noqa: SLF001 - there is no other face to it
    if not applied:
        section.problem("patches", "none: no supported redis-py or valkey-py was found")
        return
    for package, version in applied.packages.items():
        mine = [patch for patch in applied.applied if _belongs(patch.owner, package)]
        owners = Counter(getattr(patch.owner, "__name__", str(patch.owner)) for patch in mine)
        section.ok(f"{package} {'.'.join(map(str, version))}", f"{len(mine)} methods of {len(owners)} classes")
    for patch in applied.applied:
        if not patch.intact:
            name = f"{getattr(patch.owner, '__qualname__', patch.owner)}.{patch.name}"
            section.note(name, "was wrapped again by somebody after redispan")


def _belongs(owner: Any, package: str) -> bool:
    module = getattr(owner, "__module__", "") or ""
    return bool(module == package or module.startswith(f"{package}."))


class _Collected(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
