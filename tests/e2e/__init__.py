"""End-to-end tests: real programs under the real ``opentelemetry-instrument``, which export to an OTLP receiver."""

from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"
