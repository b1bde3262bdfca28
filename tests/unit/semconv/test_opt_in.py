"""Old attribute names are emitted beside the new ones only when asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redispan._semconv import names
from redispan._semconv.opt_in import old_attributes, semconv_mode


@pytest.mark.parametrize(
    ("raw", "mode"),
    [
        (None, "stable"),
        ("", "stable"),
        ("database", "stable"),
        ("http", "stable"),
        ("http/dup", "stable"),
        ("database/dup", "dup"),
        ("database,database/dup", "dup"),
        (" http , database/dup ", "dup"),
        ("DATABASE/DUP", "stable"),
        ("database/dupe", "stable"),
    ],
)
def test_only_database_dup_asks_for_the_old_names(raw: str | None, mode: str) -> None:
    """Only ``database/dup`` asks for the old names.

    The list is split, trimmed and case-sensitive, and a new instrumentation is stable by default.
    """
    assert semconv_mode(raw) == mode


def test_every_renamed_attribute_gets_its_old_name() -> None:
    """Every renamed attribute also gets its old name. Dashboards made for contrib's instrumentation keep working."""
    new = {
        names.DB_SYSTEM_NAME: "redis",
        names.DB_OPERATION_NAME: "GET",
        names.DB_QUERY_TEXT: "GET ?",
        names.DB_NAMESPACE: "2",
        names.SERVER_ADDRESS: "h",
        names.SERVER_PORT: 6380,
        names.NETWORK_PEER_ADDRESS: "10.0.0.1",
        names.NETWORK_PEER_PORT: 6380,
    }
    assert old_attributes(new) == {
        "db.system": "redis",
        "db.operation": "GET",
        "db.statement": "GET ?",
        "db.redis.database_index": 2,
        "net.peer.name": "h",
        "net.peer.port": 6380,
        "net.peer.ip": "10.0.0.1",
        "net.transport": "ip_tcp",
    }


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ({}, {}),
        ({names.DB_NAMESPACE: "0"}, {}),
        ({names.DB_NAMESPACE: "main"}, {}),
        ({names.SERVER_ADDRESS: "/s"}, {"net.peer.name": "/s", "net.transport": "other"}),
        ({names.ERROR_TYPE: "ERR"}, {}),
    ],
)
def test_what_had_no_old_name_gets_none(new: dict[str, object], old: dict[str, object]) -> None:
    """Database 0 and new attributes get no old form, because they had none. A UNIX socket gets its other transport."""
    assert old_attributes(new) == old


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers())))
def test_unknown_attributes_are_left_alone(new: dict[str, object]) -> None:
    """redispan copies no unknown attribute of a span to another name."""
    assert set(old_attributes(new)) <= {"db.redis.database_index", "net.transport"} | {
        "db.system",
        "db.operation",
        "db.statement",
        "net.peer.name",
        "net.peer.port",
        "net.peer.ip",
    }
