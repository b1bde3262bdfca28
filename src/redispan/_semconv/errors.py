"""Labels for failures, from a bounded set, and error messages without the caller's data.

redis-py is not imported here. Its exceptions, and the corresponding ones of valkey-py, are recognised by the names of
their classes.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass

from redispan._semconv.error_texts import CLASS_PREFIXES, KNOWN_PREFIXES, known_text
from redispan._semconv.names import OTHER

_CLIENT_PACKAGES = frozenset({"redis", "valkey", "fakeredis", "rediscluster"})
_ANNOTATION_START = "Command # "
_ANNOTATION_END = "of pipeline caused error: "
_PREFIX = re.compile(r"[A-Z][A-Z0-9_]{0,31}(?![^ \r\n])")
# A script may use any prefix. A prefix with a digit is more likely an identifier than a kind of error.
_INVENTED_PREFIX = re.compile(r"[A-Z][A-Z_]{1,31}")
_INVENTED_LIMIT = 50
_CLASSES_LIMIT = 200
_MESSAGE_LENGTH_READ = 2048


@dataclass(frozen=True, slots=True)
class Failure:
    """The labels of a failed operation.

    Attributes:
        error_type: The value of ``error.type``: the server's error prefix, or else the qualified name of the
            exception's class.
        status_code: The value of ``db.response.status_code``: the server's error prefix; None if the server did not
            answer with an error.
        flow_control: True if the exception is not a failure but a step of the program's normal flow: ``WatchError``, a
            lost optimistic lock.
    """

    error_type: str
    status_code: str | None
    flow_control: bool


class _Bounded:
    """Returns each of the first ``limit`` distinct texts unchanged, and ``_OTHER`` for every further one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: set[str] = set()
        self._lock = threading.RLock()

    def __call__(self, text: str) -> str:
        if text in self._seen:
            return text
        with self._lock:
            if len(self._seen) >= self._limit:
                return OTHER
            self._seen.add(text)
            return text


_invented_prefixes = _Bounded(_INVENTED_LIMIT)
_class_names = _Bounded(_CLASSES_LIMIT)


def classify(exc: BaseException) -> Failure:
    """Return the labels of a failure. They come from a bounded set, and the function never raises."""
    try:
        name = _class_names(qualified_name(type(exc)))
        kinds = _client_kinds(exc)
        if "WatchError" in kinds:
            return Failure(name, None, flow_control=True)
        code = _status_code(exc, kinds) if kinds else None
        return Failure(code or name, code, flow_control=False)
    except Exception:
        return Failure(OTHER, None, flow_control=False)


def safe_message(exc: BaseException) -> str:
    """Return a message for an exception that contains none of the caller's data. Its length is bounded.

    The exception's own message may quote keys, values, hosts and script text. So the result is one of redispan's own
    texts, selected by the error prefix and by the beginning of the message. For an exception that is not redis-py's,
    the result is its class name. The function never raises.
    """
    try:
        kinds = _client_kinds(exc)
        failure = classify(exc)
        if not kinds:
            return failure.error_type
        text = known_text(failure.status_code, _plain_message(exc)[0])
        cause = _cause_name(exc) if failure.status_code is None else None
        text = text or failure.error_type
        return f"{text} ({cause})" if cause else text
    except Exception:
        return OTHER


def qualified_name(kind: type) -> str:
    """Return a class name with its module (``redis.exceptions.TimeoutError``); for a built-in, the name alone."""
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _client_kinds(exc: BaseException) -> frozenset[str]:
    """Return the names of the client library's classes that ``exc`` is an instance of."""
    return frozenset(
        kind.__name__ for kind in type(exc).__mro__ if str(kind.__module__).partition(".")[0] in _CLIENT_PACKAGES
    )


def _status_code(exc: BaseException, kinds: frozenset[str]) -> str | None:
    given = getattr(exc, "status_code", None)
    if isinstance(given, str) and _PREFIX.fullmatch(given):
        return given if given in KNOWN_PREFIXES else _invented(given)
    for kind in type(exc).__mro__:
        if kind.__name__ in kinds and kind.__name__ in CLASS_PREFIXES:
            return CLASS_PREFIXES[kind.__name__]
    message, certain = _plain_message(exc)
    if "ResponseError" not in kinds:
        return _code_of_connection_error(message)
    found = _PREFIX.match(message)
    if found is not None and found.group() in KNOWN_PREFIXES:
        return found.group()
    if not hasattr(exc, "status_code"):
        return "ERR"  # redis-py before 8 removes this prefix and keeps the others
    return _invented(found.group()) if found is not None and certain else None


def _code_of_connection_error(message: str) -> str | None:
    """Return the error prefix of a connection error that a refusal of the server caused; None for any other.

    redis-py before 8 turns these refusals into connection errors and drops their prefix.
    """
    lower = message.lower()
    if lower.startswith("authentication required"):
        return "NOAUTH"
    if lower.startswith("invalid username-password pair"):
        return "WRONGPASS"
    if lower.startswith(("max number of clients reached", "invalid password", "client sent auth", "auth <password>")):
        return "ERR"
    return None


def _invented(prefix: str) -> str:
    return _invented_prefixes(prefix) if _INVENTED_PREFIX.fullmatch(prefix) else OTHER


def _plain_message(exc: BaseException) -> tuple[str, bool]:
    """Return the message without the annotation that a pipeline puts before it, and whether the split is certain."""
    first = exc.args[0] if exc.args else ""
    if not isinstance(first, str):
        return "", False
    message = str.__str__(first)[:_MESSAGE_LENGTH_READ]
    if not message.startswith(_ANNOTATION_START):
        return message, True
    parts = message.split(_ANNOTATION_END)
    if len(parts) == 1:
        return "", False
    # The asyncio pipeline puts the tuple of the exception's original arguments after the annotation.
    return parts[1].lstrip("('\""), len(parts) == 2


def _cause_name(exc: BaseException) -> str | None:
    """Return the class name of the operating system's or TLS error that caused a connection error; else None."""
    cause = exc.__cause__ or exc.__context__
    if isinstance(cause, OSError) and type(cause).__module__ in {"builtins", "socket", "ssl"}:
        return type(cause).__qualname__
    return None
