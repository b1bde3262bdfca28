"""The figures that alert rules judge: recent, cheap while nothing fails, and with the number of samples behind them."""

from hypothesis import given
from hypothesis import strategies as st

from redispan._core.operation import Endpoint
from redispan._core.pool_sources import PoolStats
from redispan._core.records import ServerReading
from redispan._insight.readings import error_rate, memory_usages, pool_usages, recent_errors
from redispan._insight.statistics import EndpointWindows

S = 10**9
NOW = 10_000 * S


def windows(*entries: tuple[float, str | None]) -> EndpointWindows:
    """Return windows of operations by age in seconds and error."""
    made = EndpointWindows("h:1/0", Endpoint("h", 1, "0"), 1000)
    for age_s, error in entries:
        end_ns = NOW - int(age_s * S)
        made.answers.add((end_ns, 1, "GET", error, 0))
        if error is not None:
            made.last_error_ns = end_ns
    return made


def test_only_the_last_minute_counts_where_much_happens() -> None:
    """Errors of two minutes ago do not count while there are enough later operations."""
    reading = error_rate(windows(*[(120, "OOM")] * 50, *[(5, None)] * 20), NOW, 20)
    assert (reading.value, reading.samples) == (0.0, 20)


def test_a_quiet_program_is_judged_by_five_minutes() -> None:
    """If the last minute has fewer operations than the minimum, older ones up to five minutes count too."""
    reading = error_rate(windows(*[(400, None)] * 50, *[(200, "OOM")] * 15, *[(5, None)] * 5), NOW, 20)
    assert (reading.value, reading.samples) == (0.75, 20)


@given(st.lists(st.tuples(st.floats(0, 1000), st.booleans()), max_size=60), st.integers(1, 30))
def test_the_shortcut_gives_the_same(ages: list[tuple[float, bool]], minimum: int) -> None:
    """Without a recent error redispan skips the count, and gets the result that counting would give."""
    entries = [(age, "OOM" if failed else None) for age, failed in sorted(ages, reverse=True)]
    made = windows(*entries)
    reading = error_rate(made, NOW, minimum)
    samples, errors = recent_errors(made.answers.recent(), NOW, minimum)
    assert reading.value == (errors / samples if samples else None)


def test_blocking_commands_can_fail_too() -> None:
    """A BLPOP that lost its server is an error like any other."""
    made = windows((1, None))
    made.blocking.add((NOW, 1, "BLPOP", "redis.exceptions.ConnectionError", 0))
    made.last_error_ns = NOW
    assert error_rate(made, NOW, 1).value == 0.5


def test_pools_without_a_limit_are_never_full() -> None:
    """redispan does not judge a pool without a limit. Connections in a subscription are lent out on purpose."""
    found = list(pool_usages([PoolStats("a", used=9, parked=4, limit=10), PoolStats("b", used=9)]))
    assert [(reading.subject, reading.value) for reading in found] == [("a", 0.5)]


def test_memory_is_held_against_the_limit_else_the_host() -> None:
    """redispan compares memory with maxmemory, else with the host's.

    It does not judge a server that is gone or hides both.
    """
    found = memory_usages(
        [
            ServerReading("a", 1, used_memory_bytes=90, max_memory_bytes=100, host_memory_bytes=1000),
            ServerReading("b", 1, used_memory_bytes=90, max_memory_bytes=0, host_memory_bytes=1000),
            ServerReading("c", 1, used_memory_bytes=90),
            ServerReading("d", 1, reachable=False, used_memory_bytes=90, max_memory_bytes=100),
        ]
    )
    assert [(reading.subject, reading.value) for reading in found] == [("a", 0.9), ("b", 0.09)]
