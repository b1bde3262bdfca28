"""Commands of the parts that were modules: JSON, search, time series, probabilistic types, vector sets, graphs.

The format of a row is explained in ``command_table``. An index name, a dictionary name or a query is no key.
"""

from __future__ import annotations

TABLE = {
    "json": """
        JSON.ARRAPPEND w 1
        JSON.ARRINDEX r 1
        JSON.ARRINSERT w 1
        JSON.ARRLEN r 1
        JSON.ARRPOP w 1
        JSON.ARRTRIM w 1
        JSON.CLEAR w 1
        JSON.DEBUG - -
        JSON.DEBUG|HELP - -
        JSON.DEBUG|MEMORY r 1
        JSON.DEL w 1
        JSON.FORGET w 1
        JSON.GET r 1
        JSON.MERGE w 1
        JSON.MGET r 1:-2
        JSON.MSET w 1:-1:3
        JSON.NUMINCRBY w 1
        JSON.NUMMULTBY w 1
        JSON.NUMPOWBY w 1
        JSON.OBJKEYS r 1
        JSON.OBJLEN r 1
        JSON.RESP r 1
        JSON.SET w 1
        JSON.STRAPPEND w 1
        JSON.STRLEN r 1
        JSON.TOGGLE w 1
        JSON.TYPE r 1
    """,
    "search": """
        FT._ALIASADDIFNX - - long
        FT._ALIASDELIFX - - long
        FT._ALTERIFNX - - long
        FT._CREATEIFNX - - long
        FT._DROPIFX w - long
        FT._DROPINDEXIFX w - long
        FT._LIST r - long
        FT.ADD w - long
        FT.ADDHASH w - long
        FT.AGGREGATE r - long
        FT.ALIASADD - - long
        FT.ALIASDEL - - long
        FT.ALIASLIST r - long
        FT.ALIASUPDATE - - long
        FT.ALTER - - long
        FT.CONFIG - - long secret
        FT.CONFIG|GET - - long secret
        FT.CONFIG|HELP - - long secret
        FT.CONFIG|SET - - long secret
        FT.CREATE - - long
        FT.CURSOR - - long
        FT.CURSOR|DEL - - long
        FT.CURSOR|GC - - long
        FT.CURSOR|READ r - long
        FT.DEL w - long
        FT.DICTADD - - long
        FT.DICTDEL - - long
        FT.DICTDUMP r - long
        FT.DROP w - long
        FT.DROPINDEX w - long
        FT.EXPLAIN r - long
        FT.EXPLAINCLI r - long
        FT.GET r - long
        FT.HYBRID r - long
        FT.INFO r - long
        FT.MGET r - long
        FT.PROFILE r - long
        FT.SEARCH r - long
        FT.SPELLCHECK r - long
        FT.SUGADD w 1 long
        FT.SUGDEL w 1 long
        FT.SUGGET r 1 long
        FT.SUGLEN r 1 long
        FT.SYNADD - - long
        FT.SYNDUMP r - long
        FT.SYNFORCEUPDATE - - long
        FT.SYNUPDATE - - long
        FT.TAGVALS r - long
    """,
    "timeseries": """
        TS.ADD w 1
        TS.ALTER w 1
        TS.CREATE w 1
        TS.CREATERULE w 1:2
        TS.DECRBY w 1
        TS.DEL w 1
        TS.DELETERULE w 1:2
        TS.GET r 1
        TS.INCRBY w 1
        TS.INFO r 1
        TS.MADD w 1:-1:3
        TS.MGET r -
        TS.MRANGE r -
        TS.MREVRANGE r -
        TS.NRANGE r n1
        TS.NREVRANGE r n1
        TS.QUERYINDEX r -
        TS.QUERYLABELS r -
        TS.RANGE r 1
        TS.READ r 1 block=block_ms
        TS.REVRANGE r 1
    """,
    "bloom": """
        BF.ADD w 1
        BF.CARD r 1
        BF.DEBUG r 1
        BF.EXISTS r 1
        BF.INFO r 1
        BF.INSERT w 1
        BF.LOADCHUNK w 1
        BF.MADD w 1
        BF.MEXISTS r 1
        BF.RESERVE w 1
        BF.SCANDUMP r 1
    """,
    "cuckoo": """
        CF.ADD w 1
        CF.ADDNX w 1
        CF.COMPACT w 1
        CF.COUNT r 1
        CF.DEBUG r 1
        CF.DEL w 1
        CF.EXISTS r 1
        CF.INFO r 1
        CF.INSERT w 1
        CF.INSERTNX w 1
        CF.LOADCHUNK w 1
        CF.MEXISTS r 1
        CF.RESERVE w 1
        CF.SCANDUMP r 1
    """,
    "count_min_sketch": """
        CMS.INCRBY w 1
        CMS.INFO r 1
        CMS.INITBYDIM w 1
        CMS.INITBYPROB w 1
        CMS.MERGE w 1+n2
        CMS.QUERY r 1
    """,
    "topk": """
        TOPK.ADD w 1
        TOPK.COUNT r 1
        TOPK.INCRBY w 1
        TOPK.INFO r 1
        TOPK.LIST r 1
        TOPK.QUERY r 1
        TOPK.RESERVE w 1
    """,
    "tdigest": """
        TDIGEST.ADD w 1
        TDIGEST.BYRANK r 1
        TDIGEST.BYREVRANK r 1
        TDIGEST.CDF r 1
        TDIGEST.CREATE w 1
        TDIGEST.INFO r 1
        TDIGEST.MAX r 1
        TDIGEST.MERGE w 1+n2
        TDIGEST.MIN r 1
        TDIGEST.QUANTILE r 1
        TDIGEST.RANK r 1
        TDIGEST.RESET w 1
        TDIGEST.REVRANK r 1
        TDIGEST.TRIMMED_MEAN r 1
    """,
    "vector": """
        VADD w 1
        VCARD r 1
        VDIM r 1
        VEMB r 1
        VGETATTR r 1
        VINFO r 1
        VISMEMBER r 1
        VLINKS r 1
        VRANDMEMBER r 1
        VRANGE r 1
        VREM w 1
        VSETATTR w 1
        VSIM r 1
    """,
    "graph": """
        GRAPH.CONFIG - - long secret
        GRAPH.CONFIG|GET - - long secret
        GRAPH.CONFIG|SET - - long secret
        GRAPH.CONSTRAINT - - long
        GRAPH.DELETE w 1 long
        GRAPH.EXPLAIN r 1 long
        GRAPH.LIST r - long
        GRAPH.PROFILE w 1 long
        GRAPH.QUERY w 1 long
        GRAPH.RO_QUERY r 1 long
        GRAPH.SLOWLOG r 1 long
    """,
}
