"""Querying the sibling processes: in parallel, within one time limit, exact, and in a private folder."""

import json
import os
import selectors
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redispan._host import siblings
from redispan._host.exit_totals import FOLD_FROM, ExitTotals
from redispan._host.folder import UnsafeFolderError, folder_of, open_folder, service_of, write_whole
from redispan._host.role_lock import RoleLock
from redispan._host.siblings import query_siblings
from redispan._host.snapshot_server import SnapshotServer
from waiting import PATIENCE_S


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a private folder."""
    return open_folder(folder_of(str(tmp_path), "shop"))


@pytest.fixture
def serving() -> Iterator[Any]:
    """Answer on sockets until the test is over."""
    opened: list[tuple[SnapshotServer, threading.Thread]] = []
    over = threading.Event()

    def serve(path: Path, answer: bytes) -> None:
        answerer = SnapshotServer(path, lambda: answer)
        answerer.open()
        thread = threading.Thread(target=lambda: [answerer.serve(0.02) for _ in iter(over.is_set, True)])
        thread.start()
        opened.append((answerer, thread))

    yield serve
    over.set()
    for answerer, thread in opened:
        thread.join()
        answerer.leave()


class OneClock(selectors.DefaultSelector):
    """A selector that waits as long as the answering siblings need.

    Its time passes only while all that are left are silent.
    """

    silent: frozenset[str] = frozenset()
    now_s = 0.0

    @classmethod
    def monotonic(cls) -> float:
        """Return the time that passed."""
        return cls.now_s

    def select(self, timeout: float | None = None) -> Any:
        """Wait, or let the whole of ``timeout`` pass."""
        assert timeout is not None
        if {key.data[0] for key in self.get_map().values()} <= self.silent:
            OneClock.now_s += timeout
            return []
        return super().select(PATIENCE_S)


def test_all_are_asked_at_once(folder: Path, serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One time limit holds for the query of all siblings.

    The result separates those that answered, those that are silent and the dead one.
    """
    bound_s = 0.4
    monkeypatch.setattr(
        siblings, "selectors", SimpleNamespace(DefaultSelector=OneClock, EVENT_READ=selectors.EVENT_READ)
    )
    monkeypatch.setattr(siblings, "time", OneClock)
    monkeypatch.setattr(OneClock, "now_s", 0.0)
    monkeypatch.setattr(OneClock, "silent", frozenset({"4-d", "6-f"}))
    for name in ("1-a", "2-b", "3-c"):
        serving(folder / f"{name}.sock", json.dumps({"name": name, "filler": "x" * 500_000}).encode())
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "5-e.sock"))
    with socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as silent_too:
        for one, name in ((silent, "4-d"), (silent_too, "6-f")):
            one.bind(str(folder / f"{name}.sock"))
            one.listen()
        found = query_siblings(folder.glob("*.sock"), bound_s)
    assert {name: answer["name"] for name, answer in found.answered.items()} == {n: n for n in ("1-a", "2-b", "3-c")}
    assert sorted(found.silent) == ["4-d", "6-f"]
    assert found.gone == ["5-e"]
    assert OneClock.now_s == pytest.approx(bound_s)


def test_nonsense_is_no_answer(folder: Path, serving: Any) -> None:
    """An answer that is not JSON counts as silence."""
    serving(folder / "1-a.sock", b"{nonsense")
    assert query_siblings(folder.glob("*.sock"), PATIENCE_S).silent == ["1-a"]


def test_a_path_too_long_for_a_socket_works(tmp_path: Path, serving: Any) -> None:
    """A folder for temporary files may have a path that is too long for a socket, and the query still works."""
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    serving(deep / "1-a.sock", b"{}")
    assert query_siblings(deep.glob("*.sock"), PATIENCE_S).answered == {"1-a": {}}


