"""Querying the sibling processes, all at once and within one time limit."""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redispan._host.folder import short_address

WITHIN_S = 0.2
_PIECE = 1 << 18
_LONGEST = 1 << 26


@dataclass
class SiblingReplies:
    """The replies of the sibling processes.

    Attributes:
        answered: The snapshots, by the names of their processes.
        silent: Names of the living processes that did not answer in time, or not completely.
        gone: Names of the processes that have ended.
    """

    answered: dict[str, Any] = field(default_factory=dict)
    silent: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


def query_siblings(sockets: Iterable[Path], within_s: float = WITHIN_S) -> SiblingReplies:
    """Query all sibling processes at once.

    Args:
        sockets: The paths of their sockets. The stem of a path is the name of the process.
        within_s: Seconds that each process has for its whole answer.
    """
    found = SiblingReplies()
    with selectors.DefaultSelector() as waiting, contextlib.ExitStack() as opened:
        open_count = 0
        for path in sockets:
            connection = _connect(path, found)
            if connection is not None:
                opened.callback(connection.close)
                waiting.register(connection, selectors.EVENT_READ, (path.stem, bytearray()))
                open_count += 1
        deadline = time.monotonic() + within_s
        while open_count and (left_s := deadline - time.monotonic()) > 0:
            for key, _ in waiting.select(left_s):
                if _read(key, found):
                    waiting.unregister(key.fileobj)
                    open_count -= 1
        found.silent += [key.data[0] for key in waiting.get_map().values()]
    return found


def _connect(path: Path, found: SiblingReplies) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.setblocking(False)
    try:
        with short_address(path) as address:
            connection.connect(address)
    except BlockingIOError:  # the process lives, and its queue of connections is full
        found.silent.append(path.stem)
    except OSError:
        found.gone.append(path.stem)
    else:
        return connection
    connection.close()
    return None


def _read(key: selectors.SelectorKey, found: SiblingReplies) -> bool:
    """Read the next piece of an answer, and return True when there is nothing more to read."""
    name, taken = key.data
    try:
        piece = key.fileobj.recv(_PIECE)  # type: ignore[union-attr]
    except BlockingIOError:
        return False
    except OSError:
        piece = b""
    if piece and len(taken) < _LONGEST:
        taken += piece
        return False
    try:
        found.answered[name] = json.loads(bytes(taken))
    except ValueError:
        found.silent.append(name)
    return True
