"""The modules that opentelemetry-instrument loads first: they never raise, and contrib gets all its objects back."""

import importlib
import importlib.metadata
import subprocess
import sys

import pytest
import redis
import redis.asyncio
import redis.asyncio.cluster
from opentelemetry.instrumentation import redis as contrib
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor
from packaging.requirements import Requirement

from redispan import RedispanInstrumentor, Settings, environment_variables, hooks, package, takeover

ORIGINAL = contrib.RedisInstrumentor


@pytest.fixture(autouse=True)
def _contrib_as_it_was() -> object:
    yield
    takeover.give_back()
    if ORIGINAL().is_instrumented_by_opentelemetry:
        ORIGINAL().uninstrument()


def state_of_contrib() -> dict[str, object]:
    """Return everything of contrib's that a take-over changes."""
    names = ("instrument_client", "uninstrument_client")
    return {
        **{name: vars(ORIGINAL)[name] for name in names},
        "module": getattr(contrib, "is_instrumentation_enabled", None),
        "instance": {k: v for k, v in vars(ORIGINAL()).items() if v is not False},
        "execute_command": vars(redis.Redis)["execute_command"],
    }


def test_contrib_gets_everything_back() -> None:
    """After take-over and return, class, module, instance and redis-py's methods are the same objects as before."""
    before = state_of_contrib()
    takeover.take_over()
    takeover.take_over()
    assert state_of_contrib() != before
    takeover.give_back()
    takeover.give_back()
    assert state_of_contrib() == before


def test_contrib_seems_instrumented_and_does_nothing() -> None:
    """During a take-over, all four public calls of contrib's instrumentor are silent and change nothing."""
    takeover.take_over()
    command, client = redis.Redis.execute_command, redis.Redis()
    instrumentor = ORIGINAL()
    instrumentor.instrument()
    instrumentor.instrument_client(client)
    instrumentor.uninstrument_client(client)
    instrumentor.uninstrument()
    assert instrumentor.is_instrumented_by_opentelemetry
    assert redis.Redis.execute_command is command
    assert "execute_command" not in vars(client)


def test_contribs_own_patches_come_off() -> None:
    """If a contrib instrumentor came first, redispan restores redis-py's methods as they were before it."""
    command = vars(redis.Redis)["execute_command"]
    ORIGINAL().instrument()
    assert vars(redis.Redis)["execute_command"] is not command
    takeover.take_over()
    assert vars(redis.Redis)["execute_command"] is command


@pytest.mark.parametrize("make", [redis.Redis, redis.asyncio.Redis, type("Own", (redis.Redis,), {})])
def test_clients_that_contrib_had_instrumented_are_freed(make: type) -> None:
    """A client with contrib's wrappers uses its class's methods again, where redispan's patches are."""
    client, other = make(), make()
    other.execute_command = mine = lambda *args: None
    ORIGINAL.instrument_client(client)
    assert "execute_command" in vars(client)
    takeover.take_over()
    assert "execute_command" not in vars(client)
    assert "pipeline" not in vars(client)
    assert vars(other)["execute_command"] is mine, "another's wrapper stays"


def test_foreign_classes_are_not_asked_anything() -> None:
    """The search for clients runs no code of the program, however its classes and objects behave."""

    class Meta(type):
        def __getattribute__(cls, name: str) -> object:
            raise AssertionError(f"asked for {name}")

    class Foreign(metaclass=Meta):
        def __getattribute__(self, name: str) -> object:
            raise AssertionError(f"asked for {name}")

    kept = [Foreign(), Foreign]
    takeover._free_clients(contrib.__name__)
    assert len(kept) == 2


