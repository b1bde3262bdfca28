"""schemathesis reads the OpenAPI document and checks the real app against it."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from insight_data import FULL
from redispan import reports
from redispan.monitoring import wsgi_app

# A development dependency: not in the small environments of the matrix.
schemathesis = pytest.importorskip("schemathesis")

schema = schemathesis.openapi.from_wsgi("/openapi.json", wsgi_app())


@pytest.fixture(params=["nothing", "everything"])
def _to_report(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Provide data for the reports."""
    if request.param == "everything":
        part = {**FULL, "slices": {"1800000000": {"count": 9, "errors": 1, "max_ns": 10**7, "steps": {"12": 8}}}}
        monkeypatch.setattr(reports, "gather", lambda scope: reports.Gathered(scope, [part]))


@schema.parametrize()
@pytest.mark.usefixtures("_to_report")
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.filterwarnings("ignore")
def test_the_app_keeps_to_its_document(case: Any) -> None:
    """Good and bad requests get documented statuses and content types, with bodies of the documented schema."""
    # A 503 for an unhealthy Redis is documented, so it is no failure of the app.
    unhealthy = [schemathesis.checks.not_a_server_error] if case.path == "/health" else []
    case.call_and_validate(excluded_checks=unhealthy)
