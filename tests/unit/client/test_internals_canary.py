"""The private attributes of redis-py that redispan uses exist in the installed version, with the assumed meaning."""

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
    """Each class and method that the patch table requires exists."""
    module = importlib.import_module(f"redis.{target.module}")
    owner = getattr(module, target.owner.format(**PACKAGES["redis"]))
    assert any(hasattr(owner, name) for name in target.method.split("|"))


def test_version_is_read_from_the_package():
    """redispan reads the version from the redis package that is running."""
    assert clients.version_of(redis)[:2] == VERSION


@pytest.mark.parametrize("package", [redis, redis.asyncio])
def test_pools_show_where_they_go(package):
    """A pool's ``connection_kwargs`` holds host, port, path and database."""
    assert clients.place_of_pool(package.Redis(host="h", port=1, db=2).connection_pool) == ("h", 1, "2", False)
    assert clients.place_of_pool(package.Redis().connection_pool) == ("localhost", 6379, "0", False)
    assert clients.place_of_pool(package.ConnectionPool()) == ("localhost", 6379, "0", False)
    unix = package.Redis(unix_socket_path="/run/x.sock", db=1).connection_pool
    assert clients.place_of_pool(unix) == ("/run/x.sock", None, "1", False)


@pytest.mark.parametrize("package", [redis, redis.asyncio])
def test_sentinel_pools_are_late(package):
    """A Sentinel pool knows its server only after it has connected."""
    sentinel = importlib.import_module(f"{package.__name__}.sentinel")
    pool = sentinel.Sentinel([("h", 1)]).master_for("service").connection_pool
    assert clients.place_of_pool(pool) == (None, None, "0", True)


@pytest.mark.parametrize("package", [redis, redis.asyncio])
def test_connections_show_where_they_go_and_whether_they_are_open(package):
    """An unopened connection has host, port and database. It is not open and has no peer address."""
    connection = package.Connection(host="h", port=1, db=2)
    assert clients.place_of_connection(connection) == ("h", 1, "2")
    assert not clients.is_open(connection)
    assert clients.peer_of(connection) is None


@pytest.mark.parametrize("package", [redis, redis.asyncio])
def test_pipelines_show_their_commands_and_kind(package):
    """The queue of a pipeline holds its commands, and redispan recognises the kind of pipeline."""
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
    """redispan distinguishes MOVED and ASK errors from all other errors."""
    assert clients.is_redirect(redis.exceptions.MovedError("1 h:1"))
    assert clients.is_redirect(redis.exceptions.AskError("1 h:1"))
    assert not clients.is_redirect(redis.exceptions.ResponseError("x"))
    assert not clients.is_redirect(None)


@pytest.mark.skipif(VERSION < (6, 0), reason="redis-py has a client-side cache since 5.1, as a pool's since 5.2")
def test_client_side_cache_is_noticed():
    """redispan distinguishes a pool with a client-side cache from one without."""
    from redis.cache import CacheConfig

    cached = redis.Redis(protocol=3, cache_config=CacheConfig())
    assert clients.has_client_side_cache(cached.connection_pool)
    assert not clients.has_client_side_cache(redis.Redis().connection_pool)


@pytest.mark.parametrize("strange", [None, object(), 3, "text", type("Odd", (), {"host": None, "port": "x"})()])
def test_strange_objects_do_no_harm(strange):
    """Each reader of internals returns a harmless value for an object that it does not know."""
    assert clients.peer_of(strange) is None
    assert clients.place_of_connection(strange)[0] is None
    assert clients.is_open(strange) is False
    assert clients.cluster_client_of(strange) is strange
    assert list(clients.queued_commands(strange)) == []
