-- term
WITH term_row AS (SELECT t.account_uid, t.connection, t.source_id,
CASE WHEN t.start_date BETWEEN '1900-01-01' AND '9899-12-31' THEN t.start_date END AS start_date,
CASE WHEN t.end_date BETWEEN '1900-01-01' AND '9899-12-31' THEN t.end_date END AS end_date,
t.auto_renew, coalesce(t.status, 'active') AS status, t.term_months,
t.notice_days, t.notice_months, t.notice_received_on, t.renewed_by_source_id,
t.billing_currency, date(CASE WHEN t.end_date BETWEEN '1900-01-01' AND '9899-12-31' THEN t.end_date END, CAST(1 AS TEXT) || ' days') AS renewal FROM contract t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND coalesce(t.status, 'active') <> 'draft' AND
(t.connection = 'crm' OR NOT EXISTS (SELECT 1 FROM contract m WHERE m.account_uid = t.account_uid AND m.connection = 'crm' AND m.deleted_at IS NULL))),
term_successor AS (SELECT k.connection, k.source_id, min(coalesce(s.start_date, k.renewal)) AS successor_on FROM term_row k JOIN contract s ON s.account_uid = k.account_uid AND
NOT (s.connection = k.connection AND s.source_id = k.source_id) AND
s.deleted_at IS NULL AND s.connection = k.connection AND coalesce(s.status, 'active') NOT IN ('draft', 'terminated') AND
((s.connection = k.connection AND s.source_id = k.renewed_by_source_id) OR (s.start_date > k.start_date AND (s.end_date IS NULL OR s.end_date > k.end_date) AND s.start_date BETWEEN date(k.renewal, CAST(-31 AS TEXT) || ' days') AND date(k.renewal, CAST(30 AS TEXT) || ' days'))) GROUP BY k.connection,
k.source_id), term_next AS (SELECT k.*, coalesce(nullif(term_months, 0), CASE WHEN CAST(julianday(renewal) - julianday(start_date) AS INTEGER) > 0 THEN max(1, (CAST(((CAST(CAST(julianday(renewal) - julianday(start_date) AS INTEGER) AS REAL) / NULLIF(30.4375, 0)) + 0.5) AS INTEGER) - (((CAST(CAST(julianday(renewal) - julianday(start_date) AS INTEGER) AS REAL) / NULLIF(30.4375, 0)) + 0.5) < CAST(((CAST(CAST(julianday(renewal) - julianday(start_date) AS INTEGER) AS REAL) / NULLIF(30.4375, 0)) + 0.5) AS INTEGER)))) END, 12) AS months,
u.successor_on, CASE WHEN k.status = 'notice' OR k.notice_received_on <= '2026-11-20' THEN 1 ELSE 0 END AS noticed,
CASE WHEN k.notice_received_on <= '2026-11-20' THEN k.notice_received_on WHEN k.status = 'active' THEN '2026-11-20' END AS reached FROM term_row k LEFT JOIN term_successor u ON u.connection = k.connection AND
u.source_id = k.source_id), term_rolled AS (SELECT n.*, CASE WHEN n.status IN ('renewed', 'terminated') OR
n.renewed_by_source_id IS NOT NULL OR n.successor_on IS NOT NULL THEN 1 ELSE 0 END AS replaced,
CASE WHEN n.auto_renew = 1 AND n.status IN ('active', 'notice') AND
n.renewal <= n.reached THEN 1 ELSE 0 END AS assumed FROM term_next n),
term_end AS MATERIALIZED (SELECT r.*, CASE WHEN assumed = 1 AND
replaced = 0 THEN CASE WHEN min(date(renewal, CAST(((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) / months) * months) AS TEXT) || ' months'), date(renewal, 'start of month', CAST(((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) / months) * months) + 1 AS TEXT) || ' months', '-1 day')) > reached THEN min(date(renewal, CAST(((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) / months) * months) AS TEXT) || ' months'), date(renewal, 'start of month', CAST(((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) / months) * months) + 1 AS TEXT) || ' months', '-1 day')) ELSE min(date(renewal, CAST((((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) / months) + 1) * months) AS TEXT) || ' months'), date(renewal, 'start of month', CAST((((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) / months) + 1) * months) + 1 AS TEXT) || ' months', '-1 day')) END ELSE renewal END AS renews FROM term_rolled r),
term AS (SELECT account_uid, connection, source_id, start_date,
end_date, billing_currency, auto_renew, notice_received_on, months,
renewal, renews, replaced, noticed, assumed, CASE WHEN notice_months IS NOT NULL THEN date(min(date(renews, CAST((- notice_months) AS TEXT) || ' months'), date(renews, 'start of month', CAST((- notice_months) + 1 AS TEXT) || ' months', '-1 day')), CAST(-1 AS TEXT) || ' days') ELSE date(renews, CAST((- notice_days - 1) AS TEXT) || ' days') END AS deadline,
CASE WHEN assumed = 1 AND replaced = 0 THEN min(date(renews, CAST((- months) AS TEXT) || ' months'), date(renews, 'start of month', CAST((- months) + 1 AS TEXT) || ' months', '-1 day')) ELSE start_date END AS begins,
CASE WHEN status = 'terminated' THEN '0000-01-01' WHEN successor_on <= date(renews, CAST(30 AS TEXT) || ' days') THEN date(successor_on, CAST(-1 AS TEXT) || ' days') WHEN replaced = 0 AND
noticed = 0 THEN date(renews, CAST(29 AS TEXT) || ' days') ELSE date(renews, CAST(-1 AS TEXT) || ' days') END AS covered_to FROM term_end e) SELECT * FROM term
;

-- event
WITH event AS (SELECT account_uid, min(CASE WHEN replaced = 0 AND renews > '2026-11-20' THEN renews END) AS coming,
max(CASE WHEN replaced = 0 AND renews <= '2026-11-20' THEN renews END) AS passed,
max(CASE WHEN replaced = 0 AND (renews > '2026-10-21' OR renews IS NULL) THEN noticed ELSE 0 END) AS noticed,
max(CASE WHEN replaced = 0 AND noticed = 1 THEN notice_received_on END) AS noticed_on,
max(CASE WHEN end_date IS NULL AND replaced = 0 THEN 1 ELSE 0 END) AS open_ended,
max(CASE WHEN end_date IS NULL AND replaced = 0 THEN noticed ELSE 0 END) AS open_noticed,
sum(CASE WHEN replaced = 0 AND renews IS NOT NULL THEN 1 ELSE 0 END) AS terms,
min(CASE WHEN replaced = 0 AND renews >= '2026-10-21' THEN renews END) AS opens,
max(CASE WHEN replaced = 0 AND renews >= '2026-10-21' THEN renews END) AS closes FROM term GROUP BY account_uid) SELECT * FROM event
;

-- event_member
WITH event_day AS (SELECT x.account_uid, x.renews, row_number() OVER (PARTITION BY x.account_uid ORDER BY x.renews) AS nth FROM (SELECT DISTINCT t.account_uid, t.renews FROM event e JOIN term t ON t.account_uid = e.account_uid WHERE e.closes > date(e.opens, CAST(14 AS TEXT) || ' days') AND t.replaced = 0 AND t.renews >= e.opens) x),
event_step AS (SELECT o.account_uid, o.renews, o.nth, o.renews AS opens FROM event_day o WHERE o.nth = 1 UNION ALL SELECT n.account_uid,
n.renews, n.nth, CASE WHEN n.renews > date(s.opens, CAST(14 AS TEXT) || ' days') THEN n.renews ELSE s.opens END FROM event_step s JOIN event_day n ON n.account_uid = s.account_uid AND
n.nth = s.nth + 1), event_member AS (SELECT t.account_uid, t.connection,
t.source_id, t.auto_renew, t.deadline, t.renews, t.begins, t.assumed,
t.noticed, t.notice_received_on, e.terms, e.open_noticed, e.noticed_on,
coalesce(CAST(julianday(t.renewal) - julianday(t.start_date) AS INTEGER), t.months * 30) AS days,
t.renews AS opens, t.connection || ':' || t.source_id AS members FROM term t JOIN event e ON e.account_uid = t.account_uid WHERE e.terms = 1 AND
t.replaced = 0 AND t.renews IS NOT NULL UNION ALL SELECT t.account_uid,
t.connection, t.source_id, t.auto_renew, t.deadline, t.renews,
t.begins, t.assumed, t.noticed, t.notice_received_on, e.terms,
e.open_noticed, e.noticed_on, coalesce(CAST(julianday(t.renewal) - julianday(t.start_date) AS INTEGER), t.months * 30) AS days,
coalesce(s.opens, e.opens, e.passed) AS opens, group_concat(t.connection || ':' || t.source_id, ' ') OVER (PARTITION BY t.account_uid, coalesce(s.opens, e.opens, e.passed) ORDER BY t.connection || ':' || t.source_id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS members FROM term t JOIN event e ON e.account_uid = t.account_uid LEFT JOIN event_step s ON s.account_uid = t.account_uid AND
s.renews = t.renews WHERE e.terms > 1 AND t.replaced = 0 AND
t.renews >= coalesce(e.opens, date(e.passed, CAST(-14 AS TEXT) || ' days'))) SELECT * FROM event_member
;

-- fact_events
WITH term_row AS (SELECT t.account_uid, t.connection, t.source_id,
CASE WHEN t.start_date BETWEEN '1900-01-01' AND '9899-12-31' THEN t.start_date END AS start_date,
CASE WHEN t.end_date BETWEEN '1900-01-01' AND '9899-12-31' THEN t.end_date END AS end_date,
t.auto_renew, coalesce(t.status, 'active') AS status, t.term_months,
t.notice_days, t.notice_months, t.notice_received_on, t.renewed_by_source_id,
t.billing_currency, date(CASE WHEN t.end_date BETWEEN '1900-01-01' AND '9899-12-31' THEN t.end_date END, CAST(1 AS TEXT) || ' days') AS renewal FROM contract t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND coalesce(t.status, 'active') <> 'draft' AND
(t.connection = 'crm' OR NOT EXISTS (SELECT 1 FROM contract m WHERE m.account_uid = t.account_uid AND m.connection = 'crm' AND m.deleted_at IS NULL))),
term_successor AS (SELECT k.connection, k.source_id, min(coalesce(s.start_date, k.renewal)) AS successor_on FROM term_row k JOIN contract s ON s.account_uid = k.account_uid AND
NOT (s.connection = k.connection AND s.source_id = k.source_id) AND
s.deleted_at IS NULL AND s.connection = k.connection AND coalesce(s.status, 'active') NOT IN ('draft', 'terminated') AND
((s.connection = k.connection AND s.source_id = k.renewed_by_source_id) OR (s.start_date > k.start_date AND (s.end_date IS NULL OR s.end_date > k.end_date) AND s.start_date BETWEEN date(k.renewal, CAST(-31 AS TEXT) || ' days') AND date(k.renewal, CAST(30 AS TEXT) || ' days'))) GROUP BY k.connection,
k.source_id), term_next AS (SELECT k.*, coalesce(nullif(term_months, 0), CASE WHEN CAST(julianday(renewal) - julianday(start_date) AS INTEGER) > 0 THEN max(1, (CAST(((CAST(CAST(julianday(renewal) - julianday(start_date) AS INTEGER) AS REAL) / NULLIF(30.4375, 0)) + 0.5) AS INTEGER) - (((CAST(CAST(julianday(renewal) - julianday(start_date) AS INTEGER) AS REAL) / NULLIF(30.4375, 0)) + 0.5) < CAST(((CAST(CAST(julianday(renewal) - julianday(start_date) AS INTEGER) AS REAL) / NULLIF(30.4375, 0)) + 0.5) AS INTEGER)))) END, 12) AS months,
u.successor_on, CASE WHEN k.status = 'notice' OR k.notice_received_on <= '2026-11-20' THEN 1 ELSE 0 END AS noticed,
CASE WHEN k.notice_received_on <= '2026-11-20' THEN k.notice_received_on WHEN k.status = 'active' THEN '2026-11-20' END AS reached FROM term_row k LEFT JOIN term_successor u ON u.connection = k.connection AND
u.source_id = k.source_id), term_rolled AS (SELECT n.*, CASE WHEN n.status IN ('renewed', 'terminated') OR
n.renewed_by_source_id IS NOT NULL OR n.successor_on IS NOT NULL THEN 1 ELSE 0 END AS replaced,
CASE WHEN n.auto_renew = 1 AND n.status IN ('active', 'notice') AND
n.renewal <= n.reached THEN 1 ELSE 0 END AS assumed FROM term_next n),
term_end AS MATERIALIZED (SELECT r.*, CASE WHEN assumed = 1 AND
replaced = 0 THEN CASE WHEN min(date(renewal, CAST(((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) / months) * months) AS TEXT) || ' months'), date(renewal, 'start of month', CAST(((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) / months) * months) + 1 AS TEXT) || ' months', '-1 day')) > reached THEN min(date(renewal, CAST(((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) / months) * months) AS TEXT) || ' months'), date(renewal, 'start of month', CAST(((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) / months) * months) + 1 AS TEXT) || ' months', '-1 day')) ELSE min(date(renewal, CAST((((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) / months) + 1) * months) AS TEXT) || ' months'), date(renewal, 'start of month', CAST((((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) / months) + 1) * months) + 1 AS TEXT) || ' months', '-1 day')) END ELSE renewal END AS renews FROM term_rolled r),
event_alone AS (SELECT m.account_uid, 1 AS event, m.opens, m.renews AS renews_on,
CASE WHEN m.renews <= '2026-11-20' THEN m.renews END AS lapsed_on,
m.auto_renew, m.deadline AS notice_deadline, CASE WHEN m.auto_renew = 1 AND
m.deadline IS NOT NULL THEN m.deadline ELSE m.renews END AS anchor,
m.days AS term_days, m.assumed AS renewal_assumed, CASE WHEN m.renews > '2026-10-21' THEN m.noticed ELSE 0 END AS notice_given,
CASE WHEN m.noticed = 1 THEN m.notice_received_on END AS notice_received_on,
m.members AS renewal_contracts, m.begins AS term_start, m.open_noticed,
m.noticed_on FROM event_member m WHERE m.terms = 1), event_group AS (SELECT m.account_uid,
m.opens, max(m.renews) AS last_on, CASE WHEN max(m.renews) > '2026-11-20' THEN min(CASE WHEN m.renews > '2026-11-20' THEN m.renews END) ELSE min(m.renews) END AS first_on,
max(CASE WHEN m.renews <= '2026-11-20' THEN m.renews END) AS lapsed_on,
CASE WHEN max(m.renews) > '2026-11-20' THEN max(CASE WHEN m.renews > '2026-11-20' THEN m.auto_renew END) ELSE max(m.auto_renew) END AS auto_renew,
CASE WHEN max(m.renews) > '2026-11-20' THEN min(CASE WHEN m.renews > '2026-11-20' THEN m.deadline END) ELSE min(m.deadline) END AS notice_deadline,
CASE WHEN max(m.renews) > '2026-11-20' THEN min(CASE WHEN m.renews > '2026-11-20' THEN CASE WHEN m.auto_renew = 1 AND m.deadline IS NOT NULL THEN m.deadline ELSE m.renews END END) ELSE min(CASE WHEN m.auto_renew = 1 AND m.deadline IS NOT NULL THEN m.deadline ELSE m.renews END) END AS anchor,
min(m.days) AS term_days, max(m.assumed) AS renewal_assumed,
max(CASE WHEN m.renews > '2026-10-21' THEN m.noticed ELSE 0 END) AS notice_given,
max(CASE WHEN m.noticed = 1 THEN m.notice_received_on END) AS notice_received_on,
max(m.members) AS renewal_contracts, min(m.begins) AS term_start,
max(m.open_noticed) AS open_noticed, max(m.noticed_on) AS noticed_on FROM event_member m WHERE m.terms > 1 GROUP BY m.account_uid,
m.opens), event_placed AS (SELECT g.account_uid, row_number() OVER (PARTITION BY g.account_uid ORDER BY CASE WHEN g.last_on > '2026-11-20' THEN 0 ELSE 1 END, CASE WHEN g.last_on > '2026-11-20' THEN g.first_on END, g.last_on DESC) AS event,
g.opens, CASE WHEN g.last_on > '2026-11-20' THEN g.first_on ELSE g.last_on END AS renews_on,
g.lapsed_on, g.auto_renew, g.notice_deadline, g.anchor, g.term_days,
g.renewal_assumed, g.notice_given, g.notice_received_on, g.renewal_contracts,
g.term_start, g.open_noticed, g.noticed_on FROM event_group g),
fact_events AS (SELECT o.account_uid, o.event, o.opens, o.renews_on,
date(o.renews_on, CAST(-1 AS TEXT) || ' days') AS term_end, o.notice_deadline,
o.anchor, coalesce(o.auto_renew, 0) AS auto_renew, o.term_days,
o.renewal_assumed, CASE WHEN o.event = 1 AND o.open_noticed = 1 THEN 1 ELSE o.notice_given END AS notice_given,
CASE WHEN o.event = 1 AND o.open_noticed = 1 THEN o.noticed_on ELSE o.notice_received_on END AS notice_received_on,
o.lapsed_on, o.renewal_contracts, o.term_start FROM (SELECT * FROM event_alone UNION ALL SELECT * FROM event_placed) o) SELECT * FROM fact_events
;

-- event_term
WITH event_term AS (SELECT m.account_uid, m.connection, m.source_id,
v.event FROM event_member m JOIN fact_events v ON v.account_uid = m.account_uid AND
v.opens = m.opens) SELECT * FROM event_term
;

-- fact_terms
WITH term_row AS (SELECT t.account_uid, t.connection, t.source_id,
CASE WHEN t.start_date BETWEEN '1900-01-01' AND '9899-12-31' THEN t.start_date END AS start_date,
CASE WHEN t.end_date BETWEEN '1900-01-01' AND '9899-12-31' THEN t.end_date END AS end_date,
t.auto_renew, coalesce(t.status, 'active') AS status, t.term_months,
t.notice_days, t.notice_months, t.notice_received_on, t.renewed_by_source_id,
t.billing_currency, date(CASE WHEN t.end_date BETWEEN '1900-01-01' AND '9899-12-31' THEN t.end_date END, CAST(1 AS TEXT) || ' days') AS renewal FROM contract t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND coalesce(t.status, 'active') <> 'draft' AND
(t.connection = 'crm' OR NOT EXISTS (SELECT 1 FROM contract m WHERE m.account_uid = t.account_uid AND m.connection = 'crm' AND m.deleted_at IS NULL))),
term_successor AS (SELECT k.connection, k.source_id, min(coalesce(s.start_date, k.renewal)) AS successor_on FROM term_row k JOIN contract s ON s.account_uid = k.account_uid AND
NOT (s.connection = k.connection AND s.source_id = k.source_id) AND
s.deleted_at IS NULL AND s.connection = k.connection AND coalesce(s.status, 'active') NOT IN ('draft', 'terminated') AND
((s.connection = k.connection AND s.source_id = k.renewed_by_source_id) OR (s.start_date > k.start_date AND (s.end_date IS NULL OR s.end_date > k.end_date) AND s.start_date BETWEEN date(k.renewal, CAST(-31 AS TEXT) || ' days') AND date(k.renewal, CAST(30 AS TEXT) || ' days'))) GROUP BY k.connection,
k.source_id), term_next AS (SELECT k.*, coalesce(nullif(term_months, 0), CASE WHEN CAST(julianday(renewal) - julianday(start_date) AS INTEGER) > 0 THEN max(1, (CAST(((CAST(CAST(julianday(renewal) - julianday(start_date) AS INTEGER) AS REAL) / NULLIF(30.4375, 0)) + 0.5) AS INTEGER) - (((CAST(CAST(julianday(renewal) - julianday(start_date) AS INTEGER) AS REAL) / NULLIF(30.4375, 0)) + 0.5) < CAST(((CAST(CAST(julianday(renewal) - julianday(start_date) AS INTEGER) AS REAL) / NULLIF(30.4375, 0)) + 0.5) AS INTEGER)))) END, 12) AS months,
u.successor_on, CASE WHEN k.status = 'notice' OR k.notice_received_on <= '2026-11-20' THEN 1 ELSE 0 END AS noticed,
CASE WHEN k.notice_received_on <= '2026-11-20' THEN k.notice_received_on WHEN k.status = 'active' THEN '2026-11-20' END AS reached FROM term_row k LEFT JOIN term_successor u ON u.connection = k.connection AND
u.source_id = k.source_id), term_rolled AS (SELECT n.*, CASE WHEN n.status IN ('renewed', 'terminated') OR
n.renewed_by_source_id IS NOT NULL OR n.successor_on IS NOT NULL THEN 1 ELSE 0 END AS replaced,
CASE WHEN n.auto_renew = 1 AND n.status IN ('active', 'notice') AND
n.renewal <= n.reached THEN 1 ELSE 0 END AS assumed FROM term_next n),
term_end AS MATERIALIZED (SELECT r.*, CASE WHEN assumed = 1 AND
replaced = 0 THEN CASE WHEN min(date(renewal, CAST(((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) / months) * months) AS TEXT) || ' months'), date(renewal, 'start of month', CAST(((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) / months) * months) + 1 AS TEXT) || ' months', '-1 day')) > reached THEN min(date(renewal, CAST(((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) / months) * months) AS TEXT) || ' months'), date(renewal, 'start of month', CAST(((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) / months) * months) + 1 AS TEXT) || ' months', '-1 day')) ELSE min(date(renewal, CAST((((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) / months) + 1) * months) AS TEXT) || ' months'), date(renewal, 'start of month', CAST((((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) / months) + 1) * months) + 1 AS TEXT) || ' months', '-1 day')) END ELSE renewal END AS renews FROM term_rolled r),
fact_terms AS (SELECT e.account_uid, coalesce(e.coming, e.passed) AS renews_on,
date(coalesce(e.coming, e.passed), CAST(-1 AS TEXT) || ' days') AS term_end,
o.notice_deadline, o.anchor, coalesce(o.auto_renew, 0) AS auto_renew,
o.term_days, coalesce(o.renewal_assumed, 0) AS renewal_assumed,
e.noticed AS notice_given, e.noticed_on AS notice_received_on,
e.passed AS lapsed_on, 1 AS has_contract, e.open_ended AS end_date_missing,
o.renewal_contracts, o.term_start FROM event e LEFT JOIN fact_events o ON o.account_uid = e.account_uid AND
o.event = 1) SELECT * FROM fact_terms
;

-- event_deal
WITH event_near AS (SELECT t.connection, t.source_id, v.event,
row_number() OVER ( PARTITION BY t.connection, t.source_id ORDER BY CASE WHEN g.event = v.event THEN 0 ELSE 1 END, abs(CAST(julianday(t.close_date) - julianday(v.renews_on) AS INTEGER)), v.event) AS nearest FROM fact_events x JOIN fact_events v ON v.account_uid = x.account_uid JOIN opportunity t ON t.account_uid = x.account_uid LEFT JOIN event_term g ON g.account_uid = t.account_uid AND
g.connection = t.connection AND g.source_id = t.contract_source_id WHERE x.event = 2 AND
t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND (t.close_date IS NOT NULL OR g.event IS NOT NULL)),
event_deal AS (SELECT connection, source_id, event FROM event_near WHERE nearest = 1 AND
event > 1) SELECT * FROM event_deal
;

