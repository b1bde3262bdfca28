"""How shells get onto redis-py's classes and objects, and off again.

Belongs here: the table of patched attributes, applying and exact undoing, instrumenting one client alone. Must not be
here: what a shell does (``recording`` and ``pool``).
"""
