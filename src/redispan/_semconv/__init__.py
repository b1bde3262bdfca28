"""The semantic conventions: span names, attributes, error types and query text, as pure functions of records.

Belongs here: every name and rule of the OpenTelemetry semantic conventions that redispan follows.
Must not be here: state, I/O, redis-py, the OpenTelemetry SDK.
"""
