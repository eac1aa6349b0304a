"""What scores remember from one day to the next."""

from __future__ import annotations

from cssync.model.columns import BANDS, col
from cssync.model.table import APART, Past, Table

SCORE_TABLES: tuple[Table, ...] = (
    Table(
        "score_state",
        "Where an account's score stood at the end of each evaluated local day from `since` up to, not including, "
        "`until`; a new row only when something changed. Bands and trends follow from it.",
        (
            col("account_uid", "text", "account"),
            col("pack", "text", "rule pack"),
            col("since", "date", "first day"),
            col("until", "date", "day from which another row holds, or the pack left the account out; NULL: still"),
            col("model", "text", "model that judged it"),
            col("score", "integer", "score of the day; NULL: too little known"),
            col("band", "text", "band after hysteresis, without caps and overrides", *BANDS),
            col("yellow_days", "integer", "days in a row on the other side of the bound of yellow"),
            col("green_days", "integer", "days in a row on the other side of the bound of green"),
            col("override_band", "text", "band set by hand", *BANDS),
            col("override_until", "date", "its last day as set by hand"),
            col("override_since", "date", "day on which it was first seen"),
            col("caps", "text", "for each cap of the pack, in order: 1 it held, 0 it did not, - nobody knows"),
            col("as_of", "instant", "as-of instant of the evaluation that wrote it"),
        ),
        ("account_uid", "pack", "since"),
        (("pack", "until"), ("pack", "since")),
        Past(born="as_of"),
    ),
    Table(
        "score_day",
        "Which version of each model judged the accounts on a local day; its last evaluation counts.",
        (
            col("pack", "text", "rule pack"),
            col("day", "date", "local day"),
            col("model", "text", "model of the score"),
            col("as_of", "instant", "as-of instant of the day's last evaluation"),
            col("version", "text", "hash of all that decides scores under this model"),
            col("inputs", "json", "feature -> hash of its definition, of those the score rests on"),
        ),
        ("pack", "day", "model"),
        past=Past(born="as_of"),
    ),
    Table(
        "score_restated",
        "What former days' scores would have been under a later version of a model, from the features stored then; "
        "NULL: too little was known.",
        (
            col("account_uid", "text", "account"),
            col("pack", "text", "rule pack"),
            col("day", "date", "local day"),
            col("version", "text", "version of the model it is restated under"),
            col("account", "json", "columns of account and results of other packs it was restated with"),
            col("score", "integer", "score"),
        ),
        ("account_uid", "pack", "day", "version"),
        past=APART,
    ),
)
