"""Built-in facts in set-based SQL: contract terms and renewal events, seats and ARR, weekly usage.

Definitions: domain.md sections 3, 4 and 6. Each group is a chain of common table expressions, the last of which has
one row per account that the source knows; what a column means is in `catalogue.FACTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from cssync.rules.calendar import EARLIEST, LATEST, offsets
from cssync.rules.dialect import Dialect
from cssync.rules.event_facts import GRACE_DAYS, side_by_side
from cssync.rules.freshness import Context
from cssync.rules.rows import accounts, complete, live, master_rows
from cssync.rules.usage import usage
from cssync.rules.weeks import weeks

EARLY_DAYS = 31
"""A contract that starts so many days before another one's renewal date is its successor."""
SCALE = 27_720
"""Smallest unit for sums of ARR: every billing period of 1 to 12, 18, 24 and 36 months divides 12 x SCALE."""


def _month(day: str) -> str:
    return f"(CAST(substr({day}, 1, 4) AS INTEGER) * 12 + CAST(substr({day}, 6, 2) AS INTEGER))"


def _real(day: str) -> str:
    """A contract's day, without those that say "no date"."""
    return f"CASE WHEN {day} BETWEEN '{EARLIEST}' AND '{LATEST}' THEN {day} END"


def terms(c: Context, d: Dialect) -> dict[str, str]:
    """Contracts, their successors and roll-overs, and the renewal event of each account.

    A contract that renews by itself rolls on up to the term that is `reached`: today's, or that in which notice came.
    """
    today, grace = d.day(c.today), d.day(c.today - timedelta(days=GRACE_DAYS))
    months = "nullif(term_months, 0)"
    length = d.days_between("renewal", "start_date")
    guessed = f"CASE WHEN {length} > 0 THEN {d.largest(['1', d.nearest(d.divide(length, d.number(30.4375)))])} END"
    behind = f"({_month('reached')} - {_month('renewal')})"
    turns = d.quotient(behind, "months")
    rolled = d.add_months("renewal", f"({turns} * months)")
    master, same = master_rows("contract", c, d), " AND s.connection = k.connection" if "contract" in c.masters else ""
    return {
        "term_row": f"""SELECT t.account_uid, t.connection, t.source_id, {_real("t.start_date")} AS start_date,
            {_real("t.end_date")} AS end_date, t.auto_renew,
            coalesce(t.status, 'active') AS status, t.term_months, t.notice_days, t.notice_months, t.notice_received_on,
            t.renewed_by_source_id, t.billing_currency, {d.add_days(_real("t.end_date"), "1")} AS renewal
            FROM contract t WHERE {live("t", c, d)} AND coalesce(t.status, 'active') <> 'draft'{master}""",
        "term_successor": f"""SELECT k.connection, k.source_id, min(coalesce(s.start_date, k.renewal)) AS successor_on
            FROM term_row k JOIN contract s
            ON s.account_uid = k.account_uid AND NOT (s.connection = k.connection AND s.source_id = k.source_id)
            AND s.deleted_at IS NULL{same} AND coalesce(s.status, 'active') NOT IN ('draft', 'terminated')
            AND ((s.connection = k.connection AND s.source_id = k.renewed_by_source_id)
            OR (s.start_date > k.start_date AND (s.end_date IS NULL OR s.end_date > k.end_date)
                AND s.start_date BETWEEN {d.add_days("k.renewal", str(-EARLY_DAYS))}
                AND {d.add_days("k.renewal", str(GRACE_DAYS))}))
            GROUP BY k.connection, k.source_id""",
        "term_next": f"""SELECT k.*, coalesce({months}, {guessed}, 12) AS months, u.successor_on,
            CASE WHEN k.status = 'notice' OR k.notice_received_on <= {today} THEN 1 ELSE 0 END AS noticed,
            CASE WHEN k.notice_received_on <= {today} THEN k.notice_received_on
                 WHEN k.status = 'active' THEN {today} END AS reached
            FROM term_row k LEFT JOIN term_successor u ON u.connection = k.connection AND u.source_id = k.source_id""",
        "term_rolled": """SELECT n.*,
            CASE WHEN n.status IN ('renewed', 'terminated') OR n.renewed_by_source_id IS NOT NULL
                 OR n.successor_on IS NOT NULL THEN 1 ELSE 0 END AS replaced,
            CASE WHEN n.auto_renew = 1 AND n.status IN ('active', 'notice') AND n.renewal <= n.reached
                 THEN 1 ELSE 0 END AS assumed FROM term_next n""",
        "term_end": f"""SELECT r.*, CASE WHEN assumed = 1 AND replaced = 0 THEN
            CASE WHEN {rolled} > reached THEN {rolled} ELSE {d.add_months("renewal", f"(({turns} + 1) * months)")} END
            ELSE renewal END AS renews FROM term_rolled r""",
        "term": f"""SELECT account_uid, connection, source_id, start_date, end_date, billing_currency, auto_renew,
            notice_received_on, months, renewal, renews, replaced, noticed, assumed, CASE WHEN notice_months IS NOT NULL
            THEN {d.add_days(d.add_months("renews", "(- notice_months)"), "-1")}
            ELSE {d.add_days("renews", "(- notice_days - 1)")} END AS deadline,
            CASE WHEN assumed = 1 AND replaced = 0 THEN {d.add_months("renews", "(- months)")}
                 ELSE start_date END AS begins,
            CASE WHEN status = 'terminated' THEN '0000-01-01'
                 WHEN successor_on <= {d.add_days("renews", str(GRACE_DAYS))} THEN {d.add_days("successor_on", "-1")}
                 WHEN replaced = 0 AND noticed = 0 THEN {d.add_days("renews", str(GRACE_DAYS - 1))}
                 ELSE {d.add_days("renews", "-1")} END AS covered_to FROM term_end e""",
        "event": f"""SELECT account_uid,
            min(CASE WHEN replaced = 0 AND renews > {today} THEN renews END) AS coming,
            max(CASE WHEN replaced = 0 AND renews <= {today} THEN renews END) AS passed,
            max(CASE WHEN replaced = 0 AND (renews > {grace} OR renews IS NULL) THEN noticed ELSE 0 END) AS noticed,
            max(CASE WHEN replaced = 0 AND noticed = 1 THEN notice_received_on END) AS noticed_on,
            max(CASE WHEN end_date IS NULL AND replaced = 0 THEN 1 ELSE 0 END) AS open_ended,
            max(CASE WHEN end_date IS NULL AND replaced = 0 THEN noticed ELSE 0 END) AS open_noticed,
            sum(CASE WHEN replaced = 0 AND renews IS NOT NULL THEN 1 ELSE 0 END) AS terms,
            min(CASE WHEN replaced = 0 AND renews >= {grace} THEN renews END) AS opens,
            max(CASE WHEN replaced = 0 AND renews >= {grace} THEN renews END) AS closes
            FROM term GROUP BY account_uid""",
        **side_by_side(c, d),
        "fact_terms": f"""SELECT e.account_uid, coalesce(e.coming, e.passed) AS renews_on,
            {d.add_days("coalesce(e.coming, e.passed)", "-1")} AS term_end, o.notice_deadline,
            o.anchor, coalesce(o.auto_renew, 0) AS auto_renew, o.term_days,
            coalesce(o.renewal_assumed, 0) AS renewal_assumed,
            e.noticed AS notice_given, e.noticed_on AS notice_received_on, e.passed AS lapsed_on, 1 AS has_contract,
            e.open_ended AS end_date_missing, o.renewal_contracts, o.term_start
            FROM event e LEFT JOIN fact_events o ON o.account_uid = e.account_uid AND o.event = 1""",
    }