-- fact_lines
WITH line_priced AS (SELECT l.*, coalesce(l.amount, l.quantity * l.unit_price) AS price FROM contract_line l WHERE l.deleted_at IS NULL AND
l.account_uid IS NOT NULL AND coalesce(l.is_recurring, 1) = 1),
line_dated AS (SELECT t.account_uid, t.quantity, t.unit, coalesce(t.currency, k.billing_currency, 'JPY') AS currency,
CASE WHEN t.billing_period_months = 0 THEN CASE WHEN (CAST(julianday(coalesce(t.end_date, k.end_date)) - julianday(coalesce(t.start_date, k.start_date)) AS INTEGER) + 1) > 0 THEN (CAST(((CAST((CAST(t.price AS REAL) * 10117800.0) AS REAL) / NULLIF((CAST(julianday(coalesce(t.end_date, k.end_date)) - julianday(coalesce(t.start_date, k.start_date)) AS INTEGER) + 1), 0)) + 0.5) AS INTEGER) - (((CAST((CAST(t.price AS REAL) * 10117800.0) AS REAL) / NULLIF((CAST(julianday(coalesce(t.end_date, k.end_date)) - julianday(coalesce(t.start_date, k.start_date)) AS INTEGER) + 1), 0)) + 0.5) < CAST(((CAST((CAST(t.price AS REAL) * 10117800.0) AS REAL) / NULLIF((CAST(julianday(coalesce(t.end_date, k.end_date)) - julianday(coalesce(t.start_date, k.start_date)) AS INTEGER) + 1), 0)) + 0.5) AS INTEGER))) END ELSE (CAST((CAST(t.price AS REAL) * 332640.0) AS REAL) / NULLIF(coalesce(t.billing_period_months, 12), 0)) END AS scaled,
CASE WHEN (k.source_id IS NOT NULL OR x.source_id IS NULL) AND
(coalesce(t.start_date, k.start_date) IS NULL OR coalesce(t.start_date, k.start_date) <= '2026-11-20') AND
'2026-11-20' <= CASE WHEN t.end_date IS NOT NULL AND (k.end_date IS NULL OR t.end_date < k.end_date) THEN t.end_date ELSE coalesce(k.covered_to, '9999-12-31') END THEN 1 ELSE 0 END AS counted,
CASE WHEN k.source_id IS NULL THEN 1 ELSE g.event END AS event FROM line_priced t LEFT JOIN term k ON k.connection = t.connection AND
k.source_id = t.contract_source_id LEFT JOIN event_term g ON g.connection = t.connection AND
g.source_id = t.contract_source_id LEFT JOIN contract x ON x.connection = t.connection AND
x.source_id = t.contract_source_id), line_now AS (SELECT l.*,
CASE WHEN counted = 1 AND scaled IS NOT NULL THEN currency END AS money FROM line_dated l),
fact_lines AS (SELECT account_uid, CASE WHEN sum(counted) = 0 AND
count(scaled) > 0 THEN 0 WHEN min(money) = max(money) THEN (CAST(((CAST(sum(CASE WHEN counted = 1 THEN scaled END) AS REAL) / NULLIF(27720, 0)) + 0.5) AS INTEGER) - (((CAST(sum(CASE WHEN counted = 1 THEN scaled END) AS REAL) / NULLIF(27720, 0)) + 0.5) < CAST(((CAST(sum(CASE WHEN counted = 1 THEN scaled END) AS REAL) / NULLIF(27720, 0)) + 0.5) AS INTEGER))) END AS arr,
CASE WHEN sum(counted) = 0 AND count(scaled) > 0 THEN 0 WHEN min(money) = max(money) THEN (CAST(((CAST(sum(CASE WHEN counted = 1 AND event = 1 THEN scaled END) AS REAL) / NULLIF(27720, 0)) + 0.5) AS INTEGER) - (((CAST(sum(CASE WHEN counted = 1 AND event = 1 THEN scaled END) AS REAL) / NULLIF(27720, 0)) + 0.5) < CAST(((CAST(sum(CASE WHEN counted = 1 AND event = 1 THEN scaled END) AS REAL) / NULLIF(27720, 0)) + 0.5) AS INTEGER))) END AS renewal_arr,
min(money) AS currency, CASE WHEN CAST(sum(CASE WHEN counted = 1 AND unit = 'seat' THEN quantity END) AS INTEGER) > 0 THEN CASE WHEN min(money) = max(money) THEN (CAST(((CAST((CAST(sum(CASE WHEN counted = 1 AND unit = 'seat' THEN scaled END) AS REAL) / NULLIF(27720, 0)) AS REAL) / NULLIF(CAST(sum(CASE WHEN counted = 1 AND unit = 'seat' THEN quantity END) AS INTEGER), 0)) + 0.5) AS INTEGER) - (((CAST((CAST(sum(CASE WHEN counted = 1 AND unit = 'seat' THEN scaled END) AS REAL) / NULLIF(27720, 0)) AS REAL) / NULLIF(CAST(sum(CASE WHEN counted = 1 AND unit = 'seat' THEN quantity END) AS INTEGER), 0)) + 0.5) < CAST(((CAST((CAST(sum(CASE WHEN counted = 1 AND unit = 'seat' THEN scaled END) AS REAL) / NULLIF(27720, 0)) AS REAL) / NULLIF(CAST(sum(CASE WHEN counted = 1 AND unit = 'seat' THEN quantity END) AS INTEGER), 0)) + 0.5) AS INTEGER))) END END AS seat_price,
coalesce(CAST(sum(CASE WHEN counted = 1 AND unit = 'seat' THEN quantity END) AS INTEGER), CAST(sum(CASE WHEN counted = 1 AND unit IS NULL THEN quantity END) AS INTEGER), 0) AS seats,
CAST(sum(CASE WHEN counted = 1 AND unit = 'credit' THEN quantity END) AS INTEGER) AS credits FROM line_now GROUP BY account_uid) SELECT * FROM fact_lines
;

-- fact_event_lines
WITH line_priced AS (SELECT l.*, coalesce(l.amount, l.quantity * l.unit_price) AS price FROM contract_line l WHERE l.deleted_at IS NULL AND
l.account_uid IS NOT NULL AND coalesce(l.is_recurring, 1) = 1),
fact_event_lines AS (SELECT account_uid, event, CASE WHEN sum(counted) = 0 AND
count(scaled) > 0 THEN 0 WHEN min(money) = max(money) THEN (CAST(((CAST(sum(CASE WHEN counted = 1 THEN scaled END) AS REAL) / NULLIF(27720, 0)) + 0.5) AS INTEGER) - (((CAST(sum(CASE WHEN counted = 1 THEN scaled END) AS REAL) / NULLIF(27720, 0)) + 0.5) < CAST(((CAST(sum(CASE WHEN counted = 1 THEN scaled END) AS REAL) / NULLIF(27720, 0)) + 0.5) AS INTEGER))) END AS renewal_arr,
min(money) AS currency FROM (SELECT l.*, CASE WHEN counted = 1 AND scaled IS NOT NULL THEN currency END AS money FROM (SELECT t.account_uid, t.quantity, t.unit, coalesce(t.currency, k.billing_currency, 'JPY') AS currency, CASE WHEN t.billing_period_months = 0 THEN CASE WHEN (CAST(julianday(coalesce(t.end_date, k.end_date)) - julianday(coalesce(t.start_date, k.start_date)) AS INTEGER) + 1) > 0 THEN (CAST(((CAST((CAST(t.price AS REAL) * 10117800.0) AS REAL) / NULLIF((CAST(julianday(coalesce(t.end_date, k.end_date)) - julianday(coalesce(t.start_date, k.start_date)) AS INTEGER) + 1), 0)) + 0.5) AS INTEGER) - (((CAST((CAST(t.price AS REAL) * 10117800.0) AS REAL) / NULLIF((CAST(julianday(coalesce(t.end_date, k.end_date)) - julianday(coalesce(t.start_date, k.start_date)) AS INTEGER) + 1), 0)) + 0.5) < CAST(((CAST((CAST(t.price AS REAL) * 10117800.0) AS REAL) / NULLIF((CAST(julianday(coalesce(t.end_date, k.end_date)) - julianday(coalesce(t.start_date, k.start_date)) AS INTEGER) + 1), 0)) + 0.5) AS INTEGER))) END ELSE (CAST((CAST(t.price AS REAL) * 332640.0) AS REAL) / NULLIF(coalesce(t.billing_period_months, 12), 0)) END AS scaled, CASE WHEN (k.source_id IS NOT NULL OR x.source_id IS NULL) AND (coalesce(t.start_date, k.start_date) IS NULL OR coalesce(t.start_date, k.start_date) <= '2026-11-20') AND '2026-11-20' <= CASE WHEN t.end_date IS NOT NULL AND (k.end_date IS NULL OR t.end_date < k.end_date) THEN t.end_date ELSE coalesce(k.covered_to, '9999-12-31') END THEN 1 ELSE 0 END AS counted, CASE WHEN k.source_id IS NULL THEN 1 ELSE g.event END AS event FROM line_priced t LEFT JOIN term k ON k.connection = t.connection AND k.source_id = t.contract_source_id LEFT JOIN event_term g ON g.connection = t.connection AND g.source_id = t.contract_source_id LEFT JOIN contract x ON x.connection = t.connection AND x.source_id = t.contract_source_id WHERE t.account_uid IN (SELECT v.account_uid FROM fact_events v WHERE v.event = 2)) l WHERE l.event > 1) n GROUP BY account_uid,
event) SELECT * FROM fact_event_lines
;

-- fact_usage
WITH usage_seen AS MATERIALIZED (SELECT a.uid AS account_uid,
(SELECT min(t.period_start) FROM usage_metric t WHERE t.account_uid = a.uid AND t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.metric = 'active_users') AS first_on,
(SELECT max(CASE WHEN t.grain = 'week' THEN min(date(t.period_start, CAST(6 AS TEXT) || ' days'), '2026-11-20') ELSE t.period_start END) FROM usage_metric t WHERE t.account_uid = a.uid AND t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.metric IN ('active_users', 'logins', 'events') AND t.value > 0 AND coalesce(t.is_complete, 1) = 1 AND NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE)) AND t.period_start <= '2026-11-20' AND t.period_start >= date(max(coalesce((SELECT max(t.period_start) FROM usage_metric t WHERE t.account_uid = a.uid AND t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.metric = 'active_users' AND t.value > 0 AND coalesce(t.is_complete, 1) = 1 AND NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE)) AND t.period_start <= '2026-11-20'), ''), coalesce((SELECT max(t.period_start) FROM usage_metric t WHERE t.account_uid = a.uid AND t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.metric = 'logins' AND t.value > 0 AND coalesce(t.is_complete, 1) = 1 AND NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE)) AND t.period_start <= '2026-11-20'), ''), coalesce((SELECT max(t.period_start) FROM usage_metric t WHERE t.account_uid = a.uid AND t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.metric = 'events' AND t.value > 0 AND coalesce(t.is_complete, 1) = 1 AND NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE)) AND t.period_start <= '2026-11-20'), '')), CAST(-6 AS TEXT) || ' days')) AS used_on,
(SELECT count(DISTINCT t.period_start) FROM usage_metric t WHERE t.account_uid = a.uid AND t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.metric IN ('active_users', 'logins', 'events') AND t.period_start BETWEEN '2026-10-23' AND '2026-11-19' AND (t.is_complete = 0 OR (t.value IS NULL AND coalesce(t.is_complete, 1) = 1 AND NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE))))) AS open_days,
(SELECT max(t.value) FROM usage_metric t WHERE t.account_uid = a.uid AND t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.metric = 'active_users_28d' AND t.period_start BETWEEN '2026-11-13' AND '2026-11-20' AND coalesce(t.is_complete, 1) = 1 AND NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE))) AS exact,
(SELECT max(t.value) FROM usage_metric t WHERE t.account_uid = a.uid AND t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.metric = 'active_users' AND t.period_start BETWEEN '2026-10-23' AND '2026-11-19' AND coalesce(t.is_complete, 1) = 1 AND NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE))) AS peak FROM account a WHERE EXISTS (SELECT 1 FROM usage_metric t WHERE t.account_uid = a.uid AND t.deleted_at IS NULL AND t.account_uid IS NOT NULL)),
fact_usage AS (SELECT s.account_uid, s.first_on, CASE WHEN s.open_days + 1 >= 3 AND
max(coalesce((SELECT max(t.period_start) FROM usage_metric t WHERE t.account_uid = s.account_uid AND t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.metric IN ('active_users', 'logins', 'events') AND t.period_start BETWEEN '2026-10-23' AND '2026-11-19' AND (t.is_complete = 0 OR (t.value IS NULL AND coalesce(t.is_complete, 1) = 1 AND NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE))))), ''), '2026-11-03') > s.used_on THEN NULL ELSE s.used_on END AS last_active_on,
CASE WHEN s.exact IS NOT NULL THEN s.exact WHEN 2 * (s.open_days + 1) >= 28 THEN NULL WHEN s.peak IS NOT NULL THEN s.peak WHEN s.open_days = 0 AND
(SELECT count(t.value) FROM usage_metric t WHERE t.account_uid = s.account_uid AND t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.metric IN ('active_users', 'active_users_28d') AND coalesce(t.is_complete, 1) = 1 AND NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE))) > 0 THEN 0 END AS active_users_28d FROM usage_seen s) SELECT * FROM fact_usage
;

-- fact_weeks
WITH week_value AS MATERIALIZED (SELECT f.account_uid, f.first_on,
CASE WHEN f.first_on <= '2026-11-09' THEN (SELECT CASE WHEN count(*) = 0 THEN 0.0 WHEN max(CASE WHEN t.is_complete = 0 OR t.value IS NULL THEN 1 ELSE 0 END) = 0 THEN CAST(sum(CAST(min(t.value, 1000000000000.0) * 1000 + 0.5 AS INTEGER)) AS REAL) / 1000.0 / count(t.value) END FROM usage_metric t WHERE t.account_uid = f.account_uid AND t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.metric = 'active_users' AND t.period_start >= '2026-11-09' AND t.period_start < '2026-11-16') END AS week_1,
CASE WHEN f.first_on <= '2026-10-26' THEN (SELECT CASE WHEN count(*) = 0 THEN 0.0 WHEN max(CASE WHEN t.is_complete = 0 OR t.value IS NULL THEN 1 ELSE 0 END) = 0 THEN CAST(sum(CAST(min(t.value, 1000000000000.0) * 1000 + 0.5 AS INTEGER)) AS REAL) / 1000.0 / count(t.value) END FROM usage_metric t WHERE t.account_uid = f.account_uid AND t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.metric = 'active_users' AND t.period_start >= '2026-10-26' AND t.period_start < '2026-11-02') END AS week_3,
CASE WHEN f.first_on <= '2026-10-19' THEN (SELECT CASE WHEN count(*) = 0 THEN 0.0 WHEN max(CASE WHEN t.is_complete = 0 OR t.value IS NULL THEN 1 ELSE 0 END) = 0 THEN CAST(sum(CAST(min(t.value, 1000000000000.0) * 1000 + 0.5 AS INTEGER)) AS REAL) / 1000.0 / count(t.value) END FROM usage_metric t WHERE t.account_uid = f.account_uid AND t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.metric = 'active_users' AND t.period_start >= '2026-10-19' AND t.period_start < '2026-10-26') END AS week_4,
CASE WHEN f.first_on <= '2026-10-12' THEN (SELECT CASE WHEN count(*) = 0 THEN 0.0 WHEN max(CASE WHEN t.is_complete = 0 OR t.value IS NULL THEN 1 ELSE 0 END) = 0 THEN CAST(sum(CAST(min(t.value, 1000000000000.0) * 1000 + 0.5 AS INTEGER)) AS REAL) / 1000.0 / count(t.value) END FROM usage_metric t WHERE t.account_uid = f.account_uid AND t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.metric = 'active_users' AND t.period_start >= '2026-10-12' AND t.period_start < '2026-10-19') END AS week_5,
CASE WHEN f.first_on <= '2026-10-05' THEN (SELECT CASE WHEN count(*) = 0 THEN 0.0 WHEN max(CASE WHEN t.is_complete = 0 OR t.value IS NULL THEN 1 ELSE 0 END) = 0 THEN CAST(sum(CAST(min(t.value, 1000000000000.0) * 1000 + 0.5 AS INTEGER)) AS REAL) / 1000.0 / count(t.value) END FROM usage_metric t WHERE t.account_uid = f.account_uid AND t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.metric = 'active_users' AND t.period_start >= '2026-10-05' AND t.period_start < '2026-10-12') END AS week_6,
CASE WHEN f.first_on <= '2026-09-28' THEN (SELECT CASE WHEN count(*) = 0 THEN 0.0 WHEN max(CASE WHEN t.is_complete = 0 OR t.value IS NULL THEN 1 ELSE 0 END) = 0 THEN CAST(sum(CAST(min(t.value, 1000000000000.0) * 1000 + 0.5 AS INTEGER)) AS REAL) / 1000.0 / count(t.value) END FROM usage_metric t WHERE t.account_uid = f.account_uid AND t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.metric = 'active_users' AND t.period_start >= '2026-09-28' AND t.period_start < '2026-10-05') END AS week_7,
CASE WHEN f.first_on <= '2026-09-21' THEN (SELECT CASE WHEN count(*) = 0 THEN 0.0 WHEN max(CASE WHEN t.is_complete = 0 OR t.value IS NULL THEN 1 ELSE 0 END) = 0 THEN CAST(sum(CAST(min(t.value, 1000000000000.0) * 1000 + 0.5 AS INTEGER)) AS REAL) / 1000.0 / count(t.value) END FROM usage_metric t WHERE t.account_uid = f.account_uid AND t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.metric = 'active_users' AND t.period_start >= '2026-09-21' AND t.period_start < '2026-09-28') END AS week_8,
CASE WHEN f.first_on <= '2026-09-14' THEN (SELECT CASE WHEN count(*) = 0 THEN 0.0 WHEN max(CASE WHEN t.is_complete = 0 OR t.value IS NULL THEN 1 ELSE 0 END) = 0 THEN CAST(sum(CAST(min(t.value, 1000000000000.0) * 1000 + 0.5 AS INTEGER)) AS REAL) / 1000.0 / count(t.value) END FROM usage_metric t WHERE t.account_uid = f.account_uid AND t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.metric = 'active_users' AND t.period_start >= '2026-09-14' AND t.period_start < '2026-09-21') END AS week_9,
CASE WHEN f.first_on <= '2026-09-07' THEN (SELECT CASE WHEN count(*) = 0 THEN 0.0 WHEN max(CASE WHEN t.is_complete = 0 OR t.value IS NULL THEN 1 ELSE 0 END) = 0 THEN CAST(sum(CAST(min(t.value, 1000000000000.0) * 1000 + 0.5 AS INTEGER)) AS REAL) / 1000.0 / count(t.value) END FROM usage_metric t WHERE t.account_uid = f.account_uid AND t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.metric = 'active_users' AND t.period_start >= '2026-09-07' AND t.period_start < '2026-09-14') END AS week_10,
CASE WHEN f.first_on <= '2026-08-31' THEN (SELECT CASE WHEN count(*) = 0 THEN 0.0 WHEN max(CASE WHEN t.is_complete = 0 OR t.value IS NULL THEN 1 ELSE 0 END) = 0 THEN CAST(sum(CAST(min(t.value, 1000000000000.0) * 1000 + 0.5 AS INTEGER)) AS REAL) / 1000.0 / count(t.value) END FROM usage_metric t WHERE t.account_uid = f.account_uid AND t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.metric = 'active_users' AND t.period_start >= '2026-08-31' AND t.period_start < '2026-09-07') END AS week_11,
CASE WHEN f.first_on <= '2026-08-24' THEN (SELECT CASE WHEN count(*) = 0 THEN 0.0 WHEN max(CASE WHEN t.is_complete = 0 OR t.value IS NULL THEN 1 ELSE 0 END) = 0 THEN CAST(sum(CAST(min(t.value, 1000000000000.0) * 1000 + 0.5 AS INTEGER)) AS REAL) / 1000.0 / count(t.value) END FROM usage_metric t WHERE t.account_uid = f.account_uid AND t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.metric = 'active_users' AND t.period_start >= '2026-08-24' AND t.period_start < '2026-08-31') END AS week_12 FROM fact_usage f WHERE f.first_on IS NOT NULL),
week_counted AS (SELECT v.*, (CASE WHEN week_1 IS NOT NULL THEN 1 ELSE 0 END) + (CASE WHEN week_3 IS NOT NULL THEN 1 ELSE 0 END) + (CASE WHEN week_4 IS NOT NULL THEN 1 ELSE 0 END) AS usage_recent_weeks,
(CASE WHEN week_5 IS NOT NULL THEN 1 ELSE 0 END) + (CASE WHEN week_6 IS NOT NULL THEN 1 ELSE 0 END) + (CASE WHEN week_7 IS NOT NULL THEN 1 ELSE 0 END) + (CASE WHEN week_8 IS NOT NULL THEN 1 ELSE 0 END) + (CASE WHEN week_9 IS NOT NULL THEN 1 ELSE 0 END) + (CASE WHEN week_10 IS NOT NULL THEN 1 ELSE 0 END) + (CASE WHEN week_11 IS NOT NULL THEN 1 ELSE 0 END) + (CASE WHEN week_12 IS NOT NULL THEN 1 ELSE 0 END) AS usage_before_weeks FROM week_value v),
week_both AS MATERIALIZED (SELECT w.account_uid, CASE w.usage_recent_weeks WHEN 3 THEN (SELECT avg(m.value) FROM (SELECT v.value FROM (SELECT w.week_1 AS value UNION ALL SELECT w.week_3 AS value UNION ALL SELECT w.week_4 AS value) v WHERE v.value IS NOT NULL ORDER BY v.value LIMIT 1 OFFSET 1) m) END AS usage_recent,
CASE w.usage_before_weeks WHEN 5 THEN (SELECT avg(m.value) FROM (SELECT v.value FROM (SELECT w.week_5 AS value UNION ALL SELECT w.week_6 AS value UNION ALL SELECT w.week_7 AS value UNION ALL SELECT w.week_8 AS value UNION ALL SELECT w.week_9 AS value UNION ALL SELECT w.week_10 AS value UNION ALL SELECT w.week_11 AS value UNION ALL SELECT w.week_12 AS value) v WHERE v.value IS NOT NULL ORDER BY v.value LIMIT 1 OFFSET 2) m) WHEN 6 THEN (SELECT avg(m.value) FROM (SELECT v.value FROM (SELECT w.week_5 AS value UNION ALL SELECT w.week_6 AS value UNION ALL SELECT w.week_7 AS value UNION ALL SELECT w.week_8 AS value UNION ALL SELECT w.week_9 AS value UNION ALL SELECT w.week_10 AS value UNION ALL SELECT w.week_11 AS value UNION ALL SELECT w.week_12 AS value) v WHERE v.value IS NOT NULL ORDER BY v.value LIMIT 2 OFFSET 2) m) WHEN 7 THEN (SELECT avg(m.value) FROM (SELECT v.value FROM (SELECT w.week_5 AS value UNION ALL SELECT w.week_6 AS value UNION ALL SELECT w.week_7 AS value UNION ALL SELECT w.week_8 AS value UNION ALL SELECT w.week_9 AS value UNION ALL SELECT w.week_10 AS value UNION ALL SELECT w.week_11 AS value UNION ALL SELECT w.week_12 AS value) v WHERE v.value IS NOT NULL ORDER BY v.value LIMIT 1 OFFSET 3) m) WHEN 8 THEN (SELECT avg(m.value) FROM (SELECT v.value FROM (SELECT w.week_5 AS value UNION ALL SELECT w.week_6 AS value UNION ALL SELECT w.week_7 AS value UNION ALL SELECT w.week_8 AS value UNION ALL SELECT w.week_9 AS value UNION ALL SELECT w.week_10 AS value UNION ALL SELECT w.week_11 AS value UNION ALL SELECT w.week_12 AS value) v WHERE v.value IS NOT NULL ORDER BY v.value LIMIT 2 OFFSET 3) m) END AS usage_before,
1 + (CASE WHEN first_on <= '2026-11-09' THEN 1 ELSE 0 END) + (CASE WHEN first_on <= '2026-10-26' THEN 1 ELSE 0 END) + (CASE WHEN first_on <= '2026-10-19' THEN 1 ELSE 0 END) + (CASE WHEN first_on <= '2026-10-12' THEN 1 ELSE 0 END) + (CASE WHEN first_on <= '2026-10-05' THEN 1 ELSE 0 END) + (CASE WHEN first_on <= '2026-09-28' THEN 1 ELSE 0 END) + (CASE WHEN first_on <= '2026-09-21' THEN 1 ELSE 0 END) + (CASE WHEN first_on <= '2026-09-14' THEN 1 ELSE 0 END) + (CASE WHEN first_on <= '2026-09-07' THEN 1 ELSE 0 END) + (CASE WHEN first_on <= '2026-08-31' THEN 1 ELSE 0 END) + (CASE WHEN first_on <= '2026-08-24' THEN 1 ELSE 0 END) - usage_recent_weeks - usage_before_weeks AS weeks_left_out FROM week_counted w),
fact_weeks AS (SELECT b.*, CASE WHEN usage_before >= 5 THEN usage_recent / usage_before - 1 END AS usage_growth FROM week_both b) SELECT * FROM fact_weeks
;

