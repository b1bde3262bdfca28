"""What the README compares: a few things that programs do, so that one can see what each instrumentation tells of them.

Steps are arguments; a step that raises prints the exception's class, any other prints ``ok``.
"""

import os
import sys

import redis

url = os.environ["REDIS_URL"]
client = redis.Redis.from_url(url, retry=redis.retry.Retry(redis.backoff.NoBackoff(), 3))

DOCUMENT = {"id": "user:1", "extra_attributes": {"ssn": "078-05-1120"}}


def native() -> None:
    from redis.observability.config import MetricGroup, OTelConfig
    from redis.observability.providers import get_observability_instance

    get_observability_instance().init(OTelConfig(metric_groups=list(MetricGroup)))


def plain() -> None:
    client.set("k", "v")


def batch() -> None:
    pipeline = client.pipeline(transaction=False)
    for number in range(2000):
        pipeline.set(f"key:{number}", "v")
    pipeline.execute()


def failure() -> None:
    client.lpush("k", "v")


def retry() -> None:
    # The server closes the connection that the next command is written to.
    def write_and_lose(command: object, **options: object) -> None:
        connection.send_packed_command = send
        redis.Redis.from_url(url).client_kill_filter(_id=mine, skipme=False)
        send(command, **options)

    mine = client.client_id()
    connection = client.connection_pool.get_connection()
    client.connection_pool.release(connection)
    send = connection.send_packed_command
    connection.send_packed_command = write_and_lose
    client.get("retried")


def cluster() -> None:
    redis.RedisCluster.from_url(os.environ["CLUSTER_URL"]).set("k", "v")


def sentinel() -> None:
    host, _, port = os.environ["SENTINEL"].rpartition(":")
    redis.sentinel.Sentinel([(host, int(port))]).master_for("orders").set("k", "v")


def search(answer: object) -> None:
    searcher = redis.Redis.from_url(url)
    searcher.parse_response = lambda *_, **__: answer  # the tests' servers have no such module
    assert searcher.execute_command("FT.SEARCH", "idx", "@ssn:(078*)") is answer


def search_resp2() -> None:
    search([1, b"user:1", [b"ssn", b"078-05-1120"]])


def search_resp3() -> None:
    search({b"total_results": 1, b"results": [DOCUMENT]})


for step in sys.argv[1:]:
    try:
        globals()[step]()
        print("ok")
    except Exception as error:
        print(type(error).__name__)