@pytest.mark.parametrize("kind", [redis.Redis, redis.asyncio.Redis])
@pytest.mark.parametrize("how", ["never", "no more", "still"])
def test_the_heap_is_searched_only_where_contrib_wrapped_a_client(
    how: str, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """redispan searches the heap only if contrib wrapped a client.

    A search takes longer the more objects a program has, and almost no program needs it.
    """
    searched: list[str] = []
    monkeypatch.setattr(takeover, "_free_clients", searched.append)
    client = kind()
    if how != "never":
        contrib.RedisInstrumentor.instrument_client(client)
    if how == "no more":
        contrib.RedisInstrumentor.uninstrument_client(client)
    takeover.take_over()
    takeover.give_back()
    assert bool(searched) == (how == "still")


@pytest.mark.parametrize("strange", [None, object(), lambda: None, type("Plain", (), {}), 7])
def test_a_strange_contrib_is_no_base(strange: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a real instrumentor class becomes the base of redispan's. A take-over from anything else does not raise."""
    monkeypatch.setattr(contrib, "RedisInstrumentor", strange)
    assert takeover.base_class() is BaseInstrumentor
    takeover.take_over()
    takeover.give_back()


def test_our_instrumentor_is_not_contribs() -> None:
    """redispan's instrumentor is a drop-in subclass with its own state, whichever of the two was made first."""
    theirs, ours = ORIGINAL(), RedispanInstrumentor()
    assert isinstance(ours, ORIGINAL)
    assert ours is not theirs
    assert ours is RedispanInstrumentor()
    theirs._is_instrumented_by_opentelemetry = True
    assert not ours.is_instrumented_by_opentelemetry
    theirs._is_instrumented_by_opentelemetry = False


def test_nothing_is_taken_over_where_redis_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a redis-py that redispan cannot patch, contrib keeps its spans."""
    monkeypatch.setattr(redis, "__version__", "4.6.0")
    before = state_of_contrib()
    takeover.take_over()
    assert state_of_contrib() == before


def test_the_hook_cannot_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hook returns after any failure inside it. An exception would end all auto-instrumentation."""

    def fail() -> None:
        raise SystemError

    monkeypatch.setattr("redispan.instrumentor.take_over_after_loading", fail)
    hooks.after_instrument()
    monkeypatch.setitem(sys.modules, "redispan.instrumentor", None)
    hooks.after_instrument()


def test_the_hook_leaves_contrib_alone_unless_ours_is_active() -> None:
    """The hook leaves contrib's patches in place if redispan is disabled, because the hook runs in that case too."""
    ORIGINAL().instrument()
    patched = vars(redis.Redis)["execute_command"]
    hooks.after_instrument()
    assert vars(redis.Redis)["execute_command"] is patched


def test_every_setting_is_declared_as_a_variable() -> None:
    """The module declares exactly one variable for each setting, and each variable sets its own setting."""
    declared = {name: value for name, value in vars(environment_variables).items() if name.startswith("OTEL_")}
    assert {name.removeprefix("OTEL_PYTHON_REDISPAN_").lower() for name in declared} == set(
        Settings.__dataclass_fields__
    )
    assert all(name == value for name, value in declared.items())


@pytest.mark.parametrize("module", ["redispan", "redispan.environment_variables", "redispan.hooks", "redispan.package"])
def test_the_first_modules_import_nothing_else(module: str) -> None:
    """The first modules import neither redis nor OpenTelemetry nor tenacity.

    So none of these can keep a program from starting.
    """
    asked = (
        f"import sys, {module}; "
        "print([n for n in ('redis', 'valkey', 'opentelemetry', 'tenacity', 'wrapt', 'celery') if n in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("extra", "said"), [("instruments", package.instruments), ("instruments-any", package.instruments_any)]
)
def test_what_we_instrument_is_what_the_extras_say(extra: str, said: tuple[str, ...]) -> None:
    """The version ranges in the package equal those of the extras, which opentelemetry-instrument reads."""
    requirements = map(Requirement, importlib.metadata.requires("redispan") or [])
    declared = {
        f"{r.name} {r.specifier}" for r in requirements if r.marker is not None and r.marker.evaluate({"extra": extra})
    }
    assert {str(Requirement(text)) for text in declared} == {str(Requirement(text)) for text in said}
