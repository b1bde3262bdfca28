"""What redispan knows of redis-py's private attributes and of the differences between its versions.

Belongs here: reading attributes of clients, connections and pools, each with a harmless answer for objects that it does
not understand. Must not be here: patches, and anything that decides what to do. Canary tests hold it per version.
"""
