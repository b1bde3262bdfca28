"""Records one call into redis-py as one ``Operation``.

Belongs here: begin and end of an operation, the shells around methods of clients and connections, endpoints, batches.
Must not be here: what the pool layer changes, and what observers do with an operation.
"""
