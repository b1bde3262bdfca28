"""The page in a real browser: what it shows of a real program, without Redis, in both themes and on a phone."""

import contextlib
import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from insight_data import baseline, entry, snapshot
from redispan import reports
from redispan.monitoring import page_data as figures
from redispan.monitoring.page import PAGE
from servers.redis_server import RedisServer
from waiting import PATIENCE_S, wait_until
from zero_code import Dialogue, Launcher, fetch, free_port

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DARK, LIGHT = 0, 1
Shop = Callable[[RedisServer, int], contextlib.AbstractContextManager[Dialogue]]
PHONE_PX = 390

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]

SHOP = """
import os, sys, time, redis
client = redis.Redis.from_url(os.environ["REDIS_URL"], socket_connect_timeout=1, retry=None)
for number in range(300):
    client.set(f"user:{number}", "x" * 100)
    client.get(f"user:{number}")
try:
    client.lpush("user:1", "x")
except redis.ResponseError:
    pass
client.eval("local s = redis.call('TIME') repeat local t = redis.call('TIME') until "
            "(t[1] - s[1]) * 1000000 + t[2] - s[2] > 80000 return 1", 0)
print("done", flush=True)
if sys.stdin.readline().strip() == "again":
    for _ in range(10):
        try:
            client.get("user:1")
        except redis.ConnectionError:
            pass
    print("failed", flush=True)
sys.stdin.readline()
"""


class Browser:
    """Headless Chromium."""

    def __init__(self, folder: Path) -> None:
        assert CHROMIUM is not None, "needs Chromium: apt-get install chromium"
        self._folder = folder

    def dom_of(self, address: str, theme: int = LIGHT) -> tuple[str, str]:
        """Load a page, let it run for some seconds of virtual time, and return its DOM and its console."""
        quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync",
                 "--disable-dev-shm-usage", "--enable-logging=stderr", "--virtual-time-budget=6000")  # fmt: skip
        done = subprocess.run(
            [str(CHROMIUM), *quiet, f"--user-data-dir={self._folder}", f"--blink-settings=preferredColorScheme={theme}",
             "--dump-dom", address],
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        console = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
        return done.stdout, console


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    """Return a browser with an empty profile."""
    return Browser(tmp_path / "browser")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Start a program with a monitoring port that has run operations of all kinds."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "run").mkdir()

    def start(server: RedisServer, port: int) -> contextlib.AbstractContextManager[Dialogue]:
        variables = {
            "REDIS_URL": server.url,
            **{f"OTEL_{name}_EXPORTER": "none" for name in ("TRACES", "METRICS", "LOGS")},
            "OTEL_PYTHON_REDISPAN_MONITORING_PORT": str(port),
            "OTEL_PYTHON_REDISPAN_RUNTIME_DIR": str(tmp_path / "run"),
        }
        return Launcher(variables).talking(str(tmp_path / "shop.py"))

    return start


def text_of(dom: str) -> str:
    """Return the visible text of a DOM."""
    body = re.sub(r"<(script|style)[^>]*>.*?</\1>", " ", dom, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def page_data(port: int) -> bytes:
    """Return the page's figures."""
    return fetch(f"http://127.0.0.1:{port}/monitoring/redis/page-data").encode()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_page_shows_a_program_and_its_redis_going_down(
    new_redis_server: Callable[..., RedisServer],
    shop: Shop,
    browser: Browser,
    tmp_path: Path,
) -> None:
    """Both themes show score, commands, pool, failures and slow operations. They also show that Redis is down."""
    server, port = new_redis_server(), free_port()
    address = f"http://127.0.0.1:{port}/monitoring/redis/"
    with shop(server, port) as program:
        assert program.hear() == "done"
        wait_until(lambda: b'"operations":602' in page_data(port), "every operation on the page", failing=True)
        for theme in (LIGHT, DARK):
            dom, console = browser.dom_of(address, theme)
            shown = text_of(dom)
            assert console == "", "the page breaks no policy of its own and raises nothing"
            for words in ("Operations a second", "SET", "GET", "WRONGTYPE", "EVAL", f"{server.port}/0", "of 50"):
                assert words in shown
            assert len(re.findall(r"<path class=\"line", dom)) == 3, "three lines of latency"
            assert re.search(r"\b(Healthy|Degraded)\b", shown)

        on_a_phone = tmp_path / "phone.html"
        on_a_phone.write_text(phone(page_data(port)))
        dom, _ = browser.dom_of(on_a_phone.as_uri())
        width = re.search(r"<title>width (\d+) rows (\d+) images 0</title>", dom)
        assert width is not None
        assert int(width[1]) <= PHONE_PX, "nothing sticks out on a phone"
        assert int(width[2]) > 5

        server.stop()
        program.say("again")
        assert program.hear() == "failed"
        shown = text_of(browser.dom_of(address)[0])
        assert "unreachable" in shown
        assert "can't be reached" in shown
        assert re.search(r"\b(Degraded|Unhealthy)\b", shown)


def phone(data: bytes) -> str:
    """Return a page with these figures in a frame as narrow as a phone. The page's title is the resulting width."""
    # Browsers have a minimum window width, so a frame takes the place of the phone.
    shown = data.decode().replace("</", "<\\/")
    stub = f"<script>fetch = async () => ({{ok: true, status: 200, json: async () => ({shown})}});</script>"
    inner = PAGE.decode().replace("<body>", f"<body>{stub}")
    measure = (
        "setTimeout(() => { const d = document.querySelector('iframe').contentDocument; document.title = "
        "`width ${d.documentElement.scrollWidth} rows ${d.querySelectorAll('tr').length} images ${d.images.length}`; "
        "}, 3000)"
    )
    frame = f'<iframe width="{PHONE_PX}" height="844" style="border:0" srcdoc="{html.escape(inner)}"></iframe>'
    return f"<!doctype html><title>?</title>{frame}<script>{measure}</script>"


def test_what_was_measured_never_becomes_markup(browser: Browser, tmp_path: Path) -> None:
    """The page shows measured names that look like markup as plain text."""
    evil = "<img src=x onerror=alert(1)>"
    part = snapshot([entry(error=evil)] * 30)
    part["alerts"]["firing"] = [{"name": evil, "endpoint": evil, "message": evil, "at_unix_ns": 1}]
    part["baselines"] = [
        {**baseline("latency", "s", 0.001, 0.01, evil), "endpoint": where} for where in (evil, "other")
    ]
    part["endpoints"] = {evil: next(iter(part["endpoints"].values()))}
    original = reports.gather
    try:
        reports.gather = lambda scope: reports.Gathered(scope, [part])  # type: ignore[assignment]
        data = json.dumps(figures.page_data("host"), default=list).encode()
    finally:
        reports.gather = original
    page = tmp_path / "page.html"
    page.write_text(phone(data))
    dom, console = browser.dom_of(page.as_uri())
    assert re.search(r"<title>width \d+ rows [1-9]\d* images 0</title>", dom)
    assert console == ""