def lines(c: Context, d: Dialect) -> dict[str, str]:
    """Seats and annual recurring revenue of the lines active today; needs `terms`.

    A line whose contract nobody knows counts by its own dates. ARR is 0 where lines with a price have all ended, and
    missing where no line has a price.
    """
    today = d.day(c.today)
    start, end = "coalesce(t.start_date, k.start_date)", "coalesce(t.end_date, k.end_date)"
    days = f"({d.days_between(end, start)} + 1)"
    whole_term = (
        f"CASE WHEN {days} > 0 THEN {d.nearest(d.divide(d.multiply('t.price', d.number(365.0 * SCALE)), days))} END"
    )
    per_period = d.divide(d.multiply("t.price", d.number(12.0 * SCALE)), "coalesce(t.billing_period_months, 12)")
    arr = "CASE WHEN counted = 1 THEN scaled END"
    event = "CASE WHEN counted = 1 AND event = 1 THEN scaled END"
    seats_of = "CASE WHEN counted = 1 AND unit = 'seat' THEN {} END"

    def money(scaled: str) -> str:
        total = d.nearest(d.divide(f"sum({scaled})", str(SCALE)))
        ended = "sum(counted) = 0 AND count(scaled) > 0"
        return f"CASE WHEN {ended} THEN 0 WHEN min(money) = max(money) THEN {total} END"

    explicit = d.whole(f"sum({seats_of.format('quantity')})")
    implied = d.whole("sum(CASE WHEN counted = 1 AND unit IS NULL THEN quantity END)")
    per_seat = d.divide(d.divide(f"sum({seats_of.format('scaled')})", str(SCALE)), explicit)
    quota = d.whole("sum(CASE WHEN counted = 1 AND unit = 'credit' THEN quantity END)")

    def dated(where: str = "") -> str:
        return f"""SELECT t.account_uid, t.quantity, t.unit,
            coalesce(t.currency, k.billing_currency, {d.text(c.currency)}) AS currency,
            CASE WHEN t.billing_period_months = 0 THEN {whole_term} ELSE {per_period} END AS scaled,
            CASE WHEN (k.source_id IS NOT NULL OR x.source_id IS NULL)
                 AND ({start} IS NULL OR {start} <= {today})
                 AND {today} <= CASE WHEN t.end_date IS NOT NULL AND (k.end_date IS NULL OR t.end_date < k.end_date)
                     THEN t.end_date ELSE coalesce(k.covered_to, '9999-12-31') END THEN 1 ELSE 0 END AS counted,
            CASE WHEN k.source_id IS NULL THEN 1 ELSE g.event END AS event
            FROM line_priced t
            LEFT JOIN term k ON k.connection = t.connection AND k.source_id = t.contract_source_id
            LEFT JOIN event_term g ON g.connection = t.connection AND g.source_id = t.contract_source_id
            LEFT JOIN contract x ON x.connection = t.connection AND x.source_id = t.contract_source_id{where}"""

    money_of = "CASE WHEN counted = 1 AND scaled IS NOT NULL THEN currency END AS money"
    several = " WHERE t.account_uid IN (SELECT v.account_uid FROM fact_events v WHERE v.event = 2)"
    return {
        "line_priced": f"""SELECT l.*, coalesce(l.amount, l.quantity * l.unit_price) AS price
            FROM contract_line l WHERE {live("l", c, d)} AND coalesce(l.is_recurring, 1) = 1""",
        "line_dated": dated(),
        "line_now": f"""SELECT l.*, {money_of} FROM line_dated l""",
        "fact_lines": f"""SELECT account_uid, {money(arr)} AS arr, {money(event)} AS renewal_arr,
            min(money) AS currency,
            CASE WHEN {explicit} > 0 THEN CASE WHEN min(money) = max(money) THEN
            {d.nearest(per_seat)} END END AS seat_price,
            coalesce({explicit}, {implied}, 0) AS seats, {quota} AS credits FROM line_now GROUP BY account_uid""",
        "fact_event_lines": f"""SELECT account_uid, event, {money(arr)} AS renewal_arr, min(money) AS currency
            FROM (SELECT l.*, {money_of} FROM ({dated(several)}) l WHERE l.event > 1) n
            GROUP BY account_uid, event""",
    }


