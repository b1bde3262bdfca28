"""One Collector alone: the base file and any others, on free ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from stack.native.programs import Program
from stack.native.stack import COLLECTOR_FILES, Tools
from zero_code import free_ports


class Collector:
    """A Collector with the shipped files, for tests that need no whole stack."""

    def __init__(
        self,
        tools: Tools,
        folder: Path,
        files: Sequence[str],
        environment: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        name: str = "otelcol",
    ) -> None:
        """Prepare the Collector.

        Args:
            tools: The built programs.
            folder: The folder for its queue and its log.
            files: Names below collector/config, without ``.yaml``; the base is always added first.
            environment: Variables that the files use.
            settings: Single values to set on top, ``path::to::key`` to value.
            name: The name of its log file and queue.
        """
        grpc, http, health, metrics, self.scrape_port = free_ports(5)
        self.grpc_address = f"127.0.0.1:{grpc}"
        self.http_port = http
        self.url = f"http://127.0.0.1:{http}"
        self.metrics_url = f"http://127.0.0.1:{metrics}/metrics"
        self._health = f"http://127.0.0.1:{health}/"
        command = [tools["otelcol"], *(f"--config={COLLECTOR_FILES / file}.yaml" for file in ["base", *files])]
        command += [f"--set={key}={value}" for key, value in (settings or {}).items()]
        self.program = Program(
            name,
            command,
            folder,
            {
                "OTELCOL_GRPC_PORT": str(grpc),
                "OTELCOL_HTTP_PORT": str(http),
                "OTELCOL_HEALTH_PORT": str(health),
                "OTELCOL_METRICS_PORT": str(metrics),
                "OTELCOL_SCRAPE_PORT": str(self.scrape_port),
                "OTELCOL_STORAGE_DIR": str(folder / f"queue-{name}"),
                "OTELCOL_FILE_DIR": str(folder / f"out-{name}"),
                "OTELCOL_DERIVED_INTERVAL": "1s",
                "OTELCOL_INSTANCE_ID": name,  # all are on one host
                # There is no Redis here, and with this interval the receiver never queries it during a test.
                "REDIS_COLLECTION_INTERVAL": "1h",
                **(environment or {}),
            },
        )

    def start(self) -> Collector:
        """Start it and wait until it is healthy."""
        self.program.start(self._health)
        return self

    def __enter__(self) -> Collector:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.program.stop()
