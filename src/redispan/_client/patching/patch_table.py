"""The patch table: each patched method with its module, its class and its kind of shell.

This file holds data only; ``patches`` reads it. One table serves redis-py and its fork valkey-py, which have the same
structure. ``{client}`` and ``{cluster}`` are replaced by the class names in ``PACKAGES``, such as ``Redis`` or
``Valkey``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PatchTarget:
    """One method to patch.

    Attributes:
        module: The module, relative to the package.
        owner: The name of the class.
        method: The name of the method. Several names are separated by ``|``; the first one that the class *defines or
            inherits* is patched.
        shell: The kind of shell; ``patches`` lists the kinds.
        finder: How the endpoint is found: ``client``, ``cluster``, ``pubsub`` or ``strategy``.
        required: False for a method that some supported versions lack. Its absence is then not logged.
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

PATCH_TABLE = (
    # Methods that a program calls.
    PatchTarget("client", "{client}", "execute_command", "command"),
    PatchTarget("client", "Pipeline", "immediate_execute_command", "command"),
    PatchTarget("client", "Pipeline", "execute", "batch"),
    PatchTarget("client", "PubSub", "execute_command", "command"),
    PatchTarget("cluster", "{cluster}", "execute_command", "command", "cluster"),
    PatchTarget("cluster", "ClusterPipeline", "execute", "batch", "cluster"),
    PatchTarget("cluster", "TransactionStrategy", "_immediate_execute_command", "command", "strategy", required=False),
    PatchTarget("cluster", "ClusterPubSub", "execute_command", "command", "pubsub"),
    PatchTarget("commands.core", "Script", "__call__", "script"),
    PatchTarget("asyncio.client", "{client}", "execute_command", "async_command"),
    PatchTarget("asyncio.client", "Pipeline", "immediate_execute_command", "async_command"),
    PatchTarget("asyncio.client", "Pipeline", "execute", "async_batch"),
    PatchTarget("asyncio.client", "PubSub", "execute_command", "async_command"),
    PatchTarget("asyncio.cluster", "{cluster}", "execute_command", "async_starting_command", "cluster"),
    PatchTarget("asyncio.cluster", "ClusterPipeline", "execute", "async_batch", "cluster"),
    PatchTarget(
        "asyncio.cluster",
        "TransactionStrategy",
        "_immediate_execute_command",
        "async_command",
        "strategy",
        required=False,
    ),
    PatchTarget("asyncio.cluster", "ClusterPubSub", "execute_command", "async_command", "pubsub", required=False),
    PatchTarget("commands.core", "AsyncScript", "__call__", "async_script"),
    # Messages, which redispan counts but does not record as operations.
    PatchTarget("client", "PubSub", "handle_message", "message"),
    PatchTarget("asyncio.client", "PubSub", "handle_message", "message"),
    # Connections: which one an operation uses, what is sent on it, and how long connecting takes.
    PatchTarget("connection", "AbstractConnection", "send_command", "send_command"),
    PatchTarget("connection", "AbstractConnection", "pack_commands", "pack_commands"),
    PatchTarget("connection", "AbstractConnection", "connect_check_health|connect", "connect"),
    PatchTarget("asyncio.connection", "AbstractConnection", "pack_command", "pack_command"),
    PatchTarget("asyncio.connection", "AbstractConnection", "pack_commands", "pack_commands"),
    PatchTarget("asyncio.connection", "AbstractConnection", "connect_check_health|connect", "async_connect"),
    # Connecting includes asking the sentinels for the address.
    PatchTarget("sentinel", "SentinelManagedConnection", "connect", "connect"),
    PatchTarget("asyncio.sentinel", "SentinelManagedConnection", "connect", "async_connect"),
    # Client-internal commands, which the program did not call.
    PatchTarget("connection", "AbstractConnection", "_send_ping", "internal"),
    PatchTarget("asyncio.connection", "AbstractConnection", "_send_ping", "async_internal"),
    PatchTarget("cluster", "NodesManager", "initialize", "internal"),
    PatchTarget("asyncio.cluster", "NodesManager", "initialize", "async_internal"),
    PatchTarget("_parsers", "CommandsParser", "initialize", "internal"),
    PatchTarget("_parsers", "AsyncCommandsParser", "initialize", "async_internal"),
    PatchTarget("_parsers", "CommandsParser", "_get_moveable_keys", "internal", required=False),
    PatchTarget("_parsers", "AsyncCommandsParser", "_get_moveable_keys", "async_internal", required=False),
    # Redirects and retries. These shells cost nothing while there are none.
    PatchTarget("exceptions", "AskError", "__init__", "redirect"),
    *(PatchTarget("backoff", f"{name}Backoff", "compute", "backoff", required=False) for name in BACKOFFS),
)
