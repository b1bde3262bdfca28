"""Tuning of Celery's configuration: which options redispan fills in, and that the program's own values stay."""

from __future__ import annotations

from typing import Any

import pytest

celery = pytest.importorskip("celery")

from redispan._client.pool import celery_options  # noqa: E402
from redispan._core.slot import SLOT  # noqa: E402
from redispan.celery import tune  # noqa: E402
from redispan.settings import Settings  # noqa: E402

URL = "redis://localhost"


def app(**conf: Any) -> Any:
    """Return an app on Redis with a configuration of its own."""
    made = celery.Celery("shop", broker=conf.pop("broker", URL), backend=conf.pop("backend", URL))
    made.conf.update(conf)
    return made


def test_the_values_of_the_mission_are_filled_in() -> None:
    """redispan fills in values for the broker and the result backend.

    The read timeout of the result backend and the options of the worker keep Celery's defaults.
    """
    shop = app()
    tune(shop)
    options = shop.conf.broker_transport_options
    assert (options["max_connections"], options["socket_connect_timeout"], options["socket_timeout"]) == (50, 3.0, 2.0)
    assert options["health_check_interval"] == 15
    assert "retry" not in options
    assert "retry_on_error" not in options
    assert (shop.conf.redis_max_connections, shop.conf.redis_socket_connect_timeout) == (50, 3.0)
    assert (shop.conf.redis_socket_timeout, shop.conf.worker_prefetch_multiplier) == (120.0, 4)
    assert shop.conf.worker_max_memory_per_child is None


def test_worker_values_by_call() -> None:
    """A caller can ask redispan to set the prefetch, the memory limit and the result timeout."""
    shop = app()
    tune(shop, prefetch_multiplier=2, max_memory_per_child_kib=200_000, result_socket_timeout_s=2)
    conf = shop.conf
    assert (conf.worker_prefetch_multiplier, conf.worker_max_memory_per_child) == (2, 200_000)
    assert conf.redis_socket_timeout == 2


def test_what_the_program_said_stays() -> None:
    """Options that the program set keep their values. redispan fills in the missing ones beside them."""
    shop = app(
        broker_transport_options={"visibility_timeout": 60, "socket_timeout": None, "max_connections": 3},
        redis_max_connections=7,
        worker_prefetch_multiplier=1,
    )
    filled = tune(shop, prefetch_multiplier=2)
    options = shop.conf.broker_transport_options
    assert (options["visibility_timeout"], options["socket_timeout"], options["max_connections"]) == (60, None, 3)
    assert options["socket_connect_timeout"] == 3.0
    assert (shop.conf.redis_max_connections, shop.conf.worker_prefetch_multiplier) == (7, 1)
    assert "redis_max_connections" not in filled


def test_old_names_are_the_programs_word_too() -> None:
    """The old upper-case settings also count as set by the program."""
    shop = celery.Celery("shop", broker=URL, backend=URL)
    shop.config_from_object({"CELERY_REDIS_MAX_CONNECTIONS": 9, "BROKER_URL": URL, "CELERY_RESULT_BACKEND": URL})
    tune(shop)
    assert shop.conf.redis_max_connections == 9


def test_apps_on_other_brokers_are_left_alone() -> None:
    """redispan fills in nothing for an app that does not use Redis."""
    shop = app(broker="amqp://localhost", backend="rpc://")
    assert tune(shop) == {}


def test_what_was_loaded_while_nobody_watched_is_tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    """redispan tunes the apps of a Celery that was imported between a stop and the next start."""
    monkeypatch.setattr(celery_options, "_watching", True)
    SLOT.runtime.pool_settings = Settings()
    celery_options.watch()
    try:
        assert app().conf.broker_transport_options["max_connections"] == 50
    finally:
        celery_options.stop()


def test_zero_code_tunes_an_app_when_its_configuration_is_loaded() -> None:
    """While redispan is active, it tunes an app when its configuration is loaded.

    After the stop, the class is as it was before.
    """
    from celery.app.base import Celery

    before = vars(Celery)["_load_config"]
    SLOT.runtime.pool_settings = Settings()
    celery_options.watch()
    try:
        assert app().conf.broker_transport_options["max_connections"] == 50
    finally:
        celery_options.stop()
        SLOT.runtime.pool_settings = None
    assert vars(Celery)["_load_config"] is before
    assert "max_connections" not in app().conf.broker_transport_options


def test_worker_values_by_setting() -> None:
    """Settings can set prefetch and memory from outside, for apps on Redis that leave them unset."""
    SLOT.runtime.pool_settings = Settings(celery_prefetch_multiplier=2, celery_max_memory_per_child_kib=200_000)
    celery_options.watch()
    try:
        conf = app().conf
        assert (conf.worker_prefetch_multiplier, conf.worker_max_memory_per_child) == (2, 200_000)
        assert app(worker_prefetch_multiplier=7).conf.worker_prefetch_multiplier == 7
        assert app(broker="amqp://localhost").conf.worker_prefetch_multiplier == 4
    finally:
        celery_options.stop()


def test_zero_code_tunes_again_after_it_was_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """redispan tunes new apps after a stop and a second start, where Celery was imported after the first start."""
    monkeypatch.setattr(celery_options, "_watching", True)  # the first start sets this if Celery is imported later
    for _ in range(2):
        SLOT.runtime.pool_settings = Settings()
        celery_options.watch()
        try:
            assert app().conf.broker_transport_options["max_connections"] == 50
        finally:
            celery_options.stop()
