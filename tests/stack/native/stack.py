"""The stack of docker-compose.yml as native programs on free ports.

The compose file gives command lines, environment, and which file is mounted where. The native run changes container
paths to paths of the repository and addresses to loopback ones with free ports. It also changes Prometheus' 15 s
intervals to 1 s, because a test cannot wait that long for each query.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType, TracebackType

from stack.native.clients import Alertmanager, Jaeger, Prometheus
from stack.native.compose_file import REPOSITORY, replace_all, service
from stack.native.programs import Program, eventually
from zero_code import free_ports

COLLECTOR_FILES = REPOSITORY / "collector" / "config"
PORT_NAMES = (
    "redis", "otlp_grpc", "otlp_http", "otelcol_health", "otelcol_metrics", "jaeger_otlp", "jaeger_ui", "jaeger_query",
    "jaeger_health", "prometheus", "alertmanager",
)  # fmt: skip


def load_builder() -> ModuleType:
    """Return the script that builds the programs, as a module."""
    path = REPOSITORY / "collector" / "tools" / "build.py"
    spec = importlib.util.spec_from_file_location("redispan_tools_build", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Tools:
    """Paths of the programs. The first use of a program builds it."""

    def __init__(self) -> None:
        self._builder = load_builder()

    def __getitem__(self, name: str) -> str:
        return str(self._builder.ensure(name))


class Stack:
    """Redis, Collector, Jaeger, Prometheus and Alertmanager, started one by one or all at once."""

    def __init__(self, tools: Tools, folder: Path, variables: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.tools = tools
        self.ports = dict(zip(PORT_NAMES, free_ports(len(PORT_NAMES)), strict=True))
        self.variables = dict(variables or {})
        self.programs: dict[str, Program] = {}
        self.jaeger = Jaeger(f"http://127.0.0.1:{self.ports['jaeger_ui']}")
        self.prometheus = Prometheus(f"http://127.0.0.1:{self.ports['prometheus']}")
        self.alertmanager = Alertmanager(f"http://127.0.0.1:{self.ports['alertmanager']}")
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Stack:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start_all(self) -> Stack:
        """Start every program of the stack."""
        self.start_redis()
        self.start_jaeger()
        self.start_prometheus()
        self.start_alertmanager()
        self.start_collector()
        return self

    def stop(self) -> None:
        """End the running programs, the last started first. The backends hold nothing that needs a clean shutdown."""
        for name, program in reversed(list(self.programs.items())):
            if name == "otelcol":
                program.stop()
            else:
                program.kill()

    @property
    def redis_url(self) -> str:
        """Return the address of Redis for programs."""
        return f"redis://127.0.0.1:{self.ports['redis']}/0"

    def start_redis(self) -> Program:
        """Start Redis with the compose file's memory limit."""
        command, _ = service("redis").native({})
        loopback = ["--port", str(self.ports["redis"]), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        program = self._keep("redis", [*command, *loopback], {}).start()
        eventually(lambda: "Ready to accept" in program.log(), what="Redis ready")
        return program

    def start_jaeger(self) -> Program:
        """Start Jaeger with traces in memory."""
        command, environment = service("jaeger").native({})
        environment |= {
            "JAEGER_LISTEN": "127.0.0.1",
            "JAEGER_OTLP_PORT": str(self.ports["jaeger_otlp"]),
            "JAEGER_UI_PORT": str(self.ports["jaeger_ui"]),
            "JAEGER_QUERY_PORT": str(self.ports["jaeger_query"]),
            "JAEGER_HEALTH_PORT": str(self.ports["jaeger_health"]),
        }
        return self._keep("jaeger", [self.tools["jaeger"], *command], environment).start(self.jaeger.url)

    def start_prometheus(self) -> Program:
        """Start Prometheus with the shipped rules."""
        configuration = self.folder / "prometheus-config"
        shipped = service("prometheus").mounts["/etc/prometheus"]
        shutil.copytree(shipped, configuration, dirs_exist_ok=True)
        settings = configuration / "prometheus.yml"
        text = replace_all(settings.read_text(), self.addresses())
        settings.write_text(text.replace("_interval: 15s", "_interval: 1s"))
        for rules in (configuration / "rules").glob("alerts-*.yml"):
            rules.write_text(rules.read_text().replace("for: 30s", "for: 1s"))
        command, _ = service("prometheus").native(
            self.addresses()
            | {"/etc/prometheus": str(configuration), "/prometheus": str(self.folder / "prometheus-data")}
        )
        program = self._keep("prometheus", [self.tools["prometheus"], *command], {})
        return program.start(f"{self.prometheus.url}/-/ready")

    def start_alertmanager(self) -> Program:
        """Start Alertmanager with the shipped routes."""
        command, _ = service("alertmanager").native(
            self.addresses() | {"/alertmanager": str(self.folder / "alertmanager-data")}
        )
        program = self._keep("alertmanager", [self.tools["alertmanager"], *command], {})
        return program.start(f"{self.alertmanager.url}/-/ready")

    def start_collector(self, more: Sequence[Path] = (), environment: Mapping[str, str] | None = None) -> Program:
        """Start the Collector with the files that the compose file names, and more if given."""
        command, shipped = service("otelcol", self.variables).native(self.addresses())
        command += [f"--config={path}" for path in more]
        program = self._keep(
            "otelcol",
            [self.tools["otelcol"], *command],
            shipped | self.collector_environment() | dict(environment or {}),
        )
        return program.start(f"http://127.0.0.1:{self.ports['otelcol_health']}/")

    def collector_environment(self) -> dict[str, str]:
        """Return the variables that put the Collector on loopback and on this stack's ports."""
        return {
            "OTELCOL_LISTEN": "127.0.0.1",
            "OTELCOL_GRPC_PORT": str(self.ports["otlp_grpc"]),
            "OTELCOL_HTTP_PORT": str(self.ports["otlp_http"]),
            "OTELCOL_HEALTH_PORT": str(self.ports["otelcol_health"]),
            "OTELCOL_METRICS_HOST": "127.0.0.1",
            "OTELCOL_METRICS_PORT": str(self.ports["otelcol_metrics"]),
            "OTELCOL_STORAGE_DIR": str(self.folder / "queue"),
            "OTELCOL_FILE_DIR": str(self.folder / "out"),
            "OTELCOL_DERIVED_INTERVAL": "1s",
            "REDIS_COLLECTION_INTERVAL": "1s",
        }

    def program_environment(self) -> dict[str, str]:
        """Return the environment of the compose file's example program, with this stack's addresses."""
        _, environment = service("shop").native(self.addresses())
        return environment | {"OTEL_METRIC_EXPORT_INTERVAL": "1000", "OTEL_BSP_SCHEDULE_DELAY": "200"}

    def addresses(self) -> dict[str, str]:
        """Return the addresses in the compose file and the configuration files, each with its address here."""
        port = self.ports
        return {
            "redis:6379": f"127.0.0.1:{port['redis']}",
            "otelcol:4317": f"127.0.0.1:{port['otlp_grpc']}",
            "otelcol:8888": f"127.0.0.1:{port['otelcol_metrics']}",
            "jaeger:4317": f"127.0.0.1:{port['jaeger_otlp']}",
            "prometheus:9090": f"127.0.0.1:{port['prometheus']}",
            "localhost:9090": f"127.0.0.1:{port['prometheus']}",
            "127.0.0.1:9090": f"127.0.0.1:{port['prometheus']}",
            "127.0.0.1:9093": f"127.0.0.1:{port['alertmanager']}",
            "127.0.0.1:13134": f"127.0.0.1:{port['jaeger_health']}",
            "0.0.0.0:9090": f"127.0.0.1:{port['prometheus']}",
            "alertmanager:9093": f"127.0.0.1:{port['alertmanager']}",
            "0.0.0.0:9093": f"127.0.0.1:{port['alertmanager']}",
        }

    def _keep(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Program:
        if name in self.programs:
            self.programs[name].stop()
        self.programs[name] = Program(name, command, self.folder, environment)
        return self.programs[name]
