"""A reply from the client-side cache is no network operation: redispan counts it, without a span or a measurement."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
import redis

from clients import REDIS_VERSION
from redispan._core.slot import SLOT
from redispan.testing import TelemetryInMemory

pytestmark = pytest.mark.skipif(
    REDIS_VERSION < (6, 0), reason="redis-py 5's cache misses invalidations, and breaks in clusters"
)


@pytest.fixture(params=["plain", "cluster"])
def caching_client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Return a client that caches what it reads, whatever version the test's server has."""
    from redis.cache import CacheConfig
    from redis.connection import CacheProxyConnection

    # redis-py asks for a newer server than the tests may have, but Redis 6 already has all that it uses.
    monkeypatch.setattr(CacheProxyConnection, "MIN_ALLOWED_VERSION", "6.0.0")
    server = request.getfixturevalue("redis_server" if request.param == "plain" else "cluster_server")
    if "valkey_version" in request.getfixturevalue("redis_server").info("server"):
        pytest.skip("redis-py caches beside servers that call themselves redis only")
    kind = redis.Redis if request.param == "plain" else redis.RedisCluster
    return lambda: kind(host=server.host, port=server.port, protocol=3, cache_config=CacheConfig())


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_hits_are_counted_and_are_no_spans(caching_client: Callable[[], Any], recorded: TelemetryInMemory) -> None:
    """Of three reads of a key, only the first has a span and a measurement.

    A miss after an invalidation has them again.
    """
    with closing(caching_client()) as client, closing(caching_client()) as other:
        client.set("k", "1")
        assert [client.get("k"), client.get("k"), client.get("k")] == [b"1", b"1", b"1"]
        assert [span.attributes["db.operation.name"] for span in recorded.spans()] == ["SET", "GET"]
        assert recorded.spans()[1].attributes["network.peer.address"] == "127.0.0.1"
        assert SLOT.runtime.self_metrics.read("cache_hits") == {"": 2}
        other.set("k", "2")
        client.set("{k}other", "1")  # the next command on the connection brings the invalidation with it
        assert client.get("k") == b"2"
        assert [span.attributes["db.operation.name"] for span in recorded.spans()] == [
            "SET",
            "GET",
            "SET",
            "SET",
            "GET",
        ]
    points = recorded.metric("db.client.operation.duration")
    assert sum(point.count for point in points if point.attributes["db.operation.name"] == "GET") == 2


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_failures_of_a_caching_client_have_spans(
    caching_client: Callable[[], Any], recorded: TelemetryInMemory
) -> None:
    """A command that fails on a caching client has a span like any other."""
    with closing(caching_client()) as client:
        client.set("k", "1")
        with pytest.raises(redis.ResponseError):
            client.lrange("k", 0, -1)
    assert recorded.spans()[-1].attributes["error.type"] == "WRONGTYPE"