def deals(c: Context, d: Dialect) -> dict[str, str]:
    """Open renewal opportunities."""
    return {
        "fact_deals": f"""SELECT t.account_uid,
            max(CASE WHEN t.type = 'renewal' AND coalesce(t.is_closed, 0) = 0 THEN 1 ELSE 0 END)
            AS has_open_renewal_opportunity FROM opportunity t WHERE {live("t", c, d)} GROUP BY t.account_uid"""
    }


def contact(c: Context, d: Dialect) -> dict[str, str]:
    """Last meeting, and last contact in both directions: a mail from the customer, a meeting or a call. Whether anybody
    records meetings at all is a question to all accounts."""
    until = d.text(c.as_of.strftime("%Y-%m-%dT%H:%M:%SZ"))
    spans = offsets(c.zone, c.as_of.year + 1)
    met = "CASE WHEN t.kind IN ('meeting', 'call') AND coalesce(t.direction, 'both') <> 'out' THEN t.at END"
    heard = f"CASE WHEN t.direction IN ('in', 'both') THEN t.at ELSE {met} END"

    def past(instant: str) -> str:
        return f"max(CASE WHEN {instant} <= {until} THEN {instant} END)"

    return {
        "contact_seen": f"""SELECT t.account_uid, {past("t.last_meeting_at")} AS met,
            {past("t.last_inbound_at")} AS heard FROM contact t WHERE {live("t", c, d)} GROUP BY t.account_uid
            UNION ALL SELECT t.account_uid, {past(f"({met})")}, {past(f"({heard})")}
            FROM interaction t WHERE {live("t", c, d)} GROUP BY t.account_uid""",
        "contact_last": """SELECT account_uid, max(met) AS met, max(heard) AS heard FROM contact_seen
            GROUP BY account_uid""",
        "fact_contact": f"""SELECT a.uid AS account_uid, {d.local_day("l.met", spans)} AS last_meeting_on,
            {d.local_day("CASE WHEN l.heard IS NULL OR l.met > l.heard THEN l.met ELSE l.heard END", spans)}
            AS last_contact_on, {OF_ALL["contact"]} AS meetings_recorded FROM account a LEFT JOIN contact_last l
            ON l.account_uid = a.uid{accounts("a", c, d)}""",
    }


