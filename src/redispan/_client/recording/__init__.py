"""How one call into redis-py becomes one ``Operation``.

Belongs here: beginning and ending an operation, the shells around client methods and connections, endpoints, batches.
Must not be here: what the pool layer changes, and what observers do with an operation.
"""
