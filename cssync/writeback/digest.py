"""Digests: one task that lists what would be too many tasks for one person.

Beyond `max_new_tasks_per_owner_per_run` an owner gets the rest as one list, by ARR at risk; accounts of the tech tier
are served by lists alone, in a pool (domain, load limits and tier table). A digest belongs to its week: it is updated
while it is open, is not made again once a person closed it, and ends when nothing is held back any more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cssync.config.workspace import Workspace
from cssync.metrics.fx import MissingRateError, load_rates
from cssync.rules.calendar import calendar_of
from cssync.store import Store
from cssync.writeback.changes import load
from cssync.writeback.people import Home

PACK = "digest"
"""Takes the place of the rule pack."""
PREFIX = "digest-"
"""Keys of digests begin so; those of tasks are hexadecimal."""
AT_RISK = ("renewal.arr_at_risk", "renewal.arr_at_stake", "renewal.arr")
"""Results that say how much is at risk; the first that is known counts. Amounts are compared as they are, in the
account's currency: within one workspace that is one, as a rule."""
LISTED = 100
"""Lines of a digest; what is beyond them is counted."""
DUE_IN = 2
"""Business days that an owner has for a digest."""
TEXTS = {
    "en": (
        "More tasks, by ARR at risk: {count}",
        "cssync put these into one task of {day}, because more than {limit} new ones a day are too many for one person "
        "and accounts of the tech tier are looked after as a list.",
        "{place}. {account}: {title} (due {due}{arr})",
        ", ARR at risk {arr}",
        "and {count} more: `cssync plan` lists all",
        "This list has ended: nothing is held back any more, or a newer list has it.",
    ),
    "ja": (
        "ほか{count}件の対応(リスクのあるARR順)",
        "1日に{limit}件を超える新しいタスクは1人には多すぎること、またテックタッチの顧客はまとめて対応することから、cssyncが"
        "{day}時点の内容を1件にまとめました。",
        "{place}. {account}: {title}(期限 {due}{arr})",
        "、リスクのあるARR {arr}",
        "ほか{count}件。`cssync plan` で全件を確認できます",
        "このリストは終了しました。待っているタスクはもうないか、新しいリストにあります。",
    ),
}
"""Locale -> subject, first lines, a line, its amount, the end of a long list, the closing note."""


@dataclass(frozen=True, slots=True)
class Held:
    """A task that goes into a digest: its row, and the record of its account."""

    row: Mapping[str, Any]
    home: Home


@dataclass(frozen=True, slots=True)
class AtRisk:
    """ARR at risk of an account: in major units of the reporting currency for comparing, and as it is shown."""

    weight: float
    shown: str


NONE = AtRisk(0.0, "")


class Digests:
    """The digests of one plan, collected while its tasks are decided about."""

    def __init__(self, store: Store, workspace: Workspace, as_of: datetime) -> None:
        self.store, self.limit = store, workspace.limits.new_tasks
        self.today = as_of.astimezone(workspace.timezone).date()
        self.texts = TEXTS["ja" if workspace.locale.startswith("ja") else "en"]
        self.calendar = calendar_of(workspace)
        self.currency, self.rates = workspace.currency, load_rates(workspace)
        self.held: dict[tuple[str, str | None], list[Held]] = {}

    def add(self, row: Mapping[str, Any], home: Home, owner: str | None) -> None:
        """Put a task into its owner's digest."""
        self.held.setdefault((home.connection, owner), []).append(Held(row, home))

    def key(self, connection: str, owner: str | None) -> str:
        """Return the identity of this week's digest of an owner."""
        year, week, _ = self.today.isocalendar()
        text = f"{connection}\x1f{owner or ''}\x1f{year}-{week:02}"
        return PREFIX + hashlib.blake2b(text.encode(), digest_size=10).hexdigest()

    def rows(self, due: Mapping[str, str]) -> Iterator[tuple[Mapping[str, Any], Home]]:
        """Yield each digest as a row of `task`, with the record it hangs on: that of the first account in the list.

        `due`: key -> due date of digests that are there already; it stays. The row names its owner as `assigned`.
        """
        for (connection, owner), held in sorted(self.held.items(), key=lambda item: (item[0][0], item[0][1] or "")):
            at_risk = self._at_risk(held)
            ordered = sorted(held, key=lambda h: (-at_risk.get(h.row["account_uid"], NONE).weight,
                                                  h.row["due_on"] or "", h.row["account"], h.row["key"]))  # fmt: skip
            first, key = ordered[0], self.key(connection, owner)
            yield (
                {
                    "key": key,
                    "account_uid": first.row["account_uid"],
                    "account": first.row["account"],
                    "pack": PACK,
                    "rule": "tasks",
                    "title": self.texts[0].format(count=len(held)),
                    "body": self._body(ordered, at_risk),
                    "due_on": due.get(key) or self.calendar.after(self.today, DUE_IN).isoformat(),
                    "priority": "high" if any(h.row["priority"] == "high" for h in held) else "normal",
                    "status": "open",
                    "closing_note": None,
                    "assigned": owner,
                },
                first.home,
            )

    @property
    def closing_note(self) -> str:
        """What a digest is closed with."""
        return self.texts[5]

    def _at_risk(self, held: Sequence[Held]) -> dict[str, AtRisk]:
        """Account -> its ARR at risk, for those where it is known."""
        wanted = {h.row["account_uid"] for h in held}
        found: dict[str, float] = {}
        for name in reversed(AT_RISK):
            for row in self.store.query("SELECT account_uid, value FROM result WHERE name = ?", (name,)):
                if row["account_uid"] in wanted and isinstance(value := load(row["value"]), (int, float)):
                    found[row["account_uid"]] = float(value)
        paid_in = {
            row["account_uid"]: row["currency"]
            for row in self.store.query(
                "SELECT account_uid, min(currency) AS currency FROM contract_line WHERE deleted_at IS NULL "
                "AND currency IS NOT NULL AND account_uid IS NOT NULL GROUP BY account_uid"
            )
        }
        return {uid: self._weighed(amount, paid_in.get(uid) or self.currency) for uid, amount in found.items()}

    def _weighed(self, amount: float, currency: str) -> AtRisk:
        """Amounts of several currencies are compared in the reporting one; without a rate as they stand."""
        try:
            rate = float(self.rates.quote(currency, self.currency, self.today).value)
        except MissingRateError:
            rate = 1.0
        return AtRisk(amount * rate, f"{amount:,.0f} {currency}")

    def _body(self, ordered: Sequence[Held], at_risk: Mapping[str, AtRisk]) -> str:
        _, head, line, amount, more, _ = self.texts
        lines = [head.format(day=self.today.isoformat(), limit=self.limit), ""]
        for place, held in enumerate(ordered[:LISTED], 1):
            arr = at_risk.get(held.row["account_uid"])
            told = amount.format(arr=arr.shown) if arr is not None else ""
            row = held.row
            lines.append(
                line.format(place=place, account=row["account"], title=row["title"], due=row["due_on"], arr=told)
            )
        if len(ordered) > LISTED:
            lines.append(more.format(count=len(ordered) - LISTED))
        return "\n".join(lines)
