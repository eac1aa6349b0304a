"""Tasks: one per rule, account, subject and occurrence, however often the rules run.

The subject of a task about a renewal event is the event, by its number; of all others it is the account.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from cssync.rules.calendar import Calendar, local_date
from cssync.rules.conditions import days_ago, held_long_enough
from cssync.rules.event_facts import GRACE_DAYS, IDENTIFYING
from cssync.rules.events import EVENT, event_uid, number_of, same_event
from cssync.rules.freshness import Context, parse_instant
from cssync.rules.grounds import entities_of
from cssync.rules.signals import Reading
from cssync.rules.texts import WORDS
from cssync.rules.tree import OF_EVENT, Expr, Feature, Pack, TaskRule, rule_exprs

LATE_DAYS = 2
"""Business days that are left for a task whose day has already passed when it is raised."""
NO_DATE_DAYS = 5
PERIODS = ("month", "quarter", "year")


@dataclass(frozen=True, slots=True)
class TaskCounts:
    """What happened to tasks."""

    created: int = 0
    updated: int = 0
    closed: int = 0


def period(kind: str, day: date) -> str:
    """Return the month, quarter or year of a day, as it stands in keys of tasks."""
    quarter = f"{day.year}-Q{(day.month + 2) // 3}"
    return {"month": day.strftime("%Y-%m"), "quarter": quarter, "year": str(day.year)}[kind]


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
        words: Mapping[str, str] = WORDS["en"],
    ) -> None:
        self.conn = conn
        self.pack = pack
        self.features = features
        self.c = context
        self.as_of = as_of
        self.run_id = run_id
        self.read = read
        self.say = say
        self.words = words
        self.ready = {
            rule.name: {r["uid"] for r in conn.execute(
                f"SELECT n.uid FROM now n WHERE {held_long_enough('task', 'n.uid')}",
                (pack.name, rule.name, days_ago(context, rule.for_days)))}
            for rule in pack.tasks if rule.for_days
        }  # fmt: skip
        self.people = (
            {r["uid"]: r for r in conn.execute('SELECT uid, name, connection, manager_source_id FROM "user"')}
            if any(rule.owner == "manager" or rule.copy is not None for rule in pack.tasks)
            else {}
        )
        self.known: dict[tuple[str, str], list[sqlite3.Row]] = {}
        self.rows = "(SELECT * FROM now UNION ALL SELECT * FROM later)" if pack.each_event else "now"
        self.order = "uid, event" if pack.each_event else "uid"

    def write(self) -> TaskCounts:
        """Note what people closed, close what is over, raise and update the rest."""
        self.closed_by_people()
        closed = self.close_finished()
        created = updated = 0
        firing = " OR ".join((*(f"t_{n} = 1" for n in range(len(self.pack.tasks))), "uid IN temp.with_task"))
        self.conn.execute("DROP TABLE IF EXISTS temp.with_task")
        self.conn.execute("CREATE TEMP TABLE with_task (uid TEXT PRIMARY KEY)")
        with_task = sorted({uid for (uid, _), found in self.known.items() if any(t["status"] == "open" for t in found)})
        self.conn.executemany("INSERT INTO with_task VALUES (?)", [(uid,) for uid in with_task])
        sql = f"SELECT * FROM {self.rows} WHERE {firing} ORDER BY {self.order}"
        for row in self.conn.execute(sql).fetchall():
            passed_over = self.passed_over(row)
            for n, rule in enumerate(self.pack.tasks):
                if self.event(row) > 1 and rule.once_per not in OF_EVENT:
                    continue
                if row[f"t_{n}_done"] != 1 and rule.name not in passed_over:
                    made, changed = self.raise_or_update(row, n, rule)
                    created, updated = created + made, updated + changed
        return TaskCounts(created, updated, closed)

    def closed_by_people(self) -> None:
        """A task that was closed in the CRM is done; it is not raised again for the same occurrence."""
        self.conn.execute(
            "UPDATE task SET status = 'done', closing_note = ?, closed_at = ?, run_id = ? "
            "WHERE pack = ? AND status = 'open' AND key IN "
            "(SELECT task_key FROM crm_task WHERE status = 'done' AND deleted_at IS NULL)",
            (self.words["by_people"], self.as_of, self.run_id, self.pack.name),
        )
        self.reload()

    def reload(self) -> None:
        self.known.clear()
        here = self.c.within("account_uid")
        sql = f"SELECT * FROM task WHERE pack = ?{here} ORDER BY created_at, key"
        for row in self.conn.execute(sql, (self.pack.name,)):
            self.known.setdefault((row["account_uid"], row["rule"]), []).append(row)

    def event(self, row: sqlite3.Row) -> int:
        """Which of its account's renewal events a row is about; 1 is the next one."""
        return row["event"] if self.pack.each_event else 1

    def event_uid(self, row: sqlite3.Row) -> str:
        """The uid of a row's renewal event. Where its dates are not known the account keeps the one it had."""
        uid = row["uid"]
        numbered = "SELECT number FROM event_number WHERE uid = ? AND event = ?"
        found = self.conn.execute(numbered, (uid, self.event(row))).fetchone()
        if found is None:
            last = "SELECT value FROM result WHERE account_uid = ? AND name = ?"
            held = self.conn.execute(last, (uid, f"{self.pack.name}.{EVENT}")).fetchone()
            found = (json.loads(held[0]) if held else 1,)
        return event_uid(uid, found[0])

    def subject(self, rule: TaskRule, row: sqlite3.Row) -> tuple[str, str]:
        """Return (subject uid, occurrence) of a task raised now."""
        uid = row["uid"]
        subject = self.event_uid(row) if rule.once_per in OF_EVENT else uid
        if rule.once_per == EVENT:
            return subject, "term"
        if rule.once_per in ("episode", "event_episode"):
            past = self.of_subject(uid, rule, subject)
            if subject != uid and self.event(row) == 1:  # one from when the rule was about the account goes on
                known = self.known.get((uid, rule.name), [])
                older = [t for t in known if t["subject_uid"] == uid and t["status"] in ("open", "done")]
                if older:
                    return uid, str(older[0]["occurrence"])
            return subject, str(sum(t["status"] == "closed" for t in past) + 1)
        return subject, period(rule.once_per, self.c.today)

    def of_subject(self, uid: str, rule: TaskRule, subject: str) -> list[sqlite3.Row]:
        """The tasks of a rule that an account ever had; of a rule about events those of one event."""
        known = self.known.get((uid, rule.name), [])
        return [t for t in known if t["subject_uid"] == subject] if rule.once_per in OF_EVENT else known

    def passed_over(self, row: sqlite3.Row) -> set[str]:
        """Rules of a renewal that were not raised in time while a later one's turn has come: of milestones that are
        found late only the latest is raised, not all at once (domain.md section 6)."""
        uid, days, raised = row["uid"], {}, set()
        for n, rule in enumerate(self.pack.tasks):
            if rule.once_per != EVENT or row[f"t_{n}_due"] is None:
                continue
            key = task_key(self.pack.name, rule.name, uid, *self.subject(rule, row))
            known = any(t["key"] == key for t in self.known.get((uid, rule.name), ()))
            if known or (row[f"t_{n}"] == 1 and row[f"t_{n}_done"] != 1):
                days[rule.name] = row[f"t_{n}_due"]
                raised |= {rule.name} if known else set()
        early = min(max(days.values(), default=""), self.c.today.isoformat())
        return {name for name, day in days.items() if day < early} - raised

    def raise_or_update(self, row: sqlite3.Row, n: int, rule: TaskRule) -> tuple[int, int]:
        uid = row["uid"]
        if row[f"t_{n}"] != 1 and (uid, rule.name) not in self.known:
            return 0, 0
        subject, occurrence = self.subject(rule, row)
        key = task_key(self.pack.name, rule.name, uid, subject, occurrence)
        old = next((t for t in self.known.get((uid, rule.name), ()) if t["key"] == key), None)
        if old is not None and old["status"] != "open":
            return 0, 0
        if old is None and (row[f"t_{n}"] != 1 or not self.may_raise(uid, rule, subject)):
            return 0, 0
        due, owner = self.due_on(row, n, rule, old), self.owner(row, rule)
        if old is not None and row[f"t_{n}"] != 1 and (due, owner) == (old["due_on"], old["owner_uid"]):
            return 0, 0  # once its window is over, a task is only touched when its day or its owner changes
        content = self.content(row, n, rule, due, owner, old)
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

    def may_raise(self, uid: str, rule: TaskRule, subject: str) -> bool:
        """Whether a new task's condition has held for its days, and the last one was not closed within its cooldown."""
        if rule.for_days and uid not in self.ready[rule.name]:
            return False
        bound = days_ago(self.c, rule.cooldown_days) if rule.cooldown_days else None
        past = self.of_subject(uid, rule, subject)
        return bound is None or all(t["closed_at"] is None or t["closed_at"] < bound for t in past)

    def due_on(self, row: sqlite3.Row, n: int, rule: TaskRule, old: sqlite3.Row | None) -> str:
        """The day a task is due now; an open one keeps its day while nobody knows the wanted one."""
        found = row[f"t_{n}_due"]
        if old is not None and found is None and rule.due.op != "business_days":
            return str(old["due_on"])
        raised_on = local_date(parse_instant(old["created_at"]), self.c.zone) if old else self.c.today
        wanted = date.fromisoformat(found) if found is not None else None
        return due_date(rule.due, wanted, raised_on, self.c.calendar).isoformat()

    def owner(self, row: sqlite3.Row, rule: TaskRule) -> str | None:
        """Whose task it is: the person the rule names, else the other one."""
        person = self.person(row, rule)
        return (self.manager_of(person) or person) if rule.owner == "manager" else person

    def person(self, row: sqlite3.Row, rule: TaskRule) -> str | None:
        owners = (row["a_csm_uid"], row["a_owner_uid"])
        return next((o for o in (owners if rule.owner != "owner" else owners[::-1]) if o), None)

    def content(
        self, row: sqlite3.Row, n: int, rule: TaskRule, due: str, owner: str | None, old: sqlite3.Row | None
    ) -> dict[str, str | None]:
        """What the task says now; a task whose day moved says from when to when."""
        reading = self.read(row)
        note = old["note"] if old else None
        if old is not None and old["due_on"] != due:
            note = self.words["moved"].format(before=old["due_on"], after=due)
        copied = rule.copy is not None and row[f"t_{n}_copy"] == "manager"
        manager = self.manager_of(self.person(row, rule)) if copied else None
        named = self.people[manager]["name"] if manager else None
        parts = (self.say(rule.body, reading), note, self.words["copied"].format(name=named) if named else None)
        return {
            "title": self.say(rule.title, reading),
            "body": "\n".join(part for part in parts if part),
            "due_on": due,
            "owner_uid": owner,
            "priority": "high" if copied else row[f"t_{n}_priority"] or "normal",
            "note": note,
        }

    def manager_of(self, uid: str | None) -> str | None:
        """The manager of a member of staff, None where nobody knows one."""
        person = self.people.get(uid or "")
        manager = f"{person['connection']}:{person['manager_source_id']}" if person else ""
        return manager if manager in self.people else None

    def close_finished(self) -> int:
        """Close open tasks whose reason is gone on fresh data; finish episodes that people closed."""
        rules = {rule.name: (n, rule) for n, rule in enumerate(self.pack.tasks)}
        count = written = 0
        for (uid, name), tasks in sorted(self.known.items()):
            live = [t for t in tasks if t["status"] == "open" or (t["status"] == "done" and name in rules)]
            if not live:
                continue
            rows = self.conn.execute(
                f"SELECT * FROM {self.rows} WHERE uid = ? ORDER BY {self.order}", (uid,)
            ).fetchall()
            for task in live:
                n, rule = rules.get(name, (0, None))
                note = self.reason_to_close(task, rows, n, rule)
                if note is None or (task["status"] == "done" and rule is not None and rule.once_per == EVENT):
                    continue
                self.conn.execute(
                    "UPDATE task SET status = 'closed', closing_note = coalesce(closing_note, ?), "
                    "closed_at = coalesce(closed_at, ?), run_id = ? WHERE key = ?",
                    (note, self.as_of, self.run_id, task["key"]),
                )
                written += 1
                count += task["status"] == "open"
        if written:
            self.reload()
        return count

    def reason_to_close(self, task: sqlite3.Row, rows: list[sqlite3.Row], n: int, rule: TaskRule | None) -> str | None:
        """Return why a task is over, None while it is not, or while that is unknown. rows: of its account."""
        if rule is None:
            return self.words["rule_removed"]
        if not rows:
            return self.words["account_left"]
        if self.unsure(rule):
            return None
        row = rows[0]
        if rule.once_per in OF_EVENT:
            same = [r for r in rows if self.event_uid(r) == task["subject_uid"]]
            same = same or (rows[:1] if number_of(task["subject_uid"]) is None else [])
            if not same:
                return self.words[self.end_of_event(task, rows)]
            row = same[0]
        if rule.done_when is not None:
            if row[f"t_{n}_done"] != 1:
                return None
            return (self.say(rule.closing, self.read(row)) if rule.closing else "") or self.words["met"]
        if rule.once_per in (EVENT, "month", "quarter", "year"):
            return None
        return self.words["gone"] if row[f"t_{n}"] == 0 else None

    def end_of_event(self, task: sqlite3.Row, rows: list[sqlite3.Row]) -> str:
        """Why a renewal event is none any more, as a key of the words. rows: of the account's events now."""
        number = number_of(task["subject_uid"])
        last = self.conn.execute(
            "SELECT contracts AS renewal_contracts, term_end, term_days FROM renewal_event "
            "WHERE account_uid = ? AND number = ? AND until IS NULL",
            (task["account_uid"], number),
        ).fetchone()
        if last is None:
            return "renewed"
        if last["term_end"] < (self.c.today - timedelta(days=GRACE_DAYS + 1)).isoformat():
            return "over"
        now = ({n: row[f"f_{n}"] for n in IDENTIFYING} for row in rows)
        return "joined" if any(e["term_end"] and same_event(dict(last), e) for e in now) else "renewed"

    def unsure(self, rule: TaskRule) -> bool:
        """Whether a source the rule looks at is stale: then nothing is closed. One that was never connected says
        nothing either way."""
        exprs = [rule.when, *rule_exprs(rule.priority), *([rule.done_when] if rule.done_when else [])]
        names = {name for e in exprs for name in e.names("feature")}
        return any(self.c.state(e) == "stale" for e in entities_of(names, self.features))
