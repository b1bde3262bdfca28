"""The only package that knows redis-py and its fork valkey-py.

Belongs here: patches, pools, retries, the INFO probe. Must not be here: what happens to an operation once it is
recorded (observers do that), and anything of OpenTelemetry.
"""
