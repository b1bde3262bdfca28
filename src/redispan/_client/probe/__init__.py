"""The probe: one visit to one server, and what its answers mean.

Belongs here: which servers the program uses, how one is reached, what is asked, one thread that does it. Must not be
here: judging the figures (``_insight``) and reporting them.
"""
