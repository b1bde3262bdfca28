"""Clusters: what they may repeat, until when, and waiting in front of the async cluster's nodes.

A cluster client repeats whatever failed with a timeout or a lost connection, up to ten times. With a timeout lower than
the library's that would run commands twice, and on a dead cluster it takes a minute. So an error after which nothing
may be repeated is given a class of its own on its way through the client's loop, which looks for exact classes, and
its old class back when it leaves.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from redispan._client.internals import clients, connection_pools
from redispan._client.pool import block_budget, deadline, making, retry_policy, waiting
from redispan._client.pool.state import PoolState, registry
from redispan._client.pool.values import TunedNodeLimit, settings_in_force
from redispan._core.commands import block_budget_s, identify
from redispan._core.slot import SLOT
from redispan.settings.pool import PoolSettings

Method = Callable[..., Any]

CLUSTERS: weakref.WeakSet[Any] = weakref.WeakSet()
"""The async clusters, whose nodes are pools that can't be held weakly."""


class ClusterPolicy:
    """How a cluster's loop is guided; absent where the program set a policy of its own.

    Attributes:
        deadline_s: The bound of one operation; 0 for none.
        started: The client knows its nodes (async clients find them at their first command).
    """

    def __init__(self, settings: PoolSettings) -> None:
        self.deadline_s = settings.pool_deadline_s
        self.started = False


def after_init(cluster: Any, settings: PoolSettings, given: Mapping[str, Any], tuned: bool) -> None:
    """A cluster client is being built."""
    from redispan._client.pool.tuning import has_cluster_policy

    if hasattr(type(cluster), "__aenter__"):
        CLUSTERS.add(cluster)
    # A timeout of the program's own is its word on when commands are repeated, too.
    if tuned and settings.pool_retry and not has_cluster_policy(given) and "socket_timeout" not in given:
        cluster.redispan_cluster = ClusterPolicy(settings)


@functools.lru_cache(maxsize=64)
def _final_class(cls: Any) -> Any:
    if cls.__name__ not in ("ConnectionError", "TimeoutError"):
        return None
    final = type(cls.__name__, (cls,), {"__module__": cls.__module__, "__qualname__": cls.__qualname__})
    final.redispan_plain = cls  # type: ignore[attr-defined]
    return final


def _guide(error: BaseException, args: tuple[Any, ...]) -> None:
    """Make ``error`` the last of its operation if repeating could run it twice or would take too long."""
    final = _final_class(cast("Any", type(error)))
    if final is None:
        return
    if deadline.is_another_attempt_too_long() or not retry_policy.may_repeat(error, identify(args)):
        error.__class__ = final
    else:
        deadline.operation_failed()


def _restore(error: BaseException) -> None:
    plain = getattr(type(error), "redispan_plain", None)
    if plain is not None:
        error.__class__ = plain


def node_call_shell(original: Method) -> Method:
    """Sync ``RedisCluster._execute_command``: one attempt on one node."""

    @functools.wraps(original)
    def _execute_command(self: Any, target_node: Any, *args: Any, **kwargs: Any) -> Any:
        policy = self.redispan_cluster
        if policy is None:
            return original(self, target_node, *args, **kwargs)
        try:
            return original(self, target_node, *args, **kwargs)
        except Exception as error:
            _guide(error, args)
            raise

    return _execute_command


def async_node_call_shell(original: Method) -> Method:
    """Async ``RedisCluster._execute_command``, likewise."""

    @functools.wraps(original)
    async def _execute_command(self: Any, target_node: Any, *args: Any, **kwargs: Any) -> Any:
        policy = self.redispan_cluster
        if policy is None:
            return await original(self, target_node, *args, **kwargs)
        try:
            return await original(self, target_node, *args, **kwargs)
        except Exception as error:
            _guide(error, args)
            raise

    return _execute_command


def call_shell(original: Method) -> Method:
    """Sync ``RedisCluster.execute_command``: the loop with all its attempts."""

    @functools.wraps(original)
    def execute_command(self: Any, *args: Any, **kwargs: Any) -> Any:
        policy = self.redispan_cluster
        if policy is None:
            return original(self, *args, **kwargs)
        token = deadline.begin_operation(policy.deadline_s)
        try:
            return original(self, *args, **kwargs)
        except Exception as error:
            _restore(error)
            raise
        finally:
            deadline.end_operation(token)

    return execute_command


def async_call_shell(original: Method) -> Method:
    """Async ``RedisCluster.execute_command``, likewise."""
    starts_below = hasattr(original, clients.STARTS_CLUSTER)

    @functools.wraps(original)
    async def execute_command(self: Any, *args: Any, **kwargs: Any) -> Any:
        policy = self.redispan_cluster
        if policy is None:
            return await original(self, *args, **kwargs)
        token = deadline.begin_operation(policy.deadline_s)
        try:
            if not policy.started and not starts_below:
                await clients.start_cluster(self)
            return await original(self, *args, **kwargs)
        except Exception as error:
            _restore(error)
            raise
        finally:
            deadline.end_operation(token)

    return execute_command


