"""Names of spans and operations: few distinct ones, never a key, a value or a database index."""

from __future__ import annotations

from collections.abc import Iterable


def span_name(operation: str, address: str | None, port: int | None) -> str:
    """``GET cache.example.com:6379``; the operation alone for a UNIX socket (no port) or an unknown server."""
    if address is None or port is None:
        return operation
    host = f"[{address}]" if ":" in address else address
    return f"{operation} {host}:{port}"


def procedure_span_name(operation: str, procedure: str) -> str:
    """``FCALL myfunction``: a stored procedure tells more than the server it runs on."""
    return f"{operation} {procedure}"


def batch_operation(kind: str, names: Iterable[str]) -> str:
    """``PIPELINE SET`` where all commands of the batch have that name, else the kind (``PIPELINE``, ``MULTI``)."""
    common = None
    for name in names:
        if common is None:
            common = name
        elif name != common:
            return kind
    return kind if common is None or common == "_OTHER" else f"{kind} {common}"
