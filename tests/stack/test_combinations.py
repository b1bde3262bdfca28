"""The Collector accepts every combination of its files, and no value of any combination has changed.

`golden/combinations/` holds a digest of every combination: all differences from the base, as the Collector prints them
and as the files have them. It also holds the readable shape of each part (components, pipelines, extensions). A
combination is the sum of its parts; where it is more, its own shape is kept as well. If a digest has changed and no
shape has, the changed value is in the diff of the Collector's files or of the golden file of that single backend,
overlay or tier. `REDISPAN_WRITE_GOLDEN=1 pytest tests/stack -k "combinations or collector_files"` writes all files.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from stack.native.configurations import GOLDEN, check_golden, digest, printed, run, shape, together, written
from stack.native.stack import COLLECTOR_FILES, Tools

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

BACKENDS = sorted(path.stem for path in (COLLECTOR_FILES / "backends").glob("*.yaml"))
# An overlay is independent of the others, except for the two kinds of TLS, of which only one can apply.
CHOICES: tuple[tuple[str, ...], ...] = (("no-server-metrics",), ("tail-sampling",), ("tls", "mtls"), ("bearer",))
# Both files list the extensions to run, and merging replaces a list. So a third file, useless by itself, names all of
# them.
JOINT = ["overlays/bearer-with-aws"]
# The first files of a tier; the backend and the overlays follow. Agents send only to their gateways.
AGENTS = {
    "agent-dns": ["scale/agent", "scale/resolver-dns"],
    "agent-static": ["scale/agent", "scale/resolver-static"],
    "agent-to-kafka": ["scale/no-derived", "backends/kafka"],
}
GATEWAYS = {"gateway": ["scale/gateway"], "gateway-from-kafka": ["scale/gateway", "scale/from-kafka"]}


def overlay_sets(*, sampling: bool = True) -> list[tuple[str, ...]]:
    """Return every useful set of overlays, the empty one first."""
    choices = [choice for choice in CHOICES if sampling or choice != ("tail-sampling",)]
    return [
        tuple(name for name in chosen if name) for chosen in itertools.product(*(("", *choice) for choice in choices))
    ]


def overlay_parts(overlays: tuple[str, ...], backends: tuple[str, ...] = ()) -> list[list[str]]:
    """Return the overlays' files in the order that the README gives."""
    parts = [[f"overlays/{name}"] for name in overlays]
    return [*parts, JOINT] if "vendor-aws" in backends and "bearer" in overlays else parts


class Judge:
    """Query the Collector about many combinations at once, and record the result of each."""

    def __init__(self, tools: Tools, folder: Path) -> None:
        self._tools = tools
        self._folder = folder
        self._base = [printed(tools, [], folder), written([])]
        self._shapes: dict[tuple[str, ...], dict[str, Any]] = {}

    def known(self, combinations: Mapping[str, Sequence[list[str]]], parts: dict[str, list[str]]) -> dict[str, Any]:
        """Return what is kept of combinations: each part's shape, each combination's digest, and any surprise.

        Args:
            combinations: The files of the parts in their order, by name.
            parts: The parts whose shapes belong in this golden file.
        """
        with ThreadPoolExecutor(os.cpu_count()) as workers:
            marks = list(workers.map(self._look, combinations.values()))
        surprises = {
            name: picture for name, (_, picture) in zip(combinations, marks, strict=True) if picture is not None
        }
        kept: dict[str, Any] = {"digests": dict(zip(combinations, (mark for mark, _ in marks), strict=True))}
        kept |= {f"shape of {name}": self.shape(files) for name, files in parts.items()}
        return kept | ({"more than the parts": surprises} if surprises else {})

    def accepted(self, combinations: Sequence[list[str]]) -> None:
        """Check that the Collector accepts every combination."""
        with ThreadPoolExecutor(os.cpu_count()) as workers:
            list(workers.map(self._validate, combinations))

    def digest(self, files: list[str], root: Path) -> str:
        """Return the digest of a combination of files that may have been changed."""
        return digest(self._base, [printed(self._tools, files, self._folder, root), written(files, root)])

    def shape(self, files: list[str]) -> dict[str, Any]:
        """Return the shape of the base with these files."""
        if tuple(files) not in self._shapes:
            self._shapes[tuple(files)] = shape(self._base[0], printed(self._tools, files, self._folder))
        return self._shapes[tuple(files)]

    def _look(self, parts: list[list[str]]) -> tuple[str, dict[str, Any] | None]:
        files = [file for part in parts for file in part]
        self._validate(files)
        whole = printed(self._tools, files, self._folder)
        found = shape(self._base[0], whole)
        expected = together([self.shape(part) for part in parts if part != JOINT])
        surprise = {section: value for section, value in found.items() if value != expected.get(section)}
        return digest(self._base, [whole, written(files)]), surprise or None

    def _validate(self, files: list[str]) -> None:
        done = run(self._tools, "validate", files, self._folder)
        assert done.returncode == 0, f"{files}: {done.stderr}"


