"""Control the order in which ``opentelemetry-instrument`` loads instrumentors: the order of sys.path, then chance."""

import importlib.metadata
import shutil
from pathlib import Path

DISTRIBUTIONS = {"redispan": "redispan", "contrib": "opentelemetry-instrumentation-redis"}


def first(name: str, folder: Path) -> Path:
    """Make a folder that, put first on the path, makes Python find one instrumentor before all others.

    Python uses the first metadata of a distribution that it finds, and reads each distribution once. A copy of the
    metadata therefore moves the entry points without a second load.
    """
    distribution = importlib.metadata.distribution(DISTRIBUTIONS[name])
    assert distribution.files is not None
    metadata = next(file for file in distribution.files if file.name == "METADATA")
    origin = Path(str(distribution.locate_file(metadata))).parent
    shutil.copytree(origin, folder / origin.name)
    return folder
