"""What it means: windows, alert rules, health, advice. Records in, records out, with the clock injected.

Must not be here: I/O, threads, redis-py, OpenTelemetry. Standard library only.
"""
