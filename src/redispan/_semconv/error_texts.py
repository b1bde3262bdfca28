"""redispan's texts for the errors of Redis and redis-py. They contain nothing of the caller's data."""

from __future__ import annotations

CLASS_PREFIXES = {
    "AskError": "ASK",
    "AuthenticationWrongNumberOfArgsError": "ERR",
    "BusyLoadingError": "LOADING",
    "ClusterCrossSlotError": "CROSSSLOT",
    "ClusterDownError": "CLUSTERDOWN",
    "ExecAbortError": "EXECABORT",
    "ExternalAuthProviderError": "ERR",
    "MasterDownError": "MASTERDOWN",
    "ModuleError": "ERR",
    "MovedError": "MOVED",
    "NoPermissionError": "NOPERM",
    "NoScriptError": "NOSCRIPT",
    "NoSuchFieldsetError": "ERR",
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
    "TryAgainError": "TRYAGAIN",
}
"""The error prefix by the name of the exception's class. redis-py before 8 keeps the prefix in no other form."""

_BY_PREFIX = {
    "ASK": "The slot is moving to another node",
    "BUSY": "A script or function is running and blocks the server",
    "BUSYGROUP": "The consumer group exists already",
    "BUSYKEY": "The target key exists already",
    "CLUSTERDOWN": "The cluster can't serve this slot",
    "CROSSSLOT": "The keys are not in the same slot",
    "DENIED": "Refused by protected mode",
    "ERR": None,
    "EXECABORT": "Transaction discarded because of previous errors",
    "INPROG": "A failover is in progress already",
    "INVALIDOBJ": "The object's data is invalid",
    "IOERR": "Input or output error while talking to the target",
    "LOADING": "The server is loading its data",
    "MASTERDOWN": "The link with the primary is down and stale reads are off",
    "MISCONF": "The server can't save its data to disk and refuses writes",
    "MOVED": "The slot belongs to another node",
    "NOADDR": "No such address",
    "NOAUTH": "Authentication required",
    "NOGOODSLAVE": "No replica is fit to be promoted",
    "NOGROUP": "No such key or consumer group",
    "NOKEY": "No such key",
    "NOMASTERLINK": "The replica has no link to its primary",
    "NOPERM": "This user has no permission to do this",
    "NOPROTO": "Unsupported protocol version",
    "NOQUORUM": "Not enough sentinels can be reached",
    "NOREPLICAS": "Not enough replicas to write",
    "NOSCRIPT": "No matching script",
    "NOSUB": "No such subscription",
    "NOTBUSY": "No script or function is running",
    "NOTREADY": "The server is not ready",
    "OOM": "The server is over its memory limit and refuses this command",
    "READONLY": "A read-only replica refuses writes",
    "REDIRECT": "Another node serves this",
    "TRYAGAIN": "Several keys are being moved between nodes",
    "UNBLOCKED": "The client was unblocked by another one",
    "UNKILLABLE": "The script has written already and can't be stopped",
    "UNSTABLE": "The server is being shut down or moved",
    "VERSIONMISMATCH": "The version does not match",
    "WRONGPASS": "Wrong user name or password, or the user is disabled",
    "WRONGTYPE": "Operation against a key holding the wrong kind of value",
}

KNOWN_PREFIXES = frozenset(_BY_PREFIX)
"""Every error prefix that a server or one of its modules sends."""

