"""The files that share server figures with sibling processes go once no process probes these servers."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from redispan._client.probe.probe import sweep

DAYS_AGO_S = time.time() - 3 * 24 * 3600


def written(folder: Path, name: str, *, lock_s: float, figures_s: float | None) -> None:
    """Write the files of a server with the given age."""
    for kind, at_s in (("lock", lock_s), ("json", figures_s)):
        if at_s is not None:
            path = folder / f"probe-{name}.{kind}"
            path.touch()
            os.utime(path, (at_s, at_s))


def test_only_what_is_old_goes(tmp_path: Path) -> None:
    """redispan keeps a server's files while its figures are recent, however old its lock is.

    It also keeps foreign files in the folder.
    """
    now_s = time.time()
    written(tmp_path, "gone", lock_s=DAYS_AGO_S, figures_s=DAYS_AGO_S)
    written(tmp_path, "silent", lock_s=DAYS_AGO_S, figures_s=None)
    written(tmp_path, "asked", lock_s=DAYS_AGO_S, figures_s=now_s)
    written(tmp_path, "new", lock_s=now_s, figures_s=None)
    (tmp_path / "other.lock").touch()
    os.utime(tmp_path / "other.lock", (DAYS_AGO_S, DAYS_AGO_S))
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "other.lock",
        "probe-asked.json",
        "probe-asked.lock",
        "probe-new.lock",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
def test_what_somebody_holds_stays(tmp_path: Path) -> None:
    """A process keeps its probing role even if its server returns no figures."""
    written(tmp_path, "held", lock_s=DAYS_AGO_S, figures_s=None)
    holder = (
        "import sys; from redispan._host.role_lock import RoleLock; "
        "lock = RoleLock(sys.argv[1]); print(lock.acquire(), flush=True); input()"
    )
    command = [sys.executable, "-c", holder, str(tmp_path / "probe-held.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        sweep(tmp_path)
        assert (tmp_path / "probe-held.lock").exists()
        process.communicate("\n")
    sweep(tmp_path)
    assert not (tmp_path / "probe-held.lock").exists()


def test_a_folder_that_is_not_there_is_no_fault(tmp_path: Path) -> None:
    """A missing folder raises nothing in the thread of the probe."""
    sweep(tmp_path / "nowhere")
