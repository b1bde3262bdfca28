"""A fired alert holds and a cleared one stays cleared, however the figure wavers in between."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redispan._core.records import CLEARED, ERROR_RATE, FIRED, MEMORY_USAGE, POOL_USAGE
from redispan._insight.alert_rules import rules
from redispan._insight.alerting import FORGET_AFTER_S, SUBJECTS_LIMIT, AlertEngine, Reading, Trigger

RULES = rules(error_rate=0.05, memory_usage=0.8, pool_usage=0.9, minimum_operations=20, clear_after_s=30.0)
RULE = RULES[ERROR_RATE]


@given(st.lists(st.floats(min_value=0.0401, max_value=0.0599), min_size=1, max_size=300))
def test_noise_around_the_threshold_fires_at_most_once(values: list[float]) -> None:
    """A figure that wavers between 80 % and 120 % of the threshold changes the state at most once."""
    trigger = Trigger(RULE)
    changes = [change for at, value in enumerate(values) if (change := trigger.observe(value, 100, float(at)))]
    assert changes in ([], [FIRED])


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 20)), max_size=300))
def test_no_sequence_flaps(steps: list[tuple[float, float]]) -> None:
    """For any sequence of figures, fire and clear alternate.

    Between the two lies the time for which the figure must be good.
    """
    trigger = Trigger(RULE)
    now = 0.0
    changes: list[tuple[str, float]] = []
    for value, later in steps:
        now += later
        change = trigger.observe(value, 100, now)
        if change:
            changes.append((change, now))
    assert [name for name, _ in changes] == [FIRED, CLEARED] * (len(changes) // 2) + [FIRED] * (len(changes) % 2)
    for (name, at), (_, later) in pairwise(changes):
        if name == FIRED:
            assert later - at >= RULE.clear_after_s


def test_the_threshold_itself_does_not_fire() -> None:
    """A rule of 5 % fires only above 5 %, and never on too few samples."""
    trigger = Trigger(RULE)
    assert trigger.observe(0.05, 100, 0.0) is None
    assert trigger.observe(1.0, 19, 1.0) is None
    assert trigger.observe(0.0501, 20, 2.0) == FIRED


def test_clearing_takes_time_without_relapse() -> None:
    """A relapse restarts the wait before an alert clears."""
    trigger = Trigger(RULE)
    trigger.observe(0.5, 100, 0.0)
    assert trigger.observe(0.01, 100, 10.0) is None
    assert trigger.observe(0.045, 100, 30.0) is None
    assert trigger.observe(0.01, 100, 39.0) is None
    assert trigger.observe(0.01, 100, 68.9) is None
    assert trigger.observe(0.01, 100, 69.0) == CLEARED


def test_what_nothing_supports_any_more_is_cleared() -> None:
    """Without any data an alert holds for five minutes, and then clears."""
    recorded: list = []
    engine = AlertEngine(RULES, recorded.append)
    engine.evaluate([Reading(ERROR_RATE, "h:1/0", 0.5, 100)], 0.0, 1)
    engine.evaluate([], FORGET_AFTER_S - 1, 2)
    assert [alert.state for alert in recorded] == [FIRED]
    engine.evaluate([], FORGET_AFTER_S, 3)
    assert [alert.state for alert in recorded] == [FIRED, CLEARED]
    assert "no more data" in recorded[1].message


def test_an_alert_says_what_where_and_how_much() -> None:
    """An alert carries the message, figures and severity of its rule and reading."""
    recorded: list = []
    engine = AlertEngine(RULES, recorded.append)
    engine.evaluate([Reading(MEMORY_USAGE, "h:1", 0.91, address="h", port=1, evidence={"used": 91})], 0.0, 7)
    alert = recorded[0]
    assert (alert.name, alert.state, alert.severity, alert.value, alert.threshold) == (
        MEMORY_USAGE,
        FIRED,
        "warning",
        0.91,
        0.8,
    )
    assert alert.message == "h:1: memory usage of the server is 91.0%, above 80%"
    assert (alert.address, alert.port, alert.at_unix_ns, alert.evidence) == ("h", 1, 7, {"used": 91})


@pytest.mark.parametrize("name", [ERROR_RATE, MEMORY_USAGE, POOL_USAGE])
def test_every_rule_fires_above_its_number(name: str) -> None:
    """Each rule fires above its number, such as 5 % errors, 80 % memory or 90 % of a pool."""
    numbers = {ERROR_RATE: 0.05, MEMORY_USAGE: 0.8, POOL_USAGE: 0.9}
    recorded: list = []
    engine = AlertEngine(RULES, recorded.append)
    at, above = numbers[name], numbers[name] + 0.001
    engine.evaluate([Reading(name, "below", at, 100), Reading(name, "above", above, 100)], 0.0, 0)
    assert [(alert.name, alert.endpoint) for alert in recorded] == [(name, "above")]


def test_a_threshold_of_zero_turns_a_rule_off() -> None:
    """A rule that is turned off never fires."""
    off = rules(error_rate=0, memory_usage=0, pool_usage=0.9, minimum_operations=1, clear_after_s=0)
    assert set(off) == {POOL_USAGE}


def test_subjects_are_bounded_and_what_fires_is_never_forgotten() -> None:
    """Thousands of subjects do not make the engine grow. The one whose alert is firing still clears."""
    recorded: list = []
    engine = AlertEngine(RULES, recorded.append)
    engine.evaluate([Reading(POOL_USAGE, "full", 1.0)], 0.0, 0)
    for number in range(3 * SUBJECTS_LIMIT):
        engine.evaluate([Reading(POOL_USAGE, f"p{number}", 0.1), Reading(POOL_USAGE, "full", 0.1)], float(number), 0)
    assert len(engine._triggers) <= SUBJECTS_LIMIT
    assert [(alert.endpoint, alert.state) for alert in recorded] == [("full", FIRED), ("full", CLEARED)]
