"""Real servers for the tests: Redis in every form that users run, a network that fails on demand, an OTLP receiver.

Nothing in here uses redis-py or redispan's instrumentation: setting up a test is never part of what it measures.
"""
