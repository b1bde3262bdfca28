"""The Collector removes secrets that other instrumentation or the program itself leaks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.otlp_receiver import OtlpReceiver
from stack.native.collector import Collector
from stack.native.otlp_source import Source, log_record, span
from stack.native.stack import Tools

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]

SECRET = "hunter2-4711"
UNKNOWN = f"ERR unknown command 'SETT', with args beginning with: 'key' '{SECRET}'"


@pytest.fixture(scope="module")
def leaky(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Source, OtlpReceiver]]:
    """Start a leaking source, a Collector with the base file, and a backend that shows what arrives."""
    folder: Path = tmp_path_factory.mktemp("leaks")
    with (
        OtlpReceiver() as sink,
        Collector(tools, folder, ["backends/otlp-http"], {"OTLP_HTTP_ENDPOINT": sink.endpoint}) as collector,
    ):
        yield Source(collector.url), sink


@pytest.mark.parametrize(
    "attributes",
    [
        {"db.system.name": "redis", "db.query.text": f"SET user:1 {SECRET}"},
        {"db.system": "redis", "db.statement": f"HSET user:1 password {SECRET}"},
        {"db.system.name": "redis", "db.query.text": f"AUTH {SECRET}"},
        {"db.system.name": "redis", "db.query.text": f"EVAL \"return '{SECRET}'\" 0"},
        {"app.password": SECRET},
        {"http.request.header.authorization": SECRET},
        {"redis.url": f"redis://user:{SECRET}@host:6379/0"},
        {"note": f"Bearer {SECRET}"},
    ],
    ids="-".join,
)
def test_span_attribute_is_hidden(attributes: dict[str, str], leaky: tuple[Source, OtlpReceiver]) -> None:
    """A secret in a query text, under a telling key, in a URL or in a header does not pass. The span does."""
    source, sink = leaky
    name = f"span {sorted(attributes.items())}".replace(SECRET, "")
    assert source.send_spans(span(name, attributes=attributes)) == 200
    arrived = sink.wait_for(lambda r: r.spans(name), "the span")
    assert SECRET not in str(arrived)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("SET key value", "SET ?"),
        ("AUTH HUNTER", "AUTH ?"),
        ("set key\nvalue", "set ?"),
        (" GET key", "GET ?"),
        ("PING", "PING"),
    ],
)
def test_command_stays_readable(sent: str, kept: str, leaky: tuple[Source, OtlpReceiver]) -> None:
    """The Collector hides arguments, and keeps the command and the name of the span."""
    assert passed_on(sent, "other", leaky) == kept


@pytest.mark.parametrize("text", ["SET ? ?; GET ?; PING", "CONFIG GET ?", "MSET ? ? ... (150 more)", "SET user:1 ?"])
def test_redispans_own_texts_pass(text: str, leaky: tuple[Source, OtlpReceiver]) -> None:
    """The Collector keeps redispan's own texts, including batches and keys that redispan is set to show."""
    assert passed_on(text, "redispan", leaky) == text


def passed_on(text: str, scope: str, leaky: tuple[Source, OtlpReceiver]) -> str:
    """Return the query text that reaches the backend."""
    source, sink = leaky
    name = f"SELECT 0 {text}"
    source.send_spans(span(name, attributes={"db.system.name": "redis", "db.query.text": text}), scope=scope)
    (arrived,) = sink.wait_for(lambda r: r.spans(name), "the span")
    return str(arrived.attributes["db.query.text"])


def test_other_databases_keep_their_texts(leaky: tuple[Source, OtlpReceiver]) -> None:
    """The Collector does not apply its Redis rules to SQL."""
    source, sink = leaky
    source.send_spans(span("sql", attributes={"db.system.name": "postgresql", "db.query.text": "SELECT a FROM b"}))
    (arrived,) = sink.wait_for(lambda r: r.spans("sql"), "the span")
    assert arrived.attributes["db.query.text"] == "SELECT a FROM b"


def test_error_text_is_shortened(leaky: tuple[Source, OtlpReceiver]) -> None:
    """A server error that quotes the arguments leaks them neither by status, span event nor log record."""
    source, sink = leaky
    exception = {"key": "exception.message", "value": {"stringValue": UNKNOWN}}
    trace = {"key": "exception.stacktrace", "value": {"stringValue": f"Traceback\n  x\nResponseError: {UNKNOWN}\nend"}}
    source.send_spans(
        span(
            "failing",
            status={"code": 2, "message": UNKNOWN},
            events=[{"name": "exception", "attributes": [exception, trace]}],
        )
    )
    source.send_logs(log_record(eventName="db.client.operation.exception", attributes={"exception.message": UNKNOWN}))
    (failing,) = sink.wait_for(lambda r: r.spans("failing"), "the span")
    records = sink.wait_for(lambda r: r.logs("db.client.operation.exception"), "the log record")
    for arrived in (failing, records):
        assert "unknown command" in str(arrived)
        assert SECRET not in str(arrived)
    ((_, attributes),) = failing.events
    assert "end" in attributes["exception.stacktrace"]


@pytest.mark.parametrize(
    "line",
    [
        f"checkout failed: {UNKNOWN}",
        f"connecting to redis://user:{SECRET}@host:6379/0 ...",
        f"sent Bearer {SECRET} to the cache",
    ],
    ids=["error", "url", "token"],
)
def test_a_log_line_that_quotes_a_secret_is_cut(line: str, leaky: tuple[Source, OtlpReceiver]) -> None:
    """The Collector removes credentials and quoted server errors from the program's own log lines."""
    source, sink = leaky
    begin = line.split(" ", maxsplit=1)[0]
    source.send_logs(log_record(body={"stringValue": line}))
    arrived = sink.wait_for(lambda r: [log for log in r.logs() if str(log.body).startswith(begin)], "the line")
    assert SECRET not in str(arrived)


def test_program_logs_pass_unharmed(leaky: tuple[Source, OtlpReceiver]) -> None:
    """The obfuscation of Redis commands does not change the program's own log lines."""
    source, sink = leaky
    source.send_logs(log_record(body={"stringValue": "GET /users answered 200 in 3 ms"}))
    sink.wait_for(lambda r: [log for log in r.logs() if log.body == "GET /users answered 200 in 3 ms"], "the line")


def test_alert_events_have_a_bus_of_their_own(tools: Tools, tmp_path: Path) -> None:
    """An alert backend gets only alert events, each with its name as an attribute, and the counter counts them."""
    with OtlpReceiver() as alerts, OtlpReceiver() as everything:
        files = ["backends/alerts-otlp", "backends/otlp-http"]
        addresses = {"ALERTS_OTLP_ENDPOINT": alerts.endpoint, "OTLP_HTTP_ENDPOINT": everything.endpoint}
        with Collector(tools, tmp_path, files, addresses) as collector:
            source = Source(collector.url)
            source.send_logs(
                log_record(eventName="redis.client.alert.pool_usage"),
                log_record(eventName="db.client.operation.exception"),
                log_record(body={"stringValue": "redis.client.alert.pool_usage is only a text here"}),
            )
            everything.wait_for(lambda r: len(r.logs()) == 3, "all records")
            (alert,) = alerts.wait_for(lambda r: r.logs(), "the alert")
            assert alert.event_name == "redis.client.alert.pool_usage"
            assert alert.attributes == {"redis.client.alert.name": "pool_usage"}
            counted = everything.wait_for(lambda r: r.points("redis.client.alert.events", latest=False), "the counter")
            assert counted[0].value == 1
            assert counted[0].temporality == "CUMULATIVE", "Prometheus refuses deltas"
