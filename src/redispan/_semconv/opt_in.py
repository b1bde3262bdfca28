"""The attribute names of the conventions before 1.24, for users who migrate to redispan step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redispan._semconv import names

_RENAMED = {
    names.DB_SYSTEM_NAME: "db.system",
    names.DB_OPERATION_NAME: "db.operation",
    names.DB_QUERY_TEXT: "db.statement",
    names.SERVER_ADDRESS: "net.peer.name",
    names.SERVER_PORT: "net.peer.port",
    names.NETWORK_PEER_ADDRESS: names.OLD_PEER_ADDRESS,
}


def semconv_mode(raw: str | None) -> str:
    """Return ``dup`` if ``OTEL_SEMCONV_STABILITY_OPT_IN`` asks for old and new names, else ``stable``.

    A new instrumentation emits the stable names with or without ``database`` in the variable. ``database/dup`` takes
    precedence over ``database``.

    Args:
        raw: The value of the variable; None if it is not set.
    """
    wanted = {part.strip() for part in (raw or "").split(",")}
    return "dup" if "database/dup" in wanted else "stable"


def old_attributes(new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes with old names, which are added to ``new`` in mode ``dup``."""
    old = {_RENAMED[name]: value for name, value in new.items() if name in _RENAMED}
    index = new.get(names.DB_NAMESPACE)
    if isinstance(index, str) and index.isdecimal() and int(index) != 0:
        old["db.redis.database_index"] = int(index)
    if names.NETWORK_PEER_PORT not in new:
        old.pop(names.OLD_PEER_ADDRESS, None)  # the path of a UNIX socket is not an IP address
    if names.SERVER_ADDRESS in new:
        old["net.transport"] = "ip_tcp" if names.SERVER_PORT in new else "other"
    return old
