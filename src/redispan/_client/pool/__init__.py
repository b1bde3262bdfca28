"""The tuned pool: everything that redispan changes about connections, as shells around redis-py's own pool classes.

Belongs here: the values that redispan fills in, limits and waiting, read timeouts, connecting, retries, deadlines,
cluster nodes, and the figures of pools. Does not belong here: spans, metrics, and the recording of operations.
"""
