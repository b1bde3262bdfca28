"""The records that all layers share, the observer protocol, and the part of the runtime that needs no instrumentation.

Belongs here: ``Operation``, ``Endpoint``, ``PoolStats``, ``Alert``, the table of Redis commands, the self-metrics. Must
not be here: anything that imports redis-py or OpenTelemetry, or that does I/O. Only the standard library is used.
"""
