"""The result that the Collector makes of a set of files, in a form that a test can compare with an earlier one."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from stack.native.stack import COLLECTOR_FILES, Tools
from waiting import PATIENCE_S

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
REWRITE = "REDISPAN_WRITE_GOLDEN"
SECRET = "sesame-4711"
SECRET_VARIABLES = (
    "GRAFANA_CLOUD_BASIC", "HONEYCOMB_API_KEY", "NEW_RELIC_LICENSE_KEY", "DYNATRACE_API_TOKEN", "DD_API_KEY",
    "ELASTIC_API_KEY", "SPLUNK_ACCESS_TOKEN", "SIGNOZ_INGESTION_KEY", "REDIS_PASSWORD", "OTLP_AUTHORIZATION",
    "ALERTS_OTLP_AUTHORIZATION",
)  # fmt: skip
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SECTIONS = ("receivers", "processors", "exporters", "connectors", "extensions")


def run(
    tools: Tools, command: str, files: list[str], folder: Path, root: Path = COLLECTOR_FILES
) -> subprocess.CompletedProcess[str]:
    """Run a subcommand of the Collector on the base and more files."""
    arguments = [f"--config={root / file}.yaml" for file in ["base", *files]]
    (folder / "token").write_text(SECRET)
    # It has nothing of this machine, so the printed result is the same on every machine.
    environment = {
        "PATH": os.environ["PATH"],
        "OTLP_TOKEN_FILE": "token",
        "GATEWAYS": "[127.0.0.1:4317, 127.0.0.2:4317]",
        # Without these the AWS library would look for credentials in the network.
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_EC2_METADATA_DISABLED": "true",
        # Each of some thousand runs ends before there is much garbage, and collecting it is a third of its work.
        "GOGC": "off",
    } | dict.fromkeys(SECRET_VARIABLES, SECRET)
    return subprocess.run(
        [tools["otelcol"], command, *arguments],
        check=False,
        env=environment,
        cwd=folder,
        text=True,
        capture_output=True,
        timeout=PATIENCE_S,
    )


def printed(tools: Tools, files: list[str], folder: Path, root: Path = COLLECTOR_FILES) -> dict[str, Any]:
    """Return the configuration that the Collector makes of the files, with every default. It hides secrets."""
    done = run(tools, "print-config", files, folder, root)
    assert done.returncode == 0, f"{files}: {done.stderr}"
    assert SECRET not in done.stdout, "print-config shows a secret: a header or password is not treated as one"
    return dict(yaml.load(done.stdout, Loader=_LOADER))


def written(files: list[str], root: Path = COLLECTOR_FILES) -> dict[str, Any]:
    """Return the files merged by the Collector's rule: maps are joined, everything else is replaced.

    Needed beside `printed`, which omits what some components do not print: the policies of tail sampling, the verbosity
    of `debug`, the values of headers.
    """
    whole: dict[str, Any] = {}
    for file in ["base", *files]:
        whole = _joined(whole, yaml.load((root / f"{file}.yaml").read_text(), Loader=_LOADER) or {})
    return whole


def added(base: Any, more: Any) -> Any:
    """Return what the second tree has that the first does not."""
    if isinstance(base, dict) and isinstance(more, dict):
        found = {key: added(base[key], value) if key in base else value for key, value in more.items()}
        return {key: value for key, value in found.items() if value is not None} or None
    return None if base == more else more


def digest(base: list[Any], whole: list[Any]) -> str:
    """Return a short name of all differences between trees and their bases. One other value gives another name."""
    differences = [[added(old, new), added(new, old)] for old, new in zip(base, whole, strict=True)]
    return hashlib.sha256(json.dumps(differences, sort_keys=True).encode()).hexdigest()[:16]


def shape(base: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """Return an outline of a configuration: components, pipelines and extensions that the base does not have."""
    found: dict[str, Any] = {}
    names = {section: [set(tree.get(section) or {}) for tree in (base, whole)] for section in _SECTIONS}
    adds = {section: sorted(new - old) for section, (old, new) in names.items() if new - old}
    changes = sorted(
        f"{section}.{name}"
        for section in _SECTIONS
        for name in names[section][0] & names[section][1]
        if base[section][name] != whole[section][name]
    )
    changes += sorted(
        f"service.{name}"
        for name, value in whole["service"].items()
        if name not in ("pipelines", "extensions") and value != base["service"][name]
    )
    assert not any(old - new for old, new in names.values()), "merging files cannot take a component away"
    if adds:
        found["adds"] = adds
    if changes:
        found["changes"] = changes
    if whole["service"]["extensions"] != base["service"]["extensions"]:
        found["extensions"] = " ".join(whole["service"]["extensions"])
    lines = {
        name: " -> ".join(
            ", ".join(pipeline[part]) for part in ("receivers", "processors", "exporters") if pipeline[part]
        )
        for name, pipeline in whole["service"]["pipelines"].items()
        if pipeline != base["service"]["pipelines"].get(name)
    }
    if lines:
        found["pipelines"] = lines
    return found


def together(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the expected sum of files with known shapes, when none of them touches what another one does."""
    whole: dict[str, Any] = {}
    for part in parts:
        for section, names in part.get("adds", {}).items():
            adds = whole.setdefault("adds", {})
            adds[section] = sorted({*adds.get(section, []), *names})
        if "changes" in part:
            whole["changes"] = sorted({*whole.get("changes", []), *part["changes"]})
        if "extensions" in part:
            whole["extensions"] = part["extensions"]
        if "pipelines" in part:
            whole["pipelines"] = whole.get("pipelines", {}) | part["pipelines"]
    return whole


def check_golden(name: str, found: Any, *, width: int = 80) -> None:
    """Compare with the kept text. REDISPAN_WRITE_GOLDEN=1 keeps the new one, for a human to read in the diff."""
    text = yaml.safe_dump(found, sort_keys=True, width=width)
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get(REWRITE):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.exists(), f"no golden file {path.name}; write it with {REWRITE}=1"
    assert text == path.read_text(), f"{path.name} has changed: if that is wanted, run with {REWRITE}=1"


def _joined(first: Any, second: Any) -> Any:
    if isinstance(first, dict) and isinstance(second, dict):
        return first | {key: _joined(first[key], value) if key in first else value for key, value in second.items()}
    return second
