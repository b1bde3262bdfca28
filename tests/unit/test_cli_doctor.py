"""The doctor finds what is wrong, shows what to do, and shows no credential."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

import redispan
from redispan.cli import arguments, doctor, doctor_reach
from redispan.cli.check_results import Level, Section, as_json, as_text, problems_in

SOURCE = Path(redispan.__file__).parents[1]


@pytest.fixture
def open_port() -> Iterator[int]:
    """Open a port that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    """Return a port that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def subjects_of_problems(sections: list[Section]) -> set[str]:
    """Return the subjects of the problems."""
    return {finding.subject for finding in problems_in(sections)}


def test_a_healthy_program_has_no_problem(open_port: int) -> None:
    """With everything installed and reachable, nothing is a problem and the exit code is 0."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{open_port}", "OTEL_SERVICE_NAME": "shop"}
    assert problems_in(doctor.examine(environ, redis_url=f"redis://127.0.0.1:{open_port}/0")) == []


def test_what_cannot_be_reached_is_a_problem(closed_port: int) -> None:
    """A refused connection to Redis and to the OTLP endpoint are two problems that name host and port."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{closed_port}"}
    found = problems_in(doctor.examine(environ, redis_url=f"redis://127.0.0.1:{closed_port}/0"))
    assert [finding.subject for finding in found] == ["Redis", "OTLP (grpc)"]
    assert all(f"127.0.0.1:{closed_port}" in finding.text for finding in found)


def test_offline_opens_no_connection(closed_port: int) -> None:
    """With --offline, unreachable endpoints are no problem, because the doctor opens no connection."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{closed_port}"}
    assert problems_in(doctor.examine(environ, redis_url=f"redis://127.0.0.1:{closed_port}", offline=True)) == []


@pytest.mark.parametrize(
    ("environ", "subject"),
    [
        ({"OTEL_PYTHON_REDISPAN_SPANS": "most"}, "OTEL_PYTHON_REDISPAN_SPANS"),
        ({"OTEL_PYTHON_REDISPAN_SPAN": "all"}, "OTEL_PYTHON_REDISPAN_SPAN"),
        ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask,redispan"}, "switched off"),
        ({"OTEL_SDK_DISABLED": "true"}, "OTEL_SDK_DISABLED"),
        ({"OTEL_TRACES_EXPORTER": "nosuch"}, "traces"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "carrier-pigeon"}, "traces"),
    ],
)
def test_what_keeps_telemetry_away_is_a_problem(environ: dict[str, str], subject: str) -> None:
    """The doctor names each way to switch telemetry off by mistake."""
    assert subject in subjects_of_problems(doctor.examine(environ, offline=True))


def test_a_misspelt_setting_is_answered_with_the_right_one() -> None:
    """The doctor offers the nearest setting for a misspelt one."""
    sections = doctor.examine({"OTEL_PYTHON_REDISPAN_SLOW_ALERTS_MS": "20"}, offline=True)
    assert "OTEL_PYTHON_REDISPAN_SLOW_ALERT_MS" in problems_in(sections)[0].text


def test_each_setting_says_where_its_value_came_from() -> None:
    """The doctor names the variable for a value from the environment, and shows any other value as the default."""
    sections = doctor.examine({"OTEL_PYTHON_REDISPAN_SPANS": "parented"}, offline=True)
    settings = {finding.subject: finding.text for section in sections for finding in section.findings}
    assert settings["spans"] == "parented  (OTEL_PYTHON_REDISPAN_SPANS)"
    assert settings["query_text"] == "hidden  (default)"
    assert settings["slow_alert_ms"] == "50 ms  (default)"
    assert settings["host_sharing"] == "true  (default)"


def test_what_was_set_comes_before_the_defaults_and_secrets_stay_hidden() -> None:
    """The few settings that were set come before some fifty defaults.

    The doctor does not show a token or the address of a webhook.
    """
    environ = {
        "OTEL_PYTHON_REDISPAN_CONTRIB": "keep",
        "OTEL_PYTHON_REDISPAN_MONITORING_TOKEN": "s3cr3t",
        "OTEL_PYTHON_REDISPAN_ALERT_WEBHOOK": "https://hooks.example.com/s3cr3t",
    }
    (section,) = [one for one in doctor.examine(environ, offline=True) if one.title == "Settings"]
    assert {finding.subject for finding in section.findings[:3]} == {"contrib", "monitoring_token", "alert_webhook"}
    assert all("(default)" not in finding.text for finding in section.findings[:3])
    assert "s3cr3t" not in as_text([section], color=False)


def test_the_trial_leaves_redis_as_it_was() -> None:
    """The doctor applies the patches as a trial, and removes all of them again."""
    redis = pytest.importorskip("redis")
    before = redis.Redis.__dict__["execute_command"]
    doctor.examine({}, offline=True)
    assert redis.Redis.__dict__["execute_command"] is before


