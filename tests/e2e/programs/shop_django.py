"""A Django program in one file: each purchase is a write, a read and a pipeline of three."""

import os
import time

import redis
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

client = redis.Redis.from_url(os.environ["REDIS_URL"])


def buy(request: HttpRequest, number: int) -> HttpResponse:
    client.incr(f"sold:{number}")
    client.get(f"sold:{number}")
    with client.pipeline(transaction=False) as batch:
        for field in ("a", "b", "c"):
            batch.hset(f"order:{number}", field, "1")
        batch.execute()
    time.sleep(0.02)  # long enough for the next purchase to meet another worker
    return HttpResponse(str(os.getpid()))


def ready(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ready")


urlpatterns = [path("buy/<int:number>", buy), path("ready", ready)]
application = get_wsgi_application()
