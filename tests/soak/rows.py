"""The rows of the soak, and the store of their last results until the page quotes them."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from redispan.testing.embedded_server import find_server_program

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- results: make soak writes them -->", "<!-- end of the results -->"
HANG_S = 2 * 3600
"""A safety net: what runs so long hangs."""


@dataclass(frozen=True)
class Verdict:
    """The outcome of a row."""

    passed: bool
    said: str


@dataclass(frozen=True)
class Row:
    """One job of the soak."""

    part: str
    what: str
    size: str
    run: Callable[[], Verdict]

    @property
    def key(self) -> str:
        """Return its name among the results."""
        return f"{self.part}: {self.what}"


@dataclass(frozen=True)
class Kept:
    """The last result of a row, and what it belongs to."""

    part: str
    what: str
    size: str
    passed: bool
    said: str
    seconds: int
    date: str
    commit: str
    versions: str


class Results:
    """The last result of each row, in a file outside the repository. A soak may be stopped and resumed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text(encoding="utf-8") if path.exists() else "{}"
        self.kept = {key: Kept(**fields) for key, fields in json.loads(text).items()}

    def passed(self, row: Row) -> bool:
        """Return whether this row passed at this size, on the commit that is checked out."""
        last = self.kept.get(row.key)
        return last is not None and last.passed and (last.size, last.commit) == (row.size, commit())

    def keep(self, row: Row, verdict: Verdict, seconds: float) -> None:
        """Replace the row's last result, and save at once."""
        today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        fields = (row.part, row.what, row.size, verdict.passed, verdict.said, round(seconds), today)
        self.kept[row.key] = Kept(*fields, commit(), versions())
        self._path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({key: asdict(kept) for key, kept in self.kept.items()}, indent=1)
        self._path.write_text(text, encoding="utf-8")

    def write_into(self, page: Path, rows: list[Row]) -> None:
        """Replace what the page quotes by the last results of all rows, including rows that never ran."""
        before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
        _, end, after = rest.partition(END)
        lines: list[str] = []
        for part in dict.fromkeys(row.part for row in rows):
            lines += ["", f"### {part}", "", "| what | size | result | s | on | commit |", "|---|---|---|---|---|---|"]
            lines += [self._line(row) for row in rows if row.part == part]
        lines += ["", *sorted({f"{kept.date}: {kept.versions}." for kept in self.kept.values()}), ""]
        page.write_text(f"{before}{begin}\n" + "\n".join(lines) + f"\n{end}{after}", encoding="utf-8")

    def _line(self, row: Row) -> str:
        last = self.kept.get(row.key)
        if last is None:
            return f"| {row.what} | {row.size} | not run yet | | | |"
        result = last.said if last.passed else f"**failed**: {last.said}"
        recorded = result.replace("|", "\\|").replace("\n", " ")
        return f"| {last.what} | {last.size} | {recorded} | {last.seconds:,} | {last.date} | {last.commit} |"


def commit() -> str:
    """Return the commit that is checked out. A plus sign means that files of it were changed."""
    short = _git("rev-parse", "--short", "HEAD")
    return short + ("+" if _git("status", "--porcelain", "--", "src", "tests") else "")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def versions() -> str:
    """Return the versions that this ran on."""
    shown = subprocess.run([find_server_program(), "--version"], capture_output=True, text=True, check=True).stdout
    server = next(word.removeprefix("v=") for word in shown.split() if word.startswith("v="))
    return (
        f"Python {platform.python_version()}, redis-py {version('redis')}, Redis {server},"
        f" OpenTelemetry {version('opentelemetry-sdk')}, {os.cpu_count()} cores"
    )


def ask(script: str, *arguments: object) -> Any:
    """Run a script of this folder in a separate process, and return the JSON of its last line of output.

    Raises:
        RuntimeError: It failed. The message holds the end of its output.
    """
    command = [sys.executable, str(Path(__file__).with_name(script)), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=HANG_S, cwd=ROOT)
    if done.returncode != 0:
        raise RuntimeError(f"{script} ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def counted(found: dict[str, int]) -> str:
    """Return counts in words, the largest first."""
    return ", ".join(f"{name} {count:,}" for name, count in sorted(found.items(), key=lambda item: -item[1]))
