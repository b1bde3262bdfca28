"""Arguments whose classes raise at every use: the telemetry does not use them, and goes on."""

import functools
from collections.abc import Callable
from typing import Any

import pytest

from redispan._client.recording import client_shells, endpoints
from redispan._client.recording.recorder import Recorder
from redispan._core.commands import COMMANDS
from redispan._core.slot import SLOT
from redispan.instrumentor import RedispanInstrumentor
from redispan.testing import TelemetryInMemory


def refuse(*_: object, **__: object) -> Any:
    """Raise, whatever the object is used for."""
    raise RuntimeError("do not touch")


# fmt: off
QUESTIONS = (
    "__bool__", "__bytes__", "__contains__", "__eq__", "__float__", "__format__", "__getitem__", "__hash__",
    "__index__", "__int__", "__iter__", "__len__", "__lt__", "__ne__", "__repr__", "__str__", "decode", "encode",
    "isdecimal", "isprintable", "lower", "partition", "split", "strip", "upper",
)
# fmt: on


def rude(kind: type, *value: object) -> Any:
    """Return an object of a subclass that raises at every use."""
    return rude_class(kind)(*value)


@functools.cache
def rude_class(kind: type) -> type:
    """Return the subclass, made once for thousands of objects."""
    return type("Rude", (kind,), {name: refuse for name in QUESTIONS if kind is object or hasattr(kind, name)})


ARGUMENTS = {
    "text": lambda: rude(str, "a" * 40),
    "bytes": lambda: rude(bytes, b"a" * 40),
    "int": lambda: rude(int, 3),
    "object": lambda: rude(object),
}
WORDS = {
    "text": lambda: rude(str, "GET"),
    "line": lambda: rude(str, "GET key"),
    "bytes": lambda: rude(bytes, b"GET"),
    "int": lambda: rude(int, 1),
    "object": lambda: rude(object),
}


def recorder() -> Recorder:
    """Return the recorder in effect."""
    return RedispanInstrumentor()._patches._recorders[0]


@pytest.fixture
def call() -> Callable[..., Any]:
    """Return a client's method, as its caller has it, around a client whose replies raise at every use as well."""
    answer = rude(object)
    endpoint = endpoints.intern("rude.example.com", 6379, "0")
    shell = client_shells.call_shell(
        lambda self, *args: answer, recorder(), client_shells.of_command(recorder(), lambda _: endpoint)
    )
    return lambda *args: shell(object(), *args) is answer


@pytest.mark.parametrize("mode", ["hidden", "keys", "off"])
@pytest.mark.parametrize("kind", ARGUMENTS)
def test_rude_arguments_cost_no_span(
    instrument: Callable[..., TelemetryInMemory], request: pytest.FixtureRequest, mode: str, kind: str
) -> None:
    """When every argument and the reply raise at any use, the caller gets the reply, and redispan emits a span."""
    recorded = instrument(query_text=mode)
    call = request.getfixturevalue("call")
    for name in COMMANDS:
        assert call(name, *(ARGUMENTS[kind]() for _ in range(4)))
        assert call(*name.split(), ARGUMENTS[kind]())
    assert len(recorded.spans()) == 2 * len(COMMANDS)
    assert not SLOT.runtime.self_metrics.read("telemetry_errors")


@pytest.mark.parametrize("kind", WORDS)
def test_rude_command_costs_no_span(
    instrument: Callable[..., TelemetryInMemory], request: pytest.FixtureRequest, kind: str
) -> None:
    """A command name that raises at every use costs no span either."""
    recorded = instrument()
    call = request.getfixturevalue("call")
    for _ in range(2):
        assert call(WORDS[kind](), "key")
    assert {span.attributes["db.operation.name"] for span in recorded.spans()} <= {"GET", "_OTHER"}
    assert len(recorded.spans()) == 2
    assert not SLOT.runtime.self_metrics.read("telemetry_errors")
