"""``python -m redispan.cli`` is the same as ``redispan``."""

import sys

from redispan.cli import main

sys.exit(main())
