"""docker-compose.yml is checked without a container engine: the specification's loader, pins and ports."""

from __future__ import annotations

import os
import re
import subprocess
import urllib.request
import venv
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack.native.compose_file import COMPOSE_FILE, REPOSITORY, pip_install, replace_all, replayed, service
from stack.native.stack import Stack, Tools, load_builder


def compose() -> dict[str, Any]:
    """Return the content of the compose file."""
    return dict(yaml.safe_load(COMPOSE_FILE.read_text()))


@pytest.mark.stack
def test_the_specifications_loader_takes_it(tools: Tools, tmp_path: Path) -> None:
    """No key is misspelt and no reference dangles. A misspelt key would make this test fail."""
    done = subprocess.run(
        [tools["compose-check"], COMPOSE_FILE], check=False, text=True, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    broken = tmp_path / "broken.yml"
    broken.write_text(COMPOSE_FILE.read_text().replace("healthcheck:", "healthchek:", 1))
    assert (
        subprocess.run([tools["compose-check"], broken], check=False, capture_output=True, timeout=60).returncode != 0
    )


@pytest.mark.stack
@pytest.mark.parametrize("name", ["otelcol", "redis", "jaeger", "prometheus", "alertmanager", "shop"])
def test_the_native_run_reads_what_the_loader_reads(name: str, tools: Tools) -> None:
    """The test's reader of the compose file, which the native run uses, agrees with the specification's loader."""
    done = subprocess.run(
        [tools["compose-check"], COMPOSE_FILE],
        check=False, text=True, capture_output=True, timeout=60, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    wanted = yaml.safe_load(done.stdout)["services"][name]
    found = service(name)
    assert found.command == [str(part) for part in wanted["command"]]
    assert found.environment == {key: str(value) for key, value in (wanted.get("environment") or {}).items()}


@pytest.mark.stack
@pytest.mark.parametrize("name", ["jaeger", "prometheus", "alertmanager"])
def test_health_checks_ask_what_is_answered(name: str, stack: Stack) -> None:
    """The address of each health check answers 200 while the program runs, to busybox' HEAD and to a GET."""
    shipped = compose()["services"][name]["healthcheck"]["test"][-1]
    address = replace_all(shipped, stack.addresses())
    assert address != shipped, "the native run does not know this address"
    for method in ("GET", "HEAD"):
        with urllib.request.urlopen(urllib.request.Request(address, method=method), timeout=10) as reply:
            assert reply.status == 200


def test_health_checks_ask_where_the_program_listens() -> None:
    """Health checks avoid `localhost`, which may be ::1 first.

    wget tries no second address, so a program that listens on 0.0.0.0 would count as unhealthy.
    """
    for name, entry in compose()["services"].items():
        asked = str(entry.get("healthcheck", {}).get("test", ""))
        assert "localhost" not in asked, name


def test_every_image_with_a_shell_has_a_health_check() -> None:
    """Every image with a shell has a health check.

    The listed images contain only their program; telemetry shows the shop's state.
    """
    without = {name for name, entry in compose()["services"].items() if "healthcheck" not in entry}
    assert without == {"otelcol", "loki", "tempo", "shop", "otelcol-volume"}


def test_every_image_is_pinned() -> None:
    """No image is `latest`, so a new release cannot break the stack."""
    for name, entry in compose()["services"].items():
        if "image" in entry:
            tag = entry["image"].rpartition(":")[2]
            assert tag.lstrip("v")[0].isdigit(), f"{name}: {entry['image']}"


def versions_run() -> dict[str, str]:
    """Return the version that each program of these tests reports, by the name of its service."""
    pins = load_builder().pins()
    modules = {name: pin["version"].removeprefix("v") for name, pin in pins["module"].items()}
    jaeger, prometheus = modules["jaeger"].split("."), modules["prometheus"].split(".")
    return {
        "otelcol": yaml.safe_load((REPOSITORY / "collector" / "builder.yaml").read_text())["dist"]["version"],
        # Both Go modules have other numbers than the programs: 1.76 is Jaeger 2.13, 0.316 is Prometheus 3.16.
        "jaeger": f"2.{int(jaeger[1]) - 63}.{jaeger[2]}",
        "prometheus": f"3.{int(prometheus[1]) - 300}.{prometheus[2]}",
        "alertmanager": modules["alertmanager"],
        "kafka": pins["maven"]["kafka"]["artifact"].rpartition(":")[2],
        "victorialogs": modules["victorialogs"],
    }


@pytest.mark.parametrize(("name", "version"), versions_run().items())
def test_the_image_is_of_the_version_that_was_run(name: str, version: str) -> None:
    """`docker compose up` starts the same versions that these tests run."""
    assert compose()["services"][name]["image"].rpartition(":")[2].removeprefix("v") == version


def test_ports_are_published_on_loopback_only() -> None:
    """Ports are published on loopback only, so other machines in the network cannot reach the stack."""
    for name, entry in compose()["services"].items():
        for port in entry.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} publishes {port}"


def test_every_mounted_file_exists() -> None:
    """Every mounted path exists.

    Docker would mount a missing one as an empty folder, and the program would lose its settings.
    """
    for name in compose()["services"]:
        for source in service(name).mounts.values():
            assert source.exists(), f"{name} mounts {source.relative_to(REPOSITORY)}"


def test_every_named_collector_file_exists() -> None:
    """The Collector's files exist for the default and for every profile that names a backend."""
    for backend in (
        "debug",
        *(profile for entry in compose()["services"].values() for profile in entry.get("profiles", [])),
    ):
        for overlay in ("none", "tail-sampling"):
            command, _ = service("otelcol", {"EXTRA_BACKEND": backend, "OVERLAY": overlay}).native({})
            for part in command:
                assert Path(part.removeprefix("--config=")).exists(), part


def test_the_collectors_volume_is_made_writable() -> None:
    """Another container makes the volume writable before the Collector starts, whose image has no shell and no root."""
    services = compose()["services"]
    assert services["otelcol-volume"]["entrypoint"][:3] == ["chown", "-R", "10001:10001"]
    assert services["otelcol"]["depends_on"]["otelcol-volume"] == {"condition": "service_completed_successfully"}


@pytest.mark.timeout(300)
def test_the_shops_image_would_run(tmp_path: Path) -> None:
    """The files that the shop's Dockerfile copies are enough to install it, and to start it once installed."""
    lines = (REPOSITORY / "collector" / "example" / "Dockerfile").read_text().splitlines()
    venv.create(tmp_path / "python", symlinks=True, with_pip=False)
    programs = tmp_path / "python" / "bin"
    run = False
    for step in replayed(lines, tmp_path):
        pip_install(re.sub(r"(?<![\w.])/src", str(tmp_path / "src"), step), programs / "python")
        run = True
    assert run
    done = subprocess.run(
        [programs / "opentelemetry-instrument", programs / "python", tmp_path / "app" / "shop.py", "--seconds", "0"],
        check=False, text=True, capture_output=True, timeout=60,
        env={"PATH": f"{programs}:{os.environ['PATH']}", "OTEL_TRACES_EXPORTER": "none",
             "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "served" in done.stdout
    asked = "import redis, redispan; from opentelemetry.exporter.otlp.proto.grpc import trace_exporter"
    subprocess.run([programs / "python", "-c", asked], check=True, timeout=60)
