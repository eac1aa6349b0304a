"""cssync's own tables: state, results, plans, the outbox."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cssync.model.columns import LINK_METHODS, PROFILE, TIERS, WRITE_OUTCOMES, Column, col


@dataclass(frozen=True, slots=True)
class Past:
    """How a table is put back to what it was, for a replay (`cssync.store.past`).

    clock: `evaluation`, as it stood before the evaluation of a given as_of; `known`, as it was known at an instant;
    `recorded`, from the row that the evaluation itself left; `apart`, rules never look at it and a replay has it empty.
    born: column with the instant at which the row was first written; without one each insert is journaled, too.
    stamp: column that a change sets to its instant, for the clock `known`. watch: columns whose change counts, all of
    them by default. grows: rows are only ever added, so nothing has to be journaled.
    """

    clock: Literal["evaluation", "known", "recorded", "apart"] = "evaluation"
    born: str = ""
    stamp: tuple[str, ...] = ()
    watch: tuple[str, ...] = ()
    grows: bool = False


STATE = Past()
"""State that evaluations keep: all changes are journaled. A new table is taken for that unless it says otherwise."""
APART = Past("apart")


@dataclass(frozen=True, slots=True)
class Table:
    """A table of cssync's own state or results; `key` is its primary key, `past` how it goes back in time."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...] = field(default=())
    past: Past = STATE


RUN_ID = col("run_id", "text", "run that wrote it")
SINCE = col("since", "instant", "as_of at which this value first held")

