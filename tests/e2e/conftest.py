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
    """Return a launcher of programs that use ``redis_server`` and export to ``otlp_receiver``."""
    # On a busy machine any operation can be slow, and redispan logs slow operations.
    quiet = {"OTEL_PYTHON_REDISPAN_SLOW_LOG_MS": "0", "OTEL_PYTHON_REDISPAN_SLOW_ALERT_MS": "0"}
    return Launcher({**otlp_receiver.environment(), **quiet, "REDIS_URL": redis_server.url}, folder=PROGRAMS)


@pytest.fixture
def framework_launcher(launcher: Launcher) -> Launcher:
    """Return the same launcher with the instrumentations of the web frameworks enabled."""
    launcher.disabled = [name for name in FRAMEWORKS if name in ("asgi", "wsgi")]
    return launcher
