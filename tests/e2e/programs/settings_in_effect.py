"""A program that sends one command and says which settings of redispan are in effect, and from where."""

import json
import os
import sys

import redis

from redispan import RedispanInstrumentor

redis.Redis.from_url(os.environ["REDIS_URL"]).set("the-key", "the-value")
instrumentor = RedispanInstrumentor()
shown = sys.argv[1:]
print(json.dumps({name: getattr(instrumentor.settings, name) for name in shown}))
print(json.dumps({name: instrumentor.resolved.sources[name] for name in shown}))
