"""Layers of patches that come and go in any order."""

import itertools

import pytest
import redis

import redispan
from redispan import RedispanInstrumentor


def layers() -> int:
    """How many shells lie around the method that every command passes."""
    method, found = redis.connection.AbstractConnection.send_command, 0
    while hasattr(method, "__wrapped__"):
        method, found = method.__wrapped__, found + 1
    return found


@pytest.mark.parametrize("order", list(itertools.permutations(("all", "client", "pool"))), ids="-".join)
def test_layers_do_not_pile_up_whatever_the_order(order: tuple[str, ...], redis_url: str) -> None:
    """A pool by hand, a client by itself and the whole process, put on in any order, leave nothing behind."""
    client = redis.Redis.from_url(redis_url)
    redispan.tuned_pool(redis_url)  # what a pool by hand needs stays for good
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
