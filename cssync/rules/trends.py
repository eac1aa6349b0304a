"""Where a score is heading: the median of the last days against that of as many days before (domain.md 5.6).

A change of the rules must never look like customer behaviour: a day that another version of the model judged is judged
again by today's, from the features stored then; where they do not say enough, the day does not count.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fractions import Fraction
from itertools import groupby
from typing import Any, Literal

from cssync.rules.catalogue import FACTS
from cssync.rules.freshness import Context, parse_instant
from cssync.rules.interpreter import judge_past
from cssync.rules.score_days import beside_features, inputs_of, version_of
from cssync.rules.statement import typed_value
from cssync.rules.tree import Feature, Pack, Score, Trend

Query = Callable[[str, tuple[Any, ...]], Iterable[Any]]
"""Runs a SELECT; rows by column name."""
LEAST = 3
"""Days with a score that each window needs."""


@dataclass(frozen=True, slots=True)
class Direction:
    """Where a score is heading. recent, before: medians; points: recent - before. recent_days, before_days: days with a
    comparable score. why: why the direction is unknown."""

    trend: Literal["improving", "stable", "declining", "unknown"] = "unknown"
    recent: Fraction | None = None
    before: Fraction | None = None
    recent_days: int = 0
    before_days: int = 0
    why: str = ""

    @property
    def points(self) -> Fraction | None:
        """Median now minus median before; None while unknown."""
        return None if self.recent is None or self.before is None else self.recent - self.before


def median(values: Iterable[int]) -> Fraction:
    """Return the middle value, or the mean of the two in the middle."""
    found = sorted(values)
    half = len(found) // 2
    return Fraction(found[half]) if len(found) % 2 else Fraction(found[half - 1] + found[half], 2)


def direction(rules: Trend, recent: list[int], before: list[int], *, left_out: bool = False) -> Direction:
    """Return the direction between two windows of daily scores. left_out: days of another model version are missing."""
    days = len(recent), len(before)
    if min(days) < LEAST:
        why = "n/a (model changed)" if left_out else f"fewer than {LEAST} days with a score in a window"
        return Direction("unknown", None, None, *days, why)
    now, then = median(recent), median(before)
    points = now - then
    label: Literal["improving", "stable", "declining"] = "stable"
    if points >= rules.improving:
        label = "improving"
    elif points <= rules.declining:
        label = "declining"
    return Direction(label, now, then, *days)


@dataclass(frozen=True, slots=True)
class Span:
    """A row of `score_state`: from `since` up to, not including, `until`."""

    since: str
    until: str | None
    model: str
    score: int | None


class Trends:
    """Directions of the accounts of one pack today. Reads `score_state`, `score_day`, `score_restated`, `feature_row`.

    restated: rows of `score_restated` that are not stored yet: a day is judged again once, and anew when a column of
    account changes that the score looks at.
    """

    def __init__(self, query: Query, pack: Pack, features: Mapping[str, Feature], c: Context) -> None:
        assert pack.score is not None and pack.score.trend is not None  # noqa: S101, PT018 - for packs with a trend only
        self.query = query
        self.pack = pack
        self.score: Score = pack.score
        self.rules: Trend = pack.score.trend
        self.features = features
        self.c = c
        today = c.today
        self.recent = [today - timedelta(days=n) for n in range(self.rules.window)]
        self.before = [day - timedelta(days=self.rules.before) for day in self.recent]
        self.first = self.before[-1].isoformat()
        self.days: dict[str, dict[str, Any]] = {}
        for row in query(
            "SELECT * FROM score_day WHERE pack = ? AND day BETWEEN ? AND ?", (pack.name, self.first, today.isoformat())
        ):
            self.days.setdefault(row["day"], {})[row["model"]] = row
        self.versions = {m.name: version_of(self.score, m, features) for m in self.score.models}
        self.inputs = {m.name: inputs_of(self.score, m, features) for m in self.score.models}
        self.beside = beside_features(self.score, features)
        self.results = {e.value: e.type for e in self.beside if e.op == "result"}
        self.usable = {(day, m): self.says_enough(day, m) for day in self.days for m in self.versions}
        self.account: tuple[str, dict[str, Any], dict[str, Any]] = ("", {}, {})
        self.known: dict[tuple[str, str, str], tuple[str, int | None]] | None = None
        self.restated: list[tuple[str, str, str, str, str, int | None]] = []

    def says_enough(self, day: str, model: str) -> bool:
        """Whether the features stored on a day are all that scores under a model rest on today, defined as today."""
        then = {n: h for row in self.days[day].values() for n, h in json.loads(row["inputs"]).items()}
        return "money" not in self.results.values() and all(then.get(n) == h for n, h in self.inputs[model].items())

    def same_all_along(self, model: str) -> bool:
        """Whether one version of a model judged every evaluated day of both windows."""
        return all(
            model in self.days[day] and self.days[day][model]["version"] == self.versions[model]
            for day in self.evaluated(self.recent) + self.evaluated(self.before)
        )

    def evaluated(self, window: list[date]) -> list[str]:
        return [text for day in window if (text := day.isoformat()) in self.days]

    def steady(self) -> Direction:
        """Direction of every account whose score never moved over both windows."""
        return direction(self.rules, [0] * len(self.evaluated(self.recent)), [0] * len(self.evaluated(self.before)))

    def of(self, uid: str, model: str, spans: list[Span]) -> Direction:
        """Return the direction of one account, judged by a model today."""
        recent, recent_out = self.points(uid, model, spans, self.recent)
        before, before_out = self.points(uid, model, spans, self.before)
        return direction(self.rules, recent, before, left_out=recent_out or before_out)

    def points(self, uid: str, model: str, spans: list[Span], window: list[date]) -> tuple[list[int], bool]:
        """Scores of the days of a window, and whether a day had to be left out."""
        found: list[int | None] = []
        left_out = False
        for day in self.evaluated(window):
            span = next((s for s in spans if s.since <= day and (s.until is None or s.until > day)), None)
            if span is None:
                continue
            judged = self.days[day].get(span.model)
            if judged is not None and span.model == model and judged["version"] == self.versions[model]:
                found.append(span.score)
            elif self.usable[day, model]:
                found.append(self.restate(uid, model, day))
            else:
                left_out = True
        return [score for score in found if score is not None], left_out

    def restate(self, uid: str, model: str, day: str) -> int | None:
        """Return what the score of a day would have been under today's version of a model."""
        version = self.versions[model]
        if self.known is None:
            stored = self.query(
                "SELECT * FROM score_restated WHERE pack = ? AND day >= ?", (self.pack.name, self.first)
            )
            self.known = {(r["account_uid"], r["day"], r["version"]): (r["account"], r["score"]) for r in stored}
        if self.account[0] != uid:
            self.account = uid, *self.read_account(uid)
        _, account, results = self.account
        used = json.dumps([(account if e.op == "account" else results).get(e.value) for e in self.beside], default=str)
        before = self.known.get((uid, day, version))
        if before is not None and before[0] == used:
            return before[1]
        score = self.judge(uid, model, day)
        self.known[uid, day, version] = (used, score)
        self.restated.append((uid, self.pack.name, day, version, used, score))
        return score

    def read_account(self, uid: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the columns of an account and the results of other packs, as they are now: they have no past here."""
        account = next((dict(r) for r in self.query("SELECT * FROM account WHERE uid = ?", (uid,))), {})
        marks = ", ".join("?" * len(self.results))
        rows = self.query(
            f"SELECT name, value FROM result WHERE account_uid = ? AND state = 'ok' AND name IN ({marks})",
            (uid, *self.results),
        )
        return account, {r["name"]: typed_value(json.loads(r["value"]), self.results[r["name"]]) for r in rows}

    def judge(self, uid: str, model: str, day: str) -> int | None:
        at = next(iter(self.days[day].values()))["as_of"]
        rows = list(self.query(
            "SELECT features, states FROM feature_row WHERE account_uid = ? AND pack = ? AND as_of <= ? "
            "ORDER BY as_of DESC LIMIT 1", (uid, self.pack.name, at)))  # fmt: skip
        if not rows:
            return None
        stored, states = json.loads(rows[0]["features"]), json.loads(rows[0]["states"] or "{}")
        given = {
            name: typed_value(value, self.features[name].type if name in self.features else FACTS[name].type)
            for name in self.inputs[model]
            if (value := stored.get(name)) is not None or states.get(name) == "missing: no data"
        }
        # nothing is fresh: what is not given was stale or not connected then
        context = replace(self.c, as_of=parse_instant(at), fresh={}, only=None, gaps={})
        return judge_past(self.pack, self.features, context, *self.account[1:], given, model).score

    def everybody(self, over: str = "now") -> Iterator[tuple[str, Direction]]:
        """Yield the direction of every account that the temporary table `over` holds and that is not steady."""
        rows = self.query(  # CROSS: from the accounts looked at, which may be few
            f"SELECT n.uid AS uid, n.model AS today, s.since, s.until, s.model, s.score FROM {over} n "
            "CROSS JOIN score_state s ON s.account_uid = n.uid WHERE s.pack = ? AND (s.until IS NULL OR s.until > ?) "
            "AND n.uid NOT IN (SELECT uid FROM trends) ORDER BY n.uid, s.since",
            (self.pack.name, self.first),
        )
        for (uid, model), found in groupby(rows, key=lambda r: (r["uid"], r["today"])):
            spans = [Span(r["since"], r["until"], r["model"], r["score"]) for r in found]
            yield uid, self.of(uid, model, spans)

    def one(self, uid: str) -> Direction:
        """Return the direction of one account as of its last evaluated day."""
        rows = self.query(
            "SELECT since, until, model, score FROM score_state WHERE account_uid = ? AND pack = ? ORDER BY since",
            (uid, self.pack.name),
        )
        spans = [Span(r["since"], r["until"], r["model"], r["score"]) for r in rows]
        return self.of(uid, spans[-1].model, spans) if spans else direction(self.rules, [], [])


def write_trends(
    conn: sqlite3.Connection, pack: Pack, features: Mapping[str, Feature], c: Context, over: str = "now"
) -> None:
    """Fill the temporary table `trends` (uid, trend, points and former median as JSON) for the accounts of `over`.

    Stores the days it judged again. Needs today's rows in `score_state` and `score_day`. Accounts whose score never
    moved are answered at once.
    """
    conn.execute("DROP TABLE IF EXISTS temp.trends")
    conn.execute("CREATE TEMP TABLE trends (uid TEXT PRIMARY KEY, trend TEXT, points TEXT, before TEXT)")
    found = Trends(lambda sql, params: conn.execute(sql, params), pack, features, c)
    for model in found.versions:
        if found.same_all_along(model):
            steady = found.steady()
            conn.execute(
                f"INSERT INTO trends SELECT n.uid, ?, ?, NULL FROM {over} n JOIN score_state s "
                "ON s.account_uid = n.uid AND s.pack = ? AND s.until IS NULL "
                "WHERE s.since <= ? AND s.score IS NOT NULL "
                "AND s.model = ? AND n.model = ?",
                (steady.trend, _json(steady.points), pack.name, found.first, model, model),
            )
    moving = [(uid, d.trend, _json(d.points), _json(d.before)) for uid, d in found.everybody(over)]
    conn.executemany("INSERT INTO trends VALUES (?, ?, ?, ?)", moving)
    conn.execute("DELETE FROM score_restated WHERE pack = ? AND day < ?", (pack.name, found.first))
    conn.executemany(
        "INSERT INTO score_restated (account_uid, pack, day, version, account, score) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET account = excluded.account, score = excluded.score",
        found.restated,
    )


def read_trends(conn: sqlite3.Connection) -> dict[str, Direction]:
    """Return the directions of touched accounts that are heading somewhere, as texts need them."""
    rows = conn.execute(
        "SELECT t.* FROM trends t JOIN touched u ON u.uid = t.uid WHERE t.trend IN ('improving', 'declining')"
    )
    return {r["uid"]: Direction(r["trend"], before=Fraction(r["before"])) for r in rows}


def _json(points: Fraction | None) -> str:
    """Halves at most, as a JSON number."""
    if points is None:
        return "null"
    return str(points.numerator) if points.denominator == 1 else f"{float(points):.1f}"
