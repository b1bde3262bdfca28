"""What ``redispan doctor`` found: findings in sections, as text and as JSON. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum


class Level(str, Enum):
    """How a finding is meant."""

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
    """One line.

    Attributes:
        level: What it means for the exit code.
        subject: What was looked at.
        text: What was found, and for a problem what to do about it. Never a credential.
    """

    level: Level
    subject: str
    text: str


@dataclass
class Section:
    """Findings on one question."""

    title: str
    findings: list[CheckResult] = field(default_factory=list)

    def ok(self, subject: str, text: str) -> None:
        """Note that something is as it should be."""
        self.findings.append(CheckResult(Level.OK, subject, text))

    def note(self, subject: str, text: str) -> None:
        """Note a fact."""
        self.findings.append(CheckResult(Level.NOTE, subject, text))

    def problem(self, subject: str, text: str) -> None:
        """Note what keeps redispan or its telemetry from working."""
        self.findings.append(CheckResult(Level.PROBLEM, subject, text))


def problems_in(sections: Sequence[Section]) -> list[CheckResult]:
    """Every problem, in order."""
    return [finding for section in sections for finding in section.findings if finding.level is Level.PROBLEM]


def as_json(sections: Sequence[Section]) -> str:
    """Everything as one JSON object, for scripts."""
    document = {
        "ok": not problems_in(sections),
        "sections": {section.title: [asdict(finding) for finding in section.findings] for section in sections},
    }
    return json.dumps(document, indent=2)


def as_text(sections: Sequence[Section], *, color: bool, ascii_only: bool = False) -> str:
    """Everything for people, the count of problems last."""
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
    # Once more by name: what comes last is what a terminal shows.
    found = f"{count} problem{'s' if count > 1 else ''} found: {', '.join(dict.fromkeys(subjects))}."
    closing = found if count else "No problem found."
    lines.append(_painted(closing, "31" if count else "32", color))
    return "\n".join(lines)


def _painted(text: str, paint: str, color: bool) -> str:
    return f"\033[{paint}m{text}\033[0m" if color else text
