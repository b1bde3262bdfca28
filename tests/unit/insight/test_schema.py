"""The JSON schemas match the reports."""

import hashlib
import json
from typing import Any

import pytest

from insight_data import FULL
from redispan._insight import reporting
from redispan._insight.report_records import SCHEMA_VERSION
from redispan._insight.snapshots import empty
from redispan.reports import schemas

MAKERS: dict[str, Any] = {
    "performance": reporting.performance,
    "connection-pool": reporting.pools,
    "cache-patterns": reporting.cache,
    "health": reporting.health,
}


def fits(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> str:
    """Return why ``value`` does not fit ``schema``; empty if it does.

    Only the parts of JSON Schema that our schemas use are supported.
    """
    if "$ref" in schema:
        return fits(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        faults = [fits(value, one, root) for one in schema["anyOf"]]
        return "" if "" in faults else " | ".join(faults)
    kinds = {
        "string": str,
        "boolean": bool,
        "integer": int,
        "number": (int, float),
        "null": type(None),
        "array": list,
        "object": dict,
    }
    kind = schema.get("type")
    if kind is not None and not isinstance(value, kinds[kind]):
        return f"{value!r} is no {kind}"
    if isinstance(value, list):
        items = schema.get("prefixItems") or [schema.get("items", {})] * len(value)
        return "".join(fits(one, item, root) for one, item in zip(value, items, strict=True))
    if isinstance(value, dict):
        own = schema.get("properties", {})
        missing = set(schema.get("required", ())) - set(value)
        if missing:
            return f"missing {missing}"
        more = schema.get("additionalProperties", {})
        if more is False and set(value) - set(own):
            return f"unknown {set(value) - set(own)}"
        return "".join(fits(one, own.get(name, more or {}), root) for name, one in value.items())
    return ""


@pytest.mark.parametrize("found", [empty(), FULL], ids=["nothing", "everything"])
@pytest.mark.parametrize("name", sorted(MAKERS))
def test_reports_fit_their_schemas(name: str, found: dict[str, Any]) -> None:
    """Every JSON report fits its schema, both empty and with all its fields."""
    data = json.loads(json.dumps(MAKERS[name](found).as_data()))
    schema = schemas()[name]
    assert fits(data, schema, schema) == ""
    assert data["schema_version"] == SCHEMA_VERSION == schema["version"]


def test_a_changed_schema_is_a_new_version() -> None:
    """Fields, their types and descriptions belong to the version that they are published under."""
    published = json.dumps({name: {**schema, "version": ""} for name, schema in schemas().items()}, sort_keys=True)
    fingerprint = hashlib.sha256(published.encode()).hexdigest()[:16]
    assert (SCHEMA_VERSION, fingerprint) == ("2.0", "d31315613be9a523"), (
        "A field went or means something else: raise the first number of SCHEMA_VERSION; one came: the second; "
        "words alone: neither. Then note the new pair here, and what changed in docs/statistics.md."
    )


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_every_field_is_described(name: str) -> None:
    """The schema has a description for every field, nested ones too."""
    schema = schemas()[name]
    for described in [schema, *schema["$defs"].values()]:
        for field, of in described["properties"].items():
            assert of.get("description"), (described["description"], field)


def test_the_checker_finds_faults() -> None:
    """The test's own checker refuses what does not fit. Otherwise it would prove nothing."""
    schema = schemas()["health"]
    good = json.loads(json.dumps(reporting.health(FULL).as_data()))
    assert "is no number" in fits({**good, "score": "high"}, schema, schema)
    assert "missing" in fits({key: value for key, value in good.items() if key != "score"}, schema, schema)
    assert "unknown" in fits({**good, "more": 1}, schema, schema)


def test_the_full_report_has_everything() -> None:
    """The comprehensive report holds statistics, pools, memory, recommendations and the score of one snapshot."""
    report = reporting.performance(FULL)
    assert report.window.operations == 200
    assert report.window.p50_ms == 99
    assert report.error_types == {"OOM": 67}
    assert {pool.pool for pool in report.pools} == {"cache:6379/0"}
    assert report.servers[0].memory_usage == 0.95
    assert report.score < 50
    assert {"failures", "memory_pressure", "repeated_calls"} <= {one.name for one in report.recommendations}
    assert report.works[0].operations_per_run == 25
    assert report.commands[0].command == "KEYS"
    assert [(row.command, row.expected, row.firing) for row in report.baselines] == [
        (None, 0.001, True),
        ("GET", 0.001, False),
    ]
