"""The first page: rate, errors, duration, and where to look next."""

from boards.model import (
    ANY_LIMITS,
    CLIENT,
    DURATION,
    ERROR_LIMITS,
    JOBS,
    LATENCY_LIMITS,
    MEMORY_LIMITS,
    POOL_LIMITS,
    WITHIN_LIMITS,
    Board,
    Panel,
    Row,
    errors,
    or_zero,
    quantile,
    rate,
    within,
)

ALERTS_BY_NAME = or_zero(
    'sum by (redis_client_alert_name) (increase(redis_client_alerts_total{job=~"$job"}[$__rate_interval]))'
)

LASTING = or_zero(
    "max by (redis_client_alert_name, server_address)"
    ' (redis_client_alert_state_ratio{job=~"$job",server_address=~"$server"})'
)

FIRING = or_zero('sum by (alertname) (ALERTS{alertstate="firing",alertname=~"Redis.*"})')

OVERVIEW = Board(
    "overview",
    "Redis: overview",
    "Is it Redis, the network, the pool or the code? Rate, errors, duration, pool, alerts.",
    [
        Row(
            "Now",
            [
                Panel("Operations", "ops", "Redis operations per second, all programs.", [(rate(CLIENT), "")], "stat"),
                Panel(
                    "Errors",
                    "percentunit",
                    "Share of operations that failed; above 5 % an alert fires.",
                    [(f"{errors(CLIENT)} / {rate(CLIENT)}", "")],
                    "stat",
                    limits=ERROR_LIMITS,
                ),
                Panel(
                    "p95",
                    "s",
                    "95 % of operations are quicker; above 50 ms an alert fires.",
                    [(quantile(0.95, DURATION, CLIENT), "")],
                    "stat",
                    limits=LATENCY_LIMITS,
                ),
                Panel(
                    "Within 100 ms",
                    "percentunit",
                    "Share of operations that succeed within the target; below 99 % an alert fires.",
                    [(within("0.1", CLIENT), "")],
                    "stat",
                    limits=WITHIN_LIMITS,
                ),
                Panel(
                    "Fullest pool",
                    "percentunit",
                    "Highest share of a pool in use; above 90 % an alert fires.",
                    [('max(instance_pool:db_client_connection:used_ratio{job=~"$job"})', "")],
                    "stat",
                    limits=POOL_LIMITS,
                ),
                Panel(
                    "Alerts firing",
                    "short",
                    "Redis alerts firing in Prometheus.",
                    [(f"sum({FIRING})", "")],
                    "stat",
                    limits=ANY_LIMITS,
                ),
            ],
        ),
        Row(
            "Operations",
            [
                Panel("Rate by service", "ops", "Operations per second.", [(rate(CLIENT, "by (job) "), "{{job}}")]),
                Panel(
                    "Errors by type",
                    "ops",
                    "Failed operations by error.type: the server's error prefix, else the exception's class.",
                    [(or_zero(rate(CLIENT + ',error_type!=""', "by (job, error_type) ")), "{{job}} {{error_type}}")],
                ),
                Panel(
                    "Duration",
                    "s",
                    "What the caller waited. A dot is one traced operation: click it to see the trace.",
                    [(quantile(share, DURATION, CLIENT), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99)],
                    exemplars=True,
                ),
            ],
        ),
        Row(
            "Why",
            [
                Panel(
                    "Slowest commands (p95)",
                    "s",
                    "One slow command is the code; all of them are server or network.",
                    [(f"topk(5, {quantile(0.95, DURATION, CLIENT, 'db_operation_name')})", "{{db_operation_name}}")],
                    exemplars=True,
                ),
                Panel(
                    "Wait for a connection",
                    "s",
                    "Mean time per operation before it could begin: this is the pool.",
                    [('job:redis_client_connection_waited_seconds:mean_5m{job=~"$job"}', "{{job}}")],
                ),
                Panel(
                    "Pool in use",
                    "percentunit",
                    "Per process and pool.",
                    [
                        (
                            'instance_pool:db_client_connection:used_ratio{job=~"$job"}',
                            "{{job}} {{db_client_connection_pool_name}}",
                        )
                    ],
                    highest=1,
                    limits=POOL_LIMITS,
                ),
                Panel(
                    "Server memory",
                    "percentunit",
                    "Used memory as a share of maxmemory; above 80 % an alert fires.",
                    [("instance:redis_memory:used_ratio", "{{instance}}")],
                    highest=1,
                    limits=MEMORY_LIMITS,
                ),
            ],
        ),
        Row(
            "Alerts",
            [
                Panel(
                    "Lasting alerts of redispan",
                    "short",
                    "Error rate, pool, memory and anomalies, as the programs themselves judge them. Empty: none yet.",
                    [(LASTING, "{{redis_client_alert_name}} {{server_address}}")],
                    "states",
                    words={0: ("quiet", "green"), 1: ("fires", "red")},
                ),
                Panel(
                    "Detections by redispan",
                    "short",
                    "Alerts counted by the programs: each slow operation, and each time that a lasting one fired.",
                    [(ALERTS_BY_NAME, "{{redis_client_alert_name}}")],
                ),
                Panel("Firing in Prometheus", "short", "Alert rules that fire.", [(FIRING, "{{alertname}}")]),
            ],
        ),
    ],
    JOBS,
)
