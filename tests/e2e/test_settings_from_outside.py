"""Settings come from flags, variables and a declarative configuration. redispan logs each unusable setting once."""

import json
from pathlib import Path

import pytest

from e2e.reading import OURS, redis_spans
from servers.otlp_receiver import OtlpReceiver
from zero_code import Finished, Launcher

pytestmark = pytest.mark.e2e


def settings_of(finished: Finished) -> tuple[dict[str, object], dict[str, str]]:
    """Return the values and sources that the program printed."""
    assert finished.code == 0, finished.all
    values, sources = map(json.loads, finished.out.splitlines())
    return values, sources


def test_flags(launcher: Launcher, otlp_receiver: OtlpReceiver) -> None:
    """Every setting is a flag of ``opentelemetry-instrument``, and a flag overrides the variable."""
    flags = ["--redispan_slow_alert_ms", "20", "--redispan_query_text", "keys"]
    finished = launcher.run(
        "settings_in_effect.py", "slow_alert_ms", "query_text", flags=flags,
        variables={"OTEL_PYTHON_REDISPAN_SLOW_ALERT_MS": "70"},
    )  # fmt: skip
    assert settings_of(finished)[0] == {"slow_alert_ms": 20.0, "query_text": "keys"}
    assert finished.err == ""
    (span,) = redis_spans(otlp_receiver)
    assert span.attributes["db.query.text"] == "SET the-key ?"


def test_every_setting_is_a_flag(launcher: Launcher) -> None:
    """The help of the command line lists every setting."""
    from redispan.settings import Settings

    shown = launcher.run("settings_in_effect.py", flags=["--help"]).out
    for name in Settings.__dataclass_fields__:
        assert f"--redispan_{name} " in shown


@pytest.mark.parametrize(
    ("name", "value", "in_use"),
    [
        ("slow_alert_ms", "fast", "50.0"),
        ("slow_alert_ms", "-1", "50.0"),
        ("slow_alert_ms", "nan", "50.0"),
        ("spans", "some", "'all'"),
        ("query_text_limit", "1e3", "1024"),
        ("metrics", "perhaps", "True"),
    ],
)
def test_an_unusable_value_is_named_once(name: str, value: str, in_use: str, launcher: Launcher) -> None:
    """One line on standard error names the variable and the value in use, which is the default."""
    variable = f"OTEL_PYTHON_REDISPAN_{name.upper()}"
    finished = launcher.run("settings_in_effect.py", name, variables={variable: value})
    values, sources = settings_of(finished)
    assert repr(values[name]) == in_use
    assert sources[name] == "default"
    (line,) = finished.err.splitlines()
    assert variable in line
    assert value in line
    assert in_use in line


CONFIGURATION = """
file_format: "1.0"
resource:
  attributes:
    - {{name: service.name, value: declared}}
tracer_provider:
  processors:
    - simple: {{exporter: {{otlp_http: {{endpoint: "{endpoint}/v1/traces"}}}}}}
instrumentation/development:
  python:
    redispan: {options}
"""


def run_declared(launcher: Launcher, receiver: OtlpReceiver, folder: Path, options: str, *shown: str) -> Finished:
    """Run the program under a configuration file that gives redispan these options."""
    file = folder / "otel.yaml"
    file.write_text(CONFIGURATION.format(endpoint=receiver.endpoint, options=options))
    return launcher.run("settings_in_effect.py", *shown, variables={"OTEL_CONFIG_FILE": str(file)})


def test_declarative_configuration(launcher: Launcher, otlp_receiver: OtlpReceiver, tmp_path: Path) -> None:
    """Options in the file are settings, typed as in YAML, and override variables. redispan logs nothing."""
    launcher.variables["OTEL_PYTHON_REDISPAN_SLOW_ALERT_MS"] = "70"
    options = "{query_text: keys, slow_alert_ms: 35, exclude_commands: [PING, get], metrics: false}"
    names = ("query_text", "slow_alert_ms", "exclude_commands", "metrics")
    finished = run_declared(launcher, otlp_receiver, tmp_path, options, *names)
    values, sources = settings_of(finished)
    assert values == {
        "query_text": "keys",
        "slow_alert_ms": 35.0,
        "exclude_commands": ["PING", "GET"],
        "metrics": False,
    }
    assert set(sources.values()) == {"argument"}
    assert finished.lines_about("redispan") == []
    (span,) = redis_spans(otlp_receiver)
    assert (span.scope, span.attributes["db.query.text"]) == (OURS, "SET the-key ?")
    assert span.resource["service.name"] == "declared"


def test_unusable_options_in_the_declarative_configuration(
    launcher: Launcher, otlp_receiver: OtlpReceiver, tmp_path: Path
) -> None:
    """A wrong value and an unknown name cause one log line each, and have no other effect."""
    options = "{spans: some, no_such_setting: 1, query_text: keys}"
    finished = run_declared(launcher, otlp_receiver, tmp_path, options, "spans", "query_text")
    assert settings_of(finished)[0] == {"spans": "all", "query_text": "keys"}
    assert len(finished.lines_about("'spans'")) == len(finished.lines_about("'no_such_setting'")) == 1
    assert len(finished.lines_about("redispan")) == 2
    assert len(redis_spans(otlp_receiver)) == 1


def test_declared_without_options(launcher: Launcher, otlp_receiver: OtlpReceiver, tmp_path: Path) -> None:
    """A file that names redispan without options instruments once, with the defaults."""
    finished = run_declared(launcher, otlp_receiver, tmp_path, "{}", "spans")
    assert settings_of(finished)[0] == {"spans": "all"}
    assert finished.lines_about("lready") == finished.lines_about("redispan") == []
    assert len(redis_spans(otlp_receiver)) == 1
