"""The settings of the monitoring port, of sharing among the processes of a host, and of the server probe.

``Settings`` inherits them.
"""

from __future__ import annotations

import dataclasses

from redispan.settings.table import setting


@dataclasses.dataclass(frozen=True)
class MonitoringSettings:
    """The settings of how reports are served, and how the servers are probed for them."""

    monitoring_port: int = setting(
        0,
        "Serve the monitoring page and endpoints on this port from the first operation on; 0 turns it off. One process "
        "of the service holds it and speaks for all; when that one ends, another takes over.",
        topic="monitoring",
        low=0,
        high=65535,
    )
    monitoring_host: str = setting(
        "127.0.0.1",
        "Address that the port is opened on. A wider one than loopback needs `monitoring_token`.",
        topic="monitoring",
    )
    monitoring_token: str = setting(
        "", "Bearer token that reports over the port ask for; `live` and the empty page never do.", topic="monitoring"
    )
    host_sharing: bool = setting(
        True,
        "Let the processes of one service on one host answer each other, so that every report is the host's truth. "
        "It takes one thread and one UNIX socket per process, from its first operation on.",
        topic="monitoring",
    )
    runtime_dir: str = setting(
        "",
        "Folder in which the private folder `redispan-<uid>` for those sockets is made; by default the system's folder "
        "for temporary files.",
        topic="monitoring",
    )
    server_probe: bool = setting(
        True,
        "Ask each server for INFO and the like, on a connection of its own and from one process per host. Turn it off "
        "where the Collector's redis receiver does that.",
        topic="monitoring",
    )
    server_probe_interval_s: float = setting(
        15.0, "Time between two such probes.", topic="monitoring", unit="s", low=1, high=3600
    )
