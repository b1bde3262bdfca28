"""Runs the tests in other environments: older redis-py, without hiredis, other Pythons, and the oldest dependencies.

Usage: python tests/matrix.py [--list] [--jobs N] [NAME ...]      (no name: all of them)

Each environment is a throw-away virtual environment under .ci/work, filled by uv with what pyproject.toml says and the
job's own pins. Jobs whose interpreter this machine lacks are named and left out.

A new file of tests/unit runs on every Python, a new file of tests/behaviour with every redis-py: to leave one out, name
it in ``NO_MATTER_OF_REDIS_PY`` or ``NO_MATTER_OF_PYTHON`` with the reason.
"""

import argparse
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from packaging.requirements import Requirement

from bench import frame_budget

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".ci" / "work"
UV = Path(sys.executable).with_name("uv")
THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
JOB_TIMEOUT_S = 1800
# Half of each job is waiting. Several workers in one job would each import everything and start their own servers.
AT_A_TIME = 2 * (os.cpu_count() or 1)

NO_MATTER_OF_REDIS_PY = {
    "test_alerts_of_state.py": "alerts are made of what redispan counts itself",
    "test_anomalies.py": "so are baselines",
    "test_contrib_bugs.py": "one version of contrib beside redispan, held on the redis-py of `make test`",
    "test_names_stay_few.py": "the bounds are redispan's own",
    "test_reports.py": "reports are made of what redispan counts itself",
    "test_servers.py": "the servers under the other tests",
    "test_settings_seen.py": "settings are read before redis-py comes in",
    "test_slow_operations.py": "durations are judged after redis-py has answered",
    "test_deferred_alerts.py": "deferred alerts, too",
    "test_slow_processor.py": "the processor sees OpenTelemetry's spans only",
    "test_telemetry_fixtures.py": "the receivers under the other tests",
    "test_third_party.py": "the job third-party runs it",
    "test_threads.py": "the threads are redispan's own",
    "test_valkey.py": "another client",
    "test_monitored_generators.py": "generators are Python's",
}
"""Files of tests/behaviour whose result does not depend on redis-py, and why."""

NO_MATTER_OF_PYTHON = {
    "test_cli_demo.py": "what the demo shows on which terminal",
    "test_packaging.py": "files of the repository",
}
"""Files of tests/unit whose result does not depend on the Python version, and why."""

MATTERS_OF_OPENTELEMETRY = (
    "test_spans_of_batches.py",
    "test_spans_of_commands.py",
    "test_spans_of_scripts.py",
)
"""Files of tests/behaviour that also run with the oldest version of every dependency, and on every Python."""

MATTERS_OF_PYTHON = (
    "test_context.py",
    "test_interrupted.py",
    "test_pool_cancelled.py",
    "test_pool_fork.py",
    "test_threads.py",
    "test_monitored_generators.py",
)
"""Files of tests/behaviour that also run on every Python. They use asyncio, signals, threads, forks or generators."""


def files_of(folder: str, *, but: Collection[str]) -> tuple[str, ...]:
    """List the test files of a folder, except those in ``but``, which must all exist."""
    base = ROOT / folder
    found = {str(path.relative_to(base)): str(path.relative_to(ROOT)) for path in sorted(base.rglob("test_*.py"))}
    gone = set(but) - set(found)
    if gone:
        raise SystemExit(f"tests/matrix.py names files that {folder} does not have: {', '.join(sorted(gone))}")
    return tuple(path for name, path in found.items() if name not in but)


BEHAVIOUR = files_of("tests/behaviour", but=NO_MATTER_OF_REDIS_PY)
OLDEST = (
    *files_of("tests/unit", but=NO_MATTER_OF_PYTHON),
    *(f"tests/behaviour/{name}" for name in MATTERS_OF_OPENTELEMETRY),
)
CORE = (*OLDEST, *(f"tests/behaviour/{name}" for name in MATTERS_OF_PYTHON))


@dataclass(frozen=True)
class Job:
    """One environment and what runs in it."""

    name: str
    pins: tuple[str, ...] = ()
    python: str = THIS_PYTHON
    extras: str = "test"
    overrides: tuple[str, ...] = ()
    """Requirements that override the pins of all other packages."""
    files: tuple[str, ...] = BEHAVIOUR
    skips: bool = True
    """Whether a test may be skipped there."""


@dataclass(frozen=True)
class Outcome:
    """How one job ended."""

    job: Job
    passed: bool
    summary: str
    seconds: float
    log: Path


def declared_floors() -> tuple[str, ...]:
    """Read the oldest version of every run-time dependency from the requirements that redispan declares."""
    declared = map(Requirement, importlib.metadata.requires("redispan") or [])
    run_time = [
        requirement
        for requirement in declared
        if requirement.marker is None
        or any(requirement.marker.evaluate({"extra": extra}) for extra in ("instruments-any", "otlp", "celery"))
    ]
    floors = {
        f"{requirement.name}=={specifier.version}"
        for requirement in run_time
        for specifier in requirement.specifier
        if specifier.operator == ">="
    }
    return tuple(sorted(floors))


