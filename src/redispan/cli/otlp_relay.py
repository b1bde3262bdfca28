"""The relay that sends received OTLP requests on, unchanged, to the endpoint that the environment names."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping, Sequence
from urllib.parse import unquote, urlsplit

TIMEOUT_S = 3.0

_GRPC_METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}


class RelayError(RuntimeError):
    """The endpoint did not accept the telemetry; the message says why, and holds no secret."""


def protocol_of(environ: Mapping[str, str]) -> str:
    """Return the OTLP protocol in effect: by default ``grpc``, as in ``opentelemetry-distro``."""
    return environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "").strip().lower() or "grpc"


def relay(requests: Sequence[tuple[str, bytes]], environ: Mapping[str, str]) -> None:
    """Send every request on.

    Args:
        requests: Pairs of signal (``traces``, ``metrics`` or ``logs``) and body.
        environ: The environment, with ``OTEL_EXPORTER_OTLP_ENDPOINT`` and perhaps ``_PROTOCOL`` and ``_HEADERS``.

    Raises:
        RelayError: The endpoint did not accept a request.
    """
    endpoint = environ["OTEL_EXPORTER_OTLP_ENDPOINT"].strip()
    headers = _headers(environ.get("OTEL_EXPORTER_OTLP_HEADERS", ""))
    send = _send_grpc if protocol_of(environ) == "grpc" else _send_http
    try:
        send(endpoint, headers, requests)
    except RelayError:
        raise
    except Exception as error:
        # Only the type is shown: a message may repeat the URL, and a URL may hold a password.
        raise RelayError(type(error).__name__) from error


def _headers(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return {unquote(name.strip()).lower(): unquote(value.strip()) for name, _, value in pairs}


def _send_http(endpoint: str, headers: dict[str, str], requests: Sequence[tuple[str, bytes]]) -> None:
    if urlsplit(endpoint).scheme not in ("http", "https"):
        raise RelayError("the endpoint must start with http:// or https://")
    for signal, body in requests:
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
            f"{endpoint.rstrip('/')}/v1/{signal}",
            data=body,
            headers={**headers, "Content-Type": "application/x-protobuf"},
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310
            pass


def _send_grpc(endpoint: str, headers: dict[str, str], requests: Sequence[tuple[str, bytes]]) -> None:
    import grpc

    parts = urlsplit(endpoint if "//" in endpoint else f"http://{endpoint}")
    target = f"{parts.hostname}:{parts.port or 4317}"
    if parts.scheme == "https":
        channel = grpc.secure_channel(target, grpc.ssl_channel_credentials())
    else:
        channel = grpc.insecure_channel(target)
    with channel:
        for signal, body in requests:
            # Without serializers, gRPC sends the bytes unchanged.
            call = channel.unary_unary(_GRPC_METHODS[signal])
            try:
                call(body, timeout=TIMEOUT_S, metadata=tuple(headers.items()))
            except grpc.RpcError as error:
                raise RelayError(error.code().name) from error
