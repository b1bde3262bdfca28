"""Mocks and fakes that programs use for Redis in their tests keep working, and give no odd telemetry."""

from __future__ import annotations

import logging
from typing import Any
from unittest import mock

import pytest
import redis
import redis.asyncio

from clients import STANDALONE, settle
from redispan._client.internals import connection_pools
from redispan.testing import TelemetryInMemory


def client_on(pool: Any, kind: str) -> Any:
    """Return a client of one kind on a fake pool."""
    module = redis.asyncio if kind == "async" else redis
    return module.Redis(connection_pool=pool)


@pytest.mark.parametrize("how", ["command", "pipeline"])
def test_a_mocked_pool_makes_no_name_and_no_attribute(
    how: str, recorded: TelemetryInMemory, caplog: pytest.LogCaptureFixture
) -> None:
    """A mock returns something for every attribute. redispan puts none of it into a name or an attribute."""
    client = client_on(mock.MagicMock(), "sync")
    with caplog.at_level(logging.WARNING):
        if how == "command":
            client.get("k")
        else:
            client.pipeline(transaction=False).get("k").execute()
    (span,) = recorded.spans()
    assert span.name == "GET"
    assert "server.address" not in span.attributes
    assert not any("Mock" in str(value) for value in span.attributes.values())
    assert not [record for record in caplog.records if "Mock" in record.getMessage()]


@pytest.mark.parametrize("kind", STANDALONE)
async def test_a_patched_method_stands_in_for_ours(kind: str, recorded: TelemetryInMemory) -> None:
    """``mock.patch`` on the class replaces redispan's shell as it would the library's method, and restores it."""
    module = redis.asyncio if kind == "async" else redis
    ours = module.Redis.execute_command
    client = client_on(mock.MagicMock(), kind)
    with mock.patch.object(module.Redis, "execute_command", return_value="fake") as patched:
        assert isinstance(patched, mock.AsyncMock) is (kind == "async")
        assert await settle(client.get("k")) == "fake"
    assert module.Redis.execute_command is ours
    assert not recorded.spans()


def test_a_fake_connection_without_a_real_reader_is_left_open() -> None:
    """redispan leaves a fakeredis connection open, as its reader reports its end but no exceptions."""
    connection = mock.Mock(_reader=mock.Mock(spec=["at_eof"], at_eof=lambda: False))
    assert connection_pools.close_if_ended(connection) is False
