"""The text of the reports for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Data = Mapping[str, Any]
_ROWS = 15


def as_text(name: str, report: Data) -> str:
    """Return a report as text.

    Args:
        name: The name of the report over HTTP, such as ``connection-pool``.
        report: The report as plain data.
    """
    makers: Mapping[str, Callable[[Data], Iterable[str]]] = {
        "performance": _performance,
        "connection-pool": _pools,
        "cache-patterns": _cache,
        "health": _health,
    }
    return "\n".join([*_head(report), *makers[name](report)])


def _head(report: Data) -> Iterable[str]:
    many = len(report["processes"])
    covers = f"{many} processes" if many != 1 else f"process {report['processes'][0]}"
    silent = ", ".join(map(str, report["missing"]))
    missing = f", {silent} did not answer" if silent else ""
    yield f"{covers}{missing}, at {report['generated_at']}"


def _judgement(report: Data) -> Iterable[str]:
    yield f"{report['status']}: {report['score']:g} of 100"
    yield from (f"  -{reason['points']:.1f}  {reason['what']}" for reason in report["reasons"])


def _latency(window: Data) -> str:
    if not window["operations"]:
        return "no operation in the window"
    return (
        f"{window['operations']} operations: {window['operations_per_s']:.1f}/s, p50 {ms(window['p50_ms'])}, "
        f"p95 {ms(window['p95_ms'])}, p99 {ms(window['p99_ms'])}, slowest {ms(window['max_ms'])}, "
        f"{share(window['under_target'])} within 100 ms, {share(window['error_rate'])} failed"
    )


def _performance(report: Data) -> Iterable[str]:
    yield from _judgement(report)
    totals = report["totals"]
    yield f"window:  {_latency(report['window'])}"
    yield f"in all:  {totals['operations']} operations, {totals['errors']} failed, since {report['since']}"
    yield from _section(
        "commands",
        ("", "operations", "time", "p50", "p99", "errors"),
        (
            (
                one["command"],
                str(one["totals"]["operations"]),
                share(one["time_share"]),
                ms(one["window"]["p50_ms"]),
                ms(one["window"]["p99_ms"]),
                str(one["totals"]["errors"]),
            )
            for one in report["commands"]
        ),
    )
    yield from _pool_table(report["pools"])
    yield from _server_table(report["servers"])
    yield from _section(
        "what is usual",
        ("", "now", "usual", "unusual above", ""),
        (
            (
                " ".join((one["endpoint"], one["command"] or "", one["figure"])).replace("  ", " "),
                *(in_unit(one[figure], one["unit"]) for figure in ("measured", "expected", "limit")),
                "UNUSUAL" if one["firing"] else "" if one["ready"] else "learning",
            )
            for one in report.get("baselines", ())  # the monitoring port of an older version sends none
        ),
    )
    yield from _firing(report["alerts_firing"])
    yield from _advice(report)


def _firing(alerts: Sequence[Data]) -> Iterable[str]:
    """Yield the alerts that fire. An alert that fires in several processes is shown once."""
    found: dict[tuple[str, str], list[Data]] = {}
    for alert in sorted(alerts, key=lambda alert: int(alert["at_unix_ns"])):
        found.setdefault((alert["name"], alert["endpoint"]), []).append(alert)
    if found:
        yield from ("", "alerts firing")
    for same in found.values():
        yield f"  {same[0]['message']}" + (f" (in {len(same)} processes)" if len(same) > 1 else "")


def _pools(report: Data) -> Iterable[str]:
    yield from _pool_table(report["pools"])
    yield from _advice(report)


def _cache(report: Data) -> Iterable[str]:
    yield f"reads {share(report['read_share'])}, hits {share(report['hit_ratio'])}, from {report['sampled']} commands"
    usage = report["patterns"] or report["families"]
    yield from _section(
        "patterns" if report["patterns"] else "families",
        ("", "reads", "writes", "hits", "no TTL"),
        (
            (one["name"], str(one["reads"]), str(one["writes"]), share(one["hit_ratio"]), str(one["lasting_sets"]))
            for one in usage
        ),
    )
    yield from _advice(report)


def _health(report: Data) -> Iterable[str]:
    yield from _judgement(report)
    yield f"recent:  {_latency(report['recent'])}"
    yield from _section(
        "checks",
        ("", "", "value", "threshold"),
        (
            (check["name"], "ok" if check["ok"] else "NOT OK", figure(check["value"]), figure(check["threshold"]))
            for check in report["checks"]
        ),
    )


def _pool_table(pools: Sequence[Data]) -> Iterable[str]:
    return _section(
        "pools",
        ("", "process", "busy", "limit", "peak", "waiting", "reuse", "advised"),
        (
            (
                pool["pool"],
                str(pool["pid"]),
                str(pool["busy"]),
                figure(pool["limit"]),
                share(pool["peak_utilisation"]),
                str(pool["pending"]),
                share(pool["reuse"]),
                figure(pool["advised_limit"]),
            )
            for pool in pools
        ),
    )


def _server_table(servers: Sequence[Data]) -> Iterable[str]:
    return _section(
        "servers",
        ("", "", "memory", "clients"),
        (
            (
                server["endpoint"],
                "up" if server["reachable"] else "DOWN",
                share(server["memory_usage"]),
                figure(server["figures"].get("connected_clients")),
            )
            for server in servers
        ),
    )


def _advice(report: Data) -> Iterable[str]:
    if report["recommendations"]:
        yield ""
        yield "advice"
    for finding in report["recommendations"]:
        yield f"  {'!' * finding['weight']:<3} {finding['what']} ({finding['evidence']})"
        yield from (f"      {line}" for line in finding["change"].splitlines())


def _section(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    found = list(rows)
    if not found:
        return
    shown = [head, *found[:_ROWS]]
    widths = [max(len(row[place]) for row in shown) for place in range(len(head))]
    yield ""
    yield title
    for row in shown:
        first, *rest = (cell.ljust(width) if place == 0 else cell.rjust(width)
                        for place, (cell, width) in enumerate(zip(row, widths, strict=True)))  # fmt: skip
        yield "  ".join(["", first, *rest]).rstrip()
    if len(found) > _ROWS:
        yield f"  and {len(found) - _ROWS} more"


def ms(value: float | None) -> str:
    """Return a duration in milliseconds as text, or ``-`` if there is none."""
    return "-" if value is None else f"{value:.2f} ms" if value < 10 else f"{value:.0f} ms"


def share(value: float | None) -> str:
    """Return a share as a percentage, or ``-`` if there is none."""
    return "-" if value is None else f"{value:.1%}"


def figure(value: float | None) -> str:
    """Return any figure as text, or ``-`` if there is none."""
    return "-" if value is None else f"{value:g}"


def in_unit(value: float, unit: str) -> str:
    """Return a baseline's figure with its unit: a duration (``s``), a share (``1``), or else a rate per second."""
    if unit == "s":
        return ms(value * 1000)
    return share(value) if unit == "1" else f"{value:.1f}/s"
