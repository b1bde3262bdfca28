"""Alerts travel from a program in trouble to Alertmanager, and from there to mail, chat, pager and webhook."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from redispan._core.records import ALERT_NAMES
from servers.otlp_receiver import OtlpReceiver
from stack.native.clients import Alertmanager
from stack.native.collector import Collector
from stack.native.compose_file import replace_all
from stack.native.notified import Hooks, Mailbox
from stack.native.otlp_source import Source, log_record
from stack.native.programs import Program, eventually
from stack.native.stack import REPOSITORY, Stack, Tools
from waiting import PATIENCE_S
from zero_code import Launcher, free_port

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

PROGRAMS = Path(__file__).parent / "programs"
EXAMPLES = REPOSITORY / "collector" / "alertmanager" / "alertmanager-examples.yml"
SECRETS = {"smtp_password": "mail-4711", "pagerduty_key": "pager-4711", "incident_token": "hook-4711"}


@pytest.fixture(scope="module")
def troubled(stack: Stack) -> Iterator[Program]:
    """Start a zero-code program whose calls fail and whose pool is full.

    It also posts alerts to Alertmanager directly.
    """
    environment = stack.program_environment() | {
        "OTEL_SERVICE_NAME": "troubled",
        "OTEL_PYTHON_REDISPAN_ALERT_WEBHOOK": f"{stack.alertmanager.url}/api/v2/alerts",
        "OTEL_PYTHON_REDISPAN_ALERT_WEBHOOK_FORMAT": "alertmanager",
    }
    launcher = Launcher(environment)
    command = launcher.command(launcher.python, PROGRAMS / "troubled.py")
    program = Program("troubled", command, stack.folder, launcher.environment())
    yield program.start()
    program.kill()


@pytest.mark.parametrize("name", ["error_rate", "pool_usage"])
def test_lasting_alert_fires_in_alertmanager(name: str, stack: Stack, troubled: Program) -> None:
    """A lasting alert of redispan is a state of 1 in Prometheus, an event in the log, and an alert in Alertmanager."""
    state = f'redis_client_alert_state_ratio{{job="troubled",redis_client_alert_name="{name}"}}'
    eventually(lambda: stack.prometheus.value(state) >= 1, what=state)
    event = f"redis.client.alert.{name}"
    eventually(lambda: event in (stack.folder / "out" / "logs.jsonl").read_text(), what=event)
    received = (
        "redis_client_alert_events_total"
        f'{{job="troubled",redis_client_alert_name="{name}",redis_client_alert_state="fired"}}'
    )
    eventually(lambda: stack.prometheus.value(received) >= 1, what=received)

    def delivered() -> bool:
        wanted = {"alertname": "RedisClientAlertFiring", "job": "troubled", "redis_client_alert_name": name}
        return any(wanted.items() <= alert["labels"].items() for alert in stack.alertmanager.alerts())

    eventually(delivered, what=f"{name} in Alertmanager")


@pytest.mark.parametrize(("name", "area"), [("error_rate", "client"), ("pool_usage", "pool")])
def test_webhook_is_what_alertmanager_takes(name: str, area: str, stack: Stack, troubled: Program) -> None:
    """Without Collector and Prometheus in between, the program posts an alert with the labels of the rules."""
    wanted = {"alertname": f"redispan_{name}", "job": "troubled", "area": area}

    def posted() -> bool:
        return any(wanted.items() <= alert["labels"].items() for alert in stack.alertmanager.alerts())

    eventually(posted, what=f"{name} posted by the program")


@pytest.mark.parametrize("name", ALERT_NAMES)
def test_every_alert_event_is_counted_and_sent_on(name: str, tools: Tools, tmp_path: Path) -> None:
    """Each redispan alert, fired and cleared, leaves through the alert pipeline and is counted by name and state."""
    files = ["backends/alerts-otlp", "backends/otlp-http"]
    with OtlpReceiver() as alerts, OtlpReceiver() as everything:
        addresses = {"ALERTS_OTLP_ENDPOINT": alerts.endpoint, "OTLP_HTTP_ENDPOINT": everything.endpoint}
        with Collector(tools, tmp_path, files, addresses) as collector:
            states = ("fired", "cleared")
            records = [
                log_record(eventName=f"redis.client.alert.{name}", attributes={"redis.client.alert.state": state})
                for state in states
            ]
            assert Source(collector.url).send_logs(*records, log_record(eventName="redis.client.pool.exhausted")) == 200
            alerts.wait_for(lambda r: len(r.logs()) == len(states), "the alerts")
            assert {record.event_name for record in alerts.logs()} == {f"redis.client.alert.{name}"}

            def counted(receiver: OtlpReceiver) -> set[tuple[str, str, float]]:
                names = ("redis.client.alert.name", "redis.client.alert.state")
                points = receiver.points("redis.client.alert.events", latest=False)
                return {(*(str(point.attributes[name]) for name in names), point.value) for point in points}

            everything.wait_for(lambda r: counted(r) == {(name, state, 1) for state in states}, "both states counted")


@pytest.fixture
def notified(tools: Tools, tmp_path: Path) -> Iterator[tuple[Alertmanager, Hooks, Mailbox]]:
    """Start the real Alertmanager with the example routes, whose receivers run on this machine."""
    port = free_port()
    with Hooks() as hooks, Mailbox() as mailbox:
        web = f"http://127.0.0.1:{hooks.port}"
        for name, text in {**SECRETS, "slack_webhook": f"{web}/slack"}.items():
            (tmp_path / name).write_text(text)
        text = replace_all(
            EXAMPLES.read_text(),
            {
                "/run/secrets": str(tmp_path),
                "smtp.example.org:587": f"127.0.0.1:{mailbox.port}",
                "https://incidents.example.org": web,
                "group_wait: 30s": "group_wait: 0s",
                # The test's mail server on loopback needs no TLS.
                "global:\n": f"global:\n  smtp_require_tls: false\n  pagerduty_url: {web}/pagerduty\n",
            },
        )
        (tmp_path / "alertmanager.yml").write_text(text)
        command = [
            tools["alertmanager"], "--config.file=alertmanager.yml", "--storage.path=data", "--cluster.listen-address=",
            f"--web.listen-address=127.0.0.1:{port}",
        ]  # fmt: skip
        client = Alertmanager(f"http://127.0.0.1:{port}")
        program = Program("alertmanager", command, tmp_path).start(f"{client.url}/-/ready")
        yield client, hooks, mailbox
        program.kill()


def raise_alert(alertmanager: Alertmanager, name: str, **labels: str) -> None:
    """Post an alert as Prometheus does when a rule fires."""
    alert = {
        "labels": {"alertname": name, "job": "shop", **labels},
        "annotations": {"summary": f"summary of {name}", "runbook": f"runbook of {name}"},
    }
    request = urllib.request.Request(
        f"{alertmanager.url}/api/v2/alerts", json.dumps([alert]).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=PATIENCE_S).close()


def test_example_routes_deliver(notified: tuple[Alertmanager, Hooks, Mailbox]) -> None:
    """Pager, chat, mail and webhook each get the alerts meant for them, with the secret read from its file."""
    alertmanager, hooks, mailbox = notified
    raise_alert(alertmanager, "RedisPoolTimeouts", severity="critical", area="pool")
    raise_alert(alertmanager, "RedisClientSlow", severity="warning", area="client")
    raise_alert(alertmanager, "RedisClientSlowOperation", severity="info", area="client")
    raise_alert(alertmanager, "OtelcolQuiet", severity="info", area="otelcol")

    page = eventually(lambda: hooks.at("/pagerduty"), what="the page")[0]
    assert page["routing_key"] == SECRETS["pagerduty_key"]
    assert page["payload"]["summary"] == "summary of RedisPoolTimeouts"
    assert page["payload"]["severity"] == "critical"

    eventually(lambda: len(hooks.at("/slack")) == 2, what="two messages in the chat")
    chat = {message["attachments"][0]["title"]: message for message in hooks.at("/slack")}
    assert chat.keys() == {"RedisPoolTimeouts shop", "RedisClientSlow shop"}
    text = chat["RedisClientSlow shop"]["attachments"][0]["text"]
    assert "summary of RedisClientSlow" in text
    assert "runbook of RedisClientSlow" in text

    (mail,) = eventually(lambda: list(mailbox.mails), what="the mail")
    assert "RedisClientSlowOperation" in mail
    assert SECRETS["smtp_password"].encode() in base64.b64decode(mailbox.logins[0].split(" ")[-1])

    (_, authorization, incident) = eventually(lambda: _posted(hooks, "/hooks/redis"), what="the webhook")[0]
    assert authorization == f"Bearer {SECRETS['incident_token']}"
    assert [alert["labels"]["alertname"] for alert in incident["alerts"]] == ["OtelcolQuiet"]


def test_a_server_that_is_gone_silences_its_own_clients_only(stack: Stack) -> None:
    """An alert about a lost server silences its clients' alerts, but not those about other servers."""
    gone, fine, neighbour = ("gone", "6379"), ("fine", "6379"), ("gone", "6380")
    server = {"server_address": gone[0], "server_port": gone[1]}
    raise_alert(stack.alertmanager, "RedisServerUnreachable", severity="critical", area="server", **server)
    for address, port in (gone, fine, neighbour):
        client = {"area": "client", "server_address": address, "server_port": port}
        raise_alert(stack.alertmanager, "RedisClientHighErrorRatio", severity="critical", **client)

    def silenced() -> dict[tuple[str, str], bool]:
        return {
            (alert["labels"]["server_address"], alert["labels"]["server_port"]): bool(alert["status"]["inhibitedBy"])
            for alert in stack.alertmanager.alerts()
            if alert["labels"]["alertname"] == "RedisClientHighErrorRatio"
            and alert["labels"].get("server_address") in {"gone", "fine"}
        }

    eventually(lambda: silenced() == {gone: True, fine: False, neighbour: False}, what="one silenced, two not")


def _posted(hooks: Hooks, path: str) -> list[tuple[str, str, Any]]:
    return [entry for entry in hooks.posted if entry[0] == path]
