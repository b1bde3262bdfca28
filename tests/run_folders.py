"""Runs pytest on those of the given folders that have tests, and says so when one has none.

Usage: python tests/run_folders.py FOLDER ... [PYTEST ARGUMENT ...]
"""

import subprocess
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Split folders from pytest's arguments, and run."""
    folders = [argument for argument in arguments if argument.startswith("tests/")]
    others = [argument for argument in arguments if argument not in folders]
    present = [folder for folder in folders if any(Path(folder).rglob("test_*.py"))]
    for folder in folders:
        if folder not in present:
            print(f"{folder}: no tests there")
    if not present:
        return 0
    return subprocess.run([sys.executable, "-m", "pytest", *present, *others], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
