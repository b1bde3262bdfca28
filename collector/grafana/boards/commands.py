"""Which commands are frequent, slow or failing."""

from boards.model import CLIENT, DURATION, JOBS, Board, Panel, Row, or_zero, quantile, rate

COMMANDS = Board(
    "commands",
    "Redis: commands",
    "Which commands are frequent, slow or failing.",
    [
        Row(
            "By command",
            [
                Panel(
                    "Rate",
                    "ops",
                    "Operations per second.",
                    [(rate(CLIENT, "by (db_operation_name) "), "{{db_operation_name}}")],
                ),
                Panel(
                    "Duration (p95)",
                    "s",
                    "95 % of operations are quicker.",
                    [(quantile(0.95, DURATION, CLIENT, "db_operation_name"), "{{db_operation_name}}")],
                    exemplars=True,
                ),
            ],
        ),
        Row(
            "Cost and failures",
            [
                Panel(
                    "Time spent in Redis",
                    "s",
                    "Seconds per second that all callers together wait, by command: what to optimise first.",
                    [
                        (
                            f"sum by (db_operation_name) (rate({DURATION}_sum{{{CLIENT}}}[$__rate_interval]))",
                            "{{db_operation_name}}",
                        )
                    ],
                ),
                Panel(
                    "Failures",
                    "ops",
                    "By command and error.",
                    [
                        (
                            or_zero(rate(CLIENT + ',error_type!=""', "by (db_operation_name, error_type) ")),
                            "{{db_operation_name}} {{error_type}}",
                        )
                    ],
                ),
                Panel(
                    "Retries and redirects",
                    "ops",
                    "Attempts repeated inside the client, and MOVED or ASK answers followed.",
                    [
                        (
                            or_zero('sum(rate(redis_client_operation_retries_total{job=~"$job"}[$__rate_interval]))'),
                            "retries",
                        ),
                        (
                            or_zero('sum(rate(redis_client_redirects_total{job=~"$job"}[$__rate_interval]))'),
                            "redirects",
                        ),
                    ],
                ),
            ],
        ),
        Row(
            "All commands",
            [
                Panel(
                    "Last five minutes",
                    "ops",
                    "Operations per second by service, server and command.",
                    [(f"sum by (job, server_address, db_operation_name) (rate({DURATION}_count{{{CLIENT}}}[5m]))", "")],
                    "table",
                    columns={
                        "job": "Service",
                        "server_address": "Server",
                        "db_operation_name": "Command",
                        "Value": "Per second",
                    },
                )
            ],
        ),
    ],
    JOBS,
)
