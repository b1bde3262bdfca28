"""Forces the order in which ``opentelemetry-instrument`` loads instrumentors: that of sys.path, then chance."""

import importlib.metadata
import shutil
from pathlib import Path

DISTRIBUTIONS = {"redispan": "redispan", "contrib": "opentelemetry-instrumentation-redis"}


def first(name: str, folder: Path) -> Path:
    """Make a folder that, put first on the path, has one instrumentor found before all others.

    Python takes the first metadata of a distribution that it finds, and each distribution once, so a copy of the
    metadata moves the entry points without a second load.
    """
    distribution = importlib.metadata.distribution(DISTRIBUTIONS[name])
    assert distribution.files is not None
    metadata = next(file for file in distribution.files if file.name == "METADATA")
    origin = Path(str(distribution.locate_file(metadata))).parent
    shutil.copytree(origin, folder / origin.name)
    return folder
