"""Task changes: what the rules want people to do against the tasks the CRM holds.

A task carries a stable key (rule, account, occurrence), so it is created once, updated while open, closed when done
or no longer true, and never reopened after a person closed or deleted it. Its text alone is no reason to touch it:
only a new title, date, owner or priority is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from cssync.config.workspace import OPPORTUNITIES, Workspace
from cssync.connectors.contract import TaskContent
from cssync.rules.cutting import cut
from cssync.store import Store
from cssync.writeback.canonical import altered
from cssync.writeback.changes import Note, PlannedChange, load
from cssync.writeback.digest import PACK as DIGEST
from cssync.writeback.digest import PREFIX, Digests
from cssync.writeback.merged import Orphan, adoptions, orphans
from cssync.writeback.opportunities import opportunity_rows, taking_opportunities
from cssync.writeback.outbox import failed
from cssync.writeback.people import Home, People, homes, taking_tasks

SHOWN = ("subject", "due_on", "priority", "owner_source_id")
"""What of a task is worth an update."""
OF_DEAL = ("subject", "due_on", "amount")
"""What of an opportunity is: who sells it is the sales team's to say."""
SUBJECT_LENGTH, NAME_LENGTH = 255, 120
"""UTF-16 code units of a task's subject and of an opportunity's name, by the strictest of the vendors (Salesforce)."""
COMMENTS = {
    "en": "cssync would have closed this task: {why}. A person changed it, so it is theirs to close.",
    "ja": "cssyncはこのタスクを完了にするところでした({why})。担当者が変更したため、完了は担当者にお任せします。",
}
"""Locale -> what is added to a task that is done, but that a person edited (domain: comment instead of closing)."""


def comment_for(locale: str, why: str) -> str:
    """Return what is added to a task that is done, but that a person edited; `why` it is done."""
    return COMMENTS["ja" if locale.startswith("ja") else "en"].format(why=why.rstrip(".。"))


BODY_LENGTH = 30_000
"""UTF-16 code units of a task's text, before its last line and a closing note (Salesforce takes 32,000 in all)."""
FOOTERS = {
    "en": "Written by cssync on data of {day}; closed by cssync when the reason is gone.",
    "ja": "cssyncが{day}時点のデータから作成しました。理由がなくなればcssyncが完了にします。",
}
"""Locale -> last line of a task."""
SIDE = ("subject", "due_on", "amount", "priority", "owner_source_id", "body", "note")
"""What a plan remembers of a task before a change, so that an undo can bring it back."""


@dataclass(frozen=True, slots=True)
class Known:
    """A task as we know it: `content` we last wrote and saw verified, `live` as the CRM had it at the last pull."""

    home: Home
    remote_id: str
    content: Mapping[str, Any] | None = None
    live: Mapping[str, Any] | None = None

    @property
    def status(self) -> str:
        """open, done or deleted; what the CRM says wins over what we remember."""
        if self.live is not None:
            return "deleted" if self.live["deleted_at"] else str(self.live["status"] or "open")
        return str((self.content or {}).get("status", "open"))

    def edited(self) -> bool:
        """Whether a person changed more than the status since we wrote it; once we found so, it is theirs for good."""
        if self.content is not None and self.content.get("comment_only"):
            return True
        if self.content is None or self.live is None:
            return False
        pairs = ((self.content.get(n), self.live[n]) for n in ("subject", "due_on", "owner_source_id"))
        return any(live is not None and ours is not None and not altered(ours, live, "text") for ours, live in pairs)

    def side(self) -> dict[str, Any]:
        """The CRM's side, for the plan."""
        ours = dict(self.content or {})
        live = {n: self.live[n] for n in ("subject", "due_on")} if self.live else {}
        seen = {n: {**ours, **live}.get(n) for n in SIDE if n in ours or n in live or n in ("subject", "due_on")}
        return {"remote_id": self.remote_id, "status": self.status, **seen}


def task_changes(store: Store, workspace: Workspace, as_of: datetime) -> tuple[list[PlannedChange], list[Note]]:
    """Compare the tasks of the rules with the tasks in the CRM. Reads the store only."""
    walk = _Walk(store, workspace, as_of)
    for row in store.query(
        "SELECT t.*, coalesce(a.name, a.uid) AS account, a.touch_tier FROM task t "
        "JOIN account a ON a.uid = t.account_uid WHERE a.deleted_at IS NULL AND a.is_test IS NOT 1 "
        "ORDER BY t.due_on, coalesce(a.name, a.uid), t.key"
    ):
        walk.task(dict(row))
    for orphan in walk.orphans:
        walk.bury(orphan)
    walk.digest()
    for deal in opportunity_rows(store, workspace):
        walk.opportunity(deal)
    return walk.changes, walk.notes


