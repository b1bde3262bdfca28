"""Sends a task and waits for its result."""

from tasks import add

print("2 + 3 =", add.delay(2, 3).get(timeout=30))
