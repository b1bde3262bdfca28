"""``make soak``: tests that take too long for every change, and prove more than a short test can.

Usage: python tests/soak/run.py [PART ...] [--quick] [--resume] [--write]      (no part: all of them)

Prints a line for each row: what, size, result, seconds. Results of full size are kept in .ci/work/soak.json, and
``--write`` puts the last of each row into docs/soak.md, which describes what each part proves.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from soak import faulty_network, full_size, fuzzing, interruptions, outages
from soak.rows import ROOT, Results, Row, Verdict

PARTS = {
    "faulty-network": faulty_network.rows,
    "interruptions": interruptions.rows,
    "fuzzing": fuzzing.rows,
    "outages": outages.rows,
    "full-size": full_size.rows,
}


def tried(row: Row) -> Verdict:
    """Run a row. An exception in it or a hang is a failure like any other."""
    try:
        return row.run()
    except Exception as fault:
        return Verdict(False, f"{type(fault).__name__}: {fault}")


def main() -> int:
    """Run the rows of the chosen parts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[[], *PARTS], help=", ".join(PARTS))
    parser.add_argument("--only", default="", metavar="TEXT", help="only rows whose name holds this text")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that the soak works; not kept")
    parser.add_argument("--resume", action="store_true", help="leave out what passed on this commit already")
    parser.add_argument("--write", action="store_true", help="put the last results into docs/soak.md at the end")
    parser.add_argument("--only-write", action="store_true", help="run nothing, and write the page")
    parser.add_argument("--results", type=Path, default=ROOT / ".ci" / "work" / "soak.json", help="where they are kept")
    options = parser.parse_args()
    chosen = [] if options.only_write else [name for name in PARTS if name in options.parts or not options.parts]
    failed = 0
    for row in [row for name in chosen for row in PARTS[name](options.quick) if options.only in row.key]:
        results = Results(options.results)  # read again, because another soak may run beside this one
        if options.resume and results.passed(row):
            print(f"before   {row.key}", flush=True)
            continue
        started = time.monotonic()
        verdict = tried(row)
        seconds = time.monotonic() - started
        failed += not verdict.passed
        word = "passed" if verdict.passed else "FAILED"
        print(f"{word:8} {row.key} | {row.size} | {verdict.said} | {seconds:,.0f} s", flush=True)
        if not options.quick:
            Results(options.results).keep(row, verdict, seconds)
    if options.write or options.only_write:
        everything = [row for rows in PARTS.values() for row in rows(False)]
        Results(options.results).write_into(ROOT / "docs" / "soak.md", everything)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
