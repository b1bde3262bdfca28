"""Shows a cart, and below /monitoring/redis how Redis is doing."""

import os

import redis
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

import redispan.monitoring

app = Flask(__name__)
app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/monitoring/redis": redispan.monitoring.wsgi_app()})
client = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0"), decode_responses=True)


@app.get("/cart/<int:number>")
def cart(number: int):
    return {"cart": number, "items": client.lrange(f"example:monitoring-flask:cart:{number}", 0, -1)}
