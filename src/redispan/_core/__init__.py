"""What happened: the records that cross the layers, and the observer protocol.

Belongs here: ``Operation``, ``Endpoint``, ``PoolStats``, ``Alert``, the table of Redis commands, the counters
of redispan itself. Must not be here: anything that imports redis-py, OpenTelemetry or does I/O. Standard library only.
"""
