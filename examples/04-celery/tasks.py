"""A task that adds."""

import os

from celery import Celery

url = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
app = Celery("tasks", broker=url, backend=url)


@app.task
def add(one: int, other: int) -> int:
    return one + other
