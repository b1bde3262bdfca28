"""The demo's parts, and the demo as a user starts it."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rich")

from redispan.cli import arguments, demo, demo_program, demo_run, otlp_relay
from redispan.cli.demo_run import Outcome, Step
from redispan.cli.demo_tree import Row, rows_of
from redispan.cli.otlp_inbox import Inbox, Span
from redispan.testing.embedded_server import EmbeddedServer
from servers.otlp_receiver import OtlpReceiver

MS = 1_000_000


def span(name: str, start_ms: int, *, parent: str = "", failed: bool = False, **attributes: object) -> Span:
    """Return a span of 2 ms."""
    identity = f"{name}{start_ms}"
    return Span(name, identity, parent, start_ms * MS, 2 * MS, failed, {**attributes})


def labels(rows: list[Row]) -> list[str]:
    """Return the first column as plain text."""
    return [row.label.plain for row in rows]


def test_spans_are_shown_below_the_step_they_began_in() -> None:
    """A step owns the spans that started between its line in the log and the next."""
    steps = [Step("one", 0), Step("two", 10 * MS)]
    rows = list(rows_of(steps, [span("GET", 1), span("SET", 5), span("DEL", 10)]))
    assert labels(rows) == ["one", "├─ GET", "└─ SET", "two", "└─ DEL"]


def test_children_are_nested_and_repetitions_folded() -> None:
    """Equal neighbours become one line with a count, and a child is below its parent. A failed span is never folded."""
    spans = [span("visit", 0), *(span("GET", n, parent="visit0") for n in (1, 2, 3)), span("SET", 4, failed=True)]
    rows = list(rows_of([Step("one", 0)], spans))
    times = "\N{MULTIPLICATION SIGN}"
    assert labels(rows) == ["one", "├─ visit", f"│  └─ GET  {times}3", "└─ SET"]


def test_failures_and_retries_are_seen_at_a_glance() -> None:
    """The remarks name the error type, the retries and a slow operation."""
    attributes = {"error.type": "WRONGTYPE", "redis.client.operation.retries": 2, "redis.client.operation.slow": True}
    row = list(rows_of([Step("one", 0)], [span("LPUSH", 1, failed=True, **attributes)]))[1]
    assert all(word in row.remarks.plain for word in ("WRONGTYPE", "2 retries", "slow"))


@pytest.mark.parametrize("cells", [1, 16])
def test_a_time_line_stays_inside_its_cells(cells: int) -> None:
    """The bar is never wider than its column and never empty, for any shares."""
    row = list(rows_of([Step("one", 0)], [span("A", 0), span("B", 1), span("C", 1000)]))
    for line in row[1:]:
        drawn = line.timeline(cells).plain
        assert 0 < len(drawn) <= cells
        assert drawn.strip()


def test_the_programs_log_is_read_for_its_steps() -> None:
    """Lines with a time and a name are steps. Any other output of the program is not."""
    output = "1.500000 shop: open\nnoise\nTraceback shop: no\n2.000000 shop: close\n"
    assert demo_run.read_steps(output) == (Step("open", 1_500_000_000), Step("close", 2_000_000_000))


def test_the_callers_exporters_do_not_reach_the_program() -> None:
    """The program sends to the demo only. The caller's redispan settings still apply."""
    environ = {"OTEL_EXPORTER_OTLP_HEADERS": "a=b", "OTEL_PYTHON_REDISPAN_SPANS": "notable", "HOME": "there"}
    given = demo_run.program_environment(environ, "http://127.0.0.1:1")
    assert "OTEL_EXPORTER_OTLP_HEADERS" not in given
    assert given["OTEL_PYTHON_REDISPAN_SPANS"] == "notable"
    assert given["HOME"] == "there"
    assert given["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:1"


def test_the_program_knows_nothing_of_telemetry() -> None:
    """The program contains no telemetry code. The demo would prove nothing if the program helped."""
    source = Path(demo_program.__file__).read_text(encoding="utf-8")
    assert not re.search(r"^\s*(import|from) (opentelemetry|redispan)", source, re.MULTILINE)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", ""])
def test_a_refused_relay_shows_no_secret(protocol: str) -> None:
    """The demo shows only the kind of a failure, because a URL may hold a password."""
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:hidden@127.0.0.1:1",
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=hidden",
    }
    with pytest.raises(otlp_relay.RelayError) as refused:
        otlp_relay.relay([("traces", b"")], environ)
    assert "hidden" not in str(refused.value)


