"""With redispan too, redis-py alone decides the causes of an error and how often the program's own code runs."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.retry
import redis.retry
from redis.backoff import NoBackoff

from behaviour.tuned_clients import SCALED_DOWN, SINGLE
from clients import close, settle
from redispan import RedispanInstrumentor
from servers.dead_ends import dead_port
from servers.redis_server import RedisServer

pytestmark = pytest.mark.redis

TUNING = {**SCALED_DOWN, "pool_connect_retry_s": 0.3, "pool_deadline_s": 0.6}


def client_of(kind: str, host: str, port: int, **options: Any) -> Any:
    """Return a client of one kind."""
    module = redis.asyncio if kind.startswith("async") else redis
    if kind.endswith("url"):
        return module.Redis.from_url(f"redis://{host}:{port}", **options)
    return module.Redis(host=host, port=port, **options)


def without_pauses(kind: str) -> dict[str, Any]:
    """Return the options that keep a client without redispan from retrying for seconds."""
    module = redis.asyncio.retry if kind.startswith("async") else redis.retry
    return {} if kind.endswith("url") else {"retry": module.Retry(NoBackoff(), 1)}


def chain_of(error: BaseException | None) -> list[Any]:
    """Return the error and every error that it was raised from or while handling."""
    found: list[Any] = []
    while error is not None:
        found.append((type(error), str(error), error.__cause__ is not None, error.__suppress_context__))
        error = error.__cause__ or error.__context__
    return found


async def chain_in_a_handler(client: Any) -> list[Any]:
    """Return the error chain of a failing call that its caller makes while it handles another error."""
    try:
        raise KeyError("the caller's own")
    except KeyError:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is
            await settle(client.get("k"))
    await close(client)
    return chain_of(caught.value)


@contextlib.contextmanager
def tuned() -> Any:
    """Switch redispan on, with its tuned pool."""
    RedispanInstrumentor().instrument(insight=False, **TUNING)
    try:
        yield
    finally:
        RedispanInstrumentor().uninstrument()


@pytest.mark.parametrize("kind", SINGLE)
@pytest.mark.parametrize("trouble", ["refused", "no such database"])
async def test_an_error_keeps_what_it_came_from(trouble: str, kind: str, redis_server: RedisServer) -> None:
    """The chain of causes and contexts is the same as without redispan, however often redispan tried."""
    options = {"db": 9999} if trouble == "no such database" else {}
    with dead_port() as nobody:
        port = nobody if trouble == "refused" else redis_server.port
        bare = await chain_in_a_handler(client_of(kind, redis_server.host, port, **options, **without_pauses(kind)))
        with tuned():
            assert await chain_in_a_handler(client_of(kind, redis_server.host, port, **options)) == bare


@pytest.mark.parametrize("kind", SINGLE)
@pytest.mark.parametrize("error", [ValueError, KeyError, redis.ResponseError])
async def test_code_of_the_program_that_fails_in_connecting_is_called_once(
    error: type[Exception], kind: str, redis_server: RedisServer
) -> None:
    """The pool does not retry an error that is no network error: it would be the same at every attempt."""
    calls: list[int] = []

    def fail(_connection: Any) -> None:
        calls.append(1)
        raise error("the program's own")

    async def fail_async(connection: Any) -> None:
        fail(connection)

    with tuned():
        hook = fail_async if kind.startswith("async") else fail
        client = client_of(kind, redis_server.host, redis_server.port, redis_connect_func=hook)
        with pytest.raises(error):
            await settle(client.get("k"))
        await close(client)
    assert len(calls) == 1
