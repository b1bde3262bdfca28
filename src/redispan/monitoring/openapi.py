"""The OpenAPI document of the endpoints, built from the schemas of the reports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from redispan import reports
from redispan.monitoring.page_data import schema as page_data_schema
from redispan.version import __version__

_SUMMARIES = {
    "performance": "Everything: statistics, pools, servers, alerts, recommendations, and the health score.",
    "connection-pool": "Connection pools: utilisation, efficiency, sizing recommendations.",
    "cache-patterns": "How Redis is used as a cache: kinds of operations, hits and misses, suggestions.",
    "health": "Whether Redis is well for this program; status 503 if it is not. For people and readiness probes.",
    "page-data": "What the page shows: performance and cache report, figures over time, distribution of durations.",
}

_SCOPE = {
    "name": "scope",
    "in": "query",
    "description": "`host`: all processes of the service on this host; `process`: the one that answers.",
    "schema": {"type": "string", "enum": ["host", "process"], "default": "host"},
}


def document(names: Iterable[str]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the endpoints ``names`` and of ``live``."""
    schemas: dict[str, Any] = {"Problem": _PROBLEM}
    paths: dict[str, Any] = {}
    known = {**reports.schemas(), "page-data": page_data_schema()}
    for name in names:
        title = _add_schema(schemas, name, known[name])
        good = {"200": _json(_SUMMARIES[name], title)}
        if name == "health":
            good["503"] = _json("Redis is not well; the body says why.", title)
        paths[f"/{name}"] = {
            "get": {
                "operationId": name.replace("-", "_"),
                "summary": _SUMMARIES[name],
                "parameters": [_SCOPE],
                "security": [{}, {"bearer": []}],
                "responses": {**good, **_problems(400, 401)},
            }
        }
    paths["/live"] = {
        "get": {
            "operationId": "live",
            "summary": "Whether the process lives; independent of Redis, for liveness probes.",
            "responses": {
                "200": _json(
                    "It does.",
                    schema={
                        "type": "object",
                        "properties": {"status": {"const": "alive"}},
                        "required": ["status"],
                        "additionalProperties": False,
                    },
                ),
                **_problems(400),
            },
        }
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "redispan monitoring",
            "version": __version__,
            "description": "What redispan knows of a program's Redis operations. Read-only.",
        },
        # The URL is relative to this document, so that it is right wherever the app is mounted.
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    }


_PROBLEM = {
    "type": "object",
    "description": "Problem details by RFC 9457.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail"],
    "additionalProperties": False,
}


def _add_schema(schemas: dict[str, Any], name: str, schema: dict[str, Any]) -> str:
    """Add a report's schema and the schemas it refers to, and return its name."""
    title = str(schema.get("title", name.replace("-", "_")))
    own = {key: value for key, value in schema.items() if key not in ("$defs", "$schema", "version")}
    schemas[title] = _moved(own)
    for inner, definition in schema.get("$defs", {}).items():
        schemas[inner] = _moved(definition)
    return title


def _moved(schema: Any) -> Any:
    """Return the schema with its references pointing to ``#/components/schemas/``, where OpenAPI keeps schemas."""
    if isinstance(schema, dict):
        return {
            key: value.replace("#/$defs/", "#/components/schemas/") if key == "$ref" else _moved(value)
            for key, value in schema.items()
        }
    if isinstance(schema, list):
        return [_moved(one) for one in schema]
    return schema


def _json(description: str, title: str = "", schema: dict[str, Any] | None = None) -> dict[str, Any]:
    found = {"$ref": f"#/components/schemas/{title}"} if title else schema
    return {"description": description, "content": {"application/json": {"schema": found}}}


def _problems(*statuses: int) -> dict[str, Any]:
    words = {400: "The query isn't understood.", 401: "The bearer token is missing or wrong."}
    return {
        str(status): {
            "description": words[status],
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }
