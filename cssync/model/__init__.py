"""Every table of the store, declared once.

Store schema, `docs/store.md`, the mapping targets of `cssync.yaml` and the names a rule may use are generated from
these declarations. Column types:

======== ======================================================== =============
type     meaning                                                  SQLite
======== ======================================================== =============
text     text, NUL-free; ids are always text                      TEXT
integer  whole number                                             INTEGER
real     measured number                                          REAL
bool     0 or 1                                                   INTEGER
date     calendar date `YYYY-MM-DD`, no zone                      TEXT
instant  UTC, `YYYY-MM-DDTHH:MM:SSZ`, whole seconds                TEXT
money    whole minor units (JPY 0, USD 2, KWD 3 decimals) in the  INTEGER
         row's `currency`
json     JSON text                                                TEXT
======== ======================================================== =============

NULL means *not known*. It is never zero.
"""

from cssync.model.columns import BANDS, SQL_TYPE, STATUS, TIERS, TRENDS, WRITE_OUTCOMES, Column, ColumnType
from cssync.model.entities import ENTITIES, ENTITY, MAPPED_VENDOR_COLUMNS, VENDOR_COLUMNS, Entity, account_bound
from cssync.model.money import CURRENCY_DECIMALS, decimals
from cssync.model.table import Past, Table
from cssync.model.tables import TABLE, TABLES

__all__ = [
    "BANDS",
    "CURRENCY_DECIMALS",
    "ENTITIES",
    "ENTITY",
    "MAPPED_VENDOR_COLUMNS",
    "SQL_TYPE",
    "STATUS",
    "TABLE",
    "TABLES",
    "TIERS",
    "TRENDS",
    "VENDOR_COLUMNS",
    "WRITE_OUTCOMES",
    "Column",
    "ColumnType",
    "Entity",
    "Past",
    "Table",
    "account_bound",
    "decimals",
]
