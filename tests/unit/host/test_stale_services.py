"""redispan removes what killed services left behind, and nothing of a running one."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from redispan._host import stale_services
from redispan._host.folder import folder_of, users_folder
from waiting import PATIENCE_S

OLD_S = 2 * stale_services.KEPT_S


def age(path: Path, seconds: float) -> None:
    """Set the last modification of a file to the given age."""
    then_s = time.time() - seconds
    os.utime(path, (then_s, then_s))


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """Return the private folder of the user."""
    users_folder(str(tmp_path)).mkdir()
    return users_folder(str(tmp_path))


def service(users: Path, name: str, *files: str, seconds: float = OLD_S) -> Path:
    """Create the folder of a service, with files of the given age."""
    folder = folder_of(str(users.parent), name)
    folder.mkdir()
    for file in files:
        (folder / file).touch()
        age(folder / file, seconds)
    age(folder, seconds)
    return folder


def test_a_service_that_was_killed_goes_after_a_day(users: Path) -> None:
    """redispan removes what a killed service left after a day.

    That is its socket, totals and locks, and an empty folder as well.
    """
    gone = [service(users, "killed", "1-aa.sock", "1-aa.totals", "port-1.lock"), service(users, "empty")]
    young = service(users, "young", "1-aa.totals", seconds=stale_services.KEPT_S / 2)
    stale_services.sweep(users, folder_of(str(users.parent), "me"))
    assert [folder.exists() for folder in gone] == [False, False]
    assert young.exists()


def test_one_that_lives_stays(users: Path) -> None:
    """A service with a recently touched socket stays, whatever else is old. redispan never checks its own folder."""
    alive = service(users, "alive", "1-aa.sock", "1-aa.totals")
    age(alive / "1-aa.sock", 10)
    own = service(users, "me", "1-aa.totals")
    stale_services.sweep(users, own)
    assert sorted(path.name for path in alive.iterdir()) == ["1-aa.sock", "1-aa.totals"]
    assert own.exists()


def test_who_has_the_port_stays(users: Path) -> None:
    """The lock of a port stays while a process holds it.

    A process that shares nothing has only this lock and never touches it again.
    """
    held = service(users, "held", "port-1.lock")
    program = (
        "import sys, pathlib; from redispan._host.role_lock import RoleLock;"
        "lock = RoleLock(pathlib.Path(sys.argv[1])); print(lock.acquire(), flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(held / "port-1.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "True"
        age(held / "port-1.lock", OLD_S)
        stale_services.sweep(users, folder_of(str(users.parent), "me"))
        assert (held / "port-1.lock").exists()
        holder.communicate(timeout=PATIENCE_S)


def test_what_was_learned_stays_for_a_month(users: Path) -> None:
    """Baselines stay for a month, so a service that runs weekly finds them. redispan leaves foreign files alone."""
    kept, gone, others = users / "aa.baselines.json", users / "bb.baselines.json", users / "notes.txt"
    for path, seconds in ((kept, 8 * 86_400), (gone, 31 * 86_400), (others, 99 * 86_400)):
        path.touch()
        age(path, seconds)
    stale_services.sweep(users, folder_of(str(users.parent), "me"))
    assert [path.exists() for path in (kept, gone, others)] == [True, False, True]


def test_a_folder_that_is_not_there_is_no_fault(tmp_path: Path) -> None:
    """A missing folder is no error, since no service may have run yet."""
    stale_services.sweep(tmp_path / "none", tmp_path / "none" / "me")
