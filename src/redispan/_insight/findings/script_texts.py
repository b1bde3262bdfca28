"""Advice to send the hash of a script instead of its text with every call."""

from __future__ import annotations

from collections.abc import Iterator

from redispan._insight.facts import Facts
from redispan._insight.report_figures import Finding

MINIMUM = 100


def look(facts: Facts) -> Iterator[Finding]:
    """Advise if the program has called EVAL or EVAL_RO at least 100 times."""
    for figures in facts.commands:
        if figures.command in ("EVAL", "EVAL_RO") and figures.totals.operations >= MINIMUM:
            yield Finding(
                "script_texts",
                1,
                f"{figures.command} sends the script's text with every call",
                f"{figures.totals.operations} times so far",
                "`script = client.register_script(text)` and call it: that sends its hash (EVALSHA)",
                {"operations": figures.totals.operations},
            )
