"""The table of what is patched: module, class, method, and the shell it gets. Data, read by ``patches``.

redis-py and its fork valkey-py have the same shape; ``{client}`` stands for ``Redis`` or ``Valkey``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """One method to patch.

    Attributes:
        module: Module below the package.
        owner: Class; alternatives are separated by ``|``, the first that exists counts.
        method: Method; alternatives likewise, the first that the class *defines or inherits* counts.
        shell: Name of the kind of shell (see ``patches``).
        finder: Where the endpoint is found: ``client`` or ``cluster``.
        since: False where older versions lack it, which is then no reason for a message.
    """

    module: str
    owner: str
    method: str
    shell: str
    finder: str = "client"
    required: bool = True


PACKAGES: dict[str, dict[str, str]] = {
    "redis": {"client": "Redis", "cluster": "RedisCluster"},
    "valkey": {"client": "Valkey", "cluster": "ValkeyCluster"},
}

BACKOFFS = ("Constant", "Exponential", "FullJitter", "EqualJitter", "DecorrelatedJitter", "ExponentialWithJitter")

OPERATIONS = (
    # What a program calls.
    Target("client", "{client}", "execute_command", "command"),
    Target("client", "Pipeline", "immediate_execute_command", "command"),
    Target("client", "Pipeline", "execute", "batch"),
    Target("client", "PubSub", "execute_command", "command"),
    Target("cluster", "{cluster}", "execute_command", "command", "cluster"),
    Target("cluster", "ClusterPipeline", "execute", "batch", "cluster"),
    Target("cluster", "TransactionStrategy", "_immediate_execute_command", "command", "strategy", required=False),
    Target("cluster", "ClusterPubSub", "execute_command", "command", "pubsub"),
    Target("commands.core", "Script", "__call__", "script"),
    Target("asyncio.client", "{client}", "execute_command", "async_command"),
    Target("asyncio.client", "Pipeline", "immediate_execute_command", "async_command"),
    Target("asyncio.client", "Pipeline", "execute", "async_batch"),
    Target("asyncio.client", "PubSub", "execute_command", "async_command"),
    Target("asyncio.cluster", "{cluster}", "execute_command", "async_starting_command", "cluster"),
    Target("asyncio.cluster", "ClusterPipeline", "execute", "async_batch", "cluster"),
    Target(
        "asyncio.cluster",
        "TransactionStrategy",
        "_immediate_execute_command",
        "async_command",
        "strategy",
        required=False,
    ),
    Target("asyncio.cluster", "ClusterPubSub", "execute_command", "async_command", "pubsub", required=False),
    Target("commands.core", "AsyncScript", "__call__", "async_script"),
    # What is counted without being an operation.
    Target("client", "PubSub", "handle_message", "message"),
    Target("asyncio.client", "PubSub", "handle_message", "message"),
    # Which connection is used, what is sent on it, and how long connecting takes.
    Target("connection", "AbstractConnection", "send_command", "send_command"),
    Target("connection", "AbstractConnection", "pack_commands", "pack_commands"),
    Target("connection", "AbstractConnection", "connect_check_health|connect", "connect"),
    Target("asyncio.connection", "AbstractConnection", "pack_command", "pack_command"),
    Target("asyncio.connection", "AbstractConnection", "pack_commands", "pack_commands"),
    Target("asyncio.connection", "AbstractConnection", "connect_check_health|connect", "async_connect"),
    # Asking the sentinels where to connect is a part of connecting.
    Target("sentinel", "SentinelManagedConnection", "connect", "connect"),
    Target("asyncio.sentinel", "SentinelManagedConnection", "connect", "async_connect"),
    # The client's own housekeeping, whose commands nobody called.
    Target("connection", "AbstractConnection", "_send_ping", "internal"),
    Target("asyncio.connection", "AbstractConnection", "_send_ping", "async_internal"),
    Target("cluster", "NodesManager", "initialize", "internal"),
    Target("asyncio.cluster", "NodesManager", "initialize", "async_internal"),
    Target("_parsers", "CommandsParser", "initialize", "internal"),
    Target("_parsers", "AsyncCommandsParser", "initialize", "async_internal"),
    Target("_parsers", "CommandsParser", "_get_moveable_keys", "internal", required=False),
    Target("_parsers", "AsyncCommandsParser", "_get_moveable_keys", "async_internal", required=False),
    # Trouble on the way, none of it paid for while all goes well.
    Target("exceptions", "AskError", "__init__", "redirect"),
    *(Target("backoff", f"{name}Backoff", "compute", "backoff", required=False) for name in BACKOFFS),
)
