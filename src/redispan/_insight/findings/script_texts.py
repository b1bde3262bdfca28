"""Script texts are sent every time instead of once."""

from __future__ import annotations

from collections.abc import Iterator

from redispan._insight.facts import Facts
from redispan._insight.report_figures import Finding

MINIMUM = 100


def look(facts: Facts) -> Iterator[Finding]:
    """EVAL is used often."""
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
