"""The fleet report: figures by service, findings from thresholds, and a backend that misbehaves."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from redispan.monitoring.fleet import FleetUnreachableError, Sample, as_text, fleet_report, main, prometheus


def one(value: float, **labels: str) -> Sample:
    """Return one sample."""
    return labels, value


def test_an_empty_backend_gives_an_empty_report() -> None:
    """If no process sends metrics yet, the report has no service and no finding, and its text states that."""
    report = fleet_report(lambda _: [])
    assert (report.services, report.servers, report.findings) == ([], [], [])
    assert "0 services, 0 processes" in as_text(report)
    assert "nothing needs attention" in as_text(report)


def test_services_are_put_together_from_their_figures() -> None:
    """Each figure belongs to its service, and shares are of the operations. The busiest service comes first."""

    def ask(expression: str) -> Sequence[Sample]:
        if expression.startswith("count by (job)"):
            return [one(2, job="a"), one(3, job="b")]
        if 'error_type!=""' in expression:
            return [one(1, job="b")]
        if "histogram_quantile(0.95" in expression:
            return [one(80, job="b"), one(float("nan"), job="a")]
        if expression.startswith("sum by (job) (rate(db_client_operation_duration_seconds_count"):
            return [one(5, job="a"), one(10, job="b")]
        return []

    report = fleet_report(ask)
    b, a = report.services
    assert (b.name, b.processes, b.operations_per_s, b.error_share, b.p95_ms) == ("b", 3, 10, 0.1, 80)
    assert (a.name, a.error_share, a.p95_ms) == ("a", 0.0, None)
    assert report.processes == 5
    assert [(f.severity, f.subject) for f in report.findings] == [("critical", "b"), ("warning", "b")]
    assert "10.0% of Redis operations fail" in as_text(report)


def test_an_idle_service_is_listed_without_shares() -> None:
    """A service without an operation in the window is listed, with no error and no division by zero."""

    def ask(expression: str) -> Sequence[Sample]:
        return [one(1, job="idle")] if expression.startswith("count by (job)") else []

    (service,) = fleet_report(ask).services
    assert service.error_share is None
    assert service.within_100ms is None


def test_servers_are_judged_too() -> None:
    """Memory, evictions and misses of a server become findings with its name."""

    def ask(expression: str) -> Sequence[Sample]:
        known = {"redis_maxmemory_bytes": 0.85, "evicted": 3.0, "hits": 1.0, "misses": 3.0}
        return [one(value, instance="r:6379") for part, value in known.items() if part in expression]

    report = fleet_report(ask)
    assert report.servers[0].hit_ratio == 0.25
    assert {f.text.split(";")[0] for f in report.findings} == {
        "server r:6379 uses 85% of its memory limit",
        "server r:6379 evicts 3.0 keys per second",
        "server r:6379 answers only 25% of reads from an existing key",
    }


@pytest.mark.parametrize(
    ("figures", "status"),
    [
        ({}, "unknown"),
        ({"count by (job)": 1.0}, "healthy"),
        ({"count by (job)": 1.0, "histogram_quantile(0.95": 80.0}, "degraded"),
        ({"count by (job)": 1.0, "histogram_quantile(0.95": 80.0, "timeouts_total": 0.5}, "unhealthy"),
    ],
)
def test_the_fleet_has_one_state_of_health(figures: dict[str, float], status: str) -> None:
    """The worst finding gives the status, in the words of a process's health report.

    Without a process there is no health.
    """

    def ask(expression: str) -> Sequence[Sample]:
        return [
            one(value, job="a") for part, value in figures.items() if expression.startswith(part) or part in expression
        ]

    report = fleet_report(ask)
    assert (report.status, report.as_data()["status"]) == (status, status)
    assert f"health: {status}" in as_text(report)


def test_a_server_that_nobody_reaches_comes_first() -> None:
    """An unreachable server comes first.

    The report shows the programs' view of it beside the last figures of the server itself.
    """

    def ask(expression: str) -> Sequence[Sample]:
        if "redis_server_up" in expression:
            return [
                one(1, server_address="a", server_port="6379"),
                one(0, server_address="r", server_port="6379"),
                one(0, server_address="/run/redis.sock"),
            ]
        return [one(0.5, instance="r:6379")] if "redis_maxmemory_bytes" in expression else []

    report = fleet_report(ask)
    assert [(s.name, s.reached) for s in report.servers] == [("/run/redis.sock", 0), ("r:6379", 0), ("a:6379", 1)]
    assert [(f.severity, f.subject) for f in report.findings] == [
        ("critical", "/run/redis.sock"),
        ("critical", "r:6379"),
    ]
    text = as_text(report)
    assert "server r:6379: reached by no program" in text
    assert "server r:6379 answers none of the programs" in text
    assert "server a:6379: reached" in text


def test_many_servers_are_cut_and_it_says_so() -> None:
    """A large cluster does not flood the report, which states how many servers it leaves out."""

    def ask(expression: str) -> Sequence[Sample]:
        return [one(1, server_address=f"n{n}", server_port="7000") for n in range(150)] if "_up_" in expression else []

    report = fleet_report(ask)
    assert (len(report.servers), report.servers_left_out) == (100, 50)
    assert "and 50 more servers" in as_text(report)


def test_a_large_fleet_is_cut_and_says_so() -> None:
    """The report is bounded. It counts the quieter services and does not list them."""

    def ask(expression: str) -> Sequence[Sample]:
        return [one(float(n), job=f"s{n}") for n in range(1, 151)]

    report = fleet_report(ask)
    assert len(report.services) == 100
    assert report.services_left_out == 50
    assert report.services[0].name == "s150"
    assert "and 50 quieter services" in as_text(report)


class _Backend(BaseHTTPRequestHandler):
    status = 200
    answer = b"{}"
    seen: list[str | None] = []  # noqa: RUF012  (one server, one test at a time)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        _Backend.seen.append(self.headers["Authorization"])
        self.send_response(_Backend.status)
        self.end_headers()
        self.wfile.write(_Backend.answer)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def backend() -> Iterator[str]:
    """Start a server with configurable responses."""
    server = HTTPServer(("127.0.0.1", 0), _Backend)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    _Backend.seen = []
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_answers_of_a_backend_are_read(backend: str) -> None:
    """The report reads samples as labels and numbers, and sends the token along."""
    result = [{"metric": {"job": "a"}, "value": [0, "1.5"]}]
    _Backend.status, _Backend.answer = 200, json.dumps({"data": {"result": result}}).encode()
    assert prometheus(backend, "t0ken")("up") == [({"job": "a"}, 1.5)]
    assert _Backend.seen == ["Bearer t0ken"]


@pytest.mark.parametrize(("status", "answer"), [(500, b""), (401, b"no"), (200, b"<html>"), (200, b"[]"), (200, b"{}")])
def test_a_misbehaving_backend_is_one_plain_error(status: int, answer: bytes, backend: str) -> None:
    """For any response that is not PromQL, the caller gets one kind of error, without the token."""
    _Backend.status, _Backend.answer = status, answer
    with pytest.raises(FleetUnreachableError) as caught:
        fleet_report(prometheus(backend, "t0ken"))
    assert "t0ken" not in str(caught.value)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x", "localhost:9090", ""])
def test_only_web_addresses_are_asked(url: str) -> None:
    """The report refuses an address that would open a file."""
    with pytest.raises(FleetUnreachableError):
        prometheus(url)


def test_command_line_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a backend, the command prints a sentence and no traceback. Its exit code is 1."""
    monkeypatch.setattr("sys.argv", ["fleet", "--prometheus", "http://127.0.0.1:9"])
    assert main() == 1
    assert "redispan report fleet: no usable answer" in capsys.readouterr().err