-- fact_contact
WITH contact_seen AS (SELECT t.account_uid, max(CASE WHEN t.last_meeting_at <= '2026-11-20T03:00:00Z' THEN t.last_meeting_at END) AS met,
max(CASE WHEN t.last_inbound_at <= '2026-11-20T03:00:00Z' THEN t.last_inbound_at END) AS heard FROM contact t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL GROUP BY t.account_uid UNION ALL SELECT t.account_uid,
max(CASE WHEN (CASE WHEN t.kind IN ('meeting', 'call') AND coalesce(t.direction, 'both') <> 'out' THEN t.at END) <= '2026-11-20T03:00:00Z' THEN (CASE WHEN t.kind IN ('meeting', 'call') AND coalesce(t.direction, 'both') <> 'out' THEN t.at END) END),
max(CASE WHEN (CASE WHEN t.direction IN ('in', 'both') THEN t.at ELSE CASE WHEN t.kind IN ('meeting', 'call') AND coalesce(t.direction, 'both') <> 'out' THEN t.at END END) <= '2026-11-20T03:00:00Z' THEN (CASE WHEN t.direction IN ('in', 'both') THEN t.at ELSE CASE WHEN t.kind IN ('meeting', 'call') AND coalesce(t.direction, 'both') <> 'out' THEN t.at END END) END) FROM interaction t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL GROUP BY t.account_uid), contact_last AS (SELECT account_uid,
max(met) AS met, max(heard) AS heard FROM contact_seen GROUP BY account_uid),
fact_contact AS (SELECT a.uid AS account_uid, date(substr(l.met, 1, 19), '+540 minutes') AS last_meeting_on,
date(substr(CASE WHEN l.heard IS NULL OR l.met > l.heard THEN l.met ELSE l.heard END, 1, 19), '+540 minutes') AS last_contact_on,
CASE WHEN EXISTS (SELECT 1 FROM contact x WHERE x.last_meeting_at IS NOT NULL) OR
EXISTS (SELECT 1 FROM interaction x WHERE x.kind IN ('meeting', 'call')) THEN 1 ELSE 0 END AS meetings_recorded FROM account a LEFT JOIN contact_last l ON l.account_uid = a.uid) SELECT * FROM fact_contact
;

-- fact_burn
WITH fact_burn AS (SELECT t.account_uid, sum(CAST((CAST((t.value * 1000 + 0.5) AS INTEGER) - ((t.value * 1000 + 0.5) < CAST((t.value * 1000 + 0.5) AS INTEGER))) AS REAL)) / 1000.0 AS credits_used FROM usage_metric t JOIN fact_terms k ON k.account_uid = t.account_uid WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND t.metric = 'credits' AND coalesce(t.is_complete, 1) = 1 AND
t.period_start BETWEEN k.term_start AND '2026-11-20' GROUP BY t.account_uid) SELECT * FROM fact_burn
;

-- fact_ends
WITH end_of AS (SELECT t.account_uid, t.connection, max(t.end_date) AS ends FROM contract t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND coalesce(t.status, 'active') NOT IN ('draft', 'terminated') AND
t.end_date IS NOT NULL AND coalesce(t.start_date, '2026-11-20') <= '2026-11-20' GROUP BY t.account_uid,
t.connection), end_listed AS (SELECT account_uid, ends, group_concat(connection || ':' || ends, ' ') OVER (PARTITION BY account_uid ORDER BY connection || ':' || ends ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS listed FROM end_of),
fact_ends AS (SELECT account_uid, CAST(julianday(max(ends)) - julianday(min(ends)) AS INTEGER) AS term_ends_apart,
max(listed) AS term_ends FROM end_listed GROUP BY account_uid) SELECT * FROM fact_ends
;

-- fact_event_ends
WITH end_several AS (SELECT t.account_uid FROM contract t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL GROUP BY t.account_uid HAVING count(DISTINCT t.connection) > 1),
end_told AS (SELECT t.account_uid, t.connection, t.source_id,
t.end_date, v.event, coalesce(nullif(t.term_months, 0) * 30, CAST(julianday(t.end_date) - julianday(t.start_date) AS INTEGER), 360) AS days FROM end_several s JOIN contract t ON t.account_uid = s.account_uid LEFT JOIN event_term v ON v.connection = t.connection AND
v.source_id = t.source_id WHERE t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND
coalesce(t.status, 'active') NOT IN ('draft', 'terminated') AND
t.end_date IS NOT NULL AND coalesce(t.start_date, '2026-11-20') <= '2026-11-20'),
end_pair AS (SELECT m.account_uid, m.event, k.event AS other_event,
m.connection, m.end_date AS ends, k.connection AS other, k.end_date AS other_ends,
m.days, abs(CAST(julianday(k.end_date) - julianday(m.end_date) AS INTEGER)) AS away,
row_number() OVER (PARTITION BY m.account_uid, m.connection, m.source_id, k.connection ORDER BY abs(CAST(julianday(k.end_date) - julianday(m.end_date) AS INTEGER)), k.end_date, k.source_id, m.end_date, m.source_id) AS mine,
row_number() OVER (PARTITION BY m.account_uid, k.connection, k.source_id, m.connection ORDER BY abs(CAST(julianday(k.end_date) - julianday(m.end_date) AS INTEGER)), k.end_date, k.source_id, m.end_date, m.source_id) AS theirs FROM end_told m JOIN end_told k ON k.account_uid = m.account_uid AND
k.connection <> m.connection), end_ranked AS (SELECT p.account_uid,
p.event, p.away, CASE WHEN p.connection < p.other THEN p.connection || ':' || p.ends || ' ' || p.other || ':' || p.other_ends ELSE p.other || ':' || p.other_ends || ' ' || p.connection || ':' || p.ends END AS ends,
row_number() OVER (PARTITION BY p.account_uid, p.event ORDER BY p.away DESC, p.ends, p.other_ends, p.connection, p.other) AS place FROM end_pair p WHERE p.mine = 1 AND
p.theirs = 1 AND p.event IS NOT NULL AND p.away * 2 < p.days AND
(p.other_event IS NULL OR p.other_event >= p.event)), fact_event_ends AS (SELECT account_uid,
event, away AS term_ends_apart, ends AS term_ends FROM end_ranked WHERE place = 1) SELECT * FROM fact_event_ends
;

-- fact_peers
WITH peer_owned AS (SELECT DISTINCT t.account_uid, t.product_code,
a.segment FROM contract_line t JOIN account a ON a.uid = t.account_uid AND
a.deleted_at IS NULL AND coalesce(a.is_test, 0) = 0 LEFT JOIN contract k ON k.connection = t.connection AND
k.source_id = t.contract_source_id AND k.deleted_at IS NULL WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND t.product_code IS NOT NULL AND
coalesce(k.status, 'active') NOT IN ('draft', 'terminated') AND
coalesce(t.start_date, k.start_date, '2026-11-20') <= '2026-11-20' AND
coalesce(t.end_date, CASE WHEN k.auto_renew = 1 THEN '9999-12-31' ELSE coalesce(k.end_date, '9999-12-31') END) >= '2026-11-20' AND
a.segment IS NOT NULL), peer_segment AS (SELECT segment, count(DISTINCT account_uid) AS accounts FROM peer_owned GROUP BY segment),
peer_product AS (SELECT segment, product_code, count(*) AS owners FROM peer_owned GROUP BY segment,
product_code), peer_ranked AS (SELECT p.segment, p.product_code,
p.owners, s.accounts, row_number() OVER (PARTITION BY p.segment ORDER BY p.owners DESC, p.product_code) AS place FROM peer_product p JOIN peer_segment s ON s.segment = p.segment),
peer_account AS (SELECT account_uid, segment, count(*) AS products FROM peer_owned GROUP BY account_uid,
segment), peer_missing AS (SELECT o.account_uid, min(p.place) AS place FROM peer_account o JOIN peer_ranked p ON p.segment = o.segment AND
p.place <= o.products + 1 LEFT JOIN peer_owned x ON x.account_uid = o.account_uid AND
x.product_code = p.product_code WHERE x.account_uid IS NULL GROUP BY o.account_uid),
fact_peers AS (SELECT o.account_uid, o.products AS products_owned,
s.accounts AS peer_accounts, p.product_code AS peer_product,
(CAST(p.owners AS REAL) / NULLIF(s.accounts, 0)) AS peer_share FROM peer_account o JOIN peer_segment s ON s.segment = o.segment LEFT JOIN peer_missing m ON m.account_uid = o.account_uid LEFT JOIN peer_ranked p ON p.segment = o.segment AND
p.place = m.place) SELECT * FROM fact_peers
;

-- fact_products
WITH product_owned AS (SELECT DISTINCT t.account_uid, t.product_code FROM contract_line t LEFT JOIN contract k ON k.connection = t.connection AND
k.source_id = t.contract_source_id AND k.deleted_at IS NULL WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND t.product_code IS NOT NULL AND
coalesce(k.status, 'active') NOT IN ('draft', 'terminated') AND
coalesce(t.start_date, k.start_date, '2026-11-20') <= '2026-11-20' AND
coalesce(t.end_date, CASE WHEN k.auto_renew = 1 THEN '9999-12-31' ELSE coalesce(k.end_date, '9999-12-31') END) >= '2026-11-20' AND
t.product_code <> ''), product_listed AS (SELECT account_uid,
group_concat(product_code, ' ') OVER (PARTITION BY account_uid ORDER BY product_code ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS listed FROM product_owned),
fact_products AS (SELECT account_uid, min(listed) AS product_list FROM product_listed GROUP BY account_uid) SELECT * FROM fact_products
;

-- of_tickets
SELECT t.account_uid, count(*) FILTER (WHERE t."opened_at" >= '2026-10-21T15:00:00' AND
t."opened_at" < '2026-11-20T15:00:00') AS n_tickets_30d, count(*) FILTER (WHERE t."opened_at" <= '2026-11-17T02:59:59Z' AND
((t."priority" = 'urgent') AND (t."status" IN ('new', 'open', 'pending', 'hold')))) AS n_urgent_over_72h,
count(*) FILTER (WHERE t."opened_at" >= '2026-10-21T15:00:00' AND
t."opened_at" < '2026-11-20T15:00:00' AND (t."priority" = 'urgent')) AS n_urgent_30d,
count(*) FILTER (WHERE (t."status" IN ('new', 'open', 'pending', 'hold'))) AS n_open_tickets,
max(t."opened_at") AS v_last_ticket_on, count(*) FILTER (WHERE t."opened_at" >= '2026-10-21T15:00:00' AND
t."opened_at" < '2026-11-20T15:00:00' AND ((instr(lower(t."subject"), 'cancel') > 0) OR (instr(lower(t."subject"), 'downgrade') > 0) OR (CASE WHEN instr(lower(t."subject"), 'downgrading') = 0 THEN 0 ELSE (' ' || lower(t."subject") || ' ' GLOB '*[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]downgrading[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]*') END) OR (CASE WHEN instr(lower(t."subject"), 'terminat') = 0 THEN 0 ELSE (' ' || lower(t."subject") || ' ' GLOB '*[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]terminat*') END) OR (CASE WHEN instr(lower(t."subject"), 'switch to another') = 0 THEN 0 ELSE (' ' || lower(t."subject") || ' ' GLOB '*[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]switch to another[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]*') END) OR (CASE WHEN instr(lower(t."subject"), 'fewer seats') = 0 THEN 0 ELSE (' ' || lower(t."subject") || ' ' GLOB '*[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]fewer seats[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]*') END) OR (instr(lower(t."subject"), '解約') > 0) OR (instr(lower(t."subject"), '退会') > 0) OR (instr(lower(t."subject"), 'ダウングレード') > 0) OR (instr(lower(t."subject"), '乗り換え') > 0) OR (instr(lower(t."subject"), 'プラン変更') > 0) OR (instr(lower(t."subject"), '席数を減') > 0) OR (instr(lower(t."subject"), '契約終了') > 0))) AS n_leaving_tickets_30d,
count(*) FILTER (WHERE t."opened_at" >= '2026-10-21T15:00:00' AND
t."opened_at" < '2026-11-20T15:00:00' AND (t."reopened_count" > 0)) AS n_reopened_new,
min(t."opened_at") FILTER (WHERE t."opened_at" >= '2026-10-21T15:00:00' AND
t."opened_at" < '2026-11-20T15:00:00' AND (t."reopened_count" > 0)) AS v_reopened_new_since,
count(*) FILTER (WHERE ((CAST(julianday('2026-11-20') - julianday(date(substr(t."reopened_at", 1, 19), '+540 minutes')) AS INTEGER) BETWEEN 0 AND 29) AND (CAST(julianday('2026-11-20') - julianday(date(substr(t."opened_at", 1, 19), '+540 minutes')) AS INTEGER) > 29))) AS n_reopened_old,
min(t."opened_at") FILTER (WHERE ((CAST(julianday('2026-11-20') - julianday(date(substr(t."reopened_at", 1, 19), '+540 minutes')) AS INTEGER) BETWEEN 0 AND 29) AND (CAST(julianday('2026-11-20') - julianday(date(substr(t."opened_at", 1, 19), '+540 minutes')) AS INTEGER) > 29))) AS v_reopened_old_since,
count(*) FILTER (WHERE t."opened_at" >= '2026-10-30T15:00:00' AND
t."opened_at" < '2026-11-20T15:00:00') AS n_tickets_21d, count(*) FILTER (WHERE t."opened_at" <= '2026-11-18T02:59:59Z' AND
((t."priority" = 'urgent') AND (t."status" IN ('new', 'open', 'pending', 'hold')))) AS n_urgent_over_48h,
min(t."opened_at") FILTER (WHERE t."opened_at" <= '2026-11-18T02:59:59Z' AND
((t."priority" = 'urgent') AND (t."status" IN ('new', 'open', 'pending', 'hold')))) AS v_urgent_since,
count(*) FILTER (WHERE t."opened_at" >= '2026-09-21T15:00:00' AND
t."opened_at" < '2026-11-20T15:00:00' AND (CASE WHEN t."subject" IS NOT NULL THEN 0 END)) AS n_add_on_tickets,
count(*) FILTER (WHERE ((t."priority" = 'urgent') AND (t."status" IN ('new', 'open', 'pending', 'hold')))) AS n_urgent_open FROM "ticket" t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL GROUP BY t.account_uid
;

-- of_ticket_metrics
SELECT t.account_uid, (CAST(min(t."full_resolution_business_minutes") FILTER (WHERE 2 * t.place_resolution_minutes BETWEEN t.many_resolution_minutes AND t.many_resolution_minutes + 2) AS REAL) + CAST(max(t."full_resolution_business_minutes") FILTER (WHERE 2 * t.place_resolution_minutes BETWEEN t.many_resolution_minutes AND t.many_resolution_minutes + 2) AS REAL)) / 2.0 AS v_resolution_minutes,
count(*) FILTER (WHERE t."solved_at" >= '2026-08-22T15:00:00' AND
t."solved_at" < '2026-11-20T15:00:00' AND (t."full_resolution_business_minutes" IS NOT NULL)) AS n_solved_90d FROM (SELECT t.*,
CASE WHEN (t."solved_at" >= '2026-08-22T15:00:00' AND t."solved_at" < '2026-11-20T15:00:00') AND
t."full_resolution_business_minutes" IS NOT NULL THEN row_number() OVER (PARTITION BY t.account_uid, CASE WHEN (t."solved_at" >= '2026-08-22T15:00:00' AND t."solved_at" < '2026-11-20T15:00:00') AND t."full_resolution_business_minutes" IS NOT NULL THEN 1 ELSE 0 END ORDER BY t."full_resolution_business_minutes", t.connection, t.source_id) END AS place_resolution_minutes,
CASE WHEN (t."solved_at" >= '2026-08-22T15:00:00' AND t."solved_at" < '2026-11-20T15:00:00') AND
t."full_resolution_business_minutes" IS NOT NULL THEN count(*) OVER (PARTITION BY t.account_uid, CASE WHEN (t."solved_at" >= '2026-08-22T15:00:00' AND t."solved_at" < '2026-11-20T15:00:00') AND t."full_resolution_business_minutes" IS NOT NULL THEN 1 ELSE 0 END) END AS many_resolution_minutes FROM (SELECT t.*, j0."solved_at" AS "solved_at" FROM "ticket_metric" t LEFT JOIN "ticket" j0 ON j0.connection = t.connection AND j0.source_id = t."ticket_source_id" AND j0.deleted_at IS NULL AND j0.account_uid = t.account_uid) t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND t."solved_at" >= '2026-08-22T15:00:00') t GROUP BY t.account_uid
;

-- of_surveys
SELECT t.account_uid, count(*) FILTER (WHERE t.place_nps_answers = 1) AS n_nps_answers,
count(*) FILTER (WHERE t.place_nps_detractors = 1 AND (t."score" <= 6)) AS n_nps_detractors,
count(*) FILTER (WHERE t.place_nps_promoters = 1 AND (t."score" >= 9)) AS n_nps_promoters,
count(*) FILTER (WHERE t.place_promoters_who_decide = 1 AND (t."score" >= 9)) AS n_promoters_who_decide FROM (SELECT t.*,
CASE WHEN (t."responded_at" >= '2026-05-24T15:00:00' AND t."responded_at" < '2026-11-20T15:00:00' AND ((t."kind" = 'nps') AND (t."score" IS NOT NULL))) AND
t."responded_at" IS NOT NULL THEN CASE WHEN t."contact_source_id" IS NULL THEN 1 ELSE row_number() OVER (PARTITION BY t.account_uid, t.connection, t."contact_source_id", CASE WHEN (t."responded_at" >= '2026-05-24T15:00:00' AND t."responded_at" < '2026-11-20T15:00:00' AND ((t."kind" = 'nps') AND (t."score" IS NOT NULL))) AND t."responded_at" IS NOT NULL THEN 1 ELSE 0 END ORDER BY t."responded_at" DESC, t.source_id) END END AS place_nps_answers,
CASE WHEN (t."responded_at" >= '2026-05-24T15:00:00' AND t."responded_at" < '2026-11-20T15:00:00' AND ((t."kind" = 'nps') AND (t."score" IS NOT NULL))) AND
t."responded_at" IS NOT NULL THEN CASE WHEN t."contact_source_id" IS NULL THEN 1 ELSE row_number() OVER (PARTITION BY t.account_uid, t.connection, t."contact_source_id", CASE WHEN (t."responded_at" >= '2026-05-24T15:00:00' AND t."responded_at" < '2026-11-20T15:00:00' AND ((t."kind" = 'nps') AND (t."score" IS NOT NULL))) AND t."responded_at" IS NOT NULL THEN 1 ELSE 0 END ORDER BY t."responded_at" DESC, t.source_id) END END AS place_nps_detractors,
CASE WHEN (t."responded_at" >= '2026-05-24T15:00:00' AND t."responded_at" < '2026-11-20T15:00:00' AND ((t."kind" = 'nps') AND (t."score" IS NOT NULL))) AND
t."responded_at" IS NOT NULL THEN CASE WHEN t."contact_source_id" IS NULL THEN 1 ELSE row_number() OVER (PARTITION BY t.account_uid, t.connection, t."contact_source_id", CASE WHEN (t."responded_at" >= '2026-05-24T15:00:00' AND t."responded_at" < '2026-11-20T15:00:00' AND ((t."kind" = 'nps') AND (t."score" IS NOT NULL))) AND t."responded_at" IS NOT NULL THEN 1 ELSE 0 END ORDER BY t."responded_at" DESC, t.source_id) END END AS place_nps_promoters,
CASE WHEN (t."responded_at" >= '2026-05-24T15:00:00' AND t."responded_at" < '2026-11-20T15:00:00' AND ((t."kind" = 'nps') AND (t."score" IS NOT NULL) AND (t."contact_role" IN ('champion', 'exec_sponsor')))) AND
t."responded_at" IS NOT NULL THEN CASE WHEN t."contact_source_id" IS NULL THEN 1 ELSE row_number() OVER (PARTITION BY t.account_uid, t.connection, t."contact_source_id", CASE WHEN (t."responded_at" >= '2026-05-24T15:00:00' AND t."responded_at" < '2026-11-20T15:00:00' AND ((t."kind" = 'nps') AND (t."score" IS NOT NULL) AND (t."contact_role" IN ('champion', 'exec_sponsor')))) AND t."responded_at" IS NOT NULL THEN 1 ELSE 0 END ORDER BY t."responded_at" DESC, t.source_id) END END AS place_promoters_who_decide FROM (SELECT t.*, j0."role" AS "contact_role" FROM "survey_response" t LEFT JOIN "contact" j0 ON j0.connection = t.connection AND j0.source_id = t."contact_source_id" AND j0.deleted_at IS NULL AND j0.account_uid = t.account_uid) t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND t."responded_at" >= '2026-05-24T15:00:00') t GROUP BY t.account_uid
;

-- of_usage
SELECT a.uid AS account_uid, (SELECT max(t."value") FROM "usage_metric" t WHERE t.account_uid = a.uid AND
t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND coalesce(t.is_complete, 1) = 1 AND
NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE)) AND
t."period_start" BETWEEN '2026-07-24' AND '2026-11-20' AND (t."metric" = 'checklist_done')) AS v_checklist_done,
(SELECT max(t."value") FROM "usage_metric" t WHERE t.account_uid = a.uid AND
t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND coalesce(t.is_complete, 1) = 1 AND
NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE)) AND
t."period_start" BETWEEN '2026-07-24' AND '2026-11-20' AND (t."metric" = 'checklist_items')) AS v_checklist_items,
(SELECT count(DISTINCT t."metric") FROM "usage_metric" t WHERE t.account_uid = a.uid AND
t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND coalesce(t.is_complete, 1) = 1 AND
NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE)) AND
t."period_start" BETWEEN '2026-10-24' AND '2026-11-20' AND ((CASE WHEN t."metric" IS NOT NULL THEN 0 END) AND (t."value" > 0))) AS v_core_features_used,
(SELECT min(t."period_start") FROM "usage_metric" t WHERE t.account_uid = a.uid AND
t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND coalesce(t.is_complete, 1) = 1 AND
NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE)) AND
((t."metric" = 'active_users') AND (t."value" > 0))) AS v_first_used_on,
(SELECT min(t."period_start") FROM "usage_metric" t WHERE t.account_uid = a.uid AND
t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND coalesce(t.is_complete, 1) = 1 AND
NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE)) AND
((CASE WHEN t."metric" IS NOT NULL THEN 0 END) AND (t."value" > 0))) AS v_first_value_on,
(SELECT max(t."value") FROM "usage_metric" t WHERE t.account_uid = a.uid AND
t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND coalesce(t.is_complete, 1) = 1 AND
NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE)) AND
t."period_start" BETWEEN '2026-07-10' AND '2026-11-06' AND (t."metric" = 'checklist_done')) AS v_checklist_before,
(SELECT max(t."value") FROM "usage_metric" t WHERE t.account_uid = a.uid AND
t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND coalesce(t.is_complete, 1) = 1 AND
NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE)) AND
t."period_start" BETWEEN '2026-07-24' AND '2026-11-20' AND (t."metric" = 'invited_users')) AS v_invited_users,
(SELECT sum(CAST((CAST((t."value" * 1000 + 0.5) AS INTEGER) - ((t."value" * 1000 + 0.5) < CAST((t."value" * 1000 + 0.5) AS INTEGER))) AS REAL)) FROM "usage_metric" t WHERE t.account_uid = a.uid AND
t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND coalesce(t.is_complete, 1) = 1 AND
NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE)) AND
t."period_start" BETWEEN '2026-10-24' AND '2026-11-20' AND (t."metric" = 'credits')) AS v_credits_28d,
(SELECT count(*) FROM "usage_metric" t WHERE t.account_uid = a.uid AND
t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND coalesce(t.is_complete, 1) = 1 AND
NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE)) AND
t."period_start" BETWEEN '2026-10-24' AND '2026-11-20' AND (t."metric" = 'credits')) AS u_credits_28d,
(SELECT max(t."period_start") FROM "usage_metric" t WHERE t.account_uid = a.uid AND
t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND coalesce(t.is_complete, 1) = 1 AND
NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE)) AND
t."period_start" BETWEEN '2026-10-24' AND '2026-11-20' AND (t."metric" = 'credits')) AS v_credits_seen_on,
(SELECT count(DISTINCT t."metric") FROM "usage_metric" t WHERE t.account_uid = a.uid AND
t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND coalesce(t.is_complete, 1) = 1 AND
NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE)) AND
t."period_start" BETWEEN '2026-10-24' AND '2026-11-20' AND ((substr(t."metric", 1, 11) = 'department:') AND (t."value" >= 5))) AS v_departments,
(SELECT max(t."value") FROM "usage_metric" t WHERE t.account_uid = a.uid AND
t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND coalesce(t.is_complete, 1) = 1 AND
NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE)) AND
t."period_start" BETWEEN '2026-09-25' AND '2026-10-22' AND (t."metric" = 'active_users')) AS v_peak_4_weeks_before,
(SELECT max(t."value") FROM "usage_metric" t WHERE t.account_uid = a.uid AND
t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND coalesce(t.is_complete, 1) = 1 AND
NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE)) AND
t."period_start" BETWEEN '2026-10-23' AND '2026-11-19' AND (t."metric" = 'active_users')) AS v_peak_last_4_weeks,
(SELECT max(t."value") FROM "usage_metric" t WHERE t.account_uid = a.uid AND
t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND coalesce(t.is_complete, 1) = 1 AND
NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE)) AND
t."period_start" BETWEEN '2026-11-13' AND '2026-11-19' AND (t."metric" = 'active_users')) AS v_peak_last_week,
(SELECT max(t."value") FROM "usage_metric" t WHERE t.account_uid = a.uid AND
t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND coalesce(t.is_complete, 1) = 1 AND
NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE)) AND
t."period_start" BETWEEN '2026-11-06' AND '2026-11-12' AND (t."metric" = 'active_users')) AS v_peak_week_before FROM account a
;