def batch_shell(original: Method) -> Method:
    """Sync ``ClusterPipeline.execute``: its commands are repeated after a timeout, so theirs isn't lowered."""

    @functools.wraps(original)
    def execute(self: Any, *args: Any, **kwargs: Any) -> Any:
        token = block_budget.in_cluster_batch.set(True)
        try:
            return original(self, *args, **kwargs)
        finally:
            block_budget.in_cluster_batch.reset(token)

    return execute


def async_batch_shell(original: Method) -> Method:
    """Async ``ClusterPipeline.execute``, likewise."""

    @functools.wraps(original)
    async def execute(self: Any, *args: Any, **kwargs: Any) -> Any:
        token = block_budget.in_cluster_batch.set(True)
        try:
            return await original(self, *args, **kwargs)
        finally:
            block_budget.in_cluster_batch.reset(token)

    return execute


class NodeState(PoolState):
    """The companion of an async cluster node, which has no pool and no room for one.

    Attributes:
        busy: Commands and pipelines that hold a connection of the node.
        held: Of those, the blocking ones.
    """

    def __init__(self, free: Any, settings: PoolSettings, name: str) -> None:
        super().__init__(free, settings, tuned=settings.pool == "tuned", base_name=name, kind="cluster_node")
        self.busy = 0
        self.held = 0

    def has_room(self, limit: int) -> bool:
        """Whether a caller may go on without waiting."""
        return self.busy - min(self.held, self.settings.pool_parked_max) < limit


class NodeRegistry:
    """Companions of nodes, found by the node's own queue of free connections, which lives as long as the node."""

    def __init__(self) -> None:
        self._states: dict[int, NodeState] = {}

    def of(self, node: Any) -> NodeState | None:
        """The companion of ``node``."""
        free = connection_pools.node_free(node)
        state = self._states.get(id(free))
        if state is None:
            state = self._make(free)
        if state is not None:
            state.active = True
        return state

    def find(self, node: Any) -> NodeState | None:
        """The companion of ``node`` if it has one."""
        return self._states.get(id(connection_pools.node_free(node)))

    def _make(self, free: Any) -> NodeState | None:
        state = NodeState(free, settings_in_force(), "")
        if not registry().add(state):
            return None
        state.active = True
        key = id(free)
        weakref.finalize(free, self._states.pop, key, None).atexit = False
        self._states[key] = state
        return state

    def __iter__(self) -> Iterator[NodeState]:
        return iter(tuple(self._states.values()))


NODE_REGISTRY = NodeRegistry()
"""The companions of the nodes of this process."""


class _NodeIsFullError(Exception):
    redispan_exhausted = True


def node_execute_shell(original: Method) -> Method:
    """``ClusterNode.execute_command`` and ``execute_pipeline``: they take a connection and give it back."""
    if settings_in_force().pool == "off":
        return original
    is_pipeline = original.__name__ == "execute_pipeline"

    @functools.wraps(original)
    async def execute(self: Any, *args: Any, **kwargs: Any) -> Any:
        state = NODE_REGISTRY.of(self)
        if state is None:
            return await original(self, *args, **kwargs)
        held = False
        try:
            if not is_pipeline:
                info = identify(args)
                held = info.blocking is not None and block_budget_s(info, args) is not None
            limit = self.max_connections
            soft = limit.soft if isinstance(limit, TunedNodeLimit) else limit
        except Exception:
            SLOT.runtime.self_metrics.telemetry_error("pool")
            return await original(self, *args, **kwargs)
        if state.tuned and not held and (state.waiters or not state.has_room(soft)):
            await _wait_for_node(state, soft)
        state.busy += 1
        state.held += held
        state.count_use()
        try:
            return await original(self, *args, **kwargs)
        finally:
            state.busy -= 1
            state.held -= held
            if state.waiters:
                waiting.wake_one(state)

    return execute


def node_acquire_shell(original: Method) -> Method:
    """``ClusterNode.acquire_connection``: a new connection learns whose it is, and one that ended is opened anew."""

    @functools.wraps(original)
    def acquire_connection(self: Any) -> Any:
        connection = original(self)
        try:
            if connection.redispan_pool_state is None:
                connection.redispan_pool_state = NODE_REGISTRY.find(self)
        except Exception:
            SLOT.runtime.self_metrics.telemetry_error("pool")
        making.let_go_if_ended(connection.redispan_pool_state, connection)
        return connection

    return acquire_connection


def node_disconnect_shell(original: Method) -> Method:
    """``ClusterNode.disconnect``, which closing a cluster and dropping a node come down to."""

    @functools.wraps(original)
    async def disconnect(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await original(self, *args, **kwargs)
        finally:
            try:
                state = NODE_REGISTRY.find(self)
                if state is not None:
                    state.active = False  # until a command is sent there again
            except Exception:
                SLOT.runtime.self_metrics.telemetry_error("pool")

    return disconnect


async def _wait_for_node(state: NodeState, limit: int) -> None:
    """Return when there is room, or when waiting was in vain: the node then opens one more or raises its own error."""

    async def enter() -> None:
        if not state.has_room(limit):
            raise _NodeIsFullError

    try:
        await waiting.wait_in_task(state, None, enter)
    except _NodeIsFullError:
        state.exceeded += 1
        SLOT.runtime.self_metrics.add("pool_events", "exceeded")