@pytest.mark.redis
def test_the_program_leaves_a_users_server_as_it_was(redis_url: str) -> None:
    """Other keys and connections on the user's own server survive, and the program leaves nothing behind."""
    redis = pytest.importorskip("redis")
    with redis.Redis.from_url(redis_url, single_connection_client=True) as bystander:
        bystander.set("mine", 1)
        connection = bystander.client_id()
        subprocess.run([sys.executable, "-m", demo.PROGRAM, redis_url], check=True, capture_output=True, timeout=60)
        assert bystander.keys("*") == [b"mine"]
        assert bystander.client_id() == connection


@pytest.fixture(scope="module")
def played() -> Iterator[tuple[Outcome, Inbox]]:
    """Yield how the program ended under `opentelemetry-instrument`, and what it sent."""
    with EmbeddedServer() as server, Inbox() as inbox:
        yield demo.run_program(server.url, inbox, without_otel()), inbox


def without_otel() -> dict[str, str]:
    """Return this environment without its own telemetry settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}


@pytest.mark.redis
@pytest.mark.slow
@pytest.mark.parametrize(("encoding", "width"), [("ascii", 80), ("cp1252", 80), ("utf-8", 60)])
def test_the_demo_is_readable_on_a_poor_terminal(
    played: tuple[Outcome, Inbox], encoding: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Unicode, the columns stay in line. On a narrow terminal, each operation keeps its name and duration."""
    outcome, sent = played
    assert outcome.exit_code == 0, outcome.output

    def play_again(url: str, inbox: Inbox, environ: object) -> Outcome:
        inbox.raw.extend(sent.raw)
        return outcome

    terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(demo, "run_program", play_again)
    assert arguments.run(["demo", "--redis-url", "redis://not.used.example"]) == 0
    terminal.seek(0)
    lines = terminal.read().splitlines()
    assert max(map(len, lines)) <= width
    (publish,) = [line for line in lines if "PUBLISH 127" in line]
    assert " ms " in publish


@pytest.mark.redis
@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_what_arrived_is_passed_on(played: tuple[Outcome, Inbox], protocol: str, otlp_receiver: OtlpReceiver) -> None:
    """The same spans reach the endpoint that the environment names, over either protocol. They carry no value."""
    said = demo._send_on(played[1], otlp_receiver.environment(protocol=protocol))
    assert said == f"sent to OTEL_EXPORTER_OTLP_ENDPOINT over {protocol} too"
    sent_on = {span.attributes["db.operation.name"] for span in otlp_receiver.spans(scope="redispan")}
    assert {"HSET", "EVALSHA", "SUBSCRIBE", "HSCAN"} <= sent_on
    assert b"welcome" not in otlp_receiver.raw_bytes()


@pytest.mark.redis
@pytest.mark.slow
def test_the_demo_shows_everything_and_passes_it_on(otlp_receiver: OtlpReceiver, tmp_path: Path) -> None:
    """`redispan demo` ends without help, even without Unicode.

    It shows each kind of operation, and sends the spans on.
    """
    environ = without_otel() | otlp_receiver.environment(protocol="grpc")
    done = subprocess.run(
        [sys.executable, "-m", "redispan.cli", "demo", "--svg", str(tmp_path / "demo.svg")],
        env=environ | {"COLUMNS": "120", "PYTHONIOENCODING": "ascii", "TERM": "dumb", "PYTHONUTF8": "0"},
        capture_output=True,
        encoding="ascii",
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for shown in (
        "PIPELINE INCRBY",
        "30 commands",
        "MULTI",
        "WRONGTYPE",
        "1 retry",
        "BLPOP",
        "redis.client.operations",
    ):
        assert shown in done.stdout
    assert "too" in done.stdout.partition("This telemetry was")[2]
    assert otlp_receiver.spans(scope="redispan")
    picture = (tmp_path / "demo.svg").read_text(encoding="utf-8")
    assert picture.startswith("<svg")
    assert "url(http" not in picture
