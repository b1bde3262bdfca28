"""Run the command line for ``python -m redispan.cli``, as the console script ``redispan`` does."""

import sys

from redispan.cli import main

sys.exit(main())
