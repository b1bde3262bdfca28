"""Every example is started as its README says, used as its README says, and sends the spans its README names."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from servers.otlp_receiver import OtlpReceiver

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDERS = sorted(path for path in EXAMPLES.iterdir() if path.is_dir() and not path.name.startswith("__"))
NEEDED = {
    "02-fastapi": ("fastapi", "uvicorn"),
    "03-flask-gunicorn": ("flask", "gunicorn"),
    "04-celery": ("celery",),
    "06-monitoring-fastapi": ("fastapi", "uvicorn"),
    "07-monitoring-flask": ("flask", "gunicorn"),
    "08-monitoring-django": ("django", "gunicorn"),
}
STARTS_WITHIN_S = 40

pytestmark = [pytest.mark.redis, pytest.mark.e2e, pytest.mark.slow]


def shell_blocks(readme: str) -> list[str]:
    """The shell commands a README shows."""
    return re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)


def expected_operations(readme: str) -> set[str]:
    """The operations a README's last line names."""
    line = next(line for line in readme.splitlines() if line.startswith("Spans: "))
    return set(re.findall(r"`([^`]+)`", line))


@pytest.fixture
def environment(redis_url: str, otlp_receiver: OtlpReceiver) -> dict[str, str]:
    """What a user's shell has: this interpreter's programs first on PATH, a Redis, and a place for OTLP."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTEST_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return kept | otlp_receiver.environment() | {"PATH": path, "REDIS_URL": redis_url, "PORT": str(port)}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_an_example_runs_as_its_readme_says(
    folder: Path, environment: dict[str, str], otlp_receiver: OtlpReceiver, tmp_path: Path
) -> None:
    """What a README shows is what happens: the commands work, and exactly the named operations are among the spans."""
    for module in NEEDED.get(folder.name, ()):
        pytest.importorskip(module)
    readme = (folder / "README.md").read_text(encoding="utf-8")
    start, *uses = shell_blocks(readme)
    log = tmp_path / "log"
    with log.open("wb") as output:
        program = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {start}"],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        if uses:
            for use in uses:
                _use(use, folder, environment)
            otlp_receiver.wait_for(
                lambda receiver: expected_operations(readme) <= _operations(receiver), f"spans of {folder.name}"
            )
        else:
            assert program.wait(60) == 0
    finally:
        _end(program)
        print(log.read_text(encoding="utf-8", errors="replace"))
    assert expected_operations(readme) <= _operations(otlp_receiver)


def test_no_example_mentions_telemetry() -> None:
    """The point of the examples: not one line of a program is about telemetry, but where it mounts our page."""
    for source in EXAMPLES.rglob("*.py"):
        if "-monitoring-" in source.parent.name:
            continue
        assert not re.search(r"opentelemetry|redispan", source.read_text(encoding="utf-8")), source


def test_every_example_is_in_the_list() -> None:
    """A new folder appears in the examples' README."""
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [folder.name for folder in FOLDERS if f"({folder.name})" not in listed] == []


def _operations(receiver: OtlpReceiver) -> set[str]:
    return {span.attributes["db.operation.name"] for span in receiver.spans(scope="redispan")}


def _use(command: str, folder: Path, environment: dict[str, str]) -> None:
    url = re.search(r"^curl (\S+)", command)
    if url is None:
        subprocess.run(["/bin/sh", "-c", command], cwd=folder, env=environment, check=True, timeout=60)
        return
    # Not every machine has curl, and a server needs a moment to start.
    address = url[1].replace("${PORT:-8000}", environment["PORT"])
    deadline = time.monotonic() + STARTS_WITHIN_S
    while True:
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                assert answer.status == 200
                return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _end(program: "subprocess.Popen[bytes]") -> None:
    if program.poll() is None:
        program.send_signal(signal.SIGTERM)
        try:
            program.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait()
