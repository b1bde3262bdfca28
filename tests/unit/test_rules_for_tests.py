"""The rules of CONTRIBUTING for tests, checked in the code of the tests."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
CLOCKS = {"monotonic", "perf_counter", "process_time", "thread_time", "time"}
CLOCKS |= {f"{name}_ns" for name in CLOCKS}
# These files measure time on purpose; programs under test are ordinary programs and may read a clock.
MEASURING = ("bench/", "soak/", "stack/measure_cost.py", "e2e/programs/", "stack/programs/")
FILES = [
    path for path in sorted(TESTS.rglob("*.py")) if not str(path.relative_to(TESTS).as_posix()).startswith(MEASURING)
]
Function = ast.FunctionDef | ast.AsyncFunctionDef


def reads_clock(node: ast.AST) -> bool:
    """Return whether an expression calls a clock of the machine."""
    return any(
        isinstance(part, ast.Call)
        and isinstance(part.func, ast.Attribute | ast.Name)
        and (part.func.attr if isinstance(part.func, ast.Attribute) else part.func.id) in CLOCKS
        for part in ast.walk(node)
    )


def is_difference(node: ast.AST, readings: set[str]) -> bool:
    """Return whether an expression subtracts one clock reading from another."""
    return any(
        isinstance(part, ast.BinOp)
        and isinstance(part.op, ast.Sub)
        and all(
            reads_clock(side) or any(isinstance(name, ast.Name) and name.id in readings for name in ast.walk(side))
            for side in (part.left, part.right)
        )
        for part in ast.walk(node)
    )


def assigned(tree: ast.AST) -> Iterator[tuple[set[str], ast.AST]]:
    """Yield names with what is assigned to them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
            yield names, node.value


def timed_assertions(tree: ast.AST) -> list[int]:
    """Return the lines of assertions that compare a duration with anything but another duration."""
    found = set()
    for function in (node for node in ast.walk(tree) if isinstance(node, Function)):
        values = list(assigned(function))
        readings = {name for names, value in values if reads_clock(value) for name in names}
        took = {name for names, value in values if is_difference(value, readings) for name in names}

        def is_duration(node: ast.AST, readings: set[str] = readings, took: set[str] = took) -> bool:
            named = any(isinstance(part, ast.Name) and part.id in took for part in ast.walk(node))
            return named or is_difference(node, readings)

        for node in ast.walk(function):
            if isinstance(node, ast.Assert):
                compared = [part for part in ast.walk(node.test) if isinstance(part, ast.Compare)]
                if any(sum(map(is_duration, (part.left, *part.comparators))) == 1 for part in compared):
                    found.add(node.lineno)
    return sorted(found)


def waiting_loops(tree: ast.AST) -> list[int]:
    """Return the lines of loops that read a clock and sleep. Each is a private "wait until"."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.While)
        and reads_clock(node)
        and any(
            isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr in ("sleep", "wait")
            for part in ast.walk(node)
        )
    ]


def found_in_files(search: Callable[[ast.AST], list[int]]) -> dict[str, list[int]]:
    """Return the files in which ``search`` finds lines, with these lines."""
    found = {str(path.relative_to(TESTS)): search(ast.parse(path.read_text(encoding="utf-8"))) for path in FILES}
    return {name: lines for name, lines in found.items() if lines}


def test_no_test_asserts_a_time_of_the_machine() -> None:
    """No assertion limits how long something takes. A test of speed counts, orders or compares durations."""
    assert found_in_files(timed_assertions) == {}


def test_waiting_is_done_in_one_place() -> None:
    """Every test waits with ``tests/waiting.py``, whose failures name what the test waited for."""
    assert found_in_files(waiting_loops).keys() <= {"waiting.py", "servers/otlp_receiver.py"}


@pytest.mark.parametrize(
    "body",
    [
        "start = time.monotonic(); go(); assert time.monotonic() - start < 5",
        "start = perf_counter(); go(); took = perf_counter() - start; assert 0 < took < 5",
        "start = time.time_ns(); go(); assert not (time.time_ns() - start) / 1e9 >= LIMIT",
    ],
)
def test_a_timed_assertion_is_found(body: str) -> None:
    """The rule finds a limit on seconds, in each form that tests had."""
    assert timed_assertions(ast.parse("def test():\n    " + "\n    ".join(body.split("; ")))) != []


@pytest.mark.parametrize(
    "body",
    [
        "before = time.time_ns(); go(); assert before <= span.start <= time.time_ns()",
        "start = time.time(); bare = time.time() - start; go(); took = time.time() - start; assert took < 2 * bare",
    ],
)
def test_order_and_comparison_are_no_timed_assertions(body: str) -> None:
    """The rule lets tests compare moments, and durations with durations. Neither depends on how fast the machine is."""
    assert timed_assertions(ast.parse("def test():\n    " + "\n    ".join(body.split("; ")))) == []
