"""The command table covers every command that the installed redis-py can send."""

import ast
from pathlib import Path

import redis

from redispan._core.commands import identify

SENDERS = {"execute_command", "immediate_execute_command", "pipeline_execute_command"}


def _texts(module: ast.Module) -> dict[str, str]:
    """Return the module-level text constants by name."""
    return {
        target.id: node.value.value
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _lists(function: ast.AST) -> dict[str, list[ast.expr]]:
    """Return the first elements of the lists that a function assigns, by variable."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(function):
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.List) and node.value.elts:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(node.value.elts[0])
    return found


def commands_sent_by(source: Path, shared: dict[str, str]) -> set[str]:
    """Return every literal command name that a module of redis-py passes to ``execute_command``."""
    module = ast.parse(source.read_text(encoding="utf-8"))
    constants = shared | _texts(module)
    names: set[str] = set()
    for function in ast.walk(module):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        lists = _lists(function)
        for call in ast.walk(function):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.args):
                continue
            if call.func.attr not in SENDERS:
                continue
            first = call.args[0]
            heads: list[ast.expr] = [first]
            if isinstance(first, ast.Starred) and isinstance(first.value, ast.Name):
                heads = lists.get(first.value.id, [])
            for head in heads:
                if isinstance(head, ast.Constant):
                    names.add(str(head.value))
                elif isinstance(head, ast.Name) and head.id in constants:
                    names.add(constants[head.id])
    return names


def test_every_command_of_redis_py_is_known() -> None:
    """The table knows every command of redis-py.

    A release with new ones fails here, before they end as ``_OTHER`` unnoticed.
    """
    package = Path(redis.__file__).parent
    sources = sorted((package / "commands").rglob("*.py"))
    shared: dict[str, str] = {}
    for source in sources:
        shared |= _texts(ast.parse(source.read_text(encoding="utf-8")))
    names = set().union(*(commands_sent_by(source, shared) for source in sources))
    assert len(names) > 350, "the scan found too little to mean anything"
    assert sorted(name for name in names if not identify((name,)).known) == []
    bare = {name for name in names if identify((name,)).name != name}
    assert bare == set(), "a name was recognised only in part"
