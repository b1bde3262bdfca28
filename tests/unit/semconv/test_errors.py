"""Errors become few labels and messages without data."""

import asyncio
import re
import socket
from collections.abc import Callable

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis import exceptions as redis_errors
from redis._parsers.base import BaseParser

from redispan._semconv import errors
from redispan._semconv.error_texts import KNOWN_PREFIXES, known_text
from redispan._semconv.errors import Failure, classify, safe_message

SECRET = "s3cret-Value-42"


@pytest.fixture(autouse=True)
def _fresh_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset the bounds, so that one test's invented names do not use up the room of another."""
    monkeypatch.setattr(errors, "_invented_prefixes", errors._Bounded(errors._INVENTED_LIMIT))
    monkeypatch.setattr(errors, "_class_names", errors._Bounded(errors._CLASSES_LIMIT))


def answered(message: str) -> Exception:
    """Return the exception that redis-py makes of an error reply."""
    error = BaseParser.parse_error(message)
    assert isinstance(error, Exception)
    return error


def invented(message: str) -> Exception:
    """Return the exception of an error reply that a script made up, as redis-py 8 raises it."""
    error = redis_errors.ResponseError(message)
    error.status_code = None
    return error


def in_pipeline(error: Exception, *command: object) -> Exception:
    """Return the same exception as a pipeline raises it."""
    redis.Redis().pipeline().annotate_exception(error, 2, command)
    return error


def in_async_pipeline(error: Exception, *command: object) -> Exception:
    """Return the same exception as an asyncio pipeline raises it."""
    redis.asyncio.Redis().pipeline().annotate_exception(error, 2, command)
    return error


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("ERR syntax error", "ERR"),
        ("ERR value is not an integer or out of range", "ERR"),
        ("ERR DB index is out of range", "ERR"),
        ("ERR max number of clients reached", "ERR"),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", "WRONGTYPE"),
        ("NOSCRIPT No matching script. Please use EVAL.", "NOSCRIPT"),
        ("MOVED 3999 127.0.0.1:6381", "MOVED"),
        ("ASK 3999 127.0.0.1:6381", "ASK"),
        ("LOADING Redis is loading the dataset in memory", "LOADING"),
        ("READONLY You can't write against a read only replica.", "READONLY"),
        ("CLUSTERDOWN The cluster is down", "CLUSTERDOWN"),
        ("CROSSSLOT Keys in request don't hash to the same slot", "CROSSSLOT"),
        ("NOAUTH Authentication required.", "NOAUTH"),
        ("WRONGPASS invalid username-password pair or user is disabled.", "WRONGPASS"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "OOM"),
        ("EXECABORT Transaction discarded because of previous errors.", "EXECABORT"),
        ("BUSYGROUP Consumer Group name already exists", "BUSYGROUP"),
        ("BUSY Redis is busy running a script.", "BUSY"),
        ("MISCONF Errors writing to the AOF file", "MISCONF"),
    ],
)
@pytest.mark.parametrize("place", ["alone", "pipeline", "async pipeline"])
def test_the_servers_prefix_is_status_code_and_error_type(message: str, code: str, place: str) -> None:
    """The server's prefix is the status code and the error type.

    This holds alone and in pipelines, for prefixes that redis-py keeps in the message and for those it cuts off.
    """
    error = answered(message)
    if place == "pipeline":
        error = in_pipeline(error, "SET", "k", SECRET)
    elif place == "async pipeline":
        error = in_async_pipeline(error, "SET", "k", SECRET)
    assert classify(error) == Failure(code, code, flow_control=False)