-- of_contracts
SELECT t.account_uid, min(t."start_date") FILTER (WHERE ((t."status" IS NULL) OR (t."status" <> 'draft'))) AS v_first_term_on FROM "contract" t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL GROUP BY t.account_uid
;

-- of_opportunities_by_event
SELECT t.account_uid, t.event, max(t."loss_reason") FILTER (WHERE t.place_notice_reason = 1) AS v_notice_reason,
max(t."stage") FILTER (WHERE t.place_renewal_stage = 1) AS v_renewal_stage,
max(t."close_date") FILTER (WHERE ((t."type" = 'renewal') AND t."is_won" AND (CAST(julianday('2026-11-20') - julianday(t."close_date") AS INTEGER) <= 180))) AS v_renewal_won_on,
count(*) FILTER (WHERE ((t."type" = 'renewal') AND ((t."is_closed" IS NULL) OR (NOT t."is_closed")) AND (t."stage" IN ('commit', 'committed', 'negotiation', 'Negotiation/Review', 'contractsent', 'closedwon', 'Closed Won')))) AS n_renewals_committed,
count(*) FILTER (WHERE ((t."type" = 'renewal') AND ((t."is_closed" IS NULL) OR (NOT t."is_closed")))) AS n_renewals_open,
count(*) FILTER (WHERE ((t."type" = 'renewal') AND t."is_won" AND (CAST(julianday('2026-11-20') - julianday(t."close_date") AS INTEGER) <= 180))) AS n_renewals_won_180d FROM (SELECT t.*,
CASE WHEN (((t."type" IN ('renewal', 'downsell')) AND t."is_closed" AND (NOT t."is_won"))) AND
t."close_date" IS NOT NULL AND t."loss_reason" IS NOT NULL THEN row_number() OVER (PARTITION BY t.account_uid, t.event, CASE WHEN (((t."type" IN ('renewal', 'downsell')) AND t."is_closed" AND (NOT t."is_won"))) AND t."close_date" IS NOT NULL AND t."loss_reason" IS NOT NULL THEN 1 ELSE 0 END ORDER BY t."close_date" DESC, t.connection, t.source_id) END AS place_notice_reason,
CASE WHEN (((t."type" = 'renewal') AND ((t."is_closed" IS NULL) OR (NOT t."is_closed")))) AND
t."close_date" IS NOT NULL AND t."stage" IS NOT NULL THEN row_number() OVER (PARTITION BY t.account_uid, t.event, CASE WHEN (((t."type" = 'renewal') AND ((t."is_closed" IS NULL) OR (NOT t."is_closed")))) AND t."close_date" IS NOT NULL AND t."stage" IS NOT NULL THEN 1 ELSE 0 END ORDER BY t."close_date" DESC, t.connection, t.source_id) END AS place_renewal_stage FROM (SELECT t.*, coalesce(d.event, 1) AS event FROM "opportunity" t LEFT JOIN event_deal d ON d.connection = t.connection AND d.source_id = t.source_id) t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL) t GROUP BY t.account_uid, t.event
;

-- of_contacts
SELECT t.account_uid, max(t."left_company_at") FILTER (WHERE ((t."role" = 'champion') AND (CAST(julianday('2026-11-20') - julianday(date(substr(t."left_company_at", 1, 19), '+540 minutes')) AS INTEGER) >= 0))) AS v_champion_left_on,
count(*) FILTER (WHERE ((t."role" = 'champion') AND (date(substr(t."left_company_at", 1, 19), '+540 minutes') IS NULL) AND ((t."is_active" IS NULL) OR t."is_active"))) AS n_champions,
count(*) FILTER (WHERE ((t."role" = 'exec_sponsor') AND (date(substr(t."left_company_at", 1, 19), '+540 minutes') IS NULL) AND ((t."is_active" IS NULL) OR t."is_active"))) AS n_sponsors,
count(*) FILTER (WHERE ((t."role" = 'champion') AND ((CAST(julianday('2026-11-20') - julianday(date(substr(t."left_company_at", 1, 19), '+540 minutes')) AS INTEGER) BETWEEN 0 AND 180) OR ((date(substr(t."left_company_at", 1, 19), '+540 minutes') IS NULL) AND (NOT t."is_active"))))) AS n_champions_left_180d,
count(*) FILTER (WHERE ((t."role" IN ('champion', 'exec_sponsor')) AND ((CAST(julianday('2026-11-20') - julianday(date(substr(t."left_company_at", 1, 19), '+540 minutes')) AS INTEGER) BETWEEN 0 AND 30) OR ((date(substr(t."left_company_at", 1, 19), '+540 minutes') IS NULL) AND (NOT t."is_active") AND (CAST(julianday('2026-11-20') - julianday(date(substr(t."updated_at", 1, 19), '+540 minutes')) AS INTEGER) BETWEEN 0 AND 30))))) AS n_people_left_30d,
max(t."left_company_at") FILTER (WHERE ((t."role" IN ('champion', 'exec_sponsor')) AND (CAST(julianday('2026-11-20') - julianday(date(substr(t."left_company_at", 1, 19), '+540 minutes')) AS INTEGER) >= 0))) AS v_person_left_on,
count(*) FILTER (WHERE ((t."role" = 'exec_sponsor') AND ((CAST(julianday('2026-11-20') - julianday(date(substr(t."left_company_at", 1, 19), '+540 minutes')) AS INTEGER) BETWEEN 0 AND 180) OR ((date(substr(t."left_company_at", 1, 19), '+540 minutes') IS NULL) AND (NOT t."is_active"))))) AS n_sponsors_left_180d FROM "contact" t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL GROUP BY t.account_uid
;

-- of_usage_events
SELECT t.account_uid, count(*) FILTER (WHERE t."at" >= '2026-11-13T15:00:00' AND
t."at" < '2026-11-20T15:00:00' AND ((t."name" IN ('bulk_export', 'api_key_deleted')) AND ((t."actor_role" IS NULL) OR (t."actor_role" = 'admin')))) AS n_sensitive_7d,
count(*) FILTER (WHERE t."at" >= '2026-08-21T15:00:00' AND t."at" < '2026-11-13T15:00:00' AND
((t."name" IN ('bulk_export', 'api_key_deleted')) AND ((t."actor_role" IS NULL) OR (t."actor_role" = 'admin')))) AS n_sensitive_before,
count(*) FILTER (WHERE t."at" >= '2026-10-21T15:00:00' AND t."at" < '2026-11-20T15:00:00' AND
(t."name" IN ('limit_reached', 'feature_gate'))) AS n_limit_hits_30d,
count(DISTINCT t."actor") FILTER (WHERE t."at" >= '2026-10-21T15:00:00' AND
t."at" < '2026-11-20T15:00:00' AND (t."name" IN ('limit_reached', 'feature_gate'))) AS v_limit_users_30d FROM "usage_event" t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND t."at" >= '2026-08-21T15:00:00' GROUP BY t.account_uid
;

-- of_feature_requests
SELECT t.account_uid, count(*) FILTER (WHERE t."requested_at" >= '2026-09-21T15:00:00' AND
t."requested_at" < '2026-11-20T15:00:00' AND (CASE WHEN t."topic" IS NOT NULL THEN 0 END)) AS n_add_on_requests,
count(*) FILTER (WHERE ((t."status" = 'shipped') AND (CAST(julianday('2026-11-20') - julianday(date(substr(t."shipped_at", 1, 19), '+540 minutes')) AS INTEGER) BETWEEN 0 AND 30))) AS n_shipped_30d,
max(t."shipped_at") FILTER (WHERE ((t."status" = 'shipped') AND (CAST(julianday('2026-11-20') - julianday(date(substr(t."shipped_at", 1, 19), '+540 minutes')) AS INTEGER) BETWEEN 0 AND 30))) AS v_shipped_on,
max(t."topic") FILTER (WHERE t.place_shipped_topic = 1) AS v_shipped_topic FROM (SELECT t.*,
CASE WHEN (((t."status" = 'shipped') AND (CAST(julianday('2026-11-20') - julianday(date(substr(t."shipped_at", 1, 19), '+540 minutes')) AS INTEGER) BETWEEN 0 AND 30))) AND
t."requested_at" IS NOT NULL AND t."topic" IS NOT NULL THEN row_number() OVER (PARTITION BY t.account_uid, CASE WHEN (((t."status" = 'shipped') AND (CAST(julianday('2026-11-20') - julianday(date(substr(t."shipped_at", 1, 19), '+540 minutes')) AS INTEGER) BETWEEN 0 AND 30))) AND t."requested_at" IS NOT NULL AND t."topic" IS NOT NULL THEN 1 ELSE 0 END ORDER BY t."requested_at" DESC, t.connection, t.source_id) END AS place_shipped_topic FROM "feature_request" t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL) t GROUP BY t.account_uid
;

-- list_champion_ids
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) || coalesce(', ' || max(CASE WHEN p.place = 2 THEN p.value END),
'') || coalesce(', ' || max(CASE WHEN p.place = 3 THEN p.value END),
'') AS value FROM (SELECT c.*, row_number() OVER (PARTITION BY c.account_uid ORDER BY c.times DESC, c.value) AS place FROM (SELECT t.account_uid, t."source_id" AS value, count(*) AS times FROM "contact" t WHERE t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND CASE WHEN ((t."role" = 'champion') AND (date(substr(t."left_company_at", 1, 19), '+540 minutes') IS NULL) AND ((t."is_active" IS NULL) OR t."is_active")) THEN 1 ELSE 0 END = 1 AND t."source_id" IS NOT NULL GROUP BY t.account_uid, t."source_id") c) p WHERE p.place <= 3 GROUP BY p.account_uid
;

-- list_sponsor_ids
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) || coalesce(', ' || max(CASE WHEN p.place = 2 THEN p.value END),
'') || coalesce(', ' || max(CASE WHEN p.place = 3 THEN p.value END),
'') AS value FROM (SELECT c.*, row_number() OVER (PARTITION BY c.account_uid ORDER BY c.times DESC, c.value) AS place FROM (SELECT t.account_uid, t."source_id" AS value, count(*) AS times FROM "contact" t WHERE t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND CASE WHEN ((t."role" = 'exec_sponsor') AND (date(substr(t."left_company_at", 1, 19), '+540 minutes') IS NULL) AND ((t."is_active" IS NULL) OR t."is_active")) THEN 1 ELSE 0 END = 1 AND t."source_id" IS NOT NULL GROUP BY t.account_uid, t."source_id") c) p WHERE p.place <= 3 GROUP BY p.account_uid
;

-- list_left_roles_30d
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) || coalesce(', ' || max(CASE WHEN p.place = 2 THEN p.value END),
'') AS value FROM (SELECT c.*, row_number() OVER (PARTITION BY c.account_uid ORDER BY c.times DESC, c.value) AS place FROM (SELECT t.account_uid, t."role" AS value, count(*) AS times FROM "contact" t WHERE t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND CASE WHEN ((t."role" IN ('champion', 'exec_sponsor')) AND ((CAST(julianday('2026-11-20') - julianday(date(substr(t."left_company_at", 1, 19), '+540 minutes')) AS INTEGER) BETWEEN 0 AND 30) OR ((date(substr(t."left_company_at", 1, 19), '+540 minutes') IS NULL) AND (NOT t."is_active") AND (CAST(julianday('2026-11-20') - julianday(date(substr(t."updated_at", 1, 19), '+540 minutes')) AS INTEGER) BETWEEN 0 AND 30)))) THEN 1 ELSE 0 END = 1 AND t."role" IS NOT NULL GROUP BY t.account_uid, t."role") c) p WHERE p.place <= 2 GROUP BY p.account_uid
;

-- list_core_features_unused
SELECT t.account_uid, NULL AS value FROM "usage_metric" t WHERE 0
;

-- list_department_names
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) || coalesce(', ' || max(CASE WHEN p.place = 2 THEN p.value END),
'') || coalesce(', ' || max(CASE WHEN p.place = 3 THEN p.value END),
'') AS value FROM (SELECT c.*, row_number() OVER (PARTITION BY c.account_uid ORDER BY c.times DESC, c.value) AS place FROM (SELECT t.account_uid, t."metric" AS value, count(*) AS times FROM "usage_metric" t WHERE t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND coalesce(t.is_complete, 1) = 1 AND NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE)) AND t."period_start" BETWEEN '2026-10-24' AND '2026-11-20' AND ((substr(t."metric", 1, 11) = 'department:') AND (t."value" >= 5)) AND t."metric" IS NOT NULL GROUP BY t.account_uid, t."metric") c) p WHERE p.place <= 3 GROUP BY p.account_uid
;

-- list_common_category
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) AS value FROM (SELECT c.*,
row_number() OVER (PARTITION BY c.account_uid ORDER BY c.times DESC, c.value) AS place FROM (SELECT t.account_uid, t."category" AS value, count(*) AS times FROM "ticket" t WHERE t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t."opened_at" >= '2026-10-21T15:00:00' AND t."opened_at" < '2026-11-20T15:00:00' AND t."category" IS NOT NULL GROUP BY t.account_uid, t."category") c) p WHERE p.place <= 1 GROUP BY p.account_uid
;

-- list_urgent_ids_30d
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) || coalesce(', ' || max(CASE WHEN p.place = 2 THEN p.value END),
'') || coalesce(', ' || max(CASE WHEN p.place = 3 THEN p.value END),
'') AS value FROM (SELECT t.account_uid, t."source_id" AS value,
CASE WHEN t."opened_at" IS NULL THEN 0 ELSE 1 END AS dated, row_number() OVER (PARTITION BY t.account_uid, CASE WHEN t."opened_at" IS NULL THEN 0 ELSE 1 END ORDER BY t."opened_at" DESC, t.connection, t.source_id) AS place FROM "ticket" t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND t."opened_at" >= '2026-10-21T15:00:00' AND
t."opened_at" < '2026-11-20T15:00:00' AND (t."priority" = 'urgent') AND
t."source_id" IS NOT NULL) p WHERE p.dated = 1 AND p.place <= 3 GROUP BY p.account_uid
;

-- list_leaving_ids_30d
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) || coalesce(', ' || max(CASE WHEN p.place = 2 THEN p.value END),
'') || coalesce(', ' || max(CASE WHEN p.place = 3 THEN p.value END),
'') AS value FROM (SELECT t.account_uid, t."source_id" AS value,
CASE WHEN t."opened_at" IS NULL THEN 0 ELSE 1 END AS dated, row_number() OVER (PARTITION BY t.account_uid, CASE WHEN t."opened_at" IS NULL THEN 0 ELSE 1 END ORDER BY t."opened_at" DESC, t.connection, t.source_id) AS place FROM "ticket" t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND t."opened_at" >= '2026-10-21T15:00:00' AND
t."opened_at" < '2026-11-20T15:00:00' AND ((instr(lower(t."subject"), 'cancel') > 0) OR (instr(lower(t."subject"), 'downgrade') > 0) OR (CASE WHEN instr(lower(t."subject"), 'downgrading') = 0 THEN 0 ELSE (' ' || lower(t."subject") || ' ' GLOB '*[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]downgrading[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]*') END) OR (CASE WHEN instr(lower(t."subject"), 'terminat') = 0 THEN 0 ELSE (' ' || lower(t."subject") || ' ' GLOB '*[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]terminat*') END) OR (CASE WHEN instr(lower(t."subject"), 'switch to another') = 0 THEN 0 ELSE (' ' || lower(t."subject") || ' ' GLOB '*[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]switch to another[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]*') END) OR (CASE WHEN instr(lower(t."subject"), 'fewer seats') = 0 THEN 0 ELSE (' ' || lower(t."subject") || ' ' GLOB '*[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]fewer seats[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]*') END) OR (instr(lower(t."subject"), '解約') > 0) OR (instr(lower(t."subject"), '退会') > 0) OR (instr(lower(t."subject"), 'ダウングレード') > 0) OR (instr(lower(t."subject"), '乗り換え') > 0) OR (instr(lower(t."subject"), 'プラン変更') > 0) OR (instr(lower(t."subject"), '席数を減') > 0) OR (instr(lower(t."subject"), '契約終了') > 0)) AND
t."source_id" IS NOT NULL) p WHERE p.dated = 1 AND p.place <= 3 GROUP BY p.account_uid
;