_BY_BEGINNING = (
    # Messages of a server after the prefix ERR.
    ("unknown command", "Unknown command"),
    ("unknown subcommand", "Unknown sub-command"),
    ("unknown redis command", "Unknown command in a script"),
    ("wrong number of arguments", "Wrong number of arguments"),
    ("syntax error", "Syntax error"),
    ("value is not an integer or out of range", "Value is not an integer or out of range"),
    ("value is not a valid float", "Value is not a valid float"),
    ("hash value is not an integer", "Hash value is not an integer"),
    ("hash value is not a float", "Hash value is not a float"),
    ("increment or decrement would overflow", "Increment or decrement would overflow"),
    ("increment would produce nan or infinity", "Increment would produce NaN or infinity"),
    ("index out of range", "Index out of range"),
    ("offset is out of range", "Offset is out of range"),
    ("bit offset is not an integer or out of range", "Bit offset is not an integer or out of range"),
    ("db index is out of range", "Database index is out of range"),
    ("invalid db index", "Invalid database index"),
    ("select is not allowed in cluster mode", "SELECT is not allowed in cluster mode"),
    ("no such key", "No such key"),
    ("source and destination objects are the same", "Source and destination are the same"),
    ("timeout is not a float or out of range", "Timeout is not a float or out of range"),
    ("timeout is negative", "Timeout is negative"),
    ("timeout is out of range", "Timeout is out of range"),
    ("invalid expire time", "Invalid expire time"),
    ("min or max is not a float", "A bound is not a float"),
    ("min or max not valid string range", "A bound is not a valid string range"),
    ("numkeys should be", "Bad number of keys"),
    ("number of keys can't be", "Bad number of keys"),
    ("at least 1 input key is needed", "At least one key is needed"),
    ("invalid stream id", "Invalid stream ID"),
    ("the id specified in xadd", "The stream ID is not greater than the last one"),
    ("unbalanced 'xread' list of streams", "Streams and IDs don't match"),
    ("unbalanced 'xreadgroup' list of streams", "Streams and IDs don't match"),
    ("the xgroup subcommand requires the key to exist", "No such stream"),
    ("max number of clients reached", "The server has as many clients as it takes"),
    ("max number of clients", "The server has as many clients as it takes"),
    ("exec without multi", "EXEC without MULTI"),
    ("discard without multi", "DISCARD without MULTI"),
    ("multi calls can not be nested", "MULTI inside MULTI"),
    ("watch inside multi is not allowed", "WATCH inside MULTI"),
    ("command not allowed inside a transaction", "Command not allowed inside a transaction"),
    ("can't execute", "Command not allowed in this context"),
    ("this redis command is not allowed from script", "Command not allowed from scripts"),
    ("error running script", "Error while running a script"),
    ("error compiling script", "Error while compiling a script"),
    ("user_script", "Error while running a script"),
    ("function not found", "Function not found"),
    ("invalid password", "Invalid password"),
    ("invalid username-password pair", "Wrong user name or password, or the user is disabled"),
    ("authentication required", "Authentication required"),
    ("client sent auth", "AUTH sent to a server without a password"),
    ("auth <password> called", "AUTH sent to a server without a password"),
    ("dump payload version or checksum are wrong", "Bad DUMP payload"),
    ("background save already in progress", "A background save is in progress already"),
    ("no such fieldset", "No such fieldset"),
    ("protocol error", "Protocol error"),
    ("unknown index name", "No such index"),
    ("no such index", "No such index"),
    ("index already exists", "The index exists already"),
    ("tsdb: the key does not exist", "No such time series"),
    ("tsdb: the key is not a tsdb key", "The key is no time series"),
    ("tsdb: key already exists", "The time series exists already"),
    # Messages of redis-py.
    ("timeout reading from", "Timeout while reading the answer"),
    ("timeout writing to", "Timeout while writing the command"),
    ("timeout connecting to", "Timeout while connecting"),
    ("connection closed by server", "Connection closed by the server"),
    ("connection reset by peer", "Connection reset by the server"),
    ("error while reading from", "Connection lost while reading the answer"),
    ("error while writing to", "Connection lost while writing the command"),
    ("error unknown connecting to", "Connecting failed"),
    ("no connection available", "No connection became free in time"),
    ("too many connections", "The pool has as many connections as it may"),
    ("bad response from ping health check", "The health check got a wrong answer"),
    ("connection not ready", "The connection is not ready"),
    ("connection has data", "The connection has unread data"),
    ("invalid database", "Invalid database"),
    ("no master found for", "No primary known to the sentinels"),
    ("no slave found for", "No replica known to the sentinels"),
    ("the previous master is now a slave", "The primary became a replica"),
    ("ttl exhausted", "Redirected too many times"),
    ("redis cluster cannot be connected", "No node of the cluster could be reached"),
    ("slot ", "No node of the cluster covers this slot"),
    ("invalid input of type", "An argument has a type that redis-py can't send"),
    ("response callback", "A response callback failed"),
    ("watched variable changed", "A watched key changed"),
    ("unable to acquire lock", "The lock could not be acquired"),
    ("cannot release a lock", "The lock is not owned any more"),
    ("cannot extend", "The lock can't be extended"),
)


def known_text(prefix: str | None, message: str) -> str | None:
    """Return redispan's text for an error; None if it has none.

    Args:
        prefix: The error prefix, such as ``OOM``. If it has a text, that text is returned.
        message: The message of the error. Otherwise its beginning selects the text.
    """
    if prefix is not None and (text := _BY_PREFIX.get(prefix)) is not None:
        return text
    start = message[:80].lower().removeprefix("err ")
    if start.startswith("error ") and " connecting to " in message:
        return "Connecting failed"
    for beginning, text in _BY_BEGINNING:
        if start.startswith(beginning):
            return text
    return None