@pytest.mark.parametrize(
    ("message", "code"),
    [("MYERROR from a script", "MYERROR"), ("ORDER_4711 from a script", "_OTHER"), ("my error", None)],
)
@pytest.mark.parametrize("place", [lambda error: error, in_pipeline, in_async_pipeline])
def test_a_prefix_made_up_by_a_script_is_kept_unless_it_may_be_data(
    message: str, code: str | None, place: Callable[[Exception], Exception]
) -> None:
    """redispan keeps a prefix that a script made up, except one with digits.

    That is more likely an identifier than a kind of error.
    """
    assert classify(place(invented(message))).status_code == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (redis_errors.NoScriptError("No matching script."), "NOSCRIPT"),
        (redis_errors.BusyLoadingError("Redis is loading"), "LOADING"),
        (redis_errors.ReadOnlyError("You can't write"), "READONLY"),
        (redis_errors.MovedError("1 h:1"), "MOVED"),
        (redis_errors.AskError("1 h:1"), "ASK"),
        (redis_errors.MasterDownError("down"), "MASTERDOWN"),
        (redis_errors.ClusterDownError("down"), "CLUSTERDOWN"),
        (redis_errors.ResponseError("WRONGTYPE Operation against"), "WRONGTYPE"),
        (redis_errors.ResponseError("DB index is out of range"), "ERR"),
        (redis_errors.ResponseError("value is not an integer"), "ERR"),
        (redis_errors.AuthenticationError("Authentication required."), "NOAUTH"),
        (redis_errors.AuthenticationError("invalid username-password pair"), "WRONGPASS"),
        (redis_errors.ConnectionError("max number of clients reached"), "ERR"),
    ],
)
def test_older_redis_py_keeps_no_status_code(error: Exception, code: str) -> None:
    """Before version 8, redispan finds the prefix by the class, or because redis-py cut ``ERR`` off."""
    if hasattr(error, "status_code"):
        del error.status_code
    assert not hasattr(error, "status_code")
    assert classify(error) == Failure(code, code, flow_control=False)


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (redis_errors.TimeoutError("Timeout reading from h:1"), "redis.exceptions.TimeoutError"),
        (redis_errors.ConnectionError("Error 111 connecting to h:1."), "redis.exceptions.ConnectionError"),
        (redis_errors.MaxConnectionsError("Too many connections"), "redis.exceptions.MaxConnectionsError"),
        (redis_errors.DataError("Invalid input"), "redis.exceptions.DataError"),
        (redis_errors.RedisClusterException("x"), "redis.exceptions.RedisClusterException"),
        (TimeoutError("x"), "TimeoutError"),
        (ValueError("WRONGTYPE not from redis"), "ValueError"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (asyncio.CancelledError(), "asyncio.exceptions.CancelledError"),
    ],
)
def test_failures_of_the_client_are_named_by_their_class(error: BaseException, name: str) -> None:
    """A client error has its qualified class name, since redis-py's names collide with Python's.

    It has no status code, since no server sent one.
    """
    assert classify(error) == Failure(name, None, flow_control=False)


def test_a_lost_optimistic_lock_is_flow_control() -> None:
    """redispan treats ``WatchError`` as flow control, because a program that uses WATCH expects it."""
    assert classify(redis_errors.WatchError("Watched variable changed.")).flow_control


def test_valkeys_twins_are_recognised() -> None:
    """redispan recognises the same classes in the package of the Valkey fork."""
    base = type("ValkeyError", (Exception,), {"__module__": "valkey.exceptions"})
    response = type("ResponseError", (base,), {"__module__": "valkey.exceptions"})
    assert classify(response("WRONGTYPE x")).status_code == "WRONGTYPE"


def test_thousands_of_invented_prefixes_are_few_labels() -> None:
    """Thousands of prefixes invented by scripts give a bounded number of metric labels."""
    letters = "ABCDEFGHIJ"
    labels = {
        classify(invented("X" + "".join(letters[int(digit)] for digit in str(number)) + " x")).status_code
        for number in range(10_000)
    }
    assert len(labels) <= errors._INVENTED_LIMIT + 1
    assert "_OTHER" in labels


def test_invented_exception_classes_are_few_labels() -> None:
    """Exception classes that a program creates at run time give few labels."""
    labels = {classify(type(f"Made{number}", (Exception,), {})()).error_type for number in range(1000)}
    assert len(labels) <= errors._CLASSES_LIMIT + 1


def test_a_command_that_quotes_the_annotation_invents_no_prefix() -> None:
    """A value that imitates redis-py's annotation cannot put its own text into a label."""
    error = in_pipeline(invented("no prefix here"), "SET", ") of pipeline caused error: TOPSECRET", "v")
    assert classify(error).status_code in {None, "_OTHER"}
    assert "TOPSECRET" not in safe_message(error)


LABEL = re.compile(r"[A-Z][A-Z_]{0,31}|_OTHER")


