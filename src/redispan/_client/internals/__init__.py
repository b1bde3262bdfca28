"""The internals of redis-py: its private attributes and the differences between its versions.

Belongs here: functions that read the attributes of clients, connections and pools. Each returns a harmless value for
an object that it does not understand. Must not be here: patches, and anything that decides what to do. Canary tests
check this package against each supported version.
"""