JOBS = (
    # Longest first: with a few at a time, the job that starts last decides when the run ends.
    Job("redis-5.0", ("redis==5.0.8",)),
    Job("redis-5.3", ("redis==5.3.1", "hiredis")),
    Job("redis-6", ("redis==6.4.0",)),
    Job("redis-7", ("redis==7.4.1", "hiredis")),
    Job("redis-8-plain", ("redis>=8.1",)),
    # redis-py 8 with hiredis is missing here, because `make dev` installs it and `make test` runs on it.
    Job("oldest-everything", declared_floors(), "3.10", files=OLDEST),
    Job("python-3.10", python="3.10", files=CORE),
    Job("python-3.12", python="3.12", files=CORE),
    Job("python-3.13", python="3.13", files=CORE),
    Job("python-3.14", python="3.14", files=CORE),
    Job(
        # arq requires redis-py below 6, kombu below the current version: only an override installs all of them
        # together.
        "third-party",
        ("redis>=8.1", "hiredis"),
        extras="test,third-party",
        overrides=("redis>=8.1",),
        files=("tests/behaviour/test_third_party.py",),
        skips=False,
    ),
    Job("frames", frame_budget.PINS, frame_budget.PYTHON, files=("tests/bench/test_frames.py",), skips=False),
)


def find_python(version: str) -> Path | None:
    """Find an interpreter of this minor version that really starts."""
    candidates = [sys.executable] if version == THIS_PYTHON else []
    on_path = shutil.which(f"python{version}")
    candidates += [on_path] if on_path else []
    candidates += _from_pyenv(version)
    for candidate in candidates:
        # A shim of pyenv is on PATH even when its version is switched off.
        shown = subprocess.run([candidate, "-c", "pass"], capture_output=True, check=False)
        if shown.returncode == 0:
            return Path(candidate)
    return None


def _from_pyenv(version: str) -> Iterator[str]:
    if shutil.which("pyenv") is None:
        return
    root = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=False).stdout.strip()
    yield from sorted(map(str, Path(root).glob(f"versions/{version}.*/bin/python")), reverse=True)


def run(job: Job, interpreter: Path) -> Outcome:
    """Build the job's environment and run its tests; all output goes to its log."""
    folder = WORK / job.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log = folder / "output.log"
    started = time.monotonic()
    python = folder / "venv" / "bin" / "python"
    steps: list[list[object]] = [
        [UV, "venv", "--quiet", "--python", interpreter, folder / "venv"],
        [UV, "pip", "install", "--quiet", "--python", python, "--editable", f"{ROOT}[{job.extras}]", *job.pins],
    ]
    if job.overrides:
        (folder / "overrides.txt").write_text("\n".join(job.overrides), encoding="utf-8")
        steps[-1] += ["--override", folder / "overrides.txt"]
    cache = ["-o", f"cache_dir={folder / 'pytest_cache'}"]
    steps.append([python, "-m", "pytest", *cache, *job.files])
    environment = {
        **os.environ,
        "UV_PYTHON_DOWNLOADS": "never",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis"),
    }
    environment.pop("VIRTUAL_ENV", None)
    with log.open("w", encoding="utf-8") as output:
        passed = all(_succeeds(step, environment, output) for step in steps)
    text = log.read_text(encoding="utf-8", errors="replace")
    summary = re.findall(r"^=*\s*(\d+ \w+.* in [\d.]+s.*?)=*$", text, re.MULTILINE)
    if not job.skips and summary and "skipped" in summary[-1]:
        passed = False
    if passed:
        shutil.rmtree(folder / "venv", ignore_errors=True)
    ended = summary[-1].strip() if summary else "no tests ran"
    return Outcome(job, passed, ended, time.monotonic() - started, log)


def _succeeds(step: list[object], environment: dict[str, str], output: IO[str]) -> bool:
    command = [str(part) for part in step]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=output, stderr=output, check=False, timeout=JOB_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        print(f"\nended after {JOB_TIMEOUT_S} s", file=output)
        return False
    return done.returncode == 0


def main() -> int:
    """Run the chosen jobs and print one line for each, and the log of each that failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *[job.name for job in JOBS]])
    parser.add_argument("--jobs", type=int, default=AT_A_TIME, help=f"how many at a time ({AT_A_TIME})")
    parser.add_argument("--list", action="store_true", help="only name the jobs")
    options = parser.parse_args()
    chosen = [job for job in JOBS if job.name in options.names or not options.names]
    if options.list:
        print("\n".join(f"{job.name:18} Python {job.python:5} {' '.join(job.pins)}" for job in chosen))
        return 0
    found = [(job, find_python(job.python)) for job in chosen]
    for job, interpreter in found:
        if interpreter is None:
            print(f"left out   {job.name}: no Python {job.python} on this machine", flush=True)
    failures = []
    with ThreadPoolExecutor(options.jobs) as pool:
        runs = [pool.submit(run, job, interpreter) for job, interpreter in found if interpreter is not None]
        for future in runs:
            outcome = future.result()
            verdict = "passed" if outcome.passed else "FAILED"
            print(f"{verdict:10} {outcome.job.name}: {outcome.summary} ({outcome.seconds:.0f} s in all)", flush=True)
            if not outcome.passed:
                failures.append(outcome)
    for outcome in failures:
        print(f"\n--- {outcome.job.name} ---\n{outcome.log.read_text(encoding='utf-8', errors='replace')[-15_000:]}")
    print(f"\nmatrix: {len(runs) - len(failures)} of {len(runs)} environments passed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
