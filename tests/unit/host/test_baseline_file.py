"""The baseline file: a process reads it once, writes it now and then, and never trusts its contents."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from redispan._host.baseline_file import (
    LARGEST_BYTES,
    MOST,
    OLDEST_S,
    WORTH_WRITING_S,
    WRITE_EVERY_S,
    BaselineFile,
    file_of,
)
from redispan._host.folder import folder_of, open_folder

LEARNED = [{"endpoint": "cache:6379/0", "command": None, "figure": "latency", "history": {"learned": 40}}]


class Process:
    """A process with a clock of its own."""

    def __init__(self, learned: list[Any]) -> None:
        self.learned = learned
        self.taken_over: list[Any] = []
        self.now_s = 0.0
        self.chore = BaselineFile(lambda: self.learned, self.taken_over.extend, lambda: self.now_s)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the private folder of a service."""
    return open_folder(folder_of(str(tmp_path), "shop"))


def written(folder: Path) -> Path:
    """Write the file as a running process does."""
    first = Process(LEARNED)
    first.chore(folder)
    first.now_s = WRITE_EVERY_S
    first.chore(folder)
    return file_of(folder)


def stored(path: Path) -> list[Any]:
    """Return the contents of the file."""
    found: list[Any] = json.loads(path.read_bytes())["learned"]
    return found


def without_age(learned: list[Any]) -> list[Any]:
    """Return the baselines without the age that the file adds to each."""
    return [{key: value for key, value in one.items() if key != "at"} for one in learned]


def test_what_one_learned_another_takes_over(folder: Path) -> None:
    """A process writes its baselines after five minutes, beside the service's folder and unreadable for others.

    A new process reads them once.
    """
    path = written(folder)
    assert path.parent == folder.parent
    assert path.stat().st_mode & 0o077 == 0
    other = Process([])
    other.chore(folder)
    other.chore(folder)
    assert without_age(other.taken_over) == LEARNED
    other.now_s = 2 * WRITE_EVERY_S
    other.chore(folder)
    assert without_age(stored(path)) == LEARNED, "who has learned nothing overwrites nothing"


def test_a_process_that_ends_hands_on_what_it_has_learned_meanwhile(folder: Path) -> None:
    """A worker that is replaced between two writes leaves its baselines. One that has only just started does not."""
    worker = Process(LEARNED)
    worker.chore.at_exit()
    worker.chore(folder)
    worker.now_s = WORTH_WRITING_S - 1
    worker.chore.at_exit()
    assert not file_of(folder).exists()
    worker.now_s = WORTH_WRITING_S
    worker.chore.at_exit()
    assert without_age(stored(file_of(folder))) == LEARNED


def test_processes_that_do_something_else_keep_what_they_learned(folder: Path) -> None:
    """A nightly job of the same service adds its baselines to those of the web workers. Stale baselines are removed."""
    path = written(folder)
    job = Process([{**LEARNED[0], "command": "SCAN"}])
    job.chore(folder)
    job.now_s = WRITE_EVERY_S
    job.chore(folder)
    assert {one["command"] for one in stored(path)} == {None, "SCAN"}
    aged = [{**one, "at": one["at"] - (OLDEST_S + 60 if one["command"] is None else 0)} for one in stored(path)]
    path.write_text(json.dumps({"version": 1, "learned": aged}))
    job.now_s = 2 * WRITE_EVERY_S
    job.chore(folder)
    assert {one["command"] for one in stored(path)} == {"SCAN"}


def test_the_file_is_bounded(folder: Path) -> None:
    """The file stays within its bound when endpoints come and go. The writer's own baselines get room first."""
    for batch in range(3):
        job = Process([{**LEARNED[0], "endpoint": f"cache-{batch}-{number}:6379/0"} for number in range(MOST // 2)])
        job.chore(folder)
        job.now_s = WRITE_EVERY_S
        job.chore(folder)
    known = stored(file_of(folder))
    assert len(known) == MOST
    assert sum(one["endpoint"].startswith("cache-2-") for one in known) == MOST // 2


def test_it_is_read_anew_in_a_forked_child(folder: Path) -> None:
    """A forked child reads the file again, as any new process does."""
    written(folder)
    child = Process([])
    child.chore(folder)
    child.chore.renew_in_child()
    child.chore(folder)
    assert without_age(child.taken_over) == LEARNED * 2


def test_nothing_is_written_early_or_without_a_folder(folder: Path) -> None:
    """A short script writes no file, nor does a process without a writable folder."""
    process = Process(LEARNED)
    process.chore(None)
    process.chore(folder)
    process.now_s = WRITE_EVERY_S - 1
    process.chore(folder)
    assert not file_of(folder).exists()


def spoil_by_age(path: Path) -> None:
    """Make the file older than the oldest that is trusted."""
    old = time.time() - OLDEST_S - 60
    os.utime(path, (old, old))


SPOILT: dict[str, Callable[[Path], Any]] = {
    "too old": spoil_by_age,
    "no JSON": lambda path: path.write_text("{"),
    "another version": lambda path: path.write_text('{"version": 99, "learned": [1]}'),
    "another shape": lambda path: path.write_text("[]"),
    "too large": lambda path: path.write_bytes(b" " * (LARGEST_BYTES + 1)),
    "a folder open to others": lambda path: path.parent.chmod(0o755),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("how", sorted(SPOILT))
def test_a_file_that_can_not_be_trusted_is_left_alone(how: str, folder: Path) -> None:
    """A process takes nothing over from a file that it cannot trust, and raises nothing."""
    SPOILT[how](written(folder))
    process = Process([])
    process.chore(folder)
    assert process.taken_over == []
