#!/usr/bin/env python3
"""Builds the programs that the end-to-end tests run: Collector, Jaeger, Prometheus, Alertmanager and two checkers.

Usage: python collector/tools/build.py [--where] [NAME ...]     (no name: all of them)

Everything lands in a cache outside the repository, one folder per program, named after a hash of its pins:
change a pin and only that program is built again.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import tomllib

HERE = Path(__file__).resolve().parent
PINS_FILE = HERE / "versions.toml"
OCB_MANIFEST = HERE.parent / "builder.yaml"
# A build may run beside tests, with what they leave of the machine.
BUILD_TIMEOUT_S = 5400


class MissingToolError(Exception):
    """Something that the build itself needs is not on this machine."""


def main() -> int:
    """Builds the named programs, or prints where they are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(names())}")
    parser.add_argument("--where", action="store_true", help="print the paths and build nothing")
    arguments = parser.parse_args()
    for name in arguments.names or names():
        if arguments.where:
            print(f"{name}\t{path_of(name)}\t{'built' if path_of(name).exists() else 'missing'}")
            continue
        try:
            started = time.monotonic()
            path = ensure(name)
        except (MissingToolError, subprocess.CalledProcessError) as problem:
            print(f"cannot build {name}: {problem}", file=sys.stderr)
            return 1
        print(f"{name}\t{path}\t{time.monotonic() - started:.0f} s", flush=True)
    return 0


def pins() -> dict:
    """Reads the pinned versions."""
    return tomllib.loads(PINS_FILE.read_text())


def names() -> list[str]:
    """Lists every program, the quick ones first."""
    read = pins()
    return [*read["debian"], *read["maven"], *sorted(read["module"]), "otelcol"]


def path_of(name: str) -> Path:
    """Says where a program is once it has been built."""
    return _folder(name) / name


