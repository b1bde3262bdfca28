"""Responses to requests: status codes, problem details and tokens, none of which depend on Redis."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insight_data import entry, snapshot
from redispan import reports
from redispan._insight import reporting
from redispan.monitoring import page_data
from redispan.monitoring.respond import DATA, PREFIX, Response, respond


class Figures:
    """Sources of a quiet process, or of one whose reports fail."""

    def __init__(self, *, status: str = "healthy", broken: bool = False) -> None:
        self.status = status
        self.broken = broken
        self.asked: list[tuple[str, str]] = []

    def report(self, name: str, scope: str) -> Mapping[str, Any]:
        self.asked.append((name, scope))
        if self.broken:
            raise RuntimeError("redis://user:secret@cache")
        return {"status": self.status, "name": name}


def ask(path: str, query: str = "", method: str = "GET", sources: Any = None, **token: str) -> Response:
    """Request a path below the prefix."""
    return respond(method, f"{PREFIX}/{path}", query, sources or Figures(), **token)


def problem_of(answer: Response) -> dict[str, Any]:
    """Return the problem details of a response, and check their form."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    found: dict[str, Any] = json.loads(answer.body)
    assert found["status"] == answer.status
    return found


@pytest.mark.parametrize("name", DATA)
def test_each_report_is_asked_for_the_scope_in_the_query(name: str) -> None:
    """A report covers the host by default, and one process where the query asks for it."""
    sources = Figures()
    assert ask(name, sources=sources).status == ask(name, "scope=process", sources=sources).status == 200
    assert sources.asked == [(name, "host"), (name, "process")]


@pytest.mark.parametrize(("status", "code"), [("healthy", 200), ("degraded", 200), ("unhealthy", 503)])
def test_only_an_unhealthy_health_report_is_a_503(status: str, code: int) -> None:
    """Only the health report returns 503 for a readiness probe.

    The other reports are readable in any state of health.
    """
    sources = Figures(status=status)
    assert ask("health", sources=sources).status == code
    assert ask("performance", sources=sources).status == 200


def test_live_and_the_page_ask_nobody() -> None:
    """The liveness endpoint and the page read no report.

    A liveness probe must not fail because Redis or a report does.
    """
    sources = Figures(broken=True)
    assert ask("live", sources=sources).status == 200
    assert ask("", sources=sources).status == 200
    assert ask("openapi.json", sources=sources).status == 200
    assert sources.asked == []


def test_a_fault_of_ours_is_a_500_without_a_secret() -> None:
    """A failing report gives a 500 that names only the exception class."""
    answer = ask("performance", sources=Figures(broken=True))
    assert answer.status == 500
    assert problem_of(answer)["detail"].endswith("RuntimeError")
    assert b"secret" not in answer.body


@pytest.mark.parametrize("path", ["nix", "performance/", "live/x", "%2e%2e/etc/passwd", "Performance"])
def test_an_unknown_path_is_a_404(path: str) -> None:
    """Only the documented addresses exist."""
    assert problem_of(ask(path))["title"] == "Not Found"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "X"])
@pytest.mark.parametrize("path", ["performance", "live", ""])
def test_another_method_is_a_405_that_names_the_allowed_ones(method: str, path: str) -> None:
    """A client cannot change anything from outside. Other methods get a 405 that names the allowed ones."""
    answer = ask(path, method=method)
    assert problem_of(answer)["status"] == 405
    assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("query", ["scope=all", "scope=", "scope", "x=1", "scope=host&scope=host", "&&", "a=1&" * 20])
def test_a_bad_query_is_a_400(query: str) -> None:
    """A query that redispan does not understand gets a 400, and is not ignored."""
    assert problem_of(ask("health", query))["status"] == 400


def test_head_has_the_headers_of_get_and_no_body() -> None:
    """Probes that send HEAD get the same status as with GET."""
    found = ask("health", method="HEAD", sources=Figures(status="unhealthy"))
    assert (found.status, found.body) == (503, b"")


@pytest.mark.parametrize("shown", ["", "Bearer", "Bearer wrong", "Basic right", "right", "Bearer rightx", "Bearer  "])
def test_without_the_token_no_figure_is_shown(shown: str) -> None:
    """Every report requires the token. Addresses without figures do not."""
    for name in DATA:
        answer = ask(name, token="right", authorization=shown)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert ask("live", token="right", authorization=shown).status == 200


def test_the_right_token_opens() -> None:
    """The right token gives access, with the scheme in upper or lower case."""
    for shown in ("Bearer right", "bearer right", "BEARER right "):
        assert ask("performance", token="right", authorization=shown).status == 200


def test_paths_work_with_and_without_the_prefix() -> None:
    """The last part of the path counts, whether the app is mounted at the prefix or elsewhere.

    The prefix alone leads to the page.
    """
    assert respond("GET", "/performance", "", Figures()).status == 200
    assert respond("GET", "/", "", Figures()).headers["Content-Type"].startswith("text/html")
    moved = respond("GET", PREFIX, "", Figures())
    assert (moved.status, moved.headers["Location"]) == (308, "redis/")


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_no_request_at_all_breaks_it(method: str, path: str, query: str) -> None:
    """Any text as method, path and query gets one of the documented responses."""
    answer = respond(method, path, query, Figures())
    assert answer.status in (200, 308, 400, 404, 405)


def test_the_page_loads_nothing_and_its_policy_forbids_it() -> None:
    """The page is one file with only relative addresses. Its policy names scripts and styles by their hash."""
    answer = ask("")
    page = answer.body.decode()
    assert "{{" not in page
    assert "src=" not in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    assert "innerHTML" not in page, "what was measured must never become markup"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_openapi_document_is_made_of_the_reports_schemas() -> None:
    """Every reference in the document resolves, and every field of a report has a description."""
    document = json.loads(ask("openapi.json").body)
    schemas = document["components"]["schemas"]
    for reference in _references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas
    assert set(schemas["HealthReport"]["properties"]) >= {"status", "score", "reasons", "processes", "missing"}


def _references(found: Any) -> list[str]:
    if isinstance(found, dict):
        own = [found["$ref"]] if isinstance(found.get("$ref"), str) else []
        return own + [reference for value in found.values() for reference in _references(value)]
    return [reference for value in found for reference in _references(value)] if isinstance(found, list) else []


@given(st.lists(st.floats(min_value=0, max_value=1e5), max_size=60))
def test_the_distribution_counts_every_duration_once(durations: list[float]) -> None:
    """Each operation is in exactly one bar, and no bar holds one that is longer than its bound."""
    bars = page_data.distribution(durations)
    assert sum(bar["operations"] for bar in bars) == len(durations)
    for bar in bars[:-1]:
        at_most = sum(1 for duration in durations if duration <= bar["up_to_ms"])
        assert sum(one["operations"] for one in bars if (one["up_to_ms"] or 9e9) <= bar["up_to_ms"]) == at_most


def test_page_data_covers_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page shows the merged figures, and which processes did not answer."""
    parts = [snapshot([entry(ms=2.0)] * 3, pid=1), snapshot([entry(ms=80.0, error="X")], pid=2)]
    monkeypatch.setattr(reports, "gather", lambda scope: reports.Gathered(scope, parts, (7,)))
    found = page_data.page_data("host")
    assert found["performance"]["totals"]["operations"] == 4
    assert found["performance"]["missing"] == (7,)
    assert sum(bar["operations"] for bar in found["distribution"]) == 4
    assert (
        found["performance"]
        == reporting.performance(reports.Gathered("host", parts).snapshot, scope="host", missing=(7,)).as_data()
    )
