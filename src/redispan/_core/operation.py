"""``Operation``, which is one call into Redis as its caller sees it, and ``Endpoint``, where the call goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from redispan._core.commands import Census, CommandInfo


class Endpoint:
    """The target of operations: a server, a cluster or a Sentinel service, and a database.

    Instances are compared and hashed by identity, which makes them cheap dictionary keys. ``endpoints.intern`` returns
    the one instance for a target.
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
        """Describe a target.

        Args:
            address: The host name as configured, or the path of a UNIX socket; None if it isn't known.
            port: The TCP port; None for a UNIX socket.
            db: The index of the database as text, as set at connection time: a later SELECT isn't followed.
            late: Whether the server that answers is known only when it answers, as with a cluster or Sentinel.
            cached: Whether a client-side cache may answer without the network.
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
        """The text for display: ``host:port/db``, ``path/db``, ``unknown``, or ``others`` for ``OTHER_ENDPOINTS``."""
        if self.address is None:
            return "others" if self is OTHER_ENDPOINTS else "unknown"
        place = self.address if self.port is None else f"{self.address}:{self.port}"
        return place if self.db is None else f"{place}/{self.db}"


OTHER_ENDPOINTS = Endpoint(None, None, None)
"""The endpoint that replaces every further endpoint where the number of endpoints is limited."""


class CommandSeries:
    """A command series: one command on one endpoint, and what the observers prepared for it once.

    What they prepare are names, attributes and counters. The code that makes the series bounds their number: commands
    come from a table, and endpoints are interned up to a limit.
    """

    __slots__ = ("count", "endpoint", "info", "metric", "span", "statistics")

    def __init__(self, endpoint: Endpoint, info: CommandInfo, count: Callable[[], object] = int) -> None:
        """Make a series without anything prepared.

        Args:
            endpoint: The endpoint.
            info: The command.
            count: Called for each operation that ended, to count it.
        """
        self.endpoint = endpoint
        self.info = info
        self.count = count
        # Each of these is set by one observer of the recorder that made the series.
        self.span: Any = None
        self.metric: Any = None
        self.statistics: Any = None


class Batch:
    """The commands of one pipeline or transaction."""

    __slots__ = ("census", "commands", "kind")

    def __init__(self, kind: str, commands: Sequence[Sequence[Any]], census: Census) -> None:
        """Describe a batch.

        Args:
            kind: ``PIPELINE`` or ``MULTI``.
            commands: The argument lists, in order. They hold the caller's values, so no observer may keep them.
            census: The number of occurrences of each command.
        """
        self.kind = kind
        self.commands = commands
        self.census = census


class Operation:
    """One call into Redis, from the call to its result, with all retries and waits.

    An operation holds the caller's arguments, so no observer may keep it after ``finished`` has returned. The
    constructor sets what every operation has. All other attributes are class defaults, which are set only where they
    differ. For an operation that is not ``remarkable``, observers read this one attribute and can skip the error, the
    retries, the redirects and the like.

    Attributes:
        series: The command series: the command and the endpoint, and what observers prepared for them.
        info: The command; for a batch, the info that names it, such as ``PIPELINE SET``.
        args: The arguments as the caller gave them, the command included; empty for a batch.
        endpoint: The target. For clusters and Sentinel, it is replaced by the server that really answers.
        batch: The pipeline or transaction; None for a single command.
        start_ns: ``perf_counter_ns`` at the start.
        duration_ns: The nanoseconds that the caller waited; 0 while the operation runs.
        error: The exception that the caller got.
        healed_error: The first error in the result of a batch with ``raise_on_error=False``.
        response: The result, while ``finished`` runs.
        sends: How many times the command was written to a connection.
        resends: How many of these writes went to a server that had received the command before.
        failed_connects: The number of connections that could not be opened.
        pool_retries: The number of attempts that the client's retry objects repeated, including those to connect.
        nested: Whether the operation calls the client again for its parts, as a script object does.
        new_part: Whether the next write belongs to another such part, so that it is not a repetition.
        batch_sent: Whether the batch itself was written, and not only the commands that prepare it.
        redirects: The number of MOVED and ASK replies that the client followed.
        retries: The number of attempts that were repeated inside the client.
        pool_wait_ns: The nanoseconds spent waiting for a connection of the pool.
        connect_ns: The nanoseconds spent opening connections, including the handshake.
        backoff_ns: The nanoseconds slept between attempts.
        peer: The ``(address, port)`` of the connection that was really used; the port is None for a UNIX socket.
        blocking: Whether the command asked the server to hold its reply.
        client: The client or pipeline object, while the operation runs.
        connection: The connection that was written to last, while the operation runs.
        before_send: Called with the operation and its connection before anything is written, where only then the server
            that will answer is known. The observers are notified of the start at that moment.
        moving: Whether the endpoint was replaced by the server of the first write.
        resolved: Whether the endpoint was replaced, after the start, by the server that answered.
        nodes: The servers written to in this part; None until there is a second write.
        defer_span: Whether the span waits for the end, because only then it is known whether the network was used.
        internal: Whether this is not an operation but a group of client-internal commands.
        waiting: The operation that waits for these client-internal commands.
        pipelined: Whether it came from a pipeline, so that its result may contain errors.
        cache_hit: Whether the client-side cache answered, without the network.
        remarkable: Whether any of error, healed_error, retries, redirects, cache_hit and slow is set. Code that sets
            one of these sets this too.
        slow: Whether it took as long as the alert threshold, or longer.
        slow_threshold_ns: The alert threshold in nanoseconds, if the operation is slow.
        done: Whether it ended; later events in its context do not belong to it.
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
    # The recorder and the observers keep these on a running operation.
    span: Any = None
    span_start_ns = 0
    scope: Any = None
    late_span: Callable[[Operation], None] | None = None
    """Starts the span, if its start waits until it is known whether the operation gets one."""

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
