"""Renewal events side by side: which contracts of an account renew together, when, and which opportunities are theirs.

Definitions: domain.md section 6. The expressions read `term` and `event` of `cssync.rules.facts`, one row for each
contract and each account.
"""

from __future__ import annotations

from datetime import timedelta

from cssync.rules.dialect import Dialect
from cssync.rules.freshness import Context
from cssync.rules.rows import live

GRACE_DAYS = 30
"""Days after the renewal date in which a late signature still counts as renewed."""
CO_TERM_DAYS = 14
"""Contracts of one account that end within so many days are one renewal event."""
EVENT_FACTS = (
    *("renews_on", "term_end", "notice_deadline", "anchor", "auto_renew", "term_days", "renewal_assumed"),
    *("notice_given", "notice_received_on", "lapsed_on", "renewal_contracts", "term_start"),
)
"""Facts of group `terms` that each renewal event has of its own: columns of `fact_events`."""
IDENTIFYING = ("renewal_contracts", "term_end", "term_days")
"""Those by which an event is known again; carried by packs with a task about one."""
EVENT_ENDS = ("term_ends_apart", "term_ends")
"""What each has of its own in group `ends`: columns of `fact_event_ends`."""
EVENT_ARR = "renewal_arr"
"""What each has of its own in group `lines`: that of the next one is in `fact_lines`, the others' in
`fact_event_lines`."""