def ensure(name: str) -> Path:
    """Builds a program unless the cache has it, and returns its path.

    The finished folder is put in place by one rename: two runs at once cannot see half a build, and the second one
    waits for the first instead of doing the same.
    """
    path = path_of(name)
    if path.exists():
        return path
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(name), tempfile.TemporaryDirectory(prefix=f"{name}-", dir=folder) as scratch:
        if path.exists():
            return path
        work = Path(scratch)
        _build(name, work)
        finished = work / "finished"
        finished.mkdir()
        for part in (name, "libs"):
            if (work / part).exists():
                shutil.move(work / part, finished / part)
        finished.rename(path.parent)
    return path


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    with (cache_folder() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(name: str, work: Path) -> None:
    read = pins()
    if name in read["debian"]:
        _unpack_debian(read["debian"][name], work, work / name)
    elif name in read["maven"]:
        _gather_jars(read["maven"][name], work, work / name)
    elif name in read["module"]:
        _build_module(read["module"][name], work, work / name)
    elif name == "otelcol":
        _build_collector(read["otelcol"], work, work / name)
    else:
        raise MissingToolError(f"no such program; known are {', '.join(names())}")


def _folder(name: str) -> Path:
    return cache_folder() / f"{name}-{_fingerprint(name)}"


def cache_folder() -> Path:
    """The folder that holds all built programs."""
    return Path(os.environ.get("REDISPAN_TOOLS_CACHE") or Path.home() / ".cache" / "redispan")


def _fingerprint(name: str) -> str:
    read = pins()
    pinned = read["debian"].get(name) or read["maven"].get(name) or read["module"].get(name) or read["otelcol"]
    text = json.dumps([pinned, read["go"]], sort_keys=True)
    if name == "otelcol":
        text += OCB_MANIFEST.read_text()
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _unpack_debian(pin: dict, work: Path, target: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise MissingToolError(f"it comes from Debian's package {pin['package']}, and this machine has no apt-get")
    download = ["apt-get", "download", "--quiet", pin["package"]]
    # apt drops to an unprivileged user that may not write to our folder; it then says so and goes on as root.
    if subprocess.run(download, check=False, cwd=work, capture_output=True, timeout=300).returncode != 0:
        subprocess.run(["apt-get", "update", "--quiet"], check=True, capture_output=True, timeout=300)
        subprocess.run(download, cwd=work, check=True, capture_output=True, timeout=300)
    (package,) = work.glob("*.deb")
    subprocess.run(["dpkg-deb", "--extract", package, work / "unpacked"], check=True, timeout=120)
    shutil.move(work / "unpacked" / pin["path"], target)


def _gather_jars(pin: dict, work: Path, target: Path) -> None:
    """Gathers a Java program's jars, and writes a starter: `kafka MAIN-CLASS ARGUMENT...`."""
    if not (shutil.which("mvn") and shutil.which("java")):
        raise MissingToolError(f"{pin['artifact']} needs java and mvn on PATH")
    group, artifact, version = pin["artifact"].split(":")
    dependency = f"<groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>"
    (work / "pom.xml").write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>redispan</groupId><artifactId>tool</artifactId><version>1</version>"
        f"<dependencies><dependency>{dependency}</dependency></dependencies></project>"
    )
    goal = ["dependency:copy-dependencies", "-DoutputDirectory=libs", "-DincludeScope=runtime"]
    subprocess.run(["mvn", "-q", "-B", *goal], cwd=work, check=True, capture_output=True, timeout=BUILD_TIMEOUT_S)
    target.write_text('#!/bin/sh\nexec java $JAVA_OPTS -cp "$(dirname "$0")/libs/*" "$@"\n')
    target.chmod(0o755)


def _build_module(pin: dict, work: Path, target: Path) -> None:
    """Builds a program as a tool of a throw-away module, which may repeat the program's own replaces.

    `go install program@version` refuses a module that has any. The program's go.sum is taken over
    after its zip has been compared with the pinned hash, so everything below it is pinned as well.
    """
    reply = json.loads(_go(["mod", "download", "-json", f"{pin['module']}@{pin['version']}"], work))
    if reply["Sum"] != pin["sum"]:
        raise MissingToolError(f"{pin['module']} {pin['version']} has hash {reply['Sum']}, pinned is {pin['sum']}")
    module_folder = Path(reply["Dir"])
    lines = ["module redispan/tool", f"go {_go_directive(module_folder)}", f"require {pin['module']} {pin['version']}"]
    lines += [f"replace {line}" for line in pin.get("replace", [])]
    lines += [f"exclude {line}" for line in pin.get("exclude", [])]
    (work / "go.mod").write_text("\n".join(lines) + "\n")
    shutil.copyfile(module_folder / "go.sum", work / "go.sum")
    (work / "go.sum").chmod(0o644)
    # Without the version `get` would raise it to the newest.
    _go(["get", f"{pin['package']}@{pin['version']}"], work)
    _go(["build", "-ldflags=-s -w", f"-tags={pin.get('tags', '')}", "-o", str(target), pin["package"]], work)


def _go_directive(module_folder: Path) -> str:
    for line in (module_folder / "go.mod").read_text().splitlines():
        if line.startswith("go "):
            return line.split()[1]
    return "1.24"


def _build_collector(pin: dict, work: Path, target: Path) -> None:
    _go(["install", pin["builder"]], work, GOBIN=str(work))
    manifest = OCB_MANIFEST.read_text().replace("./_build", str(work / "build"))
    (work / "builder.yaml").write_text(manifest)
    # The strict check would refuse the components that stay one minor behind (see builder.yaml).
    command = ["./builder", "--skip-strict-versioning", "--ldflags=-s -w", "--config", "builder.yaml"]
    _run(command, work)
    shutil.move(work / "build" / pin["binary"], target)


def _go(arguments: list[str], work: Path, **extra_environment: str) -> str:
    return _run(["go", *arguments], work, **extra_environment)


def _run(command: list[str], work: Path, **extra_environment: str) -> str:
    if shutil.which("go") is None:
        raise MissingToolError(f"Go is not installed (needed: {pins()['go']['minimum']} or newer, on PATH)")
    niced = ["nice", "-n", "10", *command] if shutil.which("nice") else command
    done = subprocess.run(
        niced,
        check=False,
        cwd=work,
        env=_go_environment() | extra_environment,
        text=True,
        capture_output=True,
        timeout=BUILD_TIMEOUT_S,
    )
    if done.returncode != 0:
        print(done.stdout[-2000:], done.stderr[-4000:], sep="\n", file=sys.stderr)
        done.check_returncode()
    return done.stdout


def _go_environment() -> dict[str, str]:
    """The environment of a build: the proxy alone, this Go, two compilers at a time.

    Without `,direct` a module that the proxy lacks is a quick, clear error. The checksum service
    is left out: it is not reachable everywhere, and the pinned hashes do its work.
    """
    proxies = (
        os.environ.get("GOPROXY")
        or subprocess.run(
            ["go", "env", "GOPROXY"], check=False, text=True, capture_output=True, timeout=60
        ).stdout.strip()
    )
    return os.environ | {
        "GOPROXY": proxies.removesuffix(",direct"),
        "GONOSUMDB": "*",
        "GOTOOLCHAIN": "local",
        # One set of flags for all, so that what programs have in common, such as Go's own library, is compiled once.
        "GOFLAGS": "-p=2 -mod=mod -buildvcs=false -trimpath",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }


if __name__ == "__main__":
    sys.exit(main())