class _Walk:
    """One pass over the tasks, earliest due first: what is known about the CRM is read once."""

    def __init__(self, store: Store, workspace: Workspace, as_of: datetime) -> None:
        self.changes: list[PlannedChange] = []
        self.notes: list[Note] = []
        self.store = store
        lang = "ja" if workspace.locale.startswith("ja") else "en"
        self.footer, self.locale = FOOTERS[lang], workspace.locale
        self.people = People(store, workspace)
        self.homes = homes(store, taking_tasks(workspace))
        self.known = known_tasks(store, workspace)
        self.alive = (
            {
                (row["connection"], row["source_id"])
                for row in store.query(
                    "SELECT connection, source_id FROM account_source WHERE deleted_at IS NULL AND merged_into IS NULL"
                )
            }
            if self.known
            else set()
        )
        self.orphans = orphans(store, self.known)
        self.adopted = adoptions(store, self.known, self.orphans)
        self.failures = failed(store)
        self.unsettled = {
            row["field"] for row in store.query(
                "SELECT field FROM outbox WHERE action = 'create_task' AND state IN ('sent', 'unknown')"
            )
        }  # fmt: skip
        self.created = _created_on(store, workspace, as_of)
        self.digests = Digests(store, workspace, as_of)
        self.deal_homes = {kind: homes(store, taking_opportunities(workspace, kind)) for kind in OPPORTUNITIES}
        self.stages = {back.connection: back.opportunity_stage for back in workspace.writeback.values()}
        self.currencies = {row["connection"]: row["currency"] for row in store.query("SELECT * FROM binding")}

    def task(self, row: Mapping[str, Any]) -> None:
        """Decide about one task."""
        known = self._at_home(self.known.get(self._key(row)), row["account_uid"])
        if row["status"] == "open":
            if known is not None:
                self._update(row, known)
            elif row["account_uid"] in self.homes:
                self._create(row, self.homes[row["account_uid"]])
        elif known is not None and known.status == "open":
            self._close(row, known)

    def opportunity(self, row: Mapping[str, Any]) -> None:
        """Decide about one opportunity: made once, kept up while it stands as we made it, never closed."""
        known = self._at_home(self.known.get(row["key"]), row["account_uid"])
        home = known.home if known is not None else self.deal_homes[row["kind"]].get(row["account_uid"])
        if home is None or (known is None and row["taken"]):
            return
        foreign = row["currency"] != self.currencies.get(home.connection)
        row = {**row, "stage": self.stages.get(home.connection), "currency": row["currency"] if foreign else None}
        if known is None:
            self._create(row, home)
        else:
            self._update(row, known)

    def bury(self, orphan: Orphan) -> None:
        """Close the task of an account that a merge took away, when nothing asks for it at the survivor."""
        known = self._at_home(self.known.get(orphan.key), orphan.survivor)
        if known is not None and known.status == "open" and orphan.key not in self.adopted.values():
            self._close(orphan.row, known)

    def digest(self) -> None:
        """Decide about the digests of what was held back, and end those of which nothing is left."""
        mine = {key: known for key, known in self.known.items() if key.startswith(PREFIX)}
        due = {key: str((known.content or known.live or {}).get("due_on")) for key, known in mine.items()}
        for row, home in self.digests.rows(due):
            known = self._at_home(mine.pop(row["key"], None), row["account_uid"])
            if known is None:
                self._create(row, home)
            else:
                self._update(row, known)
        for key, known in sorted(mine.items()):
            if known.status == "open" and (account := _account_at(self.store, known.home)) is not None:
                row = {**(known.content or {}), **account, "key": key, "pack": DIGEST, "rule": "tasks",
                       "title": (known.content or known.live or {}).get("subject"), "body": None,
                       "assigned": (known.content or {}).get("owner_source_id"), "created_at": "",
                       "due_on": due[key], "closing_note": self.digests.closing_note}  # fmt: skip
                self._close(row, known)

    def _owner(self, row: Mapping[str, Any], connection: str) -> tuple[str | None, str]:
        if "assigned" in row:
            return row["assigned"], ""
        return self.people.owner(row["owner_uid"], connection)

    def _at_home(self, known: Known | None, account_uid: str) -> Known | None:
        """The task with the record it hangs on now: a vendor hands the tasks of a merged record to the survivor."""
        if known is None or (known.home.connection, known.home.source_id) in self.alive:
            return known
        home = self.homes.get(account_uid)
        return known if home is None or home.connection != known.home.connection else replace(known, home=home)

    def _create(self, row: Mapping[str, Any], home: Home) -> None:
        if row["key"] in self.unsettled:
            self._note(
                "unsettled", row, home, "was sent before without an answer; it is looked for before anything else"
            )
            return
        owner, trouble = self._owner(row, home.connection)
        content = _content(row, row["key"], home, owner, self.footer)
        refused = self.failures.get((home.connection, home.stream, home.source_id, row["key"]))
        if refused is not None and refused.blocks_task("create_task", asdict(content)):
            self._note(refused.kind, row, home, refused.told)
            return
        single = row["pack"] != DIGEST and "kind" not in row
        if row.get("touch_tier") == "tech":
            self.digests.add(row, home, self.people.pool(home.connection) or owner)
            self._note("later", row, home, "accounts of the tech tier are served together: it is in the pooled digest")
            return
        if single and self.created[home.connection, owner] >= self.digests.limit:
            whose = "its owner" if owner else "the tasks without an owner"
            told = (
                f"{whose} got {self.digests.limit} new tasks today; it is in the digest, and comes with the next ones"
            )
            self._note("later", row, home, told)
            self.digests.add(row, home, owner)
            return
        self.created[home.connection, owner] += single
        if trouble:
            self._note("unowned", row, home, trouble)
        self._change("create_task", row, home, None, content)

    def _update(self, row: Mapping[str, Any], known: Known) -> None:
        if known.status != "open":
            return  # a person closed or deleted it: it stays so for this occurrence
        owner, _ = self._owner(row, known.home.connection)
        content = _content(row, self._key(row), known.home, owner, self.footer)
        wanted, base = asdict(content), known.content or known.live or {}
        shown = OF_DEAL if content.is_opportunity else SHOWN
        moved = [n for n in shown if n in base and wanted[n] is not None and base[n] is not None]
        if all(altered(wanted[n], base[n], "number" if n == "amount" else "text") for n in moved):
            return
        if known.content is None or known.edited():
            whose = "this store never wrote this task" if known.content is None else "a person changed this task"
            self._note("conflict", row, known.home, f"{whose}; it is kept as the CRM has it")
            return
        refused = self.failures.get((known.home.connection, known.home.stream, known.home.source_id, self._key(row)))
        if refused is not None and refused.blocks_task("update_task", wanted):
            self._note(refused.kind, row, known.home, refused.told)
            return
        self._change("update_task", row, known.home, known, content)

    def _close(self, row: Mapping[str, Any], known: Known) -> None:
        if known.edited():
            self._comment(row, known)
            return
        owner, _ = self._owner(row, known.home.connection)
        content = replace(
            _content(row, self._key(row), known.home, owner, self.footer), status="done", note=row["closing_note"] or ""
        )
        refused = self.failures.get((known.home.connection, known.home.stream, known.home.source_id, self._key(row)))
        if refused is not None and refused.blocks_task("close_task", asdict(content)):
            self._note(refused.kind, row, known.home, refused.told)
            return
        self._change("close_task", row, known.home, known, content)

    def _comment(self, row: Mapping[str, Any], known: Known) -> None:
        """Say once, in a task that a person edited, that it is done: theirs to close."""
        ours = TaskContent(**dict(known.content or {}))
        content = replace(ours, note=comment_for(self.locale, row["closing_note"] or row["title"]), comment_only=True)
        place = (known.home.connection, known.home.stream, known.home.source_id, self._key(row))
        refused = self.failures.get(place)
        told = "is done, but a person changed it in the CRM: theirs to close"
        if ours.note == content.note or (refused is not None and refused.blocks_task("update_task", asdict(content))):
            self._note("conflict", row, known.home, told)
        else:
            self._change("update_task", row, known.home, known, content)

    def _change(
        self,
        action: Literal["create_task", "update_task", "close_task"],
        row: Mapping[str, Any],
        home: Home,
        known: Known | None,
        content: TaskContent,
    ) -> None:
        because = (row["closing_note"] if action == "close_task" else None) or _first_line(row["body"]) or row["title"]
        self.changes.append(
            PlannedChange(
                home.connection,
                home.stream,
                home.source_id,
                row["account_uid"],
                row["account"],
                action,
                self._key(row),
                known.side() if known else None,
                asdict(content),
                f"{row['pack']}.{row['rule']}",
                because or "",
            )
        )

    def _key(self, row: Mapping[str, Any]) -> str:
        """The key that the CRM's task carries: a task that came over with a merge keeps its own."""
        return self.adopted.get(row["key"]) or str(row["key"])

    def _note(
        self,
        kind: Literal["conflict", "later", "blocked", "declined", "unsettled", "unowned"],
        row: Mapping[str, Any],
        home: Home,
        message: str,
    ) -> None:
        told = f"task {row['title']!r}: {message}"
        self.notes.append(Note(kind, home.connection, row["account_uid"], row["account"], row["key"], told))


