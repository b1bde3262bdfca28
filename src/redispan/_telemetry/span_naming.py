"""``Namer``: the names and the attributes of the spans of operations.

They are prepared once per endpoint and command, so that a call only looks them up.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

from redispan._core.command_keys import plain
from redispan._core.commands import Census, CommandInfo, identify
from redispan._core.operation import Endpoint, Operation
from redispan._semconv import names
from redispan._semconv.names import span_name
from redispan._semconv.opt_in import old_attributes
from redispan._semconv.query_text import batch_text, hidden_text, query_text

_PEERS_LIMIT = 1000
_PEER_CHANGES_LIMIT = 50
_PLACES_LIMIT = 1000
_COUNTS_LIMIT = 64
_PROCEDURES_LIMIT = 1000
"""The most scripts and functions that are named. The semantic conventions ask for span names of low cardinality."""
_SHA1 = re.compile(r"[0-9a-fA-F]{40}", re.ASCII)
_FUNCTION_NAME = re.compile(r"[0-9A-Za-z_]{1,64}", re.ASCII)
_BATCH_TEXTS = 50
"""The number of commands of a batch whose text is built. The texts of the others would be cut off anyway."""

PROCEDURE_COMMANDS = frozenset({"FCALL", "FCALL_RO", "EVALSHA", "EVALSHA_RO"})

Peer = tuple[str, "int | None"]


_NO_OTHERS: dict[int, dict[str, Any]] = {}


class Prepared:
    """The name and the attributes that the spans of one command on one endpoint share.

    A large program has thousands of these. So each has one dictionary of attributes, and more only if the command is
    called with different numbers of arguments.

    Attributes:
        name: The span name.
        particular: Whether the attributes depend on more than the number of arguments.
        generation: The ``Namer.generation`` in which this was prepared.
        usual_count: The number of arguments, including the command, that ``usual`` is for. A batch has no arguments.
        usual: The attributes for ``usual_count`` arguments; None until there was a call.
        others: The attributes for other numbers of arguments.
    """

    __slots__ = ("generation", "name", "others", "particular", "usual", "usual_count")

    def __init__(self, name: str, *, particular: bool, generation: int) -> None:
        self.name = name
        self.particular = particular
        self.generation = generation
        self.usual_count = -1
        self.usual: dict[str, Any] | None = None
        self.others = _NO_OTHERS

    def of_count(self, count: int) -> dict[str, Any] | None:
        """Return the attributes of the spans with ``count`` arguments; None if they were not prepared."""
        return self.usual if count == self.usual_count else self.others.get(count)

    def remember(self, count: int, attributes: dict[str, Any]) -> None:
        """Keep ``attributes`` for the next call with ``count`` arguments."""
        if self.usual is None:
            self.usual_count, self.usual = count, attributes
        elif len(self.others) < _COUNTS_LIMIT:
            self.others = {**self.others, count: attributes}


class Namer:
    """Makes the span names and attributes according to one set of settings.

    Attributes:
        generation: A number that grows whenever prepared attributes become outdated. What was prepared in an earlier
            generation is prepared again.
    """

    def __init__(self, *, query_mode: str, query_limit: int, script_names: bool, old_names: bool) -> None:
        self._mode = query_mode
        self._limit = query_limit
        self._script_names = script_names
        self._old_names = old_names
        self.generation = 0
        self._peers: dict[Endpoint, Peer] = {}
        self._places: dict[Endpoint, dict[str, Any]] = {}
        self._procedures: set[str] = set()
        self._peer_changes: dict[Endpoint, int] = {}

    def expected_peer(self, endpoint: Endpoint) -> Peer | None:
        """Return the peer that the spans of ``endpoint`` start with; None if none is expected."""
        return self._peers.get(endpoint)

    def expect_peer(self, endpoint: Endpoint, peer: Peer | None) -> None:
        """Start the spans of ``endpoint`` with ``peer`` from now on.

        Attributes that are given at the start cost half of those that are set later, and samplers see them. So a span
        starts with the peer of the last operation of its endpoint. If that was wrong, the peer is corrected at the end.
        """
        changes = self._peer_changes.get(endpoint, 0)
        if changes > _PEER_CHANGES_LIMIT or len(self._peer_changes) >= _PEERS_LIMIT:
            return  # a name with many addresses makes every guess wrong, and each new guess has a cost
        self._peer_changes[endpoint] = changes + 1
        if peer is None or changes == _PEER_CHANGES_LIMIT:
            self._peers.pop(endpoint, None)
        else:
            self._peers[endpoint] = peer
        self._places.pop(endpoint, None)
        self.generation += 1  # what was prepared with the old peer is prepared again when it is used

    def of(self, operation: Operation) -> tuple[str, dict[str, Any]]:
        """Return the span name, and the attributes that are known at the start.

        The dictionary may be shared by several spans, so the caller must not change it.
        """
        info = operation.info
        series = operation.series
        prepared = series.span
        if prepared is None or prepared.generation != self.generation:
            prepared = series.span = self._prepare(operation.endpoint, info)
        if operation.batch is not None or prepared.particular:
            return self._particular(operation, prepared)
        args = operation.args
        attributes = prepared.of_count(len(args))
        if attributes is not None:
            return prepared.name, attributes
        attributes = self._common(operation)
        text = query_text(info, args, self._mode, self._limit)
        same_for_all = self._mode != "keys" and info.known and self._is_plain(info, args)
        if text is not None:
            attributes[names.DB_QUERY_TEXT] = sys.intern(text) if same_for_all else text
        attributes = self._with_old(attributes)
        if same_for_all:
            prepared.remember(len(args), attributes)
        return prepared.name, attributes

    def _common(self, operation: Operation) -> dict[str, Any]:
        """Return a new dictionary with the attributes that all spans of this command on this endpoint have."""
        endpoint = operation.endpoint
        place = self._places.get(endpoint)
        if place is None:
            if len(self._places) >= _PLACES_LIMIT:
                self._places.clear()  # each entry is made again when it is needed
            place = self._places[endpoint] = self._attributes_of(endpoint)
        return {**place, names.DB_OPERATION_NAME: operation.info.name}

    def _attributes_of(self, endpoint: Endpoint) -> dict[str, Any]:
        found: dict[str, Any] = {names.DB_SYSTEM_NAME: names.REDIS}
        if endpoint.db is not None:
            found[names.DB_NAMESPACE] = endpoint.db
        found.update(_server_attributes(endpoint))
        peer = self._peers.get(endpoint)
        if peer is not None:
            found.update(_peer_attributes(peer))
        return found

    def peer_attributes(self, peer: Peer) -> dict[str, Any]:
        """Return the attributes ``network.peer.*`` of a TCP peer or a UNIX socket."""
        return self._with_old(_peer_attributes(peer))

    def target(self, operation: Operation) -> tuple[str | None, dict[str, Any]]:
        """Return the span name (None if it stays) and the server attributes, once the server that answers is known."""
        endpoint = operation.endpoint
        name: str | None = span_name(operation.info.name, endpoint.address, endpoint.port)
        if self._script_names and self._procedure_of(operation) is not None:
            name = None
        return name, self._with_old(_server_attributes(endpoint))

    @staticmethod
    def _is_plain(info: CommandInfo, args: Any) -> bool:
        # Only if the name is exactly the first argument does the text depend on nothing but the number of arguments.
        return type(args[0]) is str and args[0] == info.name

    def _prepare(self, endpoint: Endpoint, info: CommandInfo) -> Prepared:
        return Prepared(
            span_name(info.name, endpoint.address, endpoint.port),
            particular=info.blocking is not None or info.name.upper() in PROCEDURE_COMMANDS,
            generation=self.generation,
        )

    def _particular(self, operation: Operation, prepared: Prepared) -> tuple[str, dict[str, Any]]:
        """Return the span name and the attributes of an operation whose attributes depend on the very call.

        That is a batch, a call of a script or function, or a command that may block.
        """
        attributes = self._common(operation)
        name = prepared.name
        procedure = self._procedure_of(operation)
        if procedure is not None:
            attributes[names.DB_STORED_PROCEDURE_NAME] = procedure
            if self._script_names:
                name = f"{operation.info.name} {procedure}"
        if operation.blocking:
            attributes[names.REDIS_CLIENT_OPERATION_BLOCKING] = True
        batch = operation.batch
        if batch is not None:
            attributes[names.DB_OPERATION_BATCH_SIZE] = len(batch.commands)
        if self._mode != "off":
            attributes[names.DB_QUERY_TEXT] = self._text(operation)
        return name, self._with_old(attributes)

    def _procedure_of(self, operation: Operation) -> str | None:
        """Return the script or function that is called; for a batch, the one that all of its commands call."""
        batch = operation.batch
        if batch is None:
            return self._procedure_name(operation.info, operation.args)
        if len(batch.census) != 1:
            return None
        (info,) = batch.census
        first = self._procedure_name(info, batch.commands[0])
        if first is None or any(self._procedure_name(info, args) != first for args in batch.commands):
            return None
        return first

    def _procedure_name(self, info: CommandInfo, args: Sequence[Any]) -> str | None:
        """Return the function name or the sha1 of the script.

        The result is None if the argument looks like neither, because it may be a value that was put there by mistake.
        """
        command = info.name.upper()
        if command not in PROCEDURE_COMMANDS or len(args) < 2:
            return None
        given = plain(args[1])
        raw = given.decode("ascii", "replace") if isinstance(given, bytes) else given
        if not isinstance(raw, str):
            return None
        if raw not in self._procedures:
            looks_right = _SHA1 if command.startswith("EVALSHA") else _FUNCTION_NAME
            if len(self._procedures) >= _PROCEDURES_LIMIT or not looks_right.fullmatch(raw):
                return None
            self._procedures.add(raw)
        return raw

    def _text(self, operation: Operation) -> str:
        batch = operation.batch
        if batch is None:
            return query_text(operation.info, operation.args, self._mode, self._limit) or ""
        commands = batch.commands
        if self._mode == "hidden" and batch.census.plain:
            return self._hidden_text_of(commands, batch.census)
        return batch_text(
            (query_text(identify(args), args, self._mode, self._limit) or "" for args in commands[:_BATCH_TEXTS]),
            self._limit,
        )

    def _hidden_text_of(self, commands: Sequence[Sequence[Any]], census: Census) -> str:
        """Return the hidden text of a batch whose commands are identified by their first argument alone.

        Such a text depends on nothing but the name and the number of arguments of each command.
        """
        if len(census) == len(set(map(len, commands))) == 1:
            (info,) = census
            return hidden_text(info.name, len(commands[0]) - 1, self._limit)
        shapes = [(args[0], len(args)) for args in commands[:_BATCH_TEXTS]]
        texts = {
            (word, count): hidden_text(identify((word,)).name, count - 1, self._limit) for word, count in set(shapes)
        }
        return batch_text(map(texts.__getitem__, shapes), self._limit)

    def _with_old(self, attributes: dict[str, Any]) -> dict[str, Any]:
        return {**attributes, **old_attributes(attributes)} if self._old_names else attributes


def _server_attributes(endpoint: Endpoint) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if endpoint.address is not None:
        found[names.SERVER_ADDRESS] = endpoint.address
        if endpoint.port is not None:
            found[names.SERVER_PORT] = endpoint.port
    return found


def _peer_attributes(peer: Peer) -> dict[str, Any]:
    if peer[1] is None:
        return {names.NETWORK_PEER_ADDRESS: peer[0]}
    return {names.NETWORK_PEER_ADDRESS: peer[0], names.NETWORK_PEER_PORT: peer[1]}
