"""Names of spans and operations: few distinct ones, never a key, a value or a database index."""

from __future__ import annotations


def span_name(operation: str, address: str | None, port: int | None) -> str:
    """``GET cache.example.com:6379``; the operation alone for a UNIX socket (no port) or an unknown server."""
    if address is None or port is None:
        return operation
    host = f"[{address}]" if ":" in address else address
    return f"{operation} {host}:{port}"
