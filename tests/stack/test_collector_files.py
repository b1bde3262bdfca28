"""Every Collector file, alone and combined, is accepted by the real Collector and means what it meant yesterday."""

from __future__ import annotations

import itertools
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack.native.stack import COLLECTOR_FILES, REPOSITORY, Tools

pytestmark = pytest.mark.stack

GOLDEN = Path(__file__).parent / "golden"
BACKENDS = sorted(path.stem for path in (COLLECTOR_FILES / "backends").glob("*.yaml"))
OVERLAYS = sorted(path.stem for path in (COLLECTOR_FILES / "overlays").glob("*.yaml") if path.stem != "bearer-with-aws")
# Both say which extensions run, and a list is replaced when files are merged: a third file names all of them.
TOGETHER = {("vendor-aws", "bearer"): ["overlays/bearer-with-aws"]}
SEVERAL_OVERLAYS = [
    ["tls", "bearer"],
    ["mtls", "bearer"],
    ["tail-sampling", "tls"],
    ["no-server-metrics", "tail-sampling", "mtls", "bearer"],
]
TIERS = {
    "agent-dns": ["scale/agent", "scale/resolver-dns"],
    "agent-static": ["scale/agent", "scale/resolver-static"],
    "agent-to-kafka": ["scale/no-derived", "backends/kafka"],
    "gateway": ["scale/gateway", "backends/jaeger", "backends/prometheus-otlp"],
    "gateway-sampling": ["scale/gateway", "overlays/tail-sampling", "backends/jaeger"],
    "gateway-from-kafka": ["scale/gateway", "scale/from-kafka", "backends/jaeger", "backends/prometheus-otlp"],
}
SECRET_VARIABLES = (
    "GRAFANA_CLOUD_BASIC", "HONEYCOMB_API_KEY", "NEW_RELIC_LICENSE_KEY", "DYNATRACE_API_TOKEN", "DD_API_KEY",
    "ELASTIC_API_KEY", "SPLUNK_ACCESS_TOKEN", "SIGNOZ_INGESTION_KEY", "REDIS_PASSWORD", "OTLP_AUTHORIZATION",
    "ALERTS_OTLP_AUTHORIZATION",
)  # fmt: skip
SECRET = "sesame-4711"


