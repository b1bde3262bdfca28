"""Names of attributes, metrics and events, as literals, so that older semantic-convention packages do as well.

The unstable names of the conventions are copied, not imported, as the conventions ask. redispan's own names live
under ``redis.client.`` and ``redis.server.`` only: ``db.`` belongs to the conventions.
"""

from __future__ import annotations

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

REDIS = "redis"
"""The value of ``db.system.name``, for Valkey and KeyDB too: seen through redis-py they can't be told apart."""

OTHER = "_OTHER"
"""The conventions' value for what a bounded set of values has no room for."""

# Stable attributes of the conventions.
DB_SYSTEM_NAME = "db.system.name"
DB_OPERATION_NAME = "db.operation.name"
DB_OPERATION_BATCH_SIZE = "db.operation.batch.size"
DB_NAMESPACE = "db.namespace"
DB_QUERY_TEXT = "db.query.text"
DB_RESPONSE_STATUS_CODE = "db.response.status_code"
DB_STORED_PROCEDURE_NAME = "db.stored_procedure.name"
ERROR_TYPE = "error.type"
EXCEPTION_MESSAGE = "exception.message"
EXCEPTION_TYPE = "exception.type"
NETWORK_PEER_ADDRESS = "network.peer.address"
NETWORK_PEER_PORT = "network.peer.port"
OLD_PEER_ADDRESS = "net.peer.ip"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"

# Attributes of the conventions in development.
DB_CLIENT_CONNECTION_POOL_NAME = "db.client.connection.pool.name"
DB_CLIENT_CONNECTION_STATE = "db.client.connection.state"

# What the conventions say of metrics and events.
METRIC_OPERATION_DURATION = "db.client.operation.duration"
METRIC_CONNECTION_COUNT = "db.client.connection.count"
METRIC_CONNECTION_IDLE_MAX = "db.client.connection.idle.max"
METRIC_CONNECTION_IDLE_MIN = "db.client.connection.idle.min"
METRIC_CONNECTION_MAX = "db.client.connection.max"
METRIC_CONNECTION_PENDING_REQUESTS = "db.client.connection.pending_requests"
METRIC_CONNECTION_TIMEOUTS = "db.client.connection.timeouts"
METRIC_CONNECTION_CREATE_TIME = "db.client.connection.create_time"
METRIC_CONNECTION_WAIT_TIME = "db.client.connection.wait_time"
METRIC_CONNECTION_USE_TIME = "db.client.connection.use_time"
EVENT_OPERATION_EXCEPTION = "db.client.operation.exception"

# Our own: one operation.
REDIS_CLIENT_OPERATION_BACKOFF_TIME = "redis.client.operation.backoff.time"
REDIS_CLIENT_OPERATION_BLOCKING = "redis.client.operation.blocking"
REDIS_CLIENT_OPERATION_CONNECT_TIME = "redis.client.operation.connect.time"
REDIS_CLIENT_OPERATION_POOL_WAIT = "redis.client.operation.pool_wait.time"
REDIS_CLIENT_OPERATION_REDIRECTS = "redis.client.operation.redirect.count"
REDIS_CLIENT_OPERATION_RETRIES = "redis.client.operation.retries"
REDIS_CLIENT_OPERATION_SLOW = "redis.client.operation.slow"
REDIS_CLIENT_OPERATION_SLOW_THRESHOLD = "redis.client.operation.slow.threshold"

# Our own: alerts. Dashboards, rules and the Collector's configuration match these.
EVENT_ALERT_PREFIX = "redis.client.alert."

DURATION_BUCKETS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""The bounds that the conventions advise for durations of operations and of connections."""

FINE_BUCKETS_S = (
    0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""Bounds that tell Redis operations apart, most of which take less than the first advised bound."""


def span_name(operation: str, address: str | None, port: int | None) -> str:
    """``GET cache.example.com:6379``; the operation alone for a UNIX socket (no port) or an unknown server."""
    if address is None or port is None:
        return operation
    host = f"[{address}]" if ":" in address else address
    return f"{operation} {host}:{port}"
