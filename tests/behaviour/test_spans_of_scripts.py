"""Lua scripts and functions: one span per call of a script object, also when it recovers from NOSCRIPT."""

import pytest
from opentelemetry.trace import StatusCode

from clients import World, outcome_of, settle, sync_and_async, with_clusters
from redispan.testing import TelemetryInMemory

pytestmark = pytest.mark.redis

LUA = "return redis.call('INCRBY', KEYS[1], ARGV[1])"


@with_clusters
async def test_script_that_the_server_lost_is_one_successful_span(world: World, recorded: TelemetryInMemory):
    """One call that sends EVALSHA, gets NOSCRIPT, and sends SCRIPT LOAD and EVALSHA is one span: no error, no retry."""
    client = world.client()
    script = client.register_script(LUA)
    assert await settle(script(keys=["n"], args=[5])) == 5
    span = recorded.span()
    assert span.name == f"EVALSHA {script.sha}"
    assert span.attributes["db.operation.name"] == "EVALSHA"
    assert span.attributes["db.stored_procedure.name"] == script.sha
    assert span.attributes["server.port"] == world.address_of("n")[1]
    assert span.status.status_code is StatusCode.UNSET
    assert "error.type" not in span.attributes
    assert "redis.client.operation.retries" not in span.attributes
    assert recorded.events("db.client.operation.exception") == []
    recorded.clear()
    assert await settle(script(keys=["n"], args=[5])) == 10
    assert recorded.span().name == f"EVALSHA {script.sha}"


@with_clusters
async def test_script_that_fails_is_one_failed_span(world: World, recorded: TelemetryInMemory):
    """An error raised in the script is the span's error. The span shows neither its text nor its arguments."""
    client = world.client()
    script = client.register_script("return redis.error_reply('MYERR '..ARGV[1])")
    _, error = await outcome_of(lambda: script(keys=["n"], args=["s3cret"]))
    assert "s3cret" in str(error)
    span = recorded.span()
    assert span.status.status_code is StatusCode.ERROR
    assert "s3cret" not in span.to_json()
    assert "redis.error_reply" not in span.to_json()


@with_clusters
@pytest.mark.parametrize("names", [True, False])
async def test_batch_of_one_script_is_named_after_it(world: World, instrument, names: bool):
    """A batch that calls the same procedure throughout has its name, and one that calls two does not."""
    recorded = instrument(script_names=names)
    client = world.client()
    one, other = await settle(client.script_load("return 1")), await settle(client.script_load("return 2"))
    recorded.clear()
    for called in ((one, one), (one.encode(), one), (one, other)):
        pipeline = world.pipeline(client)
        for sha in called:
            pipeline.execute_command("EVALSHA", sha, 1, "k")
        await settle(pipeline.execute())
    same, spelled_twice, different = recorded.spans()
    for span in (same, spelled_twice):
        assert span.attributes["db.operation.name"] == "PIPELINE EVALSHA"
        assert span.attributes["db.stored_procedure.name"] == one
        assert span.name == "PIPELINE EVALSHA" + (f" {one}" if names else world.target("k"))
    assert "db.stored_procedure.name" not in different.attributes
    assert different.name == "PIPELINE EVALSHA" + world.target("k")


@sync_and_async
async def test_script_in_a_pipeline_is_part_of_the_batch(world: World, recorded: TelemetryInMemory):
    """A script called on a pipeline is queued: it has no span until the pipeline is executed."""
    client = world.client()
    script = client.register_script(LUA)
    pipeline = client.pipeline(transaction=False)
    await settle(script(keys=["n"], args=[1], client=pipeline))
    await settle(script(keys=["n"], args=[1], client=pipeline))
    assert recorded.spans() == []
    assert await settle(pipeline.execute()) == [1, 2]
    span = recorded.span()
    assert span.name.startswith("PIPELINE EVALSHA")
    assert span.attributes["db.operation.batch.size"] == 2
    assert "redis.client.operation.retries" not in span.attributes


@with_clusters
async def test_eval_never_shows_its_text(world: World, recorded: TelemetryInMemory):
    """EVAL is named by its server. Its text, keys and arguments are hidden."""
    client = world.client()
    assert await settle(client.eval(LUA, 1, "n", 3)) == 3
    span = recorded.span()
    assert span.name == "EVAL" + world.target("n")
    assert "INCRBY" not in span.to_json()
    assert span.attributes["db.operation.name"] == "EVAL"


@with_clusters
async def test_evalsha_called_by_hand_shows_noscript(world: World, recorded: TelemetryInMemory):
    """An EVALSHA that the program sends itself fails with NOSCRIPT in the span, as in the program."""
    client = world.client()
    _, error = await outcome_of(lambda: client.evalsha("f" * 40, 1, "n", 1))
    assert type(error).__name__ == "NoScriptError"
    span = recorded.span()
    assert span.name == "EVALSHA " + "f" * 40


@with_clusters
async def test_what_is_no_sha_is_no_name(world: World, recorded: TelemetryInMemory):
    """An argument in the place of the sha that is no sha never becomes a name."""
    client = world.client()
    await outcome_of(lambda: client.evalsha("notasha123", 1, "n", 1))
    span = recorded.span()
    assert "notasha123" not in span.to_json()
    assert span.name == "EVALSHA" + world.target("n")


@with_clusters
async def test_function_call_is_named_by_its_function(world: World, recorded: TelemetryInMemory):
    """FCALL is named by its function, and has the function as stored procedure."""
    body = "function(keys, args) return redis.call('INCRBY', keys[1], args[1]) end"
    library = f"#!lua name=lib\nredis.register_function('add_up', {body})"
    client = world.client()
    for node in world.server.masters if world.is_cluster else [world.server]:
        node.call("FUNCTION", "LOAD", "REPLACE", library)
    assert await settle(client.fcall("add_up", 1, "n", 4)) == 4
    span = recorded.span()
    assert span.name == "FCALL add_up"
    assert span.attributes["db.stored_procedure.name"] == "add_up"
    assert span.attributes["db.query.text"].startswith("FCALL")
    assert "4" not in span.attributes["db.query.text"].split()[3:]


@sync_and_async
async def test_lock_is_the_commands_it_sends(world: World, recorded: TelemetryInMemory):
    """A lock acquires by SET and releases by its script, without an error, and its token is not emitted."""
    client = world.client()
    lock = client.lock("the-lock", timeout=5)
    assert await settle(lock.acquire())
    token = lock.local.token
    await settle(lock.extend(5))
    await settle(lock.release())
    names = [span.name.split()[0] for span in recorded.spans()]
    assert names == ["SET", "EVALSHA", "EVALSHA"]
    assert all(span.status.status_code is StatusCode.UNSET for span in recorded.spans())
    shown = "".join(span.to_json() for span in recorded.spans())
    assert (token.decode() if isinstance(token, bytes) else token) not in shown
    assert "the-lock" not in shown


@with_clusters
async def test_script_names_can_be_turned_off(world: World, instrument):
    """With script_names off, a script is named by its server, like any command."""
    recorded = instrument(script_names=False)
    client = world.client()
    script = client.register_script(LUA)
    await settle(script(keys=["n"], args=[5]))
    assert recorded.span().name == "EVALSHA" + world.target("n")
