"""What ``opentelemetry-instrument`` calls after all instrumentors were loaded."""


def after_instrument() -> None:
    """Take over from opentelemetry-instrumentation-redis if it was loaded after us. Cannot raise."""
    try:
        from redispan.instrumentor import take_over_after_loading

        take_over_after_loading()
    except Exception:  # an exception here would end the whole auto-instrumentation
        import logging

        logging.getLogger("redispan").debug("redispan: the post-instrument hook failed", exc_info=True)