-- list_leaving_phrases_30d
SELECT p.account_uid, CASE p.p1 WHEN 1 THEN 'cancel' WHEN 2 THEN 'downgrade' WHEN 3 THEN 'downgrading' WHEN 4 THEN 'terminat' WHEN 5 THEN 'switch to another' WHEN 6 THEN 'fewer seats' WHEN 7 THEN '解約' WHEN 8 THEN '退会' WHEN 9 THEN 'ダウングレード' WHEN 10 THEN '乗り換え' WHEN 11 THEN 'プラン変更' WHEN 12 THEN '席数を減' WHEN 13 THEN '契約終了' END || coalesce(', ' || CASE p.p2 WHEN 1 THEN 'cancel' WHEN 2 THEN 'downgrade' WHEN 3 THEN 'downgrading' WHEN 4 THEN 'terminat' WHEN 5 THEN 'switch to another' WHEN 6 THEN 'fewer seats' WHEN 7 THEN '解約' WHEN 8 THEN '退会' WHEN 9 THEN 'ダウングレード' WHEN 10 THEN '乗り換え' WHEN 11 THEN 'プラン変更' WHEN 12 THEN '席数を減' WHEN 13 THEN '契約終了' END,
'') || coalesce(', ' || CASE p.p3 WHEN 1 THEN 'cancel' WHEN 2 THEN 'downgrade' WHEN 3 THEN 'downgrading' WHEN 4 THEN 'terminat' WHEN 5 THEN 'switch to another' WHEN 6 THEN 'fewer seats' WHEN 7 THEN '解約' WHEN 8 THEN '退会' WHEN 9 THEN 'ダウングレード' WHEN 10 THEN '乗り換え' WHEN 11 THEN 'プラン変更' WHEN 12 THEN '席数を減' WHEN 13 THEN '契約終了' END,
'') || CASE WHEN p.p4 <= 13 THEN ', ...' ELSE '' END AS value FROM (SELECT p.*,
p.p3 + instr(substr(p.ended, p.p3 + 1), '1') AS p4 FROM (SELECT p.*, p.p2 + instr(substr(p.ended, p.p2 + 1), '1') AS p3 FROM (SELECT p.*, p.p1 + instr(substr(p.ended, p.p1 + 1), '1') AS p2 FROM (SELECT p.*, 0 + instr(substr(p.ended, 0 + 1), '1') AS p1 FROM (SELECT m.*, m.marks || '1111' AS ended FROM (SELECT v.account_uid, max(CASE WHEN (instr(v.value, 'cancel') > 0) THEN '1' ELSE '0' END) || max(CASE WHEN (instr(v.value, 'downgrade') > 0) THEN '1' ELSE '0' END) || max(CASE WHEN (CASE WHEN instr(v.value, 'downgrading') = 0 THEN 0 ELSE (' ' || v.value || ' ' GLOB '*[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]downgrading[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]*') END) THEN '1' ELSE '0' END) || max(CASE WHEN (CASE WHEN instr(v.value, 'terminat') = 0 THEN 0 ELSE (' ' || v.value || ' ' GLOB '*[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]terminat*') END) THEN '1' ELSE '0' END) || max(CASE WHEN (CASE WHEN instr(v.value, 'switch to another') = 0 THEN 0 ELSE (' ' || v.value || ' ' GLOB '*[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]switch to another[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]*') END) THEN '1' ELSE '0' END) || max(CASE WHEN (CASE WHEN instr(v.value, 'fewer seats') = 0 THEN 0 ELSE (' ' || v.value || ' ' GLOB '*[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]fewer seats[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]*') END) THEN '1' ELSE '0' END) || max(CASE WHEN (instr(v.value, '解約') > 0) THEN '1' ELSE '0' END) || max(CASE WHEN (instr(v.value, '退会') > 0) THEN '1' ELSE '0' END) || max(CASE WHEN (instr(v.value, 'ダウングレード') > 0) THEN '1' ELSE '0' END) || max(CASE WHEN (instr(v.value, '乗り換え') > 0) THEN '1' ELSE '0' END) || max(CASE WHEN (instr(v.value, 'プラン変更') > 0) THEN '1' ELSE '0' END) || max(CASE WHEN (instr(v.value, '席数を減') > 0) THEN '1' ELSE '0' END) || max(CASE WHEN (instr(v.value, '契約終了') > 0) THEN '1' ELSE '0' END) AS marks FROM (SELECT DISTINCT t.account_uid, lower(t."subject") AS value FROM "ticket" t WHERE t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t."opened_at" >= '2026-10-21T15:00:00' AND t."opened_at" < '2026-11-20T15:00:00' AND t."subject" IS NOT NULL AND ((instr(lower(t."subject"), 'cancel') > 0) OR (instr(lower(t."subject"), 'downgrade') > 0) OR (CASE WHEN instr(lower(t."subject"), 'downgrading') = 0 THEN 0 ELSE (' ' || lower(t."subject") || ' ' GLOB '*[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]downgrading[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]*') END) OR (CASE WHEN instr(lower(t."subject"), 'terminat') = 0 THEN 0 ELSE (' ' || lower(t."subject") || ' ' GLOB '*[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]terminat*') END) OR (CASE WHEN instr(lower(t."subject"), 'switch to another') = 0 THEN 0 ELSE (' ' || lower(t."subject") || ' ' GLOB '*[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]switch to another[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]*') END) OR (CASE WHEN instr(lower(t."subject"), 'fewer seats') = 0 THEN 0 ELSE (' ' || lower(t."subject") || ' ' GLOB '*[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]fewer seats[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]*') END) OR (instr(lower(t."subject"), '解約') > 0) OR (instr(lower(t."subject"), '退会') > 0) OR (instr(lower(t."subject"), 'ダウングレード') > 0) OR (instr(lower(t."subject"), '乗り換え') > 0) OR (instr(lower(t."subject"), 'プラン変更') > 0) OR (instr(lower(t."subject"), '席数を減') > 0) OR (instr(lower(t."subject"), '契約終了') > 0))) v GROUP BY v.account_uid) m) p) p) p) p) p
;

-- list_reopened_ids_30d
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) || coalesce(', ' || max(CASE WHEN p.place = 2 THEN p.value END),
'') || coalesce(', ' || max(CASE WHEN p.place = 3 THEN p.value END),
'') AS value FROM (SELECT t.account_uid, t."source_id" AS value,
CASE WHEN t."opened_at" IS NULL THEN 0 ELSE 1 END AS dated, row_number() OVER (PARTITION BY t.account_uid, CASE WHEN t."opened_at" IS NULL THEN 0 ELSE 1 END ORDER BY t."opened_at" DESC, t.connection, t.source_id) AS place FROM "ticket" t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND CASE WHEN ((t."reopened_count" > 0) AND ((CAST(julianday('2026-11-20') - julianday(date(substr(t."reopened_at", 1, 19), '+540 minutes')) AS INTEGER) BETWEEN 0 AND 29) OR (CAST(julianday('2026-11-20') - julianday(date(substr(t."opened_at", 1, 19), '+540 minutes')) AS INTEGER) BETWEEN 0 AND 29))) THEN 1 ELSE 0 END = 1 AND
t."source_id" IS NOT NULL) p WHERE p.dated = 1 AND p.place <= 3 GROUP BY p.account_uid
;

-- list_urgent_ids_48h
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) || coalesce(', ' || max(CASE WHEN p.place = 2 THEN p.value END),
'') || coalesce(', ' || max(CASE WHEN p.place = 3 THEN p.value END),
'') AS value FROM (SELECT t.account_uid, t."source_id" AS value,
CASE WHEN t."opened_at" IS NULL THEN 0 ELSE 1 END AS dated, row_number() OVER (PARTITION BY t.account_uid, CASE WHEN t."opened_at" IS NULL THEN 0 ELSE 1 END ORDER BY t."opened_at" DESC, t.connection, t.source_id) AS place FROM "ticket" t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND CASE WHEN t."opened_at" <= '2026-11-18T02:59:59Z' AND
((t."priority" = 'urgent') AND (t."status" IN ('new', 'open', 'pending', 'hold'))) THEN 1 ELSE 0 END = 1 AND
t."source_id" IS NOT NULL) p WHERE p.dated = 1 AND p.place <= 3 GROUP BY p.account_uid
;

-- list_add_on_ticket_ids
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) || coalesce(', ' || max(CASE WHEN p.place = 2 THEN p.value END),
'') || coalesce(', ' || max(CASE WHEN p.place = 3 THEN p.value END),
'') AS value FROM (SELECT t.account_uid, t."source_id" AS value,
CASE WHEN t."opened_at" IS NULL THEN 0 ELSE 1 END AS dated, row_number() OVER (PARTITION BY t.account_uid, CASE WHEN t."opened_at" IS NULL THEN 0 ELSE 1 END ORDER BY t."opened_at" DESC, t.connection, t.source_id) AS place FROM "ticket" t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND t."opened_at" >= '2026-09-21T15:00:00' AND
t."opened_at" < '2026-11-20T15:00:00' AND (CASE WHEN t."subject" IS NOT NULL THEN 0 END) AND
t."source_id" IS NOT NULL) p WHERE p.dated = 1 AND p.place <= 3 GROUP BY p.account_uid
;

-- list_seat_lines_30d
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) || coalesce(', ' || max(CASE WHEN p.place = 2 THEN p.value END),
'') || coalesce(', ' || max(CASE WHEN p.place = 3 THEN p.value END),
'') AS value FROM (SELECT c.*, row_number() OVER (PARTITION BY c.account_uid ORDER BY c.times DESC, c.value) AS place FROM (SELECT t.account_uid, t."source_id" AS value, count(*) AS times FROM "contract_line" t WHERE t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND CASE WHEN ((t."unit" = 'seat') AND ((CAST(julianday('2026-11-20') - julianday(date(substr(t."updated_at", 1, 19), '+540 minutes')) AS INTEGER) BETWEEN 0 AND 30) OR (CAST(julianday('2026-11-20') - julianday(t."end_date") AS INTEGER) BETWEEN 0 AND 30))) THEN 1 ELSE 0 END = 1 AND t."source_id" IS NOT NULL GROUP BY t.account_uid, t."source_id") c) p WHERE p.place <= 3 GROUP BY p.account_uid
;

-- list_sensitive_names
SELECT p.account_uid, CASE p.p1 WHEN 1 THEN 'bulk_export' WHEN 2 THEN 'api_key_deleted' END || coalesce(', ' || CASE p.p2 WHEN 1 THEN 'bulk_export' WHEN 2 THEN 'api_key_deleted' END,
'') || coalesce(', ' || CASE p.p3 WHEN 1 THEN 'bulk_export' WHEN 2 THEN 'api_key_deleted' END,
'') || CASE WHEN p.p4 <= 2 THEN ', ...' ELSE '' END AS value FROM (SELECT p.*,
p.p3 + instr(substr(p.ended, p.p3 + 1), '1') AS p4 FROM (SELECT p.*, p.p2 + instr(substr(p.ended, p.p2 + 1), '1') AS p3 FROM (SELECT p.*, p.p1 + instr(substr(p.ended, p.p1 + 1), '1') AS p2 FROM (SELECT p.*, 0 + instr(substr(p.ended, 0 + 1), '1') AS p1 FROM (SELECT m.*, m.marks || '1111' AS ended FROM (SELECT v.account_uid, max(CASE WHEN v.value = 'bulk_export' THEN '1' ELSE '0' END) || max(CASE WHEN v.value = 'api_key_deleted' THEN '1' ELSE '0' END) AS marks FROM (SELECT DISTINCT t.account_uid, t."name" AS value FROM "usage_event" t WHERE t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t."at" >= '2026-11-13T15:00:00' AND t."at" < '2026-11-20T15:00:00' AND ((t."actor_role" IS NULL) OR (t."actor_role" = 'admin')) AND t."name" IS NOT NULL AND t."name" IN ('bulk_export', 'api_key_deleted')) v GROUP BY v.account_uid) m) p) p) p) p) p
;

-- list_limit_names
SELECT p.account_uid, CASE p.p1 WHEN 1 THEN 'limit_reached' WHEN 2 THEN 'feature_gate' END || coalesce(', ' || CASE p.p2 WHEN 1 THEN 'limit_reached' WHEN 2 THEN 'feature_gate' END,
'') || coalesce(', ' || CASE p.p3 WHEN 1 THEN 'limit_reached' WHEN 2 THEN 'feature_gate' END,
'') || CASE WHEN p.p4 <= 2 THEN ', ...' ELSE '' END AS value FROM (SELECT p.*,
p.p3 + instr(substr(p.ended, p.p3 + 1), '1') AS p4 FROM (SELECT p.*, p.p2 + instr(substr(p.ended, p.p2 + 1), '1') AS p3 FROM (SELECT p.*, p.p1 + instr(substr(p.ended, p.p1 + 1), '1') AS p2 FROM (SELECT p.*, 0 + instr(substr(p.ended, 0 + 1), '1') AS p1 FROM (SELECT m.*, m.marks || '1111' AS ended FROM (SELECT v.account_uid, max(CASE WHEN v.value = 'limit_reached' THEN '1' ELSE '0' END) || max(CASE WHEN v.value = 'feature_gate' THEN '1' ELSE '0' END) AS marks FROM (SELECT DISTINCT t.account_uid, t."name" AS value FROM "usage_event" t WHERE t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t."at" >= '2026-10-21T15:00:00' AND t."at" < '2026-11-20T15:00:00' AND t."name" IS NOT NULL AND t."name" IN ('limit_reached', 'feature_gate')) v GROUP BY v.account_uid) m) p) p) p) p) p
;

-- list_add_on_request_ids
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) || coalesce(', ' || max(CASE WHEN p.place = 2 THEN p.value END),
'') || coalesce(', ' || max(CASE WHEN p.place = 3 THEN p.value END),
'') AS value FROM (SELECT t.account_uid, t."source_id" AS value,
CASE WHEN t."requested_at" IS NULL THEN 0 ELSE 1 END AS dated,
row_number() OVER (PARTITION BY t.account_uid, CASE WHEN t."requested_at" IS NULL THEN 0 ELSE 1 END ORDER BY t."requested_at" DESC, t.connection, t.source_id) AS place FROM "feature_request" t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND t."requested_at" >= '2026-09-21T15:00:00' AND
t."requested_at" < '2026-11-20T15:00:00' AND (CASE WHEN t."topic" IS NOT NULL THEN 0 END) AND
t."source_id" IS NOT NULL) p WHERE p.dated = 1 AND p.place <= 3 GROUP BY p.account_uid
;

-- touch
WITH base AS MATERIALIZED (SELECT a.uid AS uid, a."csm_uid" AS a_csm_uid,
a."first_contract_date" AS a_first_contract_date, a."locale" AS a_locale,
a."name" AS a_name, a."owner_uid" AS a_owner_uid, a."parent_uid" AS a_parent_uid,
a."touch_tier_override" AS a_touch_tier_override, fact_lines.arr AS f_arr,
coalesce(fact_lines.currency, 'JPY') AS c_arr FROM account a LEFT JOIN fact_lines ON fact_lines.account_uid = a.uid WHERE a.deleted_at IS NULL AND
coalesce(a.is_test, 0) = 0) SELECT b.*, a_touch_tier_override AS tier_override,
a_first_contract_date AS tier_since FROM base b ORDER BY b.uid
;

