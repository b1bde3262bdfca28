"""redis-py's own metrics beside redispan's: each metric has one source, and no operation is counted twice."""

from collections import defaultdict

import pytest

from e2e.reading import CONTRIB, DURATION, OURS, redis_spans
from servers.otlp_receiver import OtlpReceiver
from zero_code import Finished, Launcher

pytest.importorskip("redis.observability", reason="redis-py emits metrics since 7.4")
pytestmark = pytest.mark.e2e

# One export, at the end of the program. With a short interval, a busy machine exports once before redispan comes back,
# and the SDK gives the last collection no more time than the interval: its figures may then be missing.
AT_THE_END = {"OTEL_METRIC_EXPORT_INTERVAL": "60000"}

NATIVE = "redis-py"
COUNT = "db.client.connection.count"
MAXIMUM = "db.client.connection.max"  # only redispan emits it

CASES = {
    # name: (steps, policy, source of the duration, source of the connection count)
    "switched on later, leave": ("init work", "leave", NATIVE, NATIVE),
    "switched on later, replace": ("init work", "replace", OURS, OURS),
    "switched on before, leave": ("uninstrument init instrument work", "leave", NATIVE, NATIVE),
    "switched on before, replace": ("uninstrument init instrument work", "replace", OURS, OURS),
    "in use before, replace": ("uninstrument init work instrument work", "replace", NATIVE, NATIVE),
    "commands alone, leave": ("init.command work", "leave", NATIVE, OURS),
    "connections alone, leave": ("init.basic work", "leave", OURS, NATIVE),
    "neither of the two, leave": ("init.resiliency work", "leave", OURS, OURS),
    "switched off before use, leave": ("init shutdown work", "leave", OURS, OURS),
    # redis-py continues to measure after its shutdown, and no later call changes that.
    "switched off in use, leave": ("init work shutdown work", "leave", NATIVE, NATIVE),
    "switched on twice, leave": ("init work init.resiliency work", "leave", NATIVE, NATIVE),
    "switched on twice, replace": ("init work init work", "replace", OURS, OURS),
}


def run(launcher: Launcher, case: str, **variables: str) -> Finished:
    """Run the program of one case and check that it ends well."""
    steps, policy, _, _ = CASES[case]
    finished = launcher.run(
        "native_metrics.py",
        *steps.split(),
        variables={**AT_THE_END, "OTEL_PYTHON_REDISPAN_NATIVE_METRICS": policy, **variables},
    )
    assert finished.code == 0, finished.all
    return finished


def scopes_by_metric(receiver: OtlpReceiver) -> dict[str, set[str]]:
    """Return the scopes that emitted each metric."""
    found: dict[str, set[str]] = defaultdict(set)
    for point in receiver.points():
        found[point.metric].add(point.scope)
    return found


@pytest.mark.parametrize("case", CASES)
def test_each_metric_has_one_source(case: str, launcher: Launcher, otlp_receiver: OtlpReceiver) -> None:
    """Each metric has one source: the one that the setting and the order of the program's steps select."""
    _, _, duration, connections = CASES[case]
    finished = run(launcher, case)
    found = scopes_by_metric(otlp_receiver)
    assert {name: scopes for name, scopes in found.items() if len(scopes) > 1} == {}
    assert (found[DURATION], found[COUNT]) == ({duration}, {connections})
    assert found[MAXIMUM] == {OURS}, "what redis-py has no metric for is not left to it"
    works = CASES[case][0].split().count("work")
    assert sum(point.count for point in otlp_receiver.points(DURATION)) >= works
    said = finished.lines_about("native_metrics")
    assert len(said) == (0 if case.startswith("neither") else 1), finished.err


def test_a_switch_in_the_middle_counts_each_operation_once(launcher: Launcher, otlp_receiver: OtlpReceiver) -> None:
    """When redis-py's metrics are enabled later, redispan stops and redis-py continues. Their sum is what was sent."""
    finished = launcher.run("native_metrics.py", "work", "init", "work", variables=AT_THE_END)
    assert finished.code == 0, finished.all
    counted: dict[str, int] = defaultdict(int)
    for point in otlp_receiver.points(DURATION):
        counted[f"{point.scope} {point.attributes['db.operation.name']}"] += point.count
    assert counted == {f"{OURS} SET": 1, f"{OURS} GET": 1, f"{NATIVE} SET": 1, f"{NATIVE} GET": 1}


@pytest.mark.parametrize("policy", ["leave", "replace"])
def test_a_single_client_measures_nothing_twice(policy: str, launcher: Launcher, otlp_receiver: OtlpReceiver) -> None:
    """``instrument_client`` leaves the metric to redis-py. Replacing it would remove it for every other client."""
    finished = launcher.run(
        "native_metrics.py",
        *("uninstrument", "init.command", "instrument_client", "work"),
        variables={**AT_THE_END, "OTEL_PYTHON_REDISPAN_NATIVE_METRICS": policy},
    )
    assert finished.code == 0, finished.all
    counted = {(point.scope, point.attributes["db.operation.name"]) for point in otlp_receiver.points(DURATION)}
    assert counted == {(NATIVE, "SET"), (NATIVE, "GET")}


@pytest.mark.parametrize("policy", ["leave", "replace"])
@pytest.mark.parametrize("contrib", ["replace", "keep"])
def test_all_three_at_once(policy: str, contrib: str, launcher: Launcher, otlp_receiver: OtlpReceiver) -> None:
    """With contrib's spans, redis-py's metrics and redispan, each command has one span and each metric one source."""
    run(launcher, f"switched on later, {policy}", OTEL_PYTHON_REDISPAN_CONTRIB=contrib)
    assert {span.scope for span in redis_spans(otlp_receiver)} == {OURS if contrib == "replace" else CONTRIB}
    assert len(redis_spans(otlp_receiver)) == 2
    found = scopes_by_metric(otlp_receiver)
    assert {name: scopes for name, scopes in found.items() if len(scopes) > 1} == {}
    assert found[DURATION] == {NATIVE if policy == "leave" else OURS}


@pytest.mark.parametrize(
    ("setting", "source"), [("METRICS=false", {DURATION: NATIVE, COUNT: NATIVE}), ("POOL=off", {COUNT: NATIVE})]
)
def test_what_ours_does_not_emit_is_not_replaced(
    setting: str, source: dict[str, str], launcher: Launcher, otlp_receiver: OtlpReceiver
) -> None:
    """``replace`` removes no native metric that redispan is configured not to emit."""
    name, value = setting.split("=")
    run(launcher, "switched on later, replace", **{f"OTEL_PYTHON_REDISPAN_{name}": value})
    found = scopes_by_metric(otlp_receiver)
    assert {metric: found[metric] for metric in source} == {metric: {scope} for metric, scope in source.items()}
