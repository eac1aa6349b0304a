"""Hand-written SQL for the answers of `benchmarks/packs`, on a store filled by `benchmarks/rules.py`.

As one would write it for this one file and this one day: the shared aggregates once, as temporary tables, then one
SELECT per pack with the columns of `ANSWERS`. It has the same volume guard, roll-over of contracts that renew by
themselves, medians of weeks and rounding, because without them the answers differ; it leaves out what no row
here needs: successors, other currencies, unknown inputs, incomplete days.
"""

from __future__ import annotations

TABLES = {
    "u": """SELECT account_uid, max(CASE WHEN value > 0 THEN period_start END) AS last_on,
        max(CASE WHEN period_start BETWEEN '2026-10-23' AND '2026-11-19' THEN value END) AS peak,
        max(CASE WHEN period_start BETWEEN '2026-09-25' AND '2026-10-22' THEN value END) AS peak_before
        FROM usage_metric WHERE metric = 'active_users' AND deleted_at IS NULL AND account_uid IS NOT NULL
        AND coalesce(is_complete, 1) = 1 AND period_start <= '2026-11-20' GROUP BY account_uid""",
    "g": """WITH w AS (SELECT account_uid,
            CAST(julianday('2026-11-16') - julianday(period_start) + 6 AS INTEGER) / 7 AS week,
            sum(CAST(value * 1000 + 0.5 AS INTEGER)) / 1000.0 / count(value) AS value FROM usage_metric
            WHERE metric = 'active_users' AND deleted_at IS NULL AND account_uid IS NOT NULL
            AND coalesce(is_complete, 1) = 1
            AND period_start >= '2026-08-24' AND period_start < '2026-11-16' GROUP BY 1, 2),
        r AS (SELECT account_uid, week <= 4 AS part, value,
            row_number() OVER (PARTITION BY account_uid, week <= 4 ORDER BY value) AS place,
            count(*) OVER (PARTITION BY account_uid, week <= 4) AS n FROM w WHERE week <> 9),
        m AS (SELECT account_uid, avg(CASE WHEN part THEN value END) AS recent,
            avg(CASE WHEN NOT part THEN value END) AS before
            FROM r WHERE place IN ((n + 1) / 2, (n + 2) / 2) GROUP BY 1)
        SELECT account_uid, recent, before, CASE WHEN before >= 5 THEN recent / before - 1 END AS growth FROM m""",
    "t": """SELECT account_uid, sum(opened_at >= '2026-10-21T15:00:00') AS n30, sum(opened_at >= '2026-10-30T15:00:00')
        AS n21, sum(reopened_count > 0 AND opened_at >= '2026-10-21T15:00:00') AS reopened,
        sum(urgent AND opened_at <= '2026-11-17T03:00:00Z') AS urgent72,
        sum(urgent AND opened_at <= '2026-11-18T03:00:00Z') AS urgent48, sum(urgent) AS urgent,
        sum(priority = 'urgent' AND opened_at >= '2026-10-21T15:00:00') AS urgent30
        FROM (SELECT *, priority = 'urgent' AND status IN ('new', 'open', 'pending', 'hold') AS urgent FROM ticket
            WHERE deleted_at IS NULL AND account_uid IS NOT NULL) GROUP BY account_uid""",
    "s": """SELECT account_uid, count(score) AS n, sum(score >= 1) AS good FROM survey_response WHERE kind = 'csat'
        AND deleted_at IS NULL AND responded_at >= '2026-08-22T15:00:00' GROUP BY account_uid""",
    "o": """SELECT account_uid, min(CASE WHEN metric = 'value_event' AND value > 0 THEN period_start END) AS value_on,
        max(CASE WHEN metric = 'checklist_items' AND period_start >= '2026-07-24' THEN value END) AS items,
        max(CASE WHEN metric = 'checklist_done' AND period_start >= '2026-07-24' THEN value END) AS done,
        max(CASE WHEN metric = 'checklist_done' AND period_start BETWEEN '2026-07-10' AND '2026-11-06' THEN value END)
        AS done_before FROM usage_metric WHERE connection = 'crm'
        AND metric IN ('value_event', 'checklist_items', 'checklist_done') AND deleted_at IS NULL
        AND account_uid IS NOT NULL AND coalesce(is_complete, 1) = 1 AND period_start <= '2026-11-20'
        GROUP BY account_uid""",
    "m": """SELECT account_uid, date(max(last_meeting_at), '+9 hours') AS met_on FROM contact WHERE deleted_at IS NULL
        AND last_meeting_at <= '2026-11-20T03:00:00Z' GROUP BY account_uid""",
    "f": """SELECT account_uid, count(*) AS n, date(max(shipped_at), '+9 hours') AS last_on,
        max(CASE WHEN place = 1 THEN topic END) AS topic FROM (SELECT account_uid, shipped_at, topic,
            row_number() OVER (PARTITION BY account_uid ORDER BY requested_at DESC, connection, source_id) AS place
            FROM feature_request WHERE status = 'shipped' AND deleted_at IS NULL
            AND shipped_at >= '2026-10-20T15:00:00' AND shipped_at < '2026-11-20T15:00:00') GROUP BY account_uid""",
    "k": """WITH c AS (SELECT account_uid, connection, source_id, start_date, auto_renew, notice_days,
            date(end_date, '+1 day') AS renewal FROM contract
            WHERE deleted_at IS NULL AND coalesce(status, 'active') <> 'draft')
        SELECT *, date(renews, '-' || (notice_days + 1) || ' days') AS deadline FROM (SELECT *,
            CASE WHEN auto_renew = 1 AND renewal <= '2026-11-20' THEN date(renewal,
                CAST((julianday(renewal) - julianday(start_date)) / 30.4375 + 0.5 AS INTEGER) || ' months')
            ELSE renewal END AS renews FROM c)""",
    "e": """SELECT account_uid,
        coalesce(min(CASE WHEN renews > '2026-11-20' THEN renews END), max(renews)) AS renews_on,
        min(start_date) AS first_on,
        max(CASE WHEN renews <= '2026-11-20' THEN renews END) AS lapsed_on,
        coalesce(min(CASE WHEN renews > '2026-11-20' THEN deadline END), max(deadline)) AS deadline,
        coalesce(min(CASE WHEN renews > '2026-11-20' THEN iif(auto_renew, deadline, renews) END),
            max(iif(auto_renew, deadline, renews))) AS anchor FROM k GROUP BY account_uid""",
    "l": """SELECT l.account_uid, sum(l.quantity) AS seats, sum(l.quantity * l.unit_price) AS arr FROM contract_line l
        JOIN k ON k.connection = l.connection AND k.source_id = l.contract_source_id WHERE l.deleted_at IS NULL
        AND k.start_date <= '2026-11-20' AND date(k.renews, '+29 days') >= '2026-11-20' GROUP BY l.account_uid""",
}
_JOINED = """account a LEFT JOIN u ON u.account_uid = a.uid LEFT JOIN g ON g.account_uid = a.uid
    LEFT JOIN t ON t.account_uid = a.uid LEFT JOIN s ON s.account_uid = a.uid LEFT JOIN e ON e.account_uid = a.uid
    LEFT JOIN l ON l.account_uid = a.uid"""
