"""Commands on keys as such, and on everything around them: scripts, channels, transactions, connections, servers.

The format of a row is explained in ``command_table``.
"""

from __future__ import annotations

TABLE = {
    "generic": """
        COPY w 1:2
        DEL w 1:-1
        DUMP r 1
        EXISTS r 1:-1
        EXPIRE w 1
        EXPIREAT w 1
        EXPIRETIME r 1
        KEYS r - long
        MIGRATE w - long secret
        MOVE w 1
        OBJECT - -
        OBJECT|ENCODING r 1
        OBJECT|FREQ r 1
        OBJECT|HELP - -
        OBJECT|IDLETIME r 1
        OBJECT|REFCOUNT r 1
        PERSIST w 1
        PEXPIRE w 1
        PEXPIREAT w 1
        PEXPIRETIME r 1
        PTTL r 1
        RANDOMKEY r -
        RENAME w 1:2
        RENAMENX w 1:2
        RESTORE w 1 long
        RESTORE-ASKING w 1 long
        SCAN r -
        CLUSTERSCAN r 1
        SORT w store:STORE@2 long
        SORT_RO r 1 long
        TOUCH r 1:-1
        TTL r 1
        TYPE r 1
        UNLINK w 1:-1
        WAIT - - block=last_ms
        WAITAOF - - block=last_ms
    """,
    "scripting": """
        EVAL w n2 long secret
        EVALSHA w n2 long
        EVALSHA_RO r n2 long
        EVAL_RO r n2 long secret
        FCALL w n2 long
        FCALL_RO r n2 long
        FUNCTION - - secret
        FUNCTION|DELETE w - secret
        FUNCTION|DUMP - - long
        FUNCTION|FLUSH w - long
        FUNCTION|HELP - -
        FUNCTION|KILL - -
        FUNCTION|LIST - - pure secret
        FUNCTION|LOAD w - long secret
        FUNCTION|RESTORE w - long secret
        FUNCTION|STATS - - pure
        SCRIPT - - secret
        SCRIPT|DEBUG - -
        SCRIPT|EXISTS - - pure
        SCRIPT|FLUSH - - long
        SCRIPT|HELP - -
        SCRIPT|KILL - -
        SCRIPT|LOAD - - long secret
        SCRIPT|SHOW - - pure
        REDISGEARS_2.REFRESHCLUSTER - - long
        TFCALL w n2 long
        TFCALLASYNC w n2 long
        TFUNCTION - - secret
        TFUNCTION|DELETE w - secret
        TFUNCTION|LIST - - secret
        TFUNCTION|LOAD w - long secret
    """,
    "pubsub": """
        PSUBSCRIBE - - block=forever
        PUBLISH - -
        PUBSUB - -
        PUBSUB|CHANNELS - - pure
        PUBSUB|HELP - -
        PUBSUB|NUMPAT - - pure
        PUBSUB|NUMSUB - - pure
        PUBSUB|SHARDCHANNELS - - pure
        PUBSUB|SHARDNUMSUB - - pure
        PUNSUBSCRIBE - -
        SPUBLISH - -
        SSUBSCRIBE - - block=forever
        SUBSCRIBE - - block=forever
        SUNSUBSCRIBE - -
        UNSUBSCRIBE - -
    """,
    "transactions": """
        DISCARD - -
        EXEC w - long
        MULTI - -
        UNWATCH - -
        WATCH - 1:-1
    """,
    "connection": """
        AUTH - - secret
        CLIENT - - secret
        CLIENT|CACHING - -
        CLIENT|CAPA - -
        CLIENT|GETNAME - -
        CLIENT|GETREDIR - -
        CLIENT|HELP - -
        CLIENT|ID - -
        CLIENT|IMPORT-SOURCE - -
        CLIENT|INFO - -
        CLIENT|KILL - - secret
        CLIENT|LIST - - pure
        CLIENT|NO-EVICT - -
        CLIENT|NO-TOUCH - -
        CLIENT|PAUSE - -
        CLIENT|REPLY - -
        CLIENT|SETINFO - -
        CLIENT|SETNAME - -
        CLIENT|TRACKING - -
        CLIENT|TRACKINGINFO - -
        CLIENT|MAINT_NOTIFICATIONS - -
        CLIENT|UNBLOCK - -
        CLIENT|UNPAUSE - -
        ECHO - - pure
        HELLO - - secret
        PING - - pure
        QUIT - -
        RESET - -
        SELECT - -
    """,
    "server": """
        ACL - - secret
        ACL|CAT - - pure secret
        ACL|DELUSER - - secret
        ACL|DRYRUN - - secret
        ACL|GENPASS - - secret
        ACL|GETUSER - - pure secret
        ACL|HELP - - secret
        ACL|LIST - - pure secret
        ACL|LOAD - - secret
        ACL|LOG - - secret
        ACL|SAVE - - secret
        ACL|SETUSER - - secret
        ACL|USERS - - pure secret
        ACL|WHOAMI - - secret
        BGREWRITEAOF - - long
        BGSAVE - - long
        COMMAND - - pure
        COMMAND|COUNT - - pure
        COMMAND|DOCS - - pure
        COMMAND|GETKEYS - - pure secret
        COMMAND|GETKEYSANDFLAGS - - pure secret
        COMMAND|HELP - -
        COMMAND|INFO - - pure
        COMMAND|LIST - - pure
        CONFIG - - secret
        CONFIG|GET - - pure secret
        CONFIG|HELP - - secret
        CONFIG|RESETSTAT - - secret
        CONFIG|REWRITE - - long secret
        CONFIG|SET - - secret
        DBSIZE r -
        DEBUG - - long secret
        DEBUG|CHANGE-REPL-ID - - long secret
        DEBUG|DIGEST - - long secret
        DEBUG|DIGEST-VALUE - - long secret
        DEBUG|HTSTATS - - long secret
        DEBUG|HELP - - long secret
        DEBUG|JMAP - - long secret
        DEBUG|LOADAOF - - long secret
        DEBUG|OBJECT - - long secret
        DEBUG|POPULATE w - long secret
        DEBUG|RELOAD - - long secret
        DEBUG|RESTART - - long secret
        DEBUG|SEGFAULT - - long secret
        DEBUG|SET-ACTIVE-EXPIRE - - long secret
        DEBUG|SLEEP - - long secret
        DEBUG|STRINGMATCH-LEN - - long secret
        FAILOVER - - long secret
        FLUSHALL w - long
        FLUSHDB w - long
        HOTKEYS - -
        HOTKEYS|GET - - pure
        HOTKEYS|HELP - -
        HOTKEYS|RESET - -
        HOTKEYS|START - -
        HOTKEYS|STOP - -
        INFO - - pure
        LASTSAVE - - pure
        LATENCY - -
        LATENCY|DOCTOR - - pure
        LATENCY|GRAPH - - pure
        LATENCY|HELP - -
        LATENCY|HISTOGRAM - - pure
        LATENCY|HISTORY - - pure
        LATENCY|LATEST - - pure
        LATENCY|RESET - -
        LOLWUT - - pure
        LOLWUT|VERSION - - pure
        MEMORY - -
        MEMORY|DOCTOR - - pure
        MEMORY|HELP - -
        MEMORY|MALLOC-STATS - - pure
        MEMORY|PURGE - - long
        MEMORY|STATS - - pure
        MEMORY|USAGE r 1
        MODULE - - secret
        MODULE|HELP - -
        MODULE|LIST - - pure
        MODULE|LOAD - - long secret
        MODULE|LOADEX - - long secret
        MODULE|UNLOAD - - long secret
        MONITOR - - block=forever
        PSYNC - - block=forever
        REPLCONF - - secret
        REPLICAOF - - long secret
        ROLE - - pure
        SAVE - - long
        SHUTDOWN - - long
        SLAVEOF - - long secret
        COMMANDLOG - -
        COMMANDLOG|GET - - pure
        COMMANDLOG|HELP - -
        COMMANDLOG|LEN - - pure
        COMMANDLOG|RESET - -
        SLOWLOG - -
        SLOWLOG|GET - - pure
        SLOWLOG|HELP - -
        SLOWLOG|LEN - - pure
        SLOWLOG|RESET - -
        SWAPDB w - long
        SYNC - - block=forever
        TIME - - pure
    """,
    "cluster": """
        ASKING - -
        CLUSTER - -
        CLUSTER|ADDSLOTS - -
        CLUSTER|ADDSLOTSRANGE - -
        CLUSTER|BUMPEPOCH - -
        CLUSTER|CANCELSLOTMIGRATIONS - -
        CLUSTER|COUNT-FAILURE-REPORTS - -
        CLUSTER|COUNTKEYSINSLOT - - pure
        CLUSTER|DELSLOTS - -
        CLUSTER|DELSLOTSRANGE - -
        CLUSTER|FAILOVER - - long
        CLUSTER|FLUSHSLOT w - long
        CLUSTER|FLUSHSLOTS - -
        CLUSTER|FORGET - -
        CLUSTER|GETKEYSINSLOT - - pure
        CLUSTER|GETSLOTMIGRATIONS - - pure
        CLUSTER|HELP - -
        CLUSTER|INFO - - pure
        CLUSTER|KEYSLOT - - pure secret
        CLUSTER|LINKS - - pure
        CLUSTER|MEET - -
        CLUSTER|MIGRATESLOTS - -
        CLUSTER|MIGRATION - - long
        CLUSTER|MYID - - pure
        CLUSTER|MYSHARDID - - pure
        CLUSTER|NODES - - pure
        CLUSTER|REPLICAS - - pure
        CLUSTER|REPLICATE - - long
        CLUSTER|RESET - - long
        CLUSTER|SAVECONFIG - - long
        CLUSTER|SET-CONFIG-EPOCH - -
        CLUSTER|SETSLOT - -
        CLUSTER|SHARDS - - pure
        CLUSTER|SLAVES - - pure
        CLUSTER|SLOT-STATS - - pure
        CLUSTER|SLOTS - - pure
        CLUSTER|SYNCSLOTS - - long
        READONLY - -
        READWRITE - -
    """,
    "sentinel": """
        SENTINEL - - secret
        SENTINEL|CKQUORUM - - pure
        SENTINEL|CONFIG - - secret
        SENTINEL|DEBUG - - secret
        SENTINEL|FAILOVER - - long
        SENTINEL|FLUSHCONFIG - - long
        SENTINEL|GET-MASTER-ADDR-BY-NAME - - pure
        SENTINEL|HELP - -
        SENTINEL|INFO-CACHE - - pure
        SENTINEL|IS-MASTER-DOWN-BY-ADDR - -
        SENTINEL|MASTER - - pure
        SENTINEL|MASTERS - - pure
        SENTINEL|MONITOR - -
        SENTINEL|MYID - - pure
        SENTINEL|PENDING-SCRIPTS - - pure
        SENTINEL|REMOVE - -
        SENTINEL|REPLICAS - - pure
        SENTINEL|RESET - -
        SENTINEL|SENTINELS - - pure
        SENTINEL|SET - - secret
        SENTINEL|SIMULATE-FAILURE - -
        SENTINEL|SLAVES - - pure
    """,
}
