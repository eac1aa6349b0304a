"""Tasks: one per rule, account, subject and occurrence, however often the rules run."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from cssync.rules.calendar import Calendar, local_date
from cssync.rules.compiler import entities_of
from cssync.rules.freshness import Context, parse_instant
from cssync.rules.signals import Reading
from cssync.rules.tree import Expr, Feature, Pack, TaskRule, rule_exprs

LATE_DAYS = 2
"""Business days that are left for a task whose day has already passed when it is raised."""
NO_DATE_DAYS = 5
EVENT = "renewal_event"
"""Result that numbers the renewal events of an account, in packs with a task `once_per: renewal_event`."""


@dataclass(frozen=True, slots=True)
class TaskCounts:
    """What happened to tasks."""

    created: int = 0
    updated: int = 0
    closed: int = 0


def task_key(pack: str, rule: str, account_uid: str, subject_uid: str, occurrence: str) -> str:
    """Return the stable identity of a task: 24 hex digits."""
    text = "\x1f".join((f"{pack}.{rule}", account_uid, subject_uid, occurrence))
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def due_date(rule: Expr, wanted: date | None, raised_on: date, calendar: Calendar) -> date:
    """Return the business day a task is due.

    The wanted day moves to the business day before it. A task raised after that day is due two business days after it
    was raised; one without a known day five. Source: domain.md section 6.
    """
    if rule.op == "business_days":
        return calendar.after(raised_on, rule.value)
    if wanted is None:
        return calendar.after(raised_on, NO_DATE_DAYS)
    due = calendar.on_or_before(wanted)
    return due if due >= raised_on else calendar.after(raised_on, LATE_DAYS)


# --- renewal events ---------------------------------------------------------------------------------------------------


def same_event(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether the current renewal event is the one seen before: it shares a contract, and its end moved by less than
    half the term. Both mappings hold renewal_contracts, term_end and term_days."""
    if before.get("term_end") is None or now.get("term_end") is None:
        return True
    shared = set(str(before["renewal_contracts"]).split()) & set(str(now["renewal_contracts"]).split())
    moved = abs(date.fromisoformat(now["term_end"]) - date.fromisoformat(before["term_end"]))
    return bool(shared) and moved * 2 < timedelta(days=before.get("term_days") or 365)


def event_numbers(conn: sqlite3.Connection, pack: Pack) -> list[tuple[str, str]]:
    """Return (account uid, number) of every renewal event that is new, from the feature rows that changed.

    Over the temporary table `changed` (uid, features, former features). The first event of an account is 1.
    """
    if not any(t.once_per == EVENT for t in pack.tasks):
        return []
    found = []
    for row in conn.execute(
        "SELECT c.uid AS uid, c.features AS features, c.former AS former, r.value AS number FROM temp.changed c "
        "LEFT JOIN result r ON r.account_uid = c.uid AND r.name = ?",
        (f"{pack.name}.{EVENT}",),
    ):
        now = json.loads(row["features"])
        if now.get("term_end") is None:
            continue
        if row["number"] in (None, "null"):
            found.append((row["uid"], "1"))
        elif row["former"] is not None and not same_event(_last_known(conn, pack, row, now), now):
            found.append((row["uid"], str(int(row["number"]) + 1)))
    return found


def _last_known(conn: sqlite3.Connection, pack: Pack, row: sqlite3.Row, now: Mapping[str, Any]) -> Mapping[str, Any]:
    """The last features of the account in which its term was known: a source may have been stale in between."""
    former: dict[str, Any] = json.loads(row["former"])
    if former.get("term_end") is not None:
        return former
    older = conn.execute(
        "SELECT features FROM feature_row WHERE account_uid = ? AND pack = ? "
        "AND json_extract(features, '$.term_end') IS NOT NULL ORDER BY as_of DESC LIMIT 1",
        (row["uid"], pack.name),
    ).fetchone()
    return json.loads(older[0]) if older else now


# --- writing ----------------------------------------------------------------------------------------------------------


