"""The reports in a terminal: from a port, from the processes themselves, and the message when none answers."""

import argparse
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from insight_data import baseline, entry, pool, server, snapshot
from redispan._host.member import HostMember
from redispan._insight import reporting, snapshots
from redispan.cli import arguments, report
from redispan.cli.report_text import as_text
from redispan.monitoring import serve
from redispan.monitoring.server import MonitoringServer
from waiting import PATIENCE_S, wait_until

NAMES = ("performance", "pool", "cache", "health")


def busy_snapshot() -> dict[str, Any]:
    """Return the snapshot of a process with something in every figure."""
    window = [entry(ms=2.0)] * 40 + [entry(ms=70.0, command="EVAL", error="OOM")] * 10
    return snapshot(
        window,
        pools=[pool(busy=3, peak=48, uses=100, created=2)],
        servers={"cache:6379": server()},
        baselines=[baseline("latency", "s", 0.002, 0.07), baseline("error_rate", "1", 0.01, 0.02)],
    )


@pytest.fixture
def port() -> Iterator[MonitoringServer]:
    """Open a monitoring port of this process."""
    opened = serve()
    yield opened
    opened.close()


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run the command line."""
    code = arguments.run(["report", *words])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", ["http://127.0.0.1:{}", "127.0.0.1:{}", "http://127.0.0.1:{}/monitoring/redis/"])
def test_a_port_is_read_however_its_url_is_written(
    name: str, shape: str, port: MonitoringServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command accepts the URL of a port with and without scheme and path. As JSON it prints the report itself."""
    code, out, err = said(capsys, name, "--json", "--url", shape.format(port.port))
    assert (code, err) == (0, "")
    assert json.loads(out)["schema_version"]


@pytest.mark.parametrize("name", NAMES)
def test_each_report_is_text_with_its_figures(name: str) -> None:
    """Both a full and an empty report become lines of text. The full one shows its figures."""
    makers = {"performance": reporting.performance, "connection-pool": reporting.pools,
              "cache-patterns": reporting.cache, "health": reporting.health}  # fmt: skip
    called = report.NAMES[name]
    text = as_text(called, makers[called](busy_snapshot()).as_data())
    assert {"performance": "EVAL", "pool": "96.0%", "cache": "reads", "health": "NOT OK"}[name] in text
    if name == "performance":
        assert "cache:6379/0 GET latency     70 ms" in text
        assert "UNUSUAL" in text
    empty = as_text(called, makers[called](snapshots.empty()).as_data())
    assert "0 processes" in empty


def test_what_several_processes_find_out_is_logged_once() -> None:
    """The same alert of two workers is one line, with the text of the first and the number of processes."""
    found = busy_snapshot()
    one = {"name": "error_rate", "endpoint": "cache:6379/0", "message": "error rate is 7.0%", "at_unix_ns": 2}
    found["alerts"]["firing"] = [one, {**one, "message": "error rate is 6.0%", "at_unix_ns": 1}]
    text = as_text("performance", reporting.performance(found).as_data())
    assert text.count("error rate is") == 1
    assert "  error rate is 6.0% (in 2 processes)\n" in text


def test_the_processes_are_asked_without_a_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a port, the command queries the processes over their sockets, by service name and folder.

    The exit totals of an ended one count.
    """
    monkeypatch.setenv("OTEL_PYTHON_REDISPAN_RUNTIME_DIR", str(tmp_path))
    members = []
    for pid in (11, 12):
        member = HostMember(lambda pid=pid: {**busy_snapshot(), "processes": [{"pid": pid, "started_unix_ns": 1}]},
                        busy_snapshot, snapshots.merge)  # fmt: skip
        member.base, member.service = str(tmp_path), "shop"
        members.append(member)
        member.start()
        wait_until((member.folder / f"{member._name}.sock").exists, "the socket of a member")
    # On a busy machine two threads may not run within a fifth of a second.
    monkeypatch.setattr(HostMember, "gather", functools.partialmethod(HostMember.gather, PATIENCE_S))
    code, out, _ = said(capsys, "performance", "--service", "shop", "--json")
    for member in members:
        member.stop()
    found = json.loads(out)
    assert code == 0
    assert found["processes"] == [11, 12]
    assert found["totals"]["operations"] == 100


def test_nobody_there_is_reported_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a process, a port or a report behind it, the command prints one line on standard error.

    Its exit code is 1.
    """
    monkeypatch.setenv("OTEL_PYTHON_REDISPAN_RUNTIME_DIR", str(tmp_path))
    for words in (["--service", "nobody"], ["--url", "http://127.0.0.1:1"], ["--url", "ftp://x"]):
        code, out, err = said(capsys, "health", *words)
        assert (code, out) == (1, "")
        assert err.startswith("redispan: ")
        assert err.count("\n") == 1


def test_a_token_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The token comes from the environment. Other users of the machine could read an argument."""
    opened = serve(token="right")
    try:
        code, _, err = said(capsys, "health", "--url", f"127.0.0.1:{opened.port}")
        assert code == 1
        assert "OTEL_PYTHON_REDISPAN_MONITORING_TOKEN" in err
        monkeypatch.setenv("OTEL_PYTHON_REDISPAN_MONITORING_TOKEN", "right")
        assert said(capsys, "health", "--url", f"127.0.0.1:{opened.port}")[0] == 0
    finally:
        opened.close()


def test_an_unhealthy_redis_is_an_exit_code(
    port: MonitoringServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unhealthy Redis has an exit code for scripts.

    The status 503 of the port is an answer, not a failed request.
    """
    window = [entry(error="ConnectionError")] * 50
    from redispan import reports

    monkeypatch.setattr(reports, "gather", lambda scope: reports.Gathered(scope, [snapshot(window)]))
    code, out, err = said(capsys, "health", "--url", f"127.0.0.1:{port.port}")
    assert (code, err) == (1, "")
    assert "unhealthy" in out


def test_fleet_is_there_too() -> None:
    """The report over all hosts is one of the reports."""
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    assert parser.parse_args(["fleet", "--prometheus", "http://x"]).prometheus == "http://x"
