"""Layers of patches that are put on and taken off in any order."""

import itertools

import pytest
import redis

import redispan
from redispan import RedispanInstrumentor


def layers() -> int:
    """Return how many shells wrap the method that every command passes."""
    method, found = redis.connection.AbstractConnection.send_command, 0
    while hasattr(method, "__wrapped__"):
        method, found = method.__wrapped__, found + 1
    return found


@pytest.mark.parametrize("order", list(itertools.permutations(("all", "client", "pool"))), ids="-".join)
def test_layers_do_not_pile_up_whatever_the_order(order: tuple[str, ...], redis_url: str) -> None:
    """A tuned pool, one instrumented client and the instrumented process leave no shell behind, in any order."""
    client = redis.Redis.from_url(redis_url)
    redispan.tuned_pool(redis_url)  # the patches that a tuned pool needs stay for good
    before = layers()
    for _ in range(3):
        for step in order:
            if step == "all":
                RedispanInstrumentor().instrument()
            elif step == "client":
                RedispanInstrumentor.instrument_client(client)
            else:
                redispan.tuned_pool(redis_url)
        for step in order:
            if step == "all":
                RedispanInstrumentor().uninstrument()
            elif step == "client":
                RedispanInstrumentor.uninstrument_client(client)
    client.close()
    assert layers() == before
