"""The real Collector accepts every Collector file, alone and combined, and its meaning has not changed."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack.native.configurations import added, check_golden, printed, run
from stack.native.programs import Program
from stack.native.stack import COLLECTOR_FILES, REPOSITORY, Tools
from zero_code import free_ports

pytestmark = pytest.mark.stack

BACKENDS = sorted(path.stem for path in (COLLECTOR_FILES / "backends").glob("*.yaml"))
OVERLAYS = sorted(path.stem for path in (COLLECTOR_FILES / "overlays").glob("*.yaml") if path.stem != "bearer-with-aws")
TIERS = {
    "agent-dns": ["scale/agent", "scale/resolver-dns"],
    "agent-static": ["scale/agent", "scale/resolver-static"],
    "agent-to-kafka": ["scale/no-derived", "backends/kafka"],
    "gateway": ["scale/gateway", "backends/jaeger", "backends/prometheus-otlp"],
    "gateway-sampling": ["scale/gateway", "overlays/tail-sampling", "backends/jaeger"],
    "gateway-from-kafka": ["scale/gateway", "scale/from-kafka", "backends/jaeger", "backends/prometheus-otlp"],
}


@pytest.fixture(scope="module")
def base(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the base configuration as the Collector sees it."""
    return printed(tools, [], tmp_path_factory.mktemp("base"))


def test_base_configuration_is_the_known_one(base: dict[str, Any]) -> None:
    """The base loads by itself, and no default of a new version has changed it unnoticed."""
    check_golden("base", base)


@pytest.mark.parametrize("backend", BACKENDS)
def test_backend_adds_only_its_own(backend: str, tools: Tools, base: dict[str, Any], tmp_path: Path) -> None:
    """A backend file adds exporters and pipelines, and changes no pipeline of the base."""
    whole = printed(tools, [f"backends/{backend}"], tmp_path)
    for name, pipeline in base["service"]["pipelines"].items():
        assert whole["service"]["pipelines"][name] == pipeline
    check_golden(f"backend-{backend}", added(base, whole))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay_is_the_known_one(overlay: str, tools: Tools, base: dict[str, Any], tmp_path: Path) -> None:
    """An overlay changes only what its golden file shows."""
    check_golden(f"overlay-{overlay}", added(base, printed(tools, [f"overlays/{overlay}"], tmp_path)))


@pytest.mark.parametrize("tier", TIERS)
def test_tier_is_the_known_one(tier: str, tools: Tools, base: dict[str, Any], tmp_path: Path) -> None:
    """Agents and gateways are built from the same base."""
    check_golden(f"tier-{tier}", added(base, printed(tools, TIERS[tier], tmp_path)))


def test_all_backends_at_once(tools: Tools, tmp_path: Path) -> None:
    """Any number of files can be combined: all of them together load."""
    done = run(tools, "validate", [f"backends/{backend}" for backend in BACKENDS], tmp_path)
    assert done.returncode == 0, done.stderr


def test_aws_behind_a_token_has_all_its_extensions(tools: Tools, tmp_path: Path) -> None:
    """With two files that list extensions, and the file that joins them, the Collector runs every extension of each."""
    files = ["backends/vendor-aws", "overlays/bearer", "overlays/bearer-with-aws"]
    alone = [printed(tools, [file], tmp_path)["service"]["extensions"] for file in files[:2]]
    assert set(printed(tools, files, tmp_path)["service"]["extensions"]) == {name for names in alone for name in names}


def test_the_readmes_commands_start_a_collector(tools: Tools, tmp_path: Path) -> None:
    """The commands in the README are enough: the Collector becomes healthy, and its queue is below HOME."""
    readme = (REPOSITORY / "collector" / "README.md").read_text()
    (commands,) = (block for block in readme.split("```") if "otelcol-contrib --config" in block)
    commands = re.sub(r"\w+\.example\.org", "127.0.0.1", commands)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "otelcol-contrib").symlink_to(tools["otelcol"])
    grpc, http, health, metrics = free_ports(4)
    environment = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "OTELCOL_GRPC_PORT": str(grpc),
        "OTELCOL_HTTP_PORT": str(http),
        "OTELCOL_HEALTH_PORT": str(health),
        "OTELCOL_METRICS_PORT": str(metrics),
    }
    script = f"cd {REPOSITORY}\n" + commands.removeprefix("sh\n").replace("otelcol-contrib ", "exec otelcol-contrib ")
    program = Program("by-hand", ["sh", "-c", script], tmp_path, environment).start(f"http://127.0.0.1:{health}/")
    program.kill()
    assert (tmp_path / "otelcol-queue").is_dir()


def test_the_slim_collector_has_what_is_used_and_nothing_else(tools: Tools) -> None:
    """Some file names every component in the binary. A component that is not there needs no security update."""
    done = subprocess.run([tools["otelcol"], "components"], check=True, text=True, capture_output=True, timeout=60)
    built = yaml.safe_load(done.stdout)
    for section in ("receivers", "processors", "exporters", "connectors", "extensions"):
        used = {
            name.split("/")[0]
            for path in COLLECTOR_FILES.rglob("*.yaml")
            for name in yaml.safe_load(path.read_text()).get(section) or {}
        }
        assert {component["name"] for component in built[section]} == used, section


def test_a_key_can_come_from_a_file(tools: Tools, tmp_path: Path) -> None:
    """A variable may name a file instead of holding the secret. Secret managers write such files without a line end."""
    (tmp_path / "key").write_text("sesame-0815")
    files = [f"--config={COLLECTOR_FILES / name}.yaml" for name in ("base", "backends/vendor-dynatrace")]
    environment = {"DYNATRACE_ENVIRONMENT": "abc", "DYNATRACE_API_TOKEN": f"${{file:{tmp_path / 'key'}}}"}
    done = subprocess.run(
        [tools["otelcol"], "print-config", "--mode=unredacted", *files],
        check=True, env=environment, text=True, capture_output=True, timeout=60,
    )  # fmt: skip
    (exporter,) = (e for n, e in yaml.safe_load(done.stdout)["exporters"].items() if "dynatrace" in n)
    assert {"name": "Authorization", "value": "Api-Token sesame-0815"} in exporter["headers"]


def test_a_wrong_key_is_refused(tools: Tools, tmp_path: Path) -> None:
    """A misspelt key is an error and not a silent default, so the check above can fail."""
    broken = tmp_path / "broken.yaml"
    broken.write_text("exporters: {debug: {verbosty: basic}}\n")
    done = subprocess.run(
        [tools["otelcol"], "validate", f"--config={COLLECTOR_FILES / 'base.yaml'}", f"--config={broken}"],
        check=False, text=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert "verbosty" in done.stderr


def test_no_file_uses_what_newer_collectors_drop() -> None:
    """No file uses a deprecated key, because users run newer Collectors than the one that redispan builds."""
    gone = ("batch:", "otlphttp/", "otlphttp:", "otlp/", "spanmetrics:", "servicegraph:", "loadbalancing:", "logging:")
    for path in COLLECTOR_FILES.rglob("*.yaml"):
        settings = yaml.safe_load(path.read_text())
        keys = [
            f"{key}:" for section in ("processors", "exporters", "connectors") for key in settings.get(section) or {}
        ]
        for old, key in itertools.product(gone, keys):
            assert not key.startswith(old), f"{path.name} uses {key}"


def test_vendor_files_are_those_of_the_template() -> None:
    """No vendor file was changed by hand, because the next run of the template would lose the change."""
    done = subprocess.run(
        ["python3", str(REPOSITORY / "collector" / "tools" / "vendors.py"), "--check"],
        check=False, text=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
