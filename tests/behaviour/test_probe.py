"""The probe against real servers: what it reads, how it handles denied commands, and that no telemetry shows it."""

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel

from behaviour.probing import Instrument, visited
from redispan._client.probe import targets
from redispan._client.probe.probe import Probe
from redispan._client.probe.visit import Visits
from redispan._core.slot import SLOT
from redispan._host.folder import folder_of, open_folder
from redispan._runtime.runtime import current
from redispan._telemetry.scope import without_instrumentation
from redispan.reports import health_report
from servers.redis_server import RedisServer

pytestmark = [pytest.mark.redis, pytest.mark.usefixtures("no_targets_of_other_tests")]


@pytest.mark.parametrize("server", ["redis_server", "unix_server", "tls_server"])
def test_every_kind_of_server_is_read(server: str, request: pytest.FixtureRequest, instrument: Instrument) -> None:
    """The probe reads servers over TCP, a UNIX socket and TLS, and connects the way the client does.

    It reads the memory, its limit and the other values.
    """
    target: RedisServer = request.getfixturevalue(server)
    instrument()
    with redis.Redis.from_url(target.url) as client:
        client.set("k", "v")
        reading = visited()
    assert reading.reachable
    assert (reading.used_memory_bytes or 0) > 100_000
    assert reading.max_memory_bytes == 0
    assert reading.memory_share is not None
    assert reading.figures["keys"] == 1
    assert reading.figures["role"] == "master"


async def test_an_asyncio_program_is_probed_too(redis_server: RedisServer, instrument: Instrument) -> None:
    """In an asyncio program the probe connects to the same servers, without asyncio."""
    instrument()
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        await client.set("k", "v")
        assert visited().figures["keys"] == 1


def test_nothing_of_the_probe_is_in_the_telemetry(redis_server: RedisServer, instrument: Instrument) -> None:
    """A probe adds no span, no operation and no value to the window. The program's own are there."""
    telemetry = instrument()
    with redis.Redis.from_url(redis_server.url) as client:
        client.set("k", "v")
        with without_instrumentation():
            visited()
    assert [span.name.split()[0] for span in telemetry.spans()] == ["SET"]
    assert telemetry.value("db.client.operation.duration") == 1
    assert health_report("process").recent.operations == 1


def test_what_the_acl_denies_is_left_out_and_logged_once(
    new_redis_server: Callable[..., RedisServer], instrument: Instrument, caplog: pytest.LogCaptureFixture
) -> None:
    """For a user without the permission, the probe leaves values out and does not retry.

    It logs one message for each part.
    """
    server = new_redis_server()
    server.call("ACL", "SETUSER", "poor", "on", ">secret-pw-91", "~*", "+get", "+set", "+info")
    instrument()
    with redis.Redis(host=server.host, port=server.port, username="poor", password="secret-pw-91") as client:
        client.set("k", "v")
        visits = Visits()
        with caplog.at_level(logging.INFO, "redispan"):
            first, second = visited(visits), visited(visits)
    for reading in (first, second):
        assert reading.reachable
        assert reading.used_memory_bytes
        assert "slowlog_length" not in reading.figures
    said = [record.getMessage() for record in caplog.records if "refuses" in record.getMessage()]
    assert sorted(message.split("refuses ")[1].split()[0] for message in said) == ["LATENCY", "SLOWLOG"]
    assert "secret-pw-91" not in caplog.text


def test_a_user_who_may_ask_nothing_is_a_server_that_answers(acl_server: RedisServer, instrument: Instrument) -> None:
    """A server that refuses the probe's commands counts as reachable."""
    instrument()
    with redis.Redis.from_url(acl_server.url) as client:
        client.set("app:k", "v")
        reading = visited()
    assert reading.reachable
    assert reading.used_memory_bytes is None


def test_a_server_that_died_is_reported_as_such(
    new_redis_server: Callable[..., RedisServer], instrument: Instrument
) -> None:
    """The reading of a dead server has the state unreachable, and the health report a reason. Nothing raises."""
    server = new_redis_server()
    instrument(server_probe_interval_s=3600)
    with redis.Redis.from_url(server.url) as client:
        client.set("k", "v")
        server.stop()
        assert not visited().reachable


