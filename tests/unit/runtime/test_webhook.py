"""The webhook posts in the background, retries what may succeed, and never blocks a caller or grows."""

import json
import logging
import threading
import urllib.error
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import tenacity

from redispan._core.records import CLEARED, DETECTED, ERROR_RATE, FIRED, SLOW_OPERATION, Alert
from redispan._core.slot import SLOT
from redispan._runtime import webhook as alert_webhook
from redispan._runtime.webhook import QUEUED, AlertWebhook
from waiting import PATIENCE_S, wait_until


def alert(state: str = FIRED, name: str = ERROR_RATE) -> Alert:
    """Return an alert."""
    return Alert(
        name=name,
        state=state,
        message="m",
        endpoint="h:1/0",
        value=0.5,
        threshold=0.05,
        unit="1",
        at_unix_ns=1_800_000_000_000_000_000,
        severity="error" if state == FIRED else "info",
        address="h",
        port=1,
    )


@pytest.fixture
def posted() -> list[Any]:
    """Return what was posted."""
    return []


@pytest.fixture
def receiver(posted: list[Any]) -> Iterator[tuple[str, list[int]]]:
    """Start a web server that returns the given statuses in turn, then 200."""
    statuses: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(statuses.pop(0) if statuses else 200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/alerts", statuses
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the pauses between retries."""
    monkeypatch.setattr(tenacity, "wait_random_exponential", lambda **_: tenacity.wait_none())


def test_alerts_are_posted_as_they_are(receiver: tuple[str, list[int]], posted: list[Any]) -> None:
    """The plain JSON has every field of the alert, and the name of the service."""
    webhook = AlertWebhook(receiver[0], "json", "shop")
    webhook.post(alert())
    webhook.close()
    (found,) = posted
    assert (found["service"], found["name"], found["state"], found["value"]) == ("shop", ERROR_RATE, FIRED, 0.5)


def test_alertmanager_gets_what_it_takes(receiver: tuple[str, list[int]], posted: list[Any]) -> None:
    """The format of API v2 is a list.

    An alert has the same labels when it fires and clears, and a slow operation ends by itself.
    """
    webhook = AlertWebhook(receiver[0], "alertmanager", "shop")
    for one in (alert(FIRED), alert(CLEARED), alert(DETECTED, SLOW_OPERATION)):
        webhook.post(one)
    webhook.close()
    (fired,), (cleared,), (momentary,) = posted
    assert fired["labels"] == cleared["labels"]
    assert fired["labels"]["alertname"] == "redispan_error_rate"
    assert fired["labels"]["area"] == "client"
    assert (fired["labels"]["server_address"], fired["labels"]["server_port"]) == ("h", "1")  # rules match on both
    assert fired["startsAt"] == "2027-01-15T08:00:00.000+00:00"
    assert "endsAt" not in fired
    assert "endsAt" in cleared
    assert momentary["endsAt"] == "2027-01-15T08:05:00.000+00:00"
    assert fired["annotations"] == {"summary": "m"}


def test_what_may_succeed_later_is_retried(receiver: tuple[str, list[int]], posted: list[Any]) -> None:
    """The webhook retries after overload or a fault of the receiver, and not after a refusal.

    The next alert is posted in any case.
    """
    url, statuses = receiver
    statuses.extend([503, 429, 200, 400, 200])
    webhook = AlertWebhook(url)
    webhook.post(alert(FIRED))
    webhook.post(alert(CLEARED))
    webhook.post(alert(DETECTED))
    webhook.close()
    assert [found["state"] for found in posted] == [FIRED, FIRED, FIRED, CLEARED, DETECTED]


def test_nobody_waits_for_a_receiver_that_hangs() -> None:
    """Posting returns at once and the queue stays bounded. The webhook counts alerts that find it full."""
    free = threading.Event()
    webhook = AlertWebhook("http://h/secret-token", send=lambda *_: free.wait() and None)
    before = SLOT.runtime.self_metrics.read("dropped").get("webhook_alerts", 0)
    for _ in range(QUEUED + 50):
        webhook.post(alert())
    dropped = SLOT.runtime.self_metrics.read("dropped")["webhook_alerts"] - before
    free.set()
    webhook.close()
    assert 48 <= dropped <= 50


def test_the_url_is_no_ones_business(caplog: pytest.LogCaptureFixture) -> None:
    """The log of a failure does not show the URL, which is often the secret of the webhook."""

    def fail(url: str, body: bytes) -> None:
        refusal = urllib.error.HTTPError(url, 404, "not here", None, None)  # type: ignore[arg-type]
        refusal.close()
        raise refusal

    webhook = AlertWebhook("http://h/secret-token", send=fail)
    with caplog.at_level(logging.DEBUG):
        webhook.post(alert())
        webhook.close()
    assert "HTTPError" in caplog.text
    assert "secret-token" not in caplog.text


def test_no_thread_before_the_first_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    """A webhook has no thread before its first alert. An idle one ends its thread and starts a new one when needed."""
    monkeypatch.setattr(alert_webhook, "IDLE_S", 0.01)
    sent: list[bytes] = []
    webhook = AlertWebhook("http://h/", send=lambda _, body: sent.append(body))
    assert webhook._thread is None
    for expected in (1, 2):
        webhook.post(alert())
        wait_until(lambda: webhook._thread is None, "the thread to be let go")
        assert len(sent) == expected


def test_other_schemes_are_refused() -> None:
    """A file URL is refused as a webhook."""
    with pytest.raises(ValueError, match="http"):
        AlertWebhook("file:///etc/passwd")


def test_the_end_waits_for_no_pause_and_counts_what_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a receiver that is down: ``close`` ends a pause of a minute, and counts the alerts that it drops."""
    monkeypatch.setattr(tenacity, "wait_random_exponential", lambda **_: tenacity.wait_fixed(60))
    attempts: list[str] = []

    def refuse(url: str, _: bytes) -> None:
        attempts.append(url)
        raise ConnectionRefusedError

    webhook = AlertWebhook("http://127.0.0.1:1/x", send=refuse)
    for _ in range(3):
        webhook.post(alert())
    thread = webhook._thread
    assert thread is not None
    wait_until(lambda: len(attempts) == 1, "the first attempt")
    webhook.close(timeout_s=0.0)
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert SLOT.runtime.self_metrics.read("dropped") == {"webhook_alerts": 2}
    assert SLOT.runtime.self_metrics.read("telemetry_errors") == {"webhook": 1}
