"""The check whether redis-py is patched in this process, or can be: it then patches and un-patches redis-py."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

from redispan.cli.check_results import Section

_WRAPPED_SHOWN = 2


def patches(environ: Mapping[str, str]) -> Section:
    """Check what is patched.

    Under ``opentelemetry-instrument redispan doctor``, that is what a program would find.
    """
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
    reported = _Collected()
    logger = logging.getLogger("redispan")
    logger.addHandler(reported)
    try:
        instrumentor.instrument()
        _not_instrumented(section, disabled)
        _describe(section, instrumentor)
        instrumentor.uninstrument()
    finally:
        logger.removeHandler(reported)
    for message in reported.messages:
        section.note("said", message)
    return section


def _not_instrumented(section: Section, disabled: list[str]) -> None:
    started_by = getattr(sys.modules.get("sitecustomize"), "__file__", None) or ""
    if "auto_instrumentation" not in started_by:
        text = "tried, and taken off again; as your program finds it: opentelemetry-instrument redispan doctor"
        section.ok("state", text)
    elif not {"redispan", "*"} & set(disabled):
        text = "opentelemetry-instrument started this process, and failed; its own messages say why. Tried by hand:"
        section.problem("state", text)


def _describe(section: Section, instrumentor: Any) -> None:
    applied = instrumentor._patches  # noqa: SLF001 - there is no public access to it
    if not applied:
        section.problem("patches", "none: no supported redis-py or valkey-py was found")
        return
    from redispan._client.pool.patches import POOL_PATCHES

    every = {id(patch.shell): patch for patch in (*applied.applied, *POOL_PATCHES.applied)}
    for package, version in applied.packages.items():
        mine = [patch for patch in every.values() if _belongs(patch.owner, package)]
        owners = Counter(getattr(patch.owner, "__name__", str(patch.owner)) for patch in mine)
        section.ok(f"{package} {'.'.join(map(str, version))}", f"{len(mine)} methods of {len(owners)} classes")
    # Where redispan patches a method twice, the outer patch has the inner one as its original.
    covered = {id(patch.original) for patch in every.values()}
    wrapped: dict[str, list[str]] = {}
    for key, patch in every.items():
        if key not in covered and not patch.intact:
            wrapped.setdefault(_wrapper(patch.owner, patch.name), []).append(_name(patch.owner, patch.name))
    for wrapper, names in sorted(wrapped.items()):
        shown = ", ".join(names[:_WRAPPED_SHOWN])
        more = f" and {len(names) - _WRAPPED_SHOWN} more" if len(names) > _WRAPPED_SHOWN else ""
        section.note("wrapped again", f"after redispan, by {wrapper}: {shown}{more}")


def _wrapper(owner: Any, method: str) -> str:
    """Return the module of the wrapper that a method has now, as far as the wrapper shows it."""
    found = vars(owner).get(method)
    inner = getattr(found, "_self_wrapper", found)  # a wrapper of wrapt has the attributes of what it wraps
    return str(getattr(inner, "__module__", None) or "somebody")


def _name(owner: Any, method: str) -> str:
    package = (getattr(owner, "__module__", "") or "").partition(".")[0]
    kind = ".asyncio" if ".asyncio" in (getattr(owner, "__module__", "") or "") else ""
    return f"{package}{kind}.{getattr(owner, '__qualname__', owner)}.{method}"


def _belongs(owner: Any, package: str) -> bool:
    module = getattr(owner, "__module__", "") or ""
    return bool(module == package or module.startswith(f"{package}."))


class _Collected(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
