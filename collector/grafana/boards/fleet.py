"""All services and processes on one page."""

from boards.model import DURATION, ERROR_LIMITS, POOL_LIMITS, Board, Panel, Row, or_zero

FLEET = Board(
    "fleet",
    "Redis: fleet",
    "All services and processes on one page; the same questions as `redispan report fleet`.",
    [
        Row(
            "Size",
            [
                Panel(
                    "Services",
                    "short",
                    "Services that use Redis.",
                    [(f'count(count by (job) ({DURATION}_count{{db_system_name="redis"}}))', "")],
                    "stat",
                ),
                Panel(
                    "Processes",
                    "short",
                    "Processes that use Redis.",
                    [(f'count(count by (job, instance) ({DURATION}_count{{db_system_name="redis"}}))', "")],
                    "stat",
                ),
                Panel("Operations", "ops", "Per second.", [("sum(job:db_client_operation:rate5m)", "")], "stat"),
                Panel(
                    "Connections in use",
                    "short",
                    "Of all pools.",
                    [("sum(job:db_client_connection_used:sum)", "")],
                    "stat",
                ),
            ],
        ),
        Row(
            "Services",
            [
                Panel(
                    "Rate",
                    "ops",
                    "Operations per second.",
                    [("sum by (job) (job:db_client_operation:rate5m)", "{{job}}")],
                ),
                Panel(
                    "Errors",
                    "percentunit",
                    "Failed share.",
                    [("max by (job) (job:db_client_operation_errors:ratio_rate5m)", "{{job}}")],
                    limits=ERROR_LIMITS,
                ),
                Panel(
                    "p99",
                    "s",
                    "99 % of operations are quicker.",
                    [("max by (job) (job:db_client_operation_duration_seconds:p99_5m)", "{{job}}")],
                ),
                Panel(
                    "Within 100 ms",
                    "percentunit",
                    "Share that succeeds within the target.",
                    [("min by (job) (job:db_client_operation_within_100ms:ratio_rate5m)", "{{job}}")],
                    highest=1,
                ),
            ],
        ),
        Row(
            "Outliers",
            [
                Panel(
                    "Busiest processes",
                    "ops",
                    "Operations per second.",
                    [
                        (
                            f'topk(10, sum by (job, instance) (rate({DURATION}_count{{db_system_name="redis"}}[5m])))',
                            "{{job}} {{instance}}",
                        )
                    ],
                ),
                Panel(
                    "Fullest pools",
                    "percentunit",
                    "Share in use.",
                    [("topk(10, instance_pool:db_client_connection:used_ratio)", "{{job}} {{instance}}")],
                    highest=1,
                    limits=POOL_LIMITS,
                ),
                Panel(
                    "redispan's own trouble",
                    "short",
                    "In the last hour: faults inside redispan, and what it left out, by kind.",
                    [
                        (or_zero("sum by (job) (increase(redis_client_telemetry_errors_total[1h]))"), "errors {{job}}"),
                        (
                            or_zero(
                                "sum by (job, redis_client_telemetry_kind)"
                                " (increase(redis_client_telemetry_dropped_total[1h]))"
                            ),
                            "dropped {{redis_client_telemetry_kind}} {{job}}",
                        ),
                    ],
                ),
            ],
        ),
    ],
)