class TaskWriter:
    """Brings `task` up to date for one pack."""

    def __init__(
        self,
        conn: sqlite3.Connection,
        pack: Pack,
        features: Mapping[str, Feature],
        context: Context,
        as_of: str,
        run_id: str,
        read: Callable[[sqlite3.Row], Reading],
        say: Callable[[Any, Reading], str],
    ) -> None:
        self.conn = conn
        self.pack = pack
        self.features = features
        self.c = context
        self.as_of = as_of
        self.run_id = run_id
        self.read = read
        self.say = say
        self.known: dict[tuple[str, str], list[sqlite3.Row]] = {}
        for row in conn.execute("SELECT * FROM task WHERE pack = ? ORDER BY created_at, key", (pack.name,)):
            self.known.setdefault((row["account_uid"], row["rule"]), []).append(row)
        self.events = {
            r["account_uid"]: json.loads(r["value"])
            for r in conn.execute("SELECT account_uid, value FROM result WHERE name = ?", (f"{pack.name}.{EVENT}",))
        }

    def write(self) -> TaskCounts:
        """Note what people closed, close what is over, raise and update the rest."""
        self.closed_by_people()
        closed = self.close_finished()
        created = updated = 0
        firing = " OR ".join(f"t_{n} = 1" for n in range(len(self.pack.tasks)))
        for row in self.conn.execute(f"SELECT * FROM now WHERE {firing} ORDER BY uid").fetchall() if firing else ():
            for n, rule in enumerate(self.pack.tasks):
                if row[f"t_{n}"] == 1 and row[f"t_{n}_done"] != 1:
                    made, changed = self.raise_or_update(row, n, rule)
                    created, updated = created + made, updated + changed
        return TaskCounts(created, updated, closed)

    def closed_by_people(self) -> None:
        """A task that was closed in the CRM is done; it is not raised again for the same occurrence."""
        self.conn.execute(
            "UPDATE task SET status = 'done', closing_note = 'closed in the CRM', closed_at = ?, run_id = ? "
            "WHERE pack = ? AND status = 'open' AND key IN "
            "(SELECT task_key FROM crm_task WHERE status = 'done' AND deleted_at IS NULL)",
            (self.as_of, self.run_id, self.pack.name),
        )
        self.reload()

    def reload(self) -> None:
        self.known.clear()
        for row in self.conn.execute("SELECT * FROM task WHERE pack = ? ORDER BY created_at, key", (self.pack.name,)):
            self.known.setdefault((row["account_uid"], row["rule"]), []).append(row)

    def subject(self, rule: TaskRule, account_uid: str) -> tuple[str, str]:
        """Return (subject uid, occurrence) of a task raised now."""
        today = self.c.today
        if rule.once_per == EVENT:
            return f"{account_uid}/renewal/{self.events.get(account_uid, 1)}", "term"
        if rule.once_per == "episode":
            past = self.known.get((account_uid, rule.name), [])
            finished = sum(t["status"] == "closed" for t in past)
            return account_uid, str(finished + 1)
        occurrence = {
            "month": today.strftime("%Y-%m"),
            "quarter": f"{today.year}-Q{(today.month + 2) // 3}",
            "year": str(today.year),
        }[rule.once_per]
        return account_uid, occurrence

    def raise_or_update(self, row: sqlite3.Row, n: int, rule: TaskRule) -> tuple[int, int]:
        uid = row["uid"]
        subject, occurrence = self.subject(rule, uid)
        key = task_key(self.pack.name, rule.name, uid, subject, occurrence)
        old = next((t for t in self.known.get((uid, rule.name), ()) if t["key"] == key), None)
        if old is not None and old["status"] != "open":
            return 0, 0
        raised_on = local_date(parse_instant(old["created_at"]), self.c.zone) if old else self.c.today
        reading = self.read(row)
        owners = (row["a_csm_uid"], row["a_owner_uid"])
        content = {
            "title": self.say(rule.title, reading),
            "body": self.say(rule.body, reading),
            "due_on": due_date(rule.due, reading[0].due[rule.name], raised_on, self.c.calendar).isoformat(),
            "owner_uid": next((o for o in (owners if rule.owner == "csm" else owners[::-1]) if o), None),
            "priority": row[f"t_{n}_priority"] or "normal",
        }
        if old is not None:
            if all(old[k] == v for k, v in content.items()):
                return 0, 0
            names = ", ".join(f"{k} = ?" for k in content)
            self.conn.execute(
                f"UPDATE task SET {names}, run_id = ? WHERE key = ?", (*content.values(), self.run_id, key)
            )
            return 0, 1
        whole = {
            "key": key, "account_uid": uid, "pack": self.pack.name, "rule": rule.name, "subject_uid": subject,
            "occurrence": occurrence, **content, "status": "open", "created_at": self.as_of, "run_id": self.run_id,
        }  # fmt: skip
        marks = ", ".join("?" * len(whole))
        self.conn.execute(f"INSERT INTO task ({', '.join(whole)}) VALUES ({marks})", tuple(whole.values()))
        return 1, 0

    def close_finished(self) -> int:
        """Close open tasks whose reason is gone on fresh data; finish episodes that people closed."""
        rules = {rule.name: (n, rule) for n, rule in enumerate(self.pack.tasks)}
        count = 0
        for (uid, name), tasks in sorted(self.known.items()):
            live = [t for t in tasks if t["status"] == "open" or (t["status"] == "done" and name in rules)]
            if not live:
                continue
            row = self.conn.execute("SELECT * FROM now WHERE uid = ?", (uid,)).fetchone()
            for task in live:
                note = self.reason_to_close(task, row, *rules.get(name, (0, None)))
                if note is None or (task["status"] == "done" and task["subject_uid"] != uid):
                    continue
                self.conn.execute(
                    "UPDATE task SET status = 'closed', closing_note = coalesce(closing_note, ?), "
                    "closed_at = coalesce(closed_at, ?), run_id = ? WHERE key = ?",
                    (note, self.as_of, self.run_id, task["key"]),
                )
                count += task["status"] == "open"
        self.reload()
        return count

    def reason_to_close(self, task: sqlite3.Row, row: sqlite3.Row | None, n: int, rule: TaskRule | None) -> str | None:
        """Return why a task is over, None while it is not, or while that is unknown."""
        if rule is None:
            return "the rule was removed"
        if row is None:
            return "the account is no longer looked at"
        if self.unsure(rule):
            return None
        if rule.once_per == EVENT and task["subject_uid"] != self.subject(rule, task["account_uid"])[0]:
            return "the term was renewed or replaced"
        if rule.done_when is not None:
            return "the condition is met" if row[f"t_{n}_done"] == 1 else None
        if rule.once_per in (EVENT, "month", "quarter", "year"):
            return None
        return "the reason is gone" if row[f"t_{n}"] == 0 else None

    def unsure(self, rule: TaskRule) -> bool:
        """Whether a source the rule looks at is not fresh: then nothing is closed."""
        exprs = [rule.when, *rule_exprs(rule.priority), *([rule.done_when] if rule.done_when else [])]
        names = {name for e in exprs for name in e.names("feature")}
        return not all(self.c.ok(e) for e in entities_of(names, self.features))