def burn(c: Context, d: Dialect) -> dict[str, str]:
    """Credits used since the term began; needs `terms`."""
    return {
        "fact_burn": f"""SELECT t.account_uid, sum({d.real(d.nearest("t.value * 1000"))}) / 1000.0 AS credits_used
            FROM usage_metric t JOIN fact_terms k ON k.account_uid = t.account_uid
            WHERE {live("t", c, d)} AND t.metric = 'credits' AND {complete("t", c, d, ("credits",))}
            AND t.period_start BETWEEN k.term_start AND {d.day(c.today)} GROUP BY t.account_uid""",
    }


def ends(c: Context, d: Dialect) -> dict[str, str]:
    """How far connections differ on the end of an account's newest term that has begun; the master does not matter."""
    return {
        "end_of": f"""SELECT t.account_uid, t.connection, max(t.end_date) AS ends FROM contract t
            WHERE {live("t", c, d)} AND coalesce(t.status, 'active') NOT IN ('draft', 'terminated')
            AND t.end_date IS NOT NULL AND coalesce(t.start_date, {d.day(c.today)}) <= {d.day(c.today)}
            GROUP BY t.account_uid, t.connection""",
        "end_listed": f"""SELECT account_uid, ends, {d.joined_in_order("connection || ':' || ends", "account_uid")}
            AS listed FROM end_of""",
        "fact_ends": f"""SELECT account_uid, {d.days_between("max(ends)", "min(ends)")} AS term_ends_apart,
            max(listed) AS term_ends FROM end_listed GROUP BY account_uid""",
    }


def _in_force(c: Context, d: Dialect) -> str:
    """Join and conditions that lines `t` name a product and are in force today, by own dates or the contract's."""
    today = d.day(c.today)
    until = "CASE WHEN k.auto_renew = 1 THEN '9999-12-31' ELSE coalesce(k.end_date, '9999-12-31') END"
    return f"""LEFT JOIN contract k ON k.connection = t.connection AND k.source_id = t.contract_source_id
                AND k.deleted_at IS NULL
            WHERE {live("t", c, d)} AND t.product_code IS NOT NULL
            AND coalesce(k.status, 'active') NOT IN ('draft', 'terminated')
            AND coalesce(t.start_date, k.start_date, {today}) <= {today}
            AND coalesce(t.end_date, {until}) >= {today}"""


