"""Real errors of a real server, provoked with secrets, get the right label and are never quoted."""

from collections.abc import Callable
from typing import Any

import pytest
import redis

from redispan._semconv.errors import classify, safe_message

pytestmark = pytest.mark.redis
SECRET = "s3cret-Value-42"
# Before version 8 redis-py cuts ERR off, so that a made-up prefix looks like the first word of its message.
MADE_UP = "MYERR" if hasattr(redis.ResponseError("x"), "status_code") else "ERR"

FAULTS: list[tuple[str, Callable[[Any], Any], str]] = [
    ("unknown command", lambda r: r.execute_command(SECRET, SECRET, SECRET), "ERR"),
    ("unknown sub-command", lambda r: r.execute_command("CONFIG", SECRET), "ERR"),
    ("arity", lambda r: r.execute_command("SET", SECRET), "ERR"),
    ("syntax", lambda r: r.execute_command("SET", SECRET, SECRET, SECRET), "ERR"),
    ("not an integer", lambda r: r.incrby("number", SECRET), "ERR"),
    ("wrong type", lambda r: r.lpush("text", SECRET), "WRONGTYPE"),
    ("script that fails", lambda r: r.eval(f"local x = '{SECRET}' error(x)", 0), "ERR"),
    ("script that does not compile", lambda r: r.eval(f"{SECRET} {SECRET}", 0), "ERR"),
    ("error made by a script", lambda r: r.eval("return redis.error_reply('MYERR ' .. ARGV[1])", 0, SECRET), MADE_UP),
    ("no script", lambda r: r.evalsha("0" * 40, 0, SECRET), "NOSCRIPT"),
    ("bad configuration", lambda r: r.config_set(SECRET, SECRET), "ERR"),
    ("no group", lambda r: r.xreadgroup(SECRET, SECRET, {SECRET: ">"}), "NOGROUP"),
    ("bad password", lambda r: r.execute_command("AUTH", SECRET, SECRET), "WRONGPASS"),
    ("user without rights", lambda r: r.execute_command("ACL SETUSER", SECRET, f"+{SECRET}"), "ERR"),
]


@pytest.mark.parametrize(("fault", "code"), [pytest.param(f, code, id=name) for name, f, code in FAULTS])
@pytest.mark.parametrize("place", ["alone", "pipeline"])
def test_no_error_of_the_server_leaks(redis_url: str, fault: Callable[[Any], Any], code: str, place: str) -> None:
    """The label is the server's prefix, and the message holds nothing of the call."""
    with redis.Redis.from_url(redis_url) as client:
        client.set("text", "x")
        with pytest.raises(redis.RedisError) as caught:
            _alone(client, fault) if place == "alone" else _in_pipeline(client, fault)
    assert classify(caught.value).status_code == code
    assert SECRET not in safe_message(caught.value)


def _alone(client: Any, fault: Callable[[Any], Any]) -> None:
    fault(client)


def _in_pipeline(client: Any, fault: Callable[[Any], Any]) -> None:
    pipeline = client.pipeline(transaction=False)
    pipeline.ping()
    fault(pipeline)
    pipeline.execute()
