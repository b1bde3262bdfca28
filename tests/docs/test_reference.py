"""The reference pages agree with the code."""

import re
import subprocess
import sys
from pathlib import Path

from redispan._core.records import ALERT_NAMES
from redispan._semconv.names import EVENT_ALERT_PREFIX

ROOT = Path(__file__).parents[2]
NAME = r"(?:db\.client|redis\.(?:client|server))\.[a-z_.]*[a-z_]"

# These packages only read the names that others emit; they emit none.
LEFT_OUT = ("cli", "monitoring")


def names_in_the_code() -> set[str]:
    """Return every literal in the source that is a redispan name or a name of the conventions' client metrics."""
    source = ROOT / "src" / "redispan"
    found: set[str] = set()
    for path in source.rglob("*.py"):
        if path.relative_to(source).parts[0] not in LEFT_OUT:
            found |= set(re.findall(rf"\"({NAME})\"", path.read_text(encoding="utf-8")))
    return found | {EVENT_ALERT_PREFIX + name for name in ALERT_NAMES}


def names_on_the_page() -> set[str]:
    """Return every such name that the page shows."""
    page = (ROOT / "docs" / "reference" / "telemetry.md").read_text(encoding="utf-8")
    return set(re.findall(rf"`({NAME})`", page))


def test_every_name_is_documented() -> None:
    """The page names every attribute, metric and event of the code."""
    assert names_in_the_code() - names_on_the_page() == set()


def test_nothing_is_documented_that_is_not_there() -> None:
    """Every name on the page is still in the code."""
    assert names_on_the_page() - names_in_the_code() == set()


def test_the_generated_parts_are_current() -> None:
    """The page of settings and the table of metrics equal what the generator writes now."""
    generator = ROOT / "docs" / "generate_reference.py"
    done = subprocess.run([sys.executable, generator, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
