"""Commands on strings, hashes, lists, sets, sorted sets, streams, bitmaps, hyperloglogs, places and arrays.

The format of a row is explained in ``command_table``.
"""

from __future__ import annotations

TABLE = {
    "string": """
        APPEND w 1
        DECR w 1
        DECRBY w 1
        DELEX w 1
        DELIFEQ w 1
        DIGEST r 1
        GET r 1
        GETDEL w 1
        GETEX w 1
        GETRANGE r 1
        GETSET w 1
        INCR w 1
        INCRBY w 1
        INCRBYFLOAT w 1
        INCREX w 1
        LCS r 1:2
        MGET r 1:-1
        MSET w 1:-1:2
        MSETEX w n1:2
        MSETNX w 1:-1:2
        PSETEX w 1
        SET w 1
        SETEX w 1
        SETNX w 1
        SETRANGE w 1
        STRALGO r - secret
        STRLEN r 1
        SUBSTR r 1
    """,
    "hash": """
        HDEL w 1
        HEXISTS r 1
        HEXPIRE w 1
        HEXPIREAT w 1
        HEXPIRETIME r 1
        HGET r 1
        HGETALL r 1
        HGETDEL w 1
        HGETEX w 1
        HIMPORT - -
        HIMPORT|DISCARD - -
        HIMPORT|DISCARDALL - -
        HIMPORT|PREPARE - -
        HIMPORT|SET w 1
        HINCRBY w 1
        HINCRBYFLOAT w 1
        HKEYS r 1
        HLEN r 1
        HMGET r 1
        HMSET w 1
        HPERSIST w 1
        HPEXPIRE w 1
        HPEXPIREAT w 1
        HPEXPIRETIME r 1
        HPTTL r 1
        HRANDFIELD r 1
        HSCAN r 1
        HSET w 1
        HSETEX w 1
        HSETNX w 1
        HSTRLEN r 1
        HTTL r 1
        HVALS r 1
    """,
    "list": """
        BLMOVE w 1:2 block=last_s
        BLMOVEM w 1:2 block=fifth_s
        BLMPOP w n2 block=first_s
        BLPOP w 1:-2 block=last_s
        BRPOP w 1:-2 block=last_s
        BRPOPLPUSH w 1:2 block=last_s
        LINDEX r 1
        LINSERT w 1
        LLEN r 1
        LMOVE w 1:2
        LMOVEM w 1:2
        LMPOP w n1
        LPOP w 1
        LPOS r 1
        LPUSH w 1
        LPUSHX w 1
        LRANGE r 1
        LREM w 1
        LSET w 1
        LTRIM w 1
        RPOP w 1
        RPOPLPUSH w 1:2
        RPUSH w 1
        RPUSHX w 1
    """,
    "set": """
        SADD w 1
        SCARD r 1
        SDIFF r 1:-1
        SDIFFCARD r n1
        SDIFFSTORE w 1:-1
        SINTER r 1:-1
        SINTERCARD r n1
        SINTERSTORE w 1:-1
        SISMEMBER r 1
        SMEMBERS r 1
        SMISMEMBER r 1
        SMOVE w 1:2
        SPOP w 1
        SRANDMEMBER r 1
        SREM w 1
        SSCAN r 1
        SUNION r 1:-1
        SUNIONCARD r n1
        SUNIONSTORE w 1:-1
    """,
    "sorted_set": """
        BZMPOP w n2 block=first_s
        BZPOPMAX w 1:-2 block=last_s
        BZPOPMIN w 1:-2 block=last_s
        ZADD w 1
        ZCARD r 1
        ZCOUNT r 1
        ZDIFF r n1
        ZDIFFSTORE w 1+n2
        ZINCRBY w 1
        ZINTER r n1
        ZINTERCARD r n1
        ZINTERSTORE w 1+n2
        ZLEXCOUNT r 1
        ZMPOP w n1
        ZMSCORE r 1
        ZPOPMAX w 1
        ZPOPMIN w 1
        ZRANDMEMBER r 1
        ZRANGE r 1
        ZRANGEBYLEX r 1
        ZRANGEBYSCORE r 1
        ZRANGESTORE w 1:2
        ZRANK r 1
        ZREM w 1
        ZREMRANGEBYLEX w 1
        ZREMRANGEBYRANK w 1
        ZREMRANGEBYSCORE w 1
        ZREVRANGE r 1
        ZREVRANGEBYLEX r 1
        ZREVRANGEBYSCORE r 1
        ZREVRANK r 1
        ZSCAN r 1
        ZSCORE r 1
        ZUNION r n1
        ZUNIONSTORE w 1+n2
    """,
    "stream": """
        XACK w 1
        XACKDEL w 1
        XADD w 1
        XAUTOCLAIM w 1
        XCFGSET w 1
        XCLAIM w 1
        XDEL w 1
        XDELEX w 1
        XGROUP - -
        XGROUP|CREATE w 1
        XGROUP|CREATECONSUMER w 1
        XGROUP|DELCONSUMER w 1
        XGROUP|DESTROY w 1
        XGROUP|HELP - -
        XGROUP|SETID w 1
        XIDMPRECORD w 1
        XINFO - -
        XINFO|CONSUMERS r 1
        XINFO|GROUPS r 1
        XINFO|HELP - -
        XINFO|STREAM r 1
        XLEN r 1
        XNACK w 1
        XPENDING r 1
        XRANGE r 1
        XREAD r streams block=block_ms
        XREADGROUP w streams block=block_ms
        XREVRANGE r 1
        XSETID w 1
        XTRIM w 1
    """,
    "bitmap": """
        BITCOUNT r 1
        BITFIELD w 1
        BITFIELD_RO r 1
        BITOP w 2:-1
        BITPOS r 1
        GETBIT r 1
        SETBIT w 1
    """,
    "hyperloglog": """
        PFADD w 1
        PFCOUNT r 1:-1
        PFDEBUG w 2
        PFMERGE w 1:-1
        PFSELFTEST - - long
    """,
    "geo": """
        GEOADD w 1
        GEODIST r 1
        GEOHASH r 1
        GEOPOS r 1
        GEORADIUS w store:STORE,STOREDIST@5
        GEORADIUSBYMEMBER w store:STORE,STOREDIST@5
        GEORADIUSBYMEMBER_RO r 1
        GEORADIUS_RO r 1
        GEOSEARCH r 1
        GEOSEARCHSTORE w 1:2
    """,
    "array": """
        ARCOUNT r 1
        ARDEL w 1
        ARDELRANGE w 1
        ARGET r 1
        ARGETRANGE r 1
        ARGREP r 1
        ARINFO r 1
        ARINSERT w 1
        ARLASTITEMS r 1
        ARLEN r 1
        ARMGET r 1
        ARMSET w 1
        ARNEXT r 1
        AROP r 1
        ARRING w 1
        ARSCAN r 1
        ARSEEK w 1
        ARSET w 1
    """,
}
