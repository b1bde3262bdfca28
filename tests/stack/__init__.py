"""Tests of the Collector, its backends, dashboards and rules, with the real programs, natively and without Docker."""
