"""Weekly usage in set-based SQL: medians of ISO weeks, the last 4 complete ones against the 8 before.

Definition: domain.md section 4. A week's value is the mean of its measured days of `active_users` (or its weekly
value). Left out: weeks before the first record, weeks with an incomplete record, weeks full of holidays. A week without
any record after the first one is a real zero. At least 3 of 4 and 5 of 8 weeks must remain.

Said twice, with the same answers: where an index leads to an account's days, each week is looked up, which reads the
days alone and sorts twelve numbers; elsewhere all rows are grouped by week, and window functions rank the weeks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from cssync.rules.calendar import monday
from cssync.rules.dialect import Dialect
from cssync.rules.freshness import Context
from cssync.rules.rows import live

MIN_BASE = 5
"""Base median under which growth is not applicable."""
WEEKS = 12
PARTS = {"usage_recent": (range(1, 5), 3), "usage_before": (range(5, WEEKS + 1), 5)}
"""Fact -> the weeks whose median it is (1 is the last complete one), and how many of them must remain."""
_INCOMPLETE = "max(CASE WHEN t.is_complete = 0 OR t.value IS NULL THEN 1 ELSE 0 END)"


def weeks(c: Context, d: Dialect) -> dict[str, str]:
    """Medians of weekly usage, and how they grew; needs `fact_usage`."""
    growth = f"CASE WHEN usage_before >= {MIN_BASE} THEN usage_recent / usage_before - 1 END AS usage_growth"
    return {**(_sought(c, d) if d.seeks else _ranked(c, d)), "fact_weeks": f"SELECT b.*, {growth} FROM week_both b"}


def _of_weeks(first: int, last: int, c: Context, d: Dialect) -> str:
    """Condition that a row `t` is use in the weeks from one number down to another."""
    low, high = (monday(c.today) - timedelta(weeks=n) for n in (first, last - 1))
    days = f"t.period_start >= {d.day(low)} AND t.period_start < {d.day(high)}"
    return f"{live('t', c, d)} AND t.metric = 'active_users' AND {days}"


def _mean(d: Dialect) -> str:
    """A week's value: whole thousandths are added, so that the order of the days cannot matter."""
    thousandths = d.whole(d.smallest(["t.value", "1000000000000.0"]) + " * 1000 + 0.5")
    return f"{d.real(f'sum({thousandths})')} / 1000.0 / count(t.value)"


# --- looked up --------------------------------------------------------------------------------------------------------


def _sought(c: Context, d: Dialect) -> dict[str, str]:
    """`week_value` has a column per week of the calendar that counts; NULL where the account leaves it out."""
    value = f"CASE WHEN count(*) = 0 THEN {d.number(0.0)} WHEN {_INCOMPLETE} = 0 THEN {_mean(d)} END"
    begun, values = {}, {}
    for n in range(1, WEEKS + 1):
        if n not in c.dropped_weeks:
            rows = f"usage_metric t WHERE t.account_uid = f.account_uid AND {_of_weeks(n, n, c, d)}"
            begun[n] = f"first_on <= {d.day(monday(c.today) - timedelta(weeks=n))}"
            values[n] = f"CASE WHEN f.{begun[n]} THEN (SELECT {value} FROM {rows}) END AS week_{n}"
    known = {name: [n for n in part if n in values] for name, (part, _) in PARTS.items()}
    counts = (f"{_count([f'week_{n} IS NOT NULL' for n in of])} AS {name}_weeks" for name, of in known.items())
    medians = (f"{_median(name, of, d)} AS {name}" for name, of in known.items())
    left = f"{len(c.dropped_weeks)} + {_count(list(begun.values()))}"
    left = " - ".join((left, *(f"{name}_weeks" for name in known)))
    return {
        "week_value": f"SELECT {', '.join(('f.account_uid', 'f.first_on', *values.values()))} FROM fact_usage f "
        "WHERE f.first_on IS NOT NULL",
        "week_counted": f"SELECT v.*, {', '.join(counts)} FROM week_value v",
        "week_both": f"SELECT w.account_uid, {', '.join(medians)}, {left} AS weeks_left_out FROM week_counted w",
    }


def _count(conditions: Sequence[str]) -> str:
    """How many of some conditions are true."""
    return " + ".join(f"(CASE WHEN {condition} THEN 1 ELSE 0 END)" for condition in conditions) or "0"


