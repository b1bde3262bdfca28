#!/usr/bin/env python3
"""Writes dashboards/*.json from the panels in `boards/`.

Usage: python collector/grafana/generate.py [--check]      (needs: pip install grafana-foundation-sdk==0.0.21)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.builders import common as commons
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import GraphThresholdsStyleMode, SortOrder, TooltipDisplayMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    DataTransformerConfig,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from boards import DASHBOARDS  # noqa: E402  (beside this file, not installed)
from boards.model import Board, Panel, Row  # noqa: E402

SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
WIDTH = 24
HEIGHT = 8
STAT_HEIGHT = 4


def main() -> int:
    """Writes the files, or with --check says which ones are out of date."""
    wanted = {HERE / "dashboards" / f"{board.uid}.json": render(board) for board in DASHBOARDS}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv:
        print(*(f"out of date: {path.name}" for path in stale), sep="\n")
        return 1 if stale else 0
    for path in stale:
        path.write_text(wanted[path])
        print(f"wrote {path.name}")
    return 0


def render(board: Board) -> str:
    """Makes the JSON of one dashboard."""
    built = (
        dashboards.Dashboard(board.title)
        .uid(f"redispan-{board.uid}")
        .description(board.description)
        .tags(["redis", "redispan"])
        .refresh("10s")
        .time("now-30m", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(dashboards.DashboardLink("Redis dashboards").tags(["redispan"]).as_dropdown(True).keep_time(True))
    )
    for name, (label, query) in board.variables.items():
        built = built.with_variable(
            dashboards.QueryVariable(name)
            .label(label)
            .query(query)
            .datasource(SOURCE)
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .include_all(True)
            .all_value(".*")
            .multi(True)
        )
    for row in board.rows:
        built = _add_row(built, row)
    text = json.dumps(built.build(), cls=JSONEncoder, indent=1, sort_keys=True)
    return text + "\n"


def _add_row(built: dashboards.Dashboard, row: Row) -> dashboards.Dashboard:
    built = built.with_row(dashboards.Row(row.title))
    for panel in row.panels:
        built = built.with_panel(_panel(panel, WIDTH // len(row.panels)))
    return built


def _panel(panel: Panel, width: int) -> object:
    kinds = {"graph": timeseries.Panel, "stat": stat.Panel, "table": table.Panel, "states": statetimeline.Panel}
    made = kinds[panel.kind]().title(panel.title).description(panel.description).datasource(SOURCE).unit(panel.unit)
    made = made.span(width).height(STAT_HEIGHT if panel.kind == "stat" else HEIGHT).min(0)
    if panel.highest is not None:
        made = made.max(panel.highest)
    # Without any Grafana takes its own: red from 80 on, whatever is measured.
    steps = [Threshold(value, colour) for value, colour in panel.limits or ((None, "blue"),)]
    made = made.thresholds(dashboards.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    if panel.words:
        words = {str(n): ValueMappingResult(text=text, color=colour) for n, (text, colour) in panel.words.items()}
        made = made.mappings([ValueMap(words)])
    if panel.kind == "graph":
        made = made.tooltip(commons.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        if panel.limits:
            made = made.thresholds_style(commons.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
    if panel.columns:
        # The label names and the time of the query are nothing for a reader.
        made = made.sort_by([commons.TableSortByFieldState().display_name(panel.columns["Value"]).desc(True)])
        arranged = {
            "excludeByName": {"Time": True},
            "indexByName": {name: at for at, name in enumerate(panel.columns)},
            "renameByName": panel.columns,
        }
        made = made.with_transformation(DataTransformerConfig(id_val="organize", options=arranged))
    for letter, (expression, legend) in zip("ABCDEFGH", panel.queries, strict=False):
        query = prometheus.Dataquery().ref_id(letter).expr(expression).legend_format(legend)
        if panel.kind == "table":
            query = query.instant().format(PromQueryFormat.TABLE)
        elif panel.exemplars:
            query = query.exemplar(True)
        made = made.with_target(query)
    return made


if __name__ == "__main__":
    sys.exit(main())
