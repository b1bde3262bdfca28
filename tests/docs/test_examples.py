"""Every example starts and is used as its README describes, and sends the spans that its README names."""

import re
import subprocess
from pathlib import Path

import pytest

from servers.otlp_receiver import OtlpReceiver
from waiting import PATIENCE_S
from zero_code import Launcher, free_port, wait_until_served

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

pytestmark = [pytest.mark.redis, pytest.mark.e2e, pytest.mark.slow]


def shell_blocks(readme: str) -> list[str]:
    """Return the shell commands that a README shows."""
    return re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)


def expected_operations(readme: str) -> set[str]:
    """Return the operations that a README's last line names."""
    line = next(line for line in readme.splitlines() if line.startswith("Spans: "))
    return set(re.findall(r"`([^`]+)`", line))


@pytest.fixture
def shell(redis_url: str, otlp_receiver: OtlpReceiver) -> Launcher:
    """Return a user's shell: this interpreter's programs first on PATH, a Redis and an OTLP endpoint."""
    variables = {**otlp_receiver.environment(), "REDIS_URL": redis_url, "PORT": str(free_port())}
    return Launcher(variables, disabled=())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_an_example_runs_as_its_readme_says(
    folder: Path, shell: Launcher, otlp_receiver: OtlpReceiver, tmp_path: Path
) -> None:
    """The commands of a README work, and exactly the operations that it names are among the spans."""
    for module in NEEDED.get(folder.name, ()):
        pytest.importorskip(module)
    readme = (folder / "README.md").read_text(encoding="utf-8")
    start, *uses = shell_blocks(readme)
    shell.folder = folder
    with shell.running(tmp_path / "log", "/bin/sh", "-c", f"exec {start}", instrumented=False) as program:
        if uses:
            for use in uses:
                _use(use, shell, program)
            otlp_receiver.wait_for(
                lambda receiver: expected_operations(readme) <= _operations(receiver), f"spans of {folder.name}"
            )
        else:
            assert program.wait(PATIENCE_S) == 0
    assert expected_operations(readme) <= _operations(otlp_receiver)


def test_no_example_mentions_telemetry() -> None:
    """No line of an example's program is about telemetry, except where an example mounts the monitoring page."""
    for source in EXAMPLES.rglob("*.py"):
        if "-monitoring-" in source.parent.name:
            continue
        assert not re.search(r"opentelemetry|redispan", source.read_text(encoding="utf-8")), source


def test_every_example_is_in_the_list() -> None:
    """Every example's folder is in the list of the examples' README."""
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [folder.name for folder in FOLDERS if f"({folder.name})" not in listed] == []


def _operations(receiver: OtlpReceiver) -> set[str]:
    return {span.attributes["db.operation.name"] for span in receiver.spans(scope="redispan")}


def _use(command: str, shell: Launcher, program: "subprocess.Popen[bytes]") -> None:
    url = re.search(r"^curl (\S+)", command)
    if url is not None:
        # Not every machine has curl, and a server needs a moment to start.
        wait_until_served(url[1].replace("${PORT:-8000}", shell.variables["PORT"]), program)
        return
    words = ["/bin/sh", "-c", command]
    subprocess.run(words, cwd=shell.folder, env=shell.environment(), check=True, timeout=PATIENCE_S)
