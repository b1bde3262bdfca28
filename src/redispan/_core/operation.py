"""``Operation``: one call into Redis as its caller saw it, and ``Endpoint``: where it went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from redispan._core.commands import Census, CommandInfo


class Endpoint:
    """One place that operations go to: a server, a cluster or a sentinel service, and a database.

    Compared and hashed by identity, which is what makes it a cheap dictionary key: ask ``endpoints.intern`` for one.
    """

    __slots__ = ("address", "cached", "db", "late", "port")

    def __init__(
        self,
        address: str | None,
        port: int | None,
        db: str | None,
        *,
        late: bool = False,
        cached: bool = False,
    ) -> None:
        """Describe a place.

        Args:
            address: Host name as configured, or the path of a UNIX socket; None if it isn't known.
            port: TCP port; None for a UNIX socket.
            db: Index of the database as text (the value at connection time: SELECT isn't followed).
            late: The server that answers is known only once it answered (cluster, sentinel).
            cached: A client-side cache may answer without the network.
        """
        self.address = address
        self.port = port
        self.db = db
        self.late = late
        self.cached = cached

    def __repr__(self) -> str:
        return f"Endpoint({self.label!r})"

    @property
    def label(self) -> str:
        """``host:port/db``, ``path/db``, ``unknown``, or ``others`` for those not told apart: for people."""
        if self.address is None:
            return "others" if self is OTHER_ENDPOINTS else "unknown"
        place = self.address if self.port is None else f"{self.address}:{self.port}"
        return place if self.db is None else f"{place}/{self.db}"


OTHER_ENDPOINTS = Endpoint(None, None, None)
"""All places that are one too many to be told apart. Whatever is bounded by endpoint keeps them as this one."""


class CommandSeries:
    """One command on one endpoint, and what observers prepared for it once: names, attributes, counters.

    Bounded where it is made: commands come from a table, endpoints are interned up to a limit.
    """

    __slots__ = ("count", "endpoint", "info", "metric", "span", "statistics")

    def __init__(self, endpoint: Endpoint, info: CommandInfo, count: Callable[[], object] = int) -> None:
        """Prepare for one command on one endpoint.

        Args:
            endpoint: Where it goes.
            info: The command.
            count: Called for each operation that ended.
        """
        self.endpoint = endpoint
        self.info = info
        self.count = count
        # Each belongs to one observer of the recorder that made the series.
        self.span: Any = None
        self.metric: Any = None
        self.statistics: Any = None


class Batch:
    """The commands of one pipeline or transaction."""

    __slots__ = ("census", "commands", "kind")

    def __init__(self, kind: str, commands: Sequence[Sequence[Any]], census: Census) -> None:
        """Keep the batch.

        Args:
            kind: ``PIPELINE`` or ``MULTI``.
            commands: The argument lists, in order. They hold the caller's values: no observer may keep them.
            census: How often each command occurs in it.
        """
        self.kind = kind
        self.commands = commands
        self.census = census


class Operation:
    """One call into Redis, from the caller's first line to the caller's result: retries, waits and all.

    It holds the caller's arguments, so no observer may keep it once ``finished`` returned. What every operation has is
    set when it is built; the rest are class defaults, set only where they differ, and ``remarkable`` tells at once
    whether there is anything to read there: an unremarkable operation costs its observers one attribute.

    Attributes:
        series: The command and the endpoint, with what observers prepared for them.
        info: The command, or the common one of a batch.
        args: The arguments as the caller gave them, the command included; empty for a batch.
        endpoint: Where it went; for clusters and sentinels replaced by the server that really answered.
        batch: The pipeline or transaction, if it was one.
        start_ns: ``perf_counter_ns`` at the start.
        duration_ns: How long the caller waited; 0 while it runs.
        error: The exception the caller got.
        healed_error: The first error inside a ``raise_on_error=False`` batch.
        response: The result, while ``finished`` runs.
        sends: How often the command was written to a connection.
        resends: How often of these it went to a server that had got it before.
        failed_connects: Connections that could not be opened.
        pool_retries: Attempts repeated by the client's retry objects, those of connecting included.
        nested: It calls the client again for its parts, as a script object does.
        new_part: The next write belongs to another such part, so it repeats nothing.
        batch_sent: The batch itself was written, not just what prepares it.
        redirects: MOVED and ASK answers followed.
        retries: Attempts repeated inside the client.
        pool_wait_ns: Time spent waiting for a connection of the pool.
        connect_ns: Time spent opening connections, handshake included.
        backoff_ns: Time slept between attempts.
        peer: ``(address, port)`` of the connection really used; port None for a UNIX socket.
        blocking: The command asked the server to hold its answer.
        client: The client or pipeline object, while it runs.
        connection: The connection last written to, while it runs.
        before_send: To be called with the operation and its connection before anything is written: those who want to
            know of the start are told only then, because only then it is known which server will answer.
        moving: The endpoint was replaced by the server that was written to first.
        resolved: The endpoint was replaced, after the start, by the server that answered.
        nodes: Servers written to in this part, where there was more than one write.
        defer_span: Whether it used the network is known only at its end.
        internal: Housekeeping of the client, not an operation.
        waiting: The operation that waits for this housekeeping.
        pipelined: It came from a pipeline, so an answer may hold errors.
        cache_hit: Answered by the client-side cache, without the network.
        remarkable: Any of error, healed_error, retries, redirects, cache_hit or slow is set. Whoever sets
            one of these sets this too.
        slow: It took as long as the alert threshold, or longer.
        slow_threshold_ns: That threshold, once it is slow.
        done: It ended; what happens later on its context isn't part of it.
    """

    batch: Batch | None = None
    duration_ns = 0
    error: BaseException | None = None
    healed_error: BaseException | None = None
    response: Any = None
    redirects = 0
    retries = 0
    pool_wait_ns = 0
    connect_ns = 0
    backoff_ns = 0
    blocking = False
    cache_hit = False
    defer_span = False
    internal = False
    slow = False
    slow_threshold_ns = 0
    before_send: Callable[[Operation, Any], None] | None = None
    moving = False
    resolved = False
    nodes: set[int] | None = None
    resends = 0
    failed_connects = 0
    pool_retries = 0
    nested = False
    new_part = False
    batch_sent = False
    pipelined = False
    waiting: Operation | None = None
    # What the recorder and the observers keep on a running operation.
    span: Any = None
    span_start_ns = 0
    scope: Any = None
    late_span: Callable[[Operation], None] | None = None
    """Starts the span, where that waits until it is known whether there should be one."""

    def __init__(self, series: CommandSeries, args: Sequence[Any], client: Any = None) -> None:
        self.series = series
        self.info = series.info
        self.endpoint = series.endpoint
        self.args = args
        self.client = client
        self.start_ns = 0
        self.sends = 0
        self.remarkable = False
        self.done = False
        self.connection: Any = None
        self.peer: tuple[str, int | None] | None = None
        self.token: Any = None

    @property
    def failed(self) -> bool:
        """Whether the caller got an exception, or a result that holds one."""
        return self.error is not None or self.healed_error is not None
