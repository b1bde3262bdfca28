"""Lasting alerts in programs that do not use redispan's API: a full server, and values learned by earlier processes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from redispan._insight.baseline import GRACE_SLICES, WARM_UP_SLICES
from servers.otlp_receiver import OtlpReceiver
from servers.redis_server import RedisServer
from waiting import PATIENCE_S, wait_until
from zero_code import Finished, Launcher

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FEW, SLOW = 2 * GRACE_SLICES, 12
assert FEW + SLOW < WARM_UP_SLICES, "too short a life to learn anything in"
PREFIX = "OTEL_PYTHON_REDISPAN_"


def states(receiver: OtlpReceiver, name: str) -> list[str]:
    """List the states of an alert that the receiver got, in order."""
    return [str(event.attributes["redis.client.alert.state"]) for event in receiver.logs(f"redis.client.alert.{name}")]


def test_what_is_usual_outlives_the_process(launcher: Launcher, otlp_receiver: OtlpReceiver, tmp_path: Path) -> None:
    """A third process fires within a few slices, using what the first one learned.

    The short second process does no harm.
    """

    def live(learned: int, *rounds: int, service: str = "shop") -> Finished:
        variables = {"OTEL_SERVICE_NAME": service, f"{PREFIX}RUNTIME_DIR": str(tmp_path)}
        done = launcher.run("learner.py", learned, *rounds, variables=variables)
        assert done.code == 0, done.all
        return done

    live(WARM_UP_SLICES + 5, 0, 0, 0)
    live(0, 2, 0, 0)
    assert states(otlp_receiver, "anomaly") == [], "nobody met anything unusual yet"
    live(0, FEW, SLOW, 0, service="another")
    assert states(otlp_receiver, "anomaly") == [], "who has learned nothing knows nothing unusual"
    recorded = live(0, FEW, SLOW, 60)
    assert states(otlp_receiver, "anomaly") == ["fired", "cleared"]
    (line,) = [line for line in recorded.err.splitlines() if "95th percentile" in line]
    assert "unusual above" in line
    left = sorted(path.name for path in tmp_path.glob("redispan-*/*"))
    assert [name.partition(".")[2] for name in left if not name.startswith("probe-")] == ["baselines.json"]


@pytest.fixture
def filled(new_redis_server: Callable[..., RedisServer]) -> RedisServer:
    """Return a server with little memory."""
    return new_redis_server(maxmemory="4mb")


def test_a_full_server_fires_once_and_clears_once(
    filled: RedisServer, launcher: Launcher, otlp_receiver: OtlpReceiver, tmp_path: Path
) -> None:
    """The probe of a server that is really full fires one alert, and clears it once. There is no third event."""
    variables = {
        "REDIS_URL": filled.url,
        f"{PREFIX}RUNTIME_DIR": str(tmp_path),
        f"{PREFIX}SERVER_PROBE_INTERVAL_S": "1",
        f"{PREFIX}ALERT_CLEAR_AFTER_S": "1",
        f"{PREFIX}ERROR_RATE_ALERT": "0",
    }
    with launcher.talking("fills_memory.py", variables=variables) as program:
        assert program.hear() == "full"
        otlp_receiver.wait_for(lambda r: states(r, "memory_usage") == ["fired"], "the alert")
        program.say("go on")
        assert program.hear() == "empty"
        otlp_receiver.wait_for(lambda r: len(states(r, "memory_usage")) > 1, "the end of the alert")
        # Each probe sends this command, and no other client does.
        probes = filled.commands_served()["slowlog|len"]
        wait_until(lambda: filled.commands_served()["slowlog|len"] >= probes + 3, "probes that find nothing new")
        program.say("enough")
        assert program.process.wait(PATIENCE_S) == 0
    assert states(otlp_receiver, "memory_usage") == ["fired", "cleared"]
    fired, cleared = otlp_receiver.logs("redis.client.alert.memory_usage")
    assert fired.attributes["redis.client.alert.limit_bytes"] == 4 << 20
    assert fired.attributes["redis.client.alert.value"] > 0.8 > cleared.attributes["redis.client.alert.value"]
    assert fired.attributes["server.port"] == filled.port
