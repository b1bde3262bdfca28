"""The tuned pool: everything that redispan changes about connections, as shells beside redis-py's own pool classes.

Belongs here: the values filled in, limits and waiting, read timeouts, connecting, retries, deadlines, cluster nodes,
and the figures of pools. Must not be here: spans, metrics, and the recording of operations.
"""
