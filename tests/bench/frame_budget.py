"""The Python frames that redispan may add to a call, the SDK's included. ``test_frames.py`` checks them exactly.

Frames depend on versions, so there is one set of them. This module imports only the standard
library, because the script that builds the environment reads the pins first.
"""

PYTHON = "3.11"
PINS = (
    "redis==8.1.0",
    "hiredis==3.5.0",
    "opentelemetry-api==1.45.2",
    "opentelemetry-sdk==1.45.2",
    "opentelemetry-instrumentation==0.66b2",
    "opentelemetry-instrumentation-redis==0.66b2",
    "tenacity==9.2.1",
)

FRAMES = {
    # State: operation: frames over the bare call, for one command.
    "redispan, sampled": {"GET": 106.33, "asyncio GET": 119.33, "queued GET": 1.5},
    "redispan, unsampled": {"GET": 44.31, "asyncio GET": 57.31, "queued GET": 0.86},
    "redispan, no SDK": {"GET": 15.28, "asyncio GET": 28.28, "queued GET": 0.46},
}
