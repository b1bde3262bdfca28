"""The ``Runtime`` of a process, which owns the statistics, the alerts, the host member and the server probe.

Belongs here: the object that connects ``_client``, ``_telemetry`` and ``_insight`` in one process, with its start, its
end and its renewal after a fork; ``redispan.monitor``, which adds figures to it, and the webhook, which posts its
alerts. Must not be here: the computation of figures (``_insight``) and the HTTP server and pages that show them
(``monitoring``).
"""