def _account_at(store: Store, home: Home) -> Mapping[str, str] | None:
    """Return account uid and name of a record; None where it is linked to none any more."""
    rows = store.query(
        "SELECT l.account_uid, coalesce(a.name, a.uid) AS account FROM account_link l JOIN account a "
        "ON a.uid = l.account_uid WHERE l.connection = ? AND l.source_id = ? AND l.status = 'active'",
        (home.connection, home.source_id),
    )
    return dict(rows[0]) if rows else None


def known_tasks(store: Store, workspace: Workspace) -> dict[str, Known]:
    """Task key -> the task as we know it, from what we wrote and from what was pulled."""
    found: dict[str, Known] = {}
    for row in store.query("SELECT * FROM written WHERE remote_id IS NOT NULL ORDER BY verified_at DESC, rowid DESC"):
        home = Home(row["connection"], row["stream"], row["source_id"])
        found.setdefault(row["field"], Known(home, row["remote_id"], content=load(row["value"])))
    streams = {back.connection: back.to for back in taking_tasks(workspace)}
    for row in store.query("SELECT * FROM crm_task WHERE task_key IS NOT NULL ORDER BY connection, source_id"):
        ours = found.get(row["task_key"])
        if ours is not None and (ours.home.connection, ours.remote_id) == (row["connection"], row["source_id"]):
            found[row["task_key"]] = replace(ours, live=dict(row))
        elif ours is None and row["connection"] in streams and not row["deleted_at"]:
            home = Home(row["connection"], streams[row["connection"]], row["account_source_id"] or "")
            found[row["task_key"]] = Known(home, row["source_id"], live=dict(row))
    return found


