"""Where it happens: the only package that knows redis-py (and its fork valkey-py).

Belongs here: patches, pools, retries, the INFO probe. Must not be here: what is done with an operation
once it is recorded (that is the observers' business), and anything of OpenTelemetry.
"""
