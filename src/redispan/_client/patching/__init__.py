"""Puts shells (wrappers) on redis-py's classes and objects, and removes them again.

Belongs here: the table of patched attributes, code that applies patches and undoes them exactly, instrumentation of a
single client. Must not be here: what a shell does (``recording`` and ``pool``).
"""