@pytest.fixture(scope="module")
def judge(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """Return one judge for all tests, which knows the base."""
    return Judge(tools, tmp_path_factory.mktemp("combinations"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_backend_under_every_set_of_overlays(backend: str, judge: Judge) -> None:
    """The Collector accepts the base with a backend and any set of overlays, and the result is the known one."""
    own = [f"backends/{backend}"]
    combinations = {_name(overlays): [own, *overlay_parts(overlays, (backend,))] for overlays in overlay_sets()}
    keep(f"backend-{backend}", judge.known(combinations, {backend: own}))


def test_the_base_under_every_set_of_overlays(judge: Judge) -> None:
    """The base has the known result under every set of overlays, and this test records the overlays' shapes once."""
    combinations = {_name(overlays): overlay_parts(overlays) for overlays in overlay_sets()}
    alone = {overlay: [f"overlays/{overlay}"] for choice in CHOICES for overlay in choice}
    keep("base", judge.known(combinations, alone))


@pytest.mark.parametrize("tier", AGENTS)
def test_agents_under_every_set_of_overlays(tier: str, judge: Judge) -> None:
    """The Collector accepts agents in front of gateways or Kafka, however secured. The result is known."""
    own = AGENTS[tier]
    combinations = {_name(overlays): [own, *overlay_parts(overlays)] for overlays in overlay_sets(sampling=False)}
    keep(tier, judge.known(combinations, {tier: own}))


@pytest.mark.parametrize("tier", GATEWAYS)
def test_gateways_with_every_backend(tier: str, judge: Judge) -> None:
    """The Collector accepts gateways with each backend, with and without tail sampling. The result is known."""
    parts = {tier: GATEWAYS[tier], f"{tier} + tail-sampling": [*GATEWAYS[tier], "overlays/tail-sampling"]}
    combinations = {
        f"{name} + {backend}": [files, [f"backends/{backend}"]]
        for backend, (name, files) in itertools.product(BACKENDS, parts.items())
    }
    keep(tier, judge.known(combinations, parts))


def test_any_two_backends(judge: Judge) -> None:
    """The Collector accepts any two backends under tail sampling.

    Another test proves that neither changes the other.
    """
    judge.accepted(
        [
            [f"backends/{one}", f"backends/{other}", "overlays/tail-sampling"]
            for one, other in itertools.combinations(BACKENDS, 2)
        ]
    )


def test_no_kept_file_is_left_over() -> None:
    """Every golden file belongs to an existing backend."""
    kept = {path.stem for path in (GOLDEN / "combinations").glob("*.yaml")}
    assert kept == {"base", *(f"backend-{name}" for name in BACKENDS), *AGENTS, *GATEWAYS}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("overlays/tail-sampling", "> 50000000", "> 60000000"),  # print-config shows no policy
        ("backends/jaeger", "max_interval: 30s", "max_interval: 31s"),
        ("backends/debug", 'verbosity: "${env:OTELCOL_DEBUG_VERBOSITY:-basic}"', "verbosity: normal"),  # nor this
        ("backends/jaeger", "exporters: [otlp_grpc/jaeger]", "exporters: [otlp_grpc/jaeger, nop]"),
    ],
)
def test_one_changed_value_changes_the_digest(file: str, old: str, new: str, judge: Judge, tmp_path: Path) -> None:
    """Any changed value changes the digest, even a value that the Collector does not print."""
    root = tmp_path / "config"
    shutil.copytree(COLLECTOR_FILES, root)
    files = ["backends/jaeger", "backends/debug", "overlays/tail-sampling"]
    before = judge.digest(files, root)
    text = (root / f"{file}.yaml").read_text()
    assert old in text
    (root / f"{file}.yaml").write_text(text.replace(old, new, 1))
    assert judge.digest(files, root) != before


def keep(golden: str, found: Any) -> None:
    """Compare with the golden file, in lines as long as a pipeline."""
    check_golden(f"combinations/{golden}", found, width=200)


def _name(overlays: tuple[str, ...]) -> str:
    return " + ".join(overlays) or "no overlay"