-- health
WITH held AS (SELECT f.account_uid, json_extract(f.features, '$."measure.csat_score"') AS h_m_csat_score,
json_extract(f.features, '$."measure.payment"') AS h_m_payment FROM feature_row f WHERE f.pack = 'health' AND
f.as_of = (SELECT max(g.as_of) FROM feature_row g WHERE g.account_uid = f.account_uid AND g.pack = 'health' AND g.as_of < '2026-11-20T03:00:00Z')),
base AS MATERIALIZED (SELECT a.uid AS uid, a."csm_sentiment" AS a_csm_sentiment,
a."csm_sentiment_at" AS a_csm_sentiment_at, a."csm_sentiment_by" AS a_csm_sentiment_by,
a."csm_uid" AS a_csm_uid, a."first_contract_date" AS a_first_contract_date,
a."locale" AS a_locale, a."name" AS a_name, a."override_band" AS a_override_band,
a."override_reason" AS a_override_reason, a."override_until" AS a_override_until,
a."owner_uid" AS a_owner_uid, a."status" AS a_status, fact_terms.notice_given AS f_notice_given,
fact_lines.seats AS f_seats, fact_lines.arr AS f_arr, coalesce(fact_lines.currency, 'JPY') AS c_arr,
fact_usage.active_users_28d AS f_active_users_28d, fact_usage.last_active_on AS f_last_active_on,
fact_weeks.usage_recent AS f_usage_recent, fact_weeks.usage_before AS f_usage_before,
fact_weeks.usage_growth AS f_usage_growth, fact_weeks.weeks_left_out AS f_weeks_left_out,
fact_contact.last_contact_on AS f_last_contact_on, fact_contact.last_meeting_on AS f_last_meeting_on,
list_common_category.value AS f_common_category, coalesce(of_tickets.n_tickets_30d, 0) AS f_tickets_30d,
coalesce(of_tickets.n_urgent_over_72h, 0) AS f_urgent_over_72h,
of_ticket_metrics.v_resolution_minutes AS f_resolution_minutes,
coalesce(of_ticket_metrics.n_solved_90d, 0) AS f_solved_90d,
NULL AS f_csat_answers, NULL AS f_csat_good, CASE WHEN of_surveys.n_nps_answers >= 3 THEN coalesce(of_surveys.n_nps_answers, 0) END AS f_nps_answers,
coalesce(of_surveys.n_nps_detractors, 0) AS f_nps_detractors,
coalesce(of_surveys.n_nps_promoters, 0) AS f_nps_promoters, list_core_features_unused.value AS f_core_features_unused,
of_usage.v_checklist_done AS f_checklist_done, of_usage.v_checklist_items AS f_checklist_items,
CASE WHEN EXISTS (SELECT 1 FROM "usage_metric" e WHERE e.deleted_at IS NULL AND e.account_uid = a.uid) THEN coalesce(of_usage.v_core_features_used, 0) END AS f_core_features_used,
of_usage.v_first_used_on AS f_first_used_on, of_usage.v_first_value_on AS f_first_value_on,
of_contracts.v_first_term_on AS f_first_term_on, list_champion_ids.value AS f_champion_ids,
list_sponsor_ids.value AS f_sponsor_ids, date(substr(of_contacts.v_champion_left_on, 1, 19), '+540 minutes') AS f_champion_left_on,
coalesce(of_contacts.n_champions, 0) AS f_champions, coalesce(of_contacts.n_sponsors, 0) AS f_sponsors,
NULL AS f_unpaid_amount, NULL AS f_unpaid_ids, NULL AS f_unpaid_invoices,
NULL AS f_unpaid_since, 'JPY' AS c_unpaid_amount, CASE WHEN r0.value <> 'null' AND
r0.state <> 'stale' THEN replace(replace(substr(r0.value, 2, length(r0.value) - 2), '\"', '"'), '\\', '\') END AS r_touch_tier,
h.band AS h_band, h.yellow_days AS h_yellow_days, h.green_days AS h_green_days,
h.override_band AS h_override_band, h.override_until AS h_override_until,
h.override_since AS h_override_since, h.caps AS h_caps, held.h_m_csat_score AS h_m_csat_score,
held.h_m_payment AS h_m_payment FROM account a LEFT JOIN fact_terms ON fact_terms.account_uid = a.uid LEFT JOIN fact_lines ON fact_lines.account_uid = a.uid LEFT JOIN fact_usage ON fact_usage.account_uid = a.uid LEFT JOIN fact_weeks ON fact_weeks.account_uid = a.uid LEFT JOIN fact_contact ON fact_contact.account_uid = a.uid LEFT JOIN list_common_category ON list_common_category.account_uid = a.uid LEFT JOIN of_tickets ON of_tickets.account_uid = a.uid LEFT JOIN of_ticket_metrics ON of_ticket_metrics.account_uid = a.uid LEFT JOIN of_surveys ON of_surveys.account_uid = a.uid LEFT JOIN list_core_features_unused ON list_core_features_unused.account_uid = a.uid LEFT JOIN of_usage ON of_usage.account_uid = a.uid LEFT JOIN of_contracts ON of_contracts.account_uid = a.uid LEFT JOIN list_champion_ids ON list_champion_ids.account_uid = a.uid LEFT JOIN list_sponsor_ids ON list_sponsor_ids.account_uid = a.uid LEFT JOIN of_contacts ON of_contacts.account_uid = a.uid LEFT JOIN result r0 ON r0.account_uid = a.uid AND
r0.name = 'touch.tier' LEFT JOIN score_state h ON h.account_uid = a.uid AND
h.pack = 'health' AND h.since < '2026-11-20' AND (h.until IS NULL OR h.until >= '2026-11-20') LEFT JOIN held ON held.account_uid = a.uid WHERE a.deleted_at IS NULL AND
coalesce(a.is_test, 0) = 0 AND ((a."status" IS NULL) OR (a."status" IN ('onboarding', 'active', 'notice')))),
formula_1 AS (SELECT b.*, (CAST(f_active_users_28d AS REAL) / NULLIF(f_seats, 0)) AS f_activation,
(CASE WHEN (f_champions = 0) THEN '-' WHEN 1 THEN f_champion_ids END) AS f_champion_list,
(CAST(f_checklist_done AS REAL) / NULLIF(f_checklist_items, 0)) AS f_checklist_share,
CAST(julianday('2026-11-20') - julianday(f_last_contact_on) AS INTEGER) AS f_contact_days,
0 AS f_core_features_named, (CAST(f_csat_good AS REAL) / NULLIF(f_csat_answers, 0)) AS f_csat,
(f_csat_answers - f_csat_good) AS f_csat_bad, (CASE WHEN (a_csm_sentiment_by IS NULL) THEN '-' WHEN 1 THEN a_csm_sentiment_by END) AS f_judged_by,
((f_first_used_on IS NULL) AND (f_active_users_28d = 0)) AS f_never_used,
(CAST((CAST(100 AS REAL) * (f_nps_promoters - f_nps_detractors)) AS REAL) / NULLIF(f_nps_answers, 0)) AS f_nps,
90 AS f_onboarding_days, (CASE WHEN f_unpaid_invoices IS NULL THEN NULL WHEN (f_unpaid_invoices = 0) THEN 0 WHEN 1 THEN CAST(julianday('2026-11-20') - julianday(f_unpaid_since) AS INTEGER) END) AS f_overdue_days,
(CAST(f_resolution_minutes AS REAL) / NULLIF(60, 0)) AS f_resolution_hours,
(CAST(f_active_users_28d AS REAL) / NULLIF(f_seats, 0)) AS f_seat_utilisation,
(CASE WHEN (f_sponsors = 0) THEN '-' WHEN 1 THEN f_sponsor_ids END) AS f_sponsor_list,
(CASE WHEN (a_first_contract_date >= '1990-01-01') THEN a_first_contract_date WHEN 1 THEN f_first_term_on END) AS f_started_on,
(CASE WHEN (f_common_category IS NULL) THEN '-' WHEN 1 THEN f_common_category END) AS f_ticket_topic,
(CAST((CAST(10 AS REAL) * f_tickets_30d) AS REAL) / NULLIF(f_seats, 0)) AS f_tickets_per_10_seats,
0 AS f_value_metrics_named FROM base b), formula_2 AS (SELECT b.*,
CAST(julianday('2026-11-20') - julianday(f_started_on) AS INTEGER) AS f_days_in,
(CAST(f_core_features_used AS REAL) / NULLIF(f_core_features_named, 0)) AS f_feature_breadth,
(CASE WHEN f_never_used THEN 30 WHEN 1 THEN CAST(julianday('2026-11-20') - julianday(f_last_active_on) AS INTEGER) END) AS f_idle_days,
((f_first_value_on >= '1990-01-01') AND (f_activation >= 0.5)) AS f_reached,
(CASE WHEN (f_core_features_used = f_core_features_named) THEN '-' WHEN 1 THEN f_core_features_unused END) AS f_unused_features FROM formula_1 b),
formula_3 AS (SELECT b.*, (CASE WHEN (f_first_value_on >= '1990-01-01') THEN 0 WHEN (f_first_value_on IS NULL) THEN f_days_in END) AS f_days_without_value,
(f_days_in BETWEEN 0 AND f_onboarding_days) AS f_is_onboarding,
(CASE WHEN ((f_tickets_30d = 0) AND (f_idle_days >= 30)) THEN 3.2 WHEN 1 THEN f_tickets_per_10_seats END) AS f_ticket_load FROM formula_2 b),
formula_4 AS (SELECT b.*, (CASE WHEN f_reached THEN 0 WHEN 1 THEN f_is_onboarding END) AS f_still_onboarding FROM formula_3 b),
measured AS MATERIALIZED (SELECT b.*, CASE WHEN f_still_onboarding THEN 'onboarding' ELSE 'standard' END AS model,
CASE WHEN NOT (f_usage_before >= 5) THEN NULL ELSE (CASE WHEN f_usage_growth IS NULL THEN NULL WHEN f_usage_growth <= (-0.4) THEN 0 WHEN f_usage_growth < 0.05 THEN (CAST(((0.0 + (f_usage_growth - (-0.4)) * 100.0 / 0.45) + 0.5) AS INTEGER) - (((0.0 + (f_usage_growth - (-0.4)) * 100.0 / 0.45) + 0.5) < CAST(((0.0 + (f_usage_growth - (-0.4)) * 100.0 / 0.45) + 0.5) AS INTEGER))) ELSE 100 END) END AS m_usage_trend,
CASE WHEN NOT (f_usage_before >= 5) THEN 0 ELSE 1 END AS x_usage_trend,
CASE WHEN NOT (f_seats > 0) THEN NULL ELSE (CASE WHEN f_seat_utilisation IS NULL THEN NULL WHEN f_seat_utilisation <= 0.3 THEN 0 WHEN f_seat_utilisation < 0.85 THEN (CAST(((0.0 + (f_seat_utilisation - 0.3) * 100.0 / 0.55) + 0.5) AS INTEGER) - (((0.0 + (f_seat_utilisation - 0.3) * 100.0 / 0.55) + 0.5) < CAST(((0.0 + (f_seat_utilisation - 0.3) * 100.0 / 0.55) + 0.5) AS INTEGER))) ELSE 100 END) END AS m_seat_use,
CASE WHEN NOT (f_seats > 0) THEN 0 ELSE 1 END AS x_seat_use,
CASE WHEN NOT (f_core_features_named > 0) THEN NULL ELSE (CASE WHEN f_feature_breadth IS NULL THEN NULL WHEN f_feature_breadth <= 0.2 THEN 0 WHEN f_feature_breadth < 0.8 THEN (CAST(((0.0 + (f_feature_breadth - 0.2) * 100.0 / 0.6000000000000001) + 0.5) AS INTEGER) - (((0.0 + (f_feature_breadth - 0.2) * 100.0 / 0.6000000000000001) + 0.5) < CAST(((0.0 + (f_feature_breadth - 0.2) * 100.0 / 0.6000000000000001) + 0.5) AS INTEGER))) ELSE 100 END) END AS m_feature_use,
CASE WHEN NOT (f_core_features_named > 0) THEN 0 ELSE 1 END AS x_feature_use,
(CASE WHEN f_idle_days IS NULL THEN NULL WHEN f_idle_days <= 3.0 THEN 100 WHEN f_idle_days < 30.0 THEN (CAST(((100.0 + (f_idle_days - 3.0) * (-100.0) / 27.0) + 0.5) AS INTEGER) - (((100.0 + (f_idle_days - 3.0) * (-100.0) / 27.0) + 0.5) < CAST(((100.0 + (f_idle_days - 3.0) * (-100.0) / 27.0) + 0.5) AS INTEGER))) ELSE 0 END) AS m_login_recency,
1 AS x_login_recency, CASE WHEN NOT (f_seats > 0) THEN NULL ELSE (CASE WHEN f_ticket_load IS NULL THEN NULL WHEN f_ticket_load <= 0.0 THEN 100 WHEN f_ticket_load < 8.0 THEN (CAST(((100.0 + (f_ticket_load - 0.0) * (-100.0) / 8.0) + 0.5) AS INTEGER) - (((100.0 + (f_ticket_load - 0.0) * (-100.0) / 8.0) + 0.5) < CAST(((100.0 + (f_ticket_load - 0.0) * (-100.0) / 8.0) + 0.5) AS INTEGER))) ELSE 0 END) END AS m_ticket_score,
CASE WHEN NOT (f_seats > 0) THEN 0 ELSE 1 END AS x_ticket_score,
(CASE WHEN f_resolution_hours IS NULL THEN NULL WHEN f_resolution_hours <= 8.0 THEN 100 WHEN f_resolution_hours < 96.0 THEN (CAST(((100.0 + (f_resolution_hours - 8.0) * (-100.0) / 88.0) + 0.5) AS INTEGER) - (((100.0 + (f_resolution_hours - 8.0) * (-100.0) / 88.0) + 0.5) < CAST(((100.0 + (f_resolution_hours - 8.0) * (-100.0) / 88.0) + 0.5) AS INTEGER))) ELSE 0 END) AS m_resolution,
1 AS x_resolution, coalesce((CASE WHEN f_csat IS NULL THEN NULL WHEN f_csat <= 0.5 THEN 0 WHEN f_csat < 0.95 THEN (CAST(((0.0 + (f_csat - 0.5) * 100.0 / 0.44999999999999996) + 0.5) AS INTEGER) - (((0.0 + (f_csat - 0.5) * 100.0 / 0.44999999999999996) + 0.5) < CAST(((0.0 + (f_csat - 0.5) * 100.0 / 0.44999999999999996) + 0.5) AS INTEGER))) ELSE 100 END), h_m_csat_score) AS m_csat_score,
1 AS x_csat_score, CASE WHEN (CASE WHEN f_csat IS NULL THEN NULL WHEN f_csat <= 0.5 THEN 0 WHEN f_csat < 0.95 THEN (CAST(((0.0 + (f_csat - 0.5) * 100.0 / 0.44999999999999996) + 0.5) AS INTEGER) - (((0.0 + (f_csat - 0.5) * 100.0 / 0.44999999999999996) + 0.5) < CAST(((0.0 + (f_csat - 0.5) * 100.0 / 0.44999999999999996) + 0.5) AS INTEGER))) ELSE 100 END) IS NULL AND
h_m_csat_score IS NOT NULL THEN 1 ELSE 0 END AS q_csat_score,
(CASE WHEN f_nps IS NULL THEN NULL WHEN f_nps <= (-50.0) THEN 0 WHEN f_nps < 60.0 THEN (CAST(((0.0 + (f_nps - (-50.0)) * 100.0 / 110.0) + 0.5) AS INTEGER) - (((0.0 + (f_nps - (-50.0)) * 100.0 / 110.0) + 0.5) < CAST(((0.0 + (f_nps - (-50.0)) * 100.0 / 110.0) + 0.5) AS INTEGER))) ELSE 100 END) AS m_nps_score,
1 AS x_nps_score, CASE WHEN NOT (r_touch_tier <> 'tech') THEN NULL ELSE (CASE WHEN f_contact_days IS NULL THEN NULL WHEN f_contact_days <= 14.0 THEN 100 WHEN f_contact_days < 90.0 THEN (CAST(((100.0 + (f_contact_days - 14.0) * (-100.0) / 76.0) + 0.5) AS INTEGER) - (((100.0 + (f_contact_days - 14.0) * (-100.0) / 76.0) + 0.5) < CAST(((100.0 + (f_contact_days - 14.0) * (-100.0) / 76.0) + 0.5) AS INTEGER))) ELSE 0 END) END AS m_engagement,
CASE WHEN NOT (r_touch_tier <> 'tech') THEN 0 ELSE 1 END AS x_engagement,
coalesce((CASE WHEN f_overdue_days IS NULL THEN NULL WHEN f_overdue_days <= 0.0 THEN 100 WHEN f_overdue_days < 45.0 THEN (CAST(((100.0 + (f_overdue_days - 0.0) * (-100.0) / 45.0) + 0.5) AS INTEGER) - (((100.0 + (f_overdue_days - 0.0) * (-100.0) / 45.0) + 0.5) < CAST(((100.0 + (f_overdue_days - 0.0) * (-100.0) / 45.0) + 0.5) AS INTEGER))) ELSE 0 END), h_m_payment) AS m_payment,
1 AS x_payment, CASE WHEN (CASE WHEN f_overdue_days IS NULL THEN NULL WHEN f_overdue_days <= 0.0 THEN 100 WHEN f_overdue_days < 45.0 THEN (CAST(((100.0 + (f_overdue_days - 0.0) * (-100.0) / 45.0) + 0.5) AS INTEGER) - (((100.0 + (f_overdue_days - 0.0) * (-100.0) / 45.0) + 0.5) < CAST(((100.0 + (f_overdue_days - 0.0) * (-100.0) / 45.0) + 0.5) AS INTEGER))) ELSE 0 END) IS NULL AND
h_m_payment IS NOT NULL THEN 1 ELSE 0 END AS q_payment, (CASE WHEN f_champions IS NULL THEN NULL WHEN f_sponsors IS NULL THEN NULL WHEN ((f_champions > 0) AND (f_sponsors > 0)) THEN 100 WHEN (f_champions > 0) THEN 60 ELSE 20 END) AS m_sponsor_coverage,
1 AS x_sponsor_coverage, CASE WHEN NOT (CAST(julianday('2026-11-20') - julianday(a_csm_sentiment_at) AS INTEGER) <= 90) THEN NULL ELSE (CASE WHEN (a_csm_sentiment = 'red') THEN 10 WHEN (a_csm_sentiment = 'yellow') THEN 55 WHEN (a_csm_sentiment = 'green') THEN 100 ELSE NULL END) END AS m_csm_judgement,
CASE WHEN NOT (CAST(julianday('2026-11-20') - julianday(a_csm_sentiment_at) AS INTEGER) <= 90) THEN 0 ELSE 1 END AS x_csm_judgement,
CASE WHEN NOT (f_value_metrics_named > 0) THEN NULL ELSE (CASE WHEN f_days_without_value IS NULL THEN NULL WHEN f_days_without_value <= 14.0 THEN 100 WHEN f_days_without_value < 45.0 THEN (CAST(((100.0 + (f_days_without_value - 14.0) * (-100.0) / 31.0) + 0.5) AS INTEGER) - (((100.0 + (f_days_without_value - 14.0) * (-100.0) / 31.0) + 0.5) < CAST(((100.0 + (f_days_without_value - 14.0) * (-100.0) / 31.0) + 0.5) AS INTEGER))) ELSE 0 END) END AS m_first_value,
CASE WHEN NOT (f_value_metrics_named > 0) THEN 0 ELSE 1 END AS x_first_value,
(CASE WHEN f_checklist_share IS NULL THEN NULL WHEN f_checklist_share <= 0.0 THEN 20 WHEN f_checklist_share < 1.0 THEN (CAST(((20.0 + (f_checklist_share - 0.0) * 80.0 / 1.0) + 0.5) AS INTEGER) - (((20.0 + (f_checklist_share - 0.0) * 80.0 / 1.0) + 0.5) < CAST(((20.0 + (f_checklist_share - 0.0) * 80.0 / 1.0) + 0.5) AS INTEGER))) ELSE 100 END) AS m_checklist,
1 AS x_checklist FROM formula_4 b), weighed AS MATERIALIZED (SELECT b.*,
CASE WHEN m_usage_trend IS NULL THEN 0 ELSE (CASE model WHEN 'onboarding' THEN 0 ELSE 20 END) END + CASE WHEN m_seat_use IS NULL THEN 0 ELSE 15 END + CASE WHEN m_feature_use IS NULL THEN 0 ELSE 10 END + CASE WHEN m_login_recency IS NULL THEN 0 ELSE 10 END + CASE WHEN m_ticket_score IS NULL THEN 0 ELSE 10 END + CASE WHEN m_resolution IS NULL THEN 0 ELSE 5 END + CASE WHEN m_csat_score IS NULL THEN 0 ELSE 10 END + CASE WHEN m_nps_score IS NULL THEN 0 ELSE (CASE model WHEN 'onboarding' THEN 0 ELSE 5 END) END + CASE WHEN m_engagement IS NULL THEN 0 ELSE 10 END + CASE WHEN m_payment IS NULL THEN 0 ELSE 5 END + CASE WHEN m_sponsor_coverage IS NULL THEN 0 ELSE 0 END + CASE WHEN m_csm_judgement IS NULL THEN 0 ELSE 0 END + CASE WHEN m_first_value IS NULL THEN 0 ELSE (CASE model WHEN 'onboarding' THEN 30 ELSE 0 END) END + CASE WHEN m_checklist IS NULL THEN 0 ELSE (CASE model WHEN 'onboarding' THEN 15 ELSE 0 END) END AS covered,
CASE WHEN m_usage_trend IS NULL THEN 0 ELSE (CASE model WHEN 'onboarding' THEN 0 ELSE 20 END) * m_usage_trend END + CASE WHEN m_seat_use IS NULL THEN 0 ELSE 15 * m_seat_use END + CASE WHEN m_feature_use IS NULL THEN 0 ELSE 10 * m_feature_use END + CASE WHEN m_login_recency IS NULL THEN 0 ELSE 10 * m_login_recency END + CASE WHEN m_ticket_score IS NULL THEN 0 ELSE 10 * m_ticket_score END + CASE WHEN m_resolution IS NULL THEN 0 ELSE 5 * m_resolution END + CASE WHEN m_csat_score IS NULL THEN 0 ELSE 10 * m_csat_score END + CASE WHEN m_nps_score IS NULL THEN 0 ELSE (CASE model WHEN 'onboarding' THEN 0 ELSE 5 END) * m_nps_score END + CASE WHEN m_engagement IS NULL THEN 0 ELSE 10 * m_engagement END + CASE WHEN m_payment IS NULL THEN 0 ELSE 5 * m_payment END + CASE WHEN m_sponsor_coverage IS NULL THEN 0 ELSE 0 * m_sponsor_coverage END + CASE WHEN m_csm_judgement IS NULL THEN 0 ELSE 0 * m_csm_judgement END + CASE WHEN m_first_value IS NULL THEN 0 ELSE (CASE model WHEN 'onboarding' THEN 30 ELSE 0 END) * m_first_value END + CASE WHEN m_checklist IS NULL THEN 0 ELSE (CASE model WHEN 'onboarding' THEN 15 ELSE 0 END) * m_checklist END AS total,
CASE WHEN x_usage_trend = 1 THEN (CASE model WHEN 'onboarding' THEN 0 ELSE 20 END) ELSE 0 END + CASE WHEN x_seat_use = 1 THEN 15 ELSE 0 END + CASE WHEN x_feature_use = 1 THEN 10 ELSE 0 END + CASE WHEN x_login_recency = 1 THEN 10 ELSE 0 END + CASE WHEN x_ticket_score = 1 THEN 10 ELSE 0 END + CASE WHEN x_resolution = 1 THEN 5 ELSE 0 END + CASE WHEN x_csat_score = 1 THEN 10 ELSE 0 END + CASE WHEN x_nps_score = 1 THEN (CASE model WHEN 'onboarding' THEN 0 ELSE 5 END) ELSE 0 END + CASE WHEN x_engagement = 1 THEN 10 ELSE 0 END + CASE WHEN x_payment = 1 THEN 5 ELSE 0 END + CASE WHEN x_sponsor_coverage = 1 THEN 0 ELSE 0 END + CASE WHEN x_csm_judgement = 1 THEN 0 ELSE 0 END + CASE WHEN x_first_value = 1 THEN (CASE model WHEN 'onboarding' THEN 30 ELSE 0 END) ELSE 0 END + CASE WHEN m_checklist IS NOT NULL THEN (CASE model WHEN 'onboarding' THEN 15 ELSE 0 END) ELSE 0 END AS applicable FROM measured b),
raw AS (SELECT b.*, CASE WHEN covered > 0 AND covered * 100 >= 50 * applicable THEN ((2 * total + covered) / (2 * covered)) END AS raw_score,
CASE WHEN applicable > 0 THEN ((200 * covered + applicable) / (2 * applicable)) END AS coverage,
f_notice_given AS k_0, (f_urgent_over_72h > 0) AS k_1, coalesce((CAST(julianday('2026-11-20') - julianday(f_unpaid_since) AS INTEGER) > 60), CASE substr(h_caps, 3, 1) WHEN '1' THEN 1 WHEN '0' THEN 0 END) AS k_2,
CASE WHEN (CAST(julianday('2026-11-20') - julianday(f_unpaid_since) AS INTEGER) > 60) IS NULL AND
CASE substr(h_caps, 3, 1) WHEN '1' THEN 1 WHEN '0' THEN 0 END IS NOT NULL THEN 1 ELSE 0 END AS kq_2,
((CAST(julianday('2026-11-20') - julianday(f_champion_left_on) AS INTEGER) > 30) AND (f_champions = 0)) AS k_3 FROM weighed b),
capped AS MATERIALIZED (SELECT b.*, CASE WHEN raw_score IS NULL THEN NULL WHEN k_0 AND
raw_score > 0 THEN 0 WHEN k_1 AND raw_score > 49 THEN 49 WHEN k_2 AND
raw_score > 49 THEN 49 WHEN k_3 AND raw_score > 74 THEN 74 ELSE raw_score END AS score FROM raw b),
sided AS MATERIALIZED (SELECT b.*, CASE WHEN raw_score IS NULL THEN CASE WHEN h_band = 'yellow' OR
h_band = 'green' THEN 1 WHEN h_band IS NOT NULL THEN 0 END WHEN h_band IS NULL THEN CASE WHEN raw_score >= 50 THEN 1 ELSE 0 END WHEN h_band = 'yellow' OR
h_band = 'green' THEN CASE WHEN raw_score >= 50 OR raw_score >= 50 - 3 AND
h_yellow_days + 1 < 3 THEN 1 ELSE 0 END ELSE CASE WHEN raw_score < 50 OR
raw_score < 50 + 3 AND h_yellow_days + 1 < 3 THEN 0 ELSE 1 END END AS u_yellow,
CASE WHEN raw_score IS NULL THEN CASE WHEN h_band = 'green' THEN 1 WHEN h_band IS NOT NULL THEN 0 END WHEN h_band IS NULL THEN CASE WHEN raw_score >= 75 THEN 1 ELSE 0 END WHEN h_band = 'green' THEN CASE WHEN raw_score >= 75 OR
raw_score >= 75 - 3 AND h_green_days + 1 < 3 THEN 1 ELSE 0 END ELSE CASE WHEN raw_score < 75 OR
raw_score < 75 + 3 AND h_green_days + 1 < 3 THEN 0 ELSE 1 END END AS u_green FROM capped b),
banded AS (SELECT b.*, CASE WHEN score IS NULL THEN 'unknown' WHEN u_green = 1 AND
(score = raw_score OR score >= 75) THEN 'green' WHEN u_yellow = 1 AND
(score = raw_score OR score >= 50) THEN 'yellow' ELSE 'red' END AS computed_band,
CASE WHEN u_yellow IS NULL THEN NULL WHEN u_green = 1 THEN 'green' WHEN u_yellow = 1 THEN 'yellow' ELSE 'red' END AS n_band,
CASE WHEN raw_score IS NULL THEN coalesce(h_yellow_days, 0) WHEN h_band IS NULL OR
u_yellow = CASE WHEN raw_score >= 50 THEN 1 ELSE 0 END THEN 0 ELSE h_yellow_days + 1 END AS n_yellow_days,
CASE WHEN raw_score IS NULL THEN coalesce(h_green_days, 0) WHEN h_band IS NULL OR
u_green = CASE WHEN raw_score >= 75 THEN 1 ELSE 0 END THEN 0 ELSE h_green_days + 1 END AS n_green_days,
CASE k_0 WHEN 1 THEN '1' WHEN 0 THEN '0' ELSE '-' END || CASE k_1 WHEN 1 THEN '1' WHEN 0 THEN '0' ELSE '-' END || CASE k_2 WHEN 1 THEN '1' WHEN 0 THEN '0' ELSE '-' END || CASE k_3 WHEN 1 THEN '1' WHEN 0 THEN '0' ELSE '-' END AS n_caps,
CASE WHEN a_override_band IS NULL THEN NULL WHEN h_override_band = a_override_band AND
(h_override_until = a_override_until OR h_override_until IS NULL AND a_override_until IS NULL) THEN h_override_since ELSE '2026-11-20' END AS n_override_since FROM sided b),
in_force AS (SELECT b.*, CASE WHEN a_override_band IS NOT NULL AND
(a_override_until IS NULL OR a_override_until >= '2026-11-20') AND
date(n_override_since, CAST(30 AS TEXT) || ' days') >= '2026-11-20' THEN a_override_band ELSE computed_band END AS band FROM banded b) SELECT b.* FROM in_force b ORDER BY b.uid
;

-- onboarding
WITH base AS MATERIALIZED (SELECT a.uid AS uid, a."csm_uid" AS a_csm_uid,
a."first_contract_date" AS a_first_contract_date, a."locale" AS a_locale,
a."name" AS a_name, a."owner_uid" AS a_owner_uid, a."status" AS a_status,
fact_lines.seats AS f_seats, fact_usage.active_users_28d AS f_active_users_28d,
fact_usage.last_active_on AS f_last_active_on, fact_contact.last_meeting_on AS f_last_meeting_on,
fact_contact.meetings_recorded AS f_meetings_recorded, list_urgent_ids_30d.value AS f_urgent_ids_30d,
coalesce(of_tickets.n_urgent_30d, 0) AS f_urgent_30d, of_usage.v_checklist_before AS f_checklist_before,
of_usage.v_checklist_done AS f_checklist_done, of_usage.v_checklist_items AS f_checklist_items,
of_usage.v_first_value_on AS f_first_value_on, of_usage.v_invited_users AS f_invited_users,
of_contracts.v_first_term_on AS f_first_term_on, CASE WHEN r0.value <> 'null' AND
r0.state <> 'stale' THEN replace(replace(substr(r0.value, 2, length(r0.value) - 2), '\"', '"'), '\\', '\') END AS r_touch_tier FROM account a LEFT JOIN fact_lines ON fact_lines.account_uid = a.uid LEFT JOIN fact_usage ON fact_usage.account_uid = a.uid LEFT JOIN fact_contact ON fact_contact.account_uid = a.uid LEFT JOIN list_urgent_ids_30d ON list_urgent_ids_30d.account_uid = a.uid LEFT JOIN of_tickets ON of_tickets.account_uid = a.uid LEFT JOIN of_usage ON of_usage.account_uid = a.uid LEFT JOIN of_contracts ON of_contracts.account_uid = a.uid LEFT JOIN result r0 ON r0.account_uid = a.uid AND
r0.name = 'touch.tier' WHERE a.deleted_at IS NULL AND coalesce(a.is_test, 0) = 0 AND
((a."status" IS NULL) OR (a."status" IN ('onboarding', 'active')))),
formula_1 AS (SELECT b.*, (CAST(f_active_users_28d AS REAL) / NULLIF(f_seats, 0)) AS f_activation,
90 AS f_onboarding_days, (f_checklist_items - f_checklist_done) AS f_open_steps,
(CASE WHEN (a_first_contract_date >= '1990-01-01') THEN a_first_contract_date WHEN 1 THEN f_first_term_on END) AS f_started_on,
(CASE WHEN (r_touch_tier = 'high') THEN 45 WHEN 1 THEN 30 END) AS f_value_due,
0 AS f_value_metrics_named FROM base b), formula_2 AS (SELECT b.*,
CAST(julianday('2026-11-20') - julianday(f_started_on) AS INTEGER) AS f_days_in,
((f_first_value_on >= '1990-01-01') AND (f_activation >= 0.5)) AS f_reached FROM formula_1 b),
formula_3 AS (SELECT b.*, (f_days_in BETWEEN 0 AND f_onboarding_days) AS f_is_onboarding FROM formula_2 b),
formula_4 AS (SELECT b.*, (f_meetings_recorded AND f_is_onboarding AND (f_days_in >= 7) AND ((f_last_meeting_on IS NULL) OR (f_last_meeting_on < f_started_on))) AS f_no_kickoff,
(f_is_onboarding AND (f_value_metrics_named > 0) AND (f_days_in >= f_value_due) AND (f_first_value_on IS NULL)) AS f_no_value,
(f_is_onboarding AND (f_days_in >= 10) AND ((f_active_users_28d IS NULL) OR (f_active_users_28d = 0)) AND ((f_last_active_on IS NULL) OR (f_last_active_on < f_started_on))) AS f_nobody_active,
(f_is_onboarding AND (f_days_in >= 30) AND (f_activation < 0.3)) AS f_slow,
(f_is_onboarding AND (f_checklist_done < f_checklist_items) AND (f_checklist_done = f_checklist_before)) AS f_stalled,
(f_is_onboarding AND (f_urgent_30d >= 2)) AS f_troubled FROM formula_3 b) SELECT b.*,
(CASE WHEN (f_days_in > f_onboarding_days) THEN 'done' WHEN (f_is_onboarding AND f_reached) THEN 'adopting' WHEN (f_is_onboarding AND (f_last_active_on >= f_started_on)) THEN 'rollout' WHEN f_is_onboarding THEN 'kickoff' ELSE NULL END) AS o_stage,
(CASE WHEN f_no_value THEN 'no_value' WHEN f_slow THEN 'slow' WHEN f_stalled THEN 'stalled' WHEN ((f_activation >= 0.3) OR (NOT f_is_onboarding) OR (f_days_in < 30)) THEN 'none' ELSE NULL END) AS o_risk,
f_first_value_on AS o_first_value_date, ((r_touch_tier IN ('high', 'low')) AND
f_no_kickoff) AS t_0, ((f_last_meeting_on >= f_started_on) OR
f_reached) AS t_0_done, NULL AS t_0_due, 'normal' AS t_0_priority,
((r_touch_tier IN ('high', 'low')) AND f_nobody_active) AS t_1,
((f_last_active_on >= f_started_on) OR f_reached) AS t_1_done,
NULL AS t_1_due, 'high' AS t_1_priority, ((r_touch_tier IN ('high', 'low')) AND
f_slow) AS t_2, ((f_activation >= 0.3) OR f_reached) AS t_2_done,
NULL AS t_2_due, 'normal' AS t_2_priority, ((r_touch_tier IN ('high', 'low')) AND
f_no_value) AS t_3, (f_first_value_on >= '1990-01-01') AS t_3_done,
NULL AS t_3_due, 'high' AS t_3_priority, ((r_touch_tier IN ('high', 'low')) AND
f_stalled) AS t_4, ((f_checklist_done > f_checklist_before) OR
f_reached) AS t_4_done, NULL AS t_4_due, 'normal' AS t_4_priority,
((r_touch_tier IN ('high', 'low')) AND (f_is_onboarding AND f_reached)) AS t_5,
NULL AS t_5_done, NULL AS t_5_due, 'low' AS t_5_priority, ((r_touch_tier IN ('high', 'low')) AND
f_troubled) AS t_6, f_reached AS t_6_done, NULL AS t_6_due, 'high' AS t_6_priority,
'manager' AS t_6_copy FROM formula_4 b ORDER BY b.uid
;

-- renewal
WITH base AS MATERIALIZED (SELECT a.uid AS uid, coalesce(fact_events.event, 1) AS event,
a."csm_uid" AS a_csm_uid, a."locale" AS a_locale, a."name" AS a_name,
a."owner_uid" AS a_owner_uid, a."status" AS a_status, a."success_goals" AS a_success_goals,
CASE WHEN fact_events.event IS NULL THEN fact_terms.renews_on ELSE fact_events.renews_on END AS f_renews_on,
CASE WHEN fact_events.event IS NULL THEN fact_terms.term_end ELSE fact_events.term_end END AS f_term_end,
CASE WHEN fact_events.event IS NULL THEN fact_terms.notice_deadline ELSE fact_events.notice_deadline END AS f_notice_deadline,
CASE WHEN fact_events.event IS NULL THEN fact_terms.anchor ELSE fact_events.anchor END AS f_anchor,
CASE WHEN fact_events.event IS NULL THEN fact_terms.auto_renew ELSE fact_events.auto_renew END AS f_auto_renew,
CASE WHEN fact_events.event IS NULL THEN fact_terms.term_days ELSE fact_events.term_days END AS f_term_days,
CASE WHEN fact_events.event IS NULL THEN fact_terms.notice_received_on ELSE fact_events.notice_received_on END AS f_notice_received_on,
CASE WHEN fact_events.event IS NULL THEN fact_terms.notice_given ELSE fact_events.notice_given END AS f_notice_given,
CASE WHEN fact_events.event IS NULL THEN fact_terms.lapsed_on ELSE fact_events.lapsed_on END AS f_lapsed_on,
coalesce(fact_terms.has_contract, 0) AS f_has_contract, fact_terms.end_date_missing AS f_end_date_missing,
CASE WHEN fact_events.event IS NULL THEN fact_terms.renewal_contracts ELSE fact_events.renewal_contracts END AS f_renewal_contracts,
CASE WHEN fact_events.event IS NULL THEN fact_terms.term_start ELSE fact_events.term_start END AS f_term_start,
fact_lines.seats AS f_seats, fact_lines.arr AS f_arr, coalesce(fact_lines.currency, 'JPY') AS c_arr,
CASE WHEN coalesce(fact_events.event, 1) = 1 THEN fact_lines.renewal_arr ELSE fact_event_lines.renewal_arr END AS f_renewal_arr,
coalesce(CASE WHEN coalesce(fact_events.event, 1) = 1 THEN fact_lines.currency ELSE fact_event_lines.currency END, 'JPY') AS c_renewal_arr,
fact_contact.last_contact_on AS f_last_contact_on, CASE WHEN fact_ends.term_ends_apart IS NOT NULL THEN coalesce(fact_event_ends.term_ends_apart, 0) END AS f_term_ends_apart,
CASE WHEN fact_ends.term_ends IS NOT NULL THEN coalesce(fact_event_ends.term_ends, NULL) END AS f_term_ends,
fact_products.product_list AS f_product_list, coalesce(of_tickets.n_open_tickets, 0) AS f_open_tickets,
of_opportunities_by_event.v_notice_reason AS f_notice_reason,
of_opportunities_by_event.v_renewal_stage AS f_renewal_stage,
of_opportunities_by_event.v_renewal_won_on AS f_renewal_won_on,
coalesce(of_opportunities_by_event.n_renewals_committed, 0) AS f_renewals_committed,
coalesce(of_opportunities_by_event.n_renewals_open, 0) AS f_renewals_open,
coalesce(of_opportunities_by_event.n_renewals_won_180d, 0) AS f_renewals_won_180d,
coalesce(of_contacts.n_champions, 0) AS f_champions, coalesce(of_contacts.n_sponsors, 0) AS f_sponsors,
CASE WHEN r0.value <> 'null' AND r0.state <> 'stale' THEN replace(replace(substr(r0.value, 2, length(r0.value) - 2), '\"', '"'), '\\', '\') END AS r_health_band,
CASE WHEN r1.value <> 'null' AND r1.state <> 'stale' THEN replace(replace(substr(r1.value, 2, length(r1.value) - 2), '\"', '"'), '\\', '\') END AS r_health_reasons,
CASE WHEN r2.value <> 'null' AND r2.state <> 'stale' THEN CAST(r2.value AS INTEGER) END AS r_health_score,
CASE WHEN r3.value <> 'null' AND r3.state <> 'stale' THEN replace(replace(substr(r3.value, 2, length(r3.value) - 2), '\"', '"'), '\\', '\') END AS r_health_trend,
CASE WHEN r4.value <> 'null' AND r4.state <> 'stale' THEN replace(replace(substr(r4.value, 2, length(r4.value) - 2), '\"', '"'), '\\', '\') END AS r_touch_tier FROM account a LEFT JOIN fact_terms ON fact_terms.account_uid = a.uid LEFT JOIN fact_events ON fact_events.account_uid = a.uid LEFT JOIN fact_lines ON fact_lines.account_uid = a.uid LEFT JOIN fact_event_lines ON fact_event_lines.account_uid = a.uid AND
fact_event_lines.event = coalesce(fact_events.event, 1) LEFT JOIN fact_contact ON fact_contact.account_uid = a.uid LEFT JOIN fact_ends ON fact_ends.account_uid = a.uid LEFT JOIN fact_event_ends ON fact_event_ends.account_uid = a.uid AND
fact_event_ends.event = coalesce(fact_events.event, 1) LEFT JOIN fact_products ON fact_products.account_uid = a.uid LEFT JOIN of_tickets ON of_tickets.account_uid = a.uid LEFT JOIN of_opportunities_by_event ON of_opportunities_by_event.account_uid = a.uid AND
of_opportunities_by_event.event = coalesce(fact_events.event, 1) LEFT JOIN of_contacts ON of_contacts.account_uid = a.uid LEFT JOIN result r0 ON r0.account_uid = a.uid AND
r0.name = 'health.band' LEFT JOIN result r1 ON r1.account_uid = a.uid AND
r1.name = 'health.reasons' LEFT JOIN result r2 ON r2.account_uid = a.uid AND
r2.name = 'health.score' LEFT JOIN result r3 ON r3.account_uid = a.uid AND
r3.name = 'health.trend' LEFT JOIN result r4 ON r4.account_uid = a.uid AND
r4.name = 'touch.tier' WHERE a.deleted_at IS NULL AND coalesce(a.is_test, 0) = 0 AND
((a."status" IS NULL) OR (a."status" <> 'churned'))), formula_1 AS (SELECT b.*,
CAST(julianday('2026-11-20') - julianday(f_lapsed_on) AS INTEGER) AS f_days_lapsed,
((f_term_days IS NULL) OR (f_term_days > 31)) AS f_has_term,
(a_status IN ('onboarding', 'active', 'notice')) AS f_is_customer,
(f_renewals_open > 0) AS f_renewal_open, (CASE WHEN f_renewals_won_180d IS NULL THEN NULL WHEN (f_renewals_won_180d = 0) THEN 0 WHEN (f_renewal_won_on <= date(f_term_start, CAST((30) AS TEXT) || ' days')) THEN 0 WHEN 1 THEN 1 END) AS f_renewal_won FROM base b),
formula_2 AS (SELECT b.*, (f_is_customer AND (f_arr IS NULL)) AS f_arr_missing,
(CASE WHEN f_has_term THEN CAST(julianday(f_anchor) - julianday('2026-11-20') AS INTEGER) END) AS f_days_to_anchor,
(CASE WHEN (f_renewals_open = 0) THEN 'No opportunity yet.' WHEN f_renewal_open THEN 'Its opportunity is open.' WHEN 1 THEN 'Whether an opportunity is open is unknown.' END) AS f_deal_sentence_en,
(CASE WHEN (f_renewals_open = 0) THEN '更新商談はまだない。' WHEN f_renewal_open THEN '更新商談あり。' WHEN 1 THEN '更新商談の有無は不明。' END) AS f_deal_sentence_ja,
((f_days_lapsed BETWEEN 0 AND 30) AND (f_renews_on = f_lapsed_on)) AS f_lapsed,
(f_is_customer AND ((NOT f_has_contract) OR f_end_date_missing OR (f_renews_on IS NULL))) AS f_term_missing FROM formula_1 b),
formula_3 AS (SELECT b.*, (CASE WHEN (f_notice_given OR f_lapsed OR (r_health_band = 'red')) THEN 1 WHEN (r_health_band IN ('green', 'yellow', 'unknown')) THEN 0 END) AS f_endangered,
(CASE WHEN f_notice_given THEN 0 WHEN f_lapsed THEN 0.5 WHEN (r_health_band = 'green') THEN 0.95 WHEN (r_health_band = 'yellow') THEN 0.8 WHEN (r_health_band = 'red') THEN 0.5 WHEN (r_health_band = 'unknown') THEN 0.85 END) AS f_renewal_chance FROM formula_2 b),
resulted AS (SELECT b.*, f_renews_on AS o_date, f_notice_deadline AS o_notice_deadline,
(CAST((f_arr + 0.5) AS INTEGER) - ((f_arr + 0.5) < CAST((f_arr + 0.5) AS INTEGER))) AS o_arr,
c_arr AS oc_arr, f_seats AS o_seats, (CAST((f_renewal_arr + 0.5) AS INTEGER) - ((f_renewal_arr + 0.5) < CAST((f_renewal_arr + 0.5) AS INTEGER))) AS o_arr_at_stake,
c_renewal_arr AS oc_arr_at_stake, (CAST(((CAST(f_renewal_arr AS REAL) * f_renewal_chance) + 0.5) AS INTEGER) - (((CAST(f_renewal_arr AS REAL) * f_renewal_chance) + 0.5) < CAST(((CAST(f_renewal_arr AS REAL) * f_renewal_chance) + 0.5) AS INTEGER))) AS o_forecast,
c_renewal_arr AS oc_forecast, (CAST(((CAST(f_renewal_arr AS REAL) * f_endangered) + 0.5) AS INTEGER) - (((CAST(f_renewal_arr AS REAL) * f_endangered) + 0.5) < CAST(((CAST(f_renewal_arr AS REAL) * f_endangered) + 0.5) AS INTEGER))) AS o_arr_at_risk,
c_renewal_arr AS oc_arr_at_risk, (CASE WHEN ((r_touch_tier = 'tech') AND (f_days_to_anchor BETWEEN 0 AND 60) AND (NOT f_notice_given)) THEN 'renewal_60' WHEN (r_touch_tier IN ('high', 'low', 'tech')) THEN 'none' ELSE NULL END) AS o_mailing,
(CASE WHEN f_notice_given THEN 'notice' WHEN f_lapsed THEN 'lapsed' WHEN (r_health_band = 'red') THEN 'high' WHEN (r_health_band = 'yellow') THEN 'medium' WHEN ((r_health_band = 'green') AND (f_days_to_anchor <= 90)) THEN 'low' WHEN (r_health_band = 'green') THEN 'none' ELSE NULL END) AS o_risk FROM formula_3 b) SELECT b.*,
coalesce(min(CASE WHEN b.o_forecast IS NOT NULL THEN b.oc_forecast END) OVER (PARTITION BY b.uid),
b.oc_forecast) AS otc_forecast, CASE WHEN min(CASE WHEN b.o_forecast IS NOT NULL THEN b.oc_forecast END) OVER (PARTITION BY b.uid) = max(CASE WHEN b.o_forecast IS NOT NULL THEN b.oc_forecast END) OVER (PARTITION BY b.uid) THEN CAST(sum(b.o_forecast) OVER (PARTITION BY b.uid) AS INTEGER) END AS ot_forecast,
coalesce(min(CASE WHEN b.o_arr_at_risk IS NOT NULL THEN b.oc_arr_at_risk END) OVER (PARTITION BY b.uid),
b.oc_arr_at_risk) AS otc_arr_at_risk, CASE WHEN min(CASE WHEN b.o_arr_at_risk IS NOT NULL THEN b.oc_arr_at_risk END) OVER (PARTITION BY b.uid) = max(CASE WHEN b.o_arr_at_risk IS NOT NULL THEN b.oc_arr_at_risk END) OVER (PARTITION BY b.uid) THEN CAST(sum(b.o_arr_at_risk) OVER (PARTITION BY b.uid) AS INTEGER) END AS ot_arr_at_risk,
((r_touch_tier IN ('high')) AND ((f_days_to_anchor BETWEEN 128 AND 187) AND (NOT f_notice_given))) AS t_0,
f_notice_given AS t_0_done, date(f_anchor, CAST((-180) AS TEXT) || ' days') AS t_0_due,
'normal' AS t_0_priority, ((r_touch_tier IN ('high')) AND ((f_days_to_anchor BETWEEN 98 AND 127) AND (NOT f_notice_given))) AS t_1,
f_notice_given AS t_1_done, date(f_anchor, CAST((-120) AS TEXT) || ' days') AS t_1_due,
'normal' AS t_1_priority, ((r_touch_tier IN ('high', 'low')) AND
((f_days_to_anchor BETWEEN 68 AND 97) AND (NOT f_notice_given))) AS t_2,
(f_notice_given OR f_renewal_won) AS t_2_done, date(f_anchor,
CAST((-90) AS TEXT) || ' days') AS t_2_due, 'normal' AS t_2_priority,
((r_touch_tier IN ('high', 'low')) AND ((f_days_to_anchor BETWEEN 38 AND 67) AND (NOT f_notice_given))) AS t_3,
(f_notice_given OR f_renewal_won) AS t_3_done, date(f_anchor,
CAST((-60) AS TEXT) || ' days') AS t_3_due, (CASE WHEN ((r_health_band IN ('yellow', 'red')) OR (r_health_trend = 'declining')) THEN 'high' ELSE 'normal' END) AS t_3_priority,
(CASE WHEN ((r_health_band IN ('yellow', 'red')) OR (r_health_trend = 'declining')) THEN 'manager' ELSE NULL END) AS t_3_copy,
((r_touch_tier IN ('high', 'low')) AND ((f_days_to_anchor BETWEEN 0 AND 37) AND (NOT f_notice_given) AND (f_renewals_committed = 0) AND (NOT f_renewal_won))) AS t_4,
(f_notice_given OR (f_renewals_committed > 0) OR f_renewal_won) AS t_4_done,
date(f_anchor, CAST((-30) AS TEXT) || ' days') AS t_4_due, 'high' AS t_4_priority,
'manager' AS t_4_copy, ((r_touch_tier IN ('high', 'low')) AND
(f_auto_renew AND (CAST(julianday(f_notice_deadline) - julianday('2026-11-20') AS INTEGER) BETWEEN 0 AND 14) AND f_has_term AND (NOT f_notice_given))) AS t_5,
(f_renewal_won OR f_notice_given) AS t_5_done, date(f_notice_deadline,
CAST((-14) AS TEXT) || ' days') AS t_5_due, 'high' AS t_5_priority,
(f_is_customer AND f_lapsed AND (NOT f_notice_given)) AS t_6,
(NOT f_lapsed) AS t_6_done, NULL AS t_6_due, 'high' AS t_6_priority,
(f_arr_missing OR f_term_missing) AS t_7, ((NOT f_arr_missing) AND
(NOT f_term_missing)) AS t_7_done, NULL AS t_7_due, 'low' AS t_7_priority,
f_notice_given AS t_8, (NOT f_notice_given) AS t_8_done, NULL AS t_8_due,
'high' AS t_8_priority, 'manager' AS t_8_copy, (f_is_customer AND
(f_term_ends_apart > 7)) AS t_9, (f_term_ends_apart <= 7) AS t_9_done,
NULL AS t_9_due, 'low' AS t_9_priority, ((r_touch_tier IN ('tech')) AND
((f_days_to_anchor BETWEEN 0 AND 30) AND (r_health_band = 'red') AND (NOT f_notice_given))) AS t_10,
((r_health_band IN ('green', 'yellow')) OR f_notice_given) AS t_10_done,
date(f_anchor, CAST((-14) AS TEXT) || ' days') AS t_10_due, 'normal' AS t_10_priority FROM resulted b ORDER BY b.uid,
b.event
;

-- risk
WITH past_0 AS (SELECT account_uid, min(value) AS value FROM (SELECT account_uid, value FROM result WHERE name = 'health.band' AND since <= '2026-11-06T03:00:00Z' UNION ALL SELECT account_uid, value FROM result_history WHERE name = 'health.band' AND since <= '2026-11-06T03:00:00Z' AND until > '2026-11-06T03:00:00Z') p WHERE value <> 'null' GROUP BY account_uid),
past_16 AS (SELECT account_uid, min(value) AS value FROM (SELECT account_uid, value FROM result WHERE name = 'health.lost_points' AND since <= '2026-11-06T03:00:00Z' UNION ALL SELECT account_uid, value FROM result_history WHERE name = 'health.lost_points' AND since <= '2026-11-06T03:00:00Z' AND until > '2026-11-06T03:00:00Z') p WHERE value <> 'null' GROUP BY account_uid),
past_30 AS (SELECT account_uid, min(value) AS value FROM (SELECT account_uid, value FROM result WHERE name = 'health.score' AND since <= '2026-11-06T03:00:00Z' UNION ALL SELECT account_uid, value FROM result_history WHERE name = 'health.score' AND since <= '2026-11-06T03:00:00Z' AND until > '2026-11-06T03:00:00Z') p WHERE value <> 'null' GROUP BY account_uid),
past_33 AS (SELECT account_uid, min(value) AS value FROM (SELECT account_uid, value FROM result WHERE name = 'renewal.seats' AND since <= '2026-10-21T03:00:00Z' UNION ALL SELECT account_uid, value FROM result_history WHERE name = 'renewal.seats' AND since <= '2026-10-21T03:00:00Z' AND until > '2026-10-21T03:00:00Z') p WHERE value <> 'null' GROUP BY account_uid),
base AS MATERIALIZED (SELECT a.uid AS uid, a."csm_uid" AS a_csm_uid,
a."first_contract_date" AS a_first_contract_date, a."locale" AS a_locale,
a."name" AS a_name, a."owner_uid" AS a_owner_uid, a."status" AS a_status,
fact_lines.seats AS f_seats, fact_usage.active_users_28d AS f_active_users_28d,
fact_usage.last_active_on AS f_last_active_on, fact_weeks.usage_recent AS f_usage_recent,
fact_weeks.usage_before AS f_usage_before, fact_weeks.usage_growth AS f_usage_growth,
fact_weeks.weeks_left_out AS f_weeks_left_out, fact_contact.last_contact_on AS f_last_contact_on,
list_leaving_ids_30d.value AS f_leaving_ids_30d, list_leaving_phrases_30d.value AS f_leaving_phrases_30d,
list_reopened_ids_30d.value AS f_reopened_ids_30d, list_urgent_ids_48h.value AS f_urgent_ids_48h,
date(substr(of_tickets.v_last_ticket_on, 1, 19), '+540 minutes') AS f_last_ticket_on,
coalesce(of_tickets.n_leaving_tickets_30d, 0) AS f_leaving_tickets_30d,
coalesce(of_tickets.n_reopened_new, 0) AS f_reopened_new, date(substr(of_tickets.v_reopened_new_since, 1, 19), '+540 minutes') AS f_reopened_new_since,
coalesce(of_tickets.n_reopened_old, 0) AS f_reopened_old, date(substr(of_tickets.v_reopened_old_since, 1, 19), '+540 minutes') AS f_reopened_old_since,
coalesce(of_tickets.n_tickets_21d, 0) AS f_tickets_21d, coalesce(of_tickets.n_urgent_over_48h, 0) AS f_urgent_over_48h,
date(substr(of_tickets.v_urgent_since, 1, 19), '+540 minutes') AS f_urgent_since,
NULL AS f_unhappy_14d, NULL AS f_unhappy_comment, NULL AS f_unhappy_kind,
NULL AS f_unhappy_score, NULL AS f_unhappy_tickets, of_usage.v_first_used_on AS f_first_used_on,
of_contracts.v_first_term_on AS f_first_term_on, list_seat_lines_30d.value AS f_seat_lines_30d,
list_left_roles_30d.value AS f_left_roles_30d, coalesce(of_contacts.n_champions, 0) AS f_champions,
coalesce(of_contacts.n_champions_left_180d, 0) AS f_champions_left_180d,
coalesce(of_contacts.n_people_left_30d, 0) AS f_people_left_30d,
date(substr(of_contacts.v_person_left_on, 1, 19), '+540 minutes') AS f_person_left_on,
coalesce(of_contacts.n_sponsors, 0) AS f_sponsors, coalesce(of_contacts.n_sponsors_left_180d, 0) AS f_sponsors_left_180d,
NULL AS f_unpaid_amount, NULL AS f_unpaid_ids, NULL AS f_unpaid_invoices,
NULL AS f_unpaid_since, 'JPY' AS c_unpaid_amount, list_sensitive_names.value AS f_sensitive_names,
coalesce(of_usage_events.n_sensitive_7d, 0) AS f_sensitive_7d,
coalesce(of_usage_events.n_sensitive_before, 0) AS f_sensitive_before,
replace(replace(substr(past_0.value, 2, length(past_0.value) - 2), '\"', '"'), '\\', '\') AS f_band_before,
replace(replace(substr(past_16.value, 2, length(past_16.value) - 2), '\"', '"'), '\\', '\') AS f_lost_before,
CAST(past_30.value AS INTEGER) AS f_score_before, CAST(past_33.value AS INTEGER) AS f_seats_before,
CASE WHEN r0.value <> 'null' AND r0.state <> 'stale' THEN replace(replace(substr(r0.value, 2, length(r0.value) - 2), '\"', '"'), '\\', '\') END AS r_health_band,
CASE WHEN r1.value <> 'null' AND r1.state <> 'stale' THEN replace(replace(substr(r1.value, 2, length(r1.value) - 2), '\"', '"'), '\\', '\') END AS r_health_lost_points,
CASE WHEN r2.value <> 'null' AND r2.state <> 'stale' THEN replace(replace(substr(r2.value, 2, length(r2.value) - 2), '\"', '"'), '\\', '\') END AS r_health_reasons,
CASE WHEN r3.value <> 'null' AND r3.state <> 'stale' THEN CAST(r3.value AS INTEGER) END AS r_health_score FROM account a LEFT JOIN fact_lines ON fact_lines.account_uid = a.uid LEFT JOIN fact_usage ON fact_usage.account_uid = a.uid LEFT JOIN fact_weeks ON fact_weeks.account_uid = a.uid LEFT JOIN fact_contact ON fact_contact.account_uid = a.uid LEFT JOIN list_leaving_ids_30d ON list_leaving_ids_30d.account_uid = a.uid LEFT JOIN list_leaving_phrases_30d ON list_leaving_phrases_30d.account_uid = a.uid LEFT JOIN list_reopened_ids_30d ON list_reopened_ids_30d.account_uid = a.uid LEFT JOIN list_urgent_ids_48h ON list_urgent_ids_48h.account_uid = a.uid LEFT JOIN of_tickets ON of_tickets.account_uid = a.uid LEFT JOIN of_usage ON of_usage.account_uid = a.uid LEFT JOIN of_contracts ON of_contracts.account_uid = a.uid LEFT JOIN list_seat_lines_30d ON list_seat_lines_30d.account_uid = a.uid LEFT JOIN list_left_roles_30d ON list_left_roles_30d.account_uid = a.uid LEFT JOIN of_contacts ON of_contacts.account_uid = a.uid LEFT JOIN list_sensitive_names ON list_sensitive_names.account_uid = a.uid LEFT JOIN of_usage_events ON of_usage_events.account_uid = a.uid LEFT JOIN past_0 ON past_0.account_uid = a.uid LEFT JOIN past_16 ON past_16.account_uid = a.uid LEFT JOIN past_30 ON past_30.account_uid = a.uid LEFT JOIN past_33 ON past_33.account_uid = a.uid LEFT JOIN result r0 ON r0.account_uid = a.uid AND
r0.name = 'health.band' LEFT JOIN result r1 ON r1.account_uid = a.uid AND
r1.name = 'health.lost_points' LEFT JOIN result r2 ON r2.account_uid = a.uid AND
r2.name = 'health.reasons' LEFT JOIN result r3 ON r3.account_uid = a.uid AND
r3.name = 'health.score' WHERE a.deleted_at IS NULL AND coalesce(a.is_test, 0) = 0 AND
((a."status" IS NULL) OR (a."status" IN ('onboarding', 'active', 'notice')))),
formula_1 AS (SELECT b.*, (((f_band_before = 'green') AND (r_health_band IN ('yellow', 'red'))) OR ((f_band_before = 'yellow') AND (r_health_band = 'red'))) AS f_band_down,
(CASE WHEN (f_leaving_tickets_30d = 0) THEN '-' WHEN 1 THEN f_leaving_ids_30d END) AS f_leaving_ids,
(CASE WHEN (f_leaving_tickets_30d = 0) THEN '-' WHEN 1 THEN f_leaving_phrases_30d END) AS f_leaving_phrases,
r_health_lost_points AS f_lost_now, ((f_first_used_on IS NULL) AND (f_active_users_28d = 0)) AS f_never_used,
90 AS f_onboarding_days, ((f_last_contact_on IS NULL) OR (CAST(julianday('2026-11-20') - julianday(f_last_contact_on) AS INTEGER) > 21)) AS f_out_of_touch,
(((f_champions_left_180d > 0) AND (f_champions = 0)) OR ((f_sponsors_left_180d > 0) AND (f_sponsors = 0))) AS f_place_vacant,
(f_reopened_new + f_reopened_old) AS f_reopened_30d, (f_score_before - r_health_score) AS f_score_lost,
(f_seats < f_seats_before) AS f_seats_reduced, (CAST(f_sensitive_before AS REAL) / NULLIF(12, 0)) AS f_sensitive_usual,
(CASE WHEN (a_first_contract_date >= '1990-01-01') THEN a_first_contract_date WHEN 1 THEN f_first_term_on END) AS f_started_on,
(CASE WHEN (f_urgent_over_48h > 0) THEN f_urgent_ids_48h WHEN 1 THEN f_reopened_ids_30d END) AS f_trouble_ids,
(CASE WHEN (f_urgent_over_48h > 0) THEN f_urgent_since WHEN (f_reopened_old > 0) THEN f_reopened_old_since WHEN 1 THEN f_reopened_new_since END) AS f_trouble_since,
(CASE WHEN NULL THEN '-' WHEN 1 THEN f_unhappy_tickets END) AS f_unhappy_about FROM base b),
formula_2 AS (SELECT b.*, (CASE WHEN f_seats_reduced THEN f_seat_lines_30d WHEN 1 THEN '-' END) AS f_changed_lines,
CAST(julianday('2026-11-20') - julianday(f_started_on) AS INTEGER) AS f_days_in FROM formula_1 b),
formula_3 AS (SELECT b.*, (f_days_in BETWEEN 0 AND f_onboarding_days) AS f_is_onboarding FROM formula_2 b),
formula_4 AS (SELECT b.*, ((CAST(julianday('2026-11-20') - julianday(f_last_active_on) AS INTEGER) > 21) OR (f_never_used AND (NOT f_is_onboarding))) AS f_unused FROM formula_3 b) SELECT b.*,
(f_usage_growth <= (-0.3)) AS s_0, (0 - f_usage_growth) AS s_0_severity,
(f_band_down OR (f_score_lost >= 15)) AS s_1, f_score_lost AS s_1_severity,
((f_urgent_over_48h > 0) OR (f_reopened_30d >= 3)) AS s_2, (f_urgent_over_48h + f_reopened_30d) AS s_2_severity,
(f_people_left_30d > 0) AS s_3, f_people_left_30d AS s_3_severity,
(f_unhappy_14d > 0) AS s_4, f_unhappy_14d AS s_4_severity, (f_seats_reduced OR
(f_leaving_tickets_30d > 0)) AS s_5, f_leaving_tickets_30d AS s_5_severity,
(f_unused AND f_out_of_touch AND (f_tickets_21d = 0)) AS s_6,
(CAST(julianday('2026-11-20') - julianday(f_unpaid_since) AS INTEGER) >= 30) AS s_7,
f_unpaid_invoices AS s_7_severity, ((f_sensitive_7d >= 3) AND
(f_sensitive_7d >= (CAST(3 AS REAL) * f_sensitive_usual))) AS s_8,
f_sensitive_7d AS s_8_severity, (f_usage_growth <= (-0.3)) AS t_0,
(f_usage_growth > (-0.2)) AS t_0_done, NULL AS t_0_due, 'high' AS t_0_priority,
((f_band_down OR (f_score_lost >= 15)) AND (r_health_band = 'red')) AS t_1,
(r_health_band IN ('yellow', 'green')) AS t_1_done, NULL AS t_1_due,
'high' AS t_1_priority, f_place_vacant AS t_2, NULL AS t_2_done,
NULL AS t_2_due, 'high' AS t_2_priority, (f_unhappy_14d > 0) AS t_3,
NULL AS t_3_done, NULL AS t_3_due, 'high' AS t_3_priority, (f_seats_reduced OR
(f_leaving_tickets_30d > 0)) AS t_4, NULL AS t_4_done, NULL AS t_4_due,
'high' AS t_4_priority, (f_unused AND f_out_of_touch AND (f_tickets_21d = 0)) AS t_5,
NULL AS t_5_done, NULL AS t_5_due, 'high' AS t_5_priority, (CAST(julianday('2026-11-20') - julianday(f_unpaid_since) AS INTEGER) >= 30) AS t_6,
(f_unpaid_invoices = 0) AS t_6_done, NULL AS t_6_due, 'normal' AS t_6_priority,
((f_sensitive_7d >= 3) AND (f_sensitive_7d >= (CAST(3 AS REAL) * f_sensitive_usual))) AS t_7,
NULL AS t_7_done, NULL AS t_7_due, 'high' AS t_7_priority FROM formula_4 b ORDER BY b.uid
;

-- upsell
WITH past_13 AS (SELECT account_uid, date(substr(since, 1, 19), '+540 minutes') AS value FROM result WHERE name = 'health.band' AND
value <> 'null' AND state <> 'stale'), base AS MATERIALIZED (SELECT a.uid AS uid,
a."csm_uid" AS a_csm_uid, a."locale" AS a_locale, a."name" AS a_name,
a."owner_uid" AS a_owner_uid, a."status" AS a_status, fact_terms.term_end AS f_term_end,
fact_terms.notice_given AS f_notice_given, fact_lines.seats AS f_seats,
fact_lines.seat_price AS f_seat_price, coalesce(fact_lines.currency, 'JPY') AS c_seat_price,
fact_lines.credits AS f_credits, fact_usage.active_users_28d AS f_active_users_28d,
fact_weeks.usage_recent AS f_usage_recent, fact_weeks.usage_before AS f_usage_before,
fact_weeks.usage_growth AS f_usage_growth, fact_burn.credits_used AS f_credits_used,
fact_peers.products_owned AS f_products_owned, fact_peers.peer_product AS f_peer_product,
fact_peers.peer_share AS f_peer_share, fact_peers.peer_accounts AS f_peer_accounts,
list_add_on_ticket_ids.value AS f_add_on_ticket_ids, coalesce(of_tickets.n_add_on_tickets, 0) AS f_add_on_tickets,
coalesce(of_tickets.n_urgent_open, 0) AS f_urgent_open, coalesce(of_surveys.n_promoters_who_decide, 0) AS f_promoters_who_decide,
list_department_names.value AS f_department_names, CASE WHEN EXISTS (SELECT 1 FROM "usage_metric" e WHERE e.deleted_at IS NULL AND e.account_uid = a.uid) THEN CASE WHEN coalesce(of_usage.u_credits_28d, 0) = 0 THEN 0.0 ELSE of_usage.v_credits_28d / 1000.0 END END AS f_credits_28d,
of_usage.v_credits_seen_on AS f_credits_seen_on, CASE WHEN EXISTS (SELECT 1 FROM "usage_metric" e WHERE e.deleted_at IS NULL AND e.account_uid = a.uid) THEN coalesce(of_usage.v_departments, 0) END AS f_departments,
of_usage.v_peak_4_weeks_before AS f_peak_4_weeks_before, of_usage.v_peak_last_4_weeks AS f_peak_last_4_weeks,
of_usage.v_peak_last_week AS f_peak_last_week, of_usage.v_peak_week_before AS f_peak_week_before,
list_limit_names.value AS f_limit_names, coalesce(of_usage_events.n_limit_hits_30d, 0) AS f_limit_hits_30d,
coalesce(of_usage_events.v_limit_users_30d, 0) AS f_limit_users_30d,
list_add_on_request_ids.value AS f_add_on_request_ids, coalesce(of_feature_requests.n_add_on_requests, 0) AS f_add_on_requests,
substr('"' || past_13.value || '"', 2, length('"' || past_13.value || '"') - 2) AS f_green_since,
CASE WHEN r0.value <> 'null' AND r0.state <> 'stale' THEN replace(replace(substr(r0.value, 2, length(r0.value) - 2), '\"', '"'), '\\', '\') END AS r_health_band,
CASE WHEN r1.value <> 'null' AND r1.state <> 'stale' THEN replace(replace(substr(r1.value, 2, length(r1.value) - 2), '\"', '"'), '\\', '\') END AS r_touch_tier FROM account a LEFT JOIN fact_terms ON fact_terms.account_uid = a.uid LEFT JOIN fact_lines ON fact_lines.account_uid = a.uid LEFT JOIN fact_usage ON fact_usage.account_uid = a.uid LEFT JOIN fact_weeks ON fact_weeks.account_uid = a.uid LEFT JOIN fact_burn ON fact_burn.account_uid = a.uid LEFT JOIN fact_peers ON fact_peers.account_uid = a.uid LEFT JOIN list_add_on_ticket_ids ON list_add_on_ticket_ids.account_uid = a.uid LEFT JOIN of_tickets ON of_tickets.account_uid = a.uid LEFT JOIN of_surveys ON of_surveys.account_uid = a.uid LEFT JOIN list_department_names ON list_department_names.account_uid = a.uid LEFT JOIN of_usage ON of_usage.account_uid = a.uid LEFT JOIN list_limit_names ON list_limit_names.account_uid = a.uid LEFT JOIN of_usage_events ON of_usage_events.account_uid = a.uid LEFT JOIN list_add_on_request_ids ON list_add_on_request_ids.account_uid = a.uid LEFT JOIN of_feature_requests ON of_feature_requests.account_uid = a.uid LEFT JOIN past_13 ON past_13.account_uid = a.uid LEFT JOIN result r0 ON r0.account_uid = a.uid AND
r0.name = 'health.band' LEFT JOIN result r1 ON r1.account_uid = a.uid AND
r1.name = 'touch.tier' WHERE a.deleted_at IS NULL AND coalesce(a.is_test, 0) = 0 AND
((a."status" IS NULL) OR (a."status" IN ('active', 'free', 'trial')))),
formula_1 AS (SELECT b.*, (CASE WHEN (f_add_on_tickets > 0) THEN f_add_on_ticket_ids WHEN 1 THEN f_add_on_request_ids END) AS f_add_on_ids,
((f_add_on_tickets >= 2) OR (f_add_on_requests >= 2) OR ((f_add_on_tickets + f_add_on_requests) >= 2)) AS f_asks,
date(f_credits_seen_on, CAST(((CAST(((CAST((CAST(28 AS REAL) * (f_credits - f_credits_used)) AS REAL) / NULLIF(f_credits_28d, 0)) + 0.5) AS INTEGER) - (((CAST((CAST(28 AS REAL) * (f_credits - f_credits_used)) AS REAL) / NULLIF(f_credits_28d, 0)) + 0.5) < CAST(((CAST((CAST(28 AS REAL) * (f_credits - f_credits_used)) AS REAL) / NULLIF(f_credits_28d, 0)) + 0.5) AS INTEGER)))) AS TEXT) || ' days') AS f_credits_out_on,
(CASE WHEN (f_departments = 0) THEN '-' WHEN 1 THEN f_department_names END) AS f_department_list,
((f_usage_growth >= 0.25) AND (f_usage_before >= 20)) AS f_grows,
((r_health_band = 'red') OR (f_urgent_open > 0) OR f_notice_given) AS f_in_trouble,
((r_health_band = 'green') AND (CAST(julianday('2026-11-20') - julianday(f_green_since) AS INTEGER) >= 90) AND (f_promoters_who_decide > 0)) AS f_is_promoted,
((f_limit_hits_30d >= 5) AND (f_limit_users_30d >= 2)) AS f_limited,
((f_seats > 0) AND (f_active_users_28d > f_seats)) AS f_more_than_full,
((f_seats > 0) AND ((CAST(f_peak_last_4_weeks AS REAL) / NULLIF(f_seats, 0)) >= 0.9) AND ((CAST(f_peak_4_weeks_before AS REAL) / NULLIF(f_seats, 0)) >= 0.9)) AS f_nearly_full,
((f_peer_share >= 0.4) AND (f_peer_accounts >= 5) AND (f_products_owned >= 1)) AS f_peers_have_more,
min(f_peak_last_4_weeks, (CAST(2 AS REAL) * f_peak_4_weeks_before)) AS f_seats_used,
(f_departments >= 2) AS f_spreads FROM base b), formula_2 AS (SELECT b.*,
((f_credits > 0) AND (date(f_credits_out_on, CAST((30) AS TEXT) || ' days') < f_term_end)) AS f_credits_end,
(f_nearly_full OR f_more_than_full) AS f_wants_seats FROM formula_1 b),
formula_3 AS (SELECT b.*, (CASE WHEN f_in_trouble IS NULL THEN NULL WHEN f_wants_seats IS NULL THEN NULL WHEN (f_in_trouble OR (NOT f_wants_seats)) THEN 0 WHEN 1 THEN max(0, (f_seats_used - (CAST(f_seats AS REAL) * 0.9))) END) AS f_seats_to_sell,
(f_grows OR f_credits_end OR f_limited OR f_peers_have_more OR f_spreads OR f_is_promoted OR f_asks) AS f_wants_more FROM formula_2 b) SELECT b.*,
(CAST(((CAST(f_seats_to_sell AS REAL) * f_seat_price) + 0.5) AS INTEGER) - (((CAST(f_seats_to_sell AS REAL) * f_seat_price) + 0.5) < CAST(((CAST(f_seats_to_sell AS REAL) * f_seat_price) + 0.5) AS INTEGER))) AS o_arr_potential,
c_seat_price AS oc_arr_potential, (f_nearly_full AND (NOT f_in_trouble)) AS s_0,
(f_more_than_full AND (NOT f_in_trouble)) AS s_1, (f_grows AND
(NOT f_in_trouble)) AS s_2, (f_credits_end AND (NOT f_in_trouble)) AS s_3,
(f_limited AND (NOT f_in_trouble)) AS s_4, (f_peers_have_more AND
(NOT f_in_trouble)) AS s_5, (f_spreads AND (NOT f_in_trouble)) AS s_6,
(f_is_promoted AND (NOT f_in_trouble)) AS s_7, (f_asks AND (NOT f_in_trouble)) AS s_8,
((a_status IN ('free', 'trial')) AND (f_peak_last_week >= 3) AND
(f_peak_week_before >= 3) AND (f_urgent_open = 0)) AS s_9, ((r_touch_tier IN ('high', 'low')) AND
((f_wants_seats OR f_wants_more) AND (NOT f_in_trouble))) AS t_0,
f_in_trouble AS t_0_done, NULL AS t_0_due, 'low' AS t_0_priority FROM formula_3 b ORDER BY b.uid
;

-- voice
WITH base AS MATERIALIZED (SELECT a.uid AS uid, a."csm_uid" AS a_csm_uid,
a."locale" AS a_locale, a."name" AS a_name, a."owner_uid" AS a_owner_uid,
a."status" AS a_status, coalesce(of_feature_requests.n_shipped_30d, 0) AS f_shipped_30d,
date(substr(of_feature_requests.v_shipped_on, 1, 19), '+540 minutes') AS f_shipped_on,
of_feature_requests.v_shipped_topic AS f_shipped_topic, CASE WHEN r0.value <> 'null' AND
r0.state <> 'stale' THEN replace(replace(substr(r0.value, 2, length(r0.value) - 2), '\"', '"'), '\\', '\') END AS r_touch_tier FROM account a LEFT JOIN of_feature_requests ON of_feature_requests.account_uid = a.uid LEFT JOIN result r0 ON r0.account_uid = a.uid AND
r0.name = 'touch.tier' WHERE a.deleted_at IS NULL AND coalesce(a.is_test, 0) = 0 AND
((a."status" IS NULL) OR (a."status" <> 'prospect'))) SELECT b.*,
((r_touch_tier IN ('high', 'low')) AND (f_shipped_30d > 0)) AS t_0,
NULL AS t_0_done, NULL AS t_0_due, 'low' AS t_0_priority FROM base b ORDER BY b.uid
;

