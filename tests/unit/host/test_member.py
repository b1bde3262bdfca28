"""The host member of a process: it starts once, leaves its exit totals once, and is not inherited by a forked child."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from insight_data import totals_only
from redispan._core.slot import SLOT
from redispan._host.chore import Chore
from redispan._host.folder import open_folder
from redispan._host.member import HostMember
from redispan._insight import snapshots
from waiting import PATIENCE_S, wait_until


def counted(operations: int) -> dict[str, Any]:
    """Return a summary with the given number of operations."""
    found = snapshots.empty()
    window = {"window": [[1, 2, "GET", None, 0]], "totals": {"GET": [operations, 0, 9, 9, 9, 0]}, "error_types": {}}
    blocking = {"window": [], "totals": {}, "error_types": {}}
    found["endpoints"]["c:1/0"] = {"address": "c", "port": 1, "db": "0", "answers": window, "blocking": blocking}
    found["processes"] = [{"pid": os.getpid(), "started_unix_ns": 1}]
    return found


def operations(summaries: list[dict[str, Any]]) -> int:
    """Return the number of operations in the summaries."""
    return sum(one["endpoints"]["c:1/0"]["answers"]["totals"]["GET"][0] for one in summaries)


class Service:
    """Members of one service in one folder, all in this process."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.members: list[HostMember] = []

    def member(self, done: int) -> HostMember:
        """Return a member with the given number of operations."""
        found = HostMember(lambda: counted(done), lambda: totals_only(counted(done)), snapshots.merge)
        found.base, found.service = str(self.base), "shop"
        self.members.append(found)
        return found


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Yield a service whose members end with the test."""
    found = Service(tmp_path)
    yield found
    for member in found.members:
        member.stop()


def started(member: HostMember) -> HostMember:
    """Start the member, and return it once its socket exists."""
    member.start()
    wait_until((member.folder / f"{member._name}.sock").exists, "the socket of a member")
    return member


def heard(member: HostMember) -> list[dict[str, Any]]:
    """Return the summaries of the sibling processes, with ample time for the query."""
    found = member.gather(PATIENCE_S)
    assert found is not None
    return found[0]


def test_nothing_exists_before_the_start(service: Service) -> None:
    """Before its start a member has no thread and no folder, and a query finds no sibling."""
    before = threading.active_count()
    member = service.member(1)
    assert member.gather() == ([], [])
    assert threading.active_count() == before
    assert list(service.base.iterdir()) == []


def test_starting_again_starts_nothing(service: Service) -> None:
    """A second start has no effect, because redispan calls it at every tick."""
    member = started(service.member(1))
    threads = threading.active_count()
    for _ in range(100):
        member.start()
    assert threading.active_count() == threads


def test_members_answer_each_other_and_never_themselves(service: Service) -> None:
    """Each member receives the operations of its siblings once, and never its own."""
    one, two, three = (started(service.member(10**place)) for place in range(3))
    assert operations(heard(one)) == 110
    assert operations(heard(two)) == 101
    assert operations(heard(three)) == 11


def test_who_was_stopped_counts_once_and_again_only_as_alive(service: Service) -> None:
    """The exit totals of a stopped member count while it is stopped. After a restart, its own answer replaces them."""
    stays, goes = started(service.member(1)), started(service.member(10))
    for _ in range(3):
        goes.stop()
        assert operations(heard(stays)) == 10
        started(goes)
        assert operations(heard(stays)) == 10


def test_the_last_one_leaves_nothing(service: Service) -> None:
    """The last member removes the folder, because scripts that come and go must not fill a folder."""
    one, two = started(service.member(1)), started(service.member(1))
    one.stop()
    assert list(one.folder.iterdir()) != []
    two.stop()
    assert not one.folder.exists()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_is_no_member_until_it_starts(service: Service) -> None:
    """A forked child does not answer under its parent's name and keeps nothing of the parent's alive.

    It starts as itself.
    """
    parent = started(service.member(1))
    SLOT.runtime.parts["host"] = parent
    name = parent._name
    child = os.fork()
    if child == 0:
        fresh = parent._thread is None and parent._server is None and parent._name != name
        started(parent)
        alone = operations(heard(parent)) == 1
        parent.stop()
        os._exit(0 if fresh and alone else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert parent._server is not None
    assert (parent.folder / f"{name}.sock").exists()


def test_without_a_folder_chores_go_on(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """On a read-only system a member logs one warning and shares nothing.

    Its chores run, so the port would still be opened.
    """
    (service.base / "file").write_text("")
    member = service.member(1)
    member.base = str(service.base / "file")
    seen: list[Any] = []
    member.chores.append(Chore(seen.append))
    member.start()
    wait_until(lambda: seen, "a chore")
    assert seen[0] is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert member.gather() is None, "it speaks for itself alone"


@pytest.mark.parametrize("which", ["the user's", "the service's"])
def test_nobody_is_believed_whose_folder_is_open_to_others(service: Service, which: str) -> None:
    """A member queries no sibling through a folder that is open to others, not even for a report.

    Another user could have put sockets and totals there.
    """
    asking = service.member(1)
    other = started(service.member(10))
    assert operations(heard(asking)) == 10
    folder = other.folder.parent if which == "the user's" else other.folder
    folder.chmod(0o777)
    assert asking.gather(2) is None
    folder.chmod(0o700)
    assert operations(heard(asking)) == 10


def test_a_chore_that_fails_stops_nothing(service: Service) -> None:
    """After a chore fails, the other chores still run and the member still answers."""
    member, done = service.member(1), threading.Event()

    def broken(_: Any) -> None:
        raise RuntimeError

    member.chores += [Chore(broken), Chore(lambda _: done.set())]
    started(member)
    assert done.wait(PATIENCE_S)


def test_no_chore_begins_after_the_end(service: Service) -> None:
    """No chore begins after ``stop``. Nothing would ever end a thread or a port that it starts then."""
    member = service.member(1)
    entered, go = threading.Event(), threading.Event()
    ended: list[bool] = []
    begun_late: list[bool] = []

    def first(_: Any) -> None:
        entered.set()
        go.wait(PATIENCE_S)

    member.chores += [Chore(first), Chore(lambda _: begun_late.append(bool(ended)))]
    member.start()
    thread = member._thread
    assert thread is not None
    assert entered.wait(PATIENCE_S)
    stopper = threading.Thread(target=lambda: (member.stop(), ended.append(True)))
    stopper.start()
    stopper.join(0.3)  # ``stop`` must wait for the chore; otherwise the next chore begins too late
    go.set()
    stopper.join(PATIENCE_S)
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert True not in begun_late


def test_nothing_begins_anew_while_a_program_ends(service: Service) -> None:
    """Exporters may take their time when a program ends.

    Meanwhile the member's thread neither spins nor listens again.
    """
    last: list[str] = []

    class Last(Chore):
        def at_exit(self) -> None:
            last.append("done")

    member = service.member(1)
    member.chores.append(Last(lambda _: None))
    thread = started(member)._thread
    assert thread is not None
    member._at_exit()
    assert last == ["done"]
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert not member.folder.exists()


def test_who_ends_while_it_begins_leaves_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short program may end during its thread's first look around. That thread must not create the folder again."""
    member = service.member(1)
    looking, go = threading.Event(), threading.Event()
    opened: list[Path] = []

    def open_slowly(folder: Path) -> Path:
        opened.append(folder)
        if len(opened) == 2:
            looking.set()
            go.wait(PATIENCE_S)
        return open_folder(folder)

    monkeypatch.setattr("redispan._host.member.open_folder", open_slowly)
    member.start()
    thread = member._thread
    assert thread is not None
    assert looking.wait(PATIENCE_S)
    ender = threading.Thread(target=member._at_exit)
    ender.start()
    ender.join(0.3)  # the exit waits for the thread; otherwise the folder would be gone by now
    go.set()
    ender.join(PATIENCE_S)
    thread.join(PATIENCE_S)
    assert not member.folder.exists()


def test_stopped_before_its_thread_ran(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that first runs after ``stop`` ends, although the member has prepared the objects for its next start."""
    made: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    class Unstarted:
        def __init__(self, target: Callable[..., None], args: tuple[Any, ...] = (), **_: Any) -> None:
            made.append((target, args))

        def start(self) -> None:
            pass

        def join(self, _: float) -> None:
            pass

    member = service.member(1)
    with monkeypatch.context() as patched:
        patched.setattr("redispan._host.member.threading.Thread", Unstarted)
        member.start()
        member.stop()
    ((target, args),) = made
    late = threading.Thread(target=target, args=args, daemon=True)
    late.start()
    late.join(PATIENCE_S)
    assert not late.is_alive()


def test_the_thread_ends_at_once(service: Service) -> None:
    """The thread of a stopped member has ended when ``stop`` returns, although it was waiting for a sibling's query."""
    member = started(service.member(1))
    thread = member._thread
    assert thread is not None
    assert thread.is_alive()
    member.stop()
    assert not thread.is_alive()
