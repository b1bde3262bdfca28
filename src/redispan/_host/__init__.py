"""How the processes of one service on one host find each other and answer each other.

Here belong the private folder, its locks, sockets and leftovers. What is shared is plain data that others make and
merge: nothing here knows what it means. Standard library only; where a system lacks UNIX sockets, every process
stands for itself.
"""
