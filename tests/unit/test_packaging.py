"""The package as pip and opentelemetry-instrument read it: metadata, entry points, and what is left out on purpose."""

import importlib.metadata
import importlib.resources
import subprocess
import sys

import pytest
from packaging.requirements import Requirement

import redispan
from redispan.version import __version__

DISTRIBUTION = importlib.metadata.distribution("redispan")
REQUIREMENTS = [Requirement(text) for text in DISTRIBUTION.requires or []]
hard_dependencies = {requirement.name for requirement in REQUIREMENTS if requirement.marker is None}


def of_extra(extra: str) -> set[str]:
    """Return what an extra adds on this machine."""
    return {
        requirement.name
        for requirement in REQUIREMENTS
        if requirement.marker is not None
        and requirement.marker.evaluate({"extra": extra})
        and not requirement.marker.evaluate({"extra": ""})
    }


def test_version_is_the_same_everywhere():
    """The installed metadata, the package and its version module agree."""
    assert DISTRIBUTION.version == __version__ == redispan.__version__


def test_redis_is_no_hard_dependency():
    """Installing redispan never installs a redis that could shadow the program's own."""
    assert hard_dependencies == {
        "opentelemetry-api",
        "opentelemetry-instrumentation",
        "opentelemetry-instrumentation-redis",
        "tenacity",
    }


def test_any_client_is_enough_and_no_version_too_new():
    """Either client is enough, and no range has an upper end.

    Outside these ranges opentelemetry-instrument skips redispan silently.
    """
    assert of_extra("instruments") == set()
    any_of = [one for one in REQUIREMENTS if one.marker and one.marker.evaluate({"extra": "instruments-any"})]
    any_of = [one for one in any_of if one.name not in hard_dependencies]
    assert {one.name for one in any_of} == {"redis", "valkey"}
    assert {specifier.operator for one in any_of for specifier in one.specifier} == {">="}


def test_otlp_extra_is_all_that_sending_needs():
    """`pip install redispan[otlp]` installs the SDK, the distribution and the exporter."""
    assert of_extra("otlp") == {"opentelemetry-sdk", "opentelemetry-distro", "opentelemetry-exporter-otlp"}


@pytest.mark.parametrize("requirement", [one for one in REQUIREMENTS if one.name in hard_dependencies], ids=str)
def test_no_tight_pin(requirement: Requirement):
    """redispan can be installed beside a distribution that pins its OpenTelemetry."""
    assert {specifier.operator for specifier in requirement.specifier} <= {">=", "<"}


@pytest.mark.parametrize(
    ("group", "value"),
    [
        ("opentelemetry_instrumentor", "redispan.instrumentor:RedispanInstrumentor"),
        ("opentelemetry_environment_variables", "redispan.environment_variables"),
        ("opentelemetry_post_instrument", "redispan.hooks:after_instrument"),
        ("console_scripts", "redispan.cli:main"),
    ],
)
def test_entry_points_are_declared_under_our_own_name(group: str, value: str):
    """Each entry point is called redispan, so that it can be disabled apart from contrib's redis."""
    (entry_point,) = [one for one in DISTRIBUTION.entry_points if one.group == group]
    assert (entry_point.name, entry_point.value) == ("redispan", value)


def test_types_are_shipped():
    """The package contains the marker file that makes type checkers read its annotations."""
    assert importlib.resources.files("redispan").joinpath("py.typed").is_file()


def test_importing_redispan_imports_nothing_else():
    """Importing the package imports neither redis nor OpenTelemetry, so the import cannot fail because of them."""
    program = (
        "import sys, redispan, redispan.environment_variables, redispan.hooks; "
        "print([name for name in ('redis', 'opentelemetry', 'tenacity') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
