"""The start of an async cluster client, which finds its nodes at its first command.

redis-py lets the first commands of a fresh client race it: with a timeout set, tasks that begin together find their
connections closed. Without us there may be no timeout, so it is on us to start the client first. That is a part of the
first operation, as it is without us: whoever records operations does it inside of what is recorded.
"""

from __future__ import annotations

from typing import Any

STARTS = "redispan_starts"
"""Attribute of a shell that sees to the start, or that has such a shell below it."""


def is_due(cluster: Any) -> bool:
    """Whether the client is one of ours to start."""
    policy = getattr(cluster, "redispan_cluster", None)
    return policy is not None and not policy.started


async def start(cluster: Any) -> None:
    """Start it; what fails is the caller's, and the next command tries again."""
    await cluster.initialize()
    cluster.redispan_cluster.started = True
