-- term
WITH RECURSIVE term_row AS (SELECT t.account_uid, t.connection,
t.source_id, CASE WHEN t.start_date BETWEEN '1900-01-01' AND
'9899-12-31' THEN t.start_date END AS start_date, CASE WHEN t.end_date BETWEEN '1900-01-01' AND
'9899-12-31' THEN t.end_date END AS end_date, t.auto_renew, coalesce(t.status, 'active') AS status,
t.term_months, t.notice_days, t.notice_months, t.notice_received_on,
t.renewed_by_source_id, t.billing_currency, NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(CASE WHEN t.end_date BETWEEN '1900-01-01' AND '9899-12-31' THEN t.end_date END AS DATE), DATE '0001-01-01') + 1, 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01') AS renewal FROM contract t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND coalesce(t.status, 'active') <> 'draft' AND
(t.connection = 'crm' OR NOT EXISTS (SELECT 1 FROM contract m WHERE m.account_uid = t.account_uid AND m.connection = 'crm' AND m.deleted_at IS NULL))),
term_successor AS (SELECT k.connection, k.source_id, min(coalesce(s.start_date, k.renewal)) AS successor_on FROM term_row k JOIN contract s ON s.account_uid = k.account_uid AND
NOT (s.connection = k.connection AND s.source_id = k.source_id) AND
s.deleted_at IS NULL AND s.connection = k.connection AND coalesce(s.status, 'active') NOT IN ('draft', 'terminated') AND
((s.connection = k.connection AND s.source_id = k.renewed_by_source_id) OR (s.start_date > k.start_date AND (s.end_date IS NULL OR s.end_date > k.end_date) AND s.start_date BETWEEN NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(k.renewal AS DATE), DATE '0001-01-01') + -31, 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01') AND NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(k.renewal AS DATE), DATE '0001-01-01') + 30, 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01'))) GROUP BY k.connection,
k.source_id), term_next AS (SELECT k.*, coalesce(nullif(term_months, 0), CASE WHEN datediff(CAST(renewal AS DATE), CAST(start_date AS DATE)) > 0 THEN (CASE WHEN 1 IS NULL OR (CASE WHEN ((CAST(datediff(CAST(renewal AS DATE), CAST(start_date AS DATE)) AS DOUBLE) / NULLIF(30.4375D, 0)) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((CAST(datediff(CAST(renewal AS DATE), CAST(start_date AS DATE)) AS DOUBLE) / NULLIF(30.4375D, 0)) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((CAST(datediff(CAST(renewal AS DATE), CAST(start_date AS DATE)) AS DOUBLE) / NULLIF(30.4375D, 0)) + 0.5)) AS BIGINT) END) IS NULL THEN NULL ELSE GREATEST(1, (CASE WHEN ((CAST(datediff(CAST(renewal AS DATE), CAST(start_date AS DATE)) AS DOUBLE) / NULLIF(30.4375D, 0)) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((CAST(datediff(CAST(renewal AS DATE), CAST(start_date AS DATE)) AS DOUBLE) / NULLIF(30.4375D, 0)) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((CAST(datediff(CAST(renewal AS DATE), CAST(start_date AS DATE)) AS DOUBLE) / NULLIF(30.4375D, 0)) + 0.5)) AS BIGINT) END)) END) END, 12) AS months,
u.successor_on, CASE WHEN k.status = 'notice' OR k.notice_received_on <= '2026-11-20' THEN 1 ELSE 0 END AS noticed,
CASE WHEN k.notice_received_on <= '2026-11-20' THEN k.notice_received_on WHEN k.status = 'active' THEN '2026-11-20' END AS reached FROM term_row k LEFT JOIN term_successor u ON u.connection = k.connection AND
u.source_id = k.source_id), term_rolled AS (SELECT n.*, CASE WHEN n.status IN ('renewed', 'terminated') OR
n.renewed_by_source_id IS NOT NULL OR n.successor_on IS NOT NULL THEN 1 ELSE 0 END AS replaced,
CASE WHEN n.auto_renew = 1 AND n.status IN ('active', 'notice') AND
n.renewal <= n.reached THEN 1 ELSE 0 END AS assumed FROM term_next n),
term_end AS (SELECT r.*, CASE WHEN assumed = 1 AND replaced = 0 THEN CASE WHEN NULLIF(regexp_extract(CAST(CAST(add_months(CAST(renewal AS DATE), CAST(CASE WHEN ((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) DIV months) * months) BETWEEN -24000 AND 120000 THEN ((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) DIV months) * months) END AS INTEGER)) AS DATE) AS STRING), '^[0-9]{4}-[0-9]{2}-[0-9]{2}$', 0), '') > reached THEN NULLIF(regexp_extract(CAST(CAST(add_months(CAST(renewal AS DATE), CAST(CASE WHEN ((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) DIV months) * months) BETWEEN -24000 AND 120000 THEN ((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) DIV months) * months) END AS INTEGER)) AS DATE) AS STRING), '^[0-9]{4}-[0-9]{2}-[0-9]{2}$', 0), '') ELSE NULLIF(regexp_extract(CAST(CAST(add_months(CAST(renewal AS DATE), CAST(CASE WHEN (((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) DIV months) + 1) * months) BETWEEN -24000 AND 120000 THEN (((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) DIV months) + 1) * months) END AS INTEGER)) AS DATE) AS STRING), '^[0-9]{4}-[0-9]{2}-[0-9]{2}$', 0), '') END ELSE renewal END AS renews FROM term_rolled r),
term AS (SELECT account_uid, connection, source_id, start_date,
end_date, billing_currency, auto_renew, notice_received_on, months,
renewal, renews, replaced, noticed, assumed, CASE WHEN notice_months IS NOT NULL THEN NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(NULLIF(regexp_extract(CAST(CAST(add_months(CAST(renews AS DATE), CAST(CASE WHEN (- notice_months) BETWEEN -24000 AND 120000 THEN (- notice_months) END AS INTEGER)) AS DATE) AS STRING), '^[0-9]{4}-[0-9]{2}-[0-9]{2}$', 0), '') AS DATE), DATE '0001-01-01') + -1, 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01') ELSE NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(renews AS DATE), DATE '0001-01-01') + (- notice_days - 1), 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01') END AS deadline,
CASE WHEN assumed = 1 AND replaced = 0 THEN NULLIF(regexp_extract(CAST(CAST(add_months(CAST(renews AS DATE), CAST(CASE WHEN (- months) BETWEEN -24000 AND 120000 THEN (- months) END AS INTEGER)) AS DATE) AS STRING), '^[0-9]{4}-[0-9]{2}-[0-9]{2}$', 0), '') ELSE start_date END AS begins,
CASE WHEN status = 'terminated' THEN '0000-01-01' WHEN successor_on <= NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(renews AS DATE), DATE '0001-01-01') + 30, 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01') THEN NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(successor_on AS DATE), DATE '0001-01-01') + -1, 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01') WHEN replaced = 0 AND
noticed = 0 THEN NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(renews AS DATE), DATE '0001-01-01') + 29, 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01') ELSE NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(renews AS DATE), DATE '0001-01-01') + -1, 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01') END AS covered_to FROM term_end e) SELECT * FROM term
;

-- event
WITH RECURSIVE event AS (SELECT account_uid, min(CASE WHEN replaced = 0 AND renews > '2026-11-20' THEN renews END) AS coming,
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
WITH RECURSIVE event_day AS (SELECT x.account_uid, x.renews,
row_number() OVER (PARTITION BY x.account_uid ORDER BY x.renews) AS nth FROM (SELECT DISTINCT t.account_uid, t.renews FROM event e JOIN term t ON t.account_uid = e.account_uid WHERE e.closes > NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(e.opens AS DATE), DATE '0001-01-01') + 14, 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01') AND t.replaced = 0 AND t.renews >= e.opens) x),
event_step AS (SELECT o.account_uid, o.renews, o.nth, o.renews AS opens FROM event_day o WHERE o.nth = 1 UNION ALL SELECT n.account_uid,
n.renews, n.nth, CASE WHEN n.renews > NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(s.opens AS DATE), DATE '0001-01-01') + 14, 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01') THEN n.renews ELSE s.opens END FROM event_step s JOIN event_day n ON n.account_uid = s.account_uid AND
n.nth = s.nth + 1), event_member AS (SELECT t.account_uid, t.connection,
t.source_id, t.auto_renew, t.deadline, t.renews, t.begins, t.assumed,
t.noticed, t.notice_received_on, e.terms, e.open_noticed, e.noticed_on,
coalesce(datediff(CAST(t.renewal AS DATE), CAST(t.start_date AS DATE)), t.months * 30) AS days,
t.renews AS opens, t.connection || ':' || t.source_id AS members FROM term t JOIN event e ON e.account_uid = t.account_uid WHERE e.terms = 1 AND
t.replaced = 0 AND t.renews IS NOT NULL UNION ALL SELECT t.account_uid,
t.connection, t.source_id, t.auto_renew, t.deadline, t.renews,
t.begins, t.assumed, t.noticed, t.notice_received_on, e.terms,
e.open_noticed, e.noticed_on, coalesce(datediff(CAST(t.renewal AS DATE), CAST(t.start_date AS DATE)), t.months * 30) AS days,
coalesce(s.opens, e.opens, e.passed) AS opens, array_join(sort_array(collect_list(t.connection || ':' || t.source_id) OVER (PARTITION BY t.account_uid, coalesce(s.opens, e.opens, e.passed))), ' ') AS members FROM term t JOIN event e ON e.account_uid = t.account_uid LEFT JOIN event_step s ON s.account_uid = t.account_uid AND
s.renews = t.renews WHERE e.terms > 1 AND t.replaced = 0 AND
t.renews >= coalesce(e.opens, NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(e.passed AS DATE), DATE '0001-01-01') + -14, 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01'))) SELECT * FROM event_member
;

-- fact_events
WITH RECURSIVE term_row AS (SELECT t.account_uid, t.connection,
t.source_id, CASE WHEN t.start_date BETWEEN '1900-01-01' AND
'9899-12-31' THEN t.start_date END AS start_date, CASE WHEN t.end_date BETWEEN '1900-01-01' AND
'9899-12-31' THEN t.end_date END AS end_date, t.auto_renew, coalesce(t.status, 'active') AS status,
t.term_months, t.notice_days, t.notice_months, t.notice_received_on,
t.renewed_by_source_id, t.billing_currency, NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(CASE WHEN t.end_date BETWEEN '1900-01-01' AND '9899-12-31' THEN t.end_date END AS DATE), DATE '0001-01-01') + 1, 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01') AS renewal FROM contract t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND coalesce(t.status, 'active') <> 'draft' AND
(t.connection = 'crm' OR NOT EXISTS (SELECT 1 FROM contract m WHERE m.account_uid = t.account_uid AND m.connection = 'crm' AND m.deleted_at IS NULL))),
term_successor AS (SELECT k.connection, k.source_id, min(coalesce(s.start_date, k.renewal)) AS successor_on FROM term_row k JOIN contract s ON s.account_uid = k.account_uid AND
NOT (s.connection = k.connection AND s.source_id = k.source_id) AND
s.deleted_at IS NULL AND s.connection = k.connection AND coalesce(s.status, 'active') NOT IN ('draft', 'terminated') AND
((s.connection = k.connection AND s.source_id = k.renewed_by_source_id) OR (s.start_date > k.start_date AND (s.end_date IS NULL OR s.end_date > k.end_date) AND s.start_date BETWEEN NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(k.renewal AS DATE), DATE '0001-01-01') + -31, 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01') AND NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(k.renewal AS DATE), DATE '0001-01-01') + 30, 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01'))) GROUP BY k.connection,
k.source_id), term_next AS (SELECT k.*, coalesce(nullif(term_months, 0), CASE WHEN datediff(CAST(renewal AS DATE), CAST(start_date AS DATE)) > 0 THEN (CASE WHEN 1 IS NULL OR (CASE WHEN ((CAST(datediff(CAST(renewal AS DATE), CAST(start_date AS DATE)) AS DOUBLE) / NULLIF(30.4375D, 0)) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((CAST(datediff(CAST(renewal AS DATE), CAST(start_date AS DATE)) AS DOUBLE) / NULLIF(30.4375D, 0)) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((CAST(datediff(CAST(renewal AS DATE), CAST(start_date AS DATE)) AS DOUBLE) / NULLIF(30.4375D, 0)) + 0.5)) AS BIGINT) END) IS NULL THEN NULL ELSE GREATEST(1, (CASE WHEN ((CAST(datediff(CAST(renewal AS DATE), CAST(start_date AS DATE)) AS DOUBLE) / NULLIF(30.4375D, 0)) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((CAST(datediff(CAST(renewal AS DATE), CAST(start_date AS DATE)) AS DOUBLE) / NULLIF(30.4375D, 0)) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((CAST(datediff(CAST(renewal AS DATE), CAST(start_date AS DATE)) AS DOUBLE) / NULLIF(30.4375D, 0)) + 0.5)) AS BIGINT) END)) END) END, 12) AS months,
u.successor_on, CASE WHEN k.status = 'notice' OR k.notice_received_on <= '2026-11-20' THEN 1 ELSE 0 END AS noticed,
CASE WHEN k.notice_received_on <= '2026-11-20' THEN k.notice_received_on WHEN k.status = 'active' THEN '2026-11-20' END AS reached FROM term_row k LEFT JOIN term_successor u ON u.connection = k.connection AND
u.source_id = k.source_id), term_rolled AS (SELECT n.*, CASE WHEN n.status IN ('renewed', 'terminated') OR
n.renewed_by_source_id IS NOT NULL OR n.successor_on IS NOT NULL THEN 1 ELSE 0 END AS replaced,
CASE WHEN n.auto_renew = 1 AND n.status IN ('active', 'notice') AND
n.renewal <= n.reached THEN 1 ELSE 0 END AS assumed FROM term_next n),
term_end AS (SELECT r.*, CASE WHEN assumed = 1 AND replaced = 0 THEN CASE WHEN NULLIF(regexp_extract(CAST(CAST(add_months(CAST(renewal AS DATE), CAST(CASE WHEN ((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) DIV months) * months) BETWEEN -24000 AND 120000 THEN ((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) DIV months) * months) END AS INTEGER)) AS DATE) AS STRING), '^[0-9]{4}-[0-9]{2}-[0-9]{2}$', 0), '') > reached THEN NULLIF(regexp_extract(CAST(CAST(add_months(CAST(renewal AS DATE), CAST(CASE WHEN ((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) DIV months) * months) BETWEEN -24000 AND 120000 THEN ((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) DIV months) * months) END AS INTEGER)) AS DATE) AS STRING), '^[0-9]{4}-[0-9]{2}-[0-9]{2}$', 0), '') ELSE NULLIF(regexp_extract(CAST(CAST(add_months(CAST(renewal AS DATE), CAST(CASE WHEN (((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) DIV months) + 1) * months) BETWEEN -24000 AND 120000 THEN (((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) DIV months) + 1) * months) END AS INTEGER)) AS DATE) AS STRING), '^[0-9]{4}-[0-9]{2}-[0-9]{2}$', 0), '') END ELSE renewal END AS renews FROM term_rolled r),
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
NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(o.renews_on AS DATE), DATE '0001-01-01') + -1, 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01') AS term_end,
o.notice_deadline, o.anchor, coalesce(o.auto_renew, 0) AS auto_renew,
o.term_days, o.renewal_assumed, CASE WHEN o.event = 1 AND o.open_noticed = 1 THEN 1 ELSE o.notice_given END AS notice_given,
CASE WHEN o.event = 1 AND o.open_noticed = 1 THEN o.noticed_on ELSE o.notice_received_on END AS notice_received_on,
o.lapsed_on, o.renewal_contracts, o.term_start FROM (SELECT * FROM event_alone UNION ALL SELECT * FROM event_placed) o) SELECT * FROM fact_events
;

-- event_term
WITH RECURSIVE event_term AS (SELECT m.account_uid, m.connection,
m.source_id, v.event FROM event_member m JOIN fact_events v ON v.account_uid = m.account_uid AND
v.opens = m.opens) SELECT * FROM event_term
;

-- fact_terms
WITH RECURSIVE term_row AS (SELECT t.account_uid, t.connection,
t.source_id, CASE WHEN t.start_date BETWEEN '1900-01-01' AND
'9899-12-31' THEN t.start_date END AS start_date, CASE WHEN t.end_date BETWEEN '1900-01-01' AND
'9899-12-31' THEN t.end_date END AS end_date, t.auto_renew, coalesce(t.status, 'active') AS status,
t.term_months, t.notice_days, t.notice_months, t.notice_received_on,
t.renewed_by_source_id, t.billing_currency, NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(CASE WHEN t.end_date BETWEEN '1900-01-01' AND '9899-12-31' THEN t.end_date END AS DATE), DATE '0001-01-01') + 1, 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01') AS renewal FROM contract t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND coalesce(t.status, 'active') <> 'draft' AND
(t.connection = 'crm' OR NOT EXISTS (SELECT 1 FROM contract m WHERE m.account_uid = t.account_uid AND m.connection = 'crm' AND m.deleted_at IS NULL))),
term_successor AS (SELECT k.connection, k.source_id, min(coalesce(s.start_date, k.renewal)) AS successor_on FROM term_row k JOIN contract s ON s.account_uid = k.account_uid AND
NOT (s.connection = k.connection AND s.source_id = k.source_id) AND
s.deleted_at IS NULL AND s.connection = k.connection AND coalesce(s.status, 'active') NOT IN ('draft', 'terminated') AND
((s.connection = k.connection AND s.source_id = k.renewed_by_source_id) OR (s.start_date > k.start_date AND (s.end_date IS NULL OR s.end_date > k.end_date) AND s.start_date BETWEEN NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(k.renewal AS DATE), DATE '0001-01-01') + -31, 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01') AND NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(k.renewal AS DATE), DATE '0001-01-01') + 30, 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01'))) GROUP BY k.connection,
k.source_id), term_next AS (SELECT k.*, coalesce(nullif(term_months, 0), CASE WHEN datediff(CAST(renewal AS DATE), CAST(start_date AS DATE)) > 0 THEN (CASE WHEN 1 IS NULL OR (CASE WHEN ((CAST(datediff(CAST(renewal AS DATE), CAST(start_date AS DATE)) AS DOUBLE) / NULLIF(30.4375D, 0)) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((CAST(datediff(CAST(renewal AS DATE), CAST(start_date AS DATE)) AS DOUBLE) / NULLIF(30.4375D, 0)) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((CAST(datediff(CAST(renewal AS DATE), CAST(start_date AS DATE)) AS DOUBLE) / NULLIF(30.4375D, 0)) + 0.5)) AS BIGINT) END) IS NULL THEN NULL ELSE GREATEST(1, (CASE WHEN ((CAST(datediff(CAST(renewal AS DATE), CAST(start_date AS DATE)) AS DOUBLE) / NULLIF(30.4375D, 0)) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((CAST(datediff(CAST(renewal AS DATE), CAST(start_date AS DATE)) AS DOUBLE) / NULLIF(30.4375D, 0)) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((CAST(datediff(CAST(renewal AS DATE), CAST(start_date AS DATE)) AS DOUBLE) / NULLIF(30.4375D, 0)) + 0.5)) AS BIGINT) END)) END) END, 12) AS months,
u.successor_on, CASE WHEN k.status = 'notice' OR k.notice_received_on <= '2026-11-20' THEN 1 ELSE 0 END AS noticed,
CASE WHEN k.notice_received_on <= '2026-11-20' THEN k.notice_received_on WHEN k.status = 'active' THEN '2026-11-20' END AS reached FROM term_row k LEFT JOIN term_successor u ON u.connection = k.connection AND
u.source_id = k.source_id), term_rolled AS (SELECT n.*, CASE WHEN n.status IN ('renewed', 'terminated') OR
n.renewed_by_source_id IS NOT NULL OR n.successor_on IS NOT NULL THEN 1 ELSE 0 END AS replaced,
CASE WHEN n.auto_renew = 1 AND n.status IN ('active', 'notice') AND
n.renewal <= n.reached THEN 1 ELSE 0 END AS assumed FROM term_next n),
term_end AS (SELECT r.*, CASE WHEN assumed = 1 AND replaced = 0 THEN CASE WHEN NULLIF(regexp_extract(CAST(CAST(add_months(CAST(renewal AS DATE), CAST(CASE WHEN ((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) DIV months) * months) BETWEEN -24000 AND 120000 THEN ((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) DIV months) * months) END AS INTEGER)) AS DATE) AS STRING), '^[0-9]{4}-[0-9]{2}-[0-9]{2}$', 0), '') > reached THEN NULLIF(regexp_extract(CAST(CAST(add_months(CAST(renewal AS DATE), CAST(CASE WHEN ((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) DIV months) * months) BETWEEN -24000 AND 120000 THEN ((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) DIV months) * months) END AS INTEGER)) AS DATE) AS STRING), '^[0-9]{4}-[0-9]{2}-[0-9]{2}$', 0), '') ELSE NULLIF(regexp_extract(CAST(CAST(add_months(CAST(renewal AS DATE), CAST(CASE WHEN (((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) DIV months) + 1) * months) BETWEEN -24000 AND 120000 THEN (((((CAST(substr(reached, 1, 4) AS INTEGER) * 12 + CAST(substr(reached, 6, 2) AS INTEGER)) - (CAST(substr(renewal, 1, 4) AS INTEGER) * 12 + CAST(substr(renewal, 6, 2) AS INTEGER))) DIV months) + 1) * months) END AS INTEGER)) AS DATE) AS STRING), '^[0-9]{4}-[0-9]{2}-[0-9]{2}$', 0), '') END ELSE renewal END AS renews FROM term_rolled r),
fact_terms AS (SELECT e.account_uid, coalesce(e.coming, e.passed) AS renews_on,
NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(coalesce(e.coming, e.passed) AS DATE), DATE '0001-01-01') + -1, 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01') AS term_end,
o.notice_deadline, o.anchor, coalesce(o.auto_renew, 0) AS auto_renew,
o.term_days, coalesce(o.renewal_assumed, 0) AS renewal_assumed,
e.noticed AS notice_given, e.noticed_on AS notice_received_on,
e.passed AS lapsed_on, 1 AS has_contract, e.open_ended AS end_date_missing,
o.renewal_contracts, o.term_start FROM event e LEFT JOIN fact_events o ON o.account_uid = e.account_uid AND
o.event = 1) SELECT * FROM fact_terms
;

