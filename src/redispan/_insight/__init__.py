"""Analyse finished operations: windows, alert rules, health and advice.

The code takes records and returns records, and its callers inject the clock. It does no I/O, starts no threads, and
uses neither redis-py nor OpenTelemetry: outside redispan it imports only the standard library.
"""