def test_our_own_layers_are_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor reports only foreign wrappers. The pool layer on top of the recorder's patches is redispan's own."""
    redis = pytest.importorskip("redis")
    sections = doctor.examine({}, offline=True)
    assert not [finding for section in sections for finding in section.findings if finding.subject == "wrapped again"]
    instrumentor = redispan.RedispanInstrumentor()
    instrumentor.instrument()
    try:
        for owner, name in ((redis.Redis, "execute_command"), (redis.ConnectionPool, "release")):
            ours = vars(owner)[name]
            monkeypatch.setattr(owner, name, lambda *args, ours=ours, **kwargs: ours(*args, **kwargs))
        sections = doctor.examine({}, offline=True)
        monkeypatch.undo()
    finally:
        instrumentor.uninstrument()
    found = [finding for section in sections for finding in section.findings if finding.subject == "wrapped again"]
    methods = "redis.Redis.execute_command, redis.ConnectionPool.release"
    assert [finding.text for finding in found] == [f"after redispan, by {__name__}: {methods}"]


def test_metrics_of_redis_py_itself_are_known_to_be_on() -> None:
    """If the process has switched redis-py's own metrics on, the doctor reports that, and who emits them."""
    pytest.importorskip("redis.observability", reason="redis-py emits metrics since 7.4")
    program = (
        "from redis.observability.providers import get_observability_instance as instance;"
        "from redis.observability.config import OTelConfig; instance().init(OTelConfig());"
        "from redispan.cli.arguments import run; run(['doctor', '--offline'])"
    )
    environ = {**os.environ, "OTEL_PYTHON_REDISPAN_NATIVE_METRICS": "replace", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, encoding="utf-8", check=True
    )
    assert "on in this process: replaced" in done.stdout


secrets = st.text(st.characters(categories=("L", "N")), min_size=6, max_size=20).map(lambda text: f"s3cr3t{text}")


@given(user=secrets, password=secrets, token=secrets)
def test_no_credential_is_ever_shown(user: str, password: str, token: str) -> None:
    """Text and JSON never show user, password, header or path of a URL, whether the URL can be parsed or not."""
    place = f"{quote(user)}:{quote(password)}@127.0.0.1:1"
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{place}/{quote(token)}?key={quote(token)}",
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {token}",
        "REDIS_URL": f"redis://{place}/0?password={quote(token)}",
    }
    for url in (
        environ["REDIS_URL"],
        place,
        f"redis://{user}:{password}@[::1/{token}",
        f"redis://{user}:{password}@127.0.0.1:{token}",
        f"redis://{user}:123/{password}@127.0.0.1",
        f"redis://{user}:{password}#@127.0.0.1:1",
        f"unix://{user}:{password}@/{token}",
    ):
        section = doctor_reach.reachability(environ | {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": url}, url)
        shown = as_text([section], color=False) + json.dumps(json.loads(as_json([section])), ensure_ascii=False)
        assert not any(secret in shown for secret in (user, password, token, quote(user), quote(password)))


def test_a_check_that_fails_is_a_problem_and_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor names the type of a check's exception and not its message. The other checks still run."""

    def fail(_: object) -> Section:
        raise RuntimeError("redis://user:hidden@host")

    monkeypatch.setattr("redispan.cli.doctor_environment.settings", fail)
    sections = doctor.examine({}, offline=True)
    assert "RuntimeError" in problems_in(sections)[-1].text
    assert "hidden" not in as_json(sections)
    assert len(sections) == 5


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_it_works_where_nothing_is_installed(options: list[str]) -> None:
    """Without redis-py, the API and the SDK, the doctor still runs and names what to install. Its exit code is 1."""
    program = (
        f"import sys; sys.path.insert(0, {str(SOURCE)!r});"
        f" from redispan.cli.arguments import run; sys.exit(run(['doctor', '--offline', *{options!r}]))"
    )
    # -S: without site-packages, so that redispan's own source is all there is.
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""
    assert "pip install redis" in done.stdout
    if options:
        assert json.loads(done.stdout)["ok"] is False


def test_json_carries_every_finding(capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON has the same sections, subjects, texts and levels as the text."""
    arguments.run(["doctor", "--offline", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert {"Versions", "Patches", "OpenTelemetry", "Settings"} <= set(document["sections"])
    assert {"level", "subject", "text"} == set(document["sections"]["Versions"][0])


def test_a_terminal_without_unicode_gets_plain_marks() -> None:
    """Without Unicode the marks are ASCII. The doctor uses no colour when it is not wanted."""
    section = Section("One")
    section.ok("a", "fine")
    section.problem("b", "broken")
    shown = as_text([section], color=False, ascii_only=True)
    assert shown.isascii()
    assert "\033" not in shown
    assert "1 problem found: b." in shown
    assert section.findings[1].level is Level.PROBLEM


@pytest.mark.e2e
@pytest.mark.slow
def test_a_failed_auto_instrumentation_is_a_problem() -> None:
    """The doctor reports it if opentelemetry-instrument started the process and could not instrument it."""
    start = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", start, sys.executable, "-m", "redispan.cli", "doctor", "--offline", "--json"],
        env={**os.environ, "OTEL_TRACES_EXPORTER": "nosuch"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    findings = {finding["subject"]: finding for finding in json.loads(done.stdout)["sections"]["Patches"]}
    assert findings["state"]["level"] == "problem"


@pytest.mark.e2e
@pytest.mark.slow
def test_under_opentelemetry_instrument_it_sees_what_the_program_would(closed_port: int) -> None:
    """A doctor that is started like the program reports the patches and providers of its own process, with no trial."""
    endpoint = f"http://127.0.0.1:{closed_port}"
    start = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", start, sys.executable, "-m", "redispan.cli", "doctor", "--offline", "--json"],
        # Exports are short, because no receiver listens and the process ends once the findings are printed.
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_TIMEOUT": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    sections = json.loads(done.stdout)["sections"]
    texts = {finding["subject"]: finding["text"] for findings in sections.values() for finding in findings}
    assert texts["state"] == "instrumented in this process"
    assert texts["tracer provider"].startswith("opentelemetry.sdk")
