"""Names of attributes, metrics and events.

They are literals, so that redispan also works with older semantic-convention packages. The conventions ask that
unstable names are copied, not imported. redispan's own names are only under ``redis.client.`` and ``redis.server.``,
because ``db.`` belongs to the conventions.
"""

from __future__ import annotations

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

REDIS = "redis"
"""The value of ``db.system.name``, also for Valkey and KeyDB, which redis-py cannot distinguish from Redis."""

OTHER = "_OTHER"
"""The conventions' value for anything that is not in a bounded set of values."""

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

# Metrics and events of the conventions.
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

# redispan's own attributes of an operation.
REDIS_CLIENT_OPERATION_BACKOFF_TIME = "redis.client.operation.backoff.time"
REDIS_CLIENT_OPERATION_BLOCKING = "redis.client.operation.blocking"
REDIS_CLIENT_OPERATION_CONNECT_TIME = "redis.client.operation.connect.time"
REDIS_CLIENT_OPERATION_POOL_WAIT = "redis.client.operation.pool_wait.time"
REDIS_CLIENT_OPERATION_REDIRECTS = "redis.client.operation.redirect.count"
REDIS_CLIENT_OPERATION_RETRIES = "redis.client.operation.retries"
REDIS_CLIENT_OPERATION_SLOW = "redis.client.operation.slow"
REDIS_CLIENT_OPERATION_SLOW_THRESHOLD = "redis.client.operation.slow.threshold"

# redispan's own alert events. Dashboards, rules and the Collector's configuration match this prefix.
EVENT_ALERT_PREFIX = "redis.client.alert."

DURATION_BUCKETS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""The bucket bounds, in seconds, that the conventions advise for durations of operations and of connections."""

FINE_BUCKETS_S = (
    0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""Finer bucket bounds, in seconds, because most Redis operations take less than the first bound that is advised."""


def span_name(operation: str, address: str | None, port: int | None) -> str:
    """Return a span name such as ``GET cache.example.com:6379``.

    For a UNIX socket (no port) or an unknown server, it is the operation alone.
    """
    if address is None or port is None:
        return operation
    host = f"[{address}]" if ":" in address else address
    return f"{operation} {host}:{port}"
