"""The settings of statistics, slow operations and alerts. ``Settings`` inherits them."""

from __future__ import annotations

import dataclasses

from redispan.settings.table import setting


@dataclasses.dataclass(frozen=True)
class InsightSettings:
    """The settings of the statistics in the process, and the thresholds of slow operations and alerts."""

    # --- statistics --------------------------------------------------------------------------------------------
    insight: bool = setting(
        True, "Keep rolling statistics in the process, detect slow operations and raise alerts.", topic="statistics"
    )
    window_size: int = setting(
        1000,
        "Operations that the rolling window of one endpoint shows.",
        topic="statistics",
        unit="operations",
        low=10,
        high=100000,
    )
    cache_patterns: bool = setting(
        True,
        "Look closer at a sample of the operations (all of the first 2,000, then one in 64) for the cache report. "
        "Patterns of keys are learned only with `query_text=keys`.",
        topic="statistics",
    )
    # --- slow operations ---------------------------------------------------------------------------------------
    slow_log_ms: float = setting(
        10.0,
        "Operations from this duration on are logged (Python logging, `redispan.slow`); 0 turns it off.",
        topic="slow operations",
        unit="ms",
        low=0,
    )
    slow_alert_ms: float = setting(
        50.0,
        "Operations from this duration on are slow: marked on the span, counted, alerted; 0 turns it off.",
        topic="slow operations",
        unit="ms",
        low=0,
    )
    slow_interval_s: float = setting(
        10.0,
        "Slow operations of one endpoint and command are emitted (event, log line, callback) at most this often. All "
        "are counted, and the next one that is emitted says how many were held back. If none follows, the last of them "
        "is emitted after all. 0 emits every one.",
        topic="slow operations",
        unit="s",
        low=0,
        high=86400,
    )
    # --- alerts ------------------------------------------------------------------------------------------------
    alert_events: bool = setting(True, "Emit alerts as log events `redis.client.alert.<name>`.", topic="alerts")
    error_rate_alert: float = setting(
        0.05,
        "Share of failed operations above which the alert `error_rate` fires; 0 turns it off.",
        topic="alerts",
        unit="share",
        low=0,
        high=1,
    )
    error_rate_minimum: int = setting(
        20,
        "Operations that must be behind an error rate before it is judged.",
        topic="alerts",
        unit="operations",
        low=1,
        high=100000,
    )
    memory_alert: float = setting(
        0.8,
        "Share of the server's memory limit (without one: of its host's memory) above which the alert `memory_usage` "
        "fires; 0 turns it off.",
        topic="alerts",
        unit="share",
        low=0,
        high=1,
    )
    pool_alert: float = setting(
        0.9,
        "Share of a pool's connections in use above which the alert `pool_usage` fires; 0 turns it off.",
        topic="alerts",
        unit="share",
        low=0,
        high=1,
    )
    anomaly_alert: float = setting(
        6.0,
        "How many of its usual deviations the latency or error rate of an endpoint or command must be above what was "
        "learned of it, for half a minute, for the alert `anomaly` to fire: more makes it less sensitive, 0 turns it "
        "and the learning off.",
        topic="alerts",
        unit="deviations",
        low=0,
        high=1000,
    )
    anomaly_throughput: bool = setting(
        False,
        "Let an unusual throughput of an endpoint fire `anomaly` as well. Mostly it is the users who come and go.",
        topic="alerts",
    )
    alert_clear_after_s: float = setting(
        30.0,
        "An alert clears when its figure stayed at or below 80 % of the threshold for so long.",
        topic="alerts",
        unit="s",
        low=0,
        high=86400,
    )
    alert_webhook: str = setting(
        "",
        "URL that alerts are sent to (POST), from a background thread that starts with the first alert.",
        topic="alerts",
    )
    alert_webhook_format: str = setting(
        "json",
        "`json` (the alert as it is) or `alertmanager` (Alertmanager's API v2: give the URL of its `/api/v2/alerts`).",
        topic="alerts",
        choices=("json", "alertmanager"),
    )
