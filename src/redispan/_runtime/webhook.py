"""``AlertWebhook``: posts alerts to a URL from a background thread, so that no operation is delayed.

The thread starts with the first alert. The queue is bounded: an alert that finds it full is dropped and counted. The
URL may contain a secret, so it is never logged.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from redispan._core.records import CLEARED, DETECTED, ERROR_RATE, MEMORY_USAGE, POOL_USAGE, Alert
from redispan._core.slot import SLOT

_log = logging.getLogger("redispan")

QUEUED = 100
ATTEMPTS = 5
TIMEOUT_S = 5.0
IDLE_S = 30.0
"""The seconds without an alert after which the thread ends. The next alert starts it again."""
_ENDING_S = 2.0
"""The time in seconds in which the thread ends once it no longer pauses between two attempts."""
MOMENTARY_NS = 300_000_000_000
"""The duration of a momentary alert for Alertmanager: a slow operation is an alert that ends after five minutes."""

_AREAS = {MEMORY_USAGE: "server", POOL_USAGE: "pool"}
"""The label ``area`` of alerts; other alerts have ``client``.

The alert rules in collector/prometheus use the same values, so that the same routes and silences match.
"""

Send = Callable[[str, bytes], None]


class AlertWebhook:
    """Posts alerts to one URL. Its method ``post`` is a callback for alerts."""

    def __init__(self, url: str, form: str = "json", service: str = "", send: Send | None = None) -> None:
        """Make a webhook; no thread starts yet.

        Args:
            url: The URL to post to, with http or https.
            form: ``json`` (one alert as an object) or ``alertmanager`` (a list, for Alertmanager's API v2).
            service: The name of the service: ``service`` in JSON, the label ``job`` for Alertmanager.
            send: Sends one body to the URL, and raises if that fails; HTTP POST by default.

        Raises:
            ValueError: The URL is neither http nor https.
        """
        if not url.lower().startswith(("http://", "https://")):
            raise ValueError("the URL of an alert webhook starts with http:// or https://")
        self._url = url
        self._encode = _alertmanager if form == "alertmanager" else _plain
        self._service = service
        self._send = send or send_over_http
        self.renew_in_child()

    def renew_in_child(self) -> None:
        """Start with an empty queue in a forked child, which has neither the thread nor the parent's alerts."""
        self._lock = threading.Lock()
        self._queue: queue.Queue[Alert | None] = queue.Queue(QUEUED)
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()

    def post(self, alert: Alert) -> None:
        """Queue an alert, and start the thread if it does not run. Never waits for the queue."""
        try:
            self._queue.put_nowait(alert)
        except queue.Full:
            SLOT.runtime.self_metrics.dropped("webhook_alerts")
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="redispan-alert-webhook", daemon=True)
                self._thread.start()

    def close(self, timeout_s: float = 2.0) -> None:
        """Send the queued alerts and end the thread. What is not sent in time is dropped and counted.

        Args:
            timeout_s: How many seconds sending may take.
        """
        with self._lock:
            thread = self._thread
        if thread is None:
            return
        try:
            self._queue.put_nowait(None)
            thread.join(timeout_s)
        except queue.Full:
            pass  # more than can be sent in time
        if thread.is_alive():
            self._ending.set()  # ends a pause between two attempts
            thread.join(_ENDING_S)
            self._drop_queued()

    def _drop_queued(self) -> None:
        while True:
            try:
                alert = self._queue.get_nowait()
            except queue.Empty:
                return
            if alert is not None:
                SLOT.runtime.self_metrics.dropped("webhook_alerts")

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                alert = self._queue.get(timeout=IDLE_S)
            except queue.Empty:
                alert = None
            if alert is None:
                with self._lock:
                    if self._queue.empty():
                        self._thread = None
                        return
                continue
            try:
                # ``_deliver`` suppresses instrumentation, so that the request itself is not traced.
                self._deliver(self._encode(alert, self._service))
            except Exception as fault:
                SLOT.runtime.self_metrics.telemetry_error("webhook")
                _log.warning("redispan: an alert could not be posted to the webhook: %s", type(fault).__name__)

    def _deliver(self, body: bytes) -> None:
        from tenacity import (
            Retrying,
            retry_if_exception,
            sleep_using_event,
            stop_after_attempt,
            stop_when_event_set,
            wait_random_exponential,
        )

        from redispan._telemetry.scope import without_instrumentation

        with without_instrumentation():
            Retrying(
                stop=stop_after_attempt(ATTEMPTS) | stop_when_event_set(self._ending),
                sleep=sleep_using_event(self._ending),
                wait=wait_random_exponential(multiplier=0.5, max=10.0),
                retry=retry_if_exception(_may_succeed_later),
                reraise=True,
            )(self._send, self._url, body)


def send_over_http(url: str, body: bytes) -> None:
    """Post ``body`` as JSON.

    Args:
        url: The URL, whose scheme is http or https.
        body: The JSON text in bytes.

    Raises:
        HTTPError: The status is 400 or more.
        OSError: The server cannot be reached.
    """
    request = urllib.request.Request(  # noqa: S310 - the scheme was checked
        url, data=body, headers={"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310 - see above
            response.read(1000)
    except urllib.error.HTTPError as refusal:
        refusal.close()  # the exception holds the connection
        raise


def _may_succeed_later(fault: BaseException) -> bool:
    status = getattr(fault, "code", None)
    if isinstance(status, int):
        return status in (408, 429) or status >= 500
    return isinstance(fault, OSError)


def _plain(alert: Alert, service: str) -> bytes:
    return json.dumps({"service": service, **alert.as_data()}).encode()


def _alertmanager(alert: Alert, service: str) -> bytes:
    labels = {
        "alertname": "redispan_" + alert.name,
        # Alertmanager identifies an alert by its labels, so a cleared alert must have the labels that it fired with.
        "severity": "critical" if alert.name == ERROR_RATE else "warning",
        "area": _AREAS.get(alert.name, "client"),
        "subject": alert.endpoint,
    }
    more = {"job": service, "server_address": alert.address, "server_port": alert.port, "command": alert.command}
    labels.update({name: str(value) for name, value in more.items() if value})
    body: dict[str, Any] = {"labels": labels, "annotations": {"summary": alert.message}}
    if alert.state == CLEARED:
        body["endsAt"] = _rfc3339(alert.at_unix_ns)
    else:
        body["startsAt"] = _rfc3339(alert.at_unix_ns)
        if alert.state == DETECTED:
            body["endsAt"] = _rfc3339(alert.at_unix_ns + MOMENTARY_NS)
    return json.dumps([body]).encode()


def _rfc3339(unix_ns: int) -> str:
    return datetime.fromtimestamp(unix_ns / 1e9, timezone.utc).isoformat(timespec="milliseconds")
