"""The code, commands, settings and links in README and docs are run or looked up."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from redispan.cli.arguments import SUBCOMMANDS, build_parser
from redispan.settings import Settings
from redispan.settings.table import variable_of

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    if page.name != "CHANGELOG.md"
)
NOT_RUN = "<!-- not run: "
VARIABLES = {variable_of(field.name) for field in fields(Settings)}


@dataclass(frozen=True)
class Block:
    """One code block of a page."""

    page: Path
    line: int
    language: str
    code: str
    reason_not_to_run: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page. The line above a block may give the reason why it isn't run."""
    text = page.read_text(encoding="utf-8")
    for found in re.finditer(r"^( *)```(\w+)\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE):
        above = text[: found.start()].rstrip().rpartition("\n")[2]
        code = re.sub(rf"^{found[1]}", "", found[3], flags=re.MULTILINE)
        reason = above if above.startswith(NOT_RUN) else ""
        yield Block(page, text.count("\n", 0, found.start()) + 1, found[2], code, reason)


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
SHELL_LINES = [
    (str(block), line)
    for block in BLOCKS
    if block.language in ("sh", "bash", "shell", "console")
    for line in block.code.replace("\\\n", " ").splitlines()
]


@pytest.mark.redis
@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "python" and not block.reason_not_to_run], ids=str
)
def test_python_code_runs(block: Block, redis_url: str, tmp_path: Path) -> None:
    """Every Python block runs to its end in a separate process, with a Redis at REDIS_URL."""
    done = subprocess.run(
        [sys.executable, "-c", block.code],
        cwd=tmp_path,
        env={**os.environ, "REDIS_URL": redis_url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_shell_code_is_shell() -> None:
    """Every shell block can be parsed by a shell."""
    for block in BLOCKS:
        if block.language in ("sh", "bash", "shell"):
            done = subprocess.run(["/bin/sh", "-n"], input=block.code, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{block}: {done.stderr}"


def test_make_targets_exist() -> None:
    """Every `make` command on the pages is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    shown = {(where, found[1]) for where, line in SHELL_LINES if (found := re.match(r"make ([a-z0-9-]+)", line))}
    assert {target for _, target in shown} - targets == set()
    assert shown


def test_redispan_commands_are_understood() -> None:
    """Every `redispan` command on the pages parses, wherever it is on its line."""
    parser = build_parser()
    shown = 0
    for where, line in SHELL_LINES:
        found = re.search(rf"\bredispan ((?:{'|'.join(SUBCOMMANDS)})\b[^#|]*)", line)
        if found:
            shown += 1
            try:
                parser.parse_args([word.strip("\"'") for word in found[1].split()])
            except SystemExit:
                pytest.fail(f"{where}: {line}")
    assert shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_exist(page: Path) -> None:
    """Every variable and flag that a page names belongs to a setting."""
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"OTEL_PYTHON_REDISPAN_[A-Z0-9_]*[A-Z0-9]", text))
    named |= {variable_of(name) for name in re.findall(r"--redispan_([a-z0-9_]+)", text)}
    assert named - VARIABLES == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """The target of every relative link and picture of a page exists."""
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", prose) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
