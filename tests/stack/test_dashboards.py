"""The dashboards' JSON matches the board definitions, and Grafana's provisioning finds it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import yaml

from stack.native.compose_file import COMPOSE_FILE
from stack.native.stack import REPOSITORY

GRAFANA = REPOSITORY / "collector" / "grafana"
BOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))


@pytest.mark.skipif(sys.version_info < (3, 11), reason="grafana-foundation-sdk needs Python 3.11")
def test_json_is_up_to_date() -> None:
    """The JSON is what the board definitions produce, so neither was changed alone."""
    done = subprocess.run(
        [sys.executable, str(GRAFANA / "generate.py"), "--check"],
        check=False, text=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_panels_explain_themselves_and_fit(path: object) -> None:
    """Every panel has a description and a unit and reads the provisioned source. No two panels overlap."""
    board = json.loads(path.read_text())  # type: ignore[attr-defined]
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert panels
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "prometheus", panel["title"]
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert max(x for x, _ in cells) < 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.skipif(sys.version_info < (3, 11), reason="grafana-foundation-sdk needs Python 3.11")
@pytest.mark.filterwarnings("ignore:Prefer using dashboardv2")
@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_grafanas_own_model_reads_it(path: object) -> None:
    """Grafana's own model reads every board and writes it back without loss."""
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    board = json.loads(path.read_text())  # type: ignore[attr-defined]
    assert json.loads(json.dumps(Dashboard.from_json(board), cls=JSONEncoder)) == board


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_colours_mean_something(path: object) -> None:
    """No panel uses Grafana's default limits, which turn red at 80 of any unit.

    Panels with several curves name them.
    """
    for panel in json.loads(path.read_text())["panels"]:  # type: ignore[attr-defined]
        if panel["type"] == "row":
            continue
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps[0]["value"] is None, panel["title"]
        assert [step["value"] for step in steps[1:]] == sorted(step["value"] for step in steps[1:]), panel["title"]
        if panel["type"] == "timeseries":
            assert all(target["legendFormat"] for target in panel["targets"]), panel["title"]


@pytest.mark.parametrize(
    ("board", "title", "alert"),
    [
        ("overview", "Errors", "RedisClientHighErrorRatio"),
        ("overview", "p95", "RedisClientSlow"),
        ("overview", "Within 100 ms", "RedisClientOutsideTarget"),
        ("overview", "Fullest pool", "RedisPoolNearlyFull"),
        ("overview", "Server memory", "RedisServerMemoryHigh"),
        ("collector", "Queues", "OtelcolQueueFilling"),
    ],
)
def test_panels_change_colour_where_alerts_fire(board: str, title: str, alert: str) -> None:
    """A panel turns red at the limit at which its alert rule fires."""
    panels = json.loads((GRAFANA / "dashboards" / f"{board}.json").read_text())["panels"]
    (panel,) = (panel for panel in panels if panel["title"] == title)
    rules = [
        rule
        for path in (REPOSITORY / "collector/prometheus/rules").glob("alerts-*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]
    (expression,) = (rule["expr"] for rule in rules if rule["alert"] == alert)
    limit = float(expression.split()[-1])
    assert limit in [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]


def test_provisioning_fits_the_compose_file() -> None:
    """Folders, addresses and the home dashboard are the ones that the compose file mounts and names."""
    grafana = yaml.safe_load(COMPOSE_FILE.read_text())["services"]["grafana"]
    mounted = dict(reversed(volume.split(":")[:2]) for volume in grafana["volumes"])
    provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/dashboards.yml").read_text())["providers"][0]
    folder = provider["options"]["path"]
    assert mounted[folder] == "./collector/grafana/dashboards"
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.startswith(folder)
    assert (GRAFANA / "dashboards" / home.rsplit("/", 1)[1]).exists()
    services = yaml.safe_load(COMPOSE_FILE.read_text())["services"]
    sources = yaml.safe_load((GRAFANA / "provisioning/datasources/datasources.yml").read_text())["datasources"]
    assert {source["url"].split("//")[1].split(":")[0] for source in sources} <= services.keys()


def test_exemplars_open_the_trace() -> None:
    """An exemplar on a latency panel links to Jaeger by the label that Prometheus stores."""
    sources = yaml.safe_load((GRAFANA / "provisioning/datasources/datasources.yml").read_text())["datasources"]
    by_uid = {source["uid"]: source for source in sources}
    page, beside = by_uid["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert beside == {"name": "trace_id", "datasourceUid": "jaeger"}
    # The file has `$$` because Grafana expands environment variables when it reads the file.
    (port,) = (p for p in yaml.safe_load(COMPOSE_FILE.read_text())["services"]["jaeger"]["ports"] if "16686" in p)
    assert page["url"] == f"http://localhost:{port.split(':')[1]}/trace/$${{__value.raw}}"
    assert by_uid["jaeger"]["type"] == "jaeger"
    overview = json.loads((GRAFANA / "dashboards/overview.json").read_text())
    assert any(target.get("exemplar") for panel in overview["panels"] for target in panel.get("targets", []))
