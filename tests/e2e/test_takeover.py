"""Each command has one span, whatever else instruments redis-py and in whatever order: the whole matrix."""

from collections import Counter
from pathlib import Path

import pytest

from e2e import loading_order
from e2e.reading import CONTRIB, OURS, measurements_by_operation, redis_spans
from servers.otlp_receiver import OtlpReceiver
from zero_code import Finished, Launcher

pytestmark = pytest.mark.e2e

PER_WORK = 4  # spans that one step `work` of the program makes
MEASURED = Counter({"SET": 1, "GET": 1, "PIPELINE GET": 1, "INCRBY": 1})

CASES = {
    # name: (loaded first, disabled, steps, spans by scope)
    "ours alone": ("redispan", "redis", "work", {OURS: 1}),
    "both, ours first": ("redispan", "", "work", {OURS: 1}),
    "both, contrib first": ("contrib", "", "work", {OURS: 1}),
    "ours disabled": ("redispan", "redispan", "work", {CONTRIB: 1}),
    "both disabled": ("redispan", "redispan,redis", "work", {}),
    "all disabled": ("redispan", "*", "work", {}),
    "contrib instrumented later": ("redispan", "", "contrib.instrument work", {OURS: 1}),
    "contrib instrumented later, not loaded before": ("redispan", "redis", "contrib.instrument work", {OURS: 1}),
    "contrib by force": ("redispan", "", "contrib by force|work", {OURS: 1}),
    "contrib un- and re-instrumented": (
        "redispan", "", "contrib.uninstrument work contrib.instrument work", {OURS: 2},
    ),
    "contrib's per-client call": ("redispan", "", "contrib.instrument_client work", {OURS: 1}),
    "contrib's per-client call before ours": (
        "redispan", "redispan,redis", "contrib.instrument_client ours.instrument work", {OURS: 1},
    ),
    "contrib's per-client calls, on and off": (
        "redispan", "", "contrib.instrument_client contrib.uninstrument_client work", {OURS: 1},
    ),
    "ours by hand after zero-code": ("contrib", "", "ours.instrument work", {OURS: 1}),
    "ours by hand after contrib's zero-code": ("contrib", "redispan", "ours.instrument work", {OURS: 1}),
    "ours twice by hand": ("contrib", "*", "ours.instrument ours.instrument work", {OURS: 1}),
    "ours for the client too": ("contrib", "", "ours.instrument_client work", {OURS: 1}),
    "ours un-instrumented": ("contrib", "", "ours.uninstrument work", {}),
    "ours un- and re-instrumented": ("contrib", "", "ours.uninstrument ours.instrument work", {OURS: 1}),
    "contrib's again after ours": (
        "redispan", "", "work ours.uninstrument contrib.instrument work", {OURS: 1, CONTRIB: 1},
    ),
    "back and forth": (
        "redispan", "", "ours.uninstrument contrib.instrument ours.instrument work", {OURS: 1},
    ),
}  # fmt: skip


def run(launcher: Launcher, folder: Path, case: str, **variables: str) -> Finished:
    """Run the program of one case, and check that it ended well with no output on standard error."""
    loaded_first, disabled, steps, _ = CASES[case]
    launcher.path = [loading_order.first(loaded_first, folder / "first")]
    launcher.disabled = [*launcher.disabled, *filter(None, disabled.split(","))]
    words = steps.split("|") if "|" in steps else steps.split(" ")
    finished = launcher.run("takeover.py", *words, variables=variables)
    assert finished.code == 0, finished.all
    assert finished.err == ""
    return finished


@pytest.mark.parametrize("case", CASES)
def test_one_span_per_command(case: str, launcher: Launcher, otlp_receiver: OtlpReceiver, tmp_path: Path) -> None:
    """Each command has exactly one span from the expected scope, and the program sees no warning."""
    run(launcher, tmp_path, case)
    expected = {scope: times * PER_WORK for scope, times in CASES[case][3].items()}
    assert dict(Counter(span.scope for span in redis_spans(otlp_receiver))) == expected


@pytest.mark.parametrize("case", ["both, ours first", "both, contrib first"])
def test_a_setting_keeps_contribs_spans(
    case: str, launcher: Launcher, otlp_receiver: OtlpReceiver, tmp_path: Path
) -> None:
    """With ``contrib=keep``, contrib writes the spans and redispan the measurements, in either loading order."""
    run(launcher, tmp_path, case, OTEL_PYTHON_REDISPAN_CONTRIB="keep")
    assert Counter(span.scope for span in redis_spans(otlp_receiver)) == {CONTRIB: PER_WORK}
    assert measurements_by_operation(otlp_receiver) == MEASURED
