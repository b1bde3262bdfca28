"""Clusters: what they may repeat and until when, and waiting for a connection of an async cluster's node.

A cluster client repeats every operation that fails with a timeout or a lost connection, up to ten times. With a timeout
lower than the library's this would run commands twice, and on a dead cluster it takes a minute. The client's loop looks
for exact error classes. So redispan changes the class of an error after which the client must not repeat, while the
error passes the loop, and restores the class when it leaves.
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
"""The async clusters, from which redispan finds their nodes: a node works as a pool and can't be held weakly."""


class ClusterPolicy:
    """The retry policy that redispan gives a cluster client, unless the program set its own.

    Attributes:
        deadline_s: The longest time for one operation, in seconds; 0 for no bound.
        started: The client knows its nodes (async clients find them at their first command).
    """

    def __init__(self, settings: PoolSettings) -> None:
        self.deadline_s = settings.pool_deadline_s
        self.started = False


def after_init(cluster: Any, settings: PoolSettings, given: Mapping[str, Any], tuned: bool) -> None:
    """Register an async cluster client, and give a client that redispan may guide its ``ClusterPolicy``.

    Args:
        cluster: The client, while it is being built.
        settings: The settings in force.
        given: The arguments that the program gave.
        tuned: Whether redispan may change the client.
    """
    from redispan._client.pool.tuning import has_cluster_policy

    if hasattr(type(cluster), "__aenter__"):
        CLUSTERS.add(cluster)
    # A program that set its own timeout has also chosen when commands are repeated.
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
    """Stop the client's loop at ``error`` if repeating could run ``args`` twice or would take too long.

    Otherwise the operation goes on in haste.
    """
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
    """Wrap sync ``RedisCluster._execute_command``, one attempt on one node: decide whether another may follow."""

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
    """Wrap async ``RedisCluster._execute_command``: the async version of ``node_call_shell``."""

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
    """Wrap sync ``RedisCluster.execute_command``, the loop with all its attempts: set its deadline."""

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
    """Wrap async ``RedisCluster.execute_command``: the async version of ``call_shell``.

    It also starts the client at its first command, unless the recorder's shell does so.
    """
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
    """Wrap sync ``ClusterPipeline.execute``, so that redispan does not lower its read timeout.

    The client repeats the pipeline's commands after a timeout.
    """

    @functools.wraps(original)
    def execute(self: Any, *args: Any, **kwargs: Any) -> Any:
        token = block_budget.in_cluster_batch.set(True)
        try:
            return original(self, *args, **kwargs)
        finally:
            block_budget.in_cluster_batch.reset(token)

    return execute


def async_batch_shell(original: Method) -> Method:
    """Wrap async ``ClusterPipeline.execute``: the async version of ``batch_shell``."""

    @functools.wraps(original)
    async def execute(self: Any, *args: Any, **kwargs: Any) -> Any:
        token = block_budget.in_cluster_batch.set(True)
        try:
            return await original(self, *args, **kwargs)
        finally:
            block_budget.in_cluster_batch.reset(token)

    return execute


class NodeState(PoolState):
    """The state of an async cluster node, which has no pool and no place to keep an attribute of redispan.

    Attributes:
        busy: The commands and pipelines that hold a connection of the node.
        held: The blocking commands among them.
    """

    def __init__(self, free: Any, settings: PoolSettings, name: str) -> None:
        super().__init__(free, settings, tuned=settings.pool == "tuned", base_name=name, kind="cluster_node")
        self.busy = 0
        self.held = 0

    def has_room(self, limit: int) -> bool:
        """Return whether a caller may take a connection without waiting."""
        return self.busy - min(self.held, self.settings.pool_parked_max) < limit


class NodeRegistry:
    """The states of nodes.

    The key is the node's own queue of free connections, which lives as long as the node.
    """

    def __init__(self) -> None:
        self._states: dict[int, NodeState] = {}

    def of(self, node: Any) -> NodeState | None:
        """Return the state of ``node``, made if need be and now active, or None if the pool registry is full."""
        free = connection_pools.node_free(node)
        state = self._states.get(id(free))
        if state is None:
            state = self._make(free)
        if state is not None:
            state.active = True
        return state

    def find(self, node: Any) -> NodeState | None:
        """Return the state of ``node``, or None if it has none."""
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
"""The states of the async cluster nodes of this process."""


class _NodeIsFullError(Exception):
    redispan_exhausted = True


def node_execute_shell(original: Method) -> Method:
    """Wrap ``ClusterNode.execute_command`` or ``execute_pipeline``: wait for room, then count the use.

    Both methods take a connection of the node and release it.
    """
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
    """Wrap ``ClusterNode.acquire_connection``: give a new connection a reference to the node's state.

    It also closes a connection that has ended, so that its next use opens it again.
    """

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
    """Wrap ``ClusterNode.disconnect``, which closing a cluster or dropping a node calls: mark the node as inactive."""

    @functools.wraps(original)
    async def disconnect(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await original(self, *args, **kwargs)
        finally:
            try:
                state = NODE_REGISTRY.find(self)
                if state is not None:
                    state.active = False  # until the next command to this node
            except Exception:
                SLOT.runtime.self_metrics.telemetry_error("pool")

    return disconnect


async def _wait_for_node(state: NodeState, limit: int) -> None:
    """Wait until the node has room, but not longer than the wait limit.

    After a wait in vain, the node opens one more connection or raises its own error.
    """

    async def enter() -> None:
        if not state.has_room(limit):
            raise _NodeIsFullError

    try:
        await waiting.wait_in_task(state, None, enter)
    except _NodeIsFullError:
        state.exceeded += 1
        SLOT.runtime.self_metrics.add("pool_events", "exceeded")