def _median(name: str, known: Sequence[int], d: Dialect) -> str:
    """Of so many values the one in the middle, or the mean of the two; NULL with too few of them."""
    values = " UNION ALL ".join(f"SELECT w.week_{n} AS value" for n in known)
    listed = f"SELECT v.value FROM ({values}) v WHERE v.value IS NOT NULL ORDER BY v.value"
    cases = " ".join(
        f"WHEN {n} THEN (SELECT avg(m.value) FROM ({listed} LIMIT {2 - n % 2} OFFSET {(n - 1) // 2}) m)"
        for n in range(PARTS[name][1], len(known) + 1)
    )
    return f"CASE w.{name}_weeks {cases} END" if cases else d.null("number")


# --- ranked -----------------------------------------------------------------------------------------------------------


def _ranked(c: Context, d: Dialect) -> dict[str, str]:
    """`week_value` has a row per account and week with a record; `part` is 0 for the recent weeks, 1 for the others."""
    start = monday(c.today)
    number = d.quotient(f"({d.days_between(d.day(start), 't.period_start')} + 6)", "7")
    out = c.dropped_weeks
    begins = {n: d.day(start - timedelta(weeks=n)) for n in range(1, 13)}

    def known(numbers: range) -> str:
        counted = [f"(CASE WHEN f.first_on <= {begins[n]} THEN 1 ELSE 0 END)" for n in numbers if n not in out]
        return " + ".join(counted) or "0"

    week_begin = " ".join(f"WHEN {n} THEN {day}" for n, day in begins.items())
    not_out = f" AND w.week NOT IN ({', '.join(map(str, out))})" if out else ""

    def median(which: int) -> str:
        low, high = d.quotient("(r.n + 1)", "2"), d.quotient("(r.n + 2)", "2")
        hit = f"r.place - r.dropped IN ({low}, {high})"  # from the largest: zeros need no place
        twice = f"CASE WHEN {low} = {high} THEN 2 ELSE 1 END"
        value = f"CASE WHEN r.part = {which} AND r.incomplete = 0 AND {hit} THEN r.value * {twice} ELSE 0 END"
        return f"CASE WHEN min(CASE WHEN r.part = {which} THEN r.n END) >= {least[which]} THEN sum({value}) / 2.0 END"

    def silent(which: int, column: str) -> str:
        return (
            f"CASE WHEN m.seen{which} = 1 THEN m.{column} WHEN {known(numbers[which])} >= {least[which]} THEN 0.0 END"
        )

    numbers, least = zip(*PARTS.values(), strict=True)
    counts = f"CASE r.part WHEN 0 THEN {known(numbers[0])} ELSE {known(numbers[1])} END".replace("f.first", "r.first")
    # One window for both: the incomplete weeks come first, so that the complete ones know how many there are.
    side = "PARTITION BY w.account_uid, w.part ORDER BY w.incomplete DESC, w.value DESC, w.week"
    side += " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
    return {
        "week_first": "SELECT account_uid, first_on FROM fact_usage WHERE first_on IS NOT NULL",
        "week_value": f"""SELECT t.account_uid, {number} AS week, {_INCOMPLETE} AS incomplete, {_mean(d)} AS value
            FROM usage_metric t WHERE {_of_weeks(WEEKS, 1, c, d)} GROUP BY t.account_uid, {number}""",
        "week_valid": f"""SELECT w.account_uid, w.week, w.incomplete, w.value, f.first_on,
            CASE WHEN w.week <= 4 THEN 0 ELSE 1 END AS part FROM week_value w
            JOIN week_first f ON f.account_uid = w.account_uid
            WHERE f.first_on <= CASE w.week {week_begin} END{not_out}""",
        "week_ranked": f"""SELECT w.*,
            row_number() OVER ({side}) AS place, sum(w.incomplete) OVER ({side}) AS dropped FROM week_valid w""",
        "week_counted": f"SELECT r.*, {counts} - r.dropped AS n FROM week_ranked r",
        "week_median": f"""SELECT r.account_uid, {median(0)} AS recent, {median(1)} AS base,
            max(CASE WHEN r.part = 0 THEN 1 ELSE 0 END) AS seen0, max(CASE WHEN r.part = 1 THEN 1 ELSE 0 END) AS seen1,
            sum(r.incomplete) AS dropped FROM week_counted r GROUP BY r.account_uid""",
        "week_both": f"""SELECT f.account_uid, {silent(0, "recent")} AS usage_recent,
            {silent(1, "base")} AS usage_before, {len(out)} + coalesce(m.dropped, 0) AS weeks_left_out
            FROM week_first f LEFT JOIN week_median m ON m.account_uid = f.account_uid""",
    }
