"""Span names and attributes of operations, prepared once per (endpoint, command) so that a call only looks them up."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

from redispan._core.arguments import plain
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
"""Most scripts and functions named; the conventions want span names of low cardinality."""
_SHA1 = re.compile(r"[0-9a-fA-F]{40}", re.ASCII)
_FUNCTION_NAME = re.compile(r"[0-9A-Za-z_]{1,64}", re.ASCII)
_BATCH_TEXTS = 50
"""Commands of a batch whose text is built; what follows could only be cut off again."""

PROCEDURE_COMMANDS = frozenset({"FCALL", "FCALL_RO", "EVALSHA", "EVALSHA_RO"})

Peer = tuple[str, "int | None"]


_NO_OTHERS: dict[int, dict[str, Any]] = {}


class Prepared:
    """What all spans of one command on one endpoint share.

    There are thousands of these in a large program: it holds one dictionary, and more only where a command comes with
    different numbers of arguments.
    """

    __slots__ = ("generation", "name", "others", "particular", "usual", "usual_count")

    def __init__(self, name: str, *, particular: bool, generation: int) -> None:
        self.name = name
        self.particular = particular
        """Not even the number of arguments tells all that its attributes depend on."""
        self.generation = generation
        self.usual_count = -1
        """The number of arguments, the command included, that ``usual`` belongs to; a batch has none."""
        self.usual: dict[str, Any] | None = None
        self.others = _NO_OTHERS

    def of_count(self, count: int) -> dict[str, Any] | None:
        """The attributes of spans with so many arguments, if they are the same for all."""
        return self.usual if count == self.usual_count else self.others.get(count)

    def remember(self, count: int, attributes: dict[str, Any]) -> None:
        """Have ``attributes`` ready for the next call with as many arguments."""
        if self.usual is None:
            self.usual_count, self.usual = count, attributes
        elif len(self.others) < _COUNTS_LIMIT:
            self.others = {**self.others, count: attributes}


class Namer:
    """Names and attributes as one set of settings wants them."""

    def __init__(self, *, query_mode: str, query_limit: int, script_names: bool, old_names: bool) -> None:
        self._mode = query_mode
        self._limit = query_limit
        self._script_names = script_names
        self._old_names = old_names
        self.generation = 0
        """What was prepared in an earlier one is made again."""
        self._peers: dict[Endpoint, Peer] = {}
        self._places: dict[Endpoint, dict[str, Any]] = {}
        self._procedures: set[str] = set()
        self._peer_changes: dict[Endpoint, int] = {}

    def expected_peer(self, endpoint: Endpoint) -> Peer | None:
        """The peer that spans of ``endpoint`` start with."""
        return self._peers.get(endpoint)

    def expect_peer(self, endpoint: Endpoint, peer: Peer | None) -> None:
        """From now on, spans of ``endpoint`` start with ``peer``.

        Attributes given at the start cost half of those set later, and samplers see them; so a span starts with the
        peer of its endpoint's last operation, and is corrected at its end where that was wrong.
        """
        changes = self._peer_changes.get(endpoint, 0)
        if changes > _PEER_CHANGES_LIMIT or len(self._peer_changes) >= _PEERS_LIMIT:
            return  # behind a name with many addresses every guess would be wrong, and guessing anew isn't free
        self._peer_changes[endpoint] = changes + 1
        if peer is None or changes == _PEER_CHANGES_LIMIT:
            self._peers.pop(endpoint, None)
        else:
            self._peers[endpoint] = peer
        self._places.pop(endpoint, None)
        self.generation += 1  # what was prepared with another peer is made again when it is used

    def of(self, operation: Operation) -> tuple[str, dict[str, Any]]:
        """Span name, and the attributes known at its start. The dictionary may be shared: don't change it."""
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
        """A new dictionary of what all spans of this command on this endpoint have."""
        endpoint = operation.endpoint
        place = self._places.get(endpoint)
        if place is None:
            if len(self._places) >= _PLACES_LIMIT:
                self._places.clear()  # each is made again when it is needed
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
        """``network.peer.*`` of a TCP peer or a UNIX socket."""
        return self._with_old(_peer_attributes(peer))

    def target(self, operation: Operation) -> tuple[str | None, dict[str, Any]]:
        """Span name (None: unchanged) and server attributes once the answering server is known."""
        endpoint = operation.endpoint
        name: str | None = span_name(operation.info.name, endpoint.address, endpoint.port)
        if self._script_names and self._procedure_of(operation) is not None:
            name = None
        return name, self._with_old(_server_attributes(endpoint))

    @staticmethod
    def _is_plain(info: CommandInfo, args: Any) -> bool:
        # The text depends on the number of arguments alone only if the name took exactly the first of them.
        return type(args[0]) is str and args[0] == info.name

    def _prepare(self, endpoint: Endpoint, info: CommandInfo) -> Prepared:
        return Prepared(
            span_name(info.name, endpoint.address, endpoint.port),
            particular=info.blocking is not None or info.name.upper() in PROCEDURE_COMMANDS,
            generation=self.generation,
        )

    def _particular(self, operation: Operation, prepared: Prepared) -> tuple[str, dict[str, Any]]:
        """Of a batch, a call of a script or function, or a command that may block: what depends on this very call."""
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
        """The script or function that is called; of a batch the one that all of it calls."""
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
        """Function name or sha1, if it looks like one: anything else may be a value put there by mistake."""
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
        """Of commands that their first word tells: the number of arguments is all else that shows."""
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