-- event_deal
WITH RECURSIVE event_near AS (SELECT t.connection, t.source_id,
v.event, row_number() OVER ( PARTITION BY t.connection, t.source_id ORDER BY CASE WHEN g.event = v.event THEN 0 ELSE 1 END, abs(datediff(CAST(t.close_date AS DATE), CAST(v.renews_on AS DATE))), v.event) AS nearest FROM fact_events x JOIN fact_events v ON v.account_uid = x.account_uid JOIN opportunity t ON t.account_uid = x.account_uid LEFT JOIN event_term g ON g.account_uid = t.account_uid AND
g.connection = t.connection AND g.source_id = t.contract_source_id WHERE x.event = 2 AND
t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND (t.close_date IS NOT NULL OR g.event IS NOT NULL)),
event_deal AS (SELECT connection, source_id, event FROM event_near WHERE nearest = 1 AND
event > 1) SELECT * FROM event_deal
;

-- fact_lines
WITH RECURSIVE line_priced AS (SELECT l.*, coalesce(l.amount, l.quantity * l.unit_price) AS price FROM contract_line l WHERE l.deleted_at IS NULL AND
l.account_uid IS NOT NULL AND coalesce(l.is_recurring, 1) = 1),
line_dated AS (SELECT t.account_uid, t.quantity, t.unit, coalesce(t.currency, k.billing_currency, 'JPY') AS currency,
CASE WHEN t.billing_period_months = 0 THEN CASE WHEN (datediff(CAST(coalesce(t.end_date, k.end_date) AS DATE), CAST(coalesce(t.start_date, k.start_date) AS DATE)) + 1) > 0 THEN (CASE WHEN ((CAST((CAST(t.price AS DOUBLE) * 10117800.0D) AS DOUBLE) / NULLIF((datediff(CAST(coalesce(t.end_date, k.end_date) AS DATE), CAST(coalesce(t.start_date, k.start_date) AS DATE)) + 1), 0)) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((CAST((CAST(t.price AS DOUBLE) * 10117800.0D) AS DOUBLE) / NULLIF((datediff(CAST(coalesce(t.end_date, k.end_date) AS DATE), CAST(coalesce(t.start_date, k.start_date) AS DATE)) + 1), 0)) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((CAST((CAST(t.price AS DOUBLE) * 10117800.0D) AS DOUBLE) / NULLIF((datediff(CAST(coalesce(t.end_date, k.end_date) AS DATE), CAST(coalesce(t.start_date, k.start_date) AS DATE)) + 1), 0)) + 0.5)) AS BIGINT) END) END ELSE (CAST((CAST(t.price AS DOUBLE) * 332640.0D) AS DOUBLE) / NULLIF(coalesce(t.billing_period_months, 12), 0)) END AS scaled,
CASE WHEN (k.source_id IS NOT NULL OR x.source_id IS NULL) AND
(coalesce(t.start_date, k.start_date) IS NULL OR coalesce(t.start_date, k.start_date) <= '2026-11-20') AND
'2026-11-20' <= CASE WHEN t.end_date IS NOT NULL AND (k.end_date IS NULL OR t.end_date < k.end_date) THEN t.end_date ELSE coalesce(k.covered_to, '9999-12-31') END THEN 1 ELSE 0 END AS counted,
CASE WHEN k.source_id IS NULL THEN 1 ELSE g.event END AS event FROM line_priced t LEFT JOIN term k ON k.connection = t.connection AND
k.source_id = t.contract_source_id LEFT JOIN event_term g ON g.connection = t.connection AND
g.source_id = t.contract_source_id LEFT JOIN contract x ON x.connection = t.connection AND
x.source_id = t.contract_source_id), line_now AS (SELECT l.*,
CASE WHEN counted = 1 AND scaled IS NOT NULL THEN currency END AS money FROM line_dated l),
fact_lines AS (SELECT account_uid, CASE WHEN sum(counted) = 0 AND
count(scaled) > 0 THEN 0 WHEN min(money) = max(money) THEN (CASE WHEN ((CAST(sum(CASE WHEN counted = 1 THEN scaled END) AS DOUBLE) / NULLIF(27720, 0)) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((CAST(sum(CASE WHEN counted = 1 THEN scaled END) AS DOUBLE) / NULLIF(27720, 0)) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((CAST(sum(CASE WHEN counted = 1 THEN scaled END) AS DOUBLE) / NULLIF(27720, 0)) + 0.5)) AS BIGINT) END) END AS arr,
CASE WHEN sum(counted) = 0 AND count(scaled) > 0 THEN 0 WHEN min(money) = max(money) THEN (CASE WHEN ((CAST(sum(CASE WHEN counted = 1 AND event = 1 THEN scaled END) AS DOUBLE) / NULLIF(27720, 0)) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((CAST(sum(CASE WHEN counted = 1 AND event = 1 THEN scaled END) AS DOUBLE) / NULLIF(27720, 0)) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((CAST(sum(CASE WHEN counted = 1 AND event = 1 THEN scaled END) AS DOUBLE) / NULLIF(27720, 0)) + 0.5)) AS BIGINT) END) END AS renewal_arr,
min(money) AS currency, CASE WHEN CAST(sum(CASE WHEN counted = 1 AND unit = 'seat' THEN quantity END) AS BIGINT) > 0 THEN CASE WHEN min(money) = max(money) THEN (CASE WHEN ((CAST((CAST(sum(CASE WHEN counted = 1 AND unit = 'seat' THEN scaled END) AS DOUBLE) / NULLIF(27720, 0)) AS DOUBLE) / NULLIF(CAST(sum(CASE WHEN counted = 1 AND unit = 'seat' THEN quantity END) AS BIGINT), 0)) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((CAST((CAST(sum(CASE WHEN counted = 1 AND unit = 'seat' THEN scaled END) AS DOUBLE) / NULLIF(27720, 0)) AS DOUBLE) / NULLIF(CAST(sum(CASE WHEN counted = 1 AND unit = 'seat' THEN quantity END) AS BIGINT), 0)) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((CAST((CAST(sum(CASE WHEN counted = 1 AND unit = 'seat' THEN scaled END) AS DOUBLE) / NULLIF(27720, 0)) AS DOUBLE) / NULLIF(CAST(sum(CASE WHEN counted = 1 AND unit = 'seat' THEN quantity END) AS BIGINT), 0)) + 0.5)) AS BIGINT) END) END END AS seat_price,
coalesce(CAST(sum(CASE WHEN counted = 1 AND unit = 'seat' THEN quantity END) AS BIGINT), CAST(sum(CASE WHEN counted = 1 AND unit IS NULL THEN quantity END) AS BIGINT), 0) AS seats,
CAST(sum(CASE WHEN counted = 1 AND unit = 'credit' THEN quantity END) AS BIGINT) AS credits FROM line_now GROUP BY account_uid) SELECT * FROM fact_lines
;

-- fact_event_lines
WITH RECURSIVE line_priced AS (SELECT l.*, coalesce(l.amount, l.quantity * l.unit_price) AS price FROM contract_line l WHERE l.deleted_at IS NULL AND
l.account_uid IS NOT NULL AND coalesce(l.is_recurring, 1) = 1),
fact_event_lines AS (SELECT account_uid, event, CASE WHEN sum(counted) = 0 AND
count(scaled) > 0 THEN 0 WHEN min(money) = max(money) THEN (CASE WHEN ((CAST(sum(CASE WHEN counted = 1 THEN scaled END) AS DOUBLE) / NULLIF(27720, 0)) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((CAST(sum(CASE WHEN counted = 1 THEN scaled END) AS DOUBLE) / NULLIF(27720, 0)) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((CAST(sum(CASE WHEN counted = 1 THEN scaled END) AS DOUBLE) / NULLIF(27720, 0)) + 0.5)) AS BIGINT) END) END AS renewal_arr,
min(money) AS currency FROM (SELECT l.*, CASE WHEN counted = 1 AND scaled IS NOT NULL THEN currency END AS money FROM (SELECT t.account_uid, t.quantity, t.unit, coalesce(t.currency, k.billing_currency, 'JPY') AS currency, CASE WHEN t.billing_period_months = 0 THEN CASE WHEN (datediff(CAST(coalesce(t.end_date, k.end_date) AS DATE), CAST(coalesce(t.start_date, k.start_date) AS DATE)) + 1) > 0 THEN (CASE WHEN ((CAST((CAST(t.price AS DOUBLE) * 10117800.0D) AS DOUBLE) / NULLIF((datediff(CAST(coalesce(t.end_date, k.end_date) AS DATE), CAST(coalesce(t.start_date, k.start_date) AS DATE)) + 1), 0)) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((CAST((CAST(t.price AS DOUBLE) * 10117800.0D) AS DOUBLE) / NULLIF((datediff(CAST(coalesce(t.end_date, k.end_date) AS DATE), CAST(coalesce(t.start_date, k.start_date) AS DATE)) + 1), 0)) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((CAST((CAST(t.price AS DOUBLE) * 10117800.0D) AS DOUBLE) / NULLIF((datediff(CAST(coalesce(t.end_date, k.end_date) AS DATE), CAST(coalesce(t.start_date, k.start_date) AS DATE)) + 1), 0)) + 0.5)) AS BIGINT) END) END ELSE (CAST((CAST(t.price AS DOUBLE) * 332640.0D) AS DOUBLE) / NULLIF(coalesce(t.billing_period_months, 12), 0)) END AS scaled, CASE WHEN (k.source_id IS NOT NULL OR x.source_id IS NULL) AND (coalesce(t.start_date, k.start_date) IS NULL OR coalesce(t.start_date, k.start_date) <= '2026-11-20') AND '2026-11-20' <= CASE WHEN t.end_date IS NOT NULL AND (k.end_date IS NULL OR t.end_date < k.end_date) THEN t.end_date ELSE coalesce(k.covered_to, '9999-12-31') END THEN 1 ELSE 0 END AS counted, CASE WHEN k.source_id IS NULL THEN 1 ELSE g.event END AS event FROM line_priced t LEFT JOIN term k ON k.connection = t.connection AND k.source_id = t.contract_source_id LEFT JOIN event_term g ON g.connection = t.connection AND g.source_id = t.contract_source_id LEFT JOIN contract x ON x.connection = t.connection AND x.source_id = t.contract_source_id WHERE t.account_uid IN (SELECT v.account_uid FROM fact_events v WHERE v.event = 2)) l WHERE l.event > 1) n GROUP BY account_uid,
event) SELECT * FROM fact_event_lines
;

-- fact_usage
WITH RECURSIVE usage_seen AS (SELECT t.account_uid, min(t.period_start) FILTER (WHERE t.metric = 'active_users') AS first_on,
max(CASE WHEN t.grain = 'week' THEN (CASE WHEN NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(t.period_start AS DATE), DATE '0001-01-01') + 6, 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01') IS NULL OR '2026-11-20' IS NULL THEN NULL ELSE LEAST(NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(t.period_start AS DATE), DATE '0001-01-01') + 6, 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01'), '2026-11-20') END) ELSE t.period_start END) FILTER (WHERE t.metric IN ('active_users', 'logins', 'events') AND t.value > 0 AND coalesce(t.is_complete, 1) = 1 AND NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE)) AND t.period_start <= '2026-11-20') AS used_on,
count(DISTINCT t.period_start) FILTER (WHERE t.metric IN ('active_users', 'logins', 'events') AND t.period_start BETWEEN '2026-10-23' AND '2026-11-19' AND (t.is_complete = 0 OR (t.value IS NULL AND coalesce(t.is_complete, 1) = 1 AND NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE))))) AS open_days,
max(t.period_start) FILTER (WHERE t.metric IN ('active_users', 'logins', 'events') AND t.period_start BETWEEN '2026-10-23' AND '2026-11-19' AND (t.is_complete = 0 OR (t.value IS NULL AND coalesce(t.is_complete, 1) = 1 AND NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE))))) AS newest_open,
max(t.value) FILTER (WHERE t.metric = 'active_users_28d' AND t.period_start BETWEEN '2026-11-13' AND '2026-11-20' AND coalesce(t.is_complete, 1) = 1 AND NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE))) AS exact,
max(t.value) FILTER (WHERE t.metric = 'active_users' AND t.period_start BETWEEN '2026-10-23' AND '2026-11-19' AND coalesce(t.is_complete, 1) = 1 AND NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE))) AS peak,
count(t.value) FILTER (WHERE t.metric IN ('active_users', 'active_users_28d') AND coalesce(t.is_complete, 1) = 1 AND NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE))) AS measured FROM usage_metric t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL GROUP BY t.account_uid), fact_usage AS (SELECT s.account_uid,
s.first_on, CASE WHEN s.open_days + 1 >= 3 AND (CASE WHEN coalesce(s.newest_open, '') IS NULL OR '2026-11-03' IS NULL THEN NULL ELSE GREATEST(coalesce(s.newest_open, ''), '2026-11-03') END) > s.used_on THEN NULL ELSE s.used_on END AS last_active_on,
CASE WHEN s.exact IS NOT NULL THEN s.exact WHEN 2 * (s.open_days + 1) >= 28 THEN NULL WHEN s.peak IS NOT NULL THEN s.peak WHEN s.open_days = 0 AND
s.measured > 0 THEN 0 END AS active_users_28d FROM usage_seen s) SELECT * FROM fact_usage
;

