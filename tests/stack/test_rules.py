"""Prometheus' rules and Alertmanager's routes pass their own checkers and the unit tests of every alert."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from stack.native.stack import REPOSITORY, Tools

pytestmark = pytest.mark.stack

PROMETHEUS = REPOSITORY / "collector" / "prometheus"
RULE_FILES = sorted((PROMETHEUS / "rules").glob("*.yml"))
UNIT_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
ROUTES = sorted((REPOSITORY / "collector" / "alertmanager").glob("*.yml"))


def run(*command: str | Path, cwd: Path = PROMETHEUS) -> subprocess.CompletedProcess[str]:
    """Run a checker."""
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, check=False, text=True, capture_output=True, timeout=60
    )


def alerts() -> set[str]:
    """Return the names of all alerts in the rule files."""
    files = [yaml.safe_load(path.read_text()) for path in RULE_FILES]
    return {rule["alert"] for file in files for group in file["groups"] for rule in group["rules"] if "alert" in rule}


def test_rules_are_accepted(tools: Tools) -> None:
    """Every expression parses, and no rule exists twice."""
    done = run(tools["promtool"], "check", "rules", *RULE_FILES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_unit_tests_of_rules_pass(tools: Tools) -> None:
    """The alerts fire on the series that they are made for, and not on similar ones."""
    done = run(tools["promtool"], "test", "rules", *UNIT_TESTS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("alerts-client.yml", "used_ratio > 0.9", "used_ratio > 0.99"),
        (
            "alerts-client.yml",
            "0.05 unless job:db_client_operation_errors:ratio_rate2m <= 0.05",
            "0.01 unless job:db_client_operation_errors:ratio_rate2m <= 0.01",
        ),
        ("alerts-client.yml", "ratio_rate2m <= 0.05", "ratio_rate2m < 0"),
        ("alerts-server.yml", "used_ratio > 0.8", "used_ratio > 0.95"),
        ("alerts-server.yml", "max by (server_address", "min by (server_address"),
        ("alerts-server.yml", "[1h]", "[5m]"),
        ("alerts-client.yml", "redis_client_alert_state_ratio) > 0", 'redis_client_alert_state_ratio{job="shop"}) > 0'),
        ("recording.yml", 'db_system_name="redis",error_type!=""', 'error_type!=""'),
    ],
)
def test_unit_tests_of_rules_can_fail(file: str, old: str, new: str, tools: Tools, tmp_path: Path) -> None:
    """A threshold or filter that is changed by mistake makes the unit tests fail."""
    shutil.copytree(PROMETHEUS, tmp_path / "copy")
    changed = tmp_path / "copy" / "rules" / file
    assert old in changed.read_text()
    changed.write_text(changed.read_text().replace(old, new))
    done = run(tools["promtool"], "test", "rules", *(tmp_path / "copy" / "tests").glob("*.yml"), cwd=tmp_path)
    assert done.returncode != 0


def test_every_alert_has_a_unit_test() -> None:
    """Every alert has a unit test with a series that makes it fire."""
    tested = set()
    for path in UNIT_TESTS:
        for case in yaml.safe_load(path.read_text())["tests"]:
            tested |= {check["alertname"] for check in case.get("alert_rule_test", []) if check["exp_alerts"]}
    assert tested == alerts()


def test_every_alert_says_what_to_do_and_whom_it_concerns() -> None:
    """Every alert names what it concerns and has a runbook, and the severity and area labels that routes use."""
    for path in RULE_FILES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    assert rule["labels"]["severity"] in {"info", "warning", "critical"}, rule["alert"]
                    assert rule["labels"]["area"] in {"client", "pool", "server", "telemetry", "otelcol"}, rule["alert"]
                    assert "$labels" in rule["annotations"]["summary"], rule["alert"]
                    assert len(rule["annotations"]["runbook"]) > 40, rule["alert"]


@pytest.mark.parametrize("path", ROUTES, ids=lambda path: path.stem)
def test_routes_are_accepted(path: Path, tools: Tools) -> None:
    """Alertmanager's own checker accepts the shipped routes and the examples."""
    done = run(tools["amtool"], "check-config", path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        (["severity=critical", "area=client"], "on-call,team-chat"),
        (["severity=warning", "area=pool"], "team-chat"),
        (["severity=info", "area=otelcol"], "incident-tool"),
        (["severity=info", "area=client"], "team-mail"),
    ],
)
def test_example_routes_lead_where_they_say(labels: list[str], receivers: str, tools: Tools) -> None:
    """A critical alert reaches on-call and the chat. An unimportant one reaches only the mailbox."""
    examples = REPOSITORY / "collector" / "alertmanager" / "alertmanager-examples.yml"
    done = run(tools["amtool"], "config", "routes", "test", f"--config.file={examples}", *labels)
    assert done.stdout.strip() == receivers, done.stderr