def _created_on(store: Store, workspace: Workspace, as_of: datetime) -> Counter[tuple[str, str | None]]:
    """(connection, owner) -> tasks created by plans of the same business day; digests are not counted. By the day and
    not by the run, so that a run each quarter of an hour does not pour out what the limit holds back."""
    today = as_of.astimezone(workspace.timezone).date()
    found: Counter[tuple[str, str | None]] = Counter()
    for row in store.query(
        "SELECT o.connection, o.new, p.as_of FROM plan p JOIN outbox o ON o.key >= p.id || '/' AND o.key < p.id || '0' "
        "WHERE p.as_of BETWEEN ? AND ? AND o.action = 'create_task' AND o.state IN ('verified', 'sent', 'unknown')",
        tuple((as_of + timedelta(days=days)).astimezone(UTC).isoformat()[:10] for days in (-2, 3)),
    ):
        task = load(row["new"])
        single = task.get("kind", "task") == "task" and not task["key"].startswith(PREFIX)
        if single and datetime.fromisoformat(row["as_of"]).astimezone(workspace.timezone).date() == today:
            found[row["connection"], task.get("owner_source_id")] += 1
    return found


def _content(row: Mapping[str, Any], key: str, home: Home, owner: str | None, footer: str) -> TaskContent:
    """The task as its reader sees it. Its subject is cut between two characters, never inside one."""
    deal = "kind" in row
    day = (row["created_at"] or "")[:10] if row["pack"] != DIGEST and not deal else ""
    return TaskContent(
        key=key,
        account_source_id=home.source_id,
        subject=cut(row["title"] or row["rule"] or row["key"], NAME_LENGTH if deal else SUBJECT_LENGTH),
        body="\n\n".join(
            part for part in (cut(row["body"] or "", BODY_LENGTH), footer.format(day=day) if day else "") if part
        ),
        due_on=row["due_on"] or row["created_at"][:10],
        priority=row["priority"] or "normal",
        owner_source_id=owner,
        kind=row.get("kind", "task"),
        amount=row.get("amount"),
        currency=row.get("currency"),
        stage=row.get("stage"),
    )


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n", 1)[0]
