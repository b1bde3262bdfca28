"""The private attributes of redis-py that we use exist in the installed version and mean what we think."""

import importlib

import pytest
import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.cluster

from redispan._client.internals import clients
from redispan._client.patching.patch_table import PACKAGES, PATCH_TABLE

VERSION = tuple(int(part) for part in redis.__version__.split(".")[:2])


@pytest.mark.parametrize(
    "target", [t for t in PATCH_TABLE if t.required], ids=lambda t: f"{t.module}.{t.owner}.{t.method}"
)
def test_every_required_target_exists(target):
    """Each class and method that the table says must be there is there."""
    module = importlib.import_module(f"redis.{target.module}")
    owner = getattr(module, target.owner.format(**PACKAGES["redis"]))
    assert any(hasattr(owner, name) for name in target.method.split("|"))


def test_version_is_read_from_the_package():
    """The version comes from the package that runs."""
    assert clients.version_of(redis)[:2] == VERSION


@pytest.mark.parametrize("package", [redis, redis.asyncio])
def test_pools_show_where_they_go(package):
    """``connection_kwargs`` holds host, port, path and database."""
    assert clients.place_of_pool(package.Redis(host="h", port=1, db=2).connection_pool) == ("h", 1, "2", False)
    assert clients.place_of_pool(package.Redis().connection_pool) == ("localhost", 6379, "0", False)
    assert clients.place_of_pool(package.ConnectionPool()) == ("localhost", 6379, "0", False)
    unix = package.Redis(unix_socket_path="/run/x.sock", db=1).connection_pool
    assert clients.place_of_pool(unix) == ("/run/x.sock", None, "1", False)


@pytest.mark.parametrize("package", [redis, redis.asyncio])
def test_sentinel_pools_are_late(package):
    """A Sentinel pool knows its server only once it connected."""
    sentinel = importlib.import_module(f"{package.__name__}.sentinel")
    pool = sentinel.Sentinel([("h", 1)]).master_for("service").connection_pool
    assert clients.place_of_pool(pool) == (None, None, "0", True)


@pytest.mark.parametrize("package", [redis, redis.asyncio])
def test_connections_show_where_they_go_and_whether_they_are_open(package):
    """An unopened connection has host, port and database, and is not open; nobody is at its other end."""
    connection = package.Connection(host="h", port=1, db=2)
    assert clients.place_of_connection(connection) == ("h", 1, "2")
    assert not clients.is_open(connection)
    assert clients.peer_of(connection) is None


@pytest.mark.parametrize("package", [redis, redis.asyncio])
def test_pipelines_show_their_commands_and_kind(package):
    """The queue of a pipeline holds its commands, and its kind is known."""
    pipeline = package.Redis().pipeline(transaction=False)
    pipeline.set("a", 1)
    pipeline.get("a")
    assert [tuple(args) for args in clients.queued_commands(pipeline)] == [("SET", "a", 1), ("GET", "a")]
    assert not clients.is_transaction(pipeline)
    assert clients.is_transaction(package.Redis().pipeline())
    assert clients.is_pipeline(pipeline)
    assert not clients.is_pipeline(package.Redis())
    assert clients.is_pipeline(package.cluster.ClusterPipeline.__new__(package.cluster.ClusterPipeline))


def test_redirects_are_recognised():
    """MOVED and ASK errors are told from all others."""
    assert clients.is_redirect(redis.exceptions.MovedError("1 h:1"))
    assert clients.is_redirect(redis.exceptions.AskError("1 h:1"))
    assert not clients.is_redirect(redis.exceptions.ResponseError("x"))
    assert not clients.is_redirect(None)


@pytest.mark.skipif(VERSION < (6, 0), reason="redis-py has a client-side cache since 5.1, as a pool's since 5.2")
def test_client_side_cache_is_noticed():
    """A pool with a client-side cache is told from one without."""
    from redis.cache import CacheConfig

    cached = redis.Redis(protocol=3, cache_config=CacheConfig())
    assert clients.has_client_side_cache(cached.connection_pool)
    assert not clients.has_client_side_cache(redis.Redis().connection_pool)


@pytest.mark.parametrize("strange", [None, object(), 3, "text", type("Odd", (), {"host": None, "port": "x"})()])
def test_strange_objects_do_no_harm(strange):
    """Whatever is asked about, the answer is harmless."""
    assert clients.peer_of(strange) is None
    assert clients.place_of_connection(strange)[0] is None
    assert clients.is_open(strange) is False
    assert clients.cluster_client_of(strange) is strange
    assert list(clients.queued_commands(strange)) == []
