"""Fixtures of the end-to-end tests."""

import sys

import pytest

from e2e import PROGRAMS
from servers.otlp_receiver import OtlpReceiver
from servers.redis_server import RedisServer
from zero_code import FRAMEWORKS, Launcher

if sys.platform == "win32":
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def launcher(otlp_receiver: OtlpReceiver, redis_server: RedisServer) -> Launcher:
    """Run programs that talk to ``redis_server`` and export to ``otlp_receiver``."""
    # A busy machine makes any operation slow, and slow ones are logged.
    quiet = {"OTEL_PYTHON_REDISPAN_SLOW_LOG_MS": "0", "OTEL_PYTHON_REDISPAN_SLOW_ALERT_MS": "0"}
    return Launcher({**otlp_receiver.environment(), **quiet, "REDIS_URL": redis_server.url}, folder=PROGRAMS)


@pytest.fixture
def framework_launcher(launcher: Launcher) -> Launcher:
    """The same, with the instrumentations of the frameworks at work."""
    launcher.disabled = [name for name in FRAMEWORKS if name in ("asgi", "wsgi")]
    return launcher
