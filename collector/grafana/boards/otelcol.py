"""Does the telemetry itself arrive?"""

from boards.model import POOL_LIMITS, Board, Panel, Row, or_zero

SIGNALS = ("spans", "metric_points", "log_records")

COLLECTOR = Board(
    "collector",
    "Redis: the Collector",
    "Does the telemetry itself arrive? Queues, losses, memory.",
    [
        Row(
            "In and out",
            [
                Panel(
                    "Accepted",
                    "ops",
                    "Items per second taken in.",
                    [
                        (or_zero(f"sum(rate(otelcol_receiver_accepted_{signal}[$__rate_interval]))"), signal)
                        for signal in SIGNALS
                    ],
                ),
                Panel(
                    "Sent",
                    "ops",
                    "Items per second delivered.",
                    [
                        (
                            or_zero(f"sum by (exporter) (rate(otelcol_exporter_sent_{signal}[$__rate_interval]))"),
                            f"{signal} {{{{exporter}}}}",
                        )
                        for signal in SIGNALS
                    ],
                ),
            ],
        ),
        Row(
            "Losses",
            [
                Panel(
                    "Refused",
                    "ops",
                    "By the memory limiter; the sender tries again.",
                    [
                        (or_zero(f"sum(rate(otelcol_receiver_refused_{signal}[$__rate_interval]))"), signal)
                        for signal in SIGNALS
                    ],
                ),
                Panel(
                    "Sending failed",
                    "ops",
                    "Will be tried again.",
                    [
                        (or_zero(f"sum(rate(otelcol_exporter_send_failed_{signal}[$__rate_interval]))"), signal)
                        for signal in SIGNALS
                    ],
                ),
                Panel(
                    "Lost before the queue",
                    "ops",
                    "The queue was full: these are gone.",
                    [
                        (or_zero(f"sum(rate(otelcol_exporter_enqueue_failed_{signal}[$__rate_interval]))"), signal)
                        for signal in SIGNALS
                    ],
                ),
            ],
        ),
        Row(
            "Resources",
            [
                Panel(
                    "Queues",
                    "percentunit",
                    "Filled share; above 70 % an alert fires.",
                    [
                        (
                            "max by (exporter, data_type)"
                            " (otelcol_exporter_queue_size / otelcol_exporter_queue_capacity)",
                            "{{exporter}} {{data_type}}",
                        )
                    ],
                    highest=1,
                    limits=POOL_LIMITS,
                ),
                Panel(
                    "Memory",
                    "bytes",
                    "Resident memory of the Collector.",
                    [("otelcol_process_memory_rss", "{{instance}}")],
                ),
                Panel(
                    "CPU",
                    "percentunit",
                    "Of one core.",
                    [("rate(otelcol_process_cpu_seconds[$__rate_interval])", "{{instance}}")],
                ),
            ],
        ),
        Row(
            "Programs, by their spans",
            [
                Panel(
                    "Calls",
                    "ops",
                    "Spans per second by service: every library, not only Redis.",
                    [
                        (
                            "sum by (service_name, job) (rate(traces_span_metrics_calls_total[$__rate_interval]))",
                            "{{job}} {{service_name}}",
                        )
                    ],
                ),
                Panel(
                    "Who calls whom",
                    "ops",
                    "Edges of the service graph.",
                    [
                        (
                            or_zero(
                                "sum by (client, server) (rate(traces_service_graph_request_total[$__rate_interval]))"
                            ),
                            "{{client}} to {{server}}",
                        )
                    ],
                ),
            ],
        ),
    ],
)
