"""Are there enough connections, and what do callers pay to get one?"""

from boards.model import JOBS, POOL_LIMITS, Board, Panel, Row, or_zero, quantile

POOL = 'job=~"$job",db_client_connection_pool_name=~"$pool"'

POOLS = Board(
    "pool",
    "Redis: connection pools",
    "Are there enough connections, and what do callers pay to get one?",
    [
        Row(
            "Connections",
            [
                Panel(
                    "Used, idle and the limit",
                    "short",
                    "Summed over the processes.",
                    [
                        (
                            f"sum by (db_client_connection_state) (db_client_connection_count{{{POOL}}})",
                            "{{db_client_connection_state}}",
                        ),
                        (f"sum(db_client_connection_max{{{POOL}}})", "limit"),
                    ],
                ),
                Panel(
                    "In use",
                    "percentunit",
                    "Per process and pool; above 90 % an alert fires.",
                    [(f"instance_pool:db_client_connection:used_ratio{{{POOL}}}", "{{job}} {{instance}}")],
                    highest=1,
                    limits=POOL_LIMITS,
                ),
                Panel(
                    "Waiting callers",
                    "short",
                    "Callers that wait for a connection right now.",
                    [(f"sum by (job) (db_client_connection_pending_requests{{{POOL}}})", "{{job}}")],
                ),
                Panel(
                    "Sent away",
                    "ops",
                    "Calls that failed because no connection became free in time.",
                    [
                        (
                            or_zero(
                                f"sum by (job) (rate(db_client_connection_timeouts_total{{{POOL}}}[$__rate_interval]))"
                            ),
                            "{{job}}",
                        )
                    ],
                ),
            ],
        ),
        Row(
            "Times (wait and use need OTEL_PYTHON_REDISPAN_POOL_TIME_HISTOGRAMS=true)",
            [
                Panel(
                    "Wait (p50, p95)",
                    "s",
                    "Until a connection was lent.",
                    [
                        (quantile(share, "db_client_connection_wait_time_seconds", POOL), f"p{share * 100:g}")
                        for share in (0.5, 0.95)
                    ],
                ),
                Panel(
                    "Create (p50, p95)",
                    "s",
                    "To open and set up a new connection.",
                    [
                        (quantile(share, "db_client_connection_create_time_seconds", POOL), f"p{share * 100:g}")
                        for share in (0.5, 0.95)
                    ],
                ),
                Panel(
                    "Use (p50, p95)",
                    "s",
                    "How long a connection was kept.",
                    [
                        (quantile(share, "db_client_connection_use_time_seconds", POOL), f"p{share * 100:g}")
                        for share in (0.5, 0.95)
                    ],
                ),
            ],
        ),
    ],
    {
        "job": JOBS["job"],
        "pool": ("Pool", "label_values(db_client_connection_max, db_client_connection_pool_name)"),
    },
)
