"""The command line starts the program and instruments the rest, whatever is missing, old, broken or shadowed."""

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import redispan
from e2e import site_folder
from e2e.reading import CONTRIB, OURS, measurements_by_operation, redis_spans, spans_by_operation
from servers.otlp_receiver import OtlpReceiver
from zero_code import Finished, Launcher

pytestmark = pytest.mark.e2e

CONTRIB_NAME = "opentelemetry-instrumentation-redis"
SDK = ("opentelemetry-distro", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")
ALL = ("redispan", *SDK, CONTRIB_NAME, "opentelemetry-instrumentation")
BREAKAGES = {
    "RuntimeError": "raise RuntimeError('broken')",
    "SyntaxError": "this is no Python",
    "AttributeError": "import sys; sys.no_such_thing",
    "ImportError": "raise ImportError('broken')",
}


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an interpreter with no packages installed."""
    return site_folder.bare_python(tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="session")
def operators_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that an operator puts first on the path.

    It has redispan, OpenTelemetry and all they need, but no redis.
    """
    return site_folder.link(tmp_path_factory.mktemp("operator"), site_folder.needed_by(*ALL))


@pytest.fixture(scope="session")
def redis_5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with redis-py 5.0.8, the oldest supported line."""
    return site_folder.install(tmp_path_factory.mktemp("redis5"), "redis==5.0.8")


@pytest.fixture
def bare(launcher: Launcher, bare_python: Path) -> Launcher:
    """Return a launcher whose interpreter has only the packages that the test puts on the path."""
    return replace(launcher, python=bare_python, disabled=())


def run_between_witnesses(
    launcher: Launcher, folder: Path, path: Sequence[Path], program: str = "which_redis.py"
) -> Finished:
    """Run a program with one instrumentor loaded before redispan's and one after it.

    Check that all three were loaded.
    """
    before, after = (site_folder.witness(folder / name, name) for name in ("witness_a", "witness_z"))
    launcher.path = [before, *path, after]
    finished = launcher.run(program)
    assert finished.code == 7, finished.all
    assert "the program ran" in finished.out, finished.all
    assert "witness_a was instrumented" in finished.out, finished.all
    assert "witness_z was instrumented" in finished.out, finished.all
    return finished


def test_the_operators_folder_does_not_shadow_the_programs_redis(
    bare: Launcher, operators_folder: Path, redis_5: Path, otlp_receiver: OtlpReceiver, tmp_path: Path
) -> None:
    """With redispan's folder first, a program pinned to redis 5.0.8 runs 5.0.8, and redispan records its operations."""
    finished = run_between_witnesses(bare, tmp_path, [operators_folder, redis_5])
    assert "redis 5.0.8" in finished.out
    assert finished.err == ""
    assert [(span.scope, span.attributes["db.operation.name"]) for span in redis_spans(otlp_receiver)] == [
        (OURS, "SET"),
        (OURS, "GET"),
    ]


def test_without_redis(bare: Launcher, operators_folder: Path, tmp_path: Path) -> None:
    """A program without redis-py starts without any output on standard error."""
    finished = run_between_witnesses(bare, tmp_path, [operators_folder])
    assert "no redis: ModuleNotFoundError" in finished.out
    assert finished.err == ""


@pytest.mark.parametrize("without", [[], [CONTRIB_NAME]], ids=["contrib", "no contrib"])
def test_valkey_without_redis(without: list[str], bare: Launcher, otlp_receiver: OtlpReceiver, tmp_path: Path) -> None:
    """redispan instruments a program with valkey-py and no redis-py, with or without contrib's instrumentor."""
    chosen = site_folder.needed_by(*ALL, "valkey", without=["redis", *without])
    finished = run_between_witnesses(
        bare, tmp_path, [site_folder.link(tmp_path / "site", chosen)], program="only_valkey.py"
    )
    assert finished.err == ""
    assert spans_by_operation(otlp_receiver) == Counter({"SET": 1, "PIPELINE GET": 1, "INCRBY": 1})
    assert {span.attributes["db.system.name"] for span in redis_spans(otlp_receiver)} == {"redis"}
    assert measurements_by_operation(otlp_receiver) == Counter({"SET": 1, "PIPELINE GET": 1, "INCRBY": 1})


@pytest.mark.parametrize("redis_version", ["4.6.0", "broken"])
def test_valkey_beside_a_redis_of_no_use(
    redis_version: str, bare: Launcher, otlp_receiver: OtlpReceiver, tmp_path: Path
) -> None:
    """redispan instruments valkey-py beside a redis-py that is too old or broken.

    It logs one line about that redis-py.
    """
    bare.disabled = ["redis"]
    chosen = site_folder.needed_by(*ALL, "valkey", without=["redis"])
    if redis_version == "broken":
        modules, version = {"redis/__init__.py": BREAKAGES["RuntimeError"]}, "8.0.0"
    else:
        modules, version = {"redis/__init__.py": f"__version__ = '{redis_version}'"}, redis_version
    useless = site_folder.fake_distribution(tmp_path / "useless", "redis", version, modules)
    finished = run_between_witnesses(
        bare, tmp_path, [site_folder.link(tmp_path / "site", chosen), useless], program="only_valkey.py"
    )
    assert len(finished.lines_about("redispan")) == len(finished.err.splitlines()) == 1, finished.err
    assert redis_version in finished.err
    assert spans_by_operation(otlp_receiver) == Counter({"SET": 1, "PIPELINE GET": 1, "INCRBY": 1})


def test_without_contrib(bare: Launcher, redis_5: Path, otlp_receiver: OtlpReceiver, tmp_path: Path) -> None:
    """redispan works without contrib's instrumentor."""
    chosen = site_folder.needed_by(*ALL, without=[CONTRIB_NAME])
    finished = run_between_witnesses(bare, tmp_path, [site_folder.link(tmp_path / "site", chosen), redis_5])
    assert finished.err == ""
    assert [span.scope for span in redis_spans(otlp_receiver)] == [OURS, OURS]


def test_without_the_sdk(bare: Launcher, redis_5: Path, tmp_path: Path) -> None:
    """Without the SDK the program runs normally and emits no telemetry."""
    chosen = site_folder.needed_by("redispan", without=SDK)
    finished = run_between_witnesses(bare, tmp_path, [site_folder.link(tmp_path / "site", chosen), redis_5])
    assert finished.err == ""


def test_without_tenacity(bare: Launcher, redis_5: Path, otlp_receiver: OtlpReceiver, tmp_path: Path) -> None:
    """Only the tuned pool needs tenacity. Without it redispan still emits all telemetry."""
    chosen = site_folder.needed_by(*ALL, without=["tenacity"])
    finished = run_between_witnesses(bare, tmp_path, [site_folder.link(tmp_path / "site", chosen), redis_5])
    assert finished.err == ""
    assert [span.scope for span in redis_spans(otlp_receiver)] == [OURS, OURS]


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_broken_redis(breakage: str, bare: Launcher, operators_folder: Path, tmp_path: Path) -> None:
    """A redis-py that fails on import loses only its own operations, and one log line names it."""
    bare.disabled = ["redis"]  # with or without redispan, contrib's instrumentor would end auto-instrumentation here
    modules = {"redis/__init__.py": BREAKAGES[breakage]}
    broken = site_folder.fake_distribution(tmp_path / "broken", "redis", "8.0.0", modules)
    finished = run_between_witnesses(bare, tmp_path, [operators_folder, broken])
    assert f"no redis: {breakage}" in finished.out
    assert len(finished.lines_about("redispan")) == len(finished.err.splitlines()) == 1, finished.err
    assert "redis (broken) is not supported" in finished.err


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_broken_contrib(
    breakage: str, bare: Launcher, redis_5: Path, otlp_receiver: OtlpReceiver, tmp_path: Path
) -> None:
    """redispan works when contrib's instrumentor fails on import."""
    bare.disabled = ["redis"]
    site = site_folder.link(tmp_path / "site", site_folder.needed_by(*ALL, without=[CONTRIB_NAME]))
    broken = site / "opentelemetry" / "instrumentation" / "redis"
    broken.mkdir()
    (broken / "__init__.py").write_text(BREAKAGES[breakage])
    finished = run_between_witnesses(bare, tmp_path, [site, redis_5])
    assert finished.err == ""
    assert [span.scope for span in redis_spans(otlp_receiver)] == [OURS, OURS]


@pytest.mark.parametrize("module", ["class RedisInstrumentor: pass", "RedisInstrumentor = None", ""])
def test_a_strange_contrib(
    module: str, bare: Launcher, redis_5: Path, otlp_receiver: OtlpReceiver, tmp_path: Path
) -> None:
    """redispan works when contrib's instrumentor has an unknown shape."""
    bare.disabled = ["redis"]
    site = site_folder.link(tmp_path / "site", site_folder.needed_by(*ALL, without=[CONTRIB_NAME]))
    strange = site / "opentelemetry" / "instrumentation" / "redis"
    strange.mkdir()
    (strange / "__init__.py").write_text(module)
    run_between_witnesses(bare, tmp_path, [site, redis_5])
    assert [span.scope for span in redis_spans(otlp_receiver)] == [OURS, OURS]


@pytest.mark.parametrize("breakage", ["RuntimeError", "SyntaxError"])
def test_a_broken_sdk(breakage: str, bare: Launcher, redis_5: Path, tmp_path: Path) -> None:
    """With an SDK that fails on import, the program runs uninstrumented and returns its own result."""
    site = site_folder.link(tmp_path / "site", site_folder.needed_by(*ALL, without=["opentelemetry-sdk"]))
    sdk = {"opentelemetry/sdk/__init__.py": BREAKAGES[breakage]}
    site_folder.fake_distribution(site, "opentelemetry-sdk", "1.45.2", sdk)
    bare.path = [site, redis_5]
    finished = bare.run("which_redis.py")
    assert (finished.code, finished.out) == (7, "redis 5.0.8\nb'v'\nthe program ran\n")


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_our_own_settings_broken(breakage: str, bare: Launcher, redis_5: Path, tmp_path: Path) -> None:
    """The command line works even if redispan fails on import. Only redispan's flags are missing."""
    site = site_folder.link(tmp_path / "site", site_folder.needed_by(*ALL, without=["redispan"]))
    ours = site_folder.link(tmp_path / "ours", ["redispan"])
    (ours / "redispan").unlink()
    source = Path(redispan.__file__).parent
    for name in ("__init__.py", "environment_variables.py", "hooks.py"):
        (ours / "redispan").mkdir(exist_ok=True)
        (ours / "redispan" / name).write_text((source / name).read_text())
    (ours / "redispan" / "settings").mkdir()
    for name in ("__init__.py", "table.py"):
        (ours / "redispan" / "settings" / name).write_text(BREAKAGES[breakage])
    bare.path = [site, ours, redis_5]
    finished = bare.run("which_redis.py")
    assert (finished.code, finished.out) == (7, "redis 5.0.8\nb'v'\nthe program ran\n"), finished.all


def test_our_own_command_table_missing(bare: Launcher, redis_5: Path, tmp_path: Path) -> None:
    """An installation without redispan's data file instruments nothing of redispan, and all the rest."""
    site = site_folder.link(tmp_path / "site", site_folder.needed_by(*ALL, without=["redispan"]))
    ours = site_folder.link(tmp_path / "ours", ["redispan"])
    (ours / "redispan").unlink()
    shutil.copytree(Path(redispan.__file__).parent, ours / "redispan", ignore=shutil.ignore_patterns("commands.txt"))
    finished = run_between_witnesses(bare, tmp_path, [site, ours, redis_5])
    assert finished.out.endswith("redis 5.0.8\nb'v'\nthe program ran\n"), finished.all
    assert "ImportError: redispan is not complete: commands.txt is missing" in finished.err


@pytest.mark.parametrize("told_by", ["metadata", "module"])
def test_an_unsupported_redis(
    told_by: str, bare: Launcher, operators_folder: Path, tmp_path: Path, otlp_receiver: OtlpReceiver, redis_5: Path
) -> None:
    """redispan does not instrument a redis-py 4, logs one clear line about it, and leaves contrib's spans in place."""
    old = tmp_path / "old"
    version = "4.6.0" if told_by == "metadata" else "5.0.8"
    site_folder.fake_distribution(old, "redis", version, {})
    (old / "redis").mkdir()
    for file in (redis_5 / "redis").iterdir():
        if file.name not in ("__init__.py", "__pycache__"):
            (old / "redis" / file.name).symlink_to(file)
    init = (redis_5 / "redis" / "__init__.py").read_text()
    (old / "redis" / "__init__.py").write_text(init + "\n__version__ = '4.6.0'\n")
    finished = run_between_witnesses(bare, tmp_path, [operators_folder, old])
    assert "redis 4.6.0" in finished.out
    assert len(finished.lines_about("redispan")) == len(finished.err.splitlines()) == 1, finished.err
    assert "4.6.0" in finished.err
    assert [span.scope for span in redis_spans(otlp_receiver)] == [CONTRIB, CONTRIB]
