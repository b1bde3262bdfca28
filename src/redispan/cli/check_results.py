"""The results of ``redispan doctor`` in sections, as text and as JSON. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum


class Level(str, Enum):
    """The level of a result. Only ``PROBLEM`` changes the exit code."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


_MARKS = {
    Level.OK: ("\N{CHECK MARK}", "32"),
    Level.NOTE: ("\N{MIDDLE DOT}", "2"),
    Level.PROBLEM: ("\N{BALLOT X}", "31"),
}


@dataclass(frozen=True)
class CheckResult:
    """The result of one check, printed as one line.

    Attributes:
        level: Whether all is well, it is a fact to know, or a problem.
        subject: What was checked.
        text: The result, and for a problem what to do about it. It never holds a credential.
    """

    level: Level
    subject: str
    text: str


@dataclass
class Section:
    """The results of the checks on one topic, under one title."""

    title: str
    findings: list[CheckResult] = field(default_factory=list)

    def ok(self, subject: str, text: str) -> None:
        """Add a result that is as it should be."""
        self.findings.append(CheckResult(Level.OK, subject, text))

    def note(self, subject: str, text: str) -> None:
        """Add a fact that is neither good nor bad."""
        self.findings.append(CheckResult(Level.NOTE, subject, text))

    def problem(self, subject: str, text: str) -> None:
        """Add a problem that keeps redispan or its telemetry from working."""
        self.findings.append(CheckResult(Level.PROBLEM, subject, text))


def problems_in(sections: Sequence[Section]) -> list[CheckResult]:
    """Return every problem, in the order of the sections."""
    return [finding for section in sections for finding in section.findings if finding.level is Level.PROBLEM]


def as_json(sections: Sequence[Section]) -> str:
    """Return all results as one JSON object, for scripts."""
    document = {
        "ok": not problems_in(sections),
        "sections": {section.title: [asdict(finding) for finding in section.findings] for section in sections},
    }
    return json.dumps(document, indent=2)


def as_text(sections: Sequence[Section], *, color: bool, ascii_only: bool = False) -> str:
    """Return all results as text for a terminal, with the count of problems last.

    Args:
        sections: The results.
        color: Whether to use ANSI colours.
        ascii_only: Whether to use ASCII marks.
    """
    lines = []
    for section in sections:
        lines += [_painted(section.title, "1", color)]
        width = max((len(finding.subject) for finding in section.findings), default=0)
        for finding in section.findings:
            mark, paint = _MARKS[finding.level]
            if ascii_only:
                mark = {Level.OK: "+", Level.NOTE: "-", Level.PROBLEM: "!"}[finding.level]
            lines.append(f"  {_painted(mark, paint, color)} {finding.subject:<{width}}  {finding.text}")
        lines.append("")
    subjects = [finding.subject for finding in problems_in(sections)]
    count = len(subjects)
    # The problems are named again at the end, because a terminal shows the end.
    found = f"{count} problem{'s' if count > 1 else ''} found: {', '.join(dict.fromkeys(subjects))}."
    closing = found if count else "No problem found."
    lines.append(_painted(closing, "31" if count else "32", color))
    return "\n".join(lines)


def _painted(text: str, paint: str, color: bool) -> str:
    return f"\033[{paint}m{text}\033[0m" if color else text
