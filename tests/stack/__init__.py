"""The Collector, its backends, dashboards and rules, proven with the real programs, natively and without Docker."""
