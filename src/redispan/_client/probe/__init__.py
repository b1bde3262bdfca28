"""The probe: visits each server that the program uses and reads its figures.

Belongs here: the list of servers, how to reach one, the commands that the probe sends, what the answers mean, and the
thread that does this. Must not be here: code that judges the figures (``_insight``) or reports them.
"""
