"""The values that tuning puts in place, each able to tell that it came from us.

redis-py copies a pool's keyword arguments to connections, nodes and rebuilt clients. A value that carries its own
origin survives all of that without any key of ours among the arguments, and the moment the program replaces it, it is
the program's. Copied and compared it behaves like the plain number; pickled it *is* the plain number, because the
reader may not have redispan.
"""

from __future__ import annotations

import socket
from typing import Any

from redispan._core.slot import SLOT
from redispan.settings.pool import PoolSettings

_OFF = PoolSettings(pool="off")


def settings_in_force() -> PoolSettings:
    """The settings of the pool layer; those of a layer that is off where it is not on."""
    return SLOT.runtime.pool_settings or _OFF


class TunedSeconds(float):
    """A timeout that redispan chose."""

    __slots__ = ()

    def __reduce__(self) -> tuple[type[float], tuple[float]]:
        return float, (float(self),)

    def __copy__(self) -> TunedSeconds:
        return self

    def __deepcopy__(self, memo: Any) -> TunedSeconds:
        return self


class TunedReadSeconds(TunedSeconds):
    """A read timeout that redispan chose for a client that repeats writes itself: it holds for what may be repeated."""

    __slots__ = ()


class TunedLimit(int):
    """A number of connections that redispan chose.

    Attributes:
        ceiling: The library's own limit, up to which a soft limit may be exceeded; the limit itself where it is hard.
    """

    ceiling: int

    def __new__(cls, limit: int, ceiling: int) -> TunedLimit:
        """Make a limit that may be exceeded up to ``ceiling``."""
        made = super().__new__(cls, limit)
        made.ceiling = max(limit, ceiling)
        return made

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        return int, (int(self),)

    def __copy__(self) -> TunedLimit:
        return self

    def __deepcopy__(self, memo: Any) -> TunedLimit:
        return self


class TunedNodeLimit(int):
    """The library's own limit of a cluster node's connections, with the number from which on callers wait.

    Attributes:
        soft: That number.
    """

    soft: int

    def __new__(cls, limit: int, soft: int) -> TunedNodeLimit:
        """Make a limit that is waited for from ``soft`` on."""
        made = super().__new__(cls, limit)
        made.soft = min(soft, limit)
        return made

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        return int, (int(self),)

    def __copy__(self) -> TunedNodeLimit:
        return self

    def __deepcopy__(self, memo: Any) -> TunedNodeLimit:
        return self


def keepalive_options(settings: PoolSettings) -> dict[int, int]:
    """The TCP options of keepalive that this system has."""
    idle_s, interval_s, count = (
        settings.pool_keepalive_idle_s,
        settings.pool_keepalive_interval_s,
        settings.pool_keepalive_count,
    )
    wanted = (
        # macOS calls the idle time TCP_KEEPALIVE.
        ("TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE", idle_s),
        ("TCP_KEEPINTVL", interval_s),
        ("TCP_KEEPCNT", count),
        # Linux: unacknowledged *data* is given up after the same time as an idle connection.
        ("TCP_USER_TIMEOUT", (idle_s + interval_s * count) * 1000),
    )
    return {getattr(socket, name): value for name, value in wanted if hasattr(socket, name)}