def products(c: Context, d: Dialect) -> dict[str, str]:
    """The products that an account owns, by name. SQLite takes a list of empty names alone for none."""
    return {
        "product_owned": f"""SELECT DISTINCT t.account_uid, t.product_code FROM contract_line t {_in_force(c, d)}
            AND t.product_code <> ''""",
        "product_listed": f"""SELECT account_uid, {d.joined_in_order("product_code", "account_uid")} AS listed
            FROM product_owned""",
        "fact_products": """SELECT account_uid, min(listed) AS product_list FROM product_listed
            GROUP BY account_uid""",
    }


def peers(c: Context, d: Dialect) -> dict[str, str]:
    """The product that most customers of the same segment own and this one does not. It looks at all accounts, even
    where only one is asked for."""
    all_of = replace(c, only=None, among="")
    return {
        "peer_owned": f"""SELECT DISTINCT t.account_uid, t.product_code, a.segment FROM contract_line t
            JOIN account a ON a.uid = t.account_uid AND a.deleted_at IS NULL AND coalesce(a.is_test, 0) = 0
            {_in_force(all_of, d)} AND a.segment IS NOT NULL""",
        "peer_segment": """SELECT segment, count(DISTINCT account_uid) AS accounts FROM peer_owned GROUP BY segment""",
        "peer_product": """SELECT segment, product_code, count(*) AS owners FROM peer_owned
            GROUP BY segment, product_code""",
        "peer_ranked": """SELECT p.segment, p.product_code, p.owners, s.accounts,
            row_number() OVER (PARTITION BY p.segment ORDER BY p.owners DESC, p.product_code) AS place
            FROM peer_product p JOIN peer_segment s ON s.segment = p.segment""",
        "peer_account": """SELECT account_uid, segment, count(*) AS products FROM peer_owned
            GROUP BY account_uid, segment""",
        "peer_missing": """SELECT o.account_uid, min(p.place) AS place FROM peer_account o
            JOIN peer_ranked p ON p.segment = o.segment AND p.place <= o.products + 1
            LEFT JOIN peer_owned x ON x.account_uid = o.account_uid AND x.product_code = p.product_code
            WHERE x.account_uid IS NULL GROUP BY o.account_uid""",
        "fact_peers": f"""SELECT o.account_uid, o.products AS products_owned, s.accounts AS peer_accounts,
            p.product_code AS peer_product, {d.divide("p.owners", "s.accounts")} AS peer_share
            FROM peer_account o JOIN peer_segment s ON s.segment = o.segment
            LEFT JOIN peer_missing m ON m.account_uid = o.account_uid
            LEFT JOIN peer_ranked p ON p.segment = o.segment AND p.place = m.place""",
    }


GROUPS: Mapping[str, Callable[[Context, Dialect], dict[str, str]]] = {
    "terms": terms,
    "lines": lines,
    "usage": usage,
    "weeks": weeks,
    "deals": deals,
    "contact": contact,
    "burn": burn,
    "ends": ends,
    "peers": peers,
    "products": products,
}
NEEDS: Mapping[str, tuple[str, ...]] = {"lines": ("terms",), "weeks": ("usage",), "burn": ("terms",)}
"""Groups whose expressions another group builds on."""
LINKS: Mapping[str, tuple[str, ...]] = {
    "term": ("connection", "source_id"),
    "event": ("account_uid",),
    "event_member": ("connection", "source_id"),
    "fact_events": ("account_uid", "event"),
    "event_term": ("connection", "source_id"),
    "event_deal": ("connection", "source_id"),
}
"""Expressions that are read more than once, and the key of their rows."""
OF_ALL = {
    "contact": """CASE WHEN EXISTS (SELECT 1 FROM contact x WHERE x.last_meeting_at IS NOT NULL)
                OR EXISTS (SELECT 1 FROM interaction x WHERE x.kind IN ('meeting', 'call')) THEN 1 ELSE 0 END"""
}
"""Group -> SQL of what it says of every account alike, out of the rows of all."""
TIMED = {"contact": (("interaction", "at"), ("contact", "last_meeting_at"), ("contact", "last_inbound_at"))}
"""Groups that count rows up to the hour: entity and column of the instant."""
PRESENT = {"has_contract": "0", "has_open_renewal_opportunity": "0"}
"""Facts that say whether something exists: without any row in a fresh source the answer is no."""