TABLES: tuple[Table, ...] = (
    Table(
        "account",
        "The unified customer.",
        (
            col("uid", "text", "ours, stable"),
            *PROFILE,
            col("touch_tier", "text", "tier in force", *TIERS),
            col("parent_uid", "text", "parent account"),
            col("owner_uid", "text", "uid of the owner (user)"),
            col("csm_uid", "text", "uid of the customer success manager (user)"),
            col("master_connection", "text", "connection whose values win"),
            col("created_at", "instant", "when the account was first linked"),
            col("updated_at", "instant", "when a unified value last changed"),
            col("deleted_at", "instant", "every source record is deleted, or the account was merged into another"),
            col("merged_into", "text", "uid of the account that took this one over"),
        ),
        ("uid",),
        past=Past("known", born="created_at", stamp=("updated_at",)),
    ),
    Table(
        "account_link",
        "Which source record belongs to which account, and why. At most one active link per source record.",
        (
            col("connection", "text", "connection of the source record"),
            col("source_id", "text", "source record"),
            col("account_uid", "text", "account"),
            col("method", "text", "how it was found", *LINK_METHODS),
            col("confidence", "real", "0..1"),
            col("status", "text", "state", "active", "suggested", "rejected"),
            col("evidence", "text", "the key, domain or names that matched"),
            col("valid_from", "instant", "from"),
            col("valid_to", "instant", "until; NULL: now"),
        ),
        ("connection", "source_id", "account_uid"),
        (("account_uid", "status"),),
        past=Past("known", born="valid_from", stamp=("valid_to", "valid_from")),
    ),
    Table(
        "source_state",
        "How far each stream has come. `cursor` is the checkpoint, committed with the rows it stands for.",
        (
            col("connection", "text", "connection"),
            col("stream", "text", "stream"),
            col("cursor", "json", "where the next run resumes"),
            col("last_attempt_at", "instant", "last try"),
            col("last_success_at", "instant", "last complete pull"),
            col("outcome", "text", "of the last try", "ok", "empty", "partial", "failed", "skipped-by-config"),
            col("error", "text", "why it failed"),
            col("rows_stored", "integer", "live rows of the stream's entity"),
        ),
        ("connection", "stream"),
        past=Past("known", born="last_attempt_at", stamp=("last_attempt_at",), watch=("last_success_at",)),
    ),
    Table(
        "source_feed",
        "Which stream feeds which entity under the present configuration: rules read freshness through it.",
        (
            col("connection", "text", "connection"),
            col("stream", "text", "stream"),
            col("entity", "text", "entity"),
        ),
        ("connection", "stream", "entity"),
        past=Past("recorded"),
    ),
    Table(
        "history",
        "Former versions of vendor rows: what was known from `known_from` to `known_to`.",
        (
            col("id", "integer", "sequence"),
            col("entity", "text", "table"),
            col("connection", "text", "connection"),
            col("source_id", "text", "record"),
            col("known_from", "instant", "learned"),
            col("known_to", "instant", "replaced"),
            col("row", "json", "the former row"),
        ),
        ("id",),
        (("entity", "connection", "source_id", "known_to"),),
        past=Past("known", born="known_to", grows=True),
    ),
    Table(
        "quarantine",
        "Records that could not be normalised; their stored version, if any, is unchanged.",
        (
            col("connection", "text", "connection"),
            col("stream", "text", "stream"),
            col("source_id", "text", "record, or a digest where it has no id"),
            col("field", "text", "vendor field"),
            col("reason", "text", "what was wrong"),
            col("raw", "json", "the record as read"),
            col("first_seen_at", "instant", "first failure"),
            col("last_seen_at", "instant", "last failure"),
        ),
        ("connection", "stream", "source_id"),
        past=APART,
    ),
    Table(
        "run",
        "One row per run.",
        (
            col("id", "text", "run id, sortable by time"),
            col("command", "text", "what was run"),
            col("started_at", "instant", "start"),
            col("ended_at", "instant", "end"),
            col("outcome", "text", "ok, partial, failed, crashed, needs-approval"),
            col("exit_code", "integer", "exit code"),
            col("summary", "json", "counts per stage"),
        ),
        ("id",),
        past=APART,
    ),
    Table(
        "run_stream",
        "What a run did with each stream: read = new + changed + same + echo + tombstoned + incomplete + quarantined.",
        (
            col("run_id", "text", "run"),
            col("connection", "text", "connection"),
            col("stream", "text", "stream"),
            col("outcome", "text", "stream outcome"),
            *(
                col(n, "integer", f"{n} records")
                for n in ("read", "new", "changed", "same", "echo", "tombstoned", "incomplete", "quarantined")
            ),
            col("requests", "integer", "API requests used"),
            col("seconds", "real", "duration"),
            col("error", "text", "why it failed"),
        ),
        ("run_id", "connection", "stream"),
        past=APART,
    ),
    Table(
        "lease",
        "Who may write. Every writing transaction checks `fence`.",
        (
            col("name", "text", "always 'workspace'"),
            col("owner", "text", "host, process and run that holds it"),
            col("fence", "integer", "grows with every take-over"),
            col("heartbeat_at", "instant", "last sign of life"),
            col("expires_at", "instant", "after this another run may take over"),
        ),
        ("name",),
        past=APART,
    ),
    Table(
        "rate_limit",
        "One row per vendor account and bucket, shared by threads and processes.",
        (
            col("bucket", "text", "connection and endpoint family"),
            col("tat", "real", "theoretical arrival time (GCRA), epoch seconds"),
            col("blocked_until", "real", "nobody calls before this, epoch seconds"),
            col("remaining", "integer", "calls left as the vendor last said"),
            col("updated_at", "instant", "when"),
        ),
        ("bucket",),
        past=APART,
    ),
    Table(
        "token",
        "The token of each connection that logs in, shared by processes and sealed with the connection's credential.",
        (
            col("connection", "text", "connection"),
            col("sealed", "text", "token and refresh token, encrypted; of no use without the credential"),
            col("claimed_by", "text", "process that is logging in"),
            col("claimed_until", "real", "until then nobody else does, epoch seconds"),
            col("updated_at", "instant", "last login"),
        ),
        ("connection",),
    ),
    Table(
        "binding",
        "The vendor organisation behind each connection; another one behind the same credentials stops the run.",
        (
            col("connection", "text", "connection"),
            col("org_id", "text", "portal, org or subdomain id"),
            col("org_name", "text", "name"),
            col("org_kind", "text", "production or sandbox"),
            col("currency", "text", "the organisation's own currency, for money that names none"),
            col("bound_at", "instant", "when"),
        ),
        ("connection",),
        past=APART,
    ),
    Table(
        "setting",
        "Facts about this store: workspace name, created_at.",
        (col("name", "text", "name"), col("value", "text", "value")),
        ("name",),
        past=APART,
    ),
    Table(
        "feature_row",
        "The features of an account on a day; a new row only when a value changed.",
        (
            col("account_uid", "text", "account"),
            col("pack", "text", "rule pack"),
            col("as_of", "instant", "as-of instant"),
            col("pack_hash", "text", "version of the rules"),
            col("features", "json", "feature -> value; null is missing"),
            col("states", "json", "feature -> stale or missing, with the reason; only those not ok"),
        ),
        ("account_uid", "pack", "as_of"),
        past=Past(born="as_of"),
    ),
    Table(
        "result",
        "Current value of every named result, e.g. health.score.",
        (
            col("account_uid", "text", "account"),
            col("name", "text", "<pack>.<output>"),
            col("value", "json", "the value; null is unknown; money in major units of the account's currency"),
            col("state", "text", "ok, unknown or stale"),
            col("because", "text", "sentence for people"),
            SINCE,
            col("as_of", "instant", "as-of of the evaluation that set it"),
            col("pack_hash", "text", "version of the rules"),
            RUN_ID,
        ),
        ("account_uid", "name"),
        (("name", "value"),),
        past=Past(born="as_of"),
    ),
    Table(
        "result_history",
        "Former values of `result`, valid from `since` to `until`.",
        (
            col("id", "integer", "sequence"),
            col("account_uid", "text", "account"),
            col("name", "text", "<pack>.<output>"),
            col("value", "json", "the value"),
            col("state", "text", "ok, unknown or stale"),
            col("because", "text", "sentence for people"),
            SINCE,
            col("until", "instant", "as_of at which it was replaced"),
            col("pack_hash", "text", "version of the rules"),
        ),
        ("id",),
        (("account_uid", "name"),),
        past=Past(born="until", grows=True),
    ),
    Table(
        "signal",
        "Something true of an account.",
        (
            col("account_uid", "text", "account"),
            col("pack", "text", "rule pack"),
            col("name", "text", "signal id, e.g. K07"),
            SINCE,
            col("until", "instant", "as_of at which it ended; NULL: still true"),
            col("because", "text", "sentence for people"),
            col("evidence", "json", "inputs"),
            col("severity", "real", "how grave it was when it started; NULL: not said"),
            RUN_ID,
        ),
        ("account_uid", "pack", "name", "since"),
    ),
    Table(
        "condition",
        "When the condition of a rule held, for rules with `for` or `keep`.",
        (
            col("account_uid", "text", "account"),
            col("pack", "text", "rule pack"),
            col("kind", "text", "what the rule is", "signal", "task"),
            col("rule", "text", "rule id, e.g. K01"),
            col("since", "instant", "as_of at which it was first found true"),
            col("until", "instant", "as_of at which it was found to hold no longer; NULL: it still does"),
            col("paused", "bool", "it ended by becoming unknown, and goes on when it is next found true"),
        ),
        ("account_uid", "pack", "kind", "rule", "since"),
        (("pack", "kind", "rule", "until"),),
        past=Past(born="since"),
    ),
    Table(
        "renewal_event",
        "Renewal events of an account, as they looked from `since` to `until`: what renewal tasks are about.",
        (
            col("account_uid", "text", "account"),
            col("number", "integer", "1, 2, ...: kept while dates move by less than half the term"),
            col("contracts", "text", "its contracts, `<connection>:<source_id>`, separated by blanks"),
            col("term_end", "date", "last day of the term"),
            col("term_days", "integer", "length of the term in days"),
            col("since", "instant", "as_of at which it was first seen so"),
            col("until", "instant", "as_of at which it was seen otherwise; NULL: as it is, or was last, known"),
        ),
        ("account_uid", "number", "since"),
        past=Past(born="since"),
    ),
    Table(
        "task",
        "Something a person must do. `key` is stable: rule, account, occurrence.",
        (
            col("key", "text", "identity, carried in the CRM task"),
            col("account_uid", "text", "account"),
            col("pack", "text", "rule pack"),
            col("rule", "text", "rule id, e.g. R03"),
            col("subject_uid", "text", "what it is about, e.g. a contract uid"),
            col("occurrence", "text", "which time: term, month"),
            col("title", "text", "title"),
            col("body", "text", "why, numbers, next step"),
            col("due_on", "date", "due, a business day"),
            col("owner_uid", "text", "uid of the owner (user)"),
            col("priority", "text", "priority", "high", "normal", "low"),
            col("status", "text", "state", "open", "done", "closed"),
            col("note", "text", "what was changed last while it was open, and why"),
            col("closing_note", "text", "why it was closed"),
            col("created_at", "instant", "as_of at which it was raised"),
            col("closed_at", "instant", "when it was closed"),
            RUN_ID,
        ),
        ("key",),
        (("account_uid", "status"),),
    ),
    Table(
        "plan",
        "A frozen list of intended writes.",
        (
            col("id", "text", "plan id"),
            col("created_at", "instant", "when"),
            col("as_of", "instant", "as-of of the results it rests on"),
            col("status", "text", "state", "open", "held", "approved", "applied", "superseded", "refused"),
            col("held_by", "text", "which brake and why"),
            col("digest", "text", "hash of the changes: same inputs, same digest"),
            col("totals", "json", "counts"),
            RUN_ID,
        ),
        ("id",),
        past=APART,
    ),
    Table(
        "plan_change",
        "One intended write of a plan: a field of a record, or a task.",
        (
            col("plan_id", "text", "plan"),
            col("seq", "integer", "order"),
            col("connection", "text", "connection"),
            col("stream", "text", "target stream"),
            col("source_id", "text", "target record (the company)"),
            col("account_uid", "text", "account"),
            col("action", "text", "what", "set", "clear", "create_task", "update_task", "close_task", "reopen_task"),
            col("field", "text", "vendor field; for a task the task key"),
            col("old", "json", "what the CRM holds"),
            col("new", "json", "what we want; for a task its whole content"),
            col("result_name", "text", "result or rule it comes from"),
            col("because", "text", "why"),
        ),
        ("plan_id", "seq"),
        (("account_uid",),),
        past=APART,
    ),
    Table(
        "outbox",
        "Changes on their way; a change is done only when the vendor's answer or a read-back proves it.",
        (
            col("key", "text", "stable key of the change"),
            col("plan_id", "text", "plan"),
            col("seq", "integer", "order in the plan"),
            col("connection", "text", "connection"),
            col("stream", "text", "target stream"),
            col("source_id", "text", "target record"),
            col("account_uid", "text", "account"),
            col("action", "text", "what"),
            col("field", "text", "vendor field or task key"),
            col("old", "json", "before"),
            col("new", "json", "after"),
            col("result_name", "text", "result or rule"),
            col("because", "text", "why"),
            col("state", "text", "write outcome", *WRITE_OUTCOMES),
            col("attempts", "integer", "times sent"),
            col("error", "text", "the vendor's words"),
            col("correlation_id", "text", "the vendor's id of the failed call"),
            col("remote_id", "text", "id of what was created"),
            col("sent_at", "instant", "last sent"),
            col("settled_at", "instant", "when the state became final"),
            RUN_ID,
        ),
        ("key",),
        (("state",), ("account_uid",), ("connection", "source_id")),
        past=APART,
    ),
    Table(
        "written",
        "What we last wrote and saw verified, per field: the third side of the three-way comparison.",
        (
            col("connection", "text", "connection"),
            col("stream", "text", "stream"),
            col("source_id", "text", "record"),
            col("field", "text", "vendor field or task key"),
            col("value", "json", "verified value"),
            col("remote_id", "text", "id of a created task"),
            col("verified_at", "instant", "when"),
        ),
        ("connection", "stream", "source_id", "field"),
        past=APART,
    ),
    Table(
        "evaluation",
        "One row per evaluation: what it takes to do it again. A second one of an as_of takes the first one's place.",
        (
            col("as_of", "instant", "as-of instant"),
            col("known_at", "instant", "when it ran: rows learned later were not known to it"),
            col(
                "rules", "json", "the packs that ran: array of objects with pack, version, hash, file and text (digest)"
            ),
            col("feeds", "json", "source_feed as it was: array of [connection, stream, entity]"),
            RUN_ID,
        ),
        ("as_of",),
        past=Past(born="as_of", grows=True),
    ),
    Table(
        "pack_version",
        "The text of every rule file that was ever run, once, so that old results can be explained and done again.",
        (
            col("digest", "text", "hash of the text"),
            col("text", "text", "the file, whole"),
            col("first_run_at", "instant", "as_of of the first evaluation with it"),
        ),
        ("digest",),
        past=APART,
    ),
    Table(
        "state_history",
        "Former rows of the tables that evaluations and links keep: what a row was until then.",
        (
            col("name", "text", "table"),
            col("key", "json", "array of the row's key values"),
            col("until", "instant", "what replaced it: as_of of the evaluation, or when it was learned"),
            col("row", "json", "the former row; NULL: there was none"),
        ),
        ("name", "key", "until"),
        past=APART,
    ),
)
TABLE: dict[str, Table] = {t.name: t for t in TABLES}
