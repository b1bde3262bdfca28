"""``redispan.typing`` and the public submodules: the types that users annotate with, without a second import."""

import dataclasses
import subprocess
import sys
import typing
from typing import Any

import pytest

import redispan.typing
from redispan import reports


def types_in(annotation: Any) -> set[type]:
    """Return every dataclass that an annotation names."""
    if dataclasses.is_dataclass(annotation):
        return {annotation}  # type: ignore[arg-type]
    return {found for part in typing.get_args(annotation) for found in types_in(part)}


def test_every_type_inside_a_report_is_public() -> None:
    """Every type inside a report is public.

    A user who annotates a function for a part of one needs no private import.
    """
    public = {getattr(redispan.typing, name) for name in redispan.typing.__all__}
    waiting = [redispan.typing.Alert, *(kind for kind in public if issubclass(kind, redispan.typing.Report))]
    seen: set[type] = set()
    while waiting:
        kind = waiting.pop()
        seen.add(kind)
        for annotation in typing.get_type_hints(kind).values():
            waiting += types_in(annotation) - seen
    assert seen <= public


def test_the_reports_are_of_public_types() -> None:
    """The return types of the four functions are those of the same name in ``redispan.typing``."""
    functions = (
        reports.performance_report,
        reports.connection_pool_report,
        reports.cache_patterns_report,
        reports.health_report,
    )
    for function in functions:
        kind = typing.get_type_hints(function)["return"]
        assert getattr(redispan.typing, kind.__name__) is kind
        assert type(function("process")) is kind


@pytest.mark.parametrize("name", ["asyncio", "celery", "monitoring", "pools", "reports", "testing", "typing"])
def test_submodules_need_no_import_of_their_own(name: str) -> None:
    """``import redispan; redispan.reports`` works. It costs nothing before it is used."""
    code = f"import redispan, sys; assert 'redispan.{name}' not in sys.modules; print(redispan.{name}.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"redispan.{name}"