def side_by_side(c: Context, d: Dialect) -> dict[str, str]:
    """The renewal events of each account, one row for each: number 1 is the next one, or else the latest that passed.

    An event holds the contracts that end within 14 days of its first one. Those that passed without a successor stay
    for the days of grace; where an account has no others, its latest ones stay for good. Notice of a contract without
    an end is notice of the next event. Most accounts have one contract: that is its event, without a look at others.
    """
    today, grace = d.day(c.today), d.day(c.today - timedelta(days=GRACE_DAYS))
    near = d.add_days("e.opens", str(CO_TERM_DAYS))
    deadline = "CASE WHEN m.auto_renew = 1 AND m.deadline IS NOT NULL THEN m.deadline ELSE m.renews END"
    term = f"""t.account_uid, t.connection, t.source_id, t.auto_renew, t.deadline, t.renews, t.begins, t.assumed,
            t.noticed, t.notice_received_on, e.terms, e.open_noticed, e.noticed_on,
            coalesce({d.days_between("t.renewal", "t.start_date")}, t.months * 30) AS days"""
    together = d.joined_in_order(
        "t.connection || ':' || t.source_id", "t.account_uid, coalesce(s.opens, e.opens, e.passed)"
    )

    def ahead(function: str, value: str) -> str:
        """An aggregate over the contracts of an event that are still to renew; over all where none is."""
        coming = f"{function}(CASE WHEN m.renews > {today} THEN {value} END)"
        return f"CASE WHEN max(m.renews) > {today} THEN {coming} ELSE {function}({value}) END"

    return {
        "event_day": f"""SELECT x.account_uid, x.renews,
            row_number() OVER (PARTITION BY x.account_uid ORDER BY x.renews) AS nth
            FROM (SELECT DISTINCT t.account_uid, t.renews FROM event e JOIN term t ON t.account_uid = e.account_uid
            WHERE e.closes > {near} AND t.replaced = 0 AND t.renews >= e.opens) x""",
        "event_step": f"""SELECT o.account_uid, o.renews, o.nth, o.renews AS opens FROM event_day o WHERE o.nth = 1
            UNION ALL SELECT n.account_uid, n.renews, n.nth,
            CASE WHEN n.renews > {d.add_days("s.opens", str(CO_TERM_DAYS))} THEN n.renews ELSE s.opens END
            FROM event_step s JOIN event_day n ON n.account_uid = s.account_uid AND n.nth = s.nth + 1""",
        "event_member": f"""SELECT {term}, t.renews AS opens, t.connection || ':' || t.source_id AS members
            FROM term t JOIN event e ON e.account_uid = t.account_uid
            WHERE e.terms = 1 AND t.replaced = 0 AND t.renews IS NOT NULL
            UNION ALL SELECT {term}, coalesce(s.opens, e.opens, e.passed) AS opens, {together} AS members
            FROM term t JOIN event e ON e.account_uid = t.account_uid
            LEFT JOIN event_step s ON s.account_uid = t.account_uid AND s.renews = t.renews
            WHERE e.terms > 1 AND t.replaced = 0
            AND t.renews >= coalesce(e.opens, {d.add_days("e.passed", str(-CO_TERM_DAYS))})""",
        "event_alone": f"""SELECT m.account_uid, 1 AS event, m.opens, m.renews AS renews_on,
            CASE WHEN m.renews <= {today} THEN m.renews END AS lapsed_on, m.auto_renew, m.deadline AS notice_deadline,
            {deadline} AS anchor, m.days AS term_days, m.assumed AS renewal_assumed,
            CASE WHEN m.renews > {grace} THEN m.noticed ELSE 0 END AS notice_given,
            CASE WHEN m.noticed = 1 THEN m.notice_received_on END AS notice_received_on,
            m.members AS renewal_contracts, m.begins AS term_start, m.open_noticed, m.noticed_on
            FROM event_member m WHERE m.terms = 1""",
        "event_group": f"""SELECT m.account_uid, m.opens, max(m.renews) AS last_on,
            {ahead("min", "m.renews")} AS first_on,
            max(CASE WHEN m.renews <= {today} THEN m.renews END) AS lapsed_on,
            {ahead("max", "m.auto_renew")} AS auto_renew, {ahead("min", "m.deadline")} AS notice_deadline,
            {ahead("min", deadline)} AS anchor, min(m.days) AS term_days, max(m.assumed) AS renewal_assumed,
            max(CASE WHEN m.renews > {grace} THEN m.noticed ELSE 0 END) AS notice_given,
            max(CASE WHEN m.noticed = 1 THEN m.notice_received_on END) AS notice_received_on,
            max(m.members) AS renewal_contracts, min(m.begins) AS term_start,
            max(m.open_noticed) AS open_noticed, max(m.noticed_on) AS noticed_on
            FROM event_member m WHERE m.terms > 1 GROUP BY m.account_uid, m.opens""",
        "event_placed": f"""SELECT g.account_uid, row_number() OVER (PARTITION BY g.account_uid
            ORDER BY CASE WHEN g.last_on > {today} THEN 0 ELSE 1 END,
            CASE WHEN g.last_on > {today} THEN g.first_on END, g.last_on DESC) AS event, g.opens,
            CASE WHEN g.last_on > {today} THEN g.first_on ELSE g.last_on END AS renews_on, g.lapsed_on, g.auto_renew,
            g.notice_deadline, g.anchor, g.term_days, g.renewal_assumed, g.notice_given, g.notice_received_on,
            g.renewal_contracts, g.term_start, g.open_noticed, g.noticed_on FROM event_group g""",
        "fact_events": f"""SELECT o.account_uid, o.event, o.opens, o.renews_on,
            {d.add_days("o.renews_on", "-1")} AS term_end, o.notice_deadline, o.anchor,
            coalesce(o.auto_renew, 0) AS auto_renew, o.term_days, o.renewal_assumed,
            CASE WHEN o.event = 1 AND o.open_noticed = 1 THEN 1 ELSE o.notice_given END AS notice_given,
            CASE WHEN o.event = 1 AND o.open_noticed = 1 THEN o.noticed_on ELSE o.notice_received_on END
            AS notice_received_on, o.lapsed_on, o.renewal_contracts, o.term_start
            FROM (SELECT * FROM event_alone UNION ALL SELECT * FROM event_placed) o""",
        "event_term": """SELECT m.account_uid, m.connection, m.source_id, v.event FROM event_member m
            JOIN fact_events v ON v.account_uid = m.account_uid AND v.opens = m.opens""",
    }


