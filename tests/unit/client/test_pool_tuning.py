"""Pool tuning: which options redispan fills in, and that it keeps every value that the program gave."""

from __future__ import annotations

import copy
import os
import pickle
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.sentinel
import redis.sentinel
from hypothesis import given
from hypothesis import strategies as st

from redispan._client.pool.patches import POOL_PATCHES
from redispan._client.pool.values import TunedLimit, TunedSeconds, keepalive_options
from redispan.pools import untouched
from redispan.settings.pool import PoolSettings

TUNED = {
    "socket_timeout": 2.0,
    "socket_connect_timeout": 3.0,
    "socket_keepalive": True,
    "socket_keepalive_options": keepalive_options(PoolSettings()),
    "health_check_interval": 15,
}
MAJOR = int(redis.__version__.split(".")[0])


@pytest.fixture(autouse=True)
def _tuned() -> Iterator[None]:
    POOL_PATCHES.apply(PoolSettings())
    yield
    POOL_PATCHES.undo()


def values(pool: Any) -> dict[str, Any]:
    """Return the tuned keys of a pool."""
    return {key: pool.connection_kwargs[key] for key in TUNED if key in pool.connection_kwargs}


MAKERS: dict[str, Any] = {
    "Redis": lambda **k: redis.Redis(**k).connection_pool,
    "Redis.from_url": lambda **k: redis.Redis.from_url("redis://localhost", **k).connection_pool,
    "StrictRedis": lambda **k: redis.StrictRedis(**k).connection_pool,
    "ConnectionPool": redis.ConnectionPool,
    "BlockingConnectionPool": redis.BlockingConnectionPool,
    "async Redis": lambda **k: redis.asyncio.Redis(**k).connection_pool,
    "async from_url": lambda **k: redis.asyncio.Redis.from_url("redis://localhost", **k).connection_pool,
    "async ConnectionPool": redis.asyncio.ConnectionPool,
    "async BlockingConnectionPool": redis.asyncio.BlockingConnectionPool,
    "Sentinel": lambda **k: redis.sentinel.Sentinel([("localhost", 1)]).master_for("m", **k).connection_pool,
    "async Sentinel": lambda **k: (
        redis.asyncio.sentinel.Sentinel([("localhost", 1)]).master_for("m", **k).connection_pool
    ),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_what_the_program_left_unset_is_filled_in(maker: str) -> None:
    """redispan gives every kind of pool all its values, and the limit where the program set none."""
    pool = MAKERS[maker]()
    assert values(pool) == TUNED
    assert pool.max_connections == 50


@pytest.mark.parametrize("maker", MAKERS)
@given(names=st.sets(st.sampled_from([*TUNED, "max_connections"])))
def test_what_the_program_gave_stays(maker: str, names: set[str]) -> None:
    """Any subset of keys that the program gives, even as None, keeps its values. redispan tunes the other keys."""
    own: dict[str, Any] = {
        "socket_timeout": None,
        "socket_connect_timeout": None,
        "socket_keepalive": None,
        "socket_keepalive_options": {},
        "health_check_interval": 0,
        "max_connections": 7,
    }
    given_values = {name: own[name] for name in names}
    pool = MAKERS[maker](**given_values)
    for name, tuned in TUNED.items():
        if name in names:
            assert pool.connection_kwargs.get(name) == own[name]
            assert not isinstance(pool.connection_kwargs.get(name), TunedSeconds)
        elif name == "socket_keepalive_options" and "socket_keepalive" in names:
            # The program switched keepalive off, so redispan must not add its keepalive options.
            assert pool.connection_kwargs.get(name) != tuned
        else:
            assert pool.connection_kwargs[name] == tuned
    assert pool.max_connections == (7 if "max_connections" in names else 50)


def test_positional_arguments_are_given_too() -> None:
    """The fourth positional argument of Redis and the second of ConnectionPool count as given by the program."""
    assert redis.ConnectionPool(redis.Connection, 7).max_connections == 7
    assert redis.Redis("elsewhere", 1, 2, None, 9.0).connection_pool.connection_kwargs["socket_timeout"] == 9.0


def test_a_url_has_the_last_word() -> None:
    """Values in the query of a URL override the tuned ones."""
    pool = redis.ConnectionPool.from_url("redis://localhost?socket_timeout=7&max_connections=3")
    assert pool.connection_kwargs["socket_timeout"] == 7.0
    assert pool.max_connections == 3


def test_unix_sockets_get_only_what_they_take() -> None:
    """A UNIX socket gets no TCP keepalive, and its connection can be built."""
    for pool in (redis.ConnectionPool.from_url("unix:///nowhere"), redis.Redis(unix_socket_path="/no").connection_pool):
        assert "socket_keepalive" not in pool.connection_kwargs
        assert pool.connection_kwargs["socket_timeout"] == 2.0
        pool.make_connection()


def test_a_connection_class_of_the_program_gets_only_what_it_names() -> None:
    """redispan adds no key to a pool that its custom connection class does not name."""

    class Narrow:
        pid = os.getpid()

        def __init__(self, host: str = "", socket_timeout: float | None = None, **rest: Any) -> None:
            self.timeout = socket_timeout
            self.rest = rest

    pool = redis.ConnectionPool(connection_class=Narrow)
    assert set(values(pool)) == {"socket_timeout"}
    assert pool.make_connection().timeout == 2.0


def test_a_subclass_of_the_client_is_tuned_and_keeps_what_it_passes() -> None:
    """A subclass of the client keeps the values that it passes on. redispan fills in the rest."""

    class Own(redis.Redis):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(socket_connect_timeout=1, **kwargs)

    kwargs = Own().connection_pool.connection_kwargs
    assert (kwargs["socket_connect_timeout"], kwargs["socket_timeout"]) == (1, 2.0)


def test_a_short_read_timeout_of_the_program_bounds_connecting() -> None:
    """A program with a read timeout of 0.5 s waits no longer for a connection than it would without redispan."""
    assert redis.Redis(socket_timeout=0.5).connection_pool.connection_kwargs["socket_connect_timeout"] == 0.5


@pytest.mark.parametrize("module", [redis, redis.asyncio])
def test_where_the_program_repeats_the_timeout_is_not_lowered(module: Any) -> None:
    """redispan keeps the library's timeout where the program has its own retry policy.

    That policy would run a timed-out command again.
    """
    retry_module = redis.asyncio.retry if module is redis.asyncio else redis.retry
    plain = {5: None, 6: None, 7: None}.get(MAJOR, 5)
    retry = retry_module.Retry(redis.backoff.NoBackoff(), 3)
    for options in ({"retry": retry}, {"retry_on_error": [redis.ConnectionError]}):
        kwargs = module.Redis(**options).connection_pool.connection_kwargs
        assert kwargs["socket_timeout"] == plain
        assert kwargs["socket_connect_timeout"] == 3.0
        if "retry" in options:
            assert kwargs["retry"]._retries == 3  # redis-py copies it


def test_pools_left_alone() -> None:
    """redispan fills in nothing for pools excluded by name, built inside untouched(), or with pool=observe."""
    with untouched():
        assert not isinstance(redis.ConnectionPool().max_connections, TunedLimit)
    POOL_PATCHES.apply(PoolSettings(pool_exclude=("cache*:6379/*",)))
    assert not isinstance(redis.ConnectionPool(host="cache-1").max_connections, TunedLimit)
    assert isinstance(redis.ConnectionPool(host="queue").max_connections, TunedLimit)
    POOL_PATCHES.apply(PoolSettings(pool="observe"))
    assert "health_check_interval" not in redis.ConnectionPool().connection_kwargs


def test_nothing_of_ours_shows_among_the_keywords() -> None:
    """Every key in connection_kwargs is one that Redis accepts, because programs rebuild clients from them."""
    kwargs = redis.ConnectionPool().connection_kwargs
    public = {key: value for key, value in kwargs.items() if key in TUNED}
    again = redis.Redis(**public)
    assert values(again.connection_pool) == TUNED
    assert isinstance(again.connection_pool.connection_kwargs["socket_timeout"], TunedSeconds)


@given(seconds=st.floats(0.001, 1e6), limit=st.integers(1, 10**6))
def test_tuned_values_travel_as_plain_numbers(seconds: float, limit: int) -> None:
    """A copied tuned value keeps its origin and a pickled one is a plain number.

    Both compare and hash as the number.
    """
    tuned, number = TunedSeconds(seconds), TunedLimit(limit, limit * 2)
    assert copy.deepcopy(tuned) is tuned
    assert copy.copy(number) is number
    assert type(pickle.loads(pickle.dumps(tuned))) is float
    assert type(pickle.loads(pickle.dumps({"n": number}))["n"]) is int
    assert (tuned, hash(tuned), number, hash(number)) == (seconds, hash(seconds), limit, hash(limit))


def test_undoing_leaves_the_classes_as_they_were() -> None:
    """After undo every method is the library's, and a new pool has the library's values."""
    POOL_PATCHES.undo()
    before = {name: vars(redis.ConnectionPool).get(name) for name in ("__init__", "get_connection", "release")}
    POOL_PATCHES.apply(PoolSettings())
    POOL_PATCHES.apply(PoolSettings())
    POOL_PATCHES.undo()
    assert {name: vars(redis.ConnectionPool).get(name) for name in before} == before
    assert "socket_timeout" not in redis.ConnectionPool().connection_kwargs


def test_keepalive_options_are_what_the_system_takes() -> None:
    """A socket of this system accepts the keepalive options."""
    with socket.socket() as sock:
        for option, value in keepalive_options(PoolSettings()).items():
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


@pytest.mark.skipif(MAJOR < 6, reason="5.x has no default retry to replace")
def test_the_default_retry_is_replaced_and_a_given_one_kept() -> None:
    """The tuned Redis() retries only commands that cannot run twice. A given retry object, or None, is kept."""
    assert redis.Redis().get_retry().redispan_tuned
    assert not hasattr(redis.Redis(retry=None).get_retry(), "redispan_tuned")
    copied = copy.deepcopy(redis.Redis().get_retry())
    assert copied.redispan_tuned
    assert copied == redis.Redis().get_retry()
    assert type(pickle.loads(pickle.dumps(copied))) is redis.retry.Retry
