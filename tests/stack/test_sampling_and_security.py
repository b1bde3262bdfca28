"""The overlays keep the right traces and refuse unknown clients."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
import trustme

from servers.otlp_receiver import OtlpReceiver
from stack.native.collector import Collector
from stack.native.otlp_source import Source, span
from stack.native.programs import eventually
from stack.native.stack import Tools

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]


def test_tail_sampling_keeps_the_notable(tools: Tools, tmp_path: Path) -> None:
    """The Collector keeps failed, slow and marked traces whole and drops others. Metrics still count every trace."""
    redis = {"db.system.name": "redis"}
    kept = {
        "failed": span("failed", attributes=redis, status={"code": 2}),
        "slow": span("slow", attributes=redis, duration_ms=80),
        "slow-old-names": span("slow-old-names", attributes={"db.system": "redis"}, duration_ms=80),
        "marked": span("marked", attributes={**redis, "redis.client.operation.slow": True}, duration_ms=20),
        "long": span("long", duration_ms=1500),
    }
    quick = [span(f"quick-{i}", attributes=redis) for i in range(30)]
    slow_sql = span("slow-sql", attributes={"db.system.name": "postgresql"}, duration_ms=80)
    sibling = span("sibling of failed", trace_id=kept["failed"]["traceId"])
    wishes = {"SAMPLING_DECISION_WAIT": "1s", "SAMPLING_PERCENT": "0"}
    with OtlpReceiver() as sink:
        files = ["backends/otlp-http", "overlays/tail-sampling"]
        with Collector(tools, tmp_path, files, {"OTLP_HTTP_ENDPOINT": sink.endpoint, **wishes}) as collector:
            assert Source(collector.url).send_spans(*kept.values(), *quick, slow_sql, sibling) == 200
            sink.wait_for(lambda r: r.span_names().keys() >= kept.keys(), "the notable traces")
            counted = sink.wait_for(lambda r: r.points("traces.span.metrics.calls"), "span metrics")
        assert sink.span_names().keys() == kept.keys() | {"sibling of failed"}
        names = {point.attributes.get("span.name") for point in counted}
        assert {"quick-0", "quick-29", "slow-sql"} <= names


@pytest.mark.parametrize("overlay", [[], ["overlays/no-server-metrics"]], ids=["base", "no-server-metrics"])
def test_a_server_is_asked_unless_told_otherwise(overlay: list[str], tools: Tools, tmp_path: Path) -> None:
    """The base queries the Redis server for its metrics.

    With the overlay it does not connect to it, and spans still pass.
    """
    with socket.create_server(("127.0.0.1", 0)) as server, OtlpReceiver() as sink:
        server.settimeout(20 if not overlay else 1.5)
        wishes = {
            "OTLP_HTTP_ENDPOINT": sink.endpoint,
            "REDIS_ENDPOINT": f"127.0.0.1:{server.getsockname()[1]}",
            "REDIS_COLLECTION_INTERVAL": "200ms",
        }
        with Collector(tools, tmp_path, ["backends/otlp-http", *overlay], wishes) as collector:
            assert Source(collector.url).send_spans(span("passes")) == 200
            sink.wait_for(lambda r: r.spans("passes"), "the span")
            if overlay:
                with pytest.raises(TimeoutError):
                    server.accept()
            else:
                server.accept()[0].close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return the certificate authority that server and clients trust."""
    return trustme.CA()


@pytest.fixture
def server_files(authority: trustme.CA, tmp_path: Path) -> dict[str, str]:
    """Write the Collector's certificate to files."""
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "server.crt")
    certificate.private_key_pem.write_to_path(tmp_path / "server.key")
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    return {
        "OTLP_SERVER_CERT_FILE": str(tmp_path / "server.crt"),
        "OTLP_SERVER_KEY_FILE": str(tmp_path / "server.key"),
        "OTLP_CLIENT_CA_FILE": str(tmp_path / "ca.crt"),
    }


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """Return the TLS context of a client that trusts the authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_tls(tools: Tools, authority: trustme.CA, server_files: dict[str, str], tmp_path: Path) -> None:
    """The Collector accepts telemetry over TLS, but not in clear text or with another authority."""
    with Collector(tools, tmp_path, ["overlays/tls"], server_files) as collector:
        secure = collector.url.replace("http://", "https://")
        assert Source(secure, tls=trusting(authority)).send_spans(span("a")) == 200
        assert Source(collector.url).send_spans(span("b")) != 200
        assert Source(secure, tls=trusting(trustme.CA())).send_spans(span("c")) == 0


def test_mutual_tls(tools: Tools, authority: trustme.CA, server_files: dict[str, str], tmp_path: Path) -> None:
    """The Collector accepts only clients with a certificate of the authority."""
    with Collector(tools, tmp_path, ["overlays/mtls"], server_files) as collector:
        secure = collector.url.replace("http://", "https://")
        known, stranger = trusting(authority), trusting(authority)
        authority.issue_cert("agent.example.org").configure_cert(known)
        trustme.CA().issue_cert("agent.example.org").configure_cert(stranger)
        assert Source(secure, tls=known).send_spans(span("a")) == 200
        assert Source(secure, tls=trusting(authority)).send_spans(span("b")) == 0
        assert Source(secure, tls=stranger).send_spans(span("c")) == 0


def test_bearer_token(tools: Tools, tmp_path: Path) -> None:
    """The Collector accepts only clients that know the token, and uses a new token in the file without a restart."""
    token = tmp_path / "token"
    token.write_text("first-token")
    with Collector(tools, tmp_path, ["overlays/bearer"], {"OTLP_TOKEN_FILE": str(token)}) as collector:

        def status(word: str) -> int:
            return Source(collector.url, Authorization=f"Bearer {word}").send_spans(span("a"))

        assert status("first-token") == 200
        assert status("wrong-token") == 401
        assert Source(collector.url).send_spans(span("b")) == 401
        token.write_text("second-token")
        eventually(lambda: status("second-token") == 200, what="the new token")
        assert status("first-token") == 401


def test_listens_on_loopback_only(tools: Tools, tmp_path: Path) -> None:
    """By default the Collector is not reachable from other machines."""
    with Collector(tools, tmp_path, []) as collector, socket.socket() as probe:
        probe.settimeout(1)
        # Any other address of this machine: a server on 0.0.0.0 would answer there.
        assert probe.connect_ex(("127.0.0.2", collector.http_port)) != 0
