"""Names of spans, operations, attributes and metrics."""

import re
from pathlib import Path

import pytest
from opentelemetry.semconv import attributes as stable_modules
from opentelemetry.semconv._incubating.metrics import db_metrics
from opentelemetry.semconv.attributes import db_attributes, error_attributes, network_attributes, server_attributes

import redispan
from redispan._semconv import names
from redispan._semconv.names import span_name

LITERALS = {key: value for key, value in vars(names).items() if key.isupper() and isinstance(value, str)}


@pytest.mark.parametrize(
    ("operation", "address", "port", "name"),
    [
        ("GET", "cache.example.com", 6379, "GET cache.example.com:6379"),
        ("CONFIG GET", "h", 6380, "CONFIG GET h:6380"),
        ("PIPELINE SET", "h", 6380, "PIPELINE SET h:6380"),
        ("GET", "::1", 6379, "GET [::1]:6379"),
        ("HMSET", "/run/redis.sock", None, "HMSET"),
        ("GET", None, None, "GET"),
        ("GET", None, 6379, "GET"),
    ],
)
def test_a_span_is_named_after_operation_and_server(
    operation: str, address: str | None, port: int | None, name: str
) -> None:
    """A span has the conventions' name ``{operation} {host}:{port}``, without a target where there is no port."""
    assert span_name(operation, address, port) == name


def test_stable_names_are_the_conventions_own() -> None:
    """The copied names equal those of the installed package of the conventions."""
    assert stable_modules is not None
    official = {
        value
        for module in (db_attributes, error_attributes, network_attributes, server_attributes)
        for key, value in vars(module).items()
        if key.isupper() and isinstance(value, str)
    }
    ours = {value for key, value in LITERALS.items() if key.startswith(("DB_", "NETWORK_", "SERVER_", "ERROR_"))}
    in_development = {"db.client.connection.pool.name", "db.client.connection.state"}
    # The newest of the stable ones; packages of the conventions made before don't hold it yet.
    assert ours - in_development - {"db.stored_procedure.name"} <= official


def test_metrics_under_db_are_the_conventions_own() -> None:
    """Every metric under ``db.`` is one of the conventions. redispan's own names must not be in that namespace."""
    official = {value for key, value in vars(db_metrics).items() if isinstance(value, str)}
    assert {value for key, value in LITERALS.items() if key.startswith("METRIC_")} <= official


def test_our_own_names_are_ours_and_well_formed() -> None:
    """redispan's own names are under ``redis.client.`` and have the form that the conventions ask for."""
    ours = {value for key, value in LITERALS.items() if key.startswith("REDIS_")}
    assert ours
    for name in ours:
        assert re.fullmatch(r"redis\.(client|server)(\.[a-z][a-z0-9]*(_[a-z0-9]+)*)+", name), name
    assert names.EVENT_ALERT_PREFIX == "redis.client.alert."


@pytest.mark.parametrize("bounds", [names.DURATION_BUCKETS_S, names.FINE_BUCKETS_S])
def test_bucket_bounds_ascend(bounds: tuple[float, ...]) -> None:
    """Bucket bounds ascend, because the SDK refuses a histogram whose bounds do not."""
    assert list(bounds) == sorted(set(bounds))


def test_the_advised_bounds_are_the_conventions() -> None:
    """The advised bounds equal the SHOULD list of ``db.client.operation.duration``."""
    assert names.DURATION_BUCKETS_S == (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
    assert sum(bound < 0.001 for bound in names.FINE_BUCKETS_S) >= 4


def test_no_name_is_there_that_nothing_sends() -> None:
    """redispan emits every name in the module, because the reference page lists them all."""
    source = Path(redispan.__file__).parent
    declared = Path(names.__file__)
    code = "".join(path.read_text(encoding="utf-8") for path in source.rglob("*.py") if path != declared)
    used = set(re.findall(r"\b[A-Z][A-Z_]+\b", code))
    assert [name for name in LITERALS if name not in used] == []
