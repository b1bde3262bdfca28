"""Read docker-compose.yml for a native run: command lines, environments and mounts of its services."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[3]
COMPOSE_FILE = REPOSITORY / "docker-compose.yml"
_VARIABLE = re.compile(r"\$\{(?P<name>\w+):-(?P<default>[^}]*)\}")


@dataclass(frozen=True)
class Service:
    """The settings with which Docker would start a container of the service."""

    name: str
    command: list[str]
    environment: dict[str, str]
    mounts: dict[str, Path]

    def native(self, replace: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
        """Return command line and environment with container paths and addresses changed to native ones.

        Args:
            replace: More texts to replace, such as "jaeger:4317" by a loopback address.
        """
        changes = {target: str(source) for target, source in self.mounts.items()} | dict(replace)
        return (
            [replace_all(part, changes) for part in self.command],
            {name: replace_all(value, changes) for name, value in self.environment.items()},
        )


def replace_all(text: str, changes: Mapping[str, str]) -> str:
    """Replace every key by its value, longer keys first, so that no key changes a part of another."""
    for old in sorted(changes, key=len, reverse=True):
        text = re.sub(rf"(?<![\w.]){re.escape(old)}(?![\w])", lambda _, old=old: changes[old], text)
    return text


def service(name: str, variables: Mapping[str, str] | None = None) -> Service:
    """Return one service of the compose file, with its `${NAME:-default}` filled in."""
    text = _VARIABLE.sub(lambda m: (variables or {}).get(m["name"], m["default"]), COMPOSE_FILE.read_text())
    entry = yaml.safe_load(text)["services"][name]
    return Service(
        name=name,
        command=[str(part) for part in entry.get("command", [])],
        environment={key: str(value) for key, value in entry.get("environment", {}).items()},
        mounts=dict(_mount(volume) for volume in entry.get("volumes", []) if volume.startswith(".")),
    )


def replayed(lines: Iterable[str], root: Path) -> Iterator[str]:
    """Do what COPY in the lines of a Dockerfile does, below ``root``, and yield each RUN in its turn."""
    for line in lines:
        instruction, _, rest = line.partition(" ")
        if instruction == "COPY":
            *sources, target = rest.split()
            for source in sources:
                _copy(REPOSITORY / source, root / target.strip("/"), into=target.endswith("/"))
        elif instruction == "RUN":
            yield rest


def pip_install(command: str, python: Path) -> None:
    """Run a `pip install` of a Dockerfile for an interpreter with uv, which does the same in a tenth of the time."""
    words = f"pip install --python {python} --quiet"
    subprocess.run(
        f"{sys.executable} -m uv {command.replace('pip install --no-cache-dir', words)}",
        shell=True,
        check=True,
        timeout=200,
    )


def _copy(source: Path, target: Path, *, into: bool) -> None:
    """Do what COPY of a Dockerfile does with one source."""
    target = target / source.name if into else target
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)


def _mount(volume: str) -> tuple[str, Path]:
    source, target = volume.split(":")[:2]
    return target, (REPOSITORY / source).resolve()
