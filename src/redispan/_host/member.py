"""``HostMember``: one process among the processes of its service on this host.

A host member serves its snapshot to the sibling processes, queries theirs, writes its exit totals and runs small
chores. It has one daemon thread, which the first operation of the process starts (``start``). A forked child becomes a
host member at its own first operation.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redispan._host import snapshot_server, stale_services
from redispan._host.chore import Chore
from redispan._host.exit_totals import ExitTotals, Merge, group_of_this_process
from redispan._host.folder import folder_of, open_folder, require_private
from redispan._host.siblings import WITHIN_S, SiblingReplies, query_siblings
from redispan._host.snapshot_server import SnapshotServer

_log = logging.getLogger("redispan")

BEAT_S = 1.0
_FIRST_AFTER_S = 0.05
_CHORE_S = 2.0
"""The most seconds that ``stop`` and the exit of the program wait for a running chore."""
_TIDY_EVERY_BEATS = 20
_BEATS_AFTER_WORK = 2
"""The number of beats that write the exit totals after ``start`` was called.

``start`` is called at most once a second while operations run, so the second beat may find operations that the first
one did not.
"""

Data = dict[str, Any]


class HostMember:
    """This process as a member of its service on this host, among its sibling processes.

    Attributes:
        service: The name of the service; empty until it is needed.
        name_service: Returns the name of the service. It is called when the name is first needed, because
            ``sys.argv`` may not be set yet while a program starts.
        base: The setting ``runtime_dir``: the folder that contains the folders of services.
        sharing: Whether the sibling processes can query this process (setting ``host_sharing``).
        chores: The chores that the thread runs about once a second.
    """

    def __init__(self, snapshot: Callable[[], Data], totals: Callable[[], Data], merge: Merge) -> None:
        """Prepare; no thread starts and nothing is written yet.

        Args:
            snapshot: Returns the snapshot of this process.
            totals: Returns the exit totals of this process.
            merge: Merges several snapshots into one.
        """
        self._snapshot = snapshot
        self._make_exit_totals = totals
        self._merge = merge
        self.service = ""
        self.name_service: Callable[[], str] = str
        self.base = ""
        self.sharing = True
        self.chores: list[Chore] = []
        self._registered = False
        self._new_process()

    def _new_process(self) -> None:
        self._pid = os.getpid()
        # The process id alone is not enough, because containers that share the folder may have processes of the same
        # id. The name stays the same as long as the process lives, so that the exit totals do not count twice when the
        # host member is stopped and started again.
        self._name = f"{self._pid}-{secrets.token_hex(3)}"
        self._saving = threading.Lock()
        self._not_started()

    def _not_started(self) -> None:
        self._lock = threading.Lock()
        self._group = ""
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._at_chores = threading.Lock()
        self._server: SnapshotServer | None = None
        self._exit_totals: ExitTotals | None = None
        self._alone = False
        self._unsaved_beats = 0
        self._beats = 0

    def renew_in_child(self) -> None:
        """Forget the parent's thread and files in a forked child, and close its copies of the parent's sockets.

        The parent continues to use its sockets. The child becomes a host member at its own first operation.
        """
        server, totals = self._server, self._exit_totals
        self._new_process()
        if server is not None:
            server.close_copy()
        if totals is not None:
            totals.forget_lock()
        for chore in self.chores:
            self._guarded(chore.renew_in_child)

    @property
    def folder(self) -> Path:
        """The path of the service's private folder, which may not exist."""
        if not self.service:
            self.service = self.name_service()
        return folder_of(self.base, self.service)

    def start(self) -> None:
        """Start the thread if it does not run, and note that operations run, so that the exit totals are written.

        Operations call this about once a second, and it is cheap.
        """
        self._unsaved_beats = _BEATS_AFTER_WORK
        if self._thread is not None and self._pid == os.getpid():
            return
        if self._pid != os.getpid():  # the fork did not run Python's fork hooks
            self.renew_in_child()
        with self._lock:
            if self._thread is not None or not (self.sharing or self.chores):
                return
            # The thread gets these two as arguments. By the time that it runs, the member may have been stopped and
            # started again, and the attributes may belong to the next thread.
            given = (self._stopping, self._at_chores)
            self._thread = threading.Thread(target=self._run, args=given, name="redispan-member", daemon=True)
            self._thread.start()
            if not self._registered:
                self._registered = True
                atexit.register(self._at_exit)

    def stop(self) -> None:
        """End the thread and the chores now, and leave the exit totals of this process for the sibling processes."""
        thread = self._thread
        if thread is not None and self._pid == os.getpid():
            self._leave()
            if thread is not threading.current_thread():
                thread.join(_CHORE_S)
            with self._saving:
                self._not_started()
        for chore in reversed(self.chores):
            self._guarded(chore.stop)

    def _halt(self) -> None:
        """Prevent the thread from starting another task, and wait for the one that runs."""
        # The wait is bounded, so that a chore that hangs cannot hang the program.
        waited = self._at_chores.acquire(timeout=_CHORE_S)
        self._stopping.set()
        if waited:
            self._at_chores.release()

    def _run(self, stopping: threading.Event, at_chores: threading.Lock) -> None:
        self._guarded(lambda: self._live(stopping, at_chores))

    def _live(self, stopping: threading.Event, at_chores: threading.Lock) -> None:
        # The operation that started this thread runs first: opening a socket at the same time would make it slow.
        if stopping.wait(_FIRST_AFTER_S):
            return
        # The lock is held as for a chore: ``stop`` waits for it, so it does not clear up the folder while files are
        # still being created there.
        with at_chores:
            if stopping.is_set():
                return
            folder = self._folder_or_none()
        server = self._server
        if stopping.is_set() and server is not None:
            # Stopped while it was still opening: nobody else knows of the socket. Never later than here, because who
            # is started again has a socket of the same name.
            self._server = None
            self._guarded(server.leave)
            return
        while not stopping.is_set():
            chores = tuple(lambda chore=chore: chore(folder) for chore in self.chores)
            for task in (self._beat, *chores) if server is not None else chores:
                with at_chores:
                    if stopping.is_set():
                        return
                    self._guarded(task)
            if server is not None:
                server.serve(BEAT_S)
            else:
                stopping.wait(BEAT_S)

    def _folder_or_none(self) -> Path | None:
        try:
            folder = open_folder(self.folder)
            if self.sharing:
                self._open(folder)
            return folder
        except Exception as fault:
            self._alone = True
            _log.warning(
                "redispan: reports cover this process alone, not the host: %s: %s (setting runtime_dir)",
                type(fault).__name__,
                fault,
            )
            return None

    def _open(self, folder: Path) -> None:
        if not hasattr(socket, "AF_UNIX"):
            raise OSError("no UNIX sockets on this system")
        self._group = group_of_this_process()
        self._exit_totals = ExitTotals(folder, self._merge)
        server = SnapshotServer(folder / f"{self._name}{snapshot_server.SUFFIX}", self._answer)
        server.open()
        self._server = server
        self._guarded(self._tidy)
        stale_services.sweep(folder.parent, folder)

    def _answer(self) -> bytes:
        return json.dumps({"group": self._group, "snapshot": self._snapshot()}).encode()

    def _beat(self) -> None:
        self._beats += 1
        if self._unsaved_beats:
            # This is decremented before the totals are read, because an operation that ends meanwhile sets it again.
            self._unsaved_beats -= 1
            self._write_exit_totals()
        if self._beats % _TIDY_EVERY_BEATS == 0:
            self._tidy()

    def _write_exit_totals(self) -> None:
        # Whoever is being stopped on another thread must not write down, last of all, that it belongs to no group.
        with self._saving:
            if self._exit_totals is not None:
                self._exit_totals.write(self._name, self._group, self._make_exit_totals())

    def _tidy(self) -> None:
        """Keep the folder small: remove the sockets of ended processes, and fold their exit totals into one file."""
        server, totals = self._server, self._exit_totals
        if server is None or totals is None:
            return
        open_folder(self.folder)  # a sibling that took itself for the last one may have removed it
        server.freshen()
        answers = self._query(WITHIN_S)
        folder = self.folder
        for name in answers.gone:
            (folder / f"{name}{snapshot_server.SUFFIX}").unlink(missing_ok=True)
        if answers.silent:
            return  # of what group they are isn't known
        ended = {name for name in totals.names() if not (folder / f"{name}{snapshot_server.SUFFIX}").exists()}
        totals.fold(ended, self._groups(answers))

    def _clear_up(self) -> None:
        """Remove the exit totals and the folder if no process of the service is left to read them."""
        folder = self.folder
        if self._exit_totals is not None and not any(folder.glob(f"*{snapshot_server.SUFFIX}")):
            self._exit_totals.clear()
            folder.rmdir()

    def _groups(self, answers: SiblingReplies) -> set[str]:
        return {self._group or group_of_this_process(), *(one["group"] for one in answers.answered.values())}

    def _query(self, within_s: float) -> SiblingReplies:
        own = self._name
        paths = [path for path in self.folder.glob(f"*{snapshot_server.SUFFIX}") if path.stem != own]
        return query_siblings(sorted(paths), within_s)

    def gather(self, within_s: float = WITHIN_S) -> tuple[list[Data], list[int]] | None:
        """Query the sibling processes for their snapshots.

        Args:
            within_s: The seconds that each sibling has for its whole reply.

        Returns:
            The snapshots of the siblings and the exit totals of ended processes, and the process ids of the siblings
            that did not reply in time. For those, the totals that they wrote last are used. None if reports cover this
            process alone.
        """
        if not self.sharing or not hasattr(socket, "AF_UNIX") or self._alone:
            return None
        try:
            # Reports trust the contents of the folder, so no other user may be able to write there.
            require_private(self.folder.parent)
            require_private(self.folder)
        except FileNotFoundError:
            return [], []  # no process of the service has run an operation yet
        except OSError:
            return None
        answers = self._query(within_s)
        alive = {self._name, *answers.answered}
        left = ExitTotals(self.folder, self._merge).read(alive, self._groups(answers))
        found = [one["snapshot"] for one in answers.answered.values()]
        return found + left, sorted(_id_of(name) for name in answers.silent)

    def _at_exit(self) -> None:
        if self._pid != os.getpid() or self._thread is None:
            return
        self._leave()
        for chore in tuple(self.chores):
            self._guarded(chore.at_exit)

    def _leave(self) -> None:
        # The thread still runs while the program exits. It must not open the socket or the monitoring port again.
        self._halt()
        server = self._server
        if server is not None:
            # The totals are written before the socket goes, so that a sibling that asks now misses neither.
            self._guarded(self._write_exit_totals)
            self._guarded(server.leave)
            self._guarded(self._clear_up)

    @staticmethod
    def _guarded(call: Callable[[], Any]) -> None:
        try:
            call()
        except Exception as fault:
            _log.debug("redispan: a chore failed: %s: %s", type(fault).__name__, fault)


def _id_of(name: str) -> int:
    number = name.partition("-")[0]
    return int(number) if number.isdigit() else 0