def test_no_argument_of_the_slow_log_leaves_the_server(redis_server: RedisServer, instrument: Instrument) -> None:
    """The probe reports the command of the slowest slow-log entry, and nothing that the program wrote."""
    redis_server.call("CONFIG", "SET", "slowlog-log-slower-than", "0")
    try:
        instrument()
        with redis.Redis.from_url(redis_server.url) as client:
            client.set("private-key-31", "private-value-17")
            figures = visited().figures
    finally:
        redis_server.call("CONFIG", "SET", "slowlog-log-slower-than", "10000")
    assert figures["slowlog_length"]
    assert "private" not in str(figures)


def test_gauges_and_the_memory_alert_come_from_the_reading(
    new_redis_server: Callable[..., RedisServer], instrument: Instrument, tmp_path: Path
) -> None:
    """For a server near its maxmemory, the gauges show it, the alert fires once, and the report gives it as reason."""
    server = new_redis_server()
    limit = int(server.info("memory")["used_memory"]) * 10 // 9
    server.call("CONFIG", "SET", "maxmemory", limit)
    telemetry = instrument(runtime_dir=str(tmp_path))
    probe = current().probe
    assert probe is not None
    with redis.Redis.from_url(server.url) as client:
        client.ping()
        (place,) = targets.all_places()
        current().alerting.evaluated_ns = 0
        probe._look_at(place, open_folder(folder_of(str(tmp_path), "x")).parent)
    assert telemetry.value("redis.server.up", {"server.port": server.port}) == 1
    (share,) = telemetry.metric("redis.server.memory.utilization")
    assert share.value > 0.8
    assert [alert.name for alert in SLOT.runtime.alerts.firing()] == ["memory_usage"]
    assert len(current().snapshot()["memory"][f"{server.host}:{server.port}"]) == 1
    (figures,) = health_report("process").servers
    assert figures.memory_limit_bytes == limit


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_one_process_of_the_host_probes_and_the_others_read(
    redis_server: RedisServer, instrument: Instrument, tmp_path: Path
) -> None:
    """While another process has the probe role, this process reads its result, emits no alert and sends nothing."""
    instrument(server_probe=False)
    shared = open_folder(folder_of(str(tmp_path), "x")).parent
    with redis.Redis.from_url(redis_server.url) as client:
        client.set("k", "v")
        (place,) = targets.all_places()
        ready, finish = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            Probe(15, without_instrumentation)._look_at(place, shared)
            os.write(ready[1], b"x")
            os.read(finish[0], 1)
            os._exit(0)
        os.read(ready[0], 1)
        asked = redis_server.commands_served().get("info", 0)
        mine = Probe(15, without_instrumentation)
        mine._look_at(place, shared)
        assert [reading.figures["keys"] for reading in mine.read()] == [1]
        assert mine.own() == []
        assert redis_server.commands_served().get("info", 0) - asked <= 1  # the test itself sends one INFO
        os.write(finish[1], b"x")
        os.waitpid(child, 0)
        mine._look_at(place, shared)
        assert len(mine.own()) == 1, "the role is taken over once its holder is gone"
    for end in (*ready, *finish):
        os.close(end)


def test_a_probe_that_was_stopped_before_its_thread_ran_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe that is stopped before its thread first runs ends, and does not go on for ever."""
    made: list[tuple[Any, tuple[Any, ...]]] = []

    class Unstarted:
        def __init__(self, target: Any, args: tuple[Any, ...] = (), **_: Any) -> None:
            made.append((target, args))

        def start(self) -> None:
            pass

        def join(self, _: float) -> None:
            pass

    monkeypatch.setattr("redispan._client.probe.targets.all_places", lambda: [object()])
    stopped = Probe(15.0, contextlib.nullcontext)
    with monkeypatch.context() as patched:
        patched.setattr("redispan._client.probe.probe.threading.Thread", Unstarted)
        stopped(None)
    stopped.stop()
    monkeypatch.setattr("redispan._client.probe.targets.all_places", list)
    ((target, args),) = made
    late = threading.Thread(target=target, args=args, daemon=True)
    late.start()
    late.join(5)
    assert not late.is_alive()


def test_the_thread_starts_with_a_target_and_stops(redis_server: RedisServer, instrument: Instrument) -> None:
    """The probe's thread starts once there is a server to probe, and ends when redispan is switched off."""
    instrument()
    probe: Any = current().probe
    probe(None)
    assert probe._thread is None
    with redis.Redis.from_url(redis_server.url) as client:
        client.ping()
        probe(None)
        thread = probe._thread
        assert thread.daemon
        probe.stop()
        thread.join(10)
        assert not thread.is_alive()
