"""A program that says which redis-py it runs, uses it if there is one, and ends with code 7."""

import os
import sys

try:
    import redis
except Exception as error:  # whatever a broken one raises
    print(f"no redis: {type(error).__name__}")
else:
    print(f"redis {redis.__version__}")
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    client.set("k", "v")
    print(client.get("k"))
print("the program ran")
sys.exit(7)
