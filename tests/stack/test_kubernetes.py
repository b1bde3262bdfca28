"""The operator's resources hold what collector/config says, and the Collector takes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stack.native.stack import REPOSITORY, Tools

KUBERNETES = REPOSITORY / "collector" / "kubernetes"
TIERS = ["agent", "server", "gateway"]


def test_resources_are_up_to_date() -> None:
    """Nobody changed a file of collector/config without writing the resources again."""
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "collector/tools/kubernetes.py"), "--check"],
        check=False, text=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.stack
@pytest.mark.parametrize("tier", TIERS)
def test_the_collector_takes_the_resource(tier: str, tools: Tools, tmp_path: Path) -> None:
    """The configuration inside the resource, with the resource's environment, passes the Collector's check."""
    spec = yaml.safe_load((KUBERNETES / f"{tier}.yaml").read_text())["spec"]
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(spec["config"]))
    environment = {"PATH": os.environ["PATH"], **{entry["name"]: entry["value"] for entry in spec["env"]}}
    done = subprocess.run(
        [tools["otelcol"], "validate", f"--config={file}"],
        check=False, env=environment, text=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("tier", TIERS)
def test_the_queue_is_on_a_volume(tier: str) -> None:
    """The folder of the queue is mounted: a restarted pod finds what it had accepted."""
    spec = yaml.safe_load((KUBERNETES / f"{tier}.yaml").read_text())["spec"]
    mounted = {mount["mountPath"] for mount in spec["volumeMounts"]}
    directory = spec["config"]["extensions"]["file_storage/queue"]["directory"]
    assert any(f":-{path}/" in directory for path in mounted)
