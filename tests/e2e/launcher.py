"""Another name of ``zero_code``, until every test file says that one."""

from e2e import PROGRAMS
from waiting import PATIENCE_S as TIMEOUT_S
from zero_code import FRAMEWORKS, Finished, Launcher, fetch, free_port, stop, wait_until_served

__all__ = [
    "FRAMEWORKS",
    "PROGRAMS",
    "TIMEOUT_S",
    "Finished",
    "Launcher",
    "fetch",
    "free_port",
    "stop",
    "wait_until_served",
]