_HERE = "a.deleted_at IS NULL AND coalesce(a.is_test, 0) = 0"
_BAND = "LEFT JOIN result b ON b.account_uid = a.uid AND b.name = 'health.band'"


def _curve(x: str, low: float, high: float) -> str:
    return f"CAST(max(0.0, min(100.0, ({x} - ({low!r})) * 100.0 / ({high - low!r}))) + 0.5 AS INTEGER)"


def _fall(x: str, low: float, high: float) -> str:
    return f"CAST(max(0.0, min(100.0, 100.0 + ({x} - {low!r}) * -100.0 / ({high - low!r}))) + 0.5 AS INTEGER)"


_IDLE = "CAST(julianday('2026-11-20') - julianday(u.last_on) AS INTEGER)"
_LOAD = f"CASE WHEN coalesce(t.n30, 0) = 0 AND {_IDLE} > 30 THEN 3.2 ELSE 10.0 * coalesce(t.n30, 0) / l.seats END"
PACKS = {
    "health": f"""WITH m AS (SELECT a.uid, CASE WHEN g.before >= 5 THEN {_curve("g.growth", -0.4, 0.05)} END AS m1,
            g.before >= 5 AS x1, {_curve("coalesce(u.peak, 0) / l.seats", 0.3, 0.85)} AS m2,
            {_fall(_IDLE, 3, 30)} AS m3, {_fall(_LOAD, 0, 8)} AS m4,
            CASE WHEN s.n >= 3 THEN {_curve("1.0 * s.good / s.n", 0.5, 0.95)} END AS m5,
            t.urgent72 FROM {_JOINED} WHERE {_HERE} AND a.status IN ('onboarding', 'active', 'notice')),
        w AS (SELECT *, 25 + 20 * (m1 IS NOT NULL) + 15 * (m2 IS NOT NULL) + 10 * (m5 IS NOT NULL) AS known,
            20 * coalesce(m1, 0) + 15 * m2 + 10 * m3 + 10 * m4 + 10 * coalesce(m5, 0) + 500 AS total,
            50 + 20 * coalesce(x1, 0) AS weight FROM m),
        p AS (SELECT *, min((2 * total + known) / (2 * known), iif(urgent72 > 0, 49, 100)) AS score FROM w)
        SELECT uid, m1, m2, m3, m4, m5, score, (200 * known + weight) / (2 * weight) AS coverage,
        CASE WHEN score >= 75 THEN 'green' WHEN score >= 50 THEN 'yellow' ELSE 'red' END AS band FROM p ORDER BY uid""",
    "renewal": f"""SELECT a.uid, e.renews_on, e.deadline, l.arr,
        CASE WHEN e.renews_on = e.lapsed_on AND julianday('2026-11-20') - julianday(e.lapsed_on) <= 30 THEN 'lapsed'
            WHEN b.value = '"red"' THEN 'high' WHEN b.value = '"yellow"' THEN 'medium' WHEN b.value = '"green"' THEN
            CASE WHEN julianday(e.anchor) - julianday('2026-11-20') <= 90 THEN 'low' ELSE 'none' END END AS risk,
        julianday(e.anchor) - julianday('2026-11-20') BETWEEN 68 AND 97 AS r03,
        julianday(e.anchor) - julianday('2026-11-20') BETWEEN 38 AND 67 AS r04,
        e.renews_on = e.lapsed_on AND julianday('2026-11-20') - julianday(e.lapsed_on) <= 30 AS r07,
        l.arr IS NULL OR e.renews_on IS NULL AS r08 FROM {_JOINED} {_BAND}
        WHERE {_HERE} AND a.status <> 'churned' ORDER BY a.uid""",
    "risk": f"""SELECT a.uid, g.growth <= -0.3 AS k01,
        coalesce(t.urgent48, 0) > 0 OR coalesce(t.reopened, 0) >= 3 AS k03,
        {_IDLE} > 21 AND coalesce(t.n21, 0) = 0 AND NOT EXISTS (SELECT 1 FROM contact p WHERE p.account_uid = a.uid
            AND p.deleted_at IS NULL AND (p.last_inbound_at >= '2026-10-29T15:00:00'
            OR p.last_meeting_at >= '2026-10-29T15:00:00')) AS k07
        FROM {_JOINED} WHERE {_HERE} AND a.status IN ('onboarding', 'active', 'notice') ORDER BY a.uid""",
    "onboarding": f"""WITH b AS (SELECT a.uid, coalesce(a.first_contract_date, e.first_on) AS started_on, u.last_on,
            coalesce(u.peak, 0) AS users, coalesce(u.peak, 0) / l.seats AS activation, o.value_on, o.items, o.done,
            o.done_before, m.met_on, coalesce(t.urgent30, 0) AS urgent FROM {_JOINED}
            LEFT JOIN o ON o.account_uid = a.uid LEFT JOIN m ON m.account_uid = a.uid
            WHERE {_HERE} AND a.status IN ('onboarding', 'active')),
        d AS (SELECT *, CAST(julianday('2026-11-20') - julianday(started_on) AS INTEGER) AS days_in FROM b),
        n AS (SELECT *, days_in BETWEEN 0 AND 90 AS new, value_on >= '1990-01-01' AND activation >= 0.5 AS reached
            FROM d),
        r AS (SELECT *, new AND days_in >= 7 AND (met_on IS NULL OR met_on < started_on) AS o01,
            new AND days_in >= 10 AND users = 0 AND (last_on IS NULL OR last_on < started_on) AS o02,
            new AND days_in >= 30 AND activation < 0.3 AS o03, new AND days_in >= 30 AND value_on IS NULL AS o04,
            new AND done < items AND done = done_before AS o05, new AND reached AS o06,
            new AND urgent >= 2 AS o07 FROM n)
        SELECT uid, CASE WHEN days_in > 90 THEN 'done' WHEN o06 THEN 'adopting' WHEN new AND last_on >= started_on
            THEN 'rollout' WHEN new THEN 'kickoff' END AS stage,
        CASE WHEN o04 THEN 'no_value' WHEN o03 THEN 'slow' WHEN o05 THEN 'stalled'
            WHEN activation >= 0.3 OR NOT new OR days_in < 30 THEN 'none' END AS risk, value_on,
        o01, o02, o03, o04, o05, o06, o07 FROM r ORDER BY uid""",
    "voice": f"""SELECT a.uid, coalesce(f.n, 0), f.topic, f.last_on, coalesce(f.n, 0) > 0
        FROM account a LEFT JOIN f ON f.account_uid = a.uid WHERE {_HERE} AND a.status <> 'prospect'
        ORDER BY a.uid""",
    "upsell": f"""SELECT a.uid,
        CAST(max(0, u.peak - l.seats * 0.9) * CAST(1.0 * l.arr / l.seats + 0.5 AS INTEGER) + 0.5 AS INTEGER)
        AS potential,
        u.peak / l.seats >= 0.9 AND u.peak_before / l.seats >= 0.9
            AND NOT (b.value = '"red"' OR coalesce(t.urgent, 0) > 0)
            AS u01,
        g.growth >= 0.25 AND g.before >= 20 AND NOT (b.value = '"red"' OR coalesce(t.urgent, 0) > 0) AS u03
        FROM {_JOINED} {_BAND} WHERE {_HERE} AND a.status IN ('active', 'free', 'trial') ORDER BY a.uid""",
}
ANSWERS = {
    "health": "uid m_usage_trend m_seat_use m_login_recency m_ticket_score m_csat_score score coverage band",
    "renewal": "uid o_date o_notice_deadline o_arr o_risk t_0 t_1 t_2 t_3",
    "onboarding": "uid o_stage o_risk o_first_value_date t_0 t_1 t_2 t_3 t_4 t_5 t_6",
    "voice": "uid f_shipped_30d f_shipped_topic f_shipped_on t_0",
    "risk": "uid s_0 s_1 s_2",
    "upsell": "uid o_arr_potential s_0 s_1",
}
"""Columns of the compiled statements that the hand-written ones answer, in their order."""
