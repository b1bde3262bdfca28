"""``Visits``: connects to a server, sends the commands that it does not refuse, and disconnects."""

from __future__ import annotations

import logging
import time
from typing import Any

from redispan._client.probe import server_info, targets
from redispan._client.probe.targets import Place
from redispan._core import observing
from redispan._core.records import ServerReading

_log = logging.getLogger("redispan")

_SLOWLOG_ENTRIES = 16


def name_of(place: Place) -> str:
    """Return ``host:port``, or the path of a UNIX socket."""
    return place[0] if place[1] is None else f"{place[0]}:{place[1]}"


class Visits:
    """The visits of this process. It remembers which commands each server has refused and does not send them again."""

    def __init__(self) -> None:
        self._refused: set[tuple[Place, str]] = set()

    def visit(self, place: Place) -> ServerReading | None:
        """Visit one server and return its reading; None if it is not known how to reach it.

        If the server does not answer or refuses the connection, the reading has no figures.
        """
        # The probe's commands are client-internal, so they are not recorded as operations.
        token = observing.enter(observing.client_internal())
        connection = None
        try:
            connection = targets.new_connection(place)
            if connection is None:
                return None
            connection.connect()
            return self._ask(place, connection)
        except Exception as fault:
            return self._without_answer(place, fault)
        finally:
            observing.leave(token)
            if connection is not None:
                _hang_up(connection)

    def _ask(self, place: Place, connection: Any) -> ServerReading:
        info = server_info.parse_info(_text(self._part(place, connection, "INFO")))
        limit = server_info.whole(info.get("maxmemory"))
        if limit is None:
            limit = _configured(self._part(place, connection, "CONFIG", "GET", "maxmemory"))
        length = self._part(place, connection, "SLOWLOG", "LEN")
        entries = self._part(place, connection, "SLOWLOG", "GET", str(_SLOWLOG_ENTRIES)) if length else None
        latency = self._part(place, connection, "LATENCY", "LATEST")
        figures = server_info.figures_of(info) if info else {}
        if length is not None:
            figures |= server_info.slowlog_figures(length, entries)
        figures |= server_info.latency_figures(latency)
        return ServerReading(
            endpoint=name_of(place),
            at_unix_ns=time.time_ns(),
            address=place[0],
            port=place[1],
            used_memory_bytes=server_info.whole(info.get("used_memory")),
            max_memory_bytes=limit,
            host_memory_bytes=server_info.whole(info.get("total_system_memory")),
            figures=figures,
        )

    def _part(self, place: Place, connection: Any, *command: str) -> Any:
        """Send one command and return its answer; None if the server refuses it, now or at an earlier visit."""
        part = command[0]
        if (place, part) in self._refused:
            return None
        connection.send_command(*command)
        try:
            answer = connection.read_response()
        except Exception as fault:
            if not _is_refusal(fault):
                raise
            self._refused.add((place, part))
            _log.info("redispan: %s refuses %s to the probe; the figures from it are left out.", name_of(place), part)
            return None
        return answer

    def _without_answer(self, place: Place, fault: Exception) -> ServerReading:
        answered = _is_refusal(fault)
        if answered and (place, "connect") not in self._refused:
            self._refused.add((place, "connect"))
            _log.info("redispan: %s refuses the probe: %s", name_of(place), type(fault).__name__)
        return ServerReading(name_of(place), time.time_ns(), answered, place[0], place[1])


def _is_refusal(fault: Exception) -> bool:
    """Return whether the server answered with an error other than LOADING.

    The classes are compared by name, because both redis-py and valkey-py have them.
    """
    names = {cls.__name__ for cls in type(fault).__mro__}
    return (
        bool(names & {"ResponseError", "AuthenticationError", "AuthorizationError"}) and "BusyLoadingError" not in names
    )


def _text(answer: Any) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer or "")


def _configured(answer: Any) -> int | None:
    if isinstance(answer, dict):
        answer = [part for pair in answer.items() for part in pair]
    return server_info.whole(_text(answer[1])) if isinstance(answer, list) and len(answer) > 1 else None


def _hang_up(connection: Any) -> None:
    try:
        connection.disconnect()
    except Exception as fault:
        _log.debug("redispan: the probe's connection did not close: %s", type(fault).__name__)
