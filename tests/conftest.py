"""Fixtures for every test: real servers, a failing network, telemetry in memory, an OTLP receiver.

Servers start once per run, on first use, and are emptied before each test that uses them.
"""

import contextlib
import gc
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from redispan.testing import TelemetryInMemory
from redispan.testing.embedded_server import ServerNotFoundError, find_server_program
from servers.certificates import make_certificates
from servers.cluster import ClusterServer, start_cluster
from servers.fault_proxy import FaultProxy
from servers.otlp_receiver import OtlpReceiver
from servers.redis_server import (
    NoTlsError,
    RedisServer,
    start_acl_redis,
    start_redis,
    start_tls_redis,
    start_unix_redis,
)
from servers.sentinel import PATIENT_MS, SentinelServer, start_sentinel

# An example has no deadline, because a busy machine must not fail a test. By default, few examples run, which differ
# from run to run; each change that is to land runs more, always the same; `make soak` runs very many.
hypothesis.settings.register_profile("default", deadline=None, max_examples=30)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=100, derandomize=True, print_blob=True)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "default"))


def pytest_report_header() -> list[str]:
    """Return the versions that the run uses, since half of all surprises come from a version."""
    names = ("redis", "hiredis", "opentelemetry-api", "opentelemetry-sdk", "opentelemetry-instrumentation", "tenacity")
    versions = ", ".join(f"{name} {_version(name)}" for name in names)
    return [f"redispan on Python {sys.version.split()[0]}: {versions}", f"server: {_server_version()}"]


def pytest_collection_finish() -> None:
    """Exclude the thousands of objects of the imports from later garbage collections, which some tests ask for."""
    gc.collect()
    gc.freeze()


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _server_version() -> str:
    try:
        program = find_server_program()
    except ServerNotFoundError as error:
        return str(error)
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.strip()


@pytest.fixture(autouse=True)
def _a_runtime_of_its_own() -> Iterator[None]:
    """Give each test a process without redispan state, and remove what the test left behind.

    A module that the test never imported needs no cleaning.
    """
    if (slot := sys.modules.get("redispan._core.slot")) is not None:
        vars(slot.SLOT).pop("runtime", None)  # the runtime is made at its first use
    yield
    if (module := sys.modules.get("redispan.instrumentor")) is not None:
        instrumentor = module.RedispanInstrumentor()
        if instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()
    if (pools := sys.modules.get("redispan._client.pool.patches")) is not None and pools.POOL_PATCHES:
        # Pools tuned by hand keep their shared patches for good; the next test must not find them.
        pools.POOL_PATCHES._by_hand_wanted = False
        pools.POOL_PATCHES.undo()
    if (runtimes := sys.modules.get("redispan._runtime.runtime")) is not None:
        runtimes.current().stop()


@pytest.fixture(autouse=True)
def _processes_keep_to_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no thread and no socket for host sharing, except in tests of it, which switch it on."""
    monkeypatch.setenv("OTEL_PYTHON_REDISPAN_HOST_SHARING", "false")


@pytest.fixture(autouse=True)
def _faults_of_observers_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a fault of redispan fail the test. A test of the guard itself sets ``strict`` back to False."""
    if importlib.util.find_spec("redispan._core") is not None:
        monkeypatch.setattr("redispan._core.observing.strict", True)


@pytest.fixture
def telemetry() -> Iterator[TelemetryInMemory]:
    """Yield tracer, meter and logger providers that keep everything in memory; they are not the global ones."""
    with contextlib.closing(TelemetryInMemory()) as in_memory:
        yield in_memory


@pytest.fixture(scope="session")
def _plain_server() -> Iterator[RedisServer]:
    with _stopping(start_redis()) as server:
        yield server


@pytest.fixture
def redis_server(_plain_server: RedisServer) -> RedisServer:
    """Return an empty Redis server on a port."""
    _plain_server.clean()
    return _plain_server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Return the URL of an empty Redis server."""
    return redis_server.url


@pytest.fixture
def new_redis_server() -> Iterator[Callable[..., RedisServer]]:
    """Yield a function that starts servers for one test to kill, pause or configure.

    Example: ``new_redis_server(maxmemory="2mb")``.
    """
    with contextlib.ExitStack() as servers:

        def start(**directives: str | int) -> RedisServer:
            return servers.enter_context(_stopping(start_redis(**directives)))

        yield start


@pytest.fixture(scope="session")
def _cluster() -> Iterator[ClusterServer]:
    with _stopping(start_cluster()) as cluster:
        yield cluster


@pytest.fixture
def cluster_server(_cluster: ClusterServer) -> ClusterServer:
    """Return an empty cluster of three masters."""
    _cluster.clean()
    return _cluster


@pytest.fixture(scope="session")
def _sentinel() -> Iterator[SentinelServer]:
    # Many tests share this trio, and some silence its master, on machines that may be too busy to answer in a second.
    # So it keeps its master for a long time. A test of a fail-over starts a separate trio.
    with _stopping(start_sentinel(PATIENT_MS)) as trio:
        yield trio


@pytest.fixture
def sentinel_server(_sentinel: SentinelServer) -> SentinelServer:
    """Return a master and a replica under one Sentinel; the master is empty."""
    _sentinel.clean()
    return _sentinel


@pytest.fixture
def trio() -> Iterator[SentinelServer]:
    """Yield a master to lose, its replica and their Sentinel, which gives up a silent master after a second."""
    with _stopping(start_sentinel()) as servers:
        yield servers


@pytest.fixture(scope="session")
def _unix() -> Iterator[RedisServer]:
    with _stopping(start_unix_redis()) as server:
        yield server


@pytest.fixture
def unix_server(_unix: RedisServer) -> RedisServer:
    """Return an empty server on a UNIX socket."""
    _unix.clean()
    return _unix


@pytest.fixture(scope="session")
def _tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    certificates = make_certificates(tmp_path_factory.mktemp("certificates"))
    try:
        server = start_tls_redis(certificates)
    except NoTlsError as error:
        pytest.skip(str(error))
    with _stopping(server):
        yield server


@pytest.fixture
def tls_server(_tls: RedisServer) -> RedisServer:
    """Return an empty server that speaks TLS only; clients must trust ``certificates.authority``."""
    _tls.clean()
    return _tls


@pytest.fixture(scope="session")
def _acl() -> Iterator[RedisServer]:
    with _stopping(start_acl_redis()) as server:
        yield server


@pytest.fixture
def acl_server(_acl: RedisServer) -> RedisServer:
    """Return an empty server with a password and an ACL user, who may use ``app:*`` keys only."""
    _acl.clean()
    return _acl


@pytest.fixture
def fault_proxy(redis_server: RedisServer) -> Iterator[FaultProxy]:
    """Yield a TCP proxy in front of ``redis_server`` that fails on demand."""
    with FaultProxy(redis_server.host, redis_server.port) as proxy:
        yield proxy


@pytest.fixture
def otlp_receiver() -> Iterator[OtlpReceiver]:
    """Yield an OTLP endpoint, over HTTP and gRPC."""
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root of the repository."""
    return Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def _stopping(server: RedisServer | ClusterServer | SentinelServer) -> Iterator[Any]:
    try:
        yield server
    finally:
        server.stop()