-- fact_weeks
WITH RECURSIVE week_first AS (SELECT account_uid, first_on FROM fact_usage WHERE first_on IS NOT NULL),
week_value AS (SELECT t.account_uid, ((datediff(CAST('2026-11-16' AS DATE), CAST(t.period_start AS DATE)) + 6) DIV 7) AS week,
max(CASE WHEN t.is_complete = 0 OR t.value IS NULL THEN 1 ELSE 0 END) AS incomplete,
CAST(sum(CAST((CASE WHEN t.value IS NULL OR 1000000000000.0 IS NULL THEN NULL ELSE LEAST(t.value, 1000000000000.0) END) * 1000 + 0.5 AS BIGINT)) AS DOUBLE) / 1000.0 / count(t.value) AS value FROM usage_metric t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND t.metric = 'active_users' AND t.period_start >= '2026-08-24' AND
t.period_start < '2026-11-16' GROUP BY t.account_uid, ((datediff(CAST('2026-11-16' AS DATE), CAST(t.period_start AS DATE)) + 6) DIV 7)),
week_valid AS (SELECT w.account_uid, w.week, w.incomplete, w.value,
f.first_on, CASE WHEN w.week <= 4 THEN 0 ELSE 1 END AS part FROM week_value w JOIN week_first f ON f.account_uid = w.account_uid WHERE f.first_on <= CASE w.week WHEN 1 THEN '2026-11-09' WHEN 2 THEN '2026-11-02' WHEN 3 THEN '2026-10-26' WHEN 4 THEN '2026-10-19' WHEN 5 THEN '2026-10-12' WHEN 6 THEN '2026-10-05' WHEN 7 THEN '2026-09-28' WHEN 8 THEN '2026-09-21' WHEN 9 THEN '2026-09-14' WHEN 10 THEN '2026-09-07' WHEN 11 THEN '2026-08-31' WHEN 12 THEN '2026-08-24' END AND
w.week NOT IN (2)), week_ranked AS (SELECT w.*, row_number() OVER (PARTITION BY w.account_uid, w.part ORDER BY w.incomplete DESC, w.value DESC, w.week ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS place,
sum(w.incomplete) OVER (PARTITION BY w.account_uid, w.part ORDER BY w.incomplete DESC, w.value DESC, w.week ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS dropped FROM week_valid w),
week_counted AS (SELECT r.*, CASE r.part WHEN 0 THEN (CASE WHEN r.first_on <= '2026-11-09' THEN 1 ELSE 0 END) + (CASE WHEN r.first_on <= '2026-10-26' THEN 1 ELSE 0 END) + (CASE WHEN r.first_on <= '2026-10-19' THEN 1 ELSE 0 END) ELSE (CASE WHEN r.first_on <= '2026-10-12' THEN 1 ELSE 0 END) + (CASE WHEN r.first_on <= '2026-10-05' THEN 1 ELSE 0 END) + (CASE WHEN r.first_on <= '2026-09-28' THEN 1 ELSE 0 END) + (CASE WHEN r.first_on <= '2026-09-21' THEN 1 ELSE 0 END) + (CASE WHEN r.first_on <= '2026-09-14' THEN 1 ELSE 0 END) + (CASE WHEN r.first_on <= '2026-09-07' THEN 1 ELSE 0 END) + (CASE WHEN r.first_on <= '2026-08-31' THEN 1 ELSE 0 END) + (CASE WHEN r.first_on <= '2026-08-24' THEN 1 ELSE 0 END) END - r.dropped AS n FROM week_ranked r),
week_median AS (SELECT r.account_uid, CASE WHEN min(CASE WHEN r.part = 0 THEN r.n END) >= 3 THEN sum(CASE WHEN r.part = 0 AND r.incomplete = 0 AND r.place - r.dropped IN (((r.n + 1) DIV 2), ((r.n + 2) DIV 2)) THEN r.value * CASE WHEN ((r.n + 1) DIV 2) = ((r.n + 2) DIV 2) THEN 2 ELSE 1 END ELSE 0 END) / 2.0 END AS recent,
CASE WHEN min(CASE WHEN r.part = 1 THEN r.n END) >= 5 THEN sum(CASE WHEN r.part = 1 AND r.incomplete = 0 AND r.place - r.dropped IN (((r.n + 1) DIV 2), ((r.n + 2) DIV 2)) THEN r.value * CASE WHEN ((r.n + 1) DIV 2) = ((r.n + 2) DIV 2) THEN 2 ELSE 1 END ELSE 0 END) / 2.0 END AS base,
max(CASE WHEN r.part = 0 THEN 1 ELSE 0 END) AS seen0, max(CASE WHEN r.part = 1 THEN 1 ELSE 0 END) AS seen1,
sum(r.incomplete) AS dropped FROM week_counted r GROUP BY r.account_uid),
week_both AS (SELECT f.account_uid, CASE WHEN m.seen0 = 1 THEN m.recent WHEN (CASE WHEN f.first_on <= '2026-11-09' THEN 1 ELSE 0 END) + (CASE WHEN f.first_on <= '2026-10-26' THEN 1 ELSE 0 END) + (CASE WHEN f.first_on <= '2026-10-19' THEN 1 ELSE 0 END) >= 3 THEN 0.0 END AS usage_recent,
CASE WHEN m.seen1 = 1 THEN m.base WHEN (CASE WHEN f.first_on <= '2026-10-12' THEN 1 ELSE 0 END) + (CASE WHEN f.first_on <= '2026-10-05' THEN 1 ELSE 0 END) + (CASE WHEN f.first_on <= '2026-09-28' THEN 1 ELSE 0 END) + (CASE WHEN f.first_on <= '2026-09-21' THEN 1 ELSE 0 END) + (CASE WHEN f.first_on <= '2026-09-14' THEN 1 ELSE 0 END) + (CASE WHEN f.first_on <= '2026-09-07' THEN 1 ELSE 0 END) + (CASE WHEN f.first_on <= '2026-08-31' THEN 1 ELSE 0 END) + (CASE WHEN f.first_on <= '2026-08-24' THEN 1 ELSE 0 END) >= 5 THEN 0.0 END AS usage_before,
1 + coalesce(m.dropped, 0) AS weeks_left_out FROM week_first f LEFT JOIN week_median m ON m.account_uid = f.account_uid),
fact_weeks AS (SELECT b.*, CASE WHEN usage_before >= 5 THEN usage_recent / usage_before - 1 END AS usage_growth FROM week_both b) SELECT * FROM fact_weeks
;

-- fact_contact
WITH RECURSIVE contact_seen AS (SELECT t.account_uid, max(CASE WHEN t.last_meeting_at <= '2026-11-20T03:00:00Z' THEN t.last_meeting_at END) AS met,
max(CASE WHEN t.last_inbound_at <= '2026-11-20T03:00:00Z' THEN t.last_inbound_at END) AS heard FROM contact t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL GROUP BY t.account_uid UNION ALL SELECT t.account_uid,
max(CASE WHEN (CASE WHEN t.kind IN ('meeting', 'call') AND coalesce(t.direction, 'both') <> 'out' THEN t.at END) <= '2026-11-20T03:00:00Z' THEN (CASE WHEN t.kind IN ('meeting', 'call') AND coalesce(t.direction, 'both') <> 'out' THEN t.at END) END),
max(CASE WHEN (CASE WHEN t.direction IN ('in', 'both') THEN t.at ELSE CASE WHEN t.kind IN ('meeting', 'call') AND coalesce(t.direction, 'both') <> 'out' THEN t.at END END) <= '2026-11-20T03:00:00Z' THEN (CASE WHEN t.direction IN ('in', 'both') THEN t.at ELSE CASE WHEN t.kind IN ('meeting', 'call') AND coalesce(t.direction, 'both') <> 'out' THEN t.at END END) END) FROM interaction t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL GROUP BY t.account_uid), contact_last AS (SELECT account_uid,
max(met) AS met, max(heard) AS heard FROM contact_seen GROUP BY account_uid),
fact_contact AS (SELECT a.uid AS account_uid, CAST(CAST((CAST(substr(l.met, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS last_meeting_on,
CAST(CAST((CAST(substr(CASE WHEN l.heard IS NULL OR l.met > l.heard THEN l.met ELSE l.heard END, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS last_contact_on,
CASE WHEN EXISTS (SELECT 1 FROM contact x WHERE x.last_meeting_at IS NOT NULL) OR
EXISTS (SELECT 1 FROM interaction x WHERE x.kind IN ('meeting', 'call')) THEN 1 ELSE 0 END AS meetings_recorded FROM account a LEFT JOIN contact_last l ON l.account_uid = a.uid) SELECT * FROM fact_contact
;

-- fact_burn
WITH RECURSIVE fact_burn AS (SELECT t.account_uid, sum(CAST((CASE WHEN (t.value * 1000 + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN (t.value * 1000 + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor((t.value * 1000 + 0.5)) AS BIGINT) END) AS DOUBLE)) / 1000.0 AS credits_used FROM usage_metric t JOIN fact_terms k ON k.account_uid = t.account_uid WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND t.metric = 'credits' AND coalesce(t.is_complete, 1) = 1 AND
t.period_start BETWEEN k.term_start AND '2026-11-20' GROUP BY t.account_uid) SELECT * FROM fact_burn
;

-- fact_ends
WITH RECURSIVE end_of AS (SELECT t.account_uid, t.connection,
max(t.end_date) AS ends FROM contract t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND coalesce(t.status, 'active') NOT IN ('draft', 'terminated') AND
t.end_date IS NOT NULL AND coalesce(t.start_date, '2026-11-20') <= '2026-11-20' GROUP BY t.account_uid,
t.connection), end_listed AS (SELECT account_uid, ends, array_join(sort_array(collect_list(connection || ':' || ends) OVER (PARTITION BY account_uid)), ' ') AS listed FROM end_of),
fact_ends AS (SELECT account_uid, datediff(CAST(max(ends) AS DATE), CAST(min(ends) AS DATE)) AS term_ends_apart,
max(listed) AS term_ends FROM end_listed GROUP BY account_uid) SELECT * FROM fact_ends
;

-- fact_event_ends
WITH RECURSIVE end_several AS (SELECT t.account_uid FROM contract t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL GROUP BY t.account_uid HAVING count(DISTINCT t.connection) > 1),
end_told AS (SELECT t.account_uid, t.connection, t.source_id,
t.end_date, v.event, coalesce(nullif(t.term_months, 0) * 30, datediff(CAST(t.end_date AS DATE), CAST(t.start_date AS DATE)), 360) AS days FROM end_several s JOIN contract t ON t.account_uid = s.account_uid LEFT JOIN event_term v ON v.connection = t.connection AND
v.source_id = t.source_id WHERE t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND
coalesce(t.status, 'active') NOT IN ('draft', 'terminated') AND
t.end_date IS NOT NULL AND coalesce(t.start_date, '2026-11-20') <= '2026-11-20'),
end_pair AS (SELECT m.account_uid, m.event, k.event AS other_event,
m.connection, m.end_date AS ends, k.connection AS other, k.end_date AS other_ends,
m.days, abs(datediff(CAST(k.end_date AS DATE), CAST(m.end_date AS DATE))) AS away,
row_number() OVER (PARTITION BY m.account_uid, m.connection, m.source_id, k.connection ORDER BY abs(datediff(CAST(k.end_date AS DATE), CAST(m.end_date AS DATE))), k.end_date, k.source_id, m.end_date, m.source_id) AS mine,
row_number() OVER (PARTITION BY m.account_uid, k.connection, k.source_id, m.connection ORDER BY abs(datediff(CAST(k.end_date AS DATE), CAST(m.end_date AS DATE))), k.end_date, k.source_id, m.end_date, m.source_id) AS theirs FROM end_told m JOIN end_told k ON k.account_uid = m.account_uid AND
k.connection <> m.connection), end_ranked AS (SELECT p.account_uid,
p.event, p.away, CASE WHEN p.connection < p.other THEN p.connection || ':' || p.ends || ' ' || p.other || ':' || p.other_ends ELSE p.other || ':' || p.other_ends || ' ' || p.connection || ':' || p.ends END AS ends,
row_number() OVER (PARTITION BY p.account_uid, p.event ORDER BY p.away DESC, p.ends, p.other_ends, p.connection, p.other) AS place FROM end_pair p WHERE p.mine = 1 AND
p.theirs = 1 AND p.event IS NOT NULL AND p.away * 2 < p.days AND
(p.other_event IS NULL OR p.other_event >= p.event)), fact_event_ends AS (SELECT account_uid,
event, away AS term_ends_apart, ends AS term_ends FROM end_ranked WHERE place = 1) SELECT * FROM fact_event_ends
;

-- fact_peers
WITH RECURSIVE peer_owned AS (SELECT DISTINCT t.account_uid,
t.product_code, a.segment FROM contract_line t JOIN account a ON a.uid = t.account_uid AND
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
(CAST(p.owners AS DOUBLE) / NULLIF(s.accounts, 0)) AS peer_share FROM peer_account o JOIN peer_segment s ON s.segment = o.segment LEFT JOIN peer_missing m ON m.account_uid = o.account_uid LEFT JOIN peer_ranked p ON p.segment = o.segment AND
p.place = m.place) SELECT * FROM fact_peers
;

-- fact_products
WITH RECURSIVE product_owned AS (SELECT DISTINCT t.account_uid,
t.product_code FROM contract_line t LEFT JOIN contract k ON k.connection = t.connection AND
k.source_id = t.contract_source_id AND k.deleted_at IS NULL WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND t.product_code IS NOT NULL AND
coalesce(k.status, 'active') NOT IN ('draft', 'terminated') AND
coalesce(t.start_date, k.start_date, '2026-11-20') <= '2026-11-20' AND
coalesce(t.end_date, CASE WHEN k.auto_renew = 1 THEN '9999-12-31' ELSE coalesce(k.end_date, '9999-12-31') END) >= '2026-11-20' AND
t.product_code <> ''), product_listed AS (SELECT account_uid,
array_join(sort_array(collect_list(product_code) OVER (PARTITION BY account_uid)), ' ') AS listed FROM product_owned),
fact_products AS (SELECT account_uid, min(listed) AS product_list FROM product_listed GROUP BY account_uid) SELECT * FROM fact_products
;

-- of_tickets
SELECT t.account_uid, count(*) FILTER (WHERE t.`opened_at` >= '2026-10-21T15:00:00' AND
t.`opened_at` < '2026-11-20T15:00:00') AS n_tickets_30d, count(*) FILTER (WHERE t.`opened_at` <= '2026-11-17T02:59:59Z' AND
((t.`priority` = 'urgent') AND (t.`status` IN ('new', 'open', 'pending', 'hold')))) AS n_urgent_over_72h,
count(*) FILTER (WHERE t.`opened_at` >= '2026-10-21T15:00:00' AND
t.`opened_at` < '2026-11-20T15:00:00' AND (t.`priority` = 'urgent')) AS n_urgent_30d,
count(*) FILTER (WHERE (t.`status` IN ('new', 'open', 'pending', 'hold'))) AS n_open_tickets,
max(t.`opened_at`) AS v_last_ticket_on, count(*) FILTER (WHERE t.`opened_at` >= '2026-10-21T15:00:00' AND
t.`opened_at` < '2026-11-20T15:00:00' AND ((instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'cancel') > 0) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'downgrade') > 0) OR (CASE WHEN instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'downgrading') = 0 THEN FALSE ELSE regexp_like(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '(^|[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ])downgrading([^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]|$)') END) OR (CASE WHEN instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'terminat') = 0 THEN FALSE ELSE regexp_like(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '(^|[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ])terminat') END) OR (CASE WHEN instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'switch to another') = 0 THEN FALSE ELSE regexp_like(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '(^|[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ])switch to another([^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]|$)') END) OR (CASE WHEN instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'fewer seats') = 0 THEN FALSE ELSE regexp_like(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '(^|[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ])fewer seats([^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]|$)') END) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '解約') > 0) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '退会') > 0) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'ダウングレード') > 0) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '乗り換え') > 0) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'プラン変更') > 0) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '席数を減') > 0) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '契約終了') > 0))) AS n_leaving_tickets_30d,
count(*) FILTER (WHERE t.`opened_at` >= '2026-10-21T15:00:00' AND
t.`opened_at` < '2026-11-20T15:00:00' AND (t.`reopened_count` > 0L)) AS n_reopened_new,
min(t.`opened_at`) FILTER (WHERE t.`opened_at` >= '2026-10-21T15:00:00' AND
t.`opened_at` < '2026-11-20T15:00:00' AND (t.`reopened_count` > 0L)) AS v_reopened_new_since,
count(*) FILTER (WHERE ((datediff(CAST('2026-11-20' AS DATE), CAST(CAST(CAST((CAST(substr(t.`reopened_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS DATE)) BETWEEN 0L AND 29L) AND (datediff(CAST('2026-11-20' AS DATE), CAST(CAST(CAST((CAST(substr(t.`opened_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS DATE)) > 29L))) AS n_reopened_old,
min(t.`opened_at`) FILTER (WHERE ((datediff(CAST('2026-11-20' AS DATE), CAST(CAST(CAST((CAST(substr(t.`reopened_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS DATE)) BETWEEN 0L AND 29L) AND (datediff(CAST('2026-11-20' AS DATE), CAST(CAST(CAST((CAST(substr(t.`opened_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS DATE)) > 29L))) AS v_reopened_old_since,
count(*) FILTER (WHERE t.`opened_at` >= '2026-10-30T15:00:00' AND
t.`opened_at` < '2026-11-20T15:00:00') AS n_tickets_21d, count(*) FILTER (WHERE t.`opened_at` <= '2026-11-18T02:59:59Z' AND
((t.`priority` = 'urgent') AND (t.`status` IN ('new', 'open', 'pending', 'hold')))) AS n_urgent_over_48h,
min(t.`opened_at`) FILTER (WHERE t.`opened_at` <= '2026-11-18T02:59:59Z' AND
((t.`priority` = 'urgent') AND (t.`status` IN ('new', 'open', 'pending', 'hold')))) AS v_urgent_since,
count(*) FILTER (WHERE t.`opened_at` >= '2026-09-21T15:00:00' AND
t.`opened_at` < '2026-11-20T15:00:00' AND (CASE WHEN t.`subject` IS NOT NULL THEN FALSE END)) AS n_add_on_tickets,
count(*) FILTER (WHERE ((t.`priority` = 'urgent') AND (t.`status` IN ('new', 'open', 'pending', 'hold')))) AS n_urgent_open FROM `ticket` t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL GROUP BY t.account_uid
;

-- of_ticket_metrics
SELECT t.account_uid, (CAST(min(t.`full_resolution_business_minutes`) FILTER (WHERE 2 * t.place_resolution_minutes BETWEEN t.many_resolution_minutes AND t.many_resolution_minutes + 2) AS DOUBLE) + CAST(max(t.`full_resolution_business_minutes`) FILTER (WHERE 2 * t.place_resolution_minutes BETWEEN t.many_resolution_minutes AND t.many_resolution_minutes + 2) AS DOUBLE)) / 2.0 AS v_resolution_minutes,
count(*) FILTER (WHERE t.`solved_at` >= '2026-08-22T15:00:00' AND
t.`solved_at` < '2026-11-20T15:00:00' AND (t.`full_resolution_business_minutes` IS NOT NULL)) AS n_solved_90d FROM (SELECT t.*,
CASE WHEN (t.`solved_at` >= '2026-08-22T15:00:00' AND t.`solved_at` < '2026-11-20T15:00:00') AND
t.`full_resolution_business_minutes` IS NOT NULL THEN row_number() OVER (PARTITION BY t.account_uid, CASE WHEN (t.`solved_at` >= '2026-08-22T15:00:00' AND t.`solved_at` < '2026-11-20T15:00:00') AND t.`full_resolution_business_minutes` IS NOT NULL THEN 1 ELSE 0 END ORDER BY t.`full_resolution_business_minutes`, t.connection, t.source_id) END AS place_resolution_minutes,
CASE WHEN (t.`solved_at` >= '2026-08-22T15:00:00' AND t.`solved_at` < '2026-11-20T15:00:00') AND
t.`full_resolution_business_minutes` IS NOT NULL THEN count(*) OVER (PARTITION BY t.account_uid, CASE WHEN (t.`solved_at` >= '2026-08-22T15:00:00' AND t.`solved_at` < '2026-11-20T15:00:00') AND t.`full_resolution_business_minutes` IS NOT NULL THEN 1 ELSE 0 END) END AS many_resolution_minutes FROM (SELECT t.*, j0.`solved_at` AS `solved_at` FROM `ticket_metric` t LEFT JOIN `ticket` j0 ON j0.connection = t.connection AND j0.source_id = t.`ticket_source_id` AND j0.deleted_at IS NULL AND j0.account_uid = t.account_uid) t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND t.`solved_at` >= '2026-08-22T15:00:00') t GROUP BY t.account_uid
;

-- of_surveys
SELECT t.account_uid, count(*) FILTER (WHERE t.place_nps_answers = 1) AS n_nps_answers,
count(*) FILTER (WHERE t.place_nps_detractors = 1 AND (t.`score` <= 6L)) AS n_nps_detractors,
count(*) FILTER (WHERE t.place_nps_promoters = 1 AND (t.`score` >= 9L)) AS n_nps_promoters,
count(*) FILTER (WHERE t.place_promoters_who_decide = 1 AND (t.`score` >= 9L)) AS n_promoters_who_decide FROM (SELECT t.*,
CASE WHEN (t.`responded_at` >= '2026-05-24T15:00:00' AND t.`responded_at` < '2026-11-20T15:00:00' AND ((t.`kind` = 'nps') AND (t.`score` IS NOT NULL))) AND
t.`responded_at` IS NOT NULL THEN CASE WHEN t.`contact_source_id` IS NULL THEN 1 ELSE row_number() OVER (PARTITION BY t.account_uid, t.connection, t.`contact_source_id`, CASE WHEN (t.`responded_at` >= '2026-05-24T15:00:00' AND t.`responded_at` < '2026-11-20T15:00:00' AND ((t.`kind` = 'nps') AND (t.`score` IS NOT NULL))) AND t.`responded_at` IS NOT NULL THEN 1 ELSE 0 END ORDER BY t.`responded_at` DESC, t.source_id) END END AS place_nps_answers,
CASE WHEN (t.`responded_at` >= '2026-05-24T15:00:00' AND t.`responded_at` < '2026-11-20T15:00:00' AND ((t.`kind` = 'nps') AND (t.`score` IS NOT NULL))) AND
t.`responded_at` IS NOT NULL THEN CASE WHEN t.`contact_source_id` IS NULL THEN 1 ELSE row_number() OVER (PARTITION BY t.account_uid, t.connection, t.`contact_source_id`, CASE WHEN (t.`responded_at` >= '2026-05-24T15:00:00' AND t.`responded_at` < '2026-11-20T15:00:00' AND ((t.`kind` = 'nps') AND (t.`score` IS NOT NULL))) AND t.`responded_at` IS NOT NULL THEN 1 ELSE 0 END ORDER BY t.`responded_at` DESC, t.source_id) END END AS place_nps_detractors,
CASE WHEN (t.`responded_at` >= '2026-05-24T15:00:00' AND t.`responded_at` < '2026-11-20T15:00:00' AND ((t.`kind` = 'nps') AND (t.`score` IS NOT NULL))) AND
t.`responded_at` IS NOT NULL THEN CASE WHEN t.`contact_source_id` IS NULL THEN 1 ELSE row_number() OVER (PARTITION BY t.account_uid, t.connection, t.`contact_source_id`, CASE WHEN (t.`responded_at` >= '2026-05-24T15:00:00' AND t.`responded_at` < '2026-11-20T15:00:00' AND ((t.`kind` = 'nps') AND (t.`score` IS NOT NULL))) AND t.`responded_at` IS NOT NULL THEN 1 ELSE 0 END ORDER BY t.`responded_at` DESC, t.source_id) END END AS place_nps_promoters,
CASE WHEN (t.`responded_at` >= '2026-05-24T15:00:00' AND t.`responded_at` < '2026-11-20T15:00:00' AND ((t.`kind` = 'nps') AND (t.`score` IS NOT NULL) AND (t.`contact_role` IN ('champion', 'exec_sponsor')))) AND
t.`responded_at` IS NOT NULL THEN CASE WHEN t.`contact_source_id` IS NULL THEN 1 ELSE row_number() OVER (PARTITION BY t.account_uid, t.connection, t.`contact_source_id`, CASE WHEN (t.`responded_at` >= '2026-05-24T15:00:00' AND t.`responded_at` < '2026-11-20T15:00:00' AND ((t.`kind` = 'nps') AND (t.`score` IS NOT NULL) AND (t.`contact_role` IN ('champion', 'exec_sponsor')))) AND t.`responded_at` IS NOT NULL THEN 1 ELSE 0 END ORDER BY t.`responded_at` DESC, t.source_id) END END AS place_promoters_who_decide FROM (SELECT t.*, j0.`role` AS `contact_role` FROM `survey_response` t LEFT JOIN `contact` j0 ON j0.connection = t.connection AND j0.source_id = t.`contact_source_id` AND j0.deleted_at IS NULL AND j0.account_uid = t.account_uid) t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND t.`responded_at` >= '2026-05-24T15:00:00') t GROUP BY t.account_uid
;

-- of_usage
SELECT t.account_uid, max(t.`value`) FILTER (WHERE t.`period_start` BETWEEN '2026-07-24' AND
'2026-11-20' AND (t.`metric` = 'checklist_done')) AS v_checklist_done,
max(t.`value`) FILTER (WHERE t.`period_start` BETWEEN '2026-07-24' AND
'2026-11-20' AND (t.`metric` = 'checklist_items')) AS v_checklist_items,
count(DISTINCT t.`metric`) FILTER (WHERE t.`period_start` BETWEEN '2026-10-24' AND
'2026-11-20' AND ((CASE WHEN t.`metric` IS NOT NULL THEN FALSE END) AND (t.`value` > 0L))) AS v_core_features_used,
min(t.`period_start`) FILTER (WHERE ((t.`metric` = 'active_users') AND (t.`value` > 0L))) AS v_first_used_on,
min(t.`period_start`) FILTER (WHERE ((CASE WHEN t.`metric` IS NOT NULL THEN FALSE END) AND (t.`value` > 0L))) AS v_first_value_on,
max(t.`value`) FILTER (WHERE t.`period_start` BETWEEN '2026-07-10' AND
'2026-11-06' AND (t.`metric` = 'checklist_done')) AS v_checklist_before,
max(t.`value`) FILTER (WHERE t.`period_start` BETWEEN '2026-07-24' AND
'2026-11-20' AND (t.`metric` = 'invited_users')) AS v_invited_users,
sum(CAST((CASE WHEN (t.`value` * 1000 + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN (t.`value` * 1000 + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor((t.`value` * 1000 + 0.5)) AS BIGINT) END) AS DOUBLE)) FILTER (WHERE t.`period_start` BETWEEN '2026-10-24' AND
'2026-11-20' AND (t.`metric` = 'credits')) AS v_credits_28d,
count(*) FILTER (WHERE t.`period_start` BETWEEN '2026-10-24' AND
'2026-11-20' AND (t.`metric` = 'credits')) AS u_credits_28d,
max(t.`period_start`) FILTER (WHERE t.`period_start` BETWEEN '2026-10-24' AND
'2026-11-20' AND (t.`metric` = 'credits')) AS v_credits_seen_on,
count(DISTINCT t.`metric`) FILTER (WHERE t.`period_start` BETWEEN '2026-10-24' AND
'2026-11-20' AND ((substr(t.`metric`, 1, 11) = 'department:') AND (t.`value` >= 5L))) AS v_departments,
max(t.`value`) FILTER (WHERE t.`period_start` BETWEEN '2026-09-25' AND
'2026-10-22' AND (t.`metric` = 'active_users')) AS v_peak_4_weeks_before,
max(t.`value`) FILTER (WHERE t.`period_start` BETWEEN '2026-10-23' AND
'2026-11-19' AND (t.`metric` = 'active_users')) AS v_peak_last_4_weeks,
max(t.`value`) FILTER (WHERE t.`period_start` BETWEEN '2026-11-13' AND
'2026-11-19' AND (t.`metric` = 'active_users')) AS v_peak_last_week,
max(t.`value`) FILTER (WHERE t.`period_start` BETWEEN '2026-11-06' AND
'2026-11-12' AND (t.`metric` = 'active_users')) AS v_peak_week_before FROM `usage_metric` t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND coalesce(t.is_complete, 1) = 1 AND
NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND
coalesce(t.period_start IN ('2026-11-03'), FALSE)) GROUP BY t.account_uid
;

-- of_contracts
SELECT t.account_uid, min(t.`start_date`) FILTER (WHERE ((t.`status` IS NULL) OR (t.`status` <> 'draft'))) AS v_first_term_on FROM `contract` t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL GROUP BY t.account_uid
;

-- of_opportunities_by_event
SELECT t.account_uid, t.event, max(t.`loss_reason`) FILTER (WHERE t.place_notice_reason = 1) AS v_notice_reason,
max(t.`stage`) FILTER (WHERE t.place_renewal_stage = 1) AS v_renewal_stage,
max(t.`close_date`) FILTER (WHERE ((t.`type` = 'renewal') AND (t.`is_won` <> 0) AND (datediff(CAST('2026-11-20' AS DATE), CAST(t.`close_date` AS DATE)) <= 180L))) AS v_renewal_won_on,
count(*) FILTER (WHERE ((t.`type` = 'renewal') AND (((t.`is_closed` <> 0) IS NULL) OR (NOT (t.`is_closed` <> 0))) AND (t.`stage` IN ('commit', 'committed', 'negotiation', 'Negotiation/Review', 'contractsent', 'closedwon', 'Closed Won')))) AS n_renewals_committed,
count(*) FILTER (WHERE ((t.`type` = 'renewal') AND (((t.`is_closed` <> 0) IS NULL) OR (NOT (t.`is_closed` <> 0))))) AS n_renewals_open,
count(*) FILTER (WHERE ((t.`type` = 'renewal') AND (t.`is_won` <> 0) AND (datediff(CAST('2026-11-20' AS DATE), CAST(t.`close_date` AS DATE)) <= 180L))) AS n_renewals_won_180d FROM (SELECT t.*,
CASE WHEN (((t.`type` IN ('renewal', 'downsell')) AND (t.`is_closed` <> 0) AND (NOT (t.`is_won` <> 0)))) AND
t.`close_date` IS NOT NULL AND t.`loss_reason` IS NOT NULL THEN row_number() OVER (PARTITION BY t.account_uid, t.event, CASE WHEN (((t.`type` IN ('renewal', 'downsell')) AND (t.`is_closed` <> 0) AND (NOT (t.`is_won` <> 0)))) AND t.`close_date` IS NOT NULL AND t.`loss_reason` IS NOT NULL THEN 1 ELSE 0 END ORDER BY t.`close_date` DESC, t.connection, t.source_id) END AS place_notice_reason,
CASE WHEN (((t.`type` = 'renewal') AND (((t.`is_closed` <> 0) IS NULL) OR (NOT (t.`is_closed` <> 0))))) AND
t.`close_date` IS NOT NULL AND t.`stage` IS NOT NULL THEN row_number() OVER (PARTITION BY t.account_uid, t.event, CASE WHEN (((t.`type` = 'renewal') AND (((t.`is_closed` <> 0) IS NULL) OR (NOT (t.`is_closed` <> 0))))) AND t.`close_date` IS NOT NULL AND t.`stage` IS NOT NULL THEN 1 ELSE 0 END ORDER BY t.`close_date` DESC, t.connection, t.source_id) END AS place_renewal_stage FROM (SELECT t.*, coalesce(d.event, 1) AS event FROM `opportunity` t LEFT JOIN event_deal d ON d.connection = t.connection AND d.source_id = t.source_id) t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL) t GROUP BY t.account_uid, t.event
;

-- of_contacts
SELECT t.account_uid, max(t.`left_company_at`) FILTER (WHERE ((t.`role` = 'champion') AND (datediff(CAST('2026-11-20' AS DATE), CAST(CAST(CAST((CAST(substr(t.`left_company_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS DATE)) >= 0L))) AS v_champion_left_on,
count(*) FILTER (WHERE ((t.`role` = 'champion') AND (CAST(CAST((CAST(substr(t.`left_company_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) IS NULL) AND (((t.`is_active` <> 0) IS NULL) OR (t.`is_active` <> 0)))) AS n_champions,
count(*) FILTER (WHERE ((t.`role` = 'exec_sponsor') AND (CAST(CAST((CAST(substr(t.`left_company_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) IS NULL) AND (((t.`is_active` <> 0) IS NULL) OR (t.`is_active` <> 0)))) AS n_sponsors,
count(*) FILTER (WHERE ((t.`role` = 'champion') AND ((datediff(CAST('2026-11-20' AS DATE), CAST(CAST(CAST((CAST(substr(t.`left_company_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS DATE)) BETWEEN 0L AND 180L) OR ((CAST(CAST((CAST(substr(t.`left_company_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) IS NULL) AND (NOT (t.`is_active` <> 0)))))) AS n_champions_left_180d,
count(*) FILTER (WHERE ((t.`role` IN ('champion', 'exec_sponsor')) AND ((datediff(CAST('2026-11-20' AS DATE), CAST(CAST(CAST((CAST(substr(t.`left_company_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS DATE)) BETWEEN 0L AND 30L) OR ((CAST(CAST((CAST(substr(t.`left_company_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) IS NULL) AND (NOT (t.`is_active` <> 0)) AND (datediff(CAST('2026-11-20' AS DATE), CAST(CAST(CAST((CAST(substr(t.`updated_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS DATE)) BETWEEN 0L AND 30L))))) AS n_people_left_30d,
max(t.`left_company_at`) FILTER (WHERE ((t.`role` IN ('champion', 'exec_sponsor')) AND (datediff(CAST('2026-11-20' AS DATE), CAST(CAST(CAST((CAST(substr(t.`left_company_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS DATE)) >= 0L))) AS v_person_left_on,
count(*) FILTER (WHERE ((t.`role` = 'exec_sponsor') AND ((datediff(CAST('2026-11-20' AS DATE), CAST(CAST(CAST((CAST(substr(t.`left_company_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS DATE)) BETWEEN 0L AND 180L) OR ((CAST(CAST((CAST(substr(t.`left_company_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) IS NULL) AND (NOT (t.`is_active` <> 0)))))) AS n_sponsors_left_180d FROM `contact` t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL GROUP BY t.account_uid
;

-- of_usage_events
SELECT t.account_uid, count(*) FILTER (WHERE t.`at` >= '2026-11-13T15:00:00' AND
t.`at` < '2026-11-20T15:00:00' AND ((t.`name` IN ('bulk_export', 'api_key_deleted')) AND ((t.`actor_role` IS NULL) OR (t.`actor_role` = 'admin')))) AS n_sensitive_7d,
count(*) FILTER (WHERE t.`at` >= '2026-08-21T15:00:00' AND t.`at` < '2026-11-13T15:00:00' AND
((t.`name` IN ('bulk_export', 'api_key_deleted')) AND ((t.`actor_role` IS NULL) OR (t.`actor_role` = 'admin')))) AS n_sensitive_before,
count(*) FILTER (WHERE t.`at` >= '2026-10-21T15:00:00' AND t.`at` < '2026-11-20T15:00:00' AND
(t.`name` IN ('limit_reached', 'feature_gate'))) AS n_limit_hits_30d,
count(DISTINCT t.`actor`) FILTER (WHERE t.`at` >= '2026-10-21T15:00:00' AND
t.`at` < '2026-11-20T15:00:00' AND (t.`name` IN ('limit_reached', 'feature_gate'))) AS v_limit_users_30d FROM `usage_event` t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND t.`at` >= '2026-08-21T15:00:00' GROUP BY t.account_uid
;

-- of_feature_requests
SELECT t.account_uid, count(*) FILTER (WHERE t.`requested_at` >= '2026-09-21T15:00:00' AND
t.`requested_at` < '2026-11-20T15:00:00' AND (CASE WHEN t.`topic` IS NOT NULL THEN FALSE END)) AS n_add_on_requests,
count(*) FILTER (WHERE ((t.`status` = 'shipped') AND (datediff(CAST('2026-11-20' AS DATE), CAST(CAST(CAST((CAST(substr(t.`shipped_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS DATE)) BETWEEN 0L AND 30L))) AS n_shipped_30d,
max(t.`shipped_at`) FILTER (WHERE ((t.`status` = 'shipped') AND (datediff(CAST('2026-11-20' AS DATE), CAST(CAST(CAST((CAST(substr(t.`shipped_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS DATE)) BETWEEN 0L AND 30L))) AS v_shipped_on,
max(t.`topic`) FILTER (WHERE t.place_shipped_topic = 1) AS v_shipped_topic FROM (SELECT t.*,
CASE WHEN (((t.`status` = 'shipped') AND (datediff(CAST('2026-11-20' AS DATE), CAST(CAST(CAST((CAST(substr(t.`shipped_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS DATE)) BETWEEN 0L AND 30L))) AND
t.`requested_at` IS NOT NULL AND t.`topic` IS NOT NULL THEN row_number() OVER (PARTITION BY t.account_uid, CASE WHEN (((t.`status` = 'shipped') AND (datediff(CAST('2026-11-20' AS DATE), CAST(CAST(CAST((CAST(substr(t.`shipped_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS DATE)) BETWEEN 0L AND 30L))) AND t.`requested_at` IS NOT NULL AND t.`topic` IS NOT NULL THEN 1 ELSE 0 END ORDER BY t.`requested_at` DESC, t.connection, t.source_id) END AS place_shipped_topic FROM `feature_request` t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL) t GROUP BY t.account_uid
;

-- list_champion_ids
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) || coalesce(', ' || max(CASE WHEN p.place = 2 THEN p.value END),
'') || coalesce(', ' || max(CASE WHEN p.place = 3 THEN p.value END),
'') AS value FROM (SELECT c.*, row_number() OVER (PARTITION BY c.account_uid ORDER BY c.times DESC, c.value) AS place FROM (SELECT t.account_uid, t.`source_id` AS value, count(*) AS times FROM `contact` t WHERE t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND CASE WHEN ((t.`role` = 'champion') AND (CAST(CAST((CAST(substr(t.`left_company_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) IS NULL) AND (((t.`is_active` <> 0) IS NULL) OR (t.`is_active` <> 0))) THEN 1 ELSE 0 END = 1 AND t.`source_id` IS NOT NULL GROUP BY t.account_uid, t.`source_id`) c) p WHERE p.place <= 3 GROUP BY p.account_uid
;

-- list_sponsor_ids
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) || coalesce(', ' || max(CASE WHEN p.place = 2 THEN p.value END),
'') || coalesce(', ' || max(CASE WHEN p.place = 3 THEN p.value END),
'') AS value FROM (SELECT c.*, row_number() OVER (PARTITION BY c.account_uid ORDER BY c.times DESC, c.value) AS place FROM (SELECT t.account_uid, t.`source_id` AS value, count(*) AS times FROM `contact` t WHERE t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND CASE WHEN ((t.`role` = 'exec_sponsor') AND (CAST(CAST((CAST(substr(t.`left_company_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) IS NULL) AND (((t.`is_active` <> 0) IS NULL) OR (t.`is_active` <> 0))) THEN 1 ELSE 0 END = 1 AND t.`source_id` IS NOT NULL GROUP BY t.account_uid, t.`source_id`) c) p WHERE p.place <= 3 GROUP BY p.account_uid
;

-- list_left_roles_30d
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) || coalesce(', ' || max(CASE WHEN p.place = 2 THEN p.value END),
'') AS value FROM (SELECT c.*, row_number() OVER (PARTITION BY c.account_uid ORDER BY c.times DESC, c.value) AS place FROM (SELECT t.account_uid, t.`role` AS value, count(*) AS times FROM `contact` t WHERE t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND CASE WHEN ((t.`role` IN ('champion', 'exec_sponsor')) AND ((datediff(CAST('2026-11-20' AS DATE), CAST(CAST(CAST((CAST(substr(t.`left_company_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS DATE)) BETWEEN 0L AND 30L) OR ((CAST(CAST((CAST(substr(t.`left_company_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) IS NULL) AND (NOT (t.`is_active` <> 0)) AND (datediff(CAST('2026-11-20' AS DATE), CAST(CAST(CAST((CAST(substr(t.`updated_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS DATE)) BETWEEN 0L AND 30L)))) THEN 1 ELSE 0 END = 1 AND t.`role` IS NOT NULL GROUP BY t.account_uid, t.`role`) c) p WHERE p.place <= 2 GROUP BY p.account_uid
;

-- list_core_features_unused
SELECT t.account_uid, CAST(NULL AS STRING) AS value FROM `usage_metric` t WHERE FALSE
;

-- list_department_names
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) || coalesce(', ' || max(CASE WHEN p.place = 2 THEN p.value END),
'') || coalesce(', ' || max(CASE WHEN p.place = 3 THEN p.value END),
'') AS value FROM (SELECT c.*, row_number() OVER (PARTITION BY c.account_uid ORDER BY c.times DESC, c.value) AS place FROM (SELECT t.account_uid, t.`metric` AS value, count(*) AS times FROM `usage_metric` t WHERE t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND coalesce(t.is_complete, 1) = 1 AND NOT (coalesce(t.metric = 'active_users', FALSE) AND t.connection = 'crm' AND coalesce(t.period_start IN ('2026-11-03'), FALSE)) AND t.`period_start` BETWEEN '2026-10-24' AND '2026-11-20' AND ((substr(t.`metric`, 1, 11) = 'department:') AND (t.`value` >= 5L)) AND t.`metric` IS NOT NULL GROUP BY t.account_uid, t.`metric`) c) p WHERE p.place <= 3 GROUP BY p.account_uid
;

-- list_common_category
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) AS value FROM (SELECT c.*,
row_number() OVER (PARTITION BY c.account_uid ORDER BY c.times DESC, c.value) AS place FROM (SELECT t.account_uid, t.`category` AS value, count(*) AS times FROM `ticket` t WHERE t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.`opened_at` >= '2026-10-21T15:00:00' AND t.`opened_at` < '2026-11-20T15:00:00' AND t.`category` IS NOT NULL GROUP BY t.account_uid, t.`category`) c) p WHERE p.place <= 1 GROUP BY p.account_uid
;

-- list_urgent_ids_30d
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) || coalesce(', ' || max(CASE WHEN p.place = 2 THEN p.value END),
'') || coalesce(', ' || max(CASE WHEN p.place = 3 THEN p.value END),
'') AS value FROM (SELECT t.account_uid, t.`source_id` AS value,
CASE WHEN t.`opened_at` IS NULL THEN 0 ELSE 1 END AS dated, row_number() OVER (PARTITION BY t.account_uid, CASE WHEN t.`opened_at` IS NULL THEN 0 ELSE 1 END ORDER BY t.`opened_at` DESC, t.connection, t.source_id) AS place FROM `ticket` t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND t.`opened_at` >= '2026-10-21T15:00:00' AND
t.`opened_at` < '2026-11-20T15:00:00' AND (t.`priority` = 'urgent') AND
t.`source_id` IS NOT NULL) p WHERE p.dated = 1 AND p.place <= 3 GROUP BY p.account_uid
;

-- list_leaving_ids_30d
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) || coalesce(', ' || max(CASE WHEN p.place = 2 THEN p.value END),
'') || coalesce(', ' || max(CASE WHEN p.place = 3 THEN p.value END),
'') AS value FROM (SELECT t.account_uid, t.`source_id` AS value,
CASE WHEN t.`opened_at` IS NULL THEN 0 ELSE 1 END AS dated, row_number() OVER (PARTITION BY t.account_uid, CASE WHEN t.`opened_at` IS NULL THEN 0 ELSE 1 END ORDER BY t.`opened_at` DESC, t.connection, t.source_id) AS place FROM `ticket` t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND t.`opened_at` >= '2026-10-21T15:00:00' AND
t.`opened_at` < '2026-11-20T15:00:00' AND ((instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'cancel') > 0) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'downgrade') > 0) OR (CASE WHEN instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'downgrading') = 0 THEN FALSE ELSE regexp_like(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '(^|[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ])downgrading([^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]|$)') END) OR (CASE WHEN instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'terminat') = 0 THEN FALSE ELSE regexp_like(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '(^|[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ])terminat') END) OR (CASE WHEN instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'switch to another') = 0 THEN FALSE ELSE regexp_like(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '(^|[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ])switch to another([^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]|$)') END) OR (CASE WHEN instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'fewer seats') = 0 THEN FALSE ELSE regexp_like(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '(^|[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ])fewer seats([^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]|$)') END) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '解約') > 0) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '退会') > 0) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'ダウングレード') > 0) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '乗り換え') > 0) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'プラン変更') > 0) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '席数を減') > 0) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '契約終了') > 0)) AND
t.`source_id` IS NOT NULL) p WHERE p.dated = 1 AND p.place <= 3 GROUP BY p.account_uid
;

-- list_leaving_phrases_30d
SELECT p.account_uid, CASE p.p1 WHEN 1 THEN 'cancel' WHEN 2 THEN 'downgrade' WHEN 3 THEN 'downgrading' WHEN 4 THEN 'terminat' WHEN 5 THEN 'switch to another' WHEN 6 THEN 'fewer seats' WHEN 7 THEN '解約' WHEN 8 THEN '退会' WHEN 9 THEN 'ダウングレード' WHEN 10 THEN '乗り換え' WHEN 11 THEN 'プラン変更' WHEN 12 THEN '席数を減' WHEN 13 THEN '契約終了' END || coalesce(', ' || CASE p.p2 WHEN 1 THEN 'cancel' WHEN 2 THEN 'downgrade' WHEN 3 THEN 'downgrading' WHEN 4 THEN 'terminat' WHEN 5 THEN 'switch to another' WHEN 6 THEN 'fewer seats' WHEN 7 THEN '解約' WHEN 8 THEN '退会' WHEN 9 THEN 'ダウングレード' WHEN 10 THEN '乗り換え' WHEN 11 THEN 'プラン変更' WHEN 12 THEN '席数を減' WHEN 13 THEN '契約終了' END,
'') || coalesce(', ' || CASE p.p3 WHEN 1 THEN 'cancel' WHEN 2 THEN 'downgrade' WHEN 3 THEN 'downgrading' WHEN 4 THEN 'terminat' WHEN 5 THEN 'switch to another' WHEN 6 THEN 'fewer seats' WHEN 7 THEN '解約' WHEN 8 THEN '退会' WHEN 9 THEN 'ダウングレード' WHEN 10 THEN '乗り換え' WHEN 11 THEN 'プラン変更' WHEN 12 THEN '席数を減' WHEN 13 THEN '契約終了' END,
'') || CASE WHEN p.p4 <= 13 THEN ', ...' ELSE '' END AS value FROM (SELECT p.*,
p.p3 + instr(substr(p.ended, p.p3 + 1), '1') AS p4 FROM (SELECT p.*, p.p2 + instr(substr(p.ended, p.p2 + 1), '1') AS p3 FROM (SELECT p.*, p.p1 + instr(substr(p.ended, p.p1 + 1), '1') AS p2 FROM (SELECT p.*, 0 + instr(substr(p.ended, 0 + 1), '1') AS p1 FROM (SELECT m.*, m.marks || '1111' AS ended FROM (SELECT v.account_uid, max(CASE WHEN (instr(v.value, 'cancel') > 0) THEN '1' ELSE '0' END) || max(CASE WHEN (instr(v.value, 'downgrade') > 0) THEN '1' ELSE '0' END) || max(CASE WHEN (CASE WHEN instr(v.value, 'downgrading') = 0 THEN FALSE ELSE regexp_like(v.value, '(^|[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ])downgrading([^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]|$)') END) THEN '1' ELSE '0' END) || max(CASE WHEN (CASE WHEN instr(v.value, 'terminat') = 0 THEN FALSE ELSE regexp_like(v.value, '(^|[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ])terminat') END) THEN '1' ELSE '0' END) || max(CASE WHEN (CASE WHEN instr(v.value, 'switch to another') = 0 THEN FALSE ELSE regexp_like(v.value, '(^|[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ])switch to another([^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]|$)') END) THEN '1' ELSE '0' END) || max(CASE WHEN (CASE WHEN instr(v.value, 'fewer seats') = 0 THEN FALSE ELSE regexp_like(v.value, '(^|[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ])fewer seats([^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]|$)') END) THEN '1' ELSE '0' END) || max(CASE WHEN (instr(v.value, '解約') > 0) THEN '1' ELSE '0' END) || max(CASE WHEN (instr(v.value, '退会') > 0) THEN '1' ELSE '0' END) || max(CASE WHEN (instr(v.value, 'ダウングレード') > 0) THEN '1' ELSE '0' END) || max(CASE WHEN (instr(v.value, '乗り換え') > 0) THEN '1' ELSE '0' END) || max(CASE WHEN (instr(v.value, 'プラン変更') > 0) THEN '1' ELSE '0' END) || max(CASE WHEN (instr(v.value, '席数を減') > 0) THEN '1' ELSE '0' END) || max(CASE WHEN (instr(v.value, '契約終了') > 0) THEN '1' ELSE '0' END) AS marks FROM (SELECT DISTINCT t.account_uid, translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') AS value FROM `ticket` t WHERE t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.`opened_at` >= '2026-10-21T15:00:00' AND t.`opened_at` < '2026-11-20T15:00:00' AND t.`subject` IS NOT NULL AND ((instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'cancel') > 0) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'downgrade') > 0) OR (CASE WHEN instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'downgrading') = 0 THEN FALSE ELSE regexp_like(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '(^|[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ])downgrading([^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]|$)') END) OR (CASE WHEN instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'terminat') = 0 THEN FALSE ELSE regexp_like(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '(^|[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ])terminat') END) OR (CASE WHEN instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'switch to another') = 0 THEN FALSE ELSE regexp_like(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '(^|[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ])switch to another([^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]|$)') END) OR (CASE WHEN instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'fewer seats') = 0 THEN FALSE ELSE regexp_like(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '(^|[^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ])fewer seats([^0-9a-zÀ-ÖØ-öø-ԯḀ-ῼ]|$)') END) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '解約') > 0) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '退会') > 0) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'ダウングレード') > 0) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '乗り換え') > 0) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'プラン変更') > 0) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '席数を減') > 0) OR (instr(translate(t.`subject`, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), '契約終了') > 0))) v GROUP BY v.account_uid) m) p) p) p) p) p
;

-- list_reopened_ids_30d
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) || coalesce(', ' || max(CASE WHEN p.place = 2 THEN p.value END),
'') || coalesce(', ' || max(CASE WHEN p.place = 3 THEN p.value END),
'') AS value FROM (SELECT t.account_uid, t.`source_id` AS value,
CASE WHEN t.`opened_at` IS NULL THEN 0 ELSE 1 END AS dated, row_number() OVER (PARTITION BY t.account_uid, CASE WHEN t.`opened_at` IS NULL THEN 0 ELSE 1 END ORDER BY t.`opened_at` DESC, t.connection, t.source_id) AS place FROM `ticket` t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND CASE WHEN ((t.`reopened_count` > 0L) AND ((datediff(CAST('2026-11-20' AS DATE), CAST(CAST(CAST((CAST(substr(t.`reopened_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS DATE)) BETWEEN 0L AND 29L) OR (datediff(CAST('2026-11-20' AS DATE), CAST(CAST(CAST((CAST(substr(t.`opened_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS DATE)) BETWEEN 0L AND 29L))) THEN 1 ELSE 0 END = 1 AND
t.`source_id` IS NOT NULL) p WHERE p.dated = 1 AND p.place <= 3 GROUP BY p.account_uid
;

-- list_urgent_ids_48h
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) || coalesce(', ' || max(CASE WHEN p.place = 2 THEN p.value END),
'') || coalesce(', ' || max(CASE WHEN p.place = 3 THEN p.value END),
'') AS value FROM (SELECT t.account_uid, t.`source_id` AS value,
CASE WHEN t.`opened_at` IS NULL THEN 0 ELSE 1 END AS dated, row_number() OVER (PARTITION BY t.account_uid, CASE WHEN t.`opened_at` IS NULL THEN 0 ELSE 1 END ORDER BY t.`opened_at` DESC, t.connection, t.source_id) AS place FROM `ticket` t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND CASE WHEN t.`opened_at` <= '2026-11-18T02:59:59Z' AND
((t.`priority` = 'urgent') AND (t.`status` IN ('new', 'open', 'pending', 'hold'))) THEN 1 ELSE 0 END = 1 AND
t.`source_id` IS NOT NULL) p WHERE p.dated = 1 AND p.place <= 3 GROUP BY p.account_uid
;

-- list_add_on_ticket_ids
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) || coalesce(', ' || max(CASE WHEN p.place = 2 THEN p.value END),
'') || coalesce(', ' || max(CASE WHEN p.place = 3 THEN p.value END),
'') AS value FROM (SELECT t.account_uid, t.`source_id` AS value,
CASE WHEN t.`opened_at` IS NULL THEN 0 ELSE 1 END AS dated, row_number() OVER (PARTITION BY t.account_uid, CASE WHEN t.`opened_at` IS NULL THEN 0 ELSE 1 END ORDER BY t.`opened_at` DESC, t.connection, t.source_id) AS place FROM `ticket` t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND t.`opened_at` >= '2026-09-21T15:00:00' AND
t.`opened_at` < '2026-11-20T15:00:00' AND (CASE WHEN t.`subject` IS NOT NULL THEN FALSE END) AND
t.`source_id` IS NOT NULL) p WHERE p.dated = 1 AND p.place <= 3 GROUP BY p.account_uid
;

-- list_seat_lines_30d
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) || coalesce(', ' || max(CASE WHEN p.place = 2 THEN p.value END),
'') || coalesce(', ' || max(CASE WHEN p.place = 3 THEN p.value END),
'') AS value FROM (SELECT c.*, row_number() OVER (PARTITION BY c.account_uid ORDER BY c.times DESC, c.value) AS place FROM (SELECT t.account_uid, t.`source_id` AS value, count(*) AS times FROM `contract_line` t WHERE t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND CASE WHEN ((t.`unit` = 'seat') AND ((datediff(CAST('2026-11-20' AS DATE), CAST(CAST(CAST((CAST(substr(t.`updated_at`, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS DATE)) BETWEEN 0L AND 30L) OR (datediff(CAST('2026-11-20' AS DATE), CAST(t.`end_date` AS DATE)) BETWEEN 0L AND 30L))) THEN 1 ELSE 0 END = 1 AND t.`source_id` IS NOT NULL GROUP BY t.account_uid, t.`source_id`) c) p WHERE p.place <= 3 GROUP BY p.account_uid
;

-- list_sensitive_names
SELECT p.account_uid, CASE p.p1 WHEN 1 THEN 'bulk_export' WHEN 2 THEN 'api_key_deleted' END || coalesce(', ' || CASE p.p2 WHEN 1 THEN 'bulk_export' WHEN 2 THEN 'api_key_deleted' END,
'') || coalesce(', ' || CASE p.p3 WHEN 1 THEN 'bulk_export' WHEN 2 THEN 'api_key_deleted' END,
'') || CASE WHEN p.p4 <= 2 THEN ', ...' ELSE '' END AS value FROM (SELECT p.*,
p.p3 + instr(substr(p.ended, p.p3 + 1), '1') AS p4 FROM (SELECT p.*, p.p2 + instr(substr(p.ended, p.p2 + 1), '1') AS p3 FROM (SELECT p.*, p.p1 + instr(substr(p.ended, p.p1 + 1), '1') AS p2 FROM (SELECT p.*, 0 + instr(substr(p.ended, 0 + 1), '1') AS p1 FROM (SELECT m.*, m.marks || '1111' AS ended FROM (SELECT v.account_uid, max(CASE WHEN v.value = 'bulk_export' THEN '1' ELSE '0' END) || max(CASE WHEN v.value = 'api_key_deleted' THEN '1' ELSE '0' END) AS marks FROM (SELECT DISTINCT t.account_uid, t.`name` AS value FROM `usage_event` t WHERE t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.`at` >= '2026-11-13T15:00:00' AND t.`at` < '2026-11-20T15:00:00' AND ((t.`actor_role` IS NULL) OR (t.`actor_role` = 'admin')) AND t.`name` IS NOT NULL AND t.`name` IN ('bulk_export', 'api_key_deleted')) v GROUP BY v.account_uid) m) p) p) p) p) p
;

-- list_limit_names
SELECT p.account_uid, CASE p.p1 WHEN 1 THEN 'limit_reached' WHEN 2 THEN 'feature_gate' END || coalesce(', ' || CASE p.p2 WHEN 1 THEN 'limit_reached' WHEN 2 THEN 'feature_gate' END,
'') || coalesce(', ' || CASE p.p3 WHEN 1 THEN 'limit_reached' WHEN 2 THEN 'feature_gate' END,
'') || CASE WHEN p.p4 <= 2 THEN ', ...' ELSE '' END AS value FROM (SELECT p.*,
p.p3 + instr(substr(p.ended, p.p3 + 1), '1') AS p4 FROM (SELECT p.*, p.p2 + instr(substr(p.ended, p.p2 + 1), '1') AS p3 FROM (SELECT p.*, p.p1 + instr(substr(p.ended, p.p1 + 1), '1') AS p2 FROM (SELECT p.*, 0 + instr(substr(p.ended, 0 + 1), '1') AS p1 FROM (SELECT m.*, m.marks || '1111' AS ended FROM (SELECT v.account_uid, max(CASE WHEN v.value = 'limit_reached' THEN '1' ELSE '0' END) || max(CASE WHEN v.value = 'feature_gate' THEN '1' ELSE '0' END) AS marks FROM (SELECT DISTINCT t.account_uid, t.`name` AS value FROM `usage_event` t WHERE t.deleted_at IS NULL AND t.account_uid IS NOT NULL AND t.`at` >= '2026-10-21T15:00:00' AND t.`at` < '2026-11-20T15:00:00' AND t.`name` IS NOT NULL AND t.`name` IN ('limit_reached', 'feature_gate')) v GROUP BY v.account_uid) m) p) p) p) p) p
;

-- list_add_on_request_ids
SELECT p.account_uid, max(CASE WHEN p.place = 1 THEN p.value END) || coalesce(', ' || max(CASE WHEN p.place = 2 THEN p.value END),
'') || coalesce(', ' || max(CASE WHEN p.place = 3 THEN p.value END),
'') AS value FROM (SELECT t.account_uid, t.`source_id` AS value,
CASE WHEN t.`requested_at` IS NULL THEN 0 ELSE 1 END AS dated,
row_number() OVER (PARTITION BY t.account_uid, CASE WHEN t.`requested_at` IS NULL THEN 0 ELSE 1 END ORDER BY t.`requested_at` DESC, t.connection, t.source_id) AS place FROM `feature_request` t WHERE t.deleted_at IS NULL AND
t.account_uid IS NOT NULL AND t.`requested_at` >= '2026-09-21T15:00:00' AND
t.`requested_at` < '2026-11-20T15:00:00' AND (CASE WHEN t.`topic` IS NOT NULL THEN FALSE END) AND
t.`source_id` IS NOT NULL) p WHERE p.dated = 1 AND p.place <= 3 GROUP BY p.account_uid
;

-- touch
WITH RECURSIVE base AS (SELECT a.uid AS uid, a.`csm_uid` AS a_csm_uid,
a.`first_contract_date` AS a_first_contract_date, a.`locale` AS a_locale,
a.`name` AS a_name, a.`owner_uid` AS a_owner_uid, a.`parent_uid` AS a_parent_uid,
a.`touch_tier_override` AS a_touch_tier_override, fact_lines.arr AS f_arr,
coalesce(fact_lines.currency, 'JPY') AS c_arr FROM account a LEFT JOIN fact_lines ON fact_lines.account_uid = a.uid WHERE a.deleted_at IS NULL AND
coalesce(a.is_test, 0) = 0) SELECT b.*, a_touch_tier_override AS tier_override,
a_first_contract_date AS tier_since FROM base b ORDER BY b.uid
;

-- health
WITH RECURSIVE held AS (SELECT f.account_uid, CAST(get_json_object(f.features, '$[\'measure.csat_score\']') AS BIGINT) AS h_m_csat_score,
CAST(get_json_object(f.features, '$[\'measure.payment\']') AS BIGINT) AS h_m_payment FROM feature_row f WHERE f.pack = 'health' AND
f.as_of = (SELECT max(g.as_of) FROM feature_row g WHERE g.account_uid = f.account_uid AND g.pack = 'health' AND g.as_of < '2026-11-20T03:00:00Z')),
base AS (SELECT a.uid AS uid, a.`csm_sentiment` AS a_csm_sentiment,
a.`csm_sentiment_at` AS a_csm_sentiment_at, a.`csm_sentiment_by` AS a_csm_sentiment_by,
a.`csm_uid` AS a_csm_uid, a.`first_contract_date` AS a_first_contract_date,
a.`locale` AS a_locale, a.`name` AS a_name, a.`override_band` AS a_override_band,
a.`override_reason` AS a_override_reason, a.`override_until` AS a_override_until,
a.`owner_uid` AS a_owner_uid, a.`status` AS a_status, fact_terms.notice_given AS f_notice_given,
fact_lines.seats AS f_seats, fact_lines.arr AS f_arr, coalesce(fact_lines.currency, 'JPY') AS c_arr,
fact_usage.active_users_28d AS f_active_users_28d, fact_usage.last_active_on AS f_last_active_on,
fact_weeks.usage_recent AS f_usage_recent, fact_weeks.usage_before AS f_usage_before,
fact_weeks.usage_growth AS f_usage_growth, fact_weeks.weeks_left_out AS f_weeks_left_out,
fact_contact.last_contact_on AS f_last_contact_on, fact_contact.last_meeting_on AS f_last_meeting_on,
list_common_category.value AS f_common_category, coalesce(of_tickets.n_tickets_30d, 0) AS f_tickets_30d,
coalesce(of_tickets.n_urgent_over_72h, 0) AS f_urgent_over_72h,
of_ticket_metrics.v_resolution_minutes AS f_resolution_minutes,
coalesce(of_ticket_metrics.n_solved_90d, 0) AS f_solved_90d,
CAST(NULL AS BIGINT) AS f_csat_answers, CAST(NULL AS BIGINT) AS f_csat_good,
CASE WHEN of_surveys.n_nps_answers >= 3 THEN coalesce(of_surveys.n_nps_answers, 0) END AS f_nps_answers,
coalesce(of_surveys.n_nps_detractors, 0) AS f_nps_detractors,
coalesce(of_surveys.n_nps_promoters, 0) AS f_nps_promoters, list_core_features_unused.value AS f_core_features_unused,
of_usage.v_checklist_done AS f_checklist_done, of_usage.v_checklist_items AS f_checklist_items,
CASE WHEN EXISTS (SELECT 1 FROM `usage_metric` e WHERE e.deleted_at IS NULL AND e.account_uid = a.uid) THEN coalesce(of_usage.v_core_features_used, 0) END AS f_core_features_used,
of_usage.v_first_used_on AS f_first_used_on, of_usage.v_first_value_on AS f_first_value_on,
of_contracts.v_first_term_on AS f_first_term_on, list_champion_ids.value AS f_champion_ids,
list_sponsor_ids.value AS f_sponsor_ids, CAST(CAST((CAST(substr(of_contacts.v_champion_left_on, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS f_champion_left_on,
coalesce(of_contacts.n_champions, 0) AS f_champions, coalesce(of_contacts.n_sponsors, 0) AS f_sponsors,
CAST(NULL AS BIGINT) AS f_unpaid_amount, CAST(NULL AS STRING) AS f_unpaid_ids,
CAST(NULL AS BIGINT) AS f_unpaid_invoices, CAST(NULL AS STRING) AS f_unpaid_since,
'JPY' AS c_unpaid_amount, CASE WHEN r0.value <> 'null' AND r0.state <> 'stale' THEN replace(replace(substr(r0.value, 2, length(r0.value) - 2), '\\"', '"'), '\\\\', '\\') END AS r_touch_tier,
h.band AS h_band, h.yellow_days AS h_yellow_days, h.green_days AS h_green_days,
h.override_band AS h_override_band, h.override_until AS h_override_until,
h.override_since AS h_override_since, h.caps AS h_caps, held.h_m_csat_score AS h_m_csat_score,
held.h_m_payment AS h_m_payment FROM account a LEFT JOIN fact_terms ON fact_terms.account_uid = a.uid LEFT JOIN fact_lines ON fact_lines.account_uid = a.uid LEFT JOIN fact_usage ON fact_usage.account_uid = a.uid LEFT JOIN fact_weeks ON fact_weeks.account_uid = a.uid LEFT JOIN fact_contact ON fact_contact.account_uid = a.uid LEFT JOIN list_common_category ON list_common_category.account_uid = a.uid LEFT JOIN of_tickets ON of_tickets.account_uid = a.uid LEFT JOIN of_ticket_metrics ON of_ticket_metrics.account_uid = a.uid LEFT JOIN of_surveys ON of_surveys.account_uid = a.uid LEFT JOIN list_core_features_unused ON list_core_features_unused.account_uid = a.uid LEFT JOIN of_usage ON of_usage.account_uid = a.uid LEFT JOIN of_contracts ON of_contracts.account_uid = a.uid LEFT JOIN list_champion_ids ON list_champion_ids.account_uid = a.uid LEFT JOIN list_sponsor_ids ON list_sponsor_ids.account_uid = a.uid LEFT JOIN of_contacts ON of_contacts.account_uid = a.uid LEFT JOIN result r0 ON r0.account_uid = a.uid AND
r0.name = 'touch.tier' LEFT JOIN score_state h ON h.account_uid = a.uid AND
h.pack = 'health' AND h.since < '2026-11-20' AND (h.until IS NULL OR h.until >= '2026-11-20') LEFT JOIN held ON held.account_uid = a.uid WHERE a.deleted_at IS NULL AND
coalesce(a.is_test, 0) = 0 AND ((a.`status` IS NULL) OR (a.`status` IN ('onboarding', 'active', 'notice')))),
formula_1 AS (SELECT b.*, (CAST(f_active_users_28d AS DOUBLE) / NULLIF(f_seats, 0)) AS f_activation,
(CASE WHEN (f_champions = 0L) THEN '-' WHEN TRUE THEN f_champion_ids END) AS f_champion_list,
(CAST(f_checklist_done AS DOUBLE) / NULLIF(f_checklist_items, 0)) AS f_checklist_share,
datediff(CAST('2026-11-20' AS DATE), CAST(f_last_contact_on AS DATE)) AS f_contact_days,
0L AS f_core_features_named, (CAST(f_csat_good AS DOUBLE) / NULLIF(f_csat_answers, 0)) AS f_csat,
(f_csat_answers - f_csat_good) AS f_csat_bad, (CASE WHEN (a_csm_sentiment_by IS NULL) THEN '-' WHEN TRUE THEN a_csm_sentiment_by END) AS f_judged_by,
CAST(((f_first_used_on IS NULL) AND (f_active_users_28d = 0L)) AS INTEGER) AS f_never_used,
(CAST((CAST(100L AS DOUBLE) * (f_nps_promoters - f_nps_detractors)) AS DOUBLE) / NULLIF(f_nps_answers, 0)) AS f_nps,
90L AS f_onboarding_days, (CASE WHEN f_unpaid_invoices IS NULL THEN NULL WHEN (f_unpaid_invoices = 0L) THEN 0L WHEN TRUE THEN datediff(CAST('2026-11-20' AS DATE), CAST(f_unpaid_since AS DATE)) END) AS f_overdue_days,
(CAST(f_resolution_minutes AS DOUBLE) / NULLIF(60L, 0)) AS f_resolution_hours,
(CAST(f_active_users_28d AS DOUBLE) / NULLIF(f_seats, 0)) AS f_seat_utilisation,
(CASE WHEN (f_sponsors = 0L) THEN '-' WHEN TRUE THEN f_sponsor_ids END) AS f_sponsor_list,
(CASE WHEN (a_first_contract_date >= '1990-01-01') THEN a_first_contract_date WHEN TRUE THEN f_first_term_on END) AS f_started_on,
(CASE WHEN (f_common_category IS NULL) THEN '-' WHEN TRUE THEN f_common_category END) AS f_ticket_topic,
(CAST((CAST(10L AS DOUBLE) * f_tickets_30d) AS DOUBLE) / NULLIF(f_seats, 0)) AS f_tickets_per_10_seats,
0L AS f_value_metrics_named FROM base b), formula_2 AS (SELECT b.*,
datediff(CAST('2026-11-20' AS DATE), CAST(f_started_on AS DATE)) AS f_days_in,
(CAST(f_core_features_used AS DOUBLE) / NULLIF(f_core_features_named, 0)) AS f_feature_breadth,
(CASE WHEN (f_never_used <> 0) THEN 30L WHEN TRUE THEN datediff(CAST('2026-11-20' AS DATE), CAST(f_last_active_on AS DATE)) END) AS f_idle_days,
CAST(((f_first_value_on >= '1990-01-01') AND (f_activation >= 0.5D)) AS INTEGER) AS f_reached,
(CASE WHEN (f_core_features_used = f_core_features_named) THEN '-' WHEN TRUE THEN f_core_features_unused END) AS f_unused_features FROM formula_1 b),
formula_3 AS (SELECT b.*, (CASE WHEN (f_first_value_on >= '1990-01-01') THEN 0L WHEN (f_first_value_on IS NULL) THEN f_days_in END) AS f_days_without_value,
CAST((f_days_in BETWEEN 0L AND f_onboarding_days) AS INTEGER) AS f_is_onboarding,
(CASE WHEN ((f_tickets_30d = 0L) AND (f_idle_days >= 30L)) THEN 3.2D WHEN TRUE THEN f_tickets_per_10_seats END) AS f_ticket_load FROM formula_2 b),
formula_4 AS (SELECT b.*, CAST((CASE WHEN (f_reached <> 0) THEN FALSE WHEN TRUE THEN (f_is_onboarding <> 0) END) AS INTEGER) AS f_still_onboarding FROM formula_3 b),
measured AS (SELECT b.*, CASE WHEN (f_still_onboarding <> 0) THEN 'onboarding' ELSE 'standard' END AS model,
CASE WHEN NOT (f_usage_before >= 5L) THEN NULL ELSE (CASE WHEN f_usage_growth IS NULL THEN NULL WHEN f_usage_growth <= (-0.4D) THEN 0 WHEN f_usage_growth < 0.05D THEN (CASE WHEN ((0.0D + (f_usage_growth - (-0.4D)) * 100.0D / 0.45D) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((0.0D + (f_usage_growth - (-0.4D)) * 100.0D / 0.45D) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((0.0D + (f_usage_growth - (-0.4D)) * 100.0D / 0.45D) + 0.5)) AS BIGINT) END) ELSE 100 END) END AS m_usage_trend,
CASE WHEN NOT (f_usage_before >= 5L) THEN 0 ELSE 1 END AS x_usage_trend,
CASE WHEN NOT (f_seats > 0L) THEN NULL ELSE (CASE WHEN f_seat_utilisation IS NULL THEN NULL WHEN f_seat_utilisation <= 0.3D THEN 0 WHEN f_seat_utilisation < 0.85D THEN (CASE WHEN ((0.0D + (f_seat_utilisation - 0.3D) * 100.0D / 0.55D) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((0.0D + (f_seat_utilisation - 0.3D) * 100.0D / 0.55D) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((0.0D + (f_seat_utilisation - 0.3D) * 100.0D / 0.55D) + 0.5)) AS BIGINT) END) ELSE 100 END) END AS m_seat_use,
CASE WHEN NOT (f_seats > 0L) THEN 0 ELSE 1 END AS x_seat_use,
CASE WHEN NOT (f_core_features_named > 0L) THEN NULL ELSE (CASE WHEN f_feature_breadth IS NULL THEN NULL WHEN f_feature_breadth <= 0.2D THEN 0 WHEN f_feature_breadth < 0.8D THEN (CASE WHEN ((0.0D + (f_feature_breadth - 0.2D) * 100.0D / 0.6000000000000001D) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((0.0D + (f_feature_breadth - 0.2D) * 100.0D / 0.6000000000000001D) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((0.0D + (f_feature_breadth - 0.2D) * 100.0D / 0.6000000000000001D) + 0.5)) AS BIGINT) END) ELSE 100 END) END AS m_feature_use,
CASE WHEN NOT (f_core_features_named > 0L) THEN 0 ELSE 1 END AS x_feature_use,
(CASE WHEN f_idle_days IS NULL THEN NULL WHEN f_idle_days <= 3.0D THEN 100 WHEN f_idle_days < 30.0D THEN (CASE WHEN ((100.0D + (f_idle_days - 3.0D) * (-100.0D) / 27.0D) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((100.0D + (f_idle_days - 3.0D) * (-100.0D) / 27.0D) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((100.0D + (f_idle_days - 3.0D) * (-100.0D) / 27.0D) + 0.5)) AS BIGINT) END) ELSE 0 END) AS m_login_recency,
1 AS x_login_recency, CASE WHEN NOT (f_seats > 0L) THEN NULL ELSE (CASE WHEN f_ticket_load IS NULL THEN NULL WHEN f_ticket_load <= 0.0D THEN 100 WHEN f_ticket_load < 8.0D THEN (CASE WHEN ((100.0D + (f_ticket_load - 0.0D) * (-100.0D) / 8.0D) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((100.0D + (f_ticket_load - 0.0D) * (-100.0D) / 8.0D) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((100.0D + (f_ticket_load - 0.0D) * (-100.0D) / 8.0D) + 0.5)) AS BIGINT) END) ELSE 0 END) END AS m_ticket_score,
CASE WHEN NOT (f_seats > 0L) THEN 0 ELSE 1 END AS x_ticket_score,
(CASE WHEN f_resolution_hours IS NULL THEN NULL WHEN f_resolution_hours <= 8.0D THEN 100 WHEN f_resolution_hours < 96.0D THEN (CASE WHEN ((100.0D + (f_resolution_hours - 8.0D) * (-100.0D) / 88.0D) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((100.0D + (f_resolution_hours - 8.0D) * (-100.0D) / 88.0D) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((100.0D + (f_resolution_hours - 8.0D) * (-100.0D) / 88.0D) + 0.5)) AS BIGINT) END) ELSE 0 END) AS m_resolution,
1 AS x_resolution, coalesce((CASE WHEN f_csat IS NULL THEN NULL WHEN f_csat <= 0.5D THEN 0 WHEN f_csat < 0.95D THEN (CASE WHEN ((0.0D + (f_csat - 0.5D) * 100.0D / 0.44999999999999996D) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((0.0D + (f_csat - 0.5D) * 100.0D / 0.44999999999999996D) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((0.0D + (f_csat - 0.5D) * 100.0D / 0.44999999999999996D) + 0.5)) AS BIGINT) END) ELSE 100 END), h_m_csat_score) AS m_csat_score,
1 AS x_csat_score, CASE WHEN (CASE WHEN f_csat IS NULL THEN NULL WHEN f_csat <= 0.5D THEN 0 WHEN f_csat < 0.95D THEN (CASE WHEN ((0.0D + (f_csat - 0.5D) * 100.0D / 0.44999999999999996D) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((0.0D + (f_csat - 0.5D) * 100.0D / 0.44999999999999996D) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((0.0D + (f_csat - 0.5D) * 100.0D / 0.44999999999999996D) + 0.5)) AS BIGINT) END) ELSE 100 END) IS NULL AND
h_m_csat_score IS NOT NULL THEN 1 ELSE 0 END AS q_csat_score,
(CASE WHEN f_nps IS NULL THEN NULL WHEN f_nps <= (-50.0D) THEN 0 WHEN f_nps < 60.0D THEN (CASE WHEN ((0.0D + (f_nps - (-50.0D)) * 100.0D / 110.0D) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((0.0D + (f_nps - (-50.0D)) * 100.0D / 110.0D) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((0.0D + (f_nps - (-50.0D)) * 100.0D / 110.0D) + 0.5)) AS BIGINT) END) ELSE 100 END) AS m_nps_score,
1 AS x_nps_score, CASE WHEN NOT (r_touch_tier <> 'tech') THEN NULL ELSE (CASE WHEN f_contact_days IS NULL THEN NULL WHEN f_contact_days <= 14.0D THEN 100 WHEN f_contact_days < 90.0D THEN (CASE WHEN ((100.0D + (f_contact_days - 14.0D) * (-100.0D) / 76.0D) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((100.0D + (f_contact_days - 14.0D) * (-100.0D) / 76.0D) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((100.0D + (f_contact_days - 14.0D) * (-100.0D) / 76.0D) + 0.5)) AS BIGINT) END) ELSE 0 END) END AS m_engagement,
CASE WHEN NOT (r_touch_tier <> 'tech') THEN 0 ELSE 1 END AS x_engagement,
coalesce((CASE WHEN f_overdue_days IS NULL THEN NULL WHEN f_overdue_days <= 0.0D THEN 100 WHEN f_overdue_days < 45.0D THEN (CASE WHEN ((100.0D + (f_overdue_days - 0.0D) * (-100.0D) / 45.0D) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((100.0D + (f_overdue_days - 0.0D) * (-100.0D) / 45.0D) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((100.0D + (f_overdue_days - 0.0D) * (-100.0D) / 45.0D) + 0.5)) AS BIGINT) END) ELSE 0 END), h_m_payment) AS m_payment,
1 AS x_payment, CASE WHEN (CASE WHEN f_overdue_days IS NULL THEN NULL WHEN f_overdue_days <= 0.0D THEN 100 WHEN f_overdue_days < 45.0D THEN (CASE WHEN ((100.0D + (f_overdue_days - 0.0D) * (-100.0D) / 45.0D) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((100.0D + (f_overdue_days - 0.0D) * (-100.0D) / 45.0D) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((100.0D + (f_overdue_days - 0.0D) * (-100.0D) / 45.0D) + 0.5)) AS BIGINT) END) ELSE 0 END) IS NULL AND
h_m_payment IS NOT NULL THEN 1 ELSE 0 END AS q_payment, (CASE WHEN f_champions IS NULL THEN NULL WHEN f_sponsors IS NULL THEN NULL WHEN ((f_champions > 0L) AND (f_sponsors > 0L)) THEN 100L WHEN (f_champions > 0L) THEN 60L ELSE 20L END) AS m_sponsor_coverage,
1 AS x_sponsor_coverage, CASE WHEN NOT (datediff(CAST('2026-11-20' AS DATE), CAST(a_csm_sentiment_at AS DATE)) <= 90L) THEN NULL ELSE (CASE WHEN (a_csm_sentiment = 'red') THEN 10L WHEN (a_csm_sentiment = 'yellow') THEN 55L WHEN (a_csm_sentiment = 'green') THEN 100L ELSE NULL END) END AS m_csm_judgement,
CASE WHEN NOT (datediff(CAST('2026-11-20' AS DATE), CAST(a_csm_sentiment_at AS DATE)) <= 90L) THEN 0 ELSE 1 END AS x_csm_judgement,
CASE WHEN NOT (f_value_metrics_named > 0L) THEN NULL ELSE (CASE WHEN f_days_without_value IS NULL THEN NULL WHEN f_days_without_value <= 14.0D THEN 100 WHEN f_days_without_value < 45.0D THEN (CASE WHEN ((100.0D + (f_days_without_value - 14.0D) * (-100.0D) / 31.0D) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((100.0D + (f_days_without_value - 14.0D) * (-100.0D) / 31.0D) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((100.0D + (f_days_without_value - 14.0D) * (-100.0D) / 31.0D) + 0.5)) AS BIGINT) END) ELSE 0 END) END AS m_first_value,
CASE WHEN NOT (f_value_metrics_named > 0L) THEN 0 ELSE 1 END AS x_first_value,
(CASE WHEN f_checklist_share IS NULL THEN NULL WHEN f_checklist_share <= 0.0D THEN 20 WHEN f_checklist_share < 1.0D THEN (CASE WHEN ((20.0D + (f_checklist_share - 0.0D) * 80.0D / 1.0D) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((20.0D + (f_checklist_share - 0.0D) * 80.0D / 1.0D) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((20.0D + (f_checklist_share - 0.0D) * 80.0D / 1.0D) + 0.5)) AS BIGINT) END) ELSE 100 END) AS m_checklist,
1 AS x_checklist FROM formula_4 b), weighed AS (SELECT b.*, CASE WHEN m_usage_trend IS NULL THEN 0 ELSE (CASE model WHEN 'onboarding' THEN 0 ELSE 20 END) END + CASE WHEN m_seat_use IS NULL THEN 0 ELSE 15 END + CASE WHEN m_feature_use IS NULL THEN 0 ELSE 10 END + CASE WHEN m_login_recency IS NULL THEN 0 ELSE 10 END + CASE WHEN m_ticket_score IS NULL THEN 0 ELSE 10 END + CASE WHEN m_resolution IS NULL THEN 0 ELSE 5 END + CASE WHEN m_csat_score IS NULL THEN 0 ELSE 10 END + CASE WHEN m_nps_score IS NULL THEN 0 ELSE (CASE model WHEN 'onboarding' THEN 0 ELSE 5 END) END + CASE WHEN m_engagement IS NULL THEN 0 ELSE 10 END + CASE WHEN m_payment IS NULL THEN 0 ELSE 5 END + CASE WHEN m_sponsor_coverage IS NULL THEN 0 ELSE 0 END + CASE WHEN m_csm_judgement IS NULL THEN 0 ELSE 0 END + CASE WHEN m_first_value IS NULL THEN 0 ELSE (CASE model WHEN 'onboarding' THEN 30 ELSE 0 END) END + CASE WHEN m_checklist IS NULL THEN 0 ELSE (CASE model WHEN 'onboarding' THEN 15 ELSE 0 END) END AS covered,
CASE WHEN m_usage_trend IS NULL THEN 0 ELSE (CASE model WHEN 'onboarding' THEN 0 ELSE 20 END) * m_usage_trend END + CASE WHEN m_seat_use IS NULL THEN 0 ELSE 15 * m_seat_use END + CASE WHEN m_feature_use IS NULL THEN 0 ELSE 10 * m_feature_use END + CASE WHEN m_login_recency IS NULL THEN 0 ELSE 10 * m_login_recency END + CASE WHEN m_ticket_score IS NULL THEN 0 ELSE 10 * m_ticket_score END + CASE WHEN m_resolution IS NULL THEN 0 ELSE 5 * m_resolution END + CASE WHEN m_csat_score IS NULL THEN 0 ELSE 10 * m_csat_score END + CASE WHEN m_nps_score IS NULL THEN 0 ELSE (CASE model WHEN 'onboarding' THEN 0 ELSE 5 END) * m_nps_score END + CASE WHEN m_engagement IS NULL THEN 0 ELSE 10 * m_engagement END + CASE WHEN m_payment IS NULL THEN 0 ELSE 5 * m_payment END + CASE WHEN m_sponsor_coverage IS NULL THEN 0 ELSE 0 * m_sponsor_coverage END + CASE WHEN m_csm_judgement IS NULL THEN 0 ELSE 0 * m_csm_judgement END + CASE WHEN m_first_value IS NULL THEN 0 ELSE (CASE model WHEN 'onboarding' THEN 30 ELSE 0 END) * m_first_value END + CASE WHEN m_checklist IS NULL THEN 0 ELSE (CASE model WHEN 'onboarding' THEN 15 ELSE 0 END) * m_checklist END AS total,
CASE WHEN x_usage_trend = 1 THEN (CASE model WHEN 'onboarding' THEN 0 ELSE 20 END) ELSE 0 END + CASE WHEN x_seat_use = 1 THEN 15 ELSE 0 END + CASE WHEN x_feature_use = 1 THEN 10 ELSE 0 END + CASE WHEN x_login_recency = 1 THEN 10 ELSE 0 END + CASE WHEN x_ticket_score = 1 THEN 10 ELSE 0 END + CASE WHEN x_resolution = 1 THEN 5 ELSE 0 END + CASE WHEN x_csat_score = 1 THEN 10 ELSE 0 END + CASE WHEN x_nps_score = 1 THEN (CASE model WHEN 'onboarding' THEN 0 ELSE 5 END) ELSE 0 END + CASE WHEN x_engagement = 1 THEN 10 ELSE 0 END + CASE WHEN x_payment = 1 THEN 5 ELSE 0 END + CASE WHEN x_sponsor_coverage = 1 THEN 0 ELSE 0 END + CASE WHEN x_csm_judgement = 1 THEN 0 ELSE 0 END + CASE WHEN x_first_value = 1 THEN (CASE model WHEN 'onboarding' THEN 30 ELSE 0 END) ELSE 0 END + CASE WHEN m_checklist IS NOT NULL THEN (CASE model WHEN 'onboarding' THEN 15 ELSE 0 END) ELSE 0 END AS applicable FROM measured b),
raw AS (SELECT b.*, CASE WHEN covered > 0 AND covered * 100 >= 50 * applicable THEN ((2 * total + covered) DIV (2 * covered)) END AS raw_score,
CASE WHEN applicable > 0 THEN ((200 * covered + applicable) DIV (2 * applicable)) END AS coverage,
CAST((f_notice_given <> 0) AS INTEGER) AS k_0, CAST((f_urgent_over_72h > 0L) AS INTEGER) AS k_1,
coalesce(CAST((datediff(CAST('2026-11-20' AS DATE), CAST(f_unpaid_since AS DATE)) > 60L) AS INTEGER), CASE substr(h_caps, 3, 1) WHEN '1' THEN 1 WHEN '0' THEN 0 END) AS k_2,
CASE WHEN CAST((datediff(CAST('2026-11-20' AS DATE), CAST(f_unpaid_since AS DATE)) > 60L) AS INTEGER) IS NULL AND
CASE substr(h_caps, 3, 1) WHEN '1' THEN 1 WHEN '0' THEN 0 END IS NOT NULL THEN 1 ELSE 0 END AS kq_2,
CAST(((datediff(CAST('2026-11-20' AS DATE), CAST(f_champion_left_on AS DATE)) > 30L) AND (f_champions = 0L)) AS INTEGER) AS k_3 FROM weighed b),
capped AS (SELECT b.*, CASE WHEN raw_score IS NULL THEN NULL WHEN (k_0 <> 0) AND
raw_score > 0 THEN 0 WHEN (k_1 <> 0) AND raw_score > 49 THEN 49 WHEN (k_2 <> 0) AND
raw_score > 49 THEN 49 WHEN (k_3 <> 0) AND raw_score > 74 THEN 74 ELSE raw_score END AS score FROM raw b),
sided AS (SELECT b.*, CASE WHEN raw_score IS NULL THEN CASE WHEN h_band = 'yellow' OR
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
NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(n_override_since AS DATE), DATE '0001-01-01') + 30, 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01') >= '2026-11-20' THEN a_override_band ELSE computed_band END AS band FROM banded b) SELECT b.* FROM in_force b ORDER BY b.uid
;

-- onboarding
WITH RECURSIVE base AS (SELECT a.uid AS uid, a.`csm_uid` AS a_csm_uid,
a.`first_contract_date` AS a_first_contract_date, a.`locale` AS a_locale,
a.`name` AS a_name, a.`owner_uid` AS a_owner_uid, a.`status` AS a_status,
fact_lines.seats AS f_seats, fact_usage.active_users_28d AS f_active_users_28d,
fact_usage.last_active_on AS f_last_active_on, fact_contact.last_meeting_on AS f_last_meeting_on,
fact_contact.meetings_recorded AS f_meetings_recorded, list_urgent_ids_30d.value AS f_urgent_ids_30d,
coalesce(of_tickets.n_urgent_30d, 0) AS f_urgent_30d, of_usage.v_checklist_before AS f_checklist_before,
of_usage.v_checklist_done AS f_checklist_done, of_usage.v_checklist_items AS f_checklist_items,
of_usage.v_first_value_on AS f_first_value_on, of_usage.v_invited_users AS f_invited_users,
of_contracts.v_first_term_on AS f_first_term_on, CASE WHEN r0.value <> 'null' AND
r0.state <> 'stale' THEN replace(replace(substr(r0.value, 2, length(r0.value) - 2), '\\"', '"'), '\\\\', '\\') END AS r_touch_tier FROM account a LEFT JOIN fact_lines ON fact_lines.account_uid = a.uid LEFT JOIN fact_usage ON fact_usage.account_uid = a.uid LEFT JOIN fact_contact ON fact_contact.account_uid = a.uid LEFT JOIN list_urgent_ids_30d ON list_urgent_ids_30d.account_uid = a.uid LEFT JOIN of_tickets ON of_tickets.account_uid = a.uid LEFT JOIN of_usage ON of_usage.account_uid = a.uid LEFT JOIN of_contracts ON of_contracts.account_uid = a.uid LEFT JOIN result r0 ON r0.account_uid = a.uid AND
r0.name = 'touch.tier' WHERE a.deleted_at IS NULL AND coalesce(a.is_test, 0) = 0 AND
((a.`status` IS NULL) OR (a.`status` IN ('onboarding', 'active')))),
formula_1 AS (SELECT b.*, (CAST(f_active_users_28d AS DOUBLE) / NULLIF(f_seats, 0)) AS f_activation,
90L AS f_onboarding_days, (f_checklist_items - f_checklist_done) AS f_open_steps,
(CASE WHEN (a_first_contract_date >= '1990-01-01') THEN a_first_contract_date WHEN TRUE THEN f_first_term_on END) AS f_started_on,
(CASE WHEN (r_touch_tier = 'high') THEN 45L WHEN TRUE THEN 30L END) AS f_value_due,
0L AS f_value_metrics_named FROM base b), formula_2 AS (SELECT b.*,
datediff(CAST('2026-11-20' AS DATE), CAST(f_started_on AS DATE)) AS f_days_in,
CAST(((f_first_value_on >= '1990-01-01') AND (f_activation >= 0.5D)) AS INTEGER) AS f_reached FROM formula_1 b),
formula_3 AS (SELECT b.*, CAST((f_days_in BETWEEN 0L AND f_onboarding_days) AS INTEGER) AS f_is_onboarding FROM formula_2 b),
formula_4 AS (SELECT b.*, CAST(((f_meetings_recorded <> 0) AND (f_is_onboarding <> 0) AND (f_days_in >= 7L) AND ((f_last_meeting_on IS NULL) OR (f_last_meeting_on < f_started_on))) AS INTEGER) AS f_no_kickoff,
CAST(((f_is_onboarding <> 0) AND (f_value_metrics_named > 0L) AND (f_days_in >= f_value_due) AND (f_first_value_on IS NULL)) AS INTEGER) AS f_no_value,
CAST(((f_is_onboarding <> 0) AND (f_days_in >= 10L) AND ((f_active_users_28d IS NULL) OR (f_active_users_28d = 0L)) AND ((f_last_active_on IS NULL) OR (f_last_active_on < f_started_on))) AS INTEGER) AS f_nobody_active,
CAST(((f_is_onboarding <> 0) AND (f_days_in >= 30L) AND (f_activation < 0.3D)) AS INTEGER) AS f_slow,
CAST(((f_is_onboarding <> 0) AND (f_checklist_done < f_checklist_items) AND (f_checklist_done = f_checklist_before)) AS INTEGER) AS f_stalled,
CAST(((f_is_onboarding <> 0) AND (f_urgent_30d >= 2L)) AS INTEGER) AS f_troubled FROM formula_3 b) SELECT b.*,
(CASE WHEN (f_days_in > f_onboarding_days) THEN 'done' WHEN ((f_is_onboarding <> 0) AND (f_reached <> 0)) THEN 'adopting' WHEN ((f_is_onboarding <> 0) AND (f_last_active_on >= f_started_on)) THEN 'rollout' WHEN (f_is_onboarding <> 0) THEN 'kickoff' ELSE NULL END) AS o_stage,
(CASE WHEN (f_no_value <> 0) THEN 'no_value' WHEN (f_slow <> 0) THEN 'slow' WHEN (f_stalled <> 0) THEN 'stalled' WHEN ((f_activation >= 0.3D) OR (NOT (f_is_onboarding <> 0)) OR (f_days_in < 30L)) THEN 'none' ELSE NULL END) AS o_risk,
f_first_value_on AS o_first_value_date, CAST(((r_touch_tier IN ('high', 'low')) AND (f_no_kickoff <> 0)) AS INTEGER) AS t_0,
CAST(((f_last_meeting_on >= f_started_on) OR (f_reached <> 0)) AS INTEGER) AS t_0_done,
NULL AS t_0_due, 'normal' AS t_0_priority, CAST(((r_touch_tier IN ('high', 'low')) AND (f_nobody_active <> 0)) AS INTEGER) AS t_1,
CAST(((f_last_active_on >= f_started_on) OR (f_reached <> 0)) AS INTEGER) AS t_1_done,
NULL AS t_1_due, 'high' AS t_1_priority, CAST(((r_touch_tier IN ('high', 'low')) AND (f_slow <> 0)) AS INTEGER) AS t_2,
CAST(((f_activation >= 0.3D) OR (f_reached <> 0)) AS INTEGER) AS t_2_done,
NULL AS t_2_due, 'normal' AS t_2_priority, CAST(((r_touch_tier IN ('high', 'low')) AND (f_no_value <> 0)) AS INTEGER) AS t_3,
CAST((f_first_value_on >= '1990-01-01') AS INTEGER) AS t_3_done,
NULL AS t_3_due, 'high' AS t_3_priority, CAST(((r_touch_tier IN ('high', 'low')) AND (f_stalled <> 0)) AS INTEGER) AS t_4,
CAST(((f_checklist_done > f_checklist_before) OR (f_reached <> 0)) AS INTEGER) AS t_4_done,
NULL AS t_4_due, 'normal' AS t_4_priority, CAST(((r_touch_tier IN ('high', 'low')) AND ((f_is_onboarding <> 0) AND (f_reached <> 0))) AS INTEGER) AS t_5,
CAST(NULL AS INTEGER) AS t_5_done, NULL AS t_5_due, 'low' AS t_5_priority,
CAST(((r_touch_tier IN ('high', 'low')) AND (f_troubled <> 0)) AS INTEGER) AS t_6,
CAST((f_reached <> 0) AS INTEGER) AS t_6_done, NULL AS t_6_due,
'high' AS t_6_priority, 'manager' AS t_6_copy FROM formula_4 b ORDER BY b.uid
;

-- renewal
WITH RECURSIVE base AS (SELECT a.uid AS uid, coalesce(fact_events.event, 1) AS event,
a.`csm_uid` AS a_csm_uid, a.`locale` AS a_locale, a.`name` AS a_name,
a.`owner_uid` AS a_owner_uid, a.`status` AS a_status, a.`success_goals` AS a_success_goals,
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
CASE WHEN fact_ends.term_ends IS NOT NULL THEN coalesce(fact_event_ends.term_ends, CAST(NULL AS STRING)) END AS f_term_ends,
fact_products.product_list AS f_product_list, coalesce(of_tickets.n_open_tickets, 0) AS f_open_tickets,
of_opportunities_by_event.v_notice_reason AS f_notice_reason,
of_opportunities_by_event.v_renewal_stage AS f_renewal_stage,
of_opportunities_by_event.v_renewal_won_on AS f_renewal_won_on,
coalesce(of_opportunities_by_event.n_renewals_committed, 0) AS f_renewals_committed,
coalesce(of_opportunities_by_event.n_renewals_open, 0) AS f_renewals_open,
coalesce(of_opportunities_by_event.n_renewals_won_180d, 0) AS f_renewals_won_180d,
coalesce(of_contacts.n_champions, 0) AS f_champions, coalesce(of_contacts.n_sponsors, 0) AS f_sponsors,
CASE WHEN r0.value <> 'null' AND r0.state <> 'stale' THEN replace(replace(substr(r0.value, 2, length(r0.value) - 2), '\\"', '"'), '\\\\', '\\') END AS r_health_band,
CASE WHEN r1.value <> 'null' AND r1.state <> 'stale' THEN replace(replace(substr(r1.value, 2, length(r1.value) - 2), '\\"', '"'), '\\\\', '\\') END AS r_health_reasons,
CASE WHEN r2.value <> 'null' AND r2.state <> 'stale' THEN CAST(r2.value AS BIGINT) END AS r_health_score,
CASE WHEN r3.value <> 'null' AND r3.state <> 'stale' THEN replace(replace(substr(r3.value, 2, length(r3.value) - 2), '\\"', '"'), '\\\\', '\\') END AS r_health_trend,
CASE WHEN r4.value <> 'null' AND r4.state <> 'stale' THEN replace(replace(substr(r4.value, 2, length(r4.value) - 2), '\\"', '"'), '\\\\', '\\') END AS r_touch_tier FROM account a LEFT JOIN fact_terms ON fact_terms.account_uid = a.uid LEFT JOIN fact_events ON fact_events.account_uid = a.uid LEFT JOIN fact_lines ON fact_lines.account_uid = a.uid LEFT JOIN fact_event_lines ON fact_event_lines.account_uid = a.uid AND
fact_event_lines.event = coalesce(fact_events.event, 1) LEFT JOIN fact_contact ON fact_contact.account_uid = a.uid LEFT JOIN fact_ends ON fact_ends.account_uid = a.uid LEFT JOIN fact_event_ends ON fact_event_ends.account_uid = a.uid AND
fact_event_ends.event = coalesce(fact_events.event, 1) LEFT JOIN fact_products ON fact_products.account_uid = a.uid LEFT JOIN of_tickets ON of_tickets.account_uid = a.uid LEFT JOIN of_opportunities_by_event ON of_opportunities_by_event.account_uid = a.uid AND
of_opportunities_by_event.event = coalesce(fact_events.event, 1) LEFT JOIN of_contacts ON of_contacts.account_uid = a.uid LEFT JOIN result r0 ON r0.account_uid = a.uid AND
r0.name = 'health.band' LEFT JOIN result r1 ON r1.account_uid = a.uid AND
r1.name = 'health.reasons' LEFT JOIN result r2 ON r2.account_uid = a.uid AND
r2.name = 'health.score' LEFT JOIN result r3 ON r3.account_uid = a.uid AND
r3.name = 'health.trend' LEFT JOIN result r4 ON r4.account_uid = a.uid AND
r4.name = 'touch.tier' WHERE a.deleted_at IS NULL AND coalesce(a.is_test, 0) = 0 AND
((a.`status` IS NULL) OR (a.`status` <> 'churned'))), formula_1 AS (SELECT b.*,
datediff(CAST('2026-11-20' AS DATE), CAST(f_lapsed_on AS DATE)) AS f_days_lapsed,
CAST(((f_term_days IS NULL) OR (f_term_days > 31L)) AS INTEGER) AS f_has_term,
CAST((a_status IN ('onboarding', 'active', 'notice')) AS INTEGER) AS f_is_customer,
CAST((f_renewals_open > 0L) AS INTEGER) AS f_renewal_open, CAST((CASE WHEN f_renewals_won_180d IS NULL THEN NULL WHEN (f_renewals_won_180d = 0L) THEN FALSE WHEN (f_renewal_won_on <= NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(f_term_start AS DATE), DATE '0001-01-01') + (30L), 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01')) THEN FALSE WHEN TRUE THEN TRUE END) AS INTEGER) AS f_renewal_won FROM base b),
formula_2 AS (SELECT b.*, CAST(((f_is_customer <> 0) AND (f_arr IS NULL)) AS INTEGER) AS f_arr_missing,
(CASE WHEN (f_has_term <> 0) THEN datediff(CAST(f_anchor AS DATE), CAST('2026-11-20' AS DATE)) END) AS f_days_to_anchor,
(CASE WHEN (f_renewals_open = 0L) THEN 'No opportunity yet.' WHEN (f_renewal_open <> 0) THEN 'Its opportunity is open.' WHEN TRUE THEN 'Whether an opportunity is open is unknown.' END) AS f_deal_sentence_en,
(CASE WHEN (f_renewals_open = 0L) THEN '更新商談はまだない。' WHEN (f_renewal_open <> 0) THEN '更新商談あり。' WHEN TRUE THEN '更新商談の有無は不明。' END) AS f_deal_sentence_ja,
CAST(((f_days_lapsed BETWEEN 0L AND 30L) AND (f_renews_on = f_lapsed_on)) AS INTEGER) AS f_lapsed,
CAST(((f_is_customer <> 0) AND ((NOT (f_has_contract <> 0)) OR (f_end_date_missing <> 0) OR (f_renews_on IS NULL))) AS INTEGER) AS f_term_missing FROM formula_1 b),
formula_3 AS (SELECT b.*, (CASE WHEN ((f_notice_given <> 0) OR (f_lapsed <> 0) OR (r_health_band = 'red')) THEN 1L WHEN (r_health_band IN ('green', 'yellow', 'unknown')) THEN 0L END) AS f_endangered,
(CASE WHEN (f_notice_given <> 0) THEN 0L WHEN (f_lapsed <> 0) THEN 0.5D WHEN (r_health_band = 'green') THEN 0.95D WHEN (r_health_band = 'yellow') THEN 0.8D WHEN (r_health_band = 'red') THEN 0.5D WHEN (r_health_band = 'unknown') THEN 0.85D END) AS f_renewal_chance FROM formula_2 b),
resulted AS (SELECT b.*, f_renews_on AS o_date, f_notice_deadline AS o_notice_deadline,
(CASE WHEN (f_arr + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN (f_arr + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor((f_arr + 0.5)) AS BIGINT) END) AS o_arr,
c_arr AS oc_arr, f_seats AS o_seats, (CASE WHEN (f_renewal_arr + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN (f_renewal_arr + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor((f_renewal_arr + 0.5)) AS BIGINT) END) AS o_arr_at_stake,
c_renewal_arr AS oc_arr_at_stake, (CASE WHEN ((CAST(f_renewal_arr AS DOUBLE) * f_renewal_chance) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((CAST(f_renewal_arr AS DOUBLE) * f_renewal_chance) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((CAST(f_renewal_arr AS DOUBLE) * f_renewal_chance) + 0.5)) AS BIGINT) END) AS o_forecast,
c_renewal_arr AS oc_forecast, (CASE WHEN ((CAST(f_renewal_arr AS DOUBLE) * f_endangered) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((CAST(f_renewal_arr AS DOUBLE) * f_endangered) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((CAST(f_renewal_arr AS DOUBLE) * f_endangered) + 0.5)) AS BIGINT) END) AS o_arr_at_risk,
c_renewal_arr AS oc_arr_at_risk, (CASE WHEN ((r_touch_tier = 'tech') AND (f_days_to_anchor BETWEEN 0L AND 60L) AND (NOT (f_notice_given <> 0))) THEN 'renewal_60' WHEN (r_touch_tier IN ('high', 'low', 'tech')) THEN 'none' ELSE NULL END) AS o_mailing,
(CASE WHEN (f_notice_given <> 0) THEN 'notice' WHEN (f_lapsed <> 0) THEN 'lapsed' WHEN (r_health_band = 'red') THEN 'high' WHEN (r_health_band = 'yellow') THEN 'medium' WHEN ((r_health_band = 'green') AND (f_days_to_anchor <= 90L)) THEN 'low' WHEN (r_health_band = 'green') THEN 'none' ELSE NULL END) AS o_risk FROM formula_3 b) SELECT b.*,
coalesce(min(CASE WHEN b.o_forecast IS NOT NULL THEN b.oc_forecast END) OVER (PARTITION BY b.uid),
b.oc_forecast) AS otc_forecast, CASE WHEN min(CASE WHEN b.o_forecast IS NOT NULL THEN b.oc_forecast END) OVER (PARTITION BY b.uid) = max(CASE WHEN b.o_forecast IS NOT NULL THEN b.oc_forecast END) OVER (PARTITION BY b.uid) THEN CAST(sum(b.o_forecast) OVER (PARTITION BY b.uid) AS BIGINT) END AS ot_forecast,
coalesce(min(CASE WHEN b.o_arr_at_risk IS NOT NULL THEN b.oc_arr_at_risk END) OVER (PARTITION BY b.uid),
b.oc_arr_at_risk) AS otc_arr_at_risk, CASE WHEN min(CASE WHEN b.o_arr_at_risk IS NOT NULL THEN b.oc_arr_at_risk END) OVER (PARTITION BY b.uid) = max(CASE WHEN b.o_arr_at_risk IS NOT NULL THEN b.oc_arr_at_risk END) OVER (PARTITION BY b.uid) THEN CAST(sum(b.o_arr_at_risk) OVER (PARTITION BY b.uid) AS BIGINT) END AS ot_arr_at_risk,
CAST(((r_touch_tier IN ('high')) AND ((f_days_to_anchor BETWEEN 128L AND 187L) AND (NOT (f_notice_given <> 0)))) AS INTEGER) AS t_0,
CAST((f_notice_given <> 0) AS INTEGER) AS t_0_done, NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(f_anchor AS DATE), DATE '0001-01-01') + (-180L), 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'),
'+10000-01-01') AS t_0_due, 'normal' AS t_0_priority, CAST(((r_touch_tier IN ('high')) AND ((f_days_to_anchor BETWEEN 98L AND 127L) AND (NOT (f_notice_given <> 0)))) AS INTEGER) AS t_1,
CAST((f_notice_given <> 0) AS INTEGER) AS t_1_done, NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(f_anchor AS DATE), DATE '0001-01-01') + (-120L), 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'),
'+10000-01-01') AS t_1_due, 'normal' AS t_1_priority, CAST(((r_touch_tier IN ('high', 'low')) AND ((f_days_to_anchor BETWEEN 68L AND 97L) AND (NOT (f_notice_given <> 0)))) AS INTEGER) AS t_2,
CAST(((f_notice_given <> 0) OR (f_renewal_won <> 0)) AS INTEGER) AS t_2_done,
NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(f_anchor AS DATE), DATE '0001-01-01') + (-90L), 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'),
'+10000-01-01') AS t_2_due, 'normal' AS t_2_priority, CAST(((r_touch_tier IN ('high', 'low')) AND ((f_days_to_anchor BETWEEN 38L AND 67L) AND (NOT (f_notice_given <> 0)))) AS INTEGER) AS t_3,
CAST(((f_notice_given <> 0) OR (f_renewal_won <> 0)) AS INTEGER) AS t_3_done,
NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(f_anchor AS DATE), DATE '0001-01-01') + (-60L), 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'),
'+10000-01-01') AS t_3_due, (CASE WHEN ((r_health_band IN ('yellow', 'red')) OR (r_health_trend = 'declining')) THEN 'high' ELSE 'normal' END) AS t_3_priority,
(CASE WHEN ((r_health_band IN ('yellow', 'red')) OR (r_health_trend = 'declining')) THEN 'manager' ELSE NULL END) AS t_3_copy,
CAST(((r_touch_tier IN ('high', 'low')) AND ((f_days_to_anchor BETWEEN 0L AND 37L) AND (NOT (f_notice_given <> 0)) AND (f_renewals_committed = 0L) AND (NOT (f_renewal_won <> 0)))) AS INTEGER) AS t_4,
CAST(((f_notice_given <> 0) OR (f_renewals_committed > 0L) OR (f_renewal_won <> 0)) AS INTEGER) AS t_4_done,
NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(f_anchor AS DATE), DATE '0001-01-01') + (-30L), 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'),
'+10000-01-01') AS t_4_due, 'high' AS t_4_priority, 'manager' AS t_4_copy,
CAST(((r_touch_tier IN ('high', 'low')) AND ((f_auto_renew <> 0) AND (datediff(CAST(f_notice_deadline AS DATE), CAST('2026-11-20' AS DATE)) BETWEEN 0L AND 14L) AND (f_has_term <> 0) AND (NOT (f_notice_given <> 0)))) AS INTEGER) AS t_5,
CAST(((f_renewal_won <> 0) OR (f_notice_given <> 0)) AS INTEGER) AS t_5_done,
NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(f_notice_deadline AS DATE), DATE '0001-01-01') + (-14L), 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'),
'+10000-01-01') AS t_5_due, 'high' AS t_5_priority, CAST(((f_is_customer <> 0) AND (f_lapsed <> 0) AND (NOT (f_notice_given <> 0))) AS INTEGER) AS t_6,
CAST((NOT (f_lapsed <> 0)) AS INTEGER) AS t_6_done, NULL AS t_6_due,
'high' AS t_6_priority, CAST(((f_arr_missing <> 0) OR (f_term_missing <> 0)) AS INTEGER) AS t_7,
CAST(((NOT (f_arr_missing <> 0)) AND (NOT (f_term_missing <> 0))) AS INTEGER) AS t_7_done,
NULL AS t_7_due, 'low' AS t_7_priority, CAST((f_notice_given <> 0) AS INTEGER) AS t_8,
CAST((NOT (f_notice_given <> 0)) AS INTEGER) AS t_8_done, NULL AS t_8_due,
'high' AS t_8_priority, 'manager' AS t_8_copy, CAST(((f_is_customer <> 0) AND (f_term_ends_apart > 7L)) AS INTEGER) AS t_9,
CAST((f_term_ends_apart <= 7L) AS INTEGER) AS t_9_done, NULL AS t_9_due,
'low' AS t_9_priority, CAST(((r_touch_tier IN ('tech')) AND ((f_days_to_anchor BETWEEN 0L AND 30L) AND (r_health_band = 'red') AND (NOT (f_notice_given <> 0)))) AS INTEGER) AS t_10,
CAST(((r_health_band IN ('green', 'yellow')) OR (f_notice_given <> 0)) AS INTEGER) AS t_10_done,
NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(f_anchor AS DATE), DATE '0001-01-01') + (-14L), 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'),
'+10000-01-01') AS t_10_due, 'normal' AS t_10_priority FROM resulted b ORDER BY b.uid,
b.event
;

-- risk
WITH RECURSIVE past_0 AS (SELECT account_uid, min(value) AS value FROM (SELECT account_uid, value FROM result WHERE name = 'health.band' AND since <= '2026-11-06T03:00:00Z' UNION ALL SELECT account_uid, value FROM result_history WHERE name = 'health.band' AND since <= '2026-11-06T03:00:00Z' AND until > '2026-11-06T03:00:00Z') p WHERE value <> 'null' GROUP BY account_uid),
past_16 AS (SELECT account_uid, min(value) AS value FROM (SELECT account_uid, value FROM result WHERE name = 'health.lost_points' AND since <= '2026-11-06T03:00:00Z' UNION ALL SELECT account_uid, value FROM result_history WHERE name = 'health.lost_points' AND since <= '2026-11-06T03:00:00Z' AND until > '2026-11-06T03:00:00Z') p WHERE value <> 'null' GROUP BY account_uid),
past_30 AS (SELECT account_uid, min(value) AS value FROM (SELECT account_uid, value FROM result WHERE name = 'health.score' AND since <= '2026-11-06T03:00:00Z' UNION ALL SELECT account_uid, value FROM result_history WHERE name = 'health.score' AND since <= '2026-11-06T03:00:00Z' AND until > '2026-11-06T03:00:00Z') p WHERE value <> 'null' GROUP BY account_uid),
past_33 AS (SELECT account_uid, min(value) AS value FROM (SELECT account_uid, value FROM result WHERE name = 'renewal.seats' AND since <= '2026-10-21T03:00:00Z' UNION ALL SELECT account_uid, value FROM result_history WHERE name = 'renewal.seats' AND since <= '2026-10-21T03:00:00Z' AND until > '2026-10-21T03:00:00Z') p WHERE value <> 'null' GROUP BY account_uid),
base AS (SELECT a.uid AS uid, a.`csm_uid` AS a_csm_uid, a.`first_contract_date` AS a_first_contract_date,
a.`locale` AS a_locale, a.`name` AS a_name, a.`owner_uid` AS a_owner_uid,
a.`status` AS a_status, fact_lines.seats AS f_seats, fact_usage.active_users_28d AS f_active_users_28d,
fact_usage.last_active_on AS f_last_active_on, fact_weeks.usage_recent AS f_usage_recent,
fact_weeks.usage_before AS f_usage_before, fact_weeks.usage_growth AS f_usage_growth,
fact_weeks.weeks_left_out AS f_weeks_left_out, fact_contact.last_contact_on AS f_last_contact_on,
list_leaving_ids_30d.value AS f_leaving_ids_30d, list_leaving_phrases_30d.value AS f_leaving_phrases_30d,
list_reopened_ids_30d.value AS f_reopened_ids_30d, list_urgent_ids_48h.value AS f_urgent_ids_48h,
CAST(CAST((CAST(substr(of_tickets.v_last_ticket_on, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS f_last_ticket_on,
coalesce(of_tickets.n_leaving_tickets_30d, 0) AS f_leaving_tickets_30d,
coalesce(of_tickets.n_reopened_new, 0) AS f_reopened_new, CAST(CAST((CAST(substr(of_tickets.v_reopened_new_since, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS f_reopened_new_since,
coalesce(of_tickets.n_reopened_old, 0) AS f_reopened_old, CAST(CAST((CAST(substr(of_tickets.v_reopened_old_since, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS f_reopened_old_since,
coalesce(of_tickets.n_tickets_21d, 0) AS f_tickets_21d, coalesce(of_tickets.n_urgent_over_48h, 0) AS f_urgent_over_48h,
CAST(CAST((CAST(substr(of_tickets.v_urgent_since, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS f_urgent_since,
CAST(NULL AS BIGINT) AS f_unhappy_14d, CAST(NULL AS STRING) AS f_unhappy_comment,
CAST(NULL AS STRING) AS f_unhappy_kind, CAST(NULL AS DOUBLE) AS f_unhappy_score,
CAST(NULL AS STRING) AS f_unhappy_tickets, of_usage.v_first_used_on AS f_first_used_on,
of_contracts.v_first_term_on AS f_first_term_on, list_seat_lines_30d.value AS f_seat_lines_30d,
list_left_roles_30d.value AS f_left_roles_30d, coalesce(of_contacts.n_champions, 0) AS f_champions,
coalesce(of_contacts.n_champions_left_180d, 0) AS f_champions_left_180d,
coalesce(of_contacts.n_people_left_30d, 0) AS f_people_left_30d,
CAST(CAST((CAST(substr(of_contacts.v_person_left_on, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS f_person_left_on,
coalesce(of_contacts.n_sponsors, 0) AS f_sponsors, coalesce(of_contacts.n_sponsors_left_180d, 0) AS f_sponsors_left_180d,
CAST(NULL AS BIGINT) AS f_unpaid_amount, CAST(NULL AS STRING) AS f_unpaid_ids,
CAST(NULL AS BIGINT) AS f_unpaid_invoices, CAST(NULL AS STRING) AS f_unpaid_since,
'JPY' AS c_unpaid_amount, list_sensitive_names.value AS f_sensitive_names,
coalesce(of_usage_events.n_sensitive_7d, 0) AS f_sensitive_7d,
coalesce(of_usage_events.n_sensitive_before, 0) AS f_sensitive_before,
replace(replace(substr(past_0.value, 2, length(past_0.value) - 2), '\\"', '"'), '\\\\', '\\') AS f_band_before,
replace(replace(substr(past_16.value, 2, length(past_16.value) - 2), '\\"', '"'), '\\\\', '\\') AS f_lost_before,
CAST(past_30.value AS BIGINT) AS f_score_before, CAST(past_33.value AS BIGINT) AS f_seats_before,
CASE WHEN r0.value <> 'null' AND r0.state <> 'stale' THEN replace(replace(substr(r0.value, 2, length(r0.value) - 2), '\\"', '"'), '\\\\', '\\') END AS r_health_band,
CASE WHEN r1.value <> 'null' AND r1.state <> 'stale' THEN replace(replace(substr(r1.value, 2, length(r1.value) - 2), '\\"', '"'), '\\\\', '\\') END AS r_health_lost_points,
CASE WHEN r2.value <> 'null' AND r2.state <> 'stale' THEN replace(replace(substr(r2.value, 2, length(r2.value) - 2), '\\"', '"'), '\\\\', '\\') END AS r_health_reasons,
CASE WHEN r3.value <> 'null' AND r3.state <> 'stale' THEN CAST(r3.value AS BIGINT) END AS r_health_score FROM account a LEFT JOIN fact_lines ON fact_lines.account_uid = a.uid LEFT JOIN fact_usage ON fact_usage.account_uid = a.uid LEFT JOIN fact_weeks ON fact_weeks.account_uid = a.uid LEFT JOIN fact_contact ON fact_contact.account_uid = a.uid LEFT JOIN list_leaving_ids_30d ON list_leaving_ids_30d.account_uid = a.uid LEFT JOIN list_leaving_phrases_30d ON list_leaving_phrases_30d.account_uid = a.uid LEFT JOIN list_reopened_ids_30d ON list_reopened_ids_30d.account_uid = a.uid LEFT JOIN list_urgent_ids_48h ON list_urgent_ids_48h.account_uid = a.uid LEFT JOIN of_tickets ON of_tickets.account_uid = a.uid LEFT JOIN of_usage ON of_usage.account_uid = a.uid LEFT JOIN of_contracts ON of_contracts.account_uid = a.uid LEFT JOIN list_seat_lines_30d ON list_seat_lines_30d.account_uid = a.uid LEFT JOIN list_left_roles_30d ON list_left_roles_30d.account_uid = a.uid LEFT JOIN of_contacts ON of_contacts.account_uid = a.uid LEFT JOIN list_sensitive_names ON list_sensitive_names.account_uid = a.uid LEFT JOIN of_usage_events ON of_usage_events.account_uid = a.uid LEFT JOIN past_0 ON past_0.account_uid = a.uid LEFT JOIN past_16 ON past_16.account_uid = a.uid LEFT JOIN past_30 ON past_30.account_uid = a.uid LEFT JOIN past_33 ON past_33.account_uid = a.uid LEFT JOIN result r0 ON r0.account_uid = a.uid AND
r0.name = 'health.band' LEFT JOIN result r1 ON r1.account_uid = a.uid AND
r1.name = 'health.lost_points' LEFT JOIN result r2 ON r2.account_uid = a.uid AND
r2.name = 'health.reasons' LEFT JOIN result r3 ON r3.account_uid = a.uid AND
r3.name = 'health.score' WHERE a.deleted_at IS NULL AND coalesce(a.is_test, 0) = 0 AND
((a.`status` IS NULL) OR (a.`status` IN ('onboarding', 'active', 'notice')))),
formula_1 AS (SELECT b.*, CAST((((f_band_before = 'green') AND (r_health_band IN ('yellow', 'red'))) OR ((f_band_before = 'yellow') AND (r_health_band = 'red'))) AS INTEGER) AS f_band_down,
(CASE WHEN (f_leaving_tickets_30d = 0L) THEN '-' WHEN TRUE THEN f_leaving_ids_30d END) AS f_leaving_ids,
(CASE WHEN (f_leaving_tickets_30d = 0L) THEN '-' WHEN TRUE THEN f_leaving_phrases_30d END) AS f_leaving_phrases,
r_health_lost_points AS f_lost_now, CAST(((f_first_used_on IS NULL) AND (f_active_users_28d = 0L)) AS INTEGER) AS f_never_used,
90L AS f_onboarding_days, CAST(((f_last_contact_on IS NULL) OR (datediff(CAST('2026-11-20' AS DATE), CAST(f_last_contact_on AS DATE)) > 21L)) AS INTEGER) AS f_out_of_touch,
CAST((((f_champions_left_180d > 0L) AND (f_champions = 0L)) OR ((f_sponsors_left_180d > 0L) AND (f_sponsors = 0L))) AS INTEGER) AS f_place_vacant,
(f_reopened_new + f_reopened_old) AS f_reopened_30d, (f_score_before - r_health_score) AS f_score_lost,
CAST((f_seats < f_seats_before) AS INTEGER) AS f_seats_reduced,
(CAST(f_sensitive_before AS DOUBLE) / NULLIF(12L, 0)) AS f_sensitive_usual,
(CASE WHEN (a_first_contract_date >= '1990-01-01') THEN a_first_contract_date WHEN TRUE THEN f_first_term_on END) AS f_started_on,
(CASE WHEN (f_urgent_over_48h > 0L) THEN f_urgent_ids_48h WHEN TRUE THEN f_reopened_ids_30d END) AS f_trouble_ids,
(CASE WHEN (f_urgent_over_48h > 0L) THEN f_urgent_since WHEN (f_reopened_old > 0L) THEN f_reopened_old_since WHEN TRUE THEN f_reopened_new_since END) AS f_trouble_since,
(CASE WHEN CAST(NULL AS BOOLEAN) THEN '-' WHEN TRUE THEN f_unhappy_tickets END) AS f_unhappy_about FROM base b),
formula_2 AS (SELECT b.*, (CASE WHEN (f_seats_reduced <> 0) THEN f_seat_lines_30d WHEN TRUE THEN '-' END) AS f_changed_lines,
datediff(CAST('2026-11-20' AS DATE), CAST(f_started_on AS DATE)) AS f_days_in FROM formula_1 b),
formula_3 AS (SELECT b.*, CAST((f_days_in BETWEEN 0L AND f_onboarding_days) AS INTEGER) AS f_is_onboarding FROM formula_2 b),
formula_4 AS (SELECT b.*, CAST(((datediff(CAST('2026-11-20' AS DATE), CAST(f_last_active_on AS DATE)) > 21L) OR ((f_never_used <> 0) AND (NOT (f_is_onboarding <> 0)))) AS INTEGER) AS f_unused FROM formula_3 b) SELECT b.*,
CAST((f_usage_growth <= (-0.3D)) AS INTEGER) AS s_0, (0L - f_usage_growth) AS s_0_severity,
CAST(((f_band_down <> 0) OR (f_score_lost >= 15L)) AS INTEGER) AS s_1,
f_score_lost AS s_1_severity, CAST(((f_urgent_over_48h > 0L) OR (f_reopened_30d >= 3L)) AS INTEGER) AS s_2,
(f_urgent_over_48h + f_reopened_30d) AS s_2_severity, CAST((f_people_left_30d > 0L) AS INTEGER) AS s_3,
f_people_left_30d AS s_3_severity, CAST((f_unhappy_14d > 0L) AS INTEGER) AS s_4,
f_unhappy_14d AS s_4_severity, CAST(((f_seats_reduced <> 0) OR (f_leaving_tickets_30d > 0L)) AS INTEGER) AS s_5,
f_leaving_tickets_30d AS s_5_severity, CAST(((f_unused <> 0) AND (f_out_of_touch <> 0) AND (f_tickets_21d = 0L)) AS INTEGER) AS s_6,
CAST((datediff(CAST('2026-11-20' AS DATE), CAST(f_unpaid_since AS DATE)) >= 30L) AS INTEGER) AS s_7,
f_unpaid_invoices AS s_7_severity, CAST(((f_sensitive_7d >= 3L) AND (f_sensitive_7d >= (CAST(3L AS DOUBLE) * f_sensitive_usual))) AS INTEGER) AS s_8,
f_sensitive_7d AS s_8_severity, CAST((f_usage_growth <= (-0.3D)) AS INTEGER) AS t_0,
CAST((f_usage_growth > (-0.2D)) AS INTEGER) AS t_0_done, NULL AS t_0_due,
'high' AS t_0_priority, CAST((((f_band_down <> 0) OR (f_score_lost >= 15L)) AND (r_health_band = 'red')) AS INTEGER) AS t_1,
CAST((r_health_band IN ('yellow', 'green')) AS INTEGER) AS t_1_done,
NULL AS t_1_due, 'high' AS t_1_priority, CAST((f_place_vacant <> 0) AS INTEGER) AS t_2,
CAST(NULL AS INTEGER) AS t_2_done, NULL AS t_2_due, 'high' AS t_2_priority,
CAST((f_unhappy_14d > 0L) AS INTEGER) AS t_3, CAST(NULL AS INTEGER) AS t_3_done,
NULL AS t_3_due, 'high' AS t_3_priority, CAST(((f_seats_reduced <> 0) OR (f_leaving_tickets_30d > 0L)) AS INTEGER) AS t_4,
CAST(NULL AS INTEGER) AS t_4_done, NULL AS t_4_due, 'high' AS t_4_priority,
CAST(((f_unused <> 0) AND (f_out_of_touch <> 0) AND (f_tickets_21d = 0L)) AS INTEGER) AS t_5,
CAST(NULL AS INTEGER) AS t_5_done, NULL AS t_5_due, 'high' AS t_5_priority,
CAST((datediff(CAST('2026-11-20' AS DATE), CAST(f_unpaid_since AS DATE)) >= 30L) AS INTEGER) AS t_6,
CAST((f_unpaid_invoices = 0L) AS INTEGER) AS t_6_done, NULL AS t_6_due,
'normal' AS t_6_priority, CAST(((f_sensitive_7d >= 3L) AND (f_sensitive_7d >= (CAST(3L AS DOUBLE) * f_sensitive_usual))) AS INTEGER) AS t_7,
CAST(NULL AS INTEGER) AS t_7_done, NULL AS t_7_due, 'high' AS t_7_priority FROM formula_4 b ORDER BY b.uid
;

-- upsell
WITH RECURSIVE past_13 AS (SELECT account_uid, CAST(CAST((CAST(substr(since, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS value FROM result WHERE name = 'health.band' AND
value <> 'null' AND state <> 'stale'), base AS (SELECT a.uid AS uid,
a.`csm_uid` AS a_csm_uid, a.`locale` AS a_locale, a.`name` AS a_name,
a.`owner_uid` AS a_owner_uid, a.`status` AS a_status, fact_terms.term_end AS f_term_end,
fact_terms.notice_given AS f_notice_given, fact_lines.seats AS f_seats,
fact_lines.seat_price AS f_seat_price, coalesce(fact_lines.currency, 'JPY') AS c_seat_price,
fact_lines.credits AS f_credits, fact_usage.active_users_28d AS f_active_users_28d,
fact_weeks.usage_recent AS f_usage_recent, fact_weeks.usage_before AS f_usage_before,
fact_weeks.usage_growth AS f_usage_growth, fact_burn.credits_used AS f_credits_used,
fact_peers.products_owned AS f_products_owned, fact_peers.peer_product AS f_peer_product,
fact_peers.peer_share AS f_peer_share, fact_peers.peer_accounts AS f_peer_accounts,
list_add_on_ticket_ids.value AS f_add_on_ticket_ids, coalesce(of_tickets.n_add_on_tickets, 0) AS f_add_on_tickets,
coalesce(of_tickets.n_urgent_open, 0) AS f_urgent_open, coalesce(of_surveys.n_promoters_who_decide, 0) AS f_promoters_who_decide,
list_department_names.value AS f_department_names, CASE WHEN EXISTS (SELECT 1 FROM `usage_metric` e WHERE e.deleted_at IS NULL AND e.account_uid = a.uid) THEN CASE WHEN coalesce(of_usage.u_credits_28d, 0) = 0 THEN 0.0 ELSE of_usage.v_credits_28d / 1000.0 END END AS f_credits_28d,
of_usage.v_credits_seen_on AS f_credits_seen_on, CASE WHEN EXISTS (SELECT 1 FROM `usage_metric` e WHERE e.deleted_at IS NULL AND e.account_uid = a.uid) THEN coalesce(of_usage.v_departments, 0) END AS f_departments,
of_usage.v_peak_4_weeks_before AS f_peak_4_weeks_before, of_usage.v_peak_last_4_weeks AS f_peak_last_4_weeks,
of_usage.v_peak_last_week AS f_peak_last_week, of_usage.v_peak_week_before AS f_peak_week_before,
list_limit_names.value AS f_limit_names, coalesce(of_usage_events.n_limit_hits_30d, 0) AS f_limit_hits_30d,
coalesce(of_usage_events.v_limit_users_30d, 0) AS f_limit_users_30d,
list_add_on_request_ids.value AS f_add_on_request_ids, coalesce(of_feature_requests.n_add_on_requests, 0) AS f_add_on_requests,
substr('"' || past_13.value || '"', 2, length('"' || past_13.value || '"') - 2) AS f_green_since,
CASE WHEN r0.value <> 'null' AND r0.state <> 'stale' THEN replace(replace(substr(r0.value, 2, length(r0.value) - 2), '\\"', '"'), '\\\\', '\\') END AS r_health_band,
CASE WHEN r1.value <> 'null' AND r1.state <> 'stale' THEN replace(replace(substr(r1.value, 2, length(r1.value) - 2), '\\"', '"'), '\\\\', '\\') END AS r_touch_tier FROM account a LEFT JOIN fact_terms ON fact_terms.account_uid = a.uid LEFT JOIN fact_lines ON fact_lines.account_uid = a.uid LEFT JOIN fact_usage ON fact_usage.account_uid = a.uid LEFT JOIN fact_weeks ON fact_weeks.account_uid = a.uid LEFT JOIN fact_burn ON fact_burn.account_uid = a.uid LEFT JOIN fact_peers ON fact_peers.account_uid = a.uid LEFT JOIN list_add_on_ticket_ids ON list_add_on_ticket_ids.account_uid = a.uid LEFT JOIN of_tickets ON of_tickets.account_uid = a.uid LEFT JOIN of_surveys ON of_surveys.account_uid = a.uid LEFT JOIN list_department_names ON list_department_names.account_uid = a.uid LEFT JOIN of_usage ON of_usage.account_uid = a.uid LEFT JOIN list_limit_names ON list_limit_names.account_uid = a.uid LEFT JOIN of_usage_events ON of_usage_events.account_uid = a.uid LEFT JOIN list_add_on_request_ids ON list_add_on_request_ids.account_uid = a.uid LEFT JOIN of_feature_requests ON of_feature_requests.account_uid = a.uid LEFT JOIN past_13 ON past_13.account_uid = a.uid LEFT JOIN result r0 ON r0.account_uid = a.uid AND
r0.name = 'health.band' LEFT JOIN result r1 ON r1.account_uid = a.uid AND
r1.name = 'touch.tier' WHERE a.deleted_at IS NULL AND coalesce(a.is_test, 0) = 0 AND
((a.`status` IS NULL) OR (a.`status` IN ('active', 'free', 'trial')))),
formula_1 AS (SELECT b.*, (CASE WHEN (f_add_on_tickets > 0L) THEN f_add_on_ticket_ids WHEN TRUE THEN f_add_on_request_ids END) AS f_add_on_ids,
CAST(((f_add_on_tickets >= 2L) OR (f_add_on_requests >= 2L) OR ((f_add_on_tickets + f_add_on_requests) >= 2L)) AS INTEGER) AS f_asks,
NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(f_credits_seen_on AS DATE), DATE '0001-01-01') + ((CASE WHEN ((CAST((CAST(28L AS DOUBLE) * (f_credits - f_credits_used)) AS DOUBLE) / NULLIF(f_credits_28d, 0)) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((CAST((CAST(28L AS DOUBLE) * (f_credits - f_credits_used)) AS DOUBLE) / NULLIF(f_credits_28d, 0)) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((CAST((CAST(28L AS DOUBLE) * (f_credits - f_credits_used)) AS DOUBLE) / NULLIF(f_credits_28d, 0)) + 0.5)) AS BIGINT) END)), 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01') AS f_credits_out_on,
(CASE WHEN (f_departments = 0L) THEN '-' WHEN TRUE THEN f_department_names END) AS f_department_list,
CAST(((f_usage_growth >= 0.25D) AND (f_usage_before >= 20L)) AS INTEGER) AS f_grows,
CAST(((r_health_band = 'red') OR (f_urgent_open > 0L) OR (f_notice_given <> 0)) AS INTEGER) AS f_in_trouble,
CAST(((r_health_band = 'green') AND (datediff(CAST('2026-11-20' AS DATE), CAST(f_green_since AS DATE)) >= 90L) AND (f_promoters_who_decide > 0L)) AS INTEGER) AS f_is_promoted,
CAST(((f_limit_hits_30d >= 5L) AND (f_limit_users_30d >= 2L)) AS INTEGER) AS f_limited,
CAST(((f_seats > 0L) AND (f_active_users_28d > f_seats)) AS INTEGER) AS f_more_than_full,
CAST(((f_seats > 0L) AND ((CAST(f_peak_last_4_weeks AS DOUBLE) / NULLIF(f_seats, 0)) >= 0.9D) AND ((CAST(f_peak_4_weeks_before AS DOUBLE) / NULLIF(f_seats, 0)) >= 0.9D)) AS INTEGER) AS f_nearly_full,
CAST(((f_peer_share >= 0.4D) AND (f_peer_accounts >= 5L) AND (f_products_owned >= 1L)) AS INTEGER) AS f_peers_have_more,
(CASE WHEN f_peak_last_4_weeks IS NULL OR (CAST(2L AS DOUBLE) * f_peak_4_weeks_before) IS NULL THEN NULL ELSE LEAST(f_peak_last_4_weeks, (CAST(2L AS DOUBLE) * f_peak_4_weeks_before)) END) AS f_seats_used,
CAST((f_departments >= 2L) AS INTEGER) AS f_spreads FROM base b),
formula_2 AS (SELECT b.*, CAST(((f_credits > 0L) AND (NULLIF(NULLIF(CAST(CAST(date_add(DATE '0001-01-01', CAST(LEAST(GREATEST(datediff(CAST(f_credits_out_on AS DATE), DATE '0001-01-01') + (30L), 0), 3652059) AS INTEGER)) AS DATE) AS STRING), '0001-01-01'), '+10000-01-01') < f_term_end)) AS INTEGER) AS f_credits_end,
CAST(((f_nearly_full <> 0) OR (f_more_than_full <> 0)) AS INTEGER) AS f_wants_seats FROM formula_1 b),
formula_3 AS (SELECT b.*, (CASE WHEN (f_in_trouble <> 0) IS NULL THEN NULL WHEN (f_wants_seats <> 0) IS NULL THEN NULL WHEN ((f_in_trouble <> 0) OR (NOT (f_wants_seats <> 0))) THEN 0L WHEN TRUE THEN (CASE WHEN 0L IS NULL OR (f_seats_used - (CAST(f_seats AS DOUBLE) * 0.9D)) IS NULL THEN NULL ELSE GREATEST(0L, (f_seats_used - (CAST(f_seats AS DOUBLE) * 0.9D))) END) END) AS f_seats_to_sell,
CAST(((f_grows <> 0) OR (f_credits_end <> 0) OR (f_limited <> 0) OR (f_peers_have_more <> 0) OR (f_spreads <> 0) OR (f_is_promoted <> 0) OR (f_asks <> 0)) AS INTEGER) AS f_wants_more FROM formula_2 b) SELECT b.*,
(CASE WHEN ((CAST(f_seats_to_sell AS DOUBLE) * f_seat_price) + 0.5) >= 9.223372036854775e18 THEN 9223372036854775807 WHEN ((CAST(f_seats_to_sell AS DOUBLE) * f_seat_price) + 0.5) <= -9.223372036854775e18 THEN -9223372036854775807 ELSE CAST(floor(((CAST(f_seats_to_sell AS DOUBLE) * f_seat_price) + 0.5)) AS BIGINT) END) AS o_arr_potential,
c_seat_price AS oc_arr_potential, CAST(((f_nearly_full <> 0) AND (NOT (f_in_trouble <> 0))) AS INTEGER) AS s_0,
CAST(((f_more_than_full <> 0) AND (NOT (f_in_trouble <> 0))) AS INTEGER) AS s_1,
CAST(((f_grows <> 0) AND (NOT (f_in_trouble <> 0))) AS INTEGER) AS s_2,
CAST(((f_credits_end <> 0) AND (NOT (f_in_trouble <> 0))) AS INTEGER) AS s_3,
CAST(((f_limited <> 0) AND (NOT (f_in_trouble <> 0))) AS INTEGER) AS s_4,
CAST(((f_peers_have_more <> 0) AND (NOT (f_in_trouble <> 0))) AS INTEGER) AS s_5,
CAST(((f_spreads <> 0) AND (NOT (f_in_trouble <> 0))) AS INTEGER) AS s_6,
CAST(((f_is_promoted <> 0) AND (NOT (f_in_trouble <> 0))) AS INTEGER) AS s_7,
CAST(((f_asks <> 0) AND (NOT (f_in_trouble <> 0))) AS INTEGER) AS s_8,
CAST(((a_status IN ('free', 'trial')) AND (f_peak_last_week >= 3L) AND (f_peak_week_before >= 3L) AND (f_urgent_open = 0L)) AS INTEGER) AS s_9,
CAST(((r_touch_tier IN ('high', 'low')) AND (((f_wants_seats <> 0) OR (f_wants_more <> 0)) AND (NOT (f_in_trouble <> 0)))) AS INTEGER) AS t_0,
CAST((f_in_trouble <> 0) AS INTEGER) AS t_0_done, NULL AS t_0_due,
'low' AS t_0_priority FROM formula_3 b ORDER BY b.uid
;

-- voice
WITH RECURSIVE base AS (SELECT a.uid AS uid, a.`csm_uid` AS a_csm_uid,
a.`locale` AS a_locale, a.`name` AS a_name, a.`owner_uid` AS a_owner_uid,
a.`status` AS a_status, coalesce(of_feature_requests.n_shipped_30d, 0) AS f_shipped_30d,
CAST(CAST((CAST(substr(of_feature_requests.v_shipped_on, 1, 19) AS TIMESTAMP_NTZ) + INTERVAL '540' MINUTE) AS DATE) AS STRING) AS f_shipped_on,
of_feature_requests.v_shipped_topic AS f_shipped_topic, CASE WHEN r0.value <> 'null' AND
r0.state <> 'stale' THEN replace(replace(substr(r0.value, 2, length(r0.value) - 2), '\\"', '"'), '\\\\', '\\') END AS r_touch_tier FROM account a LEFT JOIN of_feature_requests ON of_feature_requests.account_uid = a.uid LEFT JOIN result r0 ON r0.account_uid = a.uid AND
r0.name = 'touch.tier' WHERE a.deleted_at IS NULL AND coalesce(a.is_test, 0) = 0 AND
((a.`status` IS NULL) OR (a.`status` <> 'prospect'))) SELECT b.*,
CAST(((r_touch_tier IN ('high', 'low')) AND (f_shipped_30d > 0L)) AS INTEGER) AS t_0,
CAST(NULL AS INTEGER) AS t_0_done, NULL AS t_0_due, 'low' AS t_0_priority FROM base b ORDER BY b.uid
;

