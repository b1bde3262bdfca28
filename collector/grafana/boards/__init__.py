"""The dashboards: one module each says what is shown, as plain data; `generate.py` makes Grafana's JSON of them."""

from boards.commands import COMMANDS
from boards.fleet import FLEET
from boards.otelcol import COLLECTOR
from boards.overview import OVERVIEW
from boards.pools import POOLS
from boards.servers import SERVERS

DASHBOARDS = [OVERVIEW, COMMANDS, POOLS, SERVERS, COLLECTOR, FLEET]
