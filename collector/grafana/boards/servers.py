"""What the Redis servers say of themselves."""

from boards.model import ANY_LIMITS, MEMORY_LIMITS, Board, Panel, Row

SERVER = 'instance=~"$redis"'

SERVERS = Board(
    "server",
    "Redis: servers",
    "What the Redis servers say of themselves (INFO), read by the Collector.",
    [
        Row(
            "Now",
            [
                Panel(
                    "Reached by the programs",
                    "short",
                    "Whether any host that uses it gets an answer; redispan's own probe.",
                    [
                        (
                            "max by (server_address, server_port) (redis_server_up_ratio)",
                            "{{server_address}}:{{server_port}}",
                        )
                    ],
                    "stat",
                    words={0: ("down", "red"), 1: ("up", "green")},
                ),
                Panel(
                    "Memory in use",
                    "percentunit",
                    "Of maxmemory; above 80 % an alert fires. Empty where there is no maxmemory.",
                    [(f"instance:redis_memory:used_ratio{{{SERVER}}}", "{{instance}}")],
                    "stat",
                    limits=MEMORY_LIMITS,
                ),
                Panel(
                    "Slow log",
                    "short",
                    "Entries that the server itself has in SLOWLOG.",
                    [("max by (server_address) (redis_server_slowlog_length)", "{{server_address}}")],
                    "stat",
                ),
                Panel(
                    "Rejected connections",
                    "short",
                    "In the last hour, because maxclients was reached.",
                    [
                        (
                            f"sum by (instance) (increase(redis_connections_rejected_total{{{SERVER}}}[1h]))",
                            "{{instance}}",
                        )
                    ],
                    "stat",
                    limits=ANY_LIMITS,
                ),
                Panel(
                    "Uptime",
                    "s",
                    "Since the last start.",
                    [(f"redis_uptime_seconds_total{{{SERVER}}}", "{{instance}}")],
                    "stat",
                ),
            ],
        ),
        Row(
            "Memory and clients",
            [
                Panel(
                    "Memory",
                    "bytes",
                    "In use, resident, and the limit (0: none).",
                    [
                        (f"{name}{{{SERVER}}}", legend)
                        for name, legend in (
                            ("redis_memory_used_bytes", "used {{instance}}"),
                            ("redis_memory_rss_bytes", "resident {{instance}}"),
                            ("redis_maxmemory_bytes", "limit {{instance}}"),
                        )
                    ],
                ),
                Panel(
                    "Clients",
                    "short",
                    "Connected and blocked.",
                    [
                        (f"redis_clients_connected{{{SERVER}}}", "connected {{instance}}"),
                        (f"redis_clients_blocked{{{SERVER}}}", "blocked {{instance}}"),
                    ],
                ),
                Panel(
                    "Fragmentation",
                    "short",
                    "Resident by used memory; far above 1.5 memory is wasted, below 1 the host swaps.",
                    [(f"redis_memory_fragmentation_ratio{{{SERVER}}}", "{{instance}}")],
                ),
            ],
        ),
        Row(
            "Work",
            [
                Panel(
                    "Commands",
                    "ops",
                    "Processed per second.",
                    [
                        (
                            f"sum by (instance) (rate(redis_commands_processed_total{{{SERVER}}}[$__rate_interval]))",
                            "{{instance}}",
                        )
                    ],
                ),
                Panel(
                    "CPU",
                    "percentunit",
                    "Of one core.",
                    [
                        (
                            "sum by (instance, state)"
                            f" (rate(redis_cpu_time_seconds_total{{{SERVER}}}[$__rate_interval]))",
                            "{{state}} {{instance}}",
                        )
                    ],
                ),
                Panel(
                    "Network",
                    "Bps",
                    "In and out.",
                    [
                        (
                            f"sum by (instance) (rate(redis_net_input_bytes_total{{{SERVER}}}[$__rate_interval]))",
                            "in {{instance}}",
                        ),
                        (
                            f"sum by (instance) (rate(redis_net_output_bytes_total{{{SERVER}}}[$__rate_interval]))",
                            "out {{instance}}",
                        ),
                    ],
                ),
            ],
        ),
        Row(
            "Cache",
            [
                Panel(
                    "Hit ratio",
                    "percentunit",
                    "Reads that found their key.",
                    [(f"instance:redis_keyspace:hit_ratio_rate5m{{{SERVER}}}", "{{instance}}")],
                    highest=1,
                ),
                Panel(
                    "Keys leaving",
                    "ops",
                    "Expired by their TTL, evicted for want of memory.",
                    [
                        (
                            f"sum by (instance) (rate(redis_keys_expired_total{{{SERVER}}}[$__rate_interval]))",
                            "expired {{instance}}",
                        ),
                        (
                            f"sum by (instance) (rate(redis_keys_evicted_total{{{SERVER}}}[$__rate_interval]))",
                            "evicted {{instance}}",
                        ),
                    ],
                ),
                Panel(
                    "Connections",
                    "ops",
                    "Accepted and rejected per second.",
                    [
                        (
                            f"sum by (instance) (rate(redis_connections_received_total{{{SERVER}}}[$__rate_interval]))",
                            "accepted {{instance}}",
                        ),
                        (
                            f"sum by (instance) (rate(redis_connections_rejected_total{{{SERVER}}}[$__rate_interval]))",
                            "rejected {{instance}}",
                        ),
                    ],
                ),
            ],
        ),
    ],
    {"redis": ("Redis server", "label_values(redis_uptime_seconds_total, instance)")},
)
