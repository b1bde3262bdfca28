"""The number types of the values that redispan fills in; the type marks a value as chosen by redispan.

redis-py copies a pool's keyword arguments to connections, nodes and rebuilt clients. A marked value survives all of
that without an extra key among the arguments. A value that the program puts in its place is not marked. Copied and
compared, a marked value behaves like the plain number. Pickled, it *is* the plain number, because the process that
unpickles it may not have redispan.
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
    """A timeout in seconds that redispan chose."""

    __slots__ = ()

    def __reduce__(self) -> tuple[type[float], tuple[float]]:
        return float, (float(self),)

    def __copy__(self) -> TunedSeconds:
        return self

    def __deepcopy__(self, memo: Any) -> TunedSeconds:
        return self


class TunedReadSeconds(TunedSeconds):
    """A read timeout in seconds that redispan chose for a client that repeats writes itself.

    It applies only to commands that may be repeated.
    """

    __slots__ = ()


class TunedLimit(int):
    """The limit of a pool's connections that redispan chose.

    Attributes:
        ceiling: The library's own limit, up to which a soft limit may be exceeded; for a hard limit, the limit itself.
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
    """The limit of a cluster node's connections that the library enforces, with the lower one at which callers wait.

    Attributes:
        soft: The number of connections at which callers wait.
    """

    soft: int

    def __new__(cls, limit: int, soft: int) -> TunedNodeLimit:
        """Make a limit with callers waiting at ``soft`` connections."""
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
    """Return the TCP keepalive options that this system supports, by option number; ``TCP_USER_TIMEOUT`` is in ms."""
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
        # Linux: a connection with unacknowledged *data* ends after the same time as an idle one.
        ("TCP_USER_TIMEOUT", (idle_s + interval_s * count) * 1000),
    )
    return {getattr(socket, name): value for name, value in wanted if hasattr(socket, name)}
