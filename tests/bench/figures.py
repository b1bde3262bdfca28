"""What a benchmark says: printed, and on demand put between the marks of the page that quotes it."""

from pathlib import Path

BEGIN, END = "<!-- figures: make bench writes them -->", "<!-- end of the figures -->"

_said: list[str] = []


def say(text: str) -> None:
    """Print, and keep it for ``write_into``."""
    print(text, flush=True)
    _said.append(text)


def write_into(page: Path) -> None:
    """Replace the figures that the page quotes by what was said."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    page.write_text(f"{before}{begin}\n" + "\n".join(_said) + f"\n\n{end}{after}")
