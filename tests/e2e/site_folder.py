"""Make folders of packages: chosen distributions of the dev environment, fake ones, and witnesses.

An environment that lacks a package is a bare interpreter with such a folder first on its path. The Kubernetes operator
adds its packages to a program in the same way.
"""

import functools
import importlib.metadata
import importlib.util
import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement


def needed_by(*names: str, without: Iterable[str] = ()) -> set[str]:
    """List distributions and everything they need, without the excluded ones."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found or name in without:
            continue
        found.add(name)
        for line in importlib.metadata.requires(name) or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found


def link(folder: Path, distributions: Iterable[str]) -> Path:
    """Fill a folder with links to the files of installed distributions, including compiled files."""
    for name in distributions:
        for origin, place in _files_of(name):
            target = folder / place
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                target.symlink_to(origin)
    return folder


@functools.cache
def _files_of(name: str) -> tuple[tuple[Path, str], ...]:
    distribution = importlib.metadata.distribution(name)
    found = []
    for file in distribution.files or ():
        origin = Path(str(distribution.locate_file(file)))
        if file.parts[0] != ".." and file.suffix not in (".pth", ".pyc") and origin.exists():
            found.append((origin, str(file)))
            compiled = Path(importlib.util.cache_from_source(str(origin))) if file.suffix == ".py" else None
            if compiled is not None and compiled.exists():
                found.append((compiled, str(Path(file).parent / "__pycache__" / compiled.name)))
    if name == "redispan" and not any(place.startswith("redispan/") for _, place in found):
        # This distribution is installed for development: its metadata is in the environment, its modules in the
        # repository.
        package = importlib.util.find_spec("redispan")
        assert package is not None
        assert package.origin is not None
        found.append((Path(package.origin).parent, "redispan"))
    return tuple(found)


def fake_distribution(folder: Path, name: str, version: str, modules: dict[str, str], entry_points: str = "") -> Path:
    """Add a fake distribution with these files to a folder."""
    for place, text in modules.items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text(entry_points)
    return folder


def witness(folder: Path, name: str) -> Path:
    """Add an instrumentor that prints when it is loaded. It must be loaded whatever redispan's instrumentor does."""
    return fake_distribution(
        folder,
        name,
        "1.0",
        {f"{name}.py": f"class Witness:\n    def instrument(self, **_):\n        print('{name} was instrumented')\n"},
        f"[opentelemetry_instrumentor]\n{name} = {name}:Witness\n",
    )


def bare_python(folder: Path) -> Path:
    """Make an interpreter that has no packages installed."""
    venv.create(folder, symlinks=True, with_pip=False)
    return folder / "bin" / "python"


def install(folder: Path, *requirements: str) -> Path:
    """Install packages into a folder, from the package index or from uv's cache."""
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--python", sys.executable]
    subprocess.run([*command, "--target", str(folder), *requirements], check=True, timeout=100)
    return folder
