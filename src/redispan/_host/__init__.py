"""Sharing of reports among the processes of one service on one host.

The private folder with its locks, sockets and exit totals belongs here. The shared data is plain: other packages make
and merge it, and nothing here knows what it means. Standard library only. Where a system has no UNIX sockets, each
process reports only on itself.
"""