def test_the_folder_is_private(folder: Path) -> None:
    """Only its user has access to the folder."""
    for place in (folder, folder.parent):
        assert stat.S_IMODE(place.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_folder_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    """redispan refuses a folder that is open to others, because another user may have created it first."""
    target = folder_of(str(tmp_path), "shop")
    target.parent.mkdir(mode=0o700)
    target.parent.chmod(mode)
    with pytest.raises(UnsafeFolderError):
        open_folder(target)


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    """redispan refuses a link in place of the folder, which could lead it elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    target = folder_of(str(tmp_path), "shop")
    target.parent.symlink_to(elsewhere)
    with pytest.raises(UnsafeFolderError):
        open_folder(target)


def test_nobody_reads_half_of_what_several_threads_write(folder: Path) -> None:
    """A thread that ends and one that stops it may write the same file at once.

    A reader always sees a complete file.
    """
    path, faults = folder / "one.totals", []
    write_whole(path, b"x" * 50_000)

    def write() -> None:
        try:
            for _ in range(60):
                write_whole(path, b"x" * 50_000)
        except OSError as fault:
            faults.append(fault)

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    sizes = set()
    while any(writer.is_alive() for writer in writers):
        sizes.add(len(path.read_bytes()))
    for writer in writers:
        writer.join()
    assert faults == []
    assert sizes <= {50_000}
    assert [one.name for one in folder.iterdir()] == ["one.totals"]


def test_services_are_told_apart_by_their_name() -> None:
    """The service name is OTEL_SERVICE_NAME, else service.name of the resource, else the program."""
    assert service_of({"OTEL_SERVICE_NAME": "a", "OTEL_RESOURCE_ATTRIBUTES": "service.name=b"}, ["x"]) == "a"
    assert service_of({"OTEL_RESOURCE_ATTRIBUTES": "k=v, service.name=b"}, ["x"]) == "b"
    assert service_of({}, ["x"]) == service_of({"OTEL_SERVICE_NAME": " "}, ["x"]) != service_of({}, ["y"])
    assert folder_of("/t", "a") != folder_of("/t", "b")


@given(st.text(max_size=300))
def test_any_service_name_makes_a_short_path(name: str) -> None:
    """Any service name gives a short path, whatever it contains."""
    assert len(folder_of("/t", name).name) == 16


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_role_is_free_again_when_its_holder_died(folder: Path) -> None:
    """The system frees the role of a process that is killed. A child of the holder does not hold the role."""
    lock = RoleLock(folder / "role.lock")
    assert lock.acquire()
    assert lock.acquire(), "having it already is having it"
    child = os.fork()
    if child == 0:
        os._exit(0 if not lock.held and not RoleLock(folder / "role.lock").acquire() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    read_end, write_end = os.pipe()
    lock.forget()
    child = os.fork()
    if child == 0:
        taken = RoleLock(folder / "role.lock").acquire()
        os.write(write_end, b"y" if taken else b"n")
        time.sleep(60)
        os._exit(0)
    assert os.read(read_end, 1) == b"y"
    assert not lock.acquire()
    os.kill(child, 9)
    os.waitpid(child, 0)
    assert lock.acquire()
    lock.forget()
    os.close(read_end)
    os.close(write_end)


def added(summaries: Any) -> dict[str, int]:
    """Merge summaries that are one count each."""
    return {"count": sum(one["count"] for one in summaries)}


def total(totals: ExitTotals, alive: tuple[str, ...] = (), group: str = "g") -> int:
    """Return the sum of the exit totals of a group."""
    return sum(one["count"] for one in totals.read(alive, [group]))


def test_what_ended_processes_left_counts_once_before_and_after_folding(folder: Path) -> None:
    """Folding exit totals keeps their sum and a small folder, however many there are and however often it happens."""
    totals = ExitTotals(folder, added)
    names = [f"{number}-x" for number in range(3 * FOLD_FROM)]
    for place, name in enumerate(names):
        totals.write(name, "g", {"count": 10 + place})
        totals.fold(totals.names(), ["g"])
    expected = sum(10 + place for place in range(len(names)))
    assert total(totals) == expected
    assert len(list(folder.glob("*.totals"))) < FOLD_FROM


def test_a_fold_that_was_interrupted_counts_nothing_twice(folder: Path) -> None:
    """A fold may be killed between writing the sum and removing the files.

    The next reader knows that these files are in the sum.
    """
    totals = ExitTotals(folder, added)
    names = [f"{number}-x" for number in range(FOLD_FROM)]
    for name in names:
        totals.write(name, "g", {"count": 1})
    totals.fold(set(names), ["g"])
    for name in names:  # the state after a fold that was killed before it removed the files
        totals.write(name, "g", {"count": 1})
    assert total(totals) == FOLD_FROM
    totals.fold(set(names), ["g"])
    assert total(totals) == FOLD_FROM


def test_the_living_and_other_groups_do_not_count(folder: Path) -> None:
    """Exit totals of a live process do not count, because its answer does.

    A service that is started anew begins at zero.
    """
    totals = ExitTotals(folder, added)
    totals.write("1-x", "g", {"count": 1})
    totals.write("2-x", "g", {"count": 2})
    totals.write("3-x", "older", {"count": 4})
    assert total(totals, alive=("1-x",)) == 2
    totals.fold({"2-x", "3-x"}, ["g"])
    assert totals.names() == {"1-x", "2-x"}, "what nobody can ask for any more is removed"
