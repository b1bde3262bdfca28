"""The reference pages say what the code says."""

import re
import subprocess
import sys
from pathlib import Path

from redispan._core.records import ALERT_NAMES
from redispan._semconv.names import EVENT_ALERT_PREFIX

ROOT = Path(__file__).parents[2]
NAME = r"(?:db\.client|redis\.(?:client|server))\.[a-z_.]*[a-z_]"

# Faces read the names that others send; they send none.
LEFT_OUT = ("cli", "monitoring")


def names_in_the_code() -> set[str]:
    """Every name of ours or of the conventions' client metrics that stands as a literal in the source."""
    source = ROOT / "src" / "redispan"
    found: set[str] = set()
    for path in source.rglob("*.py"):
        if path.relative_to(source).parts[0] not in LEFT_OUT:
            found |= set(re.findall(rf"\"({NAME})\"", path.read_text(encoding="utf-8")))
    return found | {EVENT_ALERT_PREFIX + name for name in ALERT_NAMES}


def names_on_the_page() -> set[str]:
    """Every such name that the page shows."""
    page = (ROOT / "docs" / "reference" / "telemetry.md").read_text(encoding="utf-8")
    return set(re.findall(rf"`({NAME})`", page))


def test_every_name_is_documented() -> None:
    """No attribute, metric or event of the code is missing from the page."""
    assert names_in_the_code() - names_on_the_page() == set()


def test_nothing_is_documented_that_is_not_there() -> None:
    """No name on the page has left the code."""
    assert names_on_the_page() - names_in_the_code() == set()


def test_the_generated_parts_are_current() -> None:
    """The page of settings and the table of metrics are what the generator writes today."""
    generator = ROOT / "docs" / "generate_reference.py"
    done = subprocess.run([sys.executable, generator, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
