"""What a process owns: one ``Runtime`` with the statistics, the alerts, the host member and the probe.

Belongs here: the object that ties ``_client``, ``_telemetry`` and ``_insight`` together for one process, its start, its
end and its renewal after a fork; ``redispan.monitor`` and the webhook, which feed it and are fed by it. Must not be
here: figures themselves (``_insight``) and the ports and pages that show them (``monitoring``).
"""