def run(tools: Tools, command: str, files: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a subcommand of the Collector on the base and more files."""
    arguments = [f"--config={COLLECTOR_FILES / file}.yaml" for file in ["base", *files]]
    (folder / "token").write_text(SECRET)
    environment = {
        "PATH": os.environ["PATH"],
        "OTLP_TOKEN_FILE": "token",
        "GATEWAYS": "[127.0.0.1:4317, 127.0.0.2:4317]",
        # Without these the AWS library would look for credentials in the network.
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_EC2_METADATA_DISABLED": "true",
    } | dict.fromkeys(SECRET_VARIABLES, SECRET)
    return subprocess.run(
        [tools["otelcol"], command, *arguments],
        check=False,
        env=environment,
        cwd=folder,
        text=True,
        capture_output=True,
        timeout=60,
    )


def merged(tools: Tools, files: list[str], folder: Path) -> dict[str, Any]:
    """The configuration that the Collector makes of the files."""
    done = run(tools, "print-config", files, folder)
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout, "print-config shows a secret: a header or password is not treated as one"
    return dict(yaml.safe_load(done.stdout))


def added(base: Any, more: Any) -> Any:
    """What the second tree has that the first has not."""
    if isinstance(base, dict) and isinstance(more, dict):
        found = {key: added(base[key], value) if key in base else value for key, value in more.items()}
        return {key: value for key, value in found.items() if value is not None} or None
    return None if base == more else more


def check_golden(name: str, found: Any) -> None:
    """Compares with the kept text; REDISPAN_WRITE_GOLDEN=1 keeps the new one, for a human to read in the diff."""
    text = yaml.safe_dump(found, sort_keys=True)
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("REDISPAN_WRITE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.exists(), f"no golden file {path.name}; write it with REDISPAN_WRITE_GOLDEN=1"
    assert text == path.read_text(), f"{path.name} has changed: if that is wanted, run with REDISPAN_WRITE_GOLDEN=1"


@pytest.fixture(scope="module")
def base(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The base configuration as the Collector sees it."""
    return merged(tools, [], tmp_path_factory.mktemp("base"))


def test_base_configuration_is_the_known_one(base: dict[str, Any]) -> None:
    """The base by itself loads, and no default of a new version has changed it unseen."""
    check_golden("base", base)


@pytest.mark.parametrize("backend", BACKENDS)
def test_backend_adds_only_its_own(backend: str, tools: Tools, base: dict[str, Any], tmp_path: Path) -> None:
    """A backend file adds exporters and pipelines, and leaves every pipeline of the base as it was."""
    whole = merged(tools, [f"backends/{backend}"], tmp_path)
    for name, pipeline in base["service"]["pipelines"].items():
        assert whole["service"]["pipelines"][name] == pipeline
    check_golden(f"backend-{backend}", added(base, whole))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay_is_the_known_one(overlay: str, tools: Tools, base: dict[str, Any], tmp_path: Path) -> None:
    """An overlay changes what it says it changes."""
    check_golden(f"overlay-{overlay}", added(base, merged(tools, [f"overlays/{overlay}"], tmp_path)))


@pytest.mark.parametrize("tier", TIERS)
def test_tier_is_the_known_one(tier: str, tools: Tools, base: dict[str, Any], tmp_path: Path) -> None:
    """Agents and gateways are made of the same base."""
    check_golden(f"tier-{tier}", added(base, merged(tools, TIERS[tier], tmp_path)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_backend_combines_with_every_overlay_and_every_other_backend(
    backend: str, tools: Tools, tmp_path: Path
) -> None:
    """Any base + backend + overlay, and any two backends under tail sampling, pass the Collector's own check."""
    pairs = [[f"overlays/{overlay}", *TOGETHER.get((backend, overlay), [])] for overlay in OVERLAYS]
    pairs += [
        [*(f"overlays/{overlay}" for overlay in overlays), *TOGETHER.get((backend, overlays[-1]), [])]
        for overlays in SEVERAL_OVERLAYS
    ]
    pairs += [[f"backends/{other}", "overlays/tail-sampling"] for other in BACKENDS if other > backend]
    for more in pairs:
        done = run(tools, "validate", [f"backends/{backend}", *more], tmp_path)
        assert done.returncode == 0, f"{backend} with {more}: {done.stderr}"


def test_all_backends_at_once(tools: Tools, tmp_path: Path) -> None:
    """Files are combinable without limit: all of them together still load."""
    done = run(tools, "validate", [f"backends/{backend}" for backend in BACKENDS], tmp_path)
    assert done.returncode == 0, done.stderr


def test_aws_behind_a_token_has_all_its_extensions(tools: Tools, tmp_path: Path) -> None:
    """Two files that list extensions, and the one that joins them: every extension of each runs."""
    files = ["backends/vendor-aws", "overlays/bearer", "overlays/bearer-with-aws"]
    alone = [merged(tools, [file], tmp_path)["service"]["extensions"] for file in files[:2]]
    assert set(merged(tools, files, tmp_path)["service"]["extensions"]) == {name for names in alone for name in names}


def test_a_wrong_key_is_refused(tools: Tools, tmp_path: Path) -> None:
    """The check above can fail: a misspelt key is an error, not a silent default."""
    broken = tmp_path / "broken.yaml"
    broken.write_text("exporters: {debug: {verbosty: basic}}\n")
    done = subprocess.run(
        [tools["otelcol"], "validate", f"--config={COLLECTOR_FILES / 'base.yaml'}", f"--config={broken}"],
        check=False, text=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert "verbosty" in done.stderr


def test_no_file_uses_what_newer_collectors_drop() -> None:
    """The image in docker-compose.yml is newer than the Collector we build: nothing on its way out is used."""
    gone = ("batch:", "otlphttp/", "otlphttp:", "otlp/", "spanmetrics:", "servicegraph:", "loadbalancing:", "logging:")
    for path in COLLECTOR_FILES.rglob("*.yaml"):
        settings = yaml.safe_load(path.read_text())
        keys = [
            f"{key}:" for section in ("processors", "exporters", "connectors") for key in settings.get(section) or {}
        ]
        for old, key in itertools.product(gone, keys):
            assert not key.startswith(old), f"{path.name} uses {key}"


def test_vendor_files_are_those_of_the_template() -> None:
    """Nobody has changed a vendor file by hand: the next run of the template would lose it."""
    done = subprocess.run(
        ["python3", str(REPOSITORY / "collector" / "tools" / "vendors.py"), "--check"],
        check=False, text=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
