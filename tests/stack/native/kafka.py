"""A real Kafka broker on loopback: one process is broker and controller, and its log is in a folder of the test."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from stack.native.programs import Program, eventually
from stack.native.stack import Tools
from waiting import PATIENCE_S
from zero_code import free_ports

CLUSTER_ID = "cmVkaXNwYW4tdGVzdHMtMQ"
SMALL = "-Xmx384m -Xms128m -XX:+UseSerialGC"


class Kafka:
    """A broker that creates topics by itself, with three partitions each."""

    def __init__(self, tools: Tools, folder: Path) -> None:
        broker, controller = free_ports(2)
        self.address = f"127.0.0.1:{broker}"
        self._starter = tools["kafka"]
        self._folder = folder
        self._settings = folder / "kafka.properties"
        self._settings.write_text(
            "\n".join(
                [
                    "process.roles=broker,controller",
                    "node.id=1",
                    f"controller.quorum.voters=1@127.0.0.1:{controller}",
                    f"listeners=PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{controller}",
                    f"advertised.listeners=PLAINTEXT://{self.address}",
                    "controller.listener.names=CONTROLLER",
                    "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
                    f"log.dirs={folder / 'kafka-log'}",
                    "num.partitions=3",
                    "offsets.topic.replication.factor=1",
                    "offsets.topic.num.partitions=1",
                    "group.initial.rebalance.delay.ms=0",
                ]
            )
        )
        self.program = Program("kafka", [self._starter, "kafka.Kafka", self._settings], folder, {"JAVA_OPTS": SMALL})

    def __enter__(self) -> Kafka:
        subprocess.run(
            [self._starter, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(self._settings)],
            check=True, capture_output=True, timeout=PATIENCE_S,
        )  # fmt: skip
        self.program.start()
        eventually(self._ready, what="Kafka ready")
        return self

    def __exit__(self, *_: object) -> None:
        self.program.kill()

    def _ready(self) -> bool:
        if not self.program.running:
            raise RuntimeError(f"Kafka ended:\n{self.program.log()[-3000:]}")
        return _answers(self.address)


def _answers(address: str) -> bool:
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=1):
        return True
