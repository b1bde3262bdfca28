"""The command line: what it offers, refuses and returns."""

import importlib

import pytest

from redispan.cli import arguments
from redispan.version import __version__


def test_without_a_command_it_shows_help_and_returns_the_usage_code(capsys: pytest.CaptureFixture[str]) -> None:
    """A bare `redispan` shows the help. Its exit code shows scripts that nothing was done."""
    assert arguments.run([]) == 2
    shown = capsys.readouterr().out
    assert "demo" in shown
    assert "doctor" in shown


@pytest.mark.parametrize("argv", [["dance"], ["doctor", "--dance"]])
def test_what_it_does_not_know_is_a_usage_error(argv: list[str]) -> None:
    """An unknown command or option ends with code 2, not with a guess."""
    with pytest.raises(SystemExit) as ended:
        arguments.run(argv)
    assert ended.value.code == 2


def test_it_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the only version number there is."""
    with pytest.raises(SystemExit) as ended:
        arguments.run(["--version"])
    assert ended.value.code == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("name", arguments.SUBCOMMANDS)
def test_every_subcommand_has_the_same_shape(name: str) -> None:
    """Each subcommand is a module with HELP, add_arguments and run, so that the dispatch needs no special case."""
    module = pytest.importorskip(f"redispan.cli.{name}")
    assert module.HELP
    assert callable(module.add_arguments)
    assert callable(module.run)


def test_a_reader_that_went_away_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """`redispan doctor | head -1` ends without an error message and with code 0."""
    monkeypatch.setattr("sys.stdout", None)
    doctor = importlib.import_module("redispan.cli.doctor")

    def print_into_a_closed_pipe(_: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(doctor, "run", print_into_a_closed_pipe)
    assert arguments.run(["doctor"]) == 0
