"""A small Django program that remembers names, and shows below /monitoring/redis how Redis is doing."""

import os

import redis
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

import redispan.monitoring

client = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0"), decode_responses=True)


def greet(request, name):
    client.sadd("example:monitoring-django:names", name)
    return JsonResponse({"hello": name, "known": client.scard("example:monitoring-django:names")})


urlpatterns = [path("hello/<str:name>", greet)]
django = get_wsgi_application()
monitoring = redispan.monitoring.wsgi_app()


def application(environ, start_response):
    wanted = monitoring if environ["PATH_INFO"].startswith("/monitoring/redis") else django
    return wanted(environ, start_response)