def event_ends(c: Context, d: Dialect) -> dict[str, str]:
    """How far connections differ on the end of each event; needs `terms`.

    Contracts of two connections tell of the same term when each is the other's nearest by its end and they end less
    than half the term apart. Where they are in two events, the next one of them has the difference.
    """
    away = f"abs({d.days_between('k.end_date', 'm.end_date')})"
    begun = f"coalesce({{0}}.start_date, {d.day(c.today)}) <= {d.day(c.today)}"
    side = "m.account_uid, {0}.connection, {0}.source_id, {1}.connection"
    order = f"ORDER BY {away}, k.end_date, k.source_id, m.end_date, m.source_id"
    mine, theirs = "p.connection || ':' || p.ends", "p.other || ':' || p.other_ends"
    return {
        "end_several": f"""SELECT t.account_uid FROM contract t WHERE {live("t", c, d)}
            GROUP BY t.account_uid HAVING count(DISTINCT t.connection) > 1""",
        "end_told": f"""SELECT t.account_uid, t.connection, t.source_id, t.end_date, v.event,
            coalesce(nullif(t.term_months, 0) * 30, {d.days_between("t.end_date", "t.start_date")}, 360) AS days
            FROM end_several s JOIN contract t ON t.account_uid = s.account_uid
            LEFT JOIN event_term v ON v.connection = t.connection AND v.source_id = t.source_id
            WHERE {live("t", c, d)} AND coalesce(t.status, 'active') NOT IN ('draft', 'terminated')
            AND t.end_date IS NOT NULL AND {begun.format("t")}""",
        "end_pair": f"""SELECT m.account_uid, m.event, k.event AS other_event, m.connection, m.end_date AS ends,
            k.connection AS other, k.end_date AS other_ends, m.days, {away} AS away,
            row_number() OVER (PARTITION BY {side.format("m", "k")} {order}) AS mine,
            row_number() OVER (PARTITION BY {side.format("k", "m")} {order}) AS theirs
            FROM end_told m JOIN end_told k ON k.account_uid = m.account_uid AND k.connection <> m.connection""",
        "end_ranked": f"""SELECT p.account_uid, p.event, p.away,
            CASE WHEN p.connection < p.other THEN {mine} || ' ' || {theirs} ELSE {theirs} || ' ' || {mine} END AS ends,
            row_number() OVER (PARTITION BY p.account_uid, p.event
            ORDER BY p.away DESC, p.ends, p.other_ends, p.connection, p.other) AS place FROM end_pair p
            WHERE p.mine = 1 AND p.theirs = 1 AND p.event IS NOT NULL AND p.away * 2 < p.days
            AND (p.other_event IS NULL OR p.other_event >= p.event)""",
        "fact_event_ends": """SELECT account_uid, event, away AS term_ends_apart, ends AS term_ends FROM end_ranked
            WHERE place = 1""",
    }


def event_deals(c: Context, d: Dialect) -> dict[str, str]:
    """Which event each opportunity is about, for those that are not about the next one; needs `terms`.

    It is that of the contract that the opportunity names; else the one whose renewal date lies nearest to the closing
    date.
    """
    away = d.days_between("t.close_date", "v.renews_on")
    return {
        "event_near": f"""SELECT t.connection, t.source_id, v.event, row_number() OVER (
            PARTITION BY t.connection, t.source_id
            ORDER BY CASE WHEN g.event = v.event THEN 0 ELSE 1 END, abs({away}), v.event) AS nearest
            FROM fact_events x JOIN fact_events v ON v.account_uid = x.account_uid
            JOIN opportunity t ON t.account_uid = x.account_uid
            LEFT JOIN event_term g ON g.account_uid = t.account_uid AND g.connection = t.connection
                AND g.source_id = t.contract_source_id
            WHERE x.event = 2 AND {live("t", c, d)} AND (t.close_date IS NOT NULL OR g.event IS NOT NULL)""",
        "event_deal": """SELECT connection, source_id, event FROM event_near WHERE nearest = 1 AND event > 1""",
    }
