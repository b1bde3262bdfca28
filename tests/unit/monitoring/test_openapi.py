"""schemathesis reads the OpenAPI document and holds the real app against it."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from redispan.monitoring import wsgi_app

# A development dependency: not in the small environments of the matrix.
schemathesis = pytest.importorskip("schemathesis")

schema = schemathesis.openapi.from_wsgi("/openapi.json", wsgi_app())


@schema.parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.filterwarnings("ignore")
def test_the_app_keeps_to_its_document(case: Any) -> None:
    """Good and bad requests get documented statuses, content types and bodies of the documented schema."""
    case.call_and_validate()
