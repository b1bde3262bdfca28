"""When a Collector dies or a backend is away, all accepted telemetry arrives, and it is counted."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from servers.otlp_receiver import OtlpReceiver
from stack.native.clients import get_text
from stack.native.collector import Collector
from stack.native.otlp_source import Source, span
from stack.native.programs import eventually
from stack.native.stack import Tools

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

SPANS_PER_REQUEST = 50
# The test is about the retry, not about the time before it.
RETRY = "exporters::otlp_http/any::retry_on_failure"
SOON = {f"{RETRY}::initial_interval": "200ms", f"{RETRY}::max_interval": "200ms"}


def in_front_of(sink: OtlpReceiver, tools: Tools, folder: Path) -> Collector:
    """Build a Collector that sends to the receiver."""
    return Collector(tools, folder, ["backends/otlp-http"], {"OTLP_HTTP_ENDPOINT": sink.endpoint}, SOON)


class Load:
    """Send numbered spans without a pause, repeat refused requests, and remember what was accepted."""

    def __init__(self, source: Source) -> None:
        self.accepted: set[str] = set()
        self.refused = 0
        self._source = source
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop sending."""
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            names = [f"n{number}.{i}" for i in range(SPANS_PER_REQUEST)]
            if self._source.send_spans(*(span(name) for name in names)) == 200:
                self.accepted.update(names)
            else:
                self.refused += 1
                time.sleep(0.05)
            number += 1


def test_killed_collector_loses_nothing_it_accepted(tools: Tools, tmp_path: Path) -> None:
    """A Collector that is killed twice under load delivers to the backend every span that got a 200."""
    with OtlpReceiver() as sink:
        collector = in_front_of(sink, tools, tmp_path).start()
        load = Load(Source(collector.url))
        try:
            for _ in range(2):
                wanted = len(load.accepted) + 3000
                eventually(lambda wanted=wanted: len(load.accepted) > wanted, what="load")
                collector.program.kill()
                collector.start()
            wanted = len(load.accepted) + 3000
            eventually(lambda: len(load.accepted) > wanted, what="load after the restarts")
        finally:
            load.end()
        assert load.refused > 0, "the Collector was never away: this test proves nothing"
        try:
            sink.wait_for(lambda r: load.accepted <= r.span_names().keys(), "every accepted span")
        finally:
            collector.program.stop()
            missing = load.accepted - sink.span_names().keys()
            repeated = sum(count - 1 for count in sink.span_names().values())
            print(f"accepted {len(load.accepted)}, missing {len(missing)}, delivered twice {repeated}")


def test_backend_away_for_a_while_gets_everything_later(tools: Tools, tmp_path: Path) -> None:
    """The Collector retries a backend that refuses until it accepts. The queue holds what was accepted meanwhile."""
    with (
        OtlpReceiver() as sink,
        in_front_of(sink, tools, tmp_path) as collector,
    ):
        sink.answer_status = 503
        load = Load(Source(collector.url))
        eventually(lambda: len(load.accepted) > 5000 and sink.refused > 2, what="load against a refusing backend")
        load.end()
        assert not sink.span_names()
        assert "otelcol_exporter_queue_size" in get_text(collector.metrics_url)
        sink.answer_status = 200
        sink.wait_for(lambda r: load.accepted <= r.span_names().keys(), "every accepted span")


def test_backend_away_and_collector_restarted_meanwhile(tools: Tools, tmp_path: Path) -> None:
    """After a restart during a backend outage, the new Collector delivers what waited in the old one's queue."""
    with OtlpReceiver() as sink:
        sink.answer_status = 503
        collector = in_front_of(sink, tools, tmp_path).start()
        load = Load(Source(collector.url))
        eventually(lambda: len(load.accepted) > 3000, what="load")
        load.end()
        collector.program.stop()
        sink.answer_status = 200
        with collector:
            sink.wait_for(lambda r: load.accepted <= r.span_names().keys(), "every accepted span")


def test_two_backends_do_not_wait_for_each_other(tools: Tools, tmp_path: Path) -> None:
    """A backend that is away does not delay another one, because each has a separate queue."""
    with OtlpReceiver() as away, OtlpReceiver() as present:
        away.answer_status = 503
        files = ["backends/otlp-http", "backends/vendor-honeycomb"]
        addresses = {
            "OTLP_HTTP_ENDPOINT": away.endpoint,
            "HONEYCOMB_ENDPOINT": present.endpoint,
            "HONEYCOMB_API_KEY": "k",
        }
        with Collector(tools, tmp_path, files, addresses, SOON) as collector:
            assert Source(collector.url).send_spans(span("hello")) == 200
            present.wait_for(lambda r: r.spans("hello"), "the span at the other backend")
            away.answer_status = 200
            away.wait_for(lambda r: r.spans("hello"), "the span at the late backend")
