"""A Celery program with a Redis broker; run as a script, it sends purchases and waits for their results."""

import os
import sys

import redis
from celery import Celery

app = Celery("shop", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.update(broker_connection_retry_on_startup=True, worker_prefetch_multiplier=1, worker_hijack_root_logger=False)
client = redis.Redis.from_url(os.environ["REDIS_URL"])


@app.task(name="buy")
def buy(number: int) -> int:
    client.incr(f"sold:{number}")
    client.hget(f"order:{number}", "a")
    return os.getpid()


if __name__ == "__main__":
    from shop_celery import buy as task

    results = [task.delay(number) for number in range(int(sys.argv[1]))]
    print(sorted({result.get(timeout=40) for result in results}))
