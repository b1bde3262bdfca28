"""The page on architecture and CONTRIBUTING describe layers and files as they are."""

import re
from pathlib import Path

import pytest

try:
    import tomllib
except ImportError:  # Python 3.10
    tomllib = None  # type: ignore[assignment]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"


def linted_layers() -> str:
    """Return the layers of the linter's contract, on one line."""
    if tomllib is None:
        pytest.skip("reading pyproject.toml needs Python 3.11")
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract.get("containers") == ["redispan"]]
    return " > ".join(re.sub(r"[()]", "", layer) for layer in layers)


@pytest.mark.parametrize("page", [PAGE, ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_the_layers_on_the_page_are_the_linters(page: Path) -> None:
    """The layers on the page equal those of the linter's contract."""
    assert linted_layers() in [line.strip() for line in page.read_text("utf-8").splitlines()]


def test_every_file_that_the_page_names_exists() -> None:
    """Every file that the page names exists, in its table and in its text."""
    text = PAGE.read_text("utf-8")
    named = set(re.findall(r"`((?:src/redispan/)?_?[a-z]+/[a-z_/]+(?:\.[a-z]+|/)?)`", text))
    assert len(named) > 25
    missing = [name for name in named if not any((base / name).exists() for base in (ROOT, ROOT / "src" / "redispan"))]
    assert missing == []


def test_the_page_says_where_every_layer_is() -> None:
    """Each layer of the contract has a row in the page's table of packages."""
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    described = {name for row in rows for name in re.findall(r"`(_?[a-z]+)`", row.split("|")[1])}
    assert set(re.findall(r"_?[a-z]+", linted_layers())) <= described