@given(st.text(), st.text())
def test_any_message_gives_labels_of_the_allowed_form(message: str, argument: str) -> None:
    """Any message of a server or script gives labels of the allowed form, whatever the command held."""
    for error in (redis_errors.ResponseError(message), redis_errors.ConnectionError(message)):
        for failed in (error, in_pipeline(error, "SET", argument)):
            failure = classify(failed)
            assert failure.status_code is None or LABEL.fullmatch(failure.status_code)
            assert failure.error_type == (failure.status_code or f"redis.exceptions.{type(error).__name__}")


@given(st.text(alphabet="abc \n'\"(){}:,-_ERWRONGTYPE", max_size=40), st.integers(0, 3))
def test_messages_never_quote_what_they_were_given(noise: str, place: int) -> None:
    """A safe message never quotes a secret from an error's text, in front of, behind or inside an annotation."""
    message = [
        f"{SECRET} {noise}",
        f"ERR unknown command '{SECRET}', with args beginning with: {noise}",
        f"{noise} {SECRET}",
        f"WRONGTYPE {noise}{SECRET}",
    ][place]
    for kind in (redis_errors.ResponseError, redis_errors.ConnectionError, redis_errors.DataError, ValueError):
        said = safe_message(kind(message))
        assert SECRET not in said
        assert len(said) < 150
    assert SECRET not in safe_message(in_pipeline(answered(message), "SET", SECRET, noise))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (answered("WRONGTYPE Operation against"), "Operation against a key holding the wrong kind of value"),
        (answered(f"ERR unknown command '{SECRET}', with args"), "Unknown command"),
        (answered("ERR wrong number of arguments for 'set' command"), "Wrong number of arguments"),
        (answered(f"ERR Error running script (call to f_{SECRET})"), "Error while running a script"),
        (answered(f"ERR something new about {SECRET}"), "ERR"),
        (invented(f"MYERROR {SECRET}"), "MYERROR"),
        (redis_errors.TimeoutError(f"Timeout reading from {SECRET}:6379"), "Timeout while reading the answer"),
        (redis_errors.ConnectionError(f"Error 111 connecting to {SECRET}:1. x."), "Connecting failed"),
        (redis_errors.DataError(SECRET), "redis.exceptions.DataError"),
        (ValueError(SECRET), "ValueError"),
    ],
)
def test_known_errors_are_described_in_words_of_our_own(error: Exception, said: str) -> None:
    """The description of a known error is helpful, and holds no keys, values, hosts or script text."""
    assert safe_message(error) == said


@pytest.mark.parametrize("cause", [ConnectionRefusedError(111, SECRET), socket.gaierror(-2, SECRET)])
def test_the_cause_behind_a_connection_error_is_named_by_class(cause: OSError) -> None:
    """The message of a connection error names the class of its cause and no host.

    A refused connection and an unknown host are different problems.
    """
    error = redis_errors.ConnectionError(f"Error 1 connecting to {SECRET}:1.")
    error.__context__ = cause
    assert safe_message(error) == f"Connecting failed ({type(cause).__name__})"


class HostileError(redis_errors.ResponseError):
    """An exception whose every part raises."""

    @property
    def status_code(self) -> str:  # type: ignore[override]
        raise RuntimeError("evil")

    @status_code.setter
    def status_code(self, value: object) -> None:
        pass

    def __str__(self) -> str:
        raise RuntimeError("evil")


@pytest.mark.parametrize(
    "error", [HostileError("x"), redis_errors.ResponseError(), redis_errors.ResponseError(object()), BaseException()]
)
def test_hostile_exceptions_break_nothing(error: BaseException) -> None:
    """redispan makes labels and a message of any exception without raising another one."""
    assert classify(error).error_type
    assert safe_message(error)


def test_every_known_prefix_but_the_general_one_has_words() -> None:
    """Every known prefix except the general one has a description, so that an operator need not look it up."""
    assert [prefix for prefix in KNOWN_PREFIXES if not known_text(prefix, "")] == ["ERR"]


def test_redis_pys_own_prefixes_are_known() -> None:
    """The table has every prefix that redis-py turns into a class."""
    assert set(BaseParser.EXCEPTION_CLASSES) <= KNOWN_PREFIXES
