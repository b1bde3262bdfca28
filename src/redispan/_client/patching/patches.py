"""``Patches``: applies the patch table to the installed packages and undoes it.

Also ``SHARED_PATCHES``, the patches that every instrumentation of this process uses together.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

from redispan._client.internals import clients
from redispan._client.patching.patch import Patch
from redispan._client.patching.patch_table import PACKAGES, PATCH_TABLE, PatchTarget
from redispan._client.recording import client_shells, connection_shells, endpoints
from redispan._client.recording.recorder import Recorder

_log = logging.getLogger("redispan")

_BEGINNERS: dict[str, Callable[..., Any]] = {
    "command": client_shells.of_command,
    "batch": client_shells.of_batch,
    "script": client_shells.of_script,
}

_CALL_SHELLS: dict[str, Callable[..., Any]] = {
    "": client_shells.call_shell,
    "async_": client_shells.async_call_shell,
    "async_starting_": client_shells.async_starting_shell,
}

_PLAIN_SHELLS: dict[str, Callable[..., Any]] = {
    "message": client_shells.message_shell,
    "send_command": connection_shells.send_command_shell,
    "pack_command": connection_shells.pack_command_shell,
    "pack_commands": connection_shells.pack_commands_shell,
    "connect": connection_shells.connect_shell,
    "async_connect": connection_shells.async_connect_shell,
    "internal": connection_shells.internal_shell,
    "async_internal": connection_shells.async_internal_shell,
    "redirect": connection_shells.redirect_shell,
    "backoff": connection_shells.backoff_shell,
}

_FINDERS: dict[str, Callable[[Any], Any]] = {
    "client": endpoints.of_client,
    "cluster": endpoints.of_cluster,
    "pubsub": endpoints.of_cluster_pubsub,
    "strategy": endpoints.of_strategy,
}


def build_shell(target: PatchTarget, recorder: Recorder | None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the function that builds the shell of one target from the original method.

    Args:
        target: A row of the patch table.
        recorder: The recorder for a shell that records operations. All other kinds of shells need none.
    """
    plain = _PLAIN_SHELLS.get(target.shell)
    if plain is not None:
        return plain
    assert recorder is not None
    kind = target.shell.rpartition("_")[2]
    finder = endpoints.of_client if kind == "script" else _FINDERS[target.finder]
    shell = _CALL_SHELLS[target.shell.removesuffix(kind)]
    return functools.partial(shell, recorder=recorder, begin=_BEGINNERS[kind](recorder, finder))


_SHARED_TARGETS = tuple(target for target in PATCH_TABLE if target.shell in _PLAIN_SHELLS and target.shell != "message")


class Patches:
    """All patches of one instrumentation.

    Attributes:
        packages: The version of each package that was patched, by package name.
    """

    def __init__(self) -> None:
        self._applied: list[Patch] = []
        self._recorders: list[Recorder] = []
        self._uses_shared = False
        self.packages: dict[str, tuple[int, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._applied)

    @property
    def applied(self) -> tuple[Patch, ...]:
        """The patches in place, in the order in which they were applied, shared patches first."""
        return (*SHARED_PATCHES.applied, *self._applied) if self._uses_shared else tuple(self._applied)

    def apply(self, recorder: Recorder, targets: Iterable[PatchTarget] = PATCH_TABLE) -> None:
        """Patch every package that is installed and new enough, and skip targets that a package lacks.

        Args:
            recorder: The recorder of this instrumentation.
            targets: The rows of the patch table to apply. Shared patches among them go to ``SHARED_PATCHES``.
        """
        wanted = tuple(targets)
        self._recorders.append(recorder)
        self._uses_shared = any(target in _SHARED_TARGETS for target in wanted)
        if self._uses_shared:
            SHARED_PATCHES.acquire()
        self.apply_table(tuple(target for target in wanted if target not in _SHARED_TARGETS), recorder)

    def apply_table(self, wanted: tuple[PatchTarget, ...], recorder: Recorder | None) -> None:
        """Patch exactly the targets in ``wanted``, shared patches included, in every supported package."""
        for package, names in PACKAGES.items():
            if not clients.is_installed(package):
                continue
            module = clients.load(package, "")
            version = clients.version_of(module)
            if module is None or version < clients.MINIMUM_VERSION:
                # The patches with a recorder log the warning. The shared ones, without a recorder, do not repeat it.
                level = logging.DEBUG if recorder is None else logging.WARNING
                _log.log(
                    level,
                    "redispan: %s %s is not supported (5.0 or newer is needed); it is not instrumented.",
                    package,
                    ".".join(map(str, version)) or "(broken)",
                )
                continue
            self.packages[package] = version
            for target in wanted:
                self._apply_one(package, names, target, recorder)

    def _apply_one(self, package: str, names: dict[str, str], target: PatchTarget, recorder: Recorder | None) -> None:
        owner = getattr(clients.load(package, target.module), target.owner.format(**names), None)
        method = next((name for name in target.method.split("|") if hasattr(owner, name)), None)
        if owner is None or method is None:
            if target.required:
                _log.debug("redispan: %s has no %s.%s; not patched", package, target.owner, target.method)
            return
        self._applied.append(Patch(owner, method, build_shell(target, recorder)))

    def undo(self) -> None:
        """Undo all patches, the last one first.

        A shell that another tool has wrapped stays in place. Its recorder is retired, so it records nothing any more.
        """
        for recorder in self._recorders:
            recorder.retire()
        self._recorders.clear()
        while self._applied:
            self._applied.pop().undo()
        self.packages.clear()
        if self._uses_shared:
            self._uses_shared = False
            SHARED_PATCHES.release()


class SharedPatches:
    """The shared patches: connections, client-internal commands, redirects and backoffs.

    They use no recorder. They are applied once per process and stay while any instrumentation needs them.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._patches = Patches()
        self._users = 0

    @property
    def applied(self) -> tuple[Patch, ...]:
        """The shared patches in place."""
        return self._patches.applied

    def acquire(self) -> None:
        """Add one user, an instrumentation of all clients or of one client; the first user applies the patches."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._patches.apply_table(_SHARED_TARGETS, None)

    def release(self) -> None:
        """Remove one user; the last one undoes the patches."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._patches.undo()


SHARED_PATCHES = SharedPatches()
"""The shared patches of this process."""
