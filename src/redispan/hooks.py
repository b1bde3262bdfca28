"""The hook that ``opentelemetry-instrument`` calls after it has loaded all instrumentors."""


def after_instrument() -> None:
    """Take over from opentelemetry-instrumentation-redis if it was loaded after redispan. Never raises."""
    try:
        from redispan.instrumentor import take_over_after_loading

        take_over_after_loading()
    except Exception:  # an exception here would stop the whole auto-instrumentation
        import logging

        logging.getLogger("redispan").debug("redispan: the post-instrument hook failed", exc_info=True)
