"""Use of the product in set-based SQL: active users of the last 28 complete days, and the last day of use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from cssync.rules.catalogue import USE
from cssync.rules.dialect import Dialect
from cssync.rules.freshness import Context
from cssync.rules.rows import accounts, complete, live

PEAK_DAYS = 28
UNKNOWN_DAYS = 3
"""Incomplete days since the last use, of the last PEAK_DAYS, from which on nobody knows when the last use was."""
_SELDOM = ("newest_open", "measured")
"""Columns that few accounts need: where lookups are cheap, they are made for those alone."""


def usage(c: Context, d: Dialect) -> dict[str, str]:
    """First and last day of use, and active users of the last 28 complete days.

    The peak of daily `active_users` stands for distinct users in the period, unless a metric `active_users_28d` was
    measured in the last 7 days: it is never more than the true number. Values of several products are not added up.
    Without a peak the answer is 0 only where none of the days is incomplete; with half of them incomplete there is
    none. The last use is unknown where UNKNOWN_DAYS or more days after it are incomplete.
    """

    def window(metrics: Iterable[str]) -> list[str]:
        days = (day for day in c.gap_days(metrics) if 1 <= (c.today - day).days <= PEAK_DAYS)
        return [d.day(day) for day in days]

    columns = _columns(c, d)
    late = {name: f"s.{name}" for name in _SELDOM}
    if d.seeks:
        late = {name: _looked_up(*columns.pop(name), "s.account_uid", c, d) for name in _SELDOM}
    gone, unused = window(("active_users",)), window(USE)
    newest = d.largest([f"coalesce({late['newest_open']}, '')", unused[-1] if unused else "''"])
    return {
        "usage_seen": _sought(columns, c, d) if d.seeks else _grouped(columns, c, d),
        "fact_usage": f"""SELECT s.account_uid, s.first_on,
            CASE WHEN s.open_days + {len(unused)} >= {UNKNOWN_DAYS} AND {newest} > s.used_on THEN NULL
            ELSE s.used_on END AS last_active_on,
            CASE WHEN s.exact IS NOT NULL THEN s.exact
            WHEN 2 * (s.open_days + {len(gone)}) >= {PEAK_DAYS} THEN NULL WHEN s.peak IS NOT NULL THEN s.peak
            WHEN s.open_days = 0 AND {late["measured"]} > 0 THEN 0 END AS active_users_28d FROM usage_seen s""",
    }


Columns = Mapping[str, tuple[str, str]]
"""Name -> aggregate, and the condition on its rows."""


def _columns(c: Context, d: Dialect) -> dict[str, tuple[str, str]]:
    """What is asked of an account's rows `t`. open: incomplete in the account's own rows."""

    def ago(days: int) -> str:
        return d.day(c.today - timedelta(days=days))

    full, day = complete("t", c, d), "t.period_start"
    listed = ", ".join(d.text(metric) for metric in USE)
    recent = f"{day} BETWEEN {ago(PEAK_DAYS)} AND {ago(1)}"
    last = f"CASE WHEN t.grain = 'week' THEN {d.smallest([d.add_days(day, '6'), ago(0)])} ELSE {day} END"
    # Rows of days that are incomplete for everybody are in the lists of those days, not in the account's own.
    is_open = f"t.metric IN ({listed}) AND {recent} AND (t.is_complete = 0 OR (t.value IS NULL AND {full}))"
    used = f"t.value > 0 AND {full} AND {day} <= {ago(0)}"
    bound = ""
    if d.seeks:  # no week that began more than six days before the newest use ends after it
        newest = (_looked_up(f"max({day})", f"t.metric = {d.text(m)} AND {used}", "a.uid", c, d) for m in USE)
        on = d.largest([f"coalesce({of}, '')" for of in newest])
        bound = f" AND {day} >= {d.add_days(on, '-6')}"
    return {
        "first_on": (f"min({day})", "t.metric = 'active_users'"),
        "used_on": (f"max({last})", f"t.metric IN ({listed}) AND {used}{bound}"),
        "open_days": (f"count(DISTINCT {day})", is_open),
        "newest_open": (f"max({day})", is_open),
        "exact": ("max(t.value)", f"t.metric = 'active_users_28d' AND {day} BETWEEN {ago(7)} AND {ago(0)} AND {full}"),
        "peak": ("max(t.value)", f"t.metric = 'active_users' AND {recent} AND {full}"),
        "measured": ("count(t.value)", f"t.metric IN ('active_users', 'active_users_28d') AND {full}"),
    }


def _looked_up(aggregate: str, condition: str, account: str, c: Context, d: Dialect) -> str:
    rows = f"usage_metric t WHERE t.account_uid = {account} AND {live('t', c, d)}"
    return f"(SELECT {aggregate} FROM {rows} AND {condition})"


def _sought(columns: Columns, c: Context, d: Dialect) -> str:
    """Where an index leads to an account's days of a metric."""
    listed = ", ".join(f"{_looked_up(*of, 'a.uid', c, d)} AS {name}" for name, of in columns.items())
    having = f"EXISTS (SELECT 1 FROM usage_metric t WHERE t.account_uid = a.uid AND {live('t', c, d)})"
    where = accounts("a", c, d)
    return f"SELECT a.uid AS account_uid, {listed} FROM account a{f'{where} AND' if where else ' WHERE'} {having}"


def _grouped(columns: Columns, c: Context, d: Dialect) -> str:
    """Where all rows are read."""
    listed = ", ".join(f"{aggregate} FILTER (WHERE {rows}) AS {name}" for name, (aggregate, rows) in columns.items())
    return f"SELECT t.account_uid, {listed} FROM usage_metric t WHERE {live('t', c, d)} GROUP BY t.account_uid"
