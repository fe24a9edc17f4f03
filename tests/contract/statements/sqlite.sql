-- What the store sends to sqlite. Written by `make statements` from `webhookd/adapters/store`.

-- access/api_keys.py

-- _GOOD
SELECT count(*) AS n FROM api_keys WHERE api_keys.partner_id = ? AND api_keys.revoked_ms IS NULL AND
    (api_keys.expires_ms IS NULL OR api_keys.expires_ms > ?);

-- _ADD
INSERT INTO api_keys (id, partner_id, name, scopes, secret_hash, created_ms, expires_ms, revoked_ms,
    last_used_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- _ONE
SELECT api_keys.id, api_keys.partner_id, api_keys.name, api_keys.scopes, api_keys.secret_hash,
    api_keys.created_ms, api_keys.expires_ms, api_keys.revoked_ms, api_keys.last_used_ms FROM api_keys WHERE
    api_keys.id = ?;

-- _PAGE
SELECT api_keys.id, api_keys.partner_id, api_keys.name, api_keys.scopes, api_keys.secret_hash,
    api_keys.created_ms, api_keys.expires_ms, api_keys.revoked_ms, api_keys.last_used_ms FROM api_keys WHERE
    api_keys.partner_id IS ? ORDER BY api_keys.id DESC LIMIT ? OFFSET ?;

-- _PAGE
SELECT api_keys.id, api_keys.partner_id, api_keys.name, api_keys.scopes, api_keys.secret_hash,
    api_keys.created_ms, api_keys.expires_ms, api_keys.revoked_ms, api_keys.last_used_ms FROM api_keys WHERE
    api_keys.partner_id IS ? AND api_keys.id < ? ORDER BY api_keys.id DESC LIMIT ? OFFSET ?;

-- _OF_PARTNERS
SELECT api_keys.id, api_keys.partner_id, api_keys.name, api_keys.scopes, api_keys.secret_hash,
    api_keys.created_ms, api_keys.expires_ms, api_keys.revoked_ms, api_keys.last_used_ms FROM api_keys WHERE
    api_keys.partner_id IS NOT NULL ORDER BY api_keys.id DESC LIMIT ? OFFSET ?;

-- _OF_PARTNERS
SELECT api_keys.id, api_keys.partner_id, api_keys.name, api_keys.scopes, api_keys.secret_hash,
    api_keys.created_ms, api_keys.expires_ms, api_keys.revoked_ms, api_keys.last_used_ms FROM api_keys WHERE
    api_keys.partner_id IS NOT NULL AND api_keys.partner_id = ? AND api_keys.id < ? ORDER BY api_keys.id DESC
    LIMIT ? OFFSET ?;

-- _REVOKE
UPDATE api_keys SET revoked_ms=? WHERE api_keys.id = ? AND api_keys.revoked_ms IS NULL;

-- access/audit.py

-- _ADD
INSERT INTO audit (id, at_ms, actor, action, target, partner_id, detail, key_id, address) VALUES (?, ?, ?, ?,
    ?, ?, ?, ?, ?);

-- _PAGE
SELECT audit.id, audit.at_ms, audit.actor, audit.action, audit.target, audit.partner_id, audit.detail,
    audit.key_id, audit.address FROM audit ORDER BY audit.id DESC LIMIT ? OFFSET ?;

-- _PAGE
SELECT audit.id, audit.at_ms, audit.actor, audit.action, audit.target, audit.partner_id, audit.detail,
    audit.key_id, audit.address FROM audit WHERE audit.actor = ? AND audit.key_id = ? AND audit.action = ? AND
    audit.target = ? AND audit.partner_id = ? AND audit.id >= ? AND audit.id < ? AND audit.id < ? ORDER BY
    audit.id DESC LIMIT ? OFFSET ?;

-- access/idempotency.py

-- _FORGET
DELETE FROM idempotency WHERE idempotency.partner_id = ? AND idempotency."key" = ? AND idempotency.created_ms
    < ?;

-- _CLAIM
INSERT INTO idempotency (partner_id, "key", fingerprint, outcome, created_ms) VALUES (?, ?, ?, ?, ?) ON
    CONFLICT DO NOTHING RETURNING "key";

-- _KEPT
SELECT idempotency.partner_id, idempotency."key", idempotency.fingerprint, idempotency.outcome,
    idempotency.sealed_by, idempotency.created_ms FROM idempotency WHERE idempotency.partner_id = ? AND
    idempotency."key" = ?;

-- _KEEP
UPDATE idempotency SET outcome=?, sealed_by=? WHERE idempotency.partner_id = ? AND idempotency."key" = ?;

-- _REMEMBERED
SELECT idempotency.partner_id, idempotency."key", idempotency.fingerprint, idempotency.outcome,
    idempotency.sealed_by, idempotency.created_ms FROM idempotency WHERE idempotency.partner_id = ? AND
    idempotency."key" = ? AND idempotency.created_ms >= ?;

-- access/key_use.py

-- _COUNT
SELECT count(*) AS keys, min(anon_1.created_ms) AS oldest_ms FROM (SELECT idempotency.created_ms AS created_ms
    FROM idempotency WHERE idempotency.partner_id = ? AND idempotency.created_ms >= ? LIMIT ? OFFSET ?) AS
    anon_1;

-- access/last_used.py

-- _BEHIND
SELECT used.id, used.used_ms FROM (SELECT json_extract(used_rows.value, '$[0]') AS id,
    json_extract(used_rows.value, '$[1]') AS used_ms FROM json_each(?) AS used_rows) AS used JOIN api_keys ON
    api_keys.id = used.id WHERE api_keys.last_used_ms IS NULL OR api_keys.last_used_ms <= used.used_ms - ?;

-- _KEEP
UPDATE api_keys SET last_used_ms=used.used_ms FROM (SELECT json_extract(used_rows.value, '$[0]') AS id,
    json_extract(used_rows.value, '$[1]') AS used_ms FROM json_each(?) AS used_rows) AS used WHERE api_keys.id
    = used.id;

-- access/page_sessions.py

-- _ADD
INSERT INTO page_sessions (id, kind, key_id, key_mark, partner_id, created_ms, expires_ms) VALUES (?, ?, ?, ?,
    ?, ?, ?);

-- _ONE
SELECT page_sessions.id, page_sessions.kind, page_sessions.key_id, page_sessions.key_mark,
    page_sessions.partner_id, page_sessions.created_ms, page_sessions.expires_ms FROM page_sessions WHERE
    page_sessions.id = ? AND page_sessions.kind = ?;

-- _REMOVE
DELETE FROM page_sessions WHERE page_sessions.id = ?;

-- _REMOVE_ENDED
DELETE FROM page_sessions WHERE page_sessions.id IN (SELECT page_sessions.id FROM page_sessions WHERE
    page_sessions.expires_ms <= ? ORDER BY page_sessions.expires_ms LIMIT ? OFFSET ?);

-- access/partner_use.py

-- _USE
SELECT (SELECT sum(depths.queued + depths.scheduled) AS sum_1 FROM depths WHERE depths.partner_id = ?) AS
    queued, (SELECT file_usage.stored_files FROM file_usage WHERE file_usage.partner_id = ?) AS stored_files,
    (SELECT file_usage.stored_bytes FROM file_usage WHERE file_usage.partner_id = ?) AS stored_bytes, (SELECT
    count(*) AS count_1 FROM endpoints WHERE endpoints.partner_id = ? AND endpoints.deleted_ms IS NULL) AS
    endpoints, (SELECT count(*) AS count_1 FROM api_keys WHERE api_keys.partner_id = ? AND api_keys.revoked_ms
    IS NULL AND (api_keys.expires_ms IS NULL OR api_keys.expires_ms > ?)) AS keys, (SELECT count(*) AS count_1
    FROM replays WHERE replays.partner_id = ? AND replays.state IN ('running', 'paused')) AS replays;

-- access/partners.py

-- _ADD
INSERT INTO partners (id, name, weight, rate_per_second, burst, max_queued, suspended_ms, created_ms,
    task_types) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- _AMEND
UPDATE partners SET name=?, weight=?, rate_per_second=?, burst=?, max_queued=?, suspended_ms=?, task_types=?
    WHERE partners.id = ?;

-- _ONE
SELECT partners.id, partners.name, partners.weight, partners.rate_per_second, partners.burst,
    partners.max_queued, partners.suspended_ms, partners.created_ms, partners.task_types FROM partners WHERE
    partners.id = ?;

-- _LOCK
SELECT partners.id FROM partners WHERE partners.id = ?;

-- _BY_NAME
SELECT partners.id, partners.name, partners.weight, partners.rate_per_second, partners.burst,
    partners.max_queued, partners.suspended_ms, partners.created_ms, partners.task_types FROM partners WHERE
    partners.name = ?;

-- _NAMES
SELECT partners.id, partners.name FROM partners WHERE partners.id IN (SELECT anon_1.value FROM json_each(?) AS
    anon_1);

-- _PAGE
SELECT partners.id, partners.name, partners.weight, partners.rate_per_second, partners.burst,
    partners.max_queued, partners.suspended_ms, partners.created_ms, partners.task_types FROM partners ORDER
    BY partners.id DESC LIMIT ? OFFSET ?;

-- _PAGE
SELECT partners.id, partners.name, partners.weight, partners.rate_per_second, partners.burst,
    partners.max_queued, partners.suspended_ms, partners.created_ms, partners.task_types FROM partners WHERE
    partners.id < ? ORDER BY partners.id DESC LIMIT ? OFFSET ?;

-- access/sealed.py

-- _NEXT_KEY
SELECT min(idempotency.sealed_by) AS key_id FROM idempotency;

-- _NEXT_KEY
SELECT min(idempotency.sealed_by) AS key_id FROM idempotency WHERE idempotency.sealed_by > ?;

-- LATEST_ANSWER
SELECT max(idempotency.created_ms) AS ms FROM idempotency WHERE idempotency.sealed_by = ?;

-- KINDS[0].count
SELECT count(*) AS n FROM secrets WHERE substr(secrets.sealed, ?, ?) != ?;

-- KINDS[0].uses
SELECT substr(secrets.sealed, ?, ?) AS key_id, count(*) AS n FROM secrets WHERE substr(secrets.sealed, ?, ?)
    != ? GROUP BY substr(secrets.sealed, ?, ?);

-- KINDS[0].walk
SELECT secrets.id, secrets.partner_id, secrets.endpoint_id, secrets.scheme, secrets.sealed,
    secrets.created_ms, secrets.expires_ms FROM secrets WHERE substr(secrets.sealed, ?, ?) = ? ORDER BY
    secrets.id LIMIT ? OFFSET ?;

-- KINDS[0].walk
SELECT secrets.id, secrets.partner_id, secrets.endpoint_id, secrets.scheme, secrets.sealed,
    secrets.created_ms, secrets.expires_ms FROM secrets WHERE substr(secrets.sealed, ?, ?) = ? AND
    (secrets.id) > (?) ORDER BY secrets.id LIMIT ? OFFSET ?;

-- KINDS[0].write
UPDATE secrets SET sealed=? WHERE secrets.id = ? AND secrets.sealed = ?;

-- KINDS[1].count
SELECT count(*) AS n FROM endpoints WHERE endpoints.headers_sealed IS NOT NULL AND
    substr(endpoints.headers_sealed, ?, ?) != ?;

-- KINDS[1].uses
SELECT substr(endpoints.headers_sealed, ?, ?) AS key_id, count(*) AS n FROM endpoints WHERE
    endpoints.headers_sealed IS NOT NULL AND substr(endpoints.headers_sealed, ?, ?) != ? GROUP BY
    substr(endpoints.headers_sealed, ?, ?);

-- KINDS[1].walk
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE
    endpoints.headers_sealed IS NOT NULL AND substr(endpoints.headers_sealed, ?, ?) = ? ORDER BY endpoints.id
    LIMIT ? OFFSET ?;

-- KINDS[1].walk
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE
    endpoints.headers_sealed IS NOT NULL AND substr(endpoints.headers_sealed, ?, ?) = ? AND (endpoints.id) >
    (?) ORDER BY endpoints.id LIMIT ? OFFSET ?;

-- KINDS[1].write
UPDATE endpoints SET headers_sealed=? WHERE endpoints.id = ? AND endpoints.headers_sealed = ?;

-- KINDS[2].count
SELECT count(*) AS n FROM idempotency WHERE idempotency.sealed_by IS NOT NULL AND idempotency.created_ms >= ?
    AND idempotency.sealed_by != ?;

-- KINDS[2].uses
SELECT idempotency.sealed_by AS key_id, count(*) AS n FROM idempotency WHERE idempotency.sealed_by IS NOT NULL
    AND idempotency.created_ms >= ? AND idempotency.sealed_by != ? GROUP BY idempotency.sealed_by;

-- KINDS[2].walk
SELECT idempotency.partner_id, idempotency."key", idempotency.fingerprint, idempotency.outcome,
    idempotency.sealed_by, idempotency.created_ms FROM idempotency WHERE idempotency.sealed_by IS NOT NULL AND
    idempotency.created_ms >= ? AND idempotency.sealed_by = ? ORDER BY idempotency.created_ms,
    idempotency.partner_id, idempotency."key" LIMIT ? OFFSET ?;

-- KINDS[2].walk
SELECT idempotency.partner_id, idempotency."key", idempotency.fingerprint, idempotency.outcome,
    idempotency.sealed_by, idempotency.created_ms FROM idempotency WHERE idempotency.sealed_by IS NOT NULL AND
    idempotency.created_ms >= ? AND idempotency.sealed_by = ? AND (idempotency.created_ms,
    idempotency.partner_id, idempotency."key") > (?, ?, ?) ORDER BY idempotency.created_ms,
    idempotency.partner_id, idempotency."key" LIMIT ? OFFSET ?;

-- KINDS[2].write
UPDATE idempotency SET outcome=?, sealed_by=? WHERE idempotency.partner_id = ? AND idempotency."key" = ? AND
    idempotency.outcome = ?;

-- clock.py

-- _CLOCK
SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS float8);

-- counters.py

-- _ADD
INSERT INTO depths (queue, partner_id, shard, scheduled, queued, running, finished) SELECT changes.queue,
    changes.partner_id, changes.shard, changes.scheduled, changes.queued, changes.running, changes.finished
    FROM (SELECT json_extract(changes_rows.value, '$[0]') AS queue, json_extract(changes_rows.value, '$[1]')
    AS partner_id, json_extract(changes_rows.value, '$[2]') AS shard, json_extract(changes_rows.value, '$[3]')
    AS scheduled, json_extract(changes_rows.value, '$[4]') AS queued, json_extract(changes_rows.value, '$[5]')
    AS running, json_extract(changes_rows.value, '$[6]') AS finished FROM json_each(?) AS changes_rows) AS
    changes WHERE true ON CONFLICT (queue, partner_id, shard) DO UPDATE SET scheduled = (depths.scheduled +
    excluded.scheduled), queued = (depths.queued + excluded.queued), running = (depths.running +
    excluded.running), finished = (depths.finished + excluded.finished);

-- _DEPTHS
SELECT queues.name, queues.paused_ms, (SELECT min(tasks.due_ms) AS min_1 FROM tasks WHERE tasks.state =
    'queued' AND tasks.queue = queues.name) AS oldest, anon_1.queue, anon_1.scheduled, anon_1.queued,
    anon_1.running, anon_1.finished FROM queues LEFT OUTER JOIN (SELECT depths.queue AS queue,
    sum(depths.scheduled) AS scheduled, sum(depths.queued) AS queued, sum(depths.running) AS running,
    sum(depths.finished) AS finished FROM depths GROUP BY depths.queue) AS anon_1 ON anon_1.queue =
    queues.name ORDER BY queues.name;

-- _PARTNERS_WAITING
SELECT depths.partner_id, sum(depths.queued + depths.scheduled) AS waiting FROM depths GROUP BY
    depths.partner_id;

-- _SET_PAUSED
UPDATE queues SET paused_ms=? WHERE queues.name = ?;

-- _ENDED_SHARDS
SELECT depths.queue, depths.partner_id, depths.shard, depths.scheduled, depths.queued, depths.running,
    depths.finished FROM depths WHERE depths.shard != ? AND (depths.shard NOT IN (SELECT anon_1.value FROM
    json_each(?) AS anon_1));

-- _FORGET
DELETE FROM depths WHERE (depths.queue, depths.partner_id, depths.shard) IN (SELECT keys.queue,
    keys.partner_id, keys.shard FROM (SELECT json_extract(keys_rows.value, '$[0]') AS queue,
    json_extract(keys_rows.value, '$[1]') AS partner_id, json_extract(keys_rows.value, '$[2]') AS shard FROM
    json_each(?) AS keys_rows) AS keys);

-- deliveries/attempt_rows.py

-- LOG_ATTEMPTS
INSERT INTO attempts (delivery_id, number, at_ms, duration_us, dns_us, connect_us, tls_us, first_byte_us,
    status, error, headers, excerpt, resent) SELECT rows.delivery_id, rows.number, rows.at_ms,
    rows.duration_us, rows.dns_us, rows.connect_us, rows.tls_us, rows.first_byte_us, rows.status, rows.error,
    rows.headers, rows.excerpt, rows.resent FROM (SELECT json_extract(rows_rows.value, '$[0]') AS delivery_id,
    json_extract(rows_rows.value, '$[1]') AS number, json_extract(rows_rows.value, '$[2]') AS at_ms,
    json_extract(rows_rows.value, '$[3]') AS duration_us, json_extract(rows_rows.value, '$[4]') AS dns_us,
    json_extract(rows_rows.value, '$[5]') AS connect_us, json_extract(rows_rows.value, '$[6]') AS tls_us,
    json_extract(rows_rows.value, '$[7]') AS first_byte_us, json_extract(rows_rows.value, '$[8]') AS status,
    json_extract(rows_rows.value, '$[9]') AS error, json_extract(rows_rows.value, '$[10]') AS headers,
    json_extract(rows_rows.value, '$[11]') AS excerpt, json_extract(rows_rows.value, '$[12]') AS resent FROM
    json_each(?) AS rows_rows) AS rows WHERE true ON CONFLICT DO NOTHING;

-- deliveries/changes.py

-- _POSITIONS
SELECT feeds.partner_id, feeds.last_seq FROM feeds;

-- _POSITIONS
SELECT feeds.partner_id, feeds.last_seq FROM feeds WHERE feeds.partner_id IN (SELECT anon_1.value FROM
    json_each(?) AS anon_1);

-- _ANNOUNCED
SELECT messages.task_id, messages.seq FROM messages WHERE messages.partner_id = ? AND messages.seq > ? ORDER
    BY messages.seq LIMIT ? OFFSET ?;

-- deliveries/dead_digests.py

-- _OF_LANES
SELECT dead_digests.lane_id, dead_digests.next_ms, dead_digests.died, dead_digests.delivery_id FROM
    dead_digests WHERE dead_digests.lane_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1);

-- _WRITE
INSERT INTO dead_digests (lane_id, next_ms, died, delivery_id) SELECT digests.lane_id, digests.next_ms,
    digests.died, digests.delivery_id FROM (SELECT json_extract(digests_rows.value, '$[0]') AS lane_id,
    json_extract(digests_rows.value, '$[1]') AS next_ms, json_extract(digests_rows.value, '$[2]') AS died,
    json_extract(digests_rows.value, '$[3]') AS delivery_id FROM json_each(?) AS digests_rows) AS digests
    WHERE true ON CONFLICT (lane_id) DO UPDATE SET next_ms = excluded.next_ms, died = excluded.died,
    delivery_id = excluded.delivery_id;

-- _DELIVERIES
SELECT deliveries.id, deliveries.message_id, deliveries.partner_id, deliveries.task_id, deliveries.task_type,
    deliveries.endpoint_id, deliveries.lane_id, deliveries.url, deliveries.event, deliveries.state,
    deliveries.once, deliveries.attempts, deliveries.attempts_before, deliveries.max_attempts,
    deliveries.due_ms, deliveries.session_id, deliveries.token, deliveries.last_status, deliveries.last_error,
    deliveries.dead_reason, deliveries.discarded_ms, deliveries.created_ms, deliveries.ended_ms,
    deliveries.replay_id, deliveries.replayed_attempts, coalesce(deliveries.url, endpoints.url, ?) AS
    target_url, CASE WHEN (lanes.hold_ms > deliveries.due_ms) THEN lanes.hold_ms ELSE deliveries.due_ms END AS
    next_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id LEFT OUTER JOIN
    lanes ON lanes.id = deliveries.lane_id WHERE deliveries.id IN (SELECT anon_1.value FROM json_each(?) AS
    anon_1);

-- _DUE
SELECT dead_digests.lane_id AS id FROM dead_digests WHERE dead_digests.next_ms <= ? ORDER BY
    dead_digests.next_ms LIMIT ? OFFSET ?;

-- _FORGET
DELETE FROM dead_digests WHERE dead_digests.lane_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1);

-- deliveries/dead_letter_moves.py

-- _DISCARD_TASK
UPDATE tasks SET dead_ms=? WHERE tasks.id = ? AND tasks.dead_ms IS NOT NULL RETURNING id;

-- _DISCARD_TASK
UPDATE tasks SET dead_ms=? WHERE tasks.id = ? AND tasks.dead_ms IS NOT NULL AND tasks.partner_id = ? RETURNING
    id;

-- _DISCARD_DELIVERY
UPDATE deliveries SET discarded_ms=? WHERE deliveries.id = ? AND deliveries.state = 'dead' AND
    deliveries.discarded_ms IS NULL RETURNING id;

-- _DISCARD_DELIVERY
UPDATE deliveries SET discarded_ms=? WHERE deliveries.id = ? AND deliveries.state = 'dead' AND
    deliveries.discarded_ms IS NULL AND deliveries.partner_id = ? RETURNING id;

-- _DISCARD_TASKS
UPDATE tasks SET dead_ms=? WHERE tasks.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) AND
    tasks.dead_ms IS NOT NULL RETURNING id;

-- _DISCARD_DELIVERIES
UPDATE deliveries SET discarded_ms=? WHERE deliveries.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1)
    AND deliveries.state = 'dead' AND deliveries.discarded_ms IS NULL RETURNING id;

-- _TASK
SELECT tasks.id FROM tasks WHERE tasks.id = ?;

-- _TASK
SELECT tasks.id FROM tasks WHERE tasks.id = ? AND tasks.partner_id = ?;

-- _DELIVERY
SELECT deliveries.id FROM deliveries WHERE deliveries.id = ?;

-- _DELIVERY
SELECT deliveries.id FROM deliveries WHERE deliveries.id = ? AND deliveries.partner_id = ?;

-- deliveries/dead_letters.py

-- _DELIVERIES.newest
SELECT deliveries.id, deliveries.partner_id, deliveries.ended_ms AS at_ms, deliveries.dead_reason,
    deliveries.task_id, deliveries.task_type AS type, deliveries.endpoint_id, coalesce(deliveries.url,
    endpoints.url) AS url, deliveries.event, deliveries.last_error FROM deliveries LEFT OUTER JOIN endpoints
    ON endpoints.id = deliveries.endpoint_id WHERE deliveries.state = 'dead' AND deliveries.discarded_ms IS
    NULL ORDER BY deliveries.ended_ms DESC, deliveries.id DESC LIMIT ? OFFSET ?;

-- _DELIVERIES.newest
SELECT deliveries.id, deliveries.partner_id, deliveries.ended_ms AS at_ms, deliveries.dead_reason,
    deliveries.task_id, deliveries.task_type AS type, deliveries.endpoint_id, coalesce(deliveries.url,
    endpoints.url) AS url, deliveries.event, deliveries.last_error FROM deliveries LEFT OUTER JOIN endpoints
    ON endpoints.id = deliveries.endpoint_id WHERE deliveries.state = 'dead' AND deliveries.discarded_ms IS
    NULL AND endpoints.deleted_ms IS NULL AND deliveries.endpoint_id = ? AND deliveries.endpoint_id IS NULL
    AND deliveries.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) AND deliveries.partner_id = ? AND
    deliveries.dead_reason = ? AND deliveries.task_type = ? AND deliveries.event = ? AND deliveries.last_error
    = ? AND deliveries.last_status BETWEEN ? AND ? AND deliveries.last_error = ? AND
    coalesce(deliveries.last_error, ?) BETWEEN ? AND ? AND (lower(coalesce(deliveries.url, endpoints.url))
    LIKE ? ESCAPE '\' OR lower(deliveries.last_error) LIKE ? ESCAPE '\' OR lower(deliveries.task_type) LIKE ?
    ESCAPE '\') AND deliveries.ended_ms >= ? AND deliveries.ended_ms < ? AND deliveries.ended_ms >= ? AND
    (deliveries.ended_ms > ? OR deliveries.id > ?) AND deliveries.ended_ms <= ? AND (deliveries.ended_ms < ?
    OR deliveries.id < ?) ORDER BY deliveries.ended_ms DESC, deliveries.id DESC LIMIT ? OFFSET ?;

-- _DELIVERIES.oldest
SELECT deliveries.id, deliveries.partner_id, deliveries.ended_ms AS at_ms, deliveries.dead_reason,
    deliveries.task_id, deliveries.task_type AS type, deliveries.endpoint_id, coalesce(deliveries.url,
    endpoints.url) AS url, deliveries.event, deliveries.last_error FROM deliveries LEFT OUTER JOIN endpoints
    ON endpoints.id = deliveries.endpoint_id WHERE deliveries.state = 'dead' AND deliveries.discarded_ms IS
    NULL ORDER BY deliveries.ended_ms, deliveries.id LIMIT ? OFFSET ?;

-- _DELIVERIES.oldest
SELECT deliveries.id, deliveries.partner_id, deliveries.ended_ms AS at_ms, deliveries.dead_reason,
    deliveries.task_id, deliveries.task_type AS type, deliveries.endpoint_id, coalesce(deliveries.url,
    endpoints.url) AS url, deliveries.event, deliveries.last_error FROM deliveries LEFT OUTER JOIN endpoints
    ON endpoints.id = deliveries.endpoint_id WHERE deliveries.state = 'dead' AND deliveries.discarded_ms IS
    NULL AND endpoints.deleted_ms IS NULL AND deliveries.endpoint_id = ? AND deliveries.endpoint_id IS NULL
    AND deliveries.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) AND deliveries.partner_id = ? AND
    deliveries.dead_reason = ? AND deliveries.task_type = ? AND deliveries.event = ? AND deliveries.last_error
    = ? AND deliveries.last_status BETWEEN ? AND ? AND deliveries.last_error = ? AND
    coalesce(deliveries.last_error, ?) BETWEEN ? AND ? AND (lower(coalesce(deliveries.url, endpoints.url))
    LIKE ? ESCAPE '\' OR lower(deliveries.last_error) LIKE ? ESCAPE '\' OR lower(deliveries.task_type) LIKE ?
    ESCAPE '\') AND deliveries.ended_ms >= ? AND deliveries.ended_ms < ? AND deliveries.ended_ms >= ? AND
    (deliveries.ended_ms > ? OR deliveries.id > ?) AND deliveries.ended_ms <= ? AND (deliveries.ended_ms < ?
    OR deliveries.id < ?) ORDER BY deliveries.ended_ms, deliveries.id LIMIT ? OFFSET ?;

-- _DELIVERIES.one
SELECT deliveries.id, deliveries.partner_id, deliveries.ended_ms AS at_ms, deliveries.dead_reason,
    deliveries.task_id, deliveries.task_type AS type, deliveries.endpoint_id, coalesce(deliveries.url,
    endpoints.url) AS url, deliveries.event, deliveries.last_error FROM deliveries LEFT OUTER JOIN endpoints
    ON endpoints.id = deliveries.endpoint_id WHERE deliveries.state = 'dead' AND deliveries.discarded_ms IS
    NULL AND deliveries.id = ?;

-- _DELIVERIES.one
SELECT deliveries.id, deliveries.partner_id, deliveries.ended_ms AS at_ms, deliveries.dead_reason,
    deliveries.task_id, deliveries.task_type AS type, deliveries.endpoint_id, coalesce(deliveries.url,
    endpoints.url) AS url, deliveries.event, deliveries.last_error FROM deliveries LEFT OUTER JOIN endpoints
    ON endpoints.id = deliveries.endpoint_id WHERE deliveries.state = 'dead' AND deliveries.discarded_ms IS
    NULL AND endpoints.deleted_ms IS NULL AND deliveries.endpoint_id = ? AND deliveries.endpoint_id IS NULL
    AND deliveries.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) AND deliveries.partner_id = ? AND
    deliveries.dead_reason = ? AND deliveries.task_type = ? AND deliveries.event = ? AND deliveries.last_error
    = ? AND deliveries.last_status BETWEEN ? AND ? AND deliveries.last_error = ? AND
    coalesce(deliveries.last_error, ?) BETWEEN ? AND ? AND (lower(coalesce(deliveries.url, endpoints.url))
    LIKE ? ESCAPE '\' OR lower(deliveries.last_error) LIKE ? ESCAPE '\' OR lower(deliveries.task_type) LIKE ?
    ESCAPE '\') AND deliveries.ended_ms >= ? AND deliveries.ended_ms < ? AND deliveries.ended_ms >= ? AND
    (deliveries.ended_ms > ? OR deliveries.id > ?) AND deliveries.ended_ms <= ? AND (deliveries.ended_ms < ?
    OR deliveries.id < ?) AND deliveries.id = ?;

-- _DELIVERIES.count
SELECT count(*) AS count_1 FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id
    WHERE deliveries.state = 'dead' AND deliveries.discarded_ms IS NULL;

-- _DELIVERIES.count
SELECT count(*) AS count_1 FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id
    WHERE deliveries.state = 'dead' AND deliveries.discarded_ms IS NULL AND endpoints.deleted_ms IS NULL AND
    deliveries.endpoint_id = ? AND deliveries.endpoint_id IS NULL AND deliveries.id IN (SELECT anon_1.value
    FROM json_each(?) AS anon_1) AND deliveries.partner_id = ? AND deliveries.dead_reason = ? AND
    deliveries.task_type = ? AND deliveries.event = ? AND deliveries.last_error = ? AND deliveries.last_status
    BETWEEN ? AND ? AND deliveries.last_error = ? AND coalesce(deliveries.last_error, ?) BETWEEN ? AND ? AND
    (lower(coalesce(deliveries.url, endpoints.url)) LIKE ? ESCAPE '\' OR lower(deliveries.last_error) LIKE ?
    ESCAPE '\' OR lower(deliveries.task_type) LIKE ? ESCAPE '\') AND deliveries.ended_ms >= ? AND
    deliveries.ended_ms < ? AND deliveries.ended_ms >= ? AND (deliveries.ended_ms > ? OR deliveries.id > ?)
    AND deliveries.ended_ms <= ? AND (deliveries.ended_ms < ? OR deliveries.id < ?);

-- _TASKS.newest
SELECT tasks.id, tasks.partner_id, tasks.dead_ms AS at_ms, tasks.dead_reason, tasks.id AS task_id, tasks.type,
    task_bodies.error_code, task_bodies.error_message FROM tasks LEFT OUTER JOIN task_bodies ON
    task_bodies.task_id = tasks.id WHERE tasks.dead_ms IS NOT NULL ORDER BY tasks.dead_ms DESC, tasks.id DESC
    LIMIT ? OFFSET ?;

-- _TASKS.newest
SELECT tasks.id, tasks.partner_id, tasks.dead_ms AS at_ms, tasks.dead_reason, tasks.id AS task_id, tasks.type,
    task_bodies.error_code, task_bodies.error_message FROM tasks LEFT OUTER JOIN task_bodies ON
    task_bodies.task_id = tasks.id WHERE tasks.dead_ms IS NOT NULL AND tasks.id IN (SELECT anon_1.value FROM
    json_each(?) AS anon_1) AND tasks.partner_id = ? AND tasks.dead_reason = ? AND tasks.type = ? AND
    task_bodies.error_code = ? AND (lower(task_bodies.error_message) LIKE ? ESCAPE '\' OR
    lower(task_bodies.error_code) LIKE ? ESCAPE '\' OR lower(tasks.type) LIKE ? ESCAPE '\') AND tasks.dead_ms
    >= ? AND tasks.dead_ms < ? AND tasks.dead_ms >= ? AND (tasks.dead_ms > ? OR tasks.id > ?) AND
    tasks.dead_ms <= ? AND (tasks.dead_ms < ? OR tasks.id < ?) ORDER BY tasks.dead_ms DESC, tasks.id DESC
    LIMIT ? OFFSET ?;

-- _TASKS.oldest
SELECT tasks.id, tasks.partner_id, tasks.dead_ms AS at_ms, tasks.dead_reason, tasks.id AS task_id, tasks.type,
    task_bodies.error_code, task_bodies.error_message FROM tasks LEFT OUTER JOIN task_bodies ON
    task_bodies.task_id = tasks.id WHERE tasks.dead_ms IS NOT NULL ORDER BY tasks.dead_ms, tasks.id LIMIT ?
    OFFSET ?;

-- _TASKS.oldest
SELECT tasks.id, tasks.partner_id, tasks.dead_ms AS at_ms, tasks.dead_reason, tasks.id AS task_id, tasks.type,
    task_bodies.error_code, task_bodies.error_message FROM tasks LEFT OUTER JOIN task_bodies ON
    task_bodies.task_id = tasks.id WHERE tasks.dead_ms IS NOT NULL AND tasks.id IN (SELECT anon_1.value FROM
    json_each(?) AS anon_1) AND tasks.partner_id = ? AND tasks.dead_reason = ? AND tasks.type = ? AND
    task_bodies.error_code = ? AND (lower(task_bodies.error_message) LIKE ? ESCAPE '\' OR
    lower(task_bodies.error_code) LIKE ? ESCAPE '\' OR lower(tasks.type) LIKE ? ESCAPE '\') AND tasks.dead_ms
    >= ? AND tasks.dead_ms < ? AND tasks.dead_ms >= ? AND (tasks.dead_ms > ? OR tasks.id > ?) AND
    tasks.dead_ms <= ? AND (tasks.dead_ms < ? OR tasks.id < ?) ORDER BY tasks.dead_ms, tasks.id LIMIT ? OFFSET
    ?;

-- _TASKS.one
SELECT tasks.id, tasks.partner_id, tasks.dead_ms AS at_ms, tasks.dead_reason, tasks.id AS task_id, tasks.type,
    task_bodies.error_code, task_bodies.error_message FROM tasks LEFT OUTER JOIN task_bodies ON
    task_bodies.task_id = tasks.id WHERE tasks.dead_ms IS NOT NULL AND tasks.id = ?;

-- _TASKS.one
SELECT tasks.id, tasks.partner_id, tasks.dead_ms AS at_ms, tasks.dead_reason, tasks.id AS task_id, tasks.type,
    task_bodies.error_code, task_bodies.error_message FROM tasks LEFT OUTER JOIN task_bodies ON
    task_bodies.task_id = tasks.id WHERE tasks.dead_ms IS NOT NULL AND tasks.id IN (SELECT anon_1.value FROM
    json_each(?) AS anon_1) AND tasks.partner_id = ? AND tasks.dead_reason = ? AND tasks.type = ? AND
    task_bodies.error_code = ? AND (lower(task_bodies.error_message) LIKE ? ESCAPE '\' OR
    lower(task_bodies.error_code) LIKE ? ESCAPE '\' OR lower(tasks.type) LIKE ? ESCAPE '\') AND tasks.dead_ms
    >= ? AND tasks.dead_ms < ? AND tasks.dead_ms >= ? AND (tasks.dead_ms > ? OR tasks.id > ?) AND
    tasks.dead_ms <= ? AND (tasks.dead_ms < ? OR tasks.id < ?) AND tasks.id = ?;

-- _TASKS.count
SELECT count(*) AS count_1 FROM tasks LEFT OUTER JOIN task_bodies ON task_bodies.task_id = tasks.id WHERE
    tasks.dead_ms IS NOT NULL;

-- _TASKS.count
SELECT count(*) AS count_1 FROM tasks LEFT OUTER JOIN task_bodies ON task_bodies.task_id = tasks.id WHERE
    tasks.dead_ms IS NOT NULL AND tasks.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) AND
    tasks.partner_id = ? AND tasks.dead_reason = ? AND tasks.type = ? AND task_bodies.error_code = ? AND
    (lower(task_bodies.error_message) LIKE ? ESCAPE '\' OR lower(task_bodies.error_code) LIKE ? ESCAPE '\' OR
    lower(tasks.type) LIKE ? ESCAPE '\') AND tasks.dead_ms >= ? AND tasks.dead_ms < ? AND tasks.dead_ms >= ?
    AND (tasks.dead_ms > ? OR tasks.id > ?) AND tasks.dead_ms <= ? AND (tasks.dead_ms < ? OR tasks.id < ?);

-- deliveries/deliveries.py

-- _ONE
SELECT deliveries.id, deliveries.message_id, deliveries.partner_id, deliveries.task_id, deliveries.task_type,
    deliveries.endpoint_id, deliveries.lane_id, deliveries.url, deliveries.event, deliveries.state,
    deliveries.once, deliveries.attempts, deliveries.attempts_before, deliveries.max_attempts,
    deliveries.due_ms, deliveries.session_id, deliveries.token, deliveries.last_status, deliveries.last_error,
    deliveries.dead_reason, deliveries.discarded_ms, deliveries.created_ms, deliveries.ended_ms,
    deliveries.replay_id, deliveries.replayed_attempts, coalesce(deliveries.url, endpoints.url, ?) AS
    target_url, CASE WHEN (lanes.hold_ms > deliveries.due_ms) THEN lanes.hold_ms ELSE deliveries.due_ms END AS
    next_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id LEFT OUTER JOIN
    lanes ON lanes.id = deliveries.lane_id WHERE deliveries.id = ?;

-- _ONE
SELECT deliveries.id, deliveries.message_id, deliveries.partner_id, deliveries.task_id, deliveries.task_type,
    deliveries.endpoint_id, deliveries.lane_id, deliveries.url, deliveries.event, deliveries.state,
    deliveries.once, deliveries.attempts, deliveries.attempts_before, deliveries.max_attempts,
    deliveries.due_ms, deliveries.session_id, deliveries.token, deliveries.last_status, deliveries.last_error,
    deliveries.dead_reason, deliveries.discarded_ms, deliveries.created_ms, deliveries.ended_ms,
    deliveries.replay_id, deliveries.replayed_attempts, coalesce(deliveries.url, endpoints.url, ?) AS
    target_url, CASE WHEN (lanes.hold_ms > deliveries.due_ms) THEN lanes.hold_ms ELSE deliveries.due_ms END AS
    next_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id LEFT OUTER JOIN
    lanes ON lanes.id = deliveries.lane_id WHERE deliveries.id = ? AND deliveries.partner_id = ?;

-- _SIGNED
SELECT messages.body, endpoints.header_names FROM deliveries LEFT OUTER JOIN messages ON messages.id =
    deliveries.message_id LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id WHERE
    deliveries.id = ?;

-- _NEWEST
SELECT attempts.delivery_id, attempts.number, attempts.at_ms, attempts.duration_us, attempts.dns_us,
    attempts.connect_us, attempts.tls_us, attempts.first_byte_us, attempts.status, attempts.error,
    attempts.resent, attempts.headers, attempts.excerpt FROM attempts WHERE attempts.delivery_id = ? ORDER BY
    attempts.number DESC LIMIT ? OFFSET ?;

-- _COUNT
SELECT count(*) AS made FROM attempts WHERE attempts.delivery_id = ?;

-- _LOCK
SELECT deliveries.id, deliveries.message_id, deliveries.partner_id, deliveries.task_id, deliveries.task_type,
    deliveries.endpoint_id, deliveries.lane_id, deliveries.url, deliveries.event, deliveries.state,
    deliveries.once, deliveries.attempts, deliveries.attempts_before, deliveries.max_attempts,
    deliveries.due_ms, deliveries.session_id, deliveries.token, deliveries.last_status, deliveries.last_error,
    deliveries.dead_reason, deliveries.discarded_ms, deliveries.created_ms, deliveries.ended_ms,
    deliveries.replay_id, deliveries.replayed_attempts, coalesce(deliveries.url, endpoints.url, ?) AS
    target_url, CASE WHEN (lanes.hold_ms > deliveries.due_ms) THEN lanes.hold_ms ELSE deliveries.due_ms END AS
    next_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id LEFT OUTER JOIN
    lanes ON lanes.id = deliveries.lane_id WHERE deliveries.id = ?;

-- _LOCK
SELECT deliveries.id, deliveries.message_id, deliveries.partner_id, deliveries.task_id, deliveries.task_type,
    deliveries.endpoint_id, deliveries.lane_id, deliveries.url, deliveries.event, deliveries.state,
    deliveries.once, deliveries.attempts, deliveries.attempts_before, deliveries.max_attempts,
    deliveries.due_ms, deliveries.session_id, deliveries.token, deliveries.last_status, deliveries.last_error,
    deliveries.dead_reason, deliveries.discarded_ms, deliveries.created_ms, deliveries.ended_ms,
    deliveries.replay_id, deliveries.replayed_attempts, coalesce(deliveries.url, endpoints.url, ?) AS
    target_url, CASE WHEN (lanes.hold_ms > deliveries.due_ms) THEN lanes.hold_ms ELSE deliveries.due_ms END AS
    next_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id LEFT OUTER JOIN
    lanes ON lanes.id = deliveries.lane_id WHERE deliveries.id = ? AND deliveries.partner_id = ?;

-- _CANCEL
UPDATE deliveries SET state=?, due_ms=CASE WHEN (deliveries.session_id IS NULL) THEN NULL ELSE
    deliveries.due_ms END, ended_ms=? WHERE deliveries.id = ?;

-- _STANDING
SELECT endpoints.deleted_ms, endpoints.disabled_reason FROM deliveries LEFT OUTER JOIN endpoints ON
    endpoints.id = deliveries.endpoint_id WHERE deliveries.id = ?;

-- _STANDING
SELECT endpoints.deleted_ms, endpoints.disabled_reason FROM deliveries LEFT OUTER JOIN endpoints ON
    endpoints.id = deliveries.endpoint_id WHERE deliveries.id = ? AND deliveries.partner_id = ?;

-- deliveries/delivery_listings.py

-- _PAGE
SELECT deliveries.id, deliveries.message_id, deliveries.partner_id, deliveries.task_id, deliveries.task_type,
    deliveries.endpoint_id, deliveries.lane_id, deliveries.url, deliveries.event, deliveries.state,
    deliveries.once, deliveries.attempts, deliveries.attempts_before, deliveries.max_attempts,
    deliveries.due_ms, deliveries.session_id, deliveries.token, deliveries.last_status, deliveries.last_error,
    deliveries.dead_reason, deliveries.discarded_ms, deliveries.created_ms, deliveries.ended_ms,
    deliveries.replay_id, deliveries.replayed_attempts, coalesce(deliveries.url, endpoints.url, ?) AS
    target_url, CASE WHEN (lanes.hold_ms > deliveries.due_ms) THEN lanes.hold_ms ELSE deliveries.due_ms END AS
    next_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id LEFT OUTER JOIN
    lanes ON lanes.id = deliveries.lane_id ORDER BY deliveries.id DESC LIMIT ? OFFSET ?;

-- _PAGE
SELECT deliveries.id, deliveries.message_id, deliveries.partner_id, deliveries.task_id, deliveries.task_type,
    deliveries.endpoint_id, deliveries.lane_id, deliveries.url, deliveries.event, deliveries.state,
    deliveries.once, deliveries.attempts, deliveries.attempts_before, deliveries.max_attempts,
    deliveries.due_ms, deliveries.session_id, deliveries.token, deliveries.last_status, deliveries.last_error,
    deliveries.dead_reason, deliveries.discarded_ms, deliveries.created_ms, deliveries.ended_ms,
    deliveries.replay_id, deliveries.replayed_attempts, coalesce(deliveries.url, endpoints.url, ?) AS
    target_url, CASE WHEN (lanes.hold_ms > deliveries.due_ms) THEN lanes.hold_ms ELSE deliveries.due_ms END AS
    next_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id LEFT OUTER JOIN
    lanes ON lanes.id = deliveries.lane_id WHERE deliveries.id < ? AND deliveries.state = ? AND
    deliveries.endpoint_id = ? AND deliveries.task_id = ? AND deliveries.id >= ? AND deliveries.id < ? AND
    deliveries.task_type = ? AND deliveries.event = ? AND deliveries.last_error = ? AND deliveries.last_status
    BETWEEN ? AND ? AND deliveries.last_error = ? AND deliveries.last_error BETWEEN ? AND ? AND
    deliveries.partner_id = ? AND deliveries.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) ORDER BY
    deliveries.id DESC LIMIT ? OFFSET ?;

-- _IDS
SELECT deliveries.id FROM deliveries ORDER BY deliveries.id DESC LIMIT ? OFFSET ?;

-- _IDS
SELECT deliveries.id FROM deliveries WHERE deliveries.id < ? AND deliveries.state = ? AND
    deliveries.endpoint_id = ? AND deliveries.task_id = ? AND deliveries.id >= ? AND deliveries.id < ? AND
    deliveries.task_type = ? AND deliveries.event = ? AND deliveries.last_error = ? AND deliveries.last_status
    BETWEEN ? AND ? AND deliveries.last_error = ? AND deliveries.last_error BETWEEN ? AND ? AND
    deliveries.partner_id = ? ORDER BY deliveries.id DESC LIMIT ? OFFSET ?;

-- _OF_EACH_PARTNER
SELECT deliveries.id, deliveries.message_id, deliveries.partner_id, deliveries.task_id, deliveries.task_type,
    deliveries.endpoint_id, deliveries.lane_id, deliveries.url, deliveries.event, deliveries.state,
    deliveries.once, deliveries.attempts, deliveries.attempts_before, deliveries.max_attempts,
    deliveries.due_ms, deliveries.session_id, deliveries.token, deliveries.last_status, deliveries.last_error,
    deliveries.dead_reason, deliveries.discarded_ms, deliveries.created_ms, deliveries.ended_ms,
    deliveries.replay_id, deliveries.replayed_attempts, coalesce(deliveries.url, endpoints.url, ?) AS
    target_url, CASE WHEN (lanes.hold_ms > deliveries.due_ms) THEN lanes.hold_ms ELSE deliveries.due_ms END AS
    next_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id LEFT OUTER JOIN
    lanes ON lanes.id = deliveries.lane_id WHERE deliveries.id IN (SELECT deliveries.id FROM (SELECT
    partners.id AS id FROM partners) AS whose JOIN deliveries ON deliveries.id IN (SELECT inner_deliveries.id
    FROM deliveries AS inner_deliveries WHERE inner_deliveries.partner_id = whose.id AND
    inner_deliveries.state = ? ORDER BY inner_deliveries.id DESC LIMIT ? OFFSET ?) ORDER BY deliveries.id)
    ORDER BY deliveries.id DESC LIMIT ? OFFSET ?;

-- _OF_EACH_PARTNER
SELECT deliveries.id, deliveries.message_id, deliveries.partner_id, deliveries.task_id, deliveries.task_type,
    deliveries.endpoint_id, deliveries.lane_id, deliveries.url, deliveries.event, deliveries.state,
    deliveries.once, deliveries.attempts, deliveries.attempts_before, deliveries.max_attempts,
    deliveries.due_ms, deliveries.session_id, deliveries.token, deliveries.last_status, deliveries.last_error,
    deliveries.dead_reason, deliveries.discarded_ms, deliveries.created_ms, deliveries.ended_ms,
    deliveries.replay_id, deliveries.replayed_attempts, coalesce(deliveries.url, endpoints.url, ?) AS
    target_url, CASE WHEN (lanes.hold_ms > deliveries.due_ms) THEN lanes.hold_ms ELSE deliveries.due_ms END AS
    next_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id LEFT OUTER JOIN
    lanes ON lanes.id = deliveries.lane_id WHERE deliveries.id IN (SELECT deliveries.id FROM (SELECT
    partners.id AS id FROM partners) AS whose JOIN deliveries ON deliveries.id IN (SELECT inner_deliveries.id
    FROM deliveries AS inner_deliveries WHERE inner_deliveries.partner_id = whose.id AND
    inner_deliveries.state = ? AND inner_deliveries.id < ? AND inner_deliveries.id >= ? AND
    inner_deliveries.id < ? AND inner_deliveries.task_type = ? AND inner_deliveries.event = ? ORDER BY
    inner_deliveries.id DESC LIMIT ? OFFSET ?) ORDER BY deliveries.id) ORDER BY deliveries.id DESC LIMIT ?
    OFFSET ?;

-- deliveries/feeds.py

-- _TAKE_FEED
INSERT INTO feeds (partner_id, last_seq) SELECT takers.partner_id, takers.last_seq FROM (SELECT
    json_extract(takers_rows.value, '$[0]') AS partner_id, json_extract(takers_rows.value, '$[1]') AS last_seq
    FROM json_each(?) AS takers_rows) AS takers WHERE true ON CONFLICT (partner_id) DO UPDATE SET last_seq =
    (feeds.last_seq + excluded.last_seq);

-- _LOCK_FEED
INSERT INTO feeds (partner_id, last_seq) SELECT takers.partner_id, takers.last_seq FROM (SELECT
    json_extract(takers_rows.value, '$[0]') AS partner_id, json_extract(takers_rows.value, '$[1]') AS last_seq
    FROM json_each(?) AS takers_rows) AS takers WHERE true ON CONFLICT (partner_id) DO UPDATE SET last_seq =
    feeds.last_seq;

-- deliveries/letter_groups.py

-- _OWNER
SELECT endpoints.partner_id FROM endpoints WHERE endpoints.id = ?;

-- _DELIVERIES
SELECT CAST(NULL AS TEXT) AS partner, CAST(NULL AS TEXT) AS endpoint, CAST(NULL AS TEXT) AS error, CAST(NULL
    AS TEXT) AS type, CAST(NULL AS TEXT) AS reason, CAST(NULL AS BIGINT) AS hour, CAST(NULL AS TEXT) AS kind,
    count(*) AS letters, min(deliveries.ended_ms) AS first_ms, max(deliveries.ended_ms) AS last_ms FROM
    deliveries WHERE deliveries.state = 'dead' AND deliveries.discarded_ms IS NULL ORDER BY count(*) DESC
    LIMIT ? OFFSET ?;

-- _DELIVERIES
SELECT deliveries.partner_id AS partner, deliveries.endpoint_id AS endpoint, deliveries.last_error AS error,
    deliveries.task_type AS type, deliveries.dead_reason AS reason, deliveries.ended_ms / ? AS hour, CAST(? AS
    TEXT) AS kind, count(*) AS letters, min(deliveries.ended_ms) AS first_ms, max(deliveries.ended_ms) AS
    last_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id WHERE
    deliveries.state = 'dead' AND deliveries.discarded_ms IS NULL AND endpoints.deleted_ms IS NULL AND
    deliveries.endpoint_id = ? AND deliveries.endpoint_id IS NULL AND deliveries.id IN (SELECT anon_1.value
    FROM json_each(?) AS anon_1) AND deliveries.partner_id = ? AND deliveries.dead_reason = ? AND
    deliveries.task_type = ? AND deliveries.event = ? AND deliveries.last_error = ? AND deliveries.last_status
    BETWEEN ? AND ? AND deliveries.last_error = ? AND coalesce(deliveries.last_error, ?) BETWEEN ? AND ? AND
    (lower(coalesce(deliveries.url, endpoints.url)) LIKE ? ESCAPE '\' OR lower(deliveries.last_error) LIKE ?
    ESCAPE '\' OR lower(deliveries.task_type) LIKE ? ESCAPE '\') AND deliveries.ended_ms >= ? AND
    deliveries.ended_ms < ? AND deliveries.ended_ms >= ? AND (deliveries.ended_ms > ? OR deliveries.id > ?)
    AND deliveries.ended_ms <= ? AND (deliveries.ended_ms < ? OR deliveries.id < ?) GROUP BY
    deliveries.partner_id, deliveries.endpoint_id, deliveries.last_error, deliveries.task_type,
    deliveries.dead_reason, deliveries.ended_ms / ?, CAST(? AS TEXT) ORDER BY count(*) DESC LIMIT ? OFFSET ?;

-- _TASKS
SELECT CAST(NULL AS TEXT) AS partner, CAST(NULL AS TEXT) AS endpoint, CAST(NULL AS TEXT) AS error, CAST(NULL
    AS TEXT) AS type, CAST(NULL AS TEXT) AS reason, CAST(NULL AS BIGINT) AS hour, CAST(NULL AS TEXT) AS kind,
    count(*) AS letters, min(tasks.dead_ms) AS first_ms, max(tasks.dead_ms) AS last_ms FROM tasks LEFT OUTER
    JOIN task_bodies ON task_bodies.task_id = tasks.id WHERE tasks.dead_ms IS NOT NULL ORDER BY count(*) DESC
    LIMIT ? OFFSET ?;

-- _TASKS
SELECT tasks.partner_id AS partner, CAST(NULL AS TEXT) AS endpoint, task_bodies.error_code AS error,
    tasks.type AS type, tasks.dead_reason AS reason, tasks.dead_ms / ? AS hour, CAST(? AS TEXT) AS kind,
    count(*) AS letters, min(tasks.dead_ms) AS first_ms, max(tasks.dead_ms) AS last_ms FROM tasks LEFT OUTER
    JOIN task_bodies ON task_bodies.task_id = tasks.id WHERE tasks.dead_ms IS NOT NULL AND tasks.id IN (SELECT
    anon_1.value FROM json_each(?) AS anon_1) AND tasks.partner_id = ? AND tasks.dead_reason = ? AND
    tasks.type = ? AND task_bodies.error_code = ? AND (lower(task_bodies.error_message) LIKE ? ESCAPE '\' OR
    lower(task_bodies.error_code) LIKE ? ESCAPE '\' OR lower(tasks.type) LIKE ? ESCAPE '\') AND tasks.dead_ms
    >= ? AND tasks.dead_ms < ? AND tasks.dead_ms >= ? AND (tasks.dead_ms > ? OR tasks.id > ?) AND
    tasks.dead_ms <= ? AND (tasks.dead_ms < ? OR tasks.id < ?) GROUP BY tasks.partner_id,
    task_bodies.error_code, tasks.type, tasks.dead_reason, tasks.dead_ms / ?, CAST(? AS TEXT) ORDER BY
    count(*) DESC LIMIT ? OFFSET ?;

-- deliveries/lost_deliveries.py

-- OF_SESSION.held
SELECT deliveries.id, deliveries.lane_id FROM deliveries WHERE deliveries.session_id = ? ORDER BY
    deliveries.lane_id, deliveries.id;

-- OF_SESSION.counts
SELECT deliveries.lane_id, count(*) AS n FROM deliveries WHERE deliveries.session_id = ? GROUP BY
    deliveries.lane_id;

-- OF_SESSION.sent_once
UPDATE deliveries SET state=?, due_ms=?, session_id=?, dead_reason=?, discarded_ms=?, ended_ms=? WHERE
    deliveries.session_id = ? AND deliveries.state = ? AND deliveries.once IS 1;

-- OF_SESSION.of_deleted
UPDATE deliveries SET state=?, due_ms=?, session_id=?, dead_reason=?, ended_ms=? WHERE deliveries.session_id =
    ? AND deliveries.state = ? AND deliveries.lane_id IN (SELECT endpoints.id FROM endpoints WHERE
    endpoints.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) AND endpoints.deleted_ms IS NOT NULL);

-- OF_SESSION.of_disabled
UPDATE deliveries SET state=?, due_ms=?, session_id=? WHERE deliveries.session_id = ? AND deliveries.state = ?
    AND deliveries.lane_id IN (SELECT endpoints.id FROM endpoints WHERE endpoints.id IN (SELECT anon_1.value
    FROM json_each(?) AS anon_1) AND endpoints.state = ?);

-- OF_SESSION.due
UPDATE deliveries SET due_ms=?, session_id=? WHERE deliveries.session_id = ? AND deliveries.state = ?;

-- OF_SESSION.ended
UPDATE deliveries SET session_id=? WHERE deliveries.session_id = ?;

-- UNHEARD_OF.held
SELECT deliveries.id, deliveries.lane_id FROM deliveries WHERE deliveries.session_id IS NOT NULL AND
    deliveries.due_ms < ? ORDER BY deliveries.lane_id, deliveries.id;

-- UNHEARD_OF.counts
SELECT deliveries.lane_id, count(*) AS n FROM deliveries WHERE deliveries.session_id IS NOT NULL AND
    deliveries.due_ms < ? GROUP BY deliveries.lane_id;

-- UNHEARD_OF.sent_once
UPDATE deliveries SET state=?, due_ms=?, session_id=?, dead_reason=?, discarded_ms=?, ended_ms=? WHERE
    deliveries.session_id IS NOT NULL AND deliveries.due_ms < ? AND deliveries.state = ? AND deliveries.once
    IS 1;

-- UNHEARD_OF.of_deleted
UPDATE deliveries SET state=?, due_ms=?, session_id=?, dead_reason=?, ended_ms=? WHERE deliveries.session_id
    IS NOT NULL AND deliveries.due_ms < ? AND deliveries.state = ? AND deliveries.lane_id IN (SELECT
    endpoints.id FROM endpoints WHERE endpoints.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) AND
    endpoints.deleted_ms IS NOT NULL);

-- UNHEARD_OF.of_disabled
UPDATE deliveries SET state=?, due_ms=?, session_id=? WHERE deliveries.session_id IS NOT NULL AND
    deliveries.due_ms < ? AND deliveries.state = ? AND deliveries.lane_id IN (SELECT endpoints.id FROM
    endpoints WHERE endpoints.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) AND endpoints.state = ?);

-- UNHEARD_OF.due
UPDATE deliveries SET due_ms=?, session_id=? WHERE deliveries.session_id IS NOT NULL AND deliveries.due_ms < ?
    AND deliveries.state = ?;

-- UNHEARD_OF.ended
UPDATE deliveries SET session_id=? WHERE deliveries.session_id IS NOT NULL AND deliveries.due_ms < ?;

-- _LOCK_LANES
SELECT lanes.id FROM lanes WHERE lanes.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) ORDER BY
    lanes.id;

-- _FEWER
UPDATE lanes SET in_flight=CASE WHEN (lanes.in_flight > fewer.fewer) THEN lanes.in_flight - fewer.fewer ELSE ?
    END FROM (SELECT json_extract(fewer_rows.value, '$[0]') AS lane_id, json_extract(fewer_rows.value, '$[1]')
    AS fewer FROM json_each(?) AS fewer_rows) AS fewer WHERE lanes.id = fewer.lane_id;

-- deliveries/messages.py

-- _LAST
SELECT feeds.last_seq FROM feeds WHERE feeds.partner_id = ?;

-- _NEXT
SELECT messages.id, messages.partner_id, messages.task_id, messages.event, messages.body, messages.seq,
    messages.trace_id, messages.trace_parent_id, messages.trace_flags, messages.trace_state,
    messages.created_ms FROM messages WHERE messages.partner_id = ? AND messages.seq > ? ORDER BY messages.seq
    LIMIT ? OFFSET ?;

-- _AT
SELECT messages.id FROM messages WHERE messages.partner_id = ? AND messages.seq = ?;

-- _ONE
SELECT messages.id, messages.partner_id, messages.task_id, messages.event, messages.body, messages.seq,
    messages.trace_id, messages.trace_parent_id, messages.trace_flags, messages.trace_state,
    messages.created_ms FROM messages WHERE messages.id = ?;

-- _ONE
SELECT messages.id, messages.partner_id, messages.task_id, messages.event, messages.body, messages.seq,
    messages.trace_id, messages.trace_parent_id, messages.trace_flags, messages.trace_state,
    messages.created_ms FROM messages WHERE messages.id = ? AND messages.partner_id = ?;

-- deliveries/publish.py

-- _INSERT_MESSAGES
INSERT INTO messages (id, partner_id, task_id, event, body, seq, trace_id, trace_parent_id, trace_flags,
    trace_state, created_ms) SELECT rows.id, rows.partner_id, rows.task_id, rows.event, rows.body, (SELECT
    feeds.last_seq FROM feeds WHERE feeds.partner_id = rows.partner_id) - rows.behind AS seq, rows.trace_id,
    rows.trace_parent_id, rows.trace_flags, rows.trace_state, rows.created_ms FROM (SELECT
    json_extract(rows_rows.value, '$[0]') AS id, json_extract(rows_rows.value, '$[1]') AS partner_id,
    json_extract(rows_rows.value, '$[2]') AS task_id, json_extract(rows_rows.value, '$[3]') AS event,
    json_extract(rows_rows.value, '$[4]') AS body, json_extract(rows_rows.value, '$[5]') AS behind,
    json_extract(rows_rows.value, '$[6]') AS trace_id, json_extract(rows_rows.value, '$[7]') AS
    trace_parent_id, json_extract(rows_rows.value, '$[8]') AS trace_flags, json_extract(rows_rows.value,
    '$[9]') AS trace_state, json_extract(rows_rows.value, '$[10]') AS created_ms FROM json_each(?) AS
    rows_rows) AS rows;

-- _INSERT_DELIVERIES
INSERT INTO deliveries (id, message_id, partner_id, task_id, task_type, endpoint_id, lane_id, url, event,
    state, once, attempts, attempts_before, max_attempts, due_ms, token, dead_reason, created_ms, ended_ms)
    SELECT rows.id, rows.message_id, rows.partner_id, rows.task_id, rows.task_type, rows.endpoint_id,
    rows.lane_id, rows.url, rows.event, rows.state, rows.once, rows.attempts, rows.attempts_before,
    rows.max_attempts, rows.due_ms, rows.token, rows.dead_reason, rows.created_ms, rows.ended_ms FROM (SELECT
    json_extract(rows_rows.value, '$[0]') AS id, json_extract(rows_rows.value, '$[1]') AS message_id,
    json_extract(rows_rows.value, '$[2]') AS partner_id, json_extract(rows_rows.value, '$[3]') AS task_id,
    json_extract(rows_rows.value, '$[4]') AS task_type, json_extract(rows_rows.value, '$[5]') AS endpoint_id,
    json_extract(rows_rows.value, '$[6]') AS lane_id, json_extract(rows_rows.value, '$[7]') AS url,
    json_extract(rows_rows.value, '$[8]') AS event, json_extract(rows_rows.value, '$[9]') AS state,
    json_extract(rows_rows.value, '$[10]') AS once, json_extract(rows_rows.value, '$[11]') AS attempts,
    json_extract(rows_rows.value, '$[12]') AS attempts_before, json_extract(rows_rows.value, '$[13]') AS
    max_attempts, json_extract(rows_rows.value, '$[14]') AS due_ms, json_extract(rows_rows.value, '$[15]') AS
    token, json_extract(rows_rows.value, '$[16]') AS dead_reason, json_extract(rows_rows.value, '$[17]') AS
    created_ms, json_extract(rows_rows.value, '$[18]') AS ended_ms FROM json_each(?) AS rows_rows) AS rows
    WHERE true;

-- _UPSERT_LANES
INSERT INTO lanes (id, partner_id, endpoint_id, fifo, ready_ms, hold_ms, served_ms, in_flight, cap, slow,
    heard, pace) SELECT lanes_in.id, lanes_in.partner_id, lanes_in.endpoint_id, lanes_in.fifo,
    lanes_in.ready_ms, ? AS anon_1, ? AS anon_2, ? AS anon_3, ? AS anon_4, ? AS anon_5, ? AS anon_6, ? AS
    anon_7 FROM (SELECT json_extract(lanes_in_rows.value, '$[0]') AS id, json_extract(lanes_in_rows.value,
    '$[1]') AS partner_id, json_extract(lanes_in_rows.value, '$[2]') AS endpoint_id,
    json_extract(lanes_in_rows.value, '$[3]') AS fifo, json_extract(lanes_in_rows.value, '$[4]') AS ready_ms
    FROM json_each(?) AS lanes_in_rows) AS lanes_in WHERE true ON CONFLICT (id) DO UPDATE SET fifo =
    excluded.fifo, ready_ms = CASE WHEN (lanes.ready_ms < excluded.ready_ms) THEN lanes.ready_ms ELSE
    excluded.ready_ms END;

-- deliveries/replay_orders.py

-- _INSERT
INSERT INTO replays (id, partner_id, filter, dry_run, rate_per_second, state, matched, replayed, position,
    created_ms, finished_ms, deed, reason, started_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- _LOCK_PARTNER
SELECT partners.id FROM partners WHERE partners.id = ?;

-- _COUNT_UNDER_WAY
SELECT count(*) AS count_1 FROM replays WHERE replays.partner_id = ? AND replays.state IN ('running',
    'paused');

-- _LOCK
SELECT replays.id, replays.partner_id, replays.filter, replays.dry_run, replays.rate_per_second,
    replays.state, replays.matched, replays.replayed, replays.position, replays.created_ms,
    replays.finished_ms, replays.deed, replays.reason, replays.started_by FROM replays WHERE replays.id = ?
    AND coalesce(replays.deed, ?) = ?;

-- _LOCK
SELECT replays.id, replays.partner_id, replays.filter, replays.dry_run, replays.rate_per_second,
    replays.state, replays.matched, replays.replayed, replays.position, replays.created_ms,
    replays.finished_ms, replays.deed, replays.reason, replays.started_by FROM replays WHERE replays.id = ?
    AND coalesce(replays.deed, ?) = ? AND replays.partner_id = ?;

-- _LOCK_STEP
SELECT replays.id, replays.partner_id, replays.filter, replays.dry_run, replays.rate_per_second,
    replays.state, replays.matched, replays.replayed, replays.position, replays.created_ms,
    replays.finished_ms, replays.deed, replays.reason, replays.started_by FROM replays WHERE replays.id = ?;

-- _SAVE
UPDATE replays SET rate_per_second=?, state=?, replayed=?, position=?, finished_ms=? WHERE replays.id = ?;

-- deliveries/replaying.py

-- _KNOWN
SELECT deliveries.id, deliveries.lane_id, deliveries.partner_id, deliveries.endpoint_id, endpoints.state AS
    endpoint_state, endpoints.deleted_ms, endpoints.ordering FROM deliveries JOIN (SELECT
    json_extract(ids_rows.value, '$[0]') AS id FROM json_each(?) AS ids_rows) AS ids ON deliveries.id = ids.id
    LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id;

-- _REPLAY
UPDATE deliveries SET state=moves.state, attempts_before=deliveries.attempts, due_ms=CASE WHEN
    (deliveries.session_id IS NULL) THEN CASE WHEN (moves.state = ?) THEN ? END ELSE deliveries.due_ms END,
    dead_reason=?, discarded_ms=?, ended_ms=?, replay_id=?, replayed_attempts=deliveries.attempts FROM (SELECT
    json_extract(moves_rows.value, '$[0]') AS id, json_extract(moves_rows.value, '$[1]') AS state FROM
    json_each(?) AS moves_rows) AS moves WHERE deliveries.id = moves.id AND (deliveries.state = ? OR
    deliveries.state = ? OR deliveries.state = ?) RETURNING id, state;

-- deliveries/replays.py

-- _ONE
SELECT replays.id, replays.partner_id, replays.filter, replays.dry_run, replays.rate_per_second,
    replays.state, replays.matched, replays.replayed, replays.position, replays.created_ms,
    replays.finished_ms, replays.deed, replays.reason, replays.started_by FROM replays WHERE replays.id = ?
    AND coalesce(replays.deed, ?) = ?;

-- _ONE
SELECT replays.id, replays.partner_id, replays.filter, replays.dry_run, replays.rate_per_second,
    replays.state, replays.matched, replays.replayed, replays.position, replays.created_ms,
    replays.finished_ms, replays.deed, replays.reason, replays.started_by FROM replays WHERE replays.id = ?
    AND coalesce(replays.deed, ?) = ? AND replays.partner_id = ?;

-- _PAGE
SELECT replays.id, replays.partner_id, replays.filter, replays.dry_run, replays.rate_per_second,
    replays.state, replays.matched, replays.replayed, replays.position, replays.created_ms,
    replays.finished_ms, replays.deed, replays.reason, replays.started_by FROM replays WHERE
    coalesce(replays.deed, ?) = ? ORDER BY replays.id DESC LIMIT ? OFFSET ?;

-- _PAGE
SELECT replays.id, replays.partner_id, replays.filter, replays.dry_run, replays.rate_per_second,
    replays.state, replays.matched, replays.replayed, replays.position, replays.created_ms,
    replays.finished_ms, replays.deed, replays.reason, replays.started_by FROM replays WHERE
    coalesce(replays.deed, ?) = ? AND replays.partner_id = ? AND replays.id < ? AND replays.state = ? AND
    replays.dry_run = ? ORDER BY replays.id DESC LIMIT ? OFFSET ?;

-- _OUTCOMES
SELECT deliveries.replay_id, sum(CASE WHEN (deliveries.state = ?) THEN ? ELSE ? END) AS delivered, sum(CASE
    WHEN (deliveries.state = ? OR deliveries.state = ? AND deliveries.attempts > deliveries.replayed_attempts
    AND deliveries.session_id IS NULL) THEN ? ELSE ? END) AS failed_again FROM deliveries WHERE
    deliveries.replay_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) AND deliveries.replay_id IS NOT
    NULL GROUP BY deliveries.replay_id;

-- _RUNNING
SELECT replays.id, replays.partner_id, replays.filter, replays.dry_run, replays.rate_per_second,
    replays.state, replays.matched, replays.replayed, replays.position, replays.created_ms,
    replays.finished_ms, replays.deed, replays.reason, replays.started_by FROM replays WHERE replays.state = ?
    ORDER BY replays.id;

-- deliveries/sendings.py

-- _ATTEMPTS
SELECT attempts.delivery_id, attempts.number, attempts.at_ms, attempts.duration_us, attempts.dns_us,
    attempts.connect_us, attempts.tls_us, attempts.first_byte_us, attempts.status, attempts.error,
    attempts.resent FROM attempts WHERE attempts.delivery_id IN (SELECT anon_1.value FROM json_each(?) AS
    anon_1) ORDER BY attempts.at_ms DESC, attempts.delivery_id DESC, attempts.number DESC LIMIT ? OFFSET ?;

-- OF_TASKS.messages
SELECT messages.id, messages.task_id, messages.event, messages.created_ms FROM messages WHERE messages.task_id
    IN (SELECT anon_1.value FROM json_each(?) AS anon_1) ORDER BY messages.id DESC LIMIT ? OFFSET ?;

-- OF_TASKS.deliveries
SELECT deliveries.id, deliveries.message_id, deliveries.partner_id, deliveries.task_id, deliveries.task_type,
    deliveries.endpoint_id, deliveries.lane_id, deliveries.url, deliveries.event, deliveries.state,
    deliveries.once, deliveries.attempts, deliveries.attempts_before, deliveries.max_attempts,
    deliveries.due_ms, deliveries.session_id, deliveries.token, deliveries.last_status, deliveries.last_error,
    deliveries.dead_reason, deliveries.discarded_ms, deliveries.created_ms, deliveries.ended_ms,
    deliveries.replay_id, deliveries.replayed_attempts, coalesce(deliveries.url, endpoints.url, ?) AS
    target_url, CASE WHEN (lanes.hold_ms > deliveries.due_ms) THEN lanes.hold_ms ELSE deliveries.due_ms END AS
    next_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id LEFT OUTER JOIN
    lanes ON lanes.id = deliveries.lane_id WHERE deliveries.task_id IN (SELECT anon_1.value FROM json_each(?)
    AS anon_1) ORDER BY deliveries.id DESC LIMIT ? OFFSET ?;

-- OF_MESSAGES.messages
SELECT messages.id, messages.task_id, messages.event, messages.created_ms FROM messages WHERE messages.id IN
    (SELECT anon_1.value FROM json_each(?) AS anon_1) ORDER BY messages.id DESC LIMIT ? OFFSET ?;

-- OF_MESSAGES.deliveries
SELECT deliveries.id, deliveries.message_id, deliveries.partner_id, deliveries.task_id, deliveries.task_type,
    deliveries.endpoint_id, deliveries.lane_id, deliveries.url, deliveries.event, deliveries.state,
    deliveries.once, deliveries.attempts, deliveries.attempts_before, deliveries.max_attempts,
    deliveries.due_ms, deliveries.session_id, deliveries.token, deliveries.last_status, deliveries.last_error,
    deliveries.dead_reason, deliveries.discarded_ms, deliveries.created_ms, deliveries.ended_ms,
    deliveries.replay_id, deliveries.replayed_attempts, coalesce(deliveries.url, endpoints.url, ?) AS
    target_url, CASE WHEN (lanes.hold_ms > deliveries.due_ms) THEN lanes.hold_ms ELSE deliveries.due_ms END AS
    next_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id LEFT OUTER JOIN
    lanes ON lanes.id = deliveries.lane_id WHERE deliveries.message_id IN (SELECT anon_1.value FROM
    json_each(?) AS anon_1) ORDER BY deliveries.id DESC LIMIT ? OFFSET ?;

-- deliveries/subscribers.py

-- _OF_PARTNER
SELECT endpoints.id, endpoints.partner_id, endpoints.events, endpoints.task_types, endpoints.state,
    endpoints.deleted_ms, endpoints.ordering, endpoints.retry_max_attempts FROM endpoints WHERE
    endpoints.partner_id = ? AND endpoints.deleted_ms IS NULL;

-- _SUBSCRIBERS
SELECT endpoints.id, endpoints.partner_id, endpoints.events, endpoints.task_types, endpoints.state,
    endpoints.deleted_ms, endpoints.ordering, endpoints.retry_max_attempts FROM endpoints WHERE
    endpoints.partner_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) AND endpoints.deleted_ms IS NULL
    OR endpoints.id IN (SELECT anon_2.value FROM json_each(?) AS anon_2);

-- _LISTENING
SELECT DISTINCT endpoints.partner_id FROM endpoints WHERE endpoints.partner_id IN (SELECT anon_1.value FROM
    json_each(?) AS anon_1) AND endpoints.deleted_ms IS NULL AND (endpoints.events LIKE '%' || ? || '%');

-- deliveries/waiting.py

-- _BY_AGE
SELECT deliveries.id, deliveries.lane_id FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id =
    deliveries.endpoint_id WHERE deliveries.state = 'pending' AND deliveries.session_id IS NULL ORDER BY
    deliveries.id LIMIT ? OFFSET ?;

-- _BY_AGE
SELECT deliveries.id, deliveries.lane_id FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id =
    deliveries.endpoint_id WHERE deliveries.state = 'pending' AND deliveries.session_id IS NULL AND
    deliveries.partner_id = ? AND deliveries.lane_id = ? AND deliveries.endpoint_id IS NULL AND deliveries.id
    >= ? AND deliveries.id < ? AND deliveries.id > ? AND deliveries.lane_id >= ? AND (deliveries.lane_id > ?
    OR deliveries.id > ?) AND deliveries.task_type = ? AND deliveries.event = ? AND deliveries.last_error = ?
    AND deliveries.last_status BETWEEN ? AND ? AND deliveries.last_error = ? AND
    coalesce(deliveries.last_error, ?) BETWEEN ? AND ? AND (lower(coalesce(deliveries.url, endpoints.url))
    LIKE ? ESCAPE '\' OR lower(deliveries.last_error) LIKE ? ESCAPE '\' OR lower(deliveries.task_type) LIKE ?
    ESCAPE '\') ORDER BY deliveries.id LIMIT ? OFFSET ?;

-- _BY_LANE
SELECT deliveries.id, deliveries.lane_id FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id =
    deliveries.endpoint_id WHERE deliveries.state = 'pending' AND deliveries.session_id IS NULL ORDER BY
    deliveries.lane_id, deliveries.id LIMIT ? OFFSET ?;

-- _BY_LANE
SELECT deliveries.id, deliveries.lane_id FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id =
    deliveries.endpoint_id WHERE deliveries.state = 'pending' AND deliveries.session_id IS NULL AND
    deliveries.partner_id = ? AND deliveries.lane_id = ? AND deliveries.endpoint_id IS NULL AND deliveries.id
    >= ? AND deliveries.id < ? AND deliveries.id > ? AND deliveries.lane_id >= ? AND (deliveries.lane_id > ?
    OR deliveries.id > ?) AND deliveries.task_type = ? AND deliveries.event = ? AND deliveries.last_error = ?
    AND deliveries.last_status BETWEEN ? AND ? AND deliveries.last_error = ? AND
    coalesce(deliveries.last_error, ?) BETWEEN ? AND ? AND (lower(coalesce(deliveries.url, endpoints.url))
    LIKE ? ESCAPE '\' OR lower(deliveries.last_error) LIKE ? ESCAPE '\' OR lower(deliveries.task_type) LIKE ?
    ESCAPE '\') ORDER BY deliveries.lane_id, deliveries.id LIMIT ? OFFSET ?;

-- _COUNT
SELECT count(*) AS count_1 FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id
    WHERE deliveries.state = 'pending' AND deliveries.session_id IS NULL;

-- _COUNT
SELECT count(*) AS count_1 FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id
    WHERE deliveries.state = 'pending' AND deliveries.session_id IS NULL AND deliveries.partner_id = ? AND
    deliveries.lane_id = ? AND deliveries.endpoint_id IS NULL AND deliveries.id >= ? AND deliveries.id < ? AND
    deliveries.id > ? AND deliveries.lane_id >= ? AND (deliveries.lane_id > ? OR deliveries.id > ?) AND
    deliveries.task_type = ? AND deliveries.event = ? AND deliveries.last_error = ? AND deliveries.last_status
    BETWEEN ? AND ? AND deliveries.last_error = ? AND coalesce(deliveries.last_error, ?) BETWEEN ? AND ? AND
    (lower(coalesce(deliveries.url, endpoints.url)) LIKE ? ESCAPE '\' OR lower(deliveries.last_error) LIKE ?
    ESCAPE '\' OR lower(deliveries.task_type) LIKE ? ESCAPE '\');

-- _HASTEN
UPDATE deliveries SET state=?, due_ms=CASE WHEN (deliveries.due_ms > ?) THEN ? ELSE deliveries.due_ms END,
    replay_id=coalesce(?, deliveries.replay_id), replayed_attempts=CASE WHEN (? IS NULL) THEN
    deliveries.replayed_attempts ELSE deliveries.attempts END FROM (SELECT json_extract(ids_rows.value,
    '$[0]') AS id FROM json_each(?) AS ids_rows) AS ids WHERE deliveries.id = ids.id AND deliveries.state =
    'pending' AND deliveries.session_id IS NULL RETURNING id;

-- endpoints/endpoint_settings.py

-- _COUNT
SELECT count(*) AS n FROM endpoints WHERE endpoints.partner_id = ? AND endpoints.deleted_ms IS NULL;

-- _CREATE
INSERT INTO endpoints (id, partner_id, url, description, events, task_types, headers_sealed, header_names,
    rate_limit, max_concurrency, ordering, retry_max_attempts, retry_base_seconds, retry_factor,
    retry_cap_seconds, signature, public_key, state, disabled_reason, failing_since_ms, created_ms,
    updated_ms, deleted_ms, failing_told_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
    ?, ?, ?, ?, ?);

-- _ONE
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE
    endpoints.deleted_ms IS NULL AND endpoints.id = ?;

-- _ONE
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE
    endpoints.deleted_ms IS NULL AND endpoints.partner_id = ? AND endpoints.id = ?;

-- _PAGE
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE
    endpoints.deleted_ms IS NULL ORDER BY endpoints.id DESC LIMIT ? OFFSET ?;

-- _PAGE
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE
    endpoints.deleted_ms IS NULL AND endpoints.partner_id = ? AND endpoints.id < ? AND endpoints.state = ? AND
    CASE WHEN (endpoints.failing_since_ms IS NULL) THEN ? ELSE ? END = ? ORDER BY endpoints.id DESC LIMIT ?
    OFFSET ?;

-- _PACES
SELECT lanes.id, lanes.pace FROM lanes WHERE lanes.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1);

-- _KNOWN
SELECT endpoints.id FROM endpoints WHERE endpoints.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) AND
    endpoints.partner_id = ? AND endpoints.deleted_ms IS NULL;

-- _CHANGE
UPDATE endpoints SET url=?, description=?, events=?, task_types=?, headers_sealed=?, header_names=?,
    rate_limit=?, max_concurrency=?, ordering=?, retry_max_attempts=?, retry_base_seconds=?, retry_factor=?,
    retry_cap_seconds=?, signature=?, public_key=?, updated_ms=? WHERE endpoints.id = ?;

-- _LOCK
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE
    endpoints.deleted_ms IS NULL AND endpoints.id = ?;

-- _LOCK
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE
    endpoints.deleted_ms IS NULL AND endpoints.partner_id = ? AND endpoints.id = ?;

-- endpoints/endpoint_spans.py

-- _KEEP
INSERT INTO endpoint_spans (endpoint_id, length_ms, at_ms, attempts, delivered, errors, times) SELECT
    spans.endpoint_id, spans.length_ms, spans.at_ms, spans.attempts, spans.delivered, spans.errors,
    spans.times FROM (SELECT json_extract(spans_rows.value, '$[0]') AS endpoint_id,
    json_extract(spans_rows.value, '$[1]') AS length_ms, json_extract(spans_rows.value, '$[2]') AS at_ms,
    json_extract(spans_rows.value, '$[3]') AS attempts, json_extract(spans_rows.value, '$[4]') AS delivered,
    json_extract(spans_rows.value, '$[5]') AS errors, json_extract(spans_rows.value, '$[6]') AS times FROM
    json_each(?) AS spans_rows) AS spans WHERE true ON CONFLICT DO NOTHING;

-- _SINCE
SELECT endpoint_spans.endpoint_id, endpoint_spans.length_ms, endpoint_spans.at_ms, endpoint_spans.attempts,
    endpoint_spans.delivered, endpoint_spans.errors, endpoint_spans.times FROM endpoint_spans WHERE
    endpoint_spans.endpoint_id = ? AND endpoint_spans.length_ms = ? AND endpoint_spans.at_ms >= ? ORDER BY
    endpoint_spans.at_ms;

-- _DROP
DELETE FROM endpoint_spans WHERE (endpoint_spans.endpoint_id, endpoint_spans.length_ms, endpoint_spans.at_ms)
    IN (SELECT endpoint_spans.endpoint_id, endpoint_spans.length_ms, endpoint_spans.at_ms FROM endpoint_spans
    WHERE endpoint_spans.length_ms = ? AND endpoint_spans.at_ms < ? ORDER BY endpoint_spans.at_ms LIMIT ?
    OFFSET ?);

-- endpoints/endpoint_states.py

-- _ONE
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE endpoints.id =
    ?;

-- _DISABLE
UPDATE endpoints SET state=?, disabled_reason=?, updated_ms=? WHERE endpoints.id = ?;

-- _ENABLE
UPDATE endpoints SET state=?, disabled_reason=?, failing_since_ms=?, updated_ms=?, failing_told_ms=? WHERE
    endpoints.id = ?;

-- _DELETE
UPDATE endpoints SET headers_sealed=?, state=?, disabled_reason=?, updated_ms=?, deleted_ms=? WHERE
    endpoints.id = ?;

-- _DELETE_SECRETS
DELETE FROM secrets WHERE secrets.endpoint_id = ?;

-- _STATE_NOW
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE endpoints.id =
    ?;

-- _RELEASE
UPDATE deliveries SET state=?, due_ms=CASE WHEN (deliveries.session_id IS NULL) THEN ? ELSE deliveries.due_ms
    END WHERE deliveries.id IN (SELECT deliveries.id FROM deliveries WHERE deliveries.state = 'parked' AND
    deliveries.endpoint_id = ? LIMIT ? OFFSET ?) AND deliveries.state = 'parked';

-- _PARK
UPDATE deliveries SET state=?, due_ms=? WHERE deliveries.id IN (SELECT deliveries.id FROM deliveries WHERE
    deliveries.state = 'pending' AND deliveries.session_id IS NULL AND deliveries.lane_id = ? LIMIT ? OFFSET
    ?) AND deliveries.state = 'pending' AND deliveries.session_id IS NULL;

-- _END_WAITING
UPDATE deliveries SET state=?, due_ms=?, dead_reason=?, discarded_ms=CASE WHEN (deliveries.once IS 1) THEN ?
    END, ended_ms=? WHERE deliveries.id IN (SELECT deliveries.id FROM deliveries WHERE deliveries.state =
    'pending' AND deliveries.session_id IS NULL AND deliveries.lane_id = ? LIMIT ? OFFSET ?) AND
    deliveries.state = 'pending' AND deliveries.session_id IS NULL;

-- _END_PARKED
UPDATE deliveries SET state=?, due_ms=?, dead_reason=?, discarded_ms=CASE WHEN (deliveries.once IS 1) THEN ?
    END, ended_ms=? WHERE deliveries.id IN (SELECT deliveries.id FROM deliveries WHERE deliveries.state =
    'parked' AND deliveries.endpoint_id = ? LIMIT ? OFFSET ?) AND deliveries.state = 'parked';

-- _STOP_LANE
UPDATE lanes SET ready_ms=? WHERE lanes.id = ?;

-- _STRAYS[0]
SELECT lanes.endpoint_id FROM lanes JOIN endpoints ON endpoints.id = lanes.endpoint_id WHERE lanes.ready_ms IS
    NOT NULL AND (endpoints.state = ? OR endpoints.deleted_ms IS NOT NULL) AND (EXISTS (SELECT deliveries.id
    FROM deliveries WHERE deliveries.state = 'pending' AND deliveries.session_id IS NULL AND
    deliveries.lane_id = lanes.id LIMIT ? OFFSET ?));

-- _STRAYS[1]
WITH RECURSIVE hops(endpoint_id) AS (SELECT first_parked.endpoint_id AS endpoint_id FROM (SELECT
    deliveries.endpoint_id AS endpoint_id FROM deliveries WHERE deliveries.state = 'parked' ORDER BY
    deliveries.endpoint_id LIMIT ? OFFSET ?) AS first_parked UNION ALL SELECT (SELECT deliveries.endpoint_id
    FROM deliveries WHERE deliveries.state = 'parked' AND deliveries.endpoint_id > hops.endpoint_id ORDER BY
    deliveries.endpoint_id LIMIT ? OFFSET ?) AS anon_1 FROM hops WHERE hops.endpoint_id IS NOT NULL) SELECT
    hops.endpoint_id FROM hops JOIN endpoints ON endpoints.id = hops.endpoint_id WHERE endpoints.state = ? OR
    endpoints.deleted_ms IS NOT NULL;

-- endpoints/endpoint_stats.py

-- _ENDPOINT
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE endpoints.id =
    ? AND endpoints.deleted_ms IS NULL;

-- _ENDPOINT
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE endpoints.id =
    ? AND endpoints.deleted_ms IS NULL AND endpoints.partner_id = ?;

-- _PACE
SELECT lanes.pace FROM lanes WHERE lanes.id = ?;

-- _WAITING
SELECT (SELECT count(*) AS count_1 FROM (SELECT deliveries.id AS id FROM deliveries WHERE deliveries.state =
    'pending' AND deliveries.lane_id = ? LIMIT ? OFFSET ?) AS anon_1) AS pending, (SELECT count(*) AS count_2
    FROM (SELECT deliveries.id AS id FROM deliveries WHERE deliveries.state = 'parked' AND
    deliveries.endpoint_id = ? LIMIT ? OFFSET ?) AS anon_2) AS parked, (SELECT count(*) AS count_3 FROM
    (SELECT deliveries.id AS id FROM deliveries WHERE deliveries.state = 'dead' AND deliveries.discarded_ms IS
    NULL AND deliveries.endpoint_id = ? LIMIT ? OFFSET ?) AS anon_3) AS dead;

-- endpoints/endpoint_trouble.py

-- _THESE
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE endpoints.id IN
    (SELECT anon_1.value FROM json_each(?) AS anon_1);

-- _FAILING_LONG
SELECT endpoints.id FROM endpoints WHERE endpoints.failing_since_ms IS NOT NULL AND endpoints.failing_told_ms
    IS NULL AND endpoints.state = 'enabled' AND endpoints.deleted_ms IS NULL AND endpoints.failing_since_ms <=
    ? ORDER BY endpoints.failing_since_ms LIMIT ? OFFSET ?;

-- _MARK
UPDATE endpoints SET failing_told_ms=? WHERE endpoints.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1)
    AND endpoints.failing_since_ms IS NOT NULL AND endpoints.failing_told_ms IS NULL AND endpoints.state =
    'enabled' AND endpoints.deleted_ms IS NULL AND endpoints.failing_since_ms <= ? RETURNING id;

-- endpoints/secrets.py

-- _ADD
INSERT INTO secrets (id, partner_id, endpoint_id, scheme, sealed, created_ms, expires_ms) VALUES (?, ?, ?, ?,
    ?, ?, ?);

-- _EXPIRE_CURRENT
UPDATE secrets SET expires_ms=? WHERE secrets.partner_id = ? AND secrets.endpoint_id IS ? AND
    secrets.expires_ms IS NULL;

-- _EXPIRE_SCHEME
UPDATE secrets SET expires_ms=? WHERE secrets.partner_id = ? AND secrets.endpoint_id IS ? AND
    secrets.expires_ms IS NULL AND secrets.scheme = ?;

-- _EXPIRE_ALL
UPDATE secrets SET expires_ms=? WHERE secrets.partner_id = ? AND secrets.endpoint_id IS ? AND
    (secrets.expires_ms IS NULL OR secrets.expires_ms > ?);

-- _LIVE
SELECT secrets.id, secrets.partner_id, secrets.endpoint_id, secrets.scheme, secrets.sealed,
    secrets.created_ms, secrets.expires_ms FROM secrets WHERE secrets.partner_id = ? AND secrets.endpoint_id
    IN (SELECT anon_1.value FROM json_each(?) AS anon_1) AND (secrets.expires_ms IS NULL OR secrets.expires_ms
    > ?) ORDER BY secrets.created_ms DESC, secrets.id DESC;

-- _LIVE
SELECT secrets.id, secrets.partner_id, secrets.endpoint_id, secrets.scheme, secrets.sealed,
    secrets.created_ms, secrets.expires_ms FROM secrets WHERE secrets.partner_id = ? AND (secrets.endpoint_id
    IN (SELECT anon_1.value FROM json_each(?) AS anon_1) OR secrets.endpoint_id IS NULL) AND
    (secrets.expires_ms IS NULL OR secrets.expires_ms > ?) ORDER BY secrets.created_ms DESC, secrets.id DESC;

-- files/file_rows.py

-- _ADD
INSERT INTO files (id, partner_id, name, content_type, size, sha256, state, kind, "key", task_id, created_ms,
    expires_ms, upload_until_ms) SELECT added.id, added.partner_id, added.name, added.content_type,
    added.size, added.sha256, added.state, added.kind, added."key", added.task_id, added.created_ms,
    added.expires_ms, added.upload_until_ms FROM (SELECT json_extract(added_rows.value, '$[0]') AS id,
    json_extract(added_rows.value, '$[1]') AS partner_id, json_extract(added_rows.value, '$[2]') AS name,
    json_extract(added_rows.value, '$[3]') AS content_type, json_extract(added_rows.value, '$[4]') AS size,
    json_extract(added_rows.value, '$[5]') AS sha256, json_extract(added_rows.value, '$[6]') AS state,
    json_extract(added_rows.value, '$[7]') AS kind, json_extract(added_rows.value, '$[8]') AS "key",
    json_extract(added_rows.value, '$[9]') AS task_id, json_extract(added_rows.value, '$[10]') AS created_ms,
    json_extract(added_rows.value, '$[11]') AS expires_ms, json_extract(added_rows.value, '$[12]') AS
    upload_until_ms FROM json_each(?) AS added_rows) AS added WHERE true;

-- _DROP
DELETE FROM files WHERE files.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1);

-- _SHOWN
SELECT task_bodies.files FROM task_bodies WHERE task_bodies.task_id = ?;

-- _SHOW
UPDATE task_bodies SET files=? WHERE task_bodies.task_id = ?;

-- _MOVE_USAGE
INSERT INTO file_usage (partner_id, stored_files, stored_bytes) VALUES (?, ?, ?) ON CONFLICT (partner_id) DO
    UPDATE SET stored_files = (file_usage.stored_files + excluded.stored_files), stored_bytes =
    (file_usage.stored_bytes + excluded.stored_bytes) RETURNING stored_bytes;

-- _USAGE
SELECT file_usage.stored_files, file_usage.stored_bytes FROM file_usage WHERE file_usage.partner_id = ?;

-- files/file_sweeps.py

-- _OVER
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files."key", files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM
    files WHERE files.expires_ms <= ? LIMIT ? OFFSET ?;

-- _ABANDONED
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files."key", files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM
    files WHERE files.upload_until_ms <= ? LIMIT ? OFFSET ?;

-- _COME_AGAIN
UPDATE files SET expires_ms=? WHERE files.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1);

-- _TAKEN
SELECT file_uses.file_id AS id FROM file_uses WHERE file_uses.task_id IN (SELECT anon_1.value FROM
    json_each(?) AS anon_1);

-- _STILL_USED
SELECT file_uses.file_id AS id FROM file_uses WHERE file_uses.file_id IN (SELECT anon_1.value FROM
    json_each(?) AS anon_1);

-- _DROP_USES
DELETE FROM file_uses WHERE file_uses.task_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1);

-- _GOING
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files."key", files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM
    files WHERE files.task_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) OR files.id IN (SELECT
    anon_2.value FROM json_each(?) AS anon_2);

-- _KEYS
SELECT files."key" FROM files WHERE files.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1);

-- files/files.py

-- _FINISH
UPDATE files SET content_type=?, sha256=?, state=?, "key"=?, upload_until_ms=? WHERE files.id = ? AND
    files.state = ?;

-- _ONE
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files."key", files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM
    files WHERE files.id = ?;

-- _ONE
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files."key", files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM
    files WHERE files.id = ? AND files.partner_id = ?;

-- _SOME
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files."key", files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM
    files WHERE files.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1);

-- _SOME
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files."key", files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM
    files WHERE files.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) AND files.partner_id = ?;

-- _PAGE
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files."key", files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM
    files ORDER BY files.id DESC LIMIT ? OFFSET ?;

-- _PAGE
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files."key", files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM
    files WHERE files.partner_id = ? AND files.id < ? AND files.kind = ? AND (files.task_id = ? OR files.id IN
    (SELECT file_uses.file_id FROM file_uses WHERE file_uses.task_id = ?)) ORDER BY files.id DESC LIMIT ?
    OFFSET ?;

-- _LOCK
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files."key", files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM
    files WHERE files.id = ?;

-- _LOCK
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files."key", files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM
    files WHERE files.id = ? AND files.partner_id = ?;

-- known_values.py

-- _ENDPOINT
SELECT endpoints.id FROM endpoints WHERE endpoints.id = ?;

-- _ENDPOINT
SELECT endpoints.id FROM endpoints WHERE endpoints.id = ? AND endpoints.partner_id = ?;

-- _DELIVERY_WITH_ERROR
SELECT deliveries.id FROM deliveries WHERE deliveries.last_error = ? LIMIT ? OFFSET ?;

-- _DELIVERY_WITH_ERROR
SELECT deliveries.id FROM deliveries WHERE deliveries.last_error = ? AND deliveries.partner_id = ? LIMIT ?
    OFFSET ?;

-- _PARTNER_WITH_TYPE
SELECT partners.id FROM partners WHERE EXISTS (SELECT tasks.id FROM tasks WHERE tasks.partner_id = partners.id
    AND tasks.type = ? LIMIT ? OFFSET ?) LIMIT ? OFFSET ?;

-- _PARTNER_WITH_TYPE
SELECT partners.id FROM partners WHERE (EXISTS (SELECT tasks.id FROM tasks WHERE tasks.partner_id =
    partners.id AND tasks.type = ? LIMIT ? OFFSET ?)) AND partners.id = ? LIMIT ? OFFSET ?;

-- _TASK_WITH_CODE
SELECT task_bodies.task_id AS id FROM task_bodies WHERE task_bodies.error_code = ? LIMIT ? OFFSET ?;

-- _TASK_WITH_CODE
SELECT task_bodies.task_id AS id FROM task_bodies JOIN tasks ON tasks.id = task_bodies.task_id WHERE
    task_bodies.error_code = ? AND tasks.partner_id = ? LIMIT ? OFFSET ?;

-- lanes/changes.py

-- _WRITE_OUTCOMES
UPDATE deliveries SET state=CASE WHEN (deliveries.state = ? AND NOT (deliveries.state = ? AND
    deliveries.attempts_before = deliveries.attempts AND (outcomes.state = ? OR outcomes.dead_reason IS ?)))
    THEN outcomes.state ELSE deliveries.state END, attempts=(deliveries.attempts - outcomes.attempts_back),
    attempts_before=CASE WHEN (deliveries.attempts_before > deliveries.attempts - outcomes.attempts_back) THEN
    deliveries.attempts - outcomes.attempts_back ELSE deliveries.attempts_before END, due_ms=CASE WHEN
    (deliveries.state = ? AND deliveries.attempts_before = deliveries.attempts AND (outcomes.state = ? OR
    outcomes.dead_reason IS ?)) THEN ? WHEN (deliveries.state = ?) THEN outcomes.due_ms END, session_id=?,
    last_status=CASE WHEN (outcomes.attempts_back = ? AND outcomes.last_error IS NULL) THEN
    deliveries.last_status ELSE outcomes.last_status END, last_error=CASE WHEN (outcomes.attempts_back = ? AND
    outcomes.last_error IS NULL) THEN deliveries.last_error ELSE outcomes.last_error END, dead_reason=CASE
    WHEN (deliveries.state = ? AND NOT (deliveries.state = ? AND deliveries.attempts_before =
    deliveries.attempts AND (outcomes.state = ? OR outcomes.dead_reason IS ?))) THEN outcomes.dead_reason ELSE
    deliveries.dead_reason END, discarded_ms=CASE WHEN (deliveries.once IS 1 AND outcomes.state = ? AND NOT
    (deliveries.state = ? AND deliveries.attempts_before = deliveries.attempts AND (outcomes.state = ? OR
    outcomes.dead_reason IS ?))) THEN outcomes.ended_ms ELSE deliveries.discarded_ms END, ended_ms=CASE WHEN
    (deliveries.state = ? AND NOT (deliveries.state = ? AND deliveries.attempts_before = deliveries.attempts
    AND (outcomes.state = ? OR outcomes.dead_reason IS ?))) THEN outcomes.ended_ms ELSE deliveries.ended_ms
    END FROM (SELECT json_extract(outcomes_rows.value, '$[0]') AS id, json_extract(outcomes_rows.value,
    '$[1]') AS session_id, json_extract(outcomes_rows.value, '$[2]') AS token,
    json_extract(outcomes_rows.value, '$[3]') AS state, json_extract(outcomes_rows.value, '$[4]') AS due_ms,
    json_extract(outcomes_rows.value, '$[5]') AS attempts_back, json_extract(outcomes_rows.value, '$[6]') AS
    last_status, json_extract(outcomes_rows.value, '$[7]') AS last_error, json_extract(outcomes_rows.value,
    '$[8]') AS dead_reason, json_extract(outcomes_rows.value, '$[9]') AS ended_ms FROM json_each(?) AS
    outcomes_rows) AS outcomes WHERE deliveries.id = outcomes.id AND deliveries.session_id IS
    outcomes.session_id AND deliveries.token = outcomes.token RETURNING id, token, state;

-- lanes/claims.py

-- _MOVE
UPDATE lanes SET ready_ms=CASE WHEN lanes.fifo THEN (SELECT waiting.due_ms FROM deliveries AS waiting WHERE
    waiting.state = 'pending' AND waiting.session_id IS NULL AND waiting.id = (SELECT min(head.id) AS min_1
    FROM deliveries AS head WHERE head.state = 'pending' AND head.lane_id = lanes.id)) ELSE (SELECT
    min(waiting.due_ms) AS min_2 FROM deliveries AS waiting WHERE waiting.state = 'pending' AND
    waiting.session_id IS NULL AND waiting.lane_id = lanes.id) END, hold_ms=moved.hold_ms,
    served_ms=moved.served_ms, in_flight=(lanes.in_flight + moved.started), cap=moved.cap, pace=moved.pace
    FROM (SELECT json_extract(moved_rows.value, '$[0]') AS id, json_extract(moved_rows.value, '$[1]') AS
    started, json_extract(moved_rows.value, '$[2]') AS served_ms, json_extract(moved_rows.value, '$[3]') AS
    hold_ms, json_extract(moved_rows.value, '$[4]') AS cap, json_extract(moved_rows.value, '$[5]') AS pace
    FROM json_each(?) AS moved_rows) AS moved WHERE lanes.id = moved.id;

-- lanes/health.py

-- _HOLDERS
SELECT deliveries.id, deliveries.session_id, deliveries.token FROM deliveries WHERE deliveries.id IN (SELECT
    anon_1.value FROM json_each(?) AS anon_1);

-- _FAILING
UPDATE endpoints SET failing_since_ms=?, failing_told_ms=? WHERE endpoints.id = ?;

-- _DISABLE
UPDATE endpoints SET state=?, disabled_reason=?, updated_ms=? WHERE endpoints.id = ?;

-- _PARK
UPDATE deliveries SET state=?, due_ms=? WHERE deliveries.lane_id = ? AND deliveries.state = 'pending' AND
    deliveries.session_id IS NULL;

-- lanes/picking.py

-- _PICK
WITH holding AS (SELECT sessions.id AS id FROM sessions WHERE sessions.id = ?) SELECT quick_lanes.id,
    quick_lanes.partner_id, quick_lanes.endpoint_id, quick_lanes.fifo, quick_lanes.ready_ms,
    quick_lanes.hold_ms, quick_lanes.served_ms, quick_lanes.in_flight, quick_lanes.cap, quick_lanes.slow,
    quick_lanes.heard, quick_lanes.pace, quick_lanes.weight, quick_lanes.url, quick_lanes.headers_sealed,
    quick_lanes.rate_limit, quick_lanes.max_concurrency, quick_lanes.retry_max_attempts,
    quick_lanes.retry_base_seconds, quick_lanes.retry_factor, quick_lanes.retry_cap_seconds FROM (SELECT
    lanes.id AS id, lanes.partner_id AS partner_id, lanes.endpoint_id AS endpoint_id, lanes.fifo AS fifo,
    lanes.ready_ms AS ready_ms, lanes.hold_ms AS hold_ms, lanes.served_ms AS served_ms, lanes.in_flight AS
    in_flight, lanes.cap AS cap, lanes.slow AS slow, lanes.heard AS heard, lanes.pace AS pace, partners.weight
    AS weight, endpoints.url AS url, endpoints.headers_sealed AS headers_sealed, endpoints.rate_limit AS
    rate_limit, endpoints.max_concurrency AS max_concurrency, endpoints.retry_max_attempts AS
    retry_max_attempts, endpoints.retry_base_seconds AS retry_base_seconds, endpoints.retry_factor AS
    retry_factor, endpoints.retry_cap_seconds AS retry_cap_seconds FROM lanes JOIN holding ON true LEFT OUTER
    JOIN partners ON partners.id = lanes.partner_id LEFT OUTER JOIN endpoints ON endpoints.id =
    lanes.endpoint_id WHERE lanes.ready_ms <= ? AND lanes.hold_ms <= ? AND lanes.in_flight < lanes.cap AND
    lanes.slow IS 0 AND (lanes.partner_id NOT IN (SELECT "full".id FROM (SELECT json_extract(full_rows.value,
    '$[0]') AS id FROM json_each(?) AS full_rows) AS "full")) AND (lanes.endpoint_id IS NULL OR
    endpoints.state = ? AND endpoints.deleted_ms IS NULL) AND (lanes.heard = 1 OR ? = 1 AND (lanes.partner_id
    NOT IN (SELECT full_unheard.id FROM (SELECT json_extract(full_unheard_rows.value, '$[0]') AS id FROM
    json_each(?) AS full_unheard_rows) AS full_unheard))) ORDER BY lanes.served_ms, lanes.id LIMIT ? OFFSET ?)
    AS quick_lanes UNION ALL SELECT slow_lanes.id, slow_lanes.partner_id, slow_lanes.endpoint_id,
    slow_lanes.fifo, slow_lanes.ready_ms, slow_lanes.hold_ms, slow_lanes.served_ms, slow_lanes.in_flight,
    slow_lanes.cap, slow_lanes.slow, slow_lanes.heard, slow_lanes.pace, slow_lanes.weight, slow_lanes.url,
    slow_lanes.headers_sealed, slow_lanes.rate_limit, slow_lanes.max_concurrency,
    slow_lanes.retry_max_attempts, slow_lanes.retry_base_seconds, slow_lanes.retry_factor,
    slow_lanes.retry_cap_seconds FROM (SELECT lanes.id AS id, lanes.partner_id AS partner_id,
    lanes.endpoint_id AS endpoint_id, lanes.fifo AS fifo, lanes.ready_ms AS ready_ms, lanes.hold_ms AS
    hold_ms, lanes.served_ms AS served_ms, lanes.in_flight AS in_flight, lanes.cap AS cap, lanes.slow AS slow,
    lanes.heard AS heard, lanes.pace AS pace, partners.weight AS weight, endpoints.url AS url,
    endpoints.headers_sealed AS headers_sealed, endpoints.rate_limit AS rate_limit, endpoints.max_concurrency
    AS max_concurrency, endpoints.retry_max_attempts AS retry_max_attempts, endpoints.retry_base_seconds AS
    retry_base_seconds, endpoints.retry_factor AS retry_factor, endpoints.retry_cap_seconds AS
    retry_cap_seconds FROM lanes JOIN holding ON true LEFT OUTER JOIN partners ON partners.id =
    lanes.partner_id LEFT OUTER JOIN endpoints ON endpoints.id = lanes.endpoint_id WHERE lanes.ready_ms <= ?
    AND lanes.hold_ms <= ? AND lanes.in_flight < lanes.cap AND lanes.slow IS 1 AND (lanes.partner_id NOT IN
    (SELECT full_slow.id FROM (SELECT json_extract(full_slow_rows.value, '$[0]') AS id FROM json_each(?) AS
    full_slow_rows) AS full_slow)) AND (lanes.endpoint_id IS NULL OR endpoints.state = ? AND
    endpoints.deleted_ms IS NULL) ORDER BY lanes.served_ms, lanes.id LIMIT ? OFFSET ?) AS slow_lanes ORDER BY
    slow, served_ms, id;

-- lanes/release.py

-- _LOCK
SELECT lanes.id FROM lanes WHERE lanes.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) ORDER BY
    lanes.id;

-- _LANES_OF
SELECT DISTINCT deliveries.lane_id, deliveries.partner_id, deliveries.endpoint_id, endpoints.ordering FROM
    deliveries JOIN (SELECT json_extract(ids_rows.value, '$[0]') AS id FROM json_each(?) AS ids_rows) AS ids
    ON deliveries.id = ids.id LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id WHERE 1 = 1;

-- _MAKE
INSERT INTO lanes (id, partner_id, endpoint_id, fifo, ready_ms, hold_ms, served_ms, in_flight, cap, slow,
    heard, pace) SELECT made.id, made.partner_id, made.endpoint_id, made.fifo, made.ready_ms, made.hold_ms,
    made.served_ms, made.in_flight, made.cap, made.slow, made.heard, made.pace FROM (SELECT
    json_extract(made_rows.value, '$[0]') AS id, json_extract(made_rows.value, '$[1]') AS partner_id,
    json_extract(made_rows.value, '$[2]') AS endpoint_id, json_extract(made_rows.value, '$[3]') AS fifo,
    json_extract(made_rows.value, '$[4]') AS ready_ms, json_extract(made_rows.value, '$[5]') AS hold_ms,
    json_extract(made_rows.value, '$[6]') AS served_ms, json_extract(made_rows.value, '$[7]') AS in_flight,
    json_extract(made_rows.value, '$[8]') AS cap, json_extract(made_rows.value, '$[9]') AS slow,
    json_extract(made_rows.value, '$[10]') AS heard, json_extract(made_rows.value, '$[11]') AS pace FROM
    json_each(?) AS made_rows) AS made WHERE true ON CONFLICT DO NOTHING;

-- _LOCK_PACES
SELECT lanes.id, lanes.ready_ms, lanes.pace FROM lanes WHERE lanes.id IN (SELECT anon_1.value FROM
    json_each(?) AS anon_1) ORDER BY lanes.id;

-- _RELEASE
UPDATE lanes SET fifo=released.fifo, ready_ms=released.ready_ms, hold_ms=released.hold_ms, pace=released.pace,
    open_until_ms=released.open_until_ms FROM (SELECT json_extract(released_rows.value, '$[0]') AS id,
    json_extract(released_rows.value, '$[1]') AS ready_ms, json_extract(released_rows.value, '$[2]') AS
    hold_ms, json_extract(released_rows.value, '$[3]') AS pace, json_extract(released_rows.value, '$[4]') AS
    open_until_ms, json_extract(released_rows.value, '$[5]') AS fifo FROM json_each(?) AS released_rows) AS
    released WHERE lanes.id = released.id;

-- lanes/rows.py

-- _WAKE
UPDATE lanes SET ready_ms=CASE WHEN (lanes.ready_ms < woken.due_ms) THEN lanes.ready_ms ELSE woken.due_ms END
    FROM (SELECT json_extract(woken_rows.value, '$[0]') AS id, json_extract(woken_rows.value, '$[1]') AS
    due_ms FROM json_each(?) AS woken_rows) AS woken WHERE lanes.id = woken.id;

-- _NEXT_READY
SELECT min(CASE WHEN (lanes.hold_ms > lanes.ready_ms) THEN lanes.hold_ms ELSE lanes.ready_ms END) AS min_1
    FROM lanes LEFT OUTER JOIN endpoints ON endpoints.id = lanes.endpoint_id WHERE lanes.ready_ms IS NOT NULL
    AND lanes.in_flight < lanes.cap AND (lanes.slow IS 0 OR ? = 1 AND (lanes.partner_id NOT IN (SELECT
    full_slow.id FROM (SELECT json_extract(full_slow_rows.value, '$[0]') AS id FROM json_each(?) AS
    full_slow_rows) AS full_slow))) AND (lanes.heard IS 1 OR ? = 1 AND (lanes.partner_id NOT IN (SELECT
    full_unheard.id FROM (SELECT json_extract(full_unheard_rows.value, '$[0]') AS id FROM json_each(?) AS
    full_unheard_rows) AS full_unheard))) AND (lanes.partner_id NOT IN (SELECT "full".id FROM (SELECT
    json_extract(full_rows.value, '$[0]') AS id FROM json_each(?) AS full_rows) AS "full")) AND
    (lanes.endpoint_id IS NULL OR endpoints.state = ? AND endpoints.deleted_ms IS NULL);

-- _NEXT_READY_FOR
SELECT min(CASE WHEN (lanes.hold_ms > lanes.ready_ms) THEN lanes.hold_ms ELSE lanes.ready_ms END) AS min_1
    FROM lanes LEFT OUTER JOIN endpoints ON endpoints.id = lanes.endpoint_id WHERE lanes.ready_ms IS NOT NULL
    AND lanes.in_flight < lanes.cap AND (lanes.slow IS 0 OR ? = 1 AND (lanes.partner_id NOT IN (SELECT
    full_slow.id FROM (SELECT json_extract(full_slow_rows.value, '$[0]') AS id FROM json_each(?) AS
    full_slow_rows) AS full_slow))) AND (lanes.heard IS 1 OR ? = 1 AND (lanes.partner_id NOT IN (SELECT
    full_unheard.id FROM (SELECT json_extract(full_unheard_rows.value, '$[0]') AS id FROM json_each(?) AS
    full_unheard_rows) AS full_unheard))) AND (lanes.partner_id NOT IN (SELECT "full".id FROM (SELECT
    json_extract(full_rows.value, '$[0]') AS id FROM json_each(?) AS full_rows) AS "full")) AND
    (lanes.endpoint_id IS NULL OR endpoints.state = ? AND endpoints.deleted_ms IS NULL) AND (EXISTS (SELECT *
    FROM sessions WHERE sessions.id = ?));

-- lanes/settling.py

-- _LOCK
SELECT lanes.id, lanes.partner_id, lanes.endpoint_id, lanes.fifo, lanes.ready_ms, lanes.hold_ms,
    lanes.served_ms, lanes.in_flight, lanes.cap, lanes.slow, lanes.heard, lanes.pace, lanes.open_until_ms,
    endpoints.state AS endpoint_state, endpoints.deleted_ms AS endpoint_deleted_ms,
    endpoints.failing_since_ms, endpoints.failing_told_ms, endpoints.max_concurrency,
    endpoints.retry_cap_seconds FROM lanes JOIN (SELECT json_extract(lane_ids_rows.value, '$[0]') AS id FROM
    json_each(?) AS lane_ids_rows) AS lane_ids ON lanes.id = lane_ids.id LEFT OUTER JOIN endpoints ON
    endpoints.id = lanes.endpoint_id ORDER BY lanes.id;

-- _FREE
UPDATE lanes SET ready_ms=CASE WHEN lanes.fifo THEN (SELECT waiting.due_ms FROM deliveries AS waiting WHERE
    waiting.state = 'pending' AND waiting.session_id IS NULL AND waiting.id = (SELECT min(head.id) AS min_1
    FROM deliveries AS head WHERE head.state = 'pending' AND head.lane_id = lanes.id)) ELSE (SELECT
    min(waiting.due_ms) AS min_2 FROM deliveries AS waiting WHERE waiting.state = 'pending' AND
    waiting.session_id IS NULL AND waiting.lane_id = lanes.id) END, hold_ms=settled.hold_ms, in_flight=CASE
    WHEN (lanes.in_flight - settled.ended < ?) THEN ? ELSE lanes.in_flight - settled.ended END,
    cap=settled.cap, slow=settled.slow, heard=settled.heard, pace=settled.pace,
    open_until_ms=settled.open_until_ms FROM (SELECT json_extract(settled_rows.value, '$[0]') AS id,
    json_extract(settled_rows.value, '$[1]') AS ended, json_extract(settled_rows.value, '$[2]') AS hold_ms,
    json_extract(settled_rows.value, '$[3]') AS cap, json_extract(settled_rows.value, '$[4]') AS slow,
    json_extract(settled_rows.value, '$[5]') AS heard, json_extract(settled_rows.value, '$[6]') AS pace,
    json_extract(settled_rows.value, '$[7]') AS open_until_ms FROM json_each(?) AS settled_rows) AS settled
    WHERE lanes.id = settled.id RETURNING id, ready_ms, hold_ms;

-- lanes/taking.py

-- _FIRST_DUE
SELECT deliveries.id, deliveries.lane_id, deliveries.url FROM (SELECT json_extract(wanted_rows.value, '$[0]')
    AS lane_id FROM json_each(?) AS wanted_rows) AS wanted JOIN deliveries ON deliveries.id IN (SELECT
    inner_deliveries.id FROM deliveries AS inner_deliveries WHERE inner_deliveries.state = 'pending' AND
    inner_deliveries.session_id IS NULL AND inner_deliveries.lane_id = wanted.lane_id AND
    inner_deliveries.due_ms <= ? ORDER BY inner_deliveries.due_ms, inner_deliveries.id LIMIT ? OFFSET ?) ORDER
    BY deliveries.lane_id, deliveries.due_ms, deliveries.id;

-- _FIFO_HEADS
SELECT deliveries.id, deliveries.lane_id, deliveries.url FROM (SELECT json_extract(wanted_rows.value, '$[0]')
    AS lane_id FROM json_each(?) AS wanted_rows) AS wanted JOIN deliveries ON deliveries.id = (SELECT
    min(inner_deliveries.id) AS min_1 FROM deliveries AS inner_deliveries WHERE inner_deliveries.state =
    'pending' AND inner_deliveries.lane_id = wanted.lane_id) WHERE deliveries.session_id IS NULL AND
    deliveries.due_ms <= ?;

-- _TAKE_WITH_MESSAGES
UPDATE deliveries SET attempts=(deliveries.attempts + ?), due_ms=?, session_id=?, token=(deliveries.token + ?)
    FROM (SELECT json_extract(ids_rows.value, '$[0]') AS id FROM json_each(?) AS ids_rows) AS ids WHERE
    deliveries.id = ids.id AND deliveries.state IS ? AND deliveries.session_id IS NULL RETURNING id,
    message_id, task_id, lane_id, url, event, once, attempts, attempts_before, max_attempts, token,
    created_ms, (SELECT messages.body FROM messages WHERE id = message_id) AS body, (SELECT messages.trace_id
    FROM messages WHERE id = message_id) AS trace_id, (SELECT messages.trace_parent_id FROM messages WHERE id
    = message_id) AS trace_parent_id, (SELECT messages.trace_flags FROM messages WHERE id = message_id) AS
    trace_flags, (SELECT messages.trace_state FROM messages WHERE id = message_id) AS trace_state;

-- _WITH_MESSAGES
SELECT deliveries.id, deliveries.message_id, deliveries.task_id, deliveries.lane_id, deliveries.url,
    deliveries.event, deliveries.once, deliveries.attempts, deliveries.attempts_before,
    deliveries.max_attempts, deliveries.token, deliveries.created_ms, messages.body, messages.trace_id,
    messages.trace_parent_id, messages.trace_flags, messages.trace_state FROM deliveries JOIN (SELECT
    json_extract(ids_rows.value, '$[0]') AS id FROM json_each(?) AS ids_rows) AS ids ON deliveries.id = ids.id
    JOIN messages ON messages.id = deliveries.message_id;

-- lanes/targets.py

-- _OPEN
SELECT lanes.id, lanes.partner_id, lanes.endpoint_id, lanes.fifo, lanes.ready_ms, lanes.hold_ms,
    lanes.served_ms, lanes.in_flight, lanes.cap, lanes.slow, lanes.heard, lanes.pace, partners.weight,
    endpoints.url, endpoints.headers_sealed, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds FROM lanes LEFT OUTER JOIN partners ON partners.id =
    lanes.partner_id LEFT OUTER JOIN endpoints ON endpoints.id = lanes.endpoint_id WHERE lanes.id IN (SELECT
    anon_1.value FROM json_each(?) AS anon_1) AND (lanes.endpoint_id IS NULL OR endpoints.state = ? AND
    endpoints.deleted_ms IS NULL);

-- _SIGNING_NOW
SELECT asked.next_ms, secrets.id, secrets.partner_id, secrets.endpoint_id, secrets.scheme, secrets.sealed,
    secrets.created_ms, secrets.expires_ms FROM (SELECT CASE WHEN ? THEN (SELECT min(CASE WHEN (lanes.hold_ms
    > lanes.ready_ms) THEN lanes.hold_ms ELSE lanes.ready_ms END) AS min_1 FROM lanes LEFT OUTER JOIN
    endpoints ON endpoints.id = lanes.endpoint_id WHERE lanes.ready_ms IS NOT NULL AND lanes.in_flight <
    lanes.cap AND (lanes.slow IS 0 OR ? = 1 AND (lanes.partner_id NOT IN (SELECT full_slow.id FROM (SELECT
    json_extract(full_slow_rows.value, '$[0]') AS id FROM json_each(?) AS full_slow_rows) AS full_slow))) AND
    (lanes.heard IS 1 OR ? = 1 AND (lanes.partner_id NOT IN (SELECT full_unheard.id FROM (SELECT
    json_extract(full_unheard_rows.value, '$[0]') AS id FROM json_each(?) AS full_unheard_rows) AS
    full_unheard))) AND (lanes.partner_id NOT IN (SELECT "full".id FROM (SELECT json_extract(full_rows.value,
    '$[0]') AS id FROM json_each(?) AS full_rows) AS "full")) AND (lanes.endpoint_id IS NULL OR
    endpoints.state = ? AND endpoints.deleted_ms IS NULL)) ELSE NULL END AS next_ms) AS asked LEFT OUTER JOIN
    secrets ON (secrets.expires_ms IS NULL OR secrets.expires_ms > ?) AND (secrets.endpoint_id IN (SELECT
    anon_1.value FROM json_each(?) AS anon_1) OR secrets.endpoint_id IS NULL AND secrets.partner_id IN (SELECT
    anon_2.value FROM json_each(?) AS anon_2)) ORDER BY secrets.created_ms DESC, secrets.id DESC;

-- tasks/batch_counts.py

-- _ADD
INSERT INTO batch_counts (batch_id, shard, moves, scheduled, queued, running, succeeded, failed, cancelled,
    expired) SELECT changes.batch_id, changes.shard, changes.moves, changes.scheduled, changes.queued,
    changes.running, changes.succeeded, changes.failed, changes.cancelled, changes.expired FROM (SELECT
    json_extract(changes_rows.value, '$[0]') AS batch_id, json_extract(changes_rows.value, '$[1]') AS shard,
    json_extract(changes_rows.value, '$[2]') AS moves, json_extract(changes_rows.value, '$[3]') AS scheduled,
    json_extract(changes_rows.value, '$[4]') AS queued, json_extract(changes_rows.value, '$[5]') AS running,
    json_extract(changes_rows.value, '$[6]') AS succeeded, json_extract(changes_rows.value, '$[7]') AS failed,
    json_extract(changes_rows.value, '$[8]') AS cancelled, json_extract(changes_rows.value, '$[9]') AS expired
    FROM json_each(?) AS changes_rows) AS changes WHERE true ON CONFLICT (batch_id, shard) DO UPDATE SET moves
    = (batch_counts.moves + excluded.moves), scheduled = (batch_counts.scheduled + excluded.scheduled), queued
    = (batch_counts.queued + excluded.queued), running = (batch_counts.running + excluded.running), succeeded
    = (batch_counts.succeeded + excluded.succeeded), failed = (batch_counts.failed + excluded.failed),
    cancelled = (batch_counts.cancelled + excluded.cancelled), expired = (batch_counts.expired +
    excluded.expired);

-- _ENDED_SHARDS
SELECT batch_counts.batch_id, batch_counts.shard, batch_counts.moves, batch_counts.scheduled,
    batch_counts.queued, batch_counts.running, batch_counts.succeeded, batch_counts.failed,
    batch_counts.cancelled, batch_counts.expired FROM batch_counts WHERE batch_counts.shard != ? AND
    (batch_counts.shard NOT IN (SELECT anon_1.value FROM json_each(?) AS anon_1)) ORDER BY
    batch_counts.batch_id, batch_counts.shard LIMIT ? OFFSET ?;

-- _FORGET
DELETE FROM batch_counts WHERE (batch_counts.batch_id, batch_counts.shard) IN (SELECT keys.batch_id,
    keys.shard FROM (SELECT json_extract(keys_rows.value, '$[0]') AS batch_id, json_extract(keys_rows.value,
    '$[1]') AS shard FROM json_each(?) AS keys_rows) AS keys);

-- tasks/batch_ends.py

-- _RUNNING
SELECT batches.id, batches.partner_id, batches.state, batches.total, batches.version, batches.metadata,
    batches.defaults, batches.callback_url, batches.callback_origin, batches.endpoint_ids, batches.trace_id,
    batches.trace_parent_id, batches.trace_flags, batches.trace_state, batches.created_ms, batches.closed_ms,
    batches.cancel_requested_ms, batches.completed_ms, coalesce(sums.moves, ?) AS moves,
    coalesce(sums.scheduled, ?) AS scheduled, coalesce(sums.queued, ?) AS queued, coalesce(sums.running, ?) AS
    running, coalesce(sums.succeeded, ?) AS succeeded, coalesce(sums.failed, ?) AS failed,
    coalesce(sums.cancelled, ?) AS cancelled, coalesce(sums.expired, ?) AS expired FROM batches LEFT OUTER
    JOIN (SELECT batch_counts.batch_id AS batch_id, sum(batch_counts.moves) AS moves,
    sum(batch_counts.scheduled) AS scheduled, sum(batch_counts.queued) AS queued, sum(batch_counts.running) AS
    running, sum(batch_counts.succeeded) AS succeeded, sum(batch_counts.failed) AS failed,
    sum(batch_counts.cancelled) AS cancelled, sum(batch_counts.expired) AS expired FROM batch_counts WHERE
    batch_counts.batch_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) GROUP BY batch_counts.batch_id)
    AS sums ON sums.batch_id = batches.id WHERE batches.id IN (SELECT anon_2.value FROM json_each(?) AS
    anon_2) AND batches.state = ?;

-- _COMPLETE
UPDATE batches SET state=CASE WHEN (batches.cancel_requested_ms IS NOT NULL) THEN ? ELSE ? END,
    version=(batches.version + ?), completed_ms=? WHERE batches.id IN (SELECT anon_1.value FROM json_each(?)
    AS anon_1) AND batches.state = ? RETURNING id;

-- BATCHES_BY_ID
SELECT batches.id, batches.partner_id, batches.state, batches.total, batches.version, batches.metadata,
    batches.defaults, batches.callback_url, batches.callback_origin, batches.endpoint_ids, batches.trace_id,
    batches.trace_parent_id, batches.trace_flags, batches.trace_state, batches.created_ms, batches.closed_ms,
    batches.cancel_requested_ms, batches.completed_ms, coalesce(sums.moves, ?) AS moves,
    coalesce(sums.scheduled, ?) AS scheduled, coalesce(sums.queued, ?) AS queued, coalesce(sums.running, ?) AS
    running, coalesce(sums.succeeded, ?) AS succeeded, coalesce(sums.failed, ?) AS failed,
    coalesce(sums.cancelled, ?) AS cancelled, coalesce(sums.expired, ?) AS expired FROM batches LEFT OUTER
    JOIN (SELECT batch_counts.batch_id AS batch_id, sum(batch_counts.moves) AS moves,
    sum(batch_counts.scheduled) AS scheduled, sum(batch_counts.queued) AS queued, sum(batch_counts.running) AS
    running, sum(batch_counts.succeeded) AS succeeded, sum(batch_counts.failed) AS failed,
    sum(batch_counts.cancelled) AS cancelled, sum(batch_counts.expired) AS expired FROM batch_counts WHERE
    batch_counts.batch_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) GROUP BY batch_counts.batch_id)
    AS sums ON sums.batch_id = batches.id WHERE batches.id IN (SELECT anon_2.value FROM json_each(?) AS
    anon_2);

-- tasks/batch_moves.py

-- _LOCK
SELECT batches.id FROM batches WHERE batches.id = ?;

-- _LOCK
SELECT batches.id FROM batches WHERE batches.id = ? AND batches.partner_id = ?;

-- _SET
UPDATE batches SET state=?, version=(batches.version + ?), closed_ms=?, cancel_requested_ms=? WHERE batches.id
    = ?;

-- _TO_CANCEL
SELECT batches.id FROM batches WHERE batches.cancel_requested_ms IS NOT NULL AND batches.state = ? AND
    batches.id > ? ORDER BY batches.id LIMIT ? OFFSET ?;

-- _ASK_TO_STOP
UPDATE tasks SET version=(tasks.version + ?), cancel_requested_ms=? WHERE tasks.id IN (SELECT tasks.id FROM
    tasks WHERE tasks.batch_id = ? AND tasks.state = ? AND tasks.cancel_requested_ms IS NULL ORDER BY tasks.id
    LIMIT ? OFFSET ?) AND tasks.state = ? RETURNING id, partner_id, queue, version, batch_id;

-- tasks/batch_room.py

-- _INSERT
INSERT INTO batches (id, partner_id, state, total, version, last_task_id, metadata, defaults, callback_url,
    callback_origin, endpoint_ids, trace_id, trace_parent_id, trace_flags, trace_state, created_ms, closed_ms)
    SELECT rows.id, rows.partner_id, rows.state, rows.total, rows.version, rows.last_task_id, rows.metadata,
    rows.defaults, rows.callback_url, rows.callback_origin, rows.endpoint_ids, rows.trace_id,
    rows.trace_parent_id, rows.trace_flags, rows.trace_state, rows.created_ms, rows.closed_ms FROM (SELECT
    json_extract(rows_rows.value, '$[0]') AS id, json_extract(rows_rows.value, '$[1]') AS partner_id,
    json_extract(rows_rows.value, '$[2]') AS state, json_extract(rows_rows.value, '$[3]') AS total,
    json_extract(rows_rows.value, '$[4]') AS version, json_extract(rows_rows.value, '$[5]') AS last_task_id,
    json_extract(rows_rows.value, '$[6]') AS metadata, json_extract(rows_rows.value, '$[7]') AS defaults,
    json_extract(rows_rows.value, '$[8]') AS callback_url, json_extract(rows_rows.value, '$[9]') AS
    callback_origin, json_extract(rows_rows.value, '$[10]') AS endpoint_ids, json_extract(rows_rows.value,
    '$[11]') AS trace_id, json_extract(rows_rows.value, '$[12]') AS trace_parent_id,
    json_extract(rows_rows.value, '$[13]') AS trace_flags, json_extract(rows_rows.value, '$[14]') AS
    trace_state, json_extract(rows_rows.value, '$[15]') AS created_ms, json_extract(rows_rows.value, '$[16]')
    AS closed_ms FROM json_each(?) AS rows_rows) AS rows WHERE true;

-- _LOCK_ROOM
SELECT batches.id, batches.state, batches.total, batches.last_task_id FROM batches WHERE batches.id IN (SELECT
    anon_1.value FROM json_each(?) AS anon_1) ORDER BY batches.id;

-- _ADDED
UPDATE batches SET total=(batches.total + ?), version=(batches.version + ?), last_task_id=? WHERE batches.id =
    ?;

-- tasks/batches.py

-- _ONE
SELECT batches.id, batches.partner_id, batches.state, batches.total, batches.version, batches.metadata,
    batches.defaults, batches.callback_url, batches.callback_origin, batches.endpoint_ids, batches.trace_id,
    batches.trace_parent_id, batches.trace_flags, batches.trace_state, batches.created_ms, batches.closed_ms,
    batches.cancel_requested_ms, batches.completed_ms, coalesce(sums.moves, ?) AS moves,
    coalesce(sums.scheduled, ?) AS scheduled, coalesce(sums.queued, ?) AS queued, coalesce(sums.running, ?) AS
    running, coalesce(sums.succeeded, ?) AS succeeded, coalesce(sums.failed, ?) AS failed,
    coalesce(sums.cancelled, ?) AS cancelled, coalesce(sums.expired, ?) AS expired FROM batches LEFT OUTER
    JOIN (SELECT batch_counts.batch_id AS batch_id, sum(batch_counts.moves) AS moves,
    sum(batch_counts.scheduled) AS scheduled, sum(batch_counts.queued) AS queued, sum(batch_counts.running) AS
    running, sum(batch_counts.succeeded) AS succeeded, sum(batch_counts.failed) AS failed,
    sum(batch_counts.cancelled) AS cancelled, sum(batch_counts.expired) AS expired FROM batch_counts WHERE
    batch_counts.batch_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) GROUP BY batch_counts.batch_id)
    AS sums ON sums.batch_id = batches.id WHERE batches.id IN (SELECT anon_2.value FROM json_each(?) AS
    anon_2);

-- _ONE
SELECT batches.id, batches.partner_id, batches.state, batches.total, batches.version, batches.metadata,
    batches.defaults, batches.callback_url, batches.callback_origin, batches.endpoint_ids, batches.trace_id,
    batches.trace_parent_id, batches.trace_flags, batches.trace_state, batches.created_ms, batches.closed_ms,
    batches.cancel_requested_ms, batches.completed_ms, coalesce(sums.moves, ?) AS moves,
    coalesce(sums.scheduled, ?) AS scheduled, coalesce(sums.queued, ?) AS queued, coalesce(sums.running, ?) AS
    running, coalesce(sums.succeeded, ?) AS succeeded, coalesce(sums.failed, ?) AS failed,
    coalesce(sums.cancelled, ?) AS cancelled, coalesce(sums.expired, ?) AS expired FROM batches LEFT OUTER
    JOIN (SELECT batch_counts.batch_id AS batch_id, sum(batch_counts.moves) AS moves,
    sum(batch_counts.scheduled) AS scheduled, sum(batch_counts.queued) AS queued, sum(batch_counts.running) AS
    running, sum(batch_counts.succeeded) AS succeeded, sum(batch_counts.failed) AS failed,
    sum(batch_counts.cancelled) AS cancelled, sum(batch_counts.expired) AS expired FROM batch_counts WHERE
    batch_counts.batch_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) GROUP BY batch_counts.batch_id)
    AS sums ON sums.batch_id = batches.id WHERE batches.id IN (SELECT anon_2.value FROM json_each(?) AS
    anon_2) AND batches.partner_id = ?;

-- _PAGE
SELECT batches.id FROM batches ORDER BY batches.id DESC LIMIT ? OFFSET ?;

-- _PAGE
SELECT batches.id FROM batches WHERE batches.partner_id = ? AND batches.id < ? AND batches.state = ? AND
    batches.id >= ? AND batches.id < ? ORDER BY batches.id DESC LIMIT ? OFFSET ?;

-- _OF_BATCH
SELECT tasks.id, tasks.partner_id, tasks.type, tasks.queue, tasks.state, tasks.priority, tasks.version,
    tasks.attempts, tasks.attempts_before, tasks.max_attempts, tasks.due_ms, tasks.run_at_ms,
    tasks.expires_ms, tasks.created_ms, tasks.started_ms, tasks.finished_ms, tasks.session_id, tasks.token,
    tasks.deadline_ms, tasks.cancel_requested_ms, tasks.suspect, tasks.progress_percent,
    tasks.progress_message, tasks.trace_id, tasks.dead_ms, tasks.dead_reason, tasks.batch_id,
    task_bodies.task_id, task_bodies.metadata, task_bodies.callback_url, task_bodies.callback_origin,
    task_bodies.endpoint_ids, task_bodies.events, task_bodies.trace_parent_id, task_bodies.trace_flags,
    task_bodies.trace_state, task_bodies.result, task_bodies.error_code, task_bodies.error_message,
    task_bodies.files, task_bodies.rerun_of FROM tasks JOIN task_bodies ON task_bodies.task_id = tasks.id
    WHERE tasks.batch_id = ? ORDER BY tasks.id LIMIT ? OFFSET ?;

-- _OF_BATCH
SELECT tasks.id, tasks.partner_id, tasks.type, tasks.queue, tasks.state, tasks.priority, tasks.version,
    tasks.attempts, tasks.attempts_before, tasks.max_attempts, tasks.due_ms, tasks.run_at_ms,
    tasks.expires_ms, tasks.created_ms, tasks.started_ms, tasks.finished_ms, tasks.session_id, tasks.token,
    tasks.deadline_ms, tasks.cancel_requested_ms, tasks.suspect, tasks.progress_percent,
    tasks.progress_message, tasks.trace_id, tasks.dead_ms, tasks.dead_reason, tasks.batch_id,
    task_bodies.task_id, task_bodies.metadata, task_bodies.callback_url, task_bodies.callback_origin,
    task_bodies.endpoint_ids, task_bodies.events, task_bodies.trace_parent_id, task_bodies.trace_flags,
    task_bodies.trace_state, task_bodies.result, task_bodies.error_code, task_bodies.error_message,
    task_bodies.files, task_bodies.rerun_of FROM tasks JOIN task_bodies ON task_bodies.task_id = tasks.id
    WHERE tasks.batch_id = ? AND tasks.id > ? AND tasks.state = ? AND tasks.finished_ms IS NOT NULL ORDER BY
    tasks.id LIMIT ? OFFSET ?;

-- tasks/choosing.py

-- _LOOK
WITH RECURSIVE waiting(partner_id) AS (SELECT min(tasks.partner_id) AS partner_id FROM tasks WHERE tasks.state
    = 'queued' AND tasks.queue = ? UNION ALL SELECT (SELECT min(tasks.partner_id) AS min_1 FROM tasks WHERE
    tasks.state = 'queued' AND tasks.queue = ? AND tasks.partner_id > waiting.partner_id) AS anon_2 FROM
    waiting WHERE waiting.partner_id IS NOT NULL), contenders AS (SELECT waiting.partner_id AS partner_id,
    shares.vtime AS vtime, partners.weight AS weight FROM waiting LEFT OUTER JOIN shares ON shares.queue = ?
    AND shares.partner_id = waiting.partner_id LEFT OUTER JOIN partners ON partners.id = waiting.partner_id
    WHERE waiting.partner_id IS NOT NULL ORDER BY coalesce(shares.vtime, ?), waiting.partner_id LIMIT ? OFFSET
    ?) SELECT contenders.partner_id, contenders.vtime, contenders.weight, (SELECT tasks.id FROM tasks WHERE
    tasks.suspect AND tasks.state = 'queued' AND tasks.queue = ? AND tasks.type IN (SELECT anon_1.value FROM
    json_each(?) AS anon_1) AND (tasks.expires_ms IS NULL OR tasks.expires_ms > ?) ORDER BY tasks.id LIMIT ?
    OFFSET ?) AS suspect_id, found.id, found.type FROM contenders LEFT OUTER JOIN tasks AS found ON found.id
    IN (SELECT inner_tasks.id FROM tasks AS inner_tasks WHERE inner_tasks.state = 'queued' AND
    inner_tasks.queue = ? AND inner_tasks.partner_id = contenders.partner_id AND inner_tasks.suspect IS 0 AND
    inner_tasks.type IN (SELECT anon_3.value FROM json_each(?) AS anon_3) AND (inner_tasks.expires_ms IS NULL
    OR inner_tasks.expires_ms > ?) ORDER BY inner_tasks.priority, inner_tasks.id LIMIT (SELECT CASE WHEN
    (count(*) = ?) THEN ? WHEN (((? * ? + count(*)) - ?) / count(*) + ? < ?) THEN ((? * ? + count(*)) - ?) /
    count(*) + ? ELSE ? END AS anon_4 FROM contenders) OFFSET ?) ORDER BY contenders.partner_id,
    found.priority, found.id;

-- _SET_CLOCK
UPDATE queues SET vtime=? WHERE queues.name = ?;

-- _ADVANCE
INSERT INTO shares (queue, partner_id, vtime) SELECT served.queue, served.partner_id, served.vtime FROM
    (SELECT json_extract(served_rows.value, '$[0]') AS queue, json_extract(served_rows.value, '$[1]') AS
    partner_id, json_extract(served_rows.value, '$[2]') AS vtime FROM json_each(?) AS served_rows) AS served
    WHERE true ON CONFLICT (queue, partner_id) DO UPDATE SET vtime = excluded.vtime;

-- tasks/claims.py

-- _ENTER
SELECT queues.paused_ms, queues.vtime FROM queues JOIN (SELECT sessions.id AS id FROM sessions WHERE
    sessions.id = ?) AS holding ON true WHERE queues.name = ?;

-- tasks/ends.py

-- _WRITE_BODIES
UPDATE task_bodies SET result=bodies.result, error_code=bodies.error_code, error_message=bodies.error_message
    FROM (SELECT json_extract(bodies_rows.value, '$[0]') AS task_id, json_extract(bodies_rows.value, '$[1]')
    AS result, json_extract(bodies_rows.value, '$[2]') AS error_code, json_extract(bodies_rows.value, '$[3]')
    AS error_message FROM json_each(?) AS bodies_rows) AS bodies WHERE task_bodies.task_id = bodies.task_id
    RETURNING task_id, metadata, callback_url, callback_origin, endpoint_ids, events, trace_parent_id,
    trace_flags, trace_state, result, error_code, error_message, files, rerun_of;

-- _END
UPDATE tasks SET state=CASE WHEN (tasks.cancel_requested_ms IS NOT NULL AND ends.finished_ms IS NULL) THEN ?
    ELSE ends.state END, version=(tasks.version + ?), attempts=(tasks.attempts - ends.attempts_back),
    due_ms=ends.due_ms, finished_ms=CASE WHEN (tasks.cancel_requested_ms IS NOT NULL AND ends.finished_ms IS
    NULL) THEN ends.now_ms ELSE ends.finished_ms END, session_id=?, deadline_ms=?, suspect=(tasks.suspect = 1
    AND ends.attempts_back = ?), progress_percent=coalesce(ends.progress_percent, tasks.progress_percent),
    progress_message=coalesce(ends.progress_message, tasks.progress_message), dead_ms=ends.dead_ms,
    dead_reason=ends.dead_reason FROM (SELECT json_extract(ends_rows.value, '$[0]') AS id,
    json_extract(ends_rows.value, '$[1]') AS session_id, json_extract(ends_rows.value, '$[2]') AS token,
    json_extract(ends_rows.value, '$[3]') AS state, json_extract(ends_rows.value, '$[4]') AS now_ms,
    json_extract(ends_rows.value, '$[5]') AS due_ms, json_extract(ends_rows.value, '$[6]') AS attempts_back,
    json_extract(ends_rows.value, '$[7]') AS finished_ms, json_extract(ends_rows.value, '$[8]') AS dead_ms,
    json_extract(ends_rows.value, '$[9]') AS dead_reason, json_extract(ends_rows.value, '$[10]') AS
    progress_percent, json_extract(ends_rows.value, '$[11]') AS progress_message,
    json_extract(ends_rows.value, '$[12]') AS result, json_extract(ends_rows.value, '$[13]') AS error_code,
    json_extract(ends_rows.value, '$[14]') AS error_message FROM json_each(?) AS ends_rows) AS ends WHERE
    tasks.id = ends.id AND tasks.session_id IS ends.session_id AND tasks.token = ends.token AND tasks.state =
    ? RETURNING id, partner_id, type, queue, state, priority, version, attempts, attempts_before,
    max_attempts, due_ms, run_at_ms, expires_ms, created_ms, started_ms, finished_ms, session_id, token,
    deadline_ms, cancel_requested_ms, suspect, progress_percent, progress_message, trace_id, dead_ms,
    dead_reason, batch_id;

-- _TASKS
SELECT tasks.id, tasks.partner_id, tasks.type, tasks.queue, tasks.state, tasks.priority, tasks.version,
    tasks.attempts, tasks.attempts_before, tasks.max_attempts, tasks.due_ms, tasks.run_at_ms,
    tasks.expires_ms, tasks.created_ms, tasks.started_ms, tasks.finished_ms, tasks.session_id, tasks.token,
    tasks.deadline_ms, tasks.cancel_requested_ms, tasks.suspect, tasks.progress_percent,
    tasks.progress_message, tasks.trace_id, tasks.dead_ms, tasks.dead_reason, tasks.batch_id,
    task_bodies.task_id, task_bodies.metadata, task_bodies.callback_url, task_bodies.callback_origin,
    task_bodies.endpoint_ids, task_bodies.events, task_bodies.trace_parent_id, task_bodies.trace_flags,
    task_bodies.trace_state, task_bodies.result, task_bodies.error_code, task_bodies.error_message,
    task_bodies.files, task_bodies.rerun_of FROM tasks JOIN task_bodies ON task_bodies.task_id = tasks.id JOIN
    (SELECT json_extract(ids_rows.value, '$[0]') AS id FROM json_each(?) AS ids_rows) AS ids ON tasks.id =
    ids.id;

-- tasks/progress.py

-- _REPORT
UPDATE tasks SET version=(tasks.version + ?), progress_percent=coalesce(reports.percent,
    tasks.progress_percent), progress_message=reports.message FROM (SELECT json_extract(reports_rows.value,
    '$[0]') AS id, json_extract(reports_rows.value, '$[1]') AS session_id, json_extract(reports_rows.value,
    '$[2]') AS token, json_extract(reports_rows.value, '$[3]') AS percent, json_extract(reports_rows.value,
    '$[4]') AS message FROM json_each(?) AS reports_rows) AS reports WHERE tasks.id = reports.id AND
    tasks.session_id IS reports.session_id AND tasks.token = reports.token AND tasks.state = ? RETURNING id,
    token, partner_id, version;

-- tasks/reruns.py

-- _SUBMITTED
SELECT tasks.id, tasks.partner_id, tasks.type, tasks.queue, tasks.priority, tasks.max_attempts,
    tasks.finished_ms, task_bodies.input, task_bodies.metadata, task_bodies.callback_url,
    task_bodies.callback_origin, task_bodies.endpoint_ids, task_bodies.events FROM tasks JOIN task_bodies ON
    task_bodies.task_id = tasks.id WHERE tasks.id = ?;

-- _SUBMITTED
SELECT tasks.id, tasks.partner_id, tasks.type, tasks.queue, tasks.priority, tasks.max_attempts,
    tasks.finished_ms, task_bodies.input, task_bodies.metadata, task_bodies.callback_url,
    task_bodies.callback_origin, task_bodies.endpoint_ids, task_bodies.events FROM tasks JOIN task_bodies ON
    task_bodies.task_id = tasks.id WHERE tasks.id = ? AND tasks.partner_id = ?;

-- _FILES
SELECT file_uses.file_id FROM file_uses WHERE file_uses.task_id = ? ORDER BY file_uses.file_id;

-- tasks/run_rows.py

-- _ADD
INSERT INTO runs (task_id, token, attempt, started_ms, finished_ms, outcome, error_code, error_message, host,
    pid, log, raised) SELECT runs_in.task_id, runs_in.token, runs_in.attempt, runs_in.started_ms,
    runs_in.finished_ms, runs_in.outcome, runs_in.error_code, runs_in.error_message, runs_in.host,
    runs_in.pid, runs_in.log, runs_in.raised FROM (SELECT json_extract(runs_in_rows.value, '$[0]') AS task_id,
    json_extract(runs_in_rows.value, '$[1]') AS token, json_extract(runs_in_rows.value, '$[2]') AS attempt,
    json_extract(runs_in_rows.value, '$[3]') AS started_ms, json_extract(runs_in_rows.value, '$[4]') AS
    finished_ms, json_extract(runs_in_rows.value, '$[5]') AS outcome, json_extract(runs_in_rows.value, '$[6]')
    AS error_code, json_extract(runs_in_rows.value, '$[7]') AS error_message, json_extract(runs_in_rows.value,
    '$[8]') AS host, json_extract(runs_in_rows.value, '$[9]') AS pid, json_extract(runs_in_rows.value,
    '$[10]') AS log, json_extract(runs_in_rows.value, '$[11]') AS raised FROM json_each(?) AS runs_in_rows) AS
    runs_in WHERE true;

-- tasks/runs.py

-- _TASK
SELECT tasks.type, tasks.state, tasks.attempts, tasks.started_ms, sessions.host, sessions.pid FROM tasks LEFT
    OUTER JOIN sessions ON sessions.id = tasks.session_id WHERE tasks.id = ?;

-- _TASK
SELECT tasks.type, tasks.state, tasks.attempts, tasks.started_ms, sessions.host, sessions.pid FROM tasks LEFT
    OUTER JOIN sessions ON sessions.id = tasks.session_id WHERE tasks.id = ? AND tasks.partner_id = ?;

-- _RUNS
SELECT runs.task_id, runs.token, runs.attempt, runs.started_ms, runs.finished_ms, runs.outcome,
    runs.error_code, runs.error_message, runs.host, runs.pid, runs.log, runs.raised FROM runs WHERE
    runs.task_id = ? ORDER BY runs.token LIMIT ? OFFSET ?;

-- _RUNS
SELECT runs.task_id, runs.token, runs.attempt, runs.started_ms, runs.finished_ms, runs.outcome,
    runs.error_code, runs.error_message, runs.host, runs.pid, runs.log, runs.raised FROM runs WHERE
    runs.task_id = ? AND runs.token > ? ORDER BY runs.token LIMIT ? OFFSET ?;

-- tasks/submit.py

-- _INSERT_TASKS
INSERT INTO tasks (id, partner_id, type, queue, state, priority, version, attempts, attempts_before,
    max_attempts, due_ms, run_at_ms, expires_ms, created_ms, token, suspect, trace_id, batch_id) SELECT
    rows.id, rows.partner_id, rows.type, rows.queue, rows.state, rows.priority, rows.version, rows.attempts,
    rows.attempts_before, rows.max_attempts, rows.due_ms, rows.run_at_ms, rows.expires_ms, rows.created_ms,
    rows.token, rows.suspect, rows.trace_id, rows.batch_id FROM (SELECT json_extract(rows_rows.value, '$[0]')
    AS id, json_extract(rows_rows.value, '$[1]') AS partner_id, json_extract(rows_rows.value, '$[2]') AS type,
    json_extract(rows_rows.value, '$[3]') AS queue, json_extract(rows_rows.value, '$[4]') AS state,
    json_extract(rows_rows.value, '$[5]') AS priority, json_extract(rows_rows.value, '$[6]') AS version,
    json_extract(rows_rows.value, '$[7]') AS attempts, json_extract(rows_rows.value, '$[8]') AS
    attempts_before, json_extract(rows_rows.value, '$[9]') AS max_attempts, json_extract(rows_rows.value,
    '$[10]') AS due_ms, json_extract(rows_rows.value, '$[11]') AS run_at_ms, json_extract(rows_rows.value,
    '$[12]') AS expires_ms, json_extract(rows_rows.value, '$[13]') AS created_ms,
    json_extract(rows_rows.value, '$[14]') AS token, json_extract(rows_rows.value, '$[15]') AS suspect,
    json_extract(rows_rows.value, '$[16]') AS trace_id, json_extract(rows_rows.value, '$[17]') AS batch_id
    FROM json_each(?) AS rows_rows) AS rows WHERE true;

-- _INSERT_BODIES
INSERT INTO task_bodies (task_id, input, metadata, callback_url, callback_origin, endpoint_ids, events,
    trace_parent_id, trace_flags, trace_state, rerun_of, idempotency_key) SELECT rows.task_id, rows.input,
    rows.metadata, rows.callback_url, rows.callback_origin, rows.endpoint_ids, rows.events,
    rows.trace_parent_id, rows.trace_flags, rows.trace_state, rows.rerun_of, rows.idempotency_key FROM (SELECT
    json_extract(rows_rows.value, '$[0]') AS task_id, json_extract(rows_rows.value, '$[1]') AS input,
    json_extract(rows_rows.value, '$[2]') AS metadata, json_extract(rows_rows.value, '$[3]') AS callback_url,
    json_extract(rows_rows.value, '$[4]') AS callback_origin, json_extract(rows_rows.value, '$[5]') AS
    endpoint_ids, json_extract(rows_rows.value, '$[6]') AS events, json_extract(rows_rows.value, '$[7]') AS
    trace_parent_id, json_extract(rows_rows.value, '$[8]') AS trace_flags, json_extract(rows_rows.value,
    '$[9]') AS trace_state, json_extract(rows_rows.value, '$[10]') AS rerun_of, json_extract(rows_rows.value,
    '$[11]') AS idempotency_key FROM json_each(?) AS rows_rows) AS rows WHERE true;

-- _ENSURE_QUEUES
INSERT INTO queues (name, paused_ms, vtime) SELECT rows.name, rows.paused_ms, rows.vtime FROM (SELECT
    json_extract(rows_rows.value, '$[0]') AS name, json_extract(rows_rows.value, '$[1]') AS paused_ms,
    json_extract(rows_rows.value, '$[2]') AS vtime FROM json_each(?) AS rows_rows) AS rows WHERE true ON
    CONFLICT DO NOTHING;

-- tasks/taken.py

-- _TAKE
UPDATE tasks SET state=?, version=(tasks.version + ?), attempts=(tasks.attempts + ?), started_ms=?,
    session_id=?, token=(tasks.token + ?), deadline_ms=(? + timeouts.timeout_ms), progress_percent=?,
    progress_message=? FROM (SELECT json_extract(ids_rows.value, '$[0]') AS id FROM json_each(?) AS ids_rows)
    AS ids, (SELECT json_extract(timeouts_rows.value, '$[0]') AS type, json_extract(timeouts_rows.value,
    '$[1]') AS timeout_ms FROM json_each(?) AS timeouts_rows) AS timeouts WHERE tasks.id = ids.id AND
    tasks.type = timeouts.type AND tasks.state IS ? RETURNING id AS id, partner_id AS partner_id, type AS
    type, queue AS queue, priority AS priority, version AS version, attempts AS attempts, attempts_before AS
    attempts_before, max_attempts AS max_attempts, token AS token, suspect AS suspect, trace_id AS trace_id,
    batch_id AS batch_id, created_ms AS created_ms, due_ms AS due_ms, started_ms AS started_ms, (SELECT
    partners.name FROM partners WHERE id = partner_id) AS partner_name, (SELECT task_bodies.input FROM
    task_bodies WHERE task_id = id) AS input, (SELECT task_bodies.metadata FROM task_bodies WHERE task_id =
    id) AS metadata, (SELECT task_bodies.events FROM task_bodies WHERE task_id = id) AS events, (SELECT
    task_bodies.trace_parent_id FROM task_bodies WHERE task_id = id) AS trace_parent_id, (SELECT
    task_bodies.trace_flags FROM task_bodies WHERE task_id = id) AS trace_flags, (SELECT
    task_bodies.trace_state FROM task_bodies WHERE task_id = id) AS trace_state, (SELECT
    task_bodies.callback_url IS NOT NULL OR task_bodies.endpoint_ids IS NOT NULL AS anon_1 FROM task_bodies
    WHERE task_id = id) AS addressed, EXISTS (SELECT * FROM endpoints WHERE partner_id = partner_id AND
    deleted_ms IS NULL AND (events LIKE '%' || ? || '%')) AS listens;

-- tasks/task_files.py

-- _USE
INSERT INTO file_uses (file_id, task_id) SELECT uses.file_id, uses.task_id FROM (SELECT
    json_extract(uses_rows.value, '$[0]') AS file_id, json_extract(uses_rows.value, '$[1]') AS task_id FROM
    json_each(?) AS uses_rows) AS uses WHERE true ON CONFLICT DO NOTHING;

-- _NEEDED
SELECT DISTINCT file_uses.file_id AS id FROM file_uses JOIN tasks ON tasks.id = file_uses.task_id WHERE
    file_uses.file_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) AND tasks.state != ? AND
    tasks.state != ? AND tasks.state != ? AND tasks.state != ?;

-- _OWNERS
SELECT tasks.id, tasks.batch_id FROM tasks WHERE tasks.id IN (SELECT files.task_id FROM files WHERE files.id =
    ? UNION SELECT file_uses.task_id FROM file_uses WHERE file_uses.file_id = ?);

-- _ATTACHED
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files."key", files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM
    files WHERE files.task_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1);

-- tasks/task_inputs.py

-- _ONE
SELECT task_bodies.input FROM task_bodies JOIN tasks ON tasks.id = task_bodies.task_id WHERE
    task_bodies.task_id = ?;

-- _ONE
SELECT task_bodies.input FROM task_bodies JOIN tasks ON tasks.id = task_bodies.task_id WHERE
    task_bodies.task_id = ? AND tasks.partner_id = ?;

-- tasks/task_keys.py

-- _TAKE_KEYS
INSERT INTO idempotency (partner_id, "key", fingerprint, outcome, created_ms) SELECT keys.partner_id,
    keys."key", keys.fingerprint, keys.outcome, keys.created_ms FROM (SELECT json_extract(keys_rows.value,
    '$[0]') AS partner_id, json_extract(keys_rows.value, '$[1]') AS "key", json_extract(keys_rows.value,
    '$[2]') AS fingerprint, json_extract(keys_rows.value, '$[3]') AS outcome, json_extract(keys_rows.value,
    '$[4]') AS created_ms FROM json_each(?) AS keys_rows) AS keys WHERE true ON CONFLICT (partner_id, "key")
    DO UPDATE SET fingerprint = excluded.fingerprint, outcome = excluded.outcome, sealed_by = ?, created_ms =
    excluded.created_ms WHERE idempotency.created_ms < ? RETURNING partner_id, "key";

-- _KEYS
SELECT idempotency.partner_id, idempotency."key", idempotency.fingerprint, idempotency.outcome FROM
    idempotency WHERE idempotency.partner_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) AND
    idempotency."key" IN (SELECT anon_2.value FROM json_each(?) AS anon_2) AND (idempotency.partner_id,
    idempotency."key") IN (SELECT keys.partner_id, keys."key" FROM (SELECT json_extract(keys_rows.value,
    '$[0]') AS partner_id, json_extract(keys_rows.value, '$[1]') AS "key" FROM json_each(?) AS keys_rows) AS
    keys);

-- tasks/task_listings.py

-- _PAGE
SELECT tasks.id, tasks.partner_id, tasks.type, tasks.queue, tasks.state, tasks.priority, tasks.version,
    tasks.attempts, tasks.attempts_before, tasks.max_attempts, tasks.due_ms, tasks.run_at_ms,
    tasks.expires_ms, tasks.created_ms, tasks.started_ms, tasks.finished_ms, tasks.session_id, tasks.token,
    tasks.deadline_ms, tasks.cancel_requested_ms, tasks.suspect, tasks.progress_percent,
    tasks.progress_message, tasks.trace_id, tasks.dead_ms, tasks.dead_reason, tasks.batch_id,
    task_bodies.task_id, task_bodies.metadata, task_bodies.callback_url, task_bodies.callback_origin,
    task_bodies.endpoint_ids, task_bodies.events, task_bodies.trace_parent_id, task_bodies.trace_flags,
    task_bodies.trace_state, task_bodies.result, task_bodies.error_code, task_bodies.error_message,
    task_bodies.files, task_bodies.rerun_of FROM tasks JOIN task_bodies ON task_bodies.task_id = tasks.id
    ORDER BY tasks.id DESC LIMIT ? OFFSET ?;

-- _PAGE
SELECT tasks.id, tasks.partner_id, tasks.type, tasks.queue, tasks.state, tasks.priority, tasks.version,
    tasks.attempts, tasks.attempts_before, tasks.max_attempts, tasks.due_ms, tasks.run_at_ms,
    tasks.expires_ms, tasks.created_ms, tasks.started_ms, tasks.finished_ms, tasks.session_id, tasks.token,
    tasks.deadline_ms, tasks.cancel_requested_ms, tasks.suspect, tasks.progress_percent,
    tasks.progress_message, tasks.trace_id, tasks.dead_ms, tasks.dead_reason, tasks.batch_id,
    task_bodies.task_id, task_bodies.metadata, task_bodies.callback_url, task_bodies.callback_origin,
    task_bodies.endpoint_ids, task_bodies.events, task_bodies.trace_parent_id, task_bodies.trace_flags,
    task_bodies.trace_state, task_bodies.result, task_bodies.error_code, task_bodies.error_message,
    task_bodies.files, task_bodies.rerun_of FROM tasks JOIN task_bodies ON task_bodies.task_id = tasks.id JOIN
    task_tags AS tagged_0 ON tagged_0.task_id = tasks.id AND tagged_0.tag = ? AND tagged_0.partner_id = ? JOIN
    task_tags AS tagged_1 ON tagged_1.task_id = tasks.id AND tagged_1.tag = ? AND tagged_1.partner_id = ? JOIN
    task_tags AS tagged_2 ON tagged_2.task_id = tasks.id AND tagged_2.tag = ? AND tagged_2.partner_id = ?
    WHERE tasks.partner_id = ? AND tasks.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) AND tasks.id
    < ? AND tasks.state = ? AND tasks.type = ? AND tasks.batch_id = ? AND task_bodies.idempotency_key = ? AND
    task_bodies.rerun_of = ? AND tasks.id >= ? AND tasks.id < ? ORDER BY tasks.id DESC LIMIT ? OFFSET ?;

-- _OF_EACH_PARTNER
SELECT tasks.id, tasks.partner_id, tasks.type, tasks.queue, tasks.state, tasks.priority, tasks.version,
    tasks.attempts, tasks.attempts_before, tasks.max_attempts, tasks.due_ms, tasks.run_at_ms,
    tasks.expires_ms, tasks.created_ms, tasks.started_ms, tasks.finished_ms, tasks.session_id, tasks.token,
    tasks.deadline_ms, tasks.cancel_requested_ms, tasks.suspect, tasks.progress_percent,
    tasks.progress_message, tasks.trace_id, tasks.dead_ms, tasks.dead_reason, tasks.batch_id,
    task_bodies.task_id, task_bodies.metadata, task_bodies.callback_url, task_bodies.callback_origin,
    task_bodies.endpoint_ids, task_bodies.events, task_bodies.trace_parent_id, task_bodies.trace_flags,
    task_bodies.trace_state, task_bodies.result, task_bodies.error_code, task_bodies.error_message,
    task_bodies.files, task_bodies.rerun_of FROM tasks JOIN task_bodies ON task_bodies.task_id = tasks.id
    WHERE tasks.id IN (SELECT tasks.id FROM (SELECT partners.id AS id FROM partners) AS whose JOIN tasks ON
    tasks.id IN (SELECT inner_tasks.id FROM tasks AS inner_tasks WHERE inner_tasks.partner_id = whose.id ORDER
    BY inner_tasks.id DESC LIMIT ? OFFSET ?) ORDER BY tasks.id) ORDER BY tasks.id DESC LIMIT ? OFFSET ?;

-- _OF_EACH_PARTNER
SELECT tasks.id, tasks.partner_id, tasks.type, tasks.queue, tasks.state, tasks.priority, tasks.version,
    tasks.attempts, tasks.attempts_before, tasks.max_attempts, tasks.due_ms, tasks.run_at_ms,
    tasks.expires_ms, tasks.created_ms, tasks.started_ms, tasks.finished_ms, tasks.session_id, tasks.token,
    tasks.deadline_ms, tasks.cancel_requested_ms, tasks.suspect, tasks.progress_percent,
    tasks.progress_message, tasks.trace_id, tasks.dead_ms, tasks.dead_reason, tasks.batch_id,
    task_bodies.task_id, task_bodies.metadata, task_bodies.callback_url, task_bodies.callback_origin,
    task_bodies.endpoint_ids, task_bodies.events, task_bodies.trace_parent_id, task_bodies.trace_flags,
    task_bodies.trace_state, task_bodies.result, task_bodies.error_code, task_bodies.error_message,
    task_bodies.files, task_bodies.rerun_of FROM tasks JOIN task_bodies ON task_bodies.task_id = tasks.id
    WHERE tasks.id IN (SELECT tasks.id FROM (SELECT partners.id AS id FROM partners) AS whose JOIN tasks ON
    tasks.id IN (SELECT inner_tasks.id FROM tasks AS inner_tasks JOIN task_tags AS tagged_0 ON
    tagged_0.task_id = inner_tasks.id AND tagged_0.tag = ? AND tagged_0.partner_id = whose.id JOIN task_tags
    AS tagged_1 ON tagged_1.task_id = inner_tasks.id AND tagged_1.tag = ? AND tagged_1.partner_id = whose.id
    JOIN task_tags AS tagged_2 ON tagged_2.task_id = inner_tasks.id AND tagged_2.tag = ? AND
    tagged_2.partner_id = whose.id WHERE inner_tasks.partner_id = whose.id AND tagged_0.task_id < ? AND
    inner_tasks.state = ? AND inner_tasks.type = ? AND (inner_tasks.type || ?) = ? AND tagged_0.task_id >= ?
    AND tagged_0.task_id < ? ORDER BY tagged_0.task_id DESC LIMIT ? OFFSET ?) ORDER BY tasks.id) ORDER BY
    tasks.id DESC LIMIT ? OFFSET ?;

-- _IN_STATE
SELECT tasks.id FROM tasks WHERE tasks.partner_id = ? AND tasks.state = ? LIMIT ? OFFSET ?;

-- _PLACE
SELECT tasks.id FROM tasks ORDER BY tasks.id DESC LIMIT ? OFFSET ?;

-- _PLACE
SELECT tasks.id FROM tasks WHERE tasks.id < ? ORDER BY tasks.id DESC LIMIT ? OFFSET ?;

-- tasks/task_tags.py

-- _ADD
INSERT INTO task_tags (tag, partner_id, task_id) SELECT tags.tag, tags.partner_id, tags.task_id FROM (SELECT
    json_extract(tags_rows.value, '$[0]') AS tag, json_extract(tags_rows.value, '$[1]') AS partner_id,
    json_extract(tags_rows.value, '$[2]') AS task_id FROM json_each(?) AS tags_rows) AS tags WHERE true;

-- _PAIRS
SELECT tasks.id, tasks.partner_id, task_bodies.metadata FROM tasks JOIN task_bodies ON task_bodies.task_id =
    tasks.id WHERE tasks.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1);

-- _DELETE
DELETE FROM task_tags WHERE task_tags.tag IN (SELECT anon_1.value FROM json_each(?) AS anon_1) AND
    (task_tags.tag, task_tags.partner_id, task_tags.task_id) IN (SELECT gone.tag, gone.partner_id,
    gone.task_id FROM (SELECT json_extract(gone_rows.value, '$[0]') AS tag, json_extract(gone_rows.value,
    '$[1]') AS partner_id, json_extract(gone_rows.value, '$[2]') AS task_id FROM json_each(?) AS gone_rows) AS
    gone);

-- tasks/task_types.py

-- _ALL
SELECT task_types.type, task_types.source, task_types.document FROM task_types ORDER BY task_types.type;

-- _DELETE
DELETE FROM task_types WHERE task_types.type = ?;

-- _INSERT
INSERT INTO task_types (type, source, document) VALUES (?, ?, ?) ON CONFLICT DO NOTHING;

-- _UPDATE
UPDATE task_types SET source=?, document=? WHERE task_types.type = ?;

-- tasks/tasks.py

-- _ONE
SELECT tasks.id, tasks.partner_id, tasks.type, tasks.queue, tasks.state, tasks.priority, tasks.version,
    tasks.attempts, tasks.attempts_before, tasks.max_attempts, tasks.due_ms, tasks.run_at_ms,
    tasks.expires_ms, tasks.created_ms, tasks.started_ms, tasks.finished_ms, tasks.session_id, tasks.token,
    tasks.deadline_ms, tasks.cancel_requested_ms, tasks.suspect, tasks.progress_percent,
    tasks.progress_message, tasks.trace_id, tasks.dead_ms, tasks.dead_reason, tasks.batch_id,
    task_bodies.task_id, task_bodies.metadata, task_bodies.callback_url, task_bodies.callback_origin,
    task_bodies.endpoint_ids, task_bodies.events, task_bodies.trace_parent_id, task_bodies.trace_flags,
    task_bodies.trace_state, task_bodies.result, task_bodies.error_code, task_bodies.error_message,
    task_bodies.files, task_bodies.rerun_of FROM tasks JOIN task_bodies ON task_bodies.task_id = tasks.id
    WHERE tasks.id = ?;

-- _ONE
SELECT tasks.id, tasks.partner_id, tasks.type, tasks.queue, tasks.state, tasks.priority, tasks.version,
    tasks.attempts, tasks.attempts_before, tasks.max_attempts, tasks.due_ms, tasks.run_at_ms,
    tasks.expires_ms, tasks.created_ms, tasks.started_ms, tasks.finished_ms, tasks.session_id, tasks.token,
    tasks.deadline_ms, tasks.cancel_requested_ms, tasks.suspect, tasks.progress_percent,
    tasks.progress_message, tasks.trace_id, tasks.dead_ms, tasks.dead_reason, tasks.batch_id,
    task_bodies.task_id, task_bodies.metadata, task_bodies.callback_url, task_bodies.callback_origin,
    task_bodies.endpoint_ids, task_bodies.events, task_bodies.trace_parent_id, task_bodies.trace_flags,
    task_bodies.trace_state, task_bodies.result, task_bodies.error_code, task_bodies.error_message,
    task_bodies.files, task_bodies.rerun_of FROM tasks JOIN task_bodies ON task_bodies.task_id = tasks.id
    WHERE tasks.id = ? AND tasks.partner_id = ?;

-- _COUNTS
SELECT deliveries.task_id, sum(CASE WHEN (deliveries.state = ?) THEN ? ELSE ? END) AS pending, sum(CASE WHEN
    (deliveries.state = ?) THEN ? ELSE ? END) AS delivered, sum(CASE WHEN (deliveries.state = ?) THEN ? ELSE ?
    END) AS dead, sum(CASE WHEN (deliveries.state = ?) THEN ? ELSE ? END) AS parked FROM deliveries WHERE
    deliveries.task_id = ? GROUP BY deliveries.task_id;

-- _VERSIONS
SELECT tasks.id, tasks.version FROM tasks JOIN (SELECT json_extract(ids_rows.value, '$[0]') AS id FROM
    json_each(?) AS ids_rows) AS ids ON tasks.id = ids.id;

-- _RUNS
SELECT runs.task_id, runs.token, runs.attempt, runs.started_ms, runs.finished_ms, runs.outcome,
    runs.error_code, runs.error_message FROM runs WHERE runs.task_id = ? ORDER BY runs.token;

-- _LOCK
SELECT tasks.id, tasks.partner_id, tasks.type, tasks.queue, tasks.state, tasks.priority, tasks.version,
    tasks.attempts, tasks.attempts_before, tasks.max_attempts, tasks.due_ms, tasks.run_at_ms,
    tasks.expires_ms, tasks.created_ms, tasks.started_ms, tasks.finished_ms, tasks.session_id, tasks.token,
    tasks.deadline_ms, tasks.cancel_requested_ms, tasks.suspect, tasks.progress_percent,
    tasks.progress_message, tasks.trace_id, tasks.dead_ms, tasks.dead_reason, tasks.batch_id FROM tasks WHERE
    tasks.id = ?;

-- _LOCK
SELECT tasks.id, tasks.partner_id, tasks.type, tasks.queue, tasks.state, tasks.priority, tasks.version,
    tasks.attempts, tasks.attempts_before, tasks.max_attempts, tasks.due_ms, tasks.run_at_ms,
    tasks.expires_ms, tasks.created_ms, tasks.started_ms, tasks.finished_ms, tasks.session_id, tasks.token,
    tasks.deadline_ms, tasks.cancel_requested_ms, tasks.suspect, tasks.progress_percent,
    tasks.progress_message, tasks.trace_id, tasks.dead_ms, tasks.dead_reason, tasks.batch_id FROM tasks WHERE
    tasks.id = ? AND tasks.partner_id = ?;

-- _CANCEL
UPDATE tasks SET state=?, version=?, finished_ms=? WHERE tasks.id = ?;

-- _ASK_TO_STOP
UPDATE tasks SET version=?, cancel_requested_ms=? WHERE tasks.id = ?;

-- _REPLAY
UPDATE tasks SET state=?, version=?, attempts_before=?, due_ms=?, expires_ms=?, started_ms=?, finished_ms=?,
    cancel_requested_ms=?, suspect=?, progress_percent=?, progress_message=?, dead_ms=?, dead_reason=? WHERE
    tasks.id = ?;

-- _TO_STOP
SELECT tasks.id FROM tasks WHERE tasks.session_id = ? AND tasks.cancel_requested_ms IS NOT NULL;

-- _COUNTS_OF
SELECT deliveries.task_id, sum(CASE WHEN (deliveries.state = ?) THEN ? ELSE ? END) AS pending, sum(CASE WHEN
    (deliveries.state = ?) THEN ? ELSE ? END) AS delivered, sum(CASE WHEN (deliveries.state = ?) THEN ? ELSE ?
    END) AS dead, sum(CASE WHEN (deliveries.state = ?) THEN ? ELSE ? END) AS parked FROM deliveries WHERE
    deliveries.task_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) GROUP BY deliveries.task_id;

-- tasks/type_limits.py

-- _BUSY
SELECT tasks.type, count(*) AS n FROM tasks WHERE tasks.session_id IS NOT NULL AND tasks.type IN (SELECT
    anon_1.value FROM json_each(?) AS anon_1) GROUP BY tasks.type;

-- _RATES
SELECT type_rates.type, type_rates.next_ms FROM type_rates WHERE type_rates.type IN (SELECT anon_1.value FROM
    json_each(?) AS anon_1);

-- _SPEND
INSERT INTO type_rates (type, next_ms) SELECT rates.type, rates.next_ms FROM (SELECT
    json_extract(rates_rows.value, '$[0]') AS type, json_extract(rates_rows.value, '$[1]') AS next_ms FROM
    json_each(?) AS rates_rows) AS rates WHERE true ON CONFLICT (type) DO UPDATE SET next_ms =
    excluded.next_ms;

-- traces.py

-- _PLACE
SELECT messages.trace_id, messages.trace_parent_id, messages.trace_flags, messages.trace_state FROM messages
    WHERE messages.id = ?;

-- _TASK
SELECT tasks.id, tasks.trace_id FROM tasks WHERE tasks.id = ?;

-- _TASK
SELECT tasks.id, tasks.trace_id FROM tasks WHERE tasks.id = ? AND tasks.partner_id = ?;

-- _MESSAGE
SELECT messages.id, messages.trace_id, messages.task_id FROM messages WHERE messages.id = ?;

-- _MESSAGE
SELECT messages.id, messages.trace_id, messages.task_id FROM messages WHERE messages.id = ? AND
    messages.partner_id = ?;

-- _MESSAGE_OF_DELIVERY
SELECT messages.id, messages.trace_id, messages.task_id FROM messages JOIN deliveries ON deliveries.message_id
    = messages.id WHERE deliveries.id = ?;

-- _MESSAGE_OF_DELIVERY
SELECT messages.id, messages.trace_id, messages.task_id FROM messages JOIN deliveries ON deliveries.message_id
    = messages.id WHERE deliveries.id = ? AND messages.partner_id = ?;

-- _TASKS_OF_TRACE
SELECT tasks.id FROM tasks WHERE tasks.trace_id = ? ORDER BY tasks.id LIMIT ? OFFSET ?;

-- _TASKS_OF_TRACE
SELECT tasks.id FROM tasks WHERE tasks.trace_id = ? AND tasks.partner_id = ? ORDER BY tasks.id LIMIT ? OFFSET
    ?;

-- _RUNS
SELECT runs.task_id, runs.token, runs.attempt, runs.started_ms, runs.finished_ms, runs.outcome,
    runs.error_code, runs.error_message FROM runs WHERE runs.task_id IN (SELECT anon_1.value FROM json_each(?)
    AS anon_1) ORDER BY runs.token DESC LIMIT ? OFFSET ?;

-- _TASKS
SELECT tasks.id, tasks.partner_id, tasks.type, tasks.queue, tasks.state, tasks.priority, tasks.version,
    tasks.attempts, tasks.attempts_before, tasks.max_attempts, tasks.due_ms, tasks.run_at_ms,
    tasks.expires_ms, tasks.created_ms, tasks.started_ms, tasks.finished_ms, tasks.session_id, tasks.token,
    tasks.deadline_ms, tasks.cancel_requested_ms, tasks.suspect, tasks.progress_percent,
    tasks.progress_message, tasks.trace_id, tasks.dead_ms, tasks.dead_reason, tasks.batch_id,
    task_bodies.task_id, task_bodies.metadata, task_bodies.callback_url, task_bodies.callback_origin,
    task_bodies.endpoint_ids, task_bodies.events, task_bodies.trace_parent_id, task_bodies.trace_flags,
    task_bodies.trace_state, NULL AS result, task_bodies.error_code, task_bodies.error_message,
    task_bodies.files, task_bodies.rerun_of FROM tasks JOIN task_bodies ON task_bodies.task_id = tasks.id
    WHERE tasks.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1) ORDER BY tasks.id;

-- upkeep/activity_spans.py

-- _KEEP
INSERT INTO activity_spans (kind, length_ms, at_ms, process_id, total, succeeded, times) SELECT spans.kind,
    spans.length_ms, spans.at_ms, spans.process_id, spans.total, spans.succeeded, spans.times FROM (SELECT
    json_extract(spans_rows.value, '$[0]') AS kind, json_extract(spans_rows.value, '$[1]') AS length_ms,
    json_extract(spans_rows.value, '$[2]') AS at_ms, json_extract(spans_rows.value, '$[3]') AS process_id,
    json_extract(spans_rows.value, '$[4]') AS total, json_extract(spans_rows.value, '$[5]') AS succeeded,
    json_extract(spans_rows.value, '$[6]') AS times FROM json_each(?) AS spans_rows) AS spans WHERE true ON
    CONFLICT (kind, length_ms, at_ms, process_id) DO UPDATE SET total = excluded.total, succeeded =
    excluded.succeeded, times = excluded.times;

-- _SINCE
SELECT activity_spans.kind, activity_spans.at_ms, activity_spans.total, activity_spans.succeeded,
    activity_spans.times FROM activity_spans WHERE activity_spans.kind = ? AND activity_spans.length_ms = ?
    AND activity_spans.at_ms >= ?;

-- _DROP
DELETE FROM activity_spans WHERE (activity_spans.kind, activity_spans.length_ms, activity_spans.at_ms,
    activity_spans.process_id) IN (SELECT activity_spans.kind, activity_spans.length_ms, activity_spans.at_ms,
    activity_spans.process_id FROM activity_spans WHERE activity_spans.kind = ? AND activity_spans.length_ms =
    ? AND activity_spans.at_ms < ? ORDER BY activity_spans.at_ms LIMIT ? OFFSET ?);

-- upkeep/diagnostics.py

-- _ENDED
SELECT sessions.id, sessions.kind, sessions.host, sessions.pid, sessions.detail, sessions.started_ms,
    sessions.lease_until_ms FROM sessions WHERE sessions.lease_until_ms <= ? ORDER BY sessions.lease_until_ms;

-- _TASKS_HELD
SELECT count(*) AS n FROM (SELECT tasks.id AS id FROM tasks WHERE tasks.session_id = ? LIMIT ? OFFSET ?) AS
    anon_1;

-- _DELIVERIES_HELD
SELECT count(*) AS n FROM (SELECT deliveries.id AS id FROM deliveries WHERE deliveries.session_id = ? LIMIT ?
    OFFSET ?) AS anon_1;

-- _A_PENDING
SELECT deliveries.id FROM deliveries WHERE deliveries.state = 'pending' LIMIT ? OFFSET ?;

-- _QUEUES
SELECT queues.name FROM queues;

-- _QUEUED_TYPES
SELECT anon_1.type, count(*) AS n FROM (SELECT tasks.type AS type FROM tasks WHERE tasks.state = 'queued' AND
    tasks.queue = ? ORDER BY tasks.due_ms LIMIT ? OFFSET ?) AS anon_1 GROUP BY anon_1.type;

-- _SCHEDULED_TYPES
SELECT anon_1.type, count(*) AS n FROM (SELECT tasks.type AS type FROM tasks WHERE tasks.state = 'scheduled'
    ORDER BY tasks.due_ms LIMIT ? OFFSET ?) AS anon_1 GROUP BY anon_1.type;

-- _AILING
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE
    endpoints.deleted_ms IS NULL AND (endpoints.state = ? OR endpoints.failing_since_ms IS NOT NULL) ORDER BY
    endpoints.failing_since_ms, endpoints.id LIMIT ? OFFSET ?;

-- _PARKED
SELECT count(*) AS n FROM (SELECT deliveries.id AS id FROM deliveries WHERE deliveries.state = 'parked' AND
    deliveries.endpoint_id = ? LIMIT ? OFFSET ?) AS anon_1;

-- _OPEN
SELECT lanes.id FROM lanes WHERE lanes.open_until_ms IS NOT NULL ORDER BY lanes.id LIMIT ? OFFSET ?;

-- _DEAD_DELIVERIES_SINCE
SELECT count(*) AS n FROM (SELECT deliveries.id AS id FROM deliveries WHERE state = 'dead' AND discarded_ms IS
    NULL AND deliveries.ended_ms >= ? LIMIT ? OFFSET ?) AS anon_1;

-- _DEAD_TASKS_SINCE
SELECT count(*) AS n FROM (SELECT tasks.id AS id FROM tasks WHERE dead_ms IS NOT NULL AND tasks.dead_ms >= ?
    LIMIT ? OFFSET ?) AS anon_1;

-- _GOOD_ADMIN_KEYS
SELECT count(*) AS n FROM (SELECT api_keys.id AS id FROM api_keys WHERE api_keys.partner_id IS NULL AND
    api_keys.revoked_ms IS NULL AND (api_keys.expires_ms IS NULL OR api_keys.expires_ms > ?) LIMIT ? OFFSET ?)
    AS anon_1;

-- upkeep/durability.py

-- _PROMISED
SELECT name, current_setting(name) FROM pg_settings WHERE name IN ('fsync', 'full_page_writes',
    'synchronous_commit', 'server_version');

-- upkeep/gauges.py

-- DEAD_DELIVERIES
SELECT count(*) AS n FROM (SELECT deliveries.id AS id FROM deliveries WHERE state = 'dead' AND discarded_ms IS
    NULL LIMIT ? OFFSET ?) AS anon_1;

-- DEAD_TASKS
SELECT count(*) AS n FROM (SELECT tasks.id AS id FROM tasks WHERE dead_ms IS NOT NULL LIMIT ? OFFSET ?) AS
    anon_1;

-- _OPEN_BREAKERS
SELECT count(*) AS n FROM (SELECT lanes.id AS id FROM lanes WHERE lanes.open_until_ms IS NOT NULL LIMIT ?
    OFFSET ?) AS anon_1;

-- upkeep/held.py

-- _HELD_TASKS
SELECT tasks.id AS id, tasks.partner_id AS partner_id, tasks.type AS type, tasks.queue AS queue,
    tasks.priority AS priority, tasks.version AS version, tasks.attempts AS attempts, tasks.attempts_before AS
    attempts_before, tasks.max_attempts AS max_attempts, tasks.token AS token, tasks.suspect AS suspect,
    tasks.trace_id AS trace_id, tasks.batch_id AS batch_id, tasks.created_ms AS created_ms, tasks.due_ms AS
    due_ms, tasks.started_ms AS started_ms, (SELECT partners.name FROM partners WHERE partners.id =
    tasks.partner_id) AS partner_name, task_bodies.input AS input, task_bodies.metadata AS metadata,
    task_bodies.events AS events, task_bodies.trace_parent_id AS trace_parent_id, task_bodies.trace_flags AS
    trace_flags, task_bodies.trace_state AS trace_state, task_bodies.callback_url IS NOT NULL OR
    task_bodies.endpoint_ids IS NOT NULL AS addressed, EXISTS (SELECT * FROM endpoints WHERE
    endpoints.partner_id = tasks.partner_id AND endpoints.deleted_ms IS NULL AND (endpoints.events LIKE '%' ||
    ? || '%')) AS listens FROM tasks JOIN task_bodies ON task_bodies.task_id = tasks.id WHERE tasks.session_id
    = ? ORDER BY tasks.id;

-- _HELD
SELECT deliveries.id FROM deliveries WHERE deliveries.session_id = ? AND deliveries.state = ?;

-- upkeep/rescue.py

-- _ENDED_SESSION
SELECT sessions.id, sessions.host, sessions.pid, sessions.detail FROM sessions WHERE sessions.lease_until_ms
    <= ? ORDER BY sessions.lease_until_ms LIMIT ? OFFSET ?;

-- _FORGET_SESSION
DELETE FROM sessions WHERE sessions.id = ?;

-- _HELD
SELECT tasks.id, tasks.partner_id, tasks.type, tasks.queue, tasks.state, tasks.priority, tasks.version,
    tasks.attempts, tasks.attempts_before, tasks.max_attempts, tasks.due_ms, tasks.run_at_ms,
    tasks.expires_ms, tasks.created_ms, tasks.started_ms, tasks.finished_ms, tasks.session_id, tasks.token,
    tasks.deadline_ms, tasks.cancel_requested_ms, tasks.suspect, tasks.progress_percent,
    tasks.progress_message, tasks.trace_id, tasks.dead_ms, tasks.dead_reason, tasks.batch_id FROM tasks WHERE
    tasks.session_id = ? ORDER BY tasks.id;

-- _LATE
SELECT tasks.id, tasks.partner_id, tasks.type, tasks.queue, tasks.state, tasks.priority, tasks.version,
    tasks.attempts, tasks.attempts_before, tasks.max_attempts, tasks.due_ms, tasks.run_at_ms,
    tasks.expires_ms, tasks.created_ms, tasks.started_ms, tasks.finished_ms, tasks.session_id, tasks.token,
    tasks.deadline_ms, tasks.cancel_requested_ms, tasks.suspect, tasks.progress_percent,
    tasks.progress_message, tasks.trace_id, tasks.dead_ms, tasks.dead_reason, tasks.batch_id FROM tasks WHERE
    tasks.session_id IS NOT NULL AND tasks.deadline_ms < ? LIMIT ? OFFSET ?;

-- _LOSE
UPDATE tasks SET state=?, version=?, attempts=?, finished_ms=?, session_id=?, deadline_ms=?, suspect=?,
    dead_ms=?, dead_reason=? WHERE tasks.id = ?;

-- upkeep/retention_steps.py

-- _FORGET_KEYS
DELETE FROM idempotency WHERE (idempotency.partner_id, idempotency."key") IN (SELECT idempotency.partner_id,
    idempotency."key" FROM idempotency WHERE idempotency.created_ms < ? ORDER BY idempotency.created_ms LIMIT
    ? OFFSET ?);

-- _DELETE_OLD_SECRETS
DELETE FROM secrets WHERE secrets.id IN (SELECT secrets.id FROM secrets WHERE secrets.expires_ms <= ? LIMIT ?
    OFFSET ?);

-- _DELETE_OLD_AUDIT
DELETE FROM audit WHERE audit.id IN (SELECT audit.id FROM audit WHERE audit.id < ? ORDER BY audit.id LIMIT ?
    OFFSET ?);

-- _DELETE_OLD_REPLAYS
DELETE FROM replays WHERE replays.id IN (SELECT replays.id FROM replays WHERE replays.created_ms < ? AND
    replays.finished_ms IS NOT NULL ORDER BY replays.id LIMIT ? OFFSET ?);

-- _DISCARD_DELIVERIES
UPDATE deliveries SET discarded_ms=? WHERE deliveries.id IN (SELECT deliveries.id FROM deliveries WHERE
    deliveries.state = 'dead' AND deliveries.discarded_ms IS NULL AND deliveries.ended_ms < ? ORDER BY
    deliveries.ended_ms, deliveries.id LIMIT ? OFFSET ?);

-- _DISCARD_TASKS
UPDATE tasks SET dead_ms=? WHERE tasks.id IN (SELECT tasks.id FROM tasks WHERE tasks.dead_ms IS NOT NULL AND
    tasks.dead_ms < ? ORDER BY tasks.dead_ms, tasks.id LIMIT ? OFFSET ?);

-- upkeep/retention_walks.py

-- _OF_TASKS.needed
SELECT DISTINCT deliveries.task_id AS id FROM deliveries WHERE deliveries.task_id IN (SELECT anon_1.value FROM
    json_each(?) AS anon_1) AND (deliveries.state = ? OR deliveries.state = ? OR deliveries.session_id IS NOT
    NULL OR deliveries.ended_ms >= ? OR deliveries.state = ? AND deliveries.discarded_ms IS NULL);

-- _OF_TASKS.delete_attempts
DELETE FROM attempts WHERE attempts.delivery_id IN (SELECT deliveries.id FROM deliveries WHERE
    deliveries.task_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1));

-- _OF_TASKS.delete
DELETE FROM deliveries WHERE deliveries.task_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1);

-- _OF_MESSAGES.needed
SELECT DISTINCT deliveries.message_id AS id FROM deliveries WHERE deliveries.message_id IN (SELECT
    anon_1.value FROM json_each(?) AS anon_1) AND (deliveries.state = ? OR deliveries.state = ? OR
    deliveries.session_id IS NOT NULL OR deliveries.ended_ms >= ? OR deliveries.state = ? AND
    deliveries.discarded_ms IS NULL);

-- _OF_MESSAGES.delete_attempts
DELETE FROM attempts WHERE attempts.delivery_id IN (SELECT deliveries.id FROM deliveries WHERE
    deliveries.message_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1));

-- _OF_MESSAGES.delete
DELETE FROM deliveries WHERE deliveries.message_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1);

-- _WALK_DELIVERIES
SELECT deliveries.id, deliveries.ended_ms FROM deliveries WHERE deliveries.id > ? AND deliveries.id < ? ORDER
    BY deliveries.id LIMIT ? OFFSET ?;

-- _DELETE_ATTEMPTS
DELETE FROM attempts WHERE attempts.delivery_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1);

-- _WALK_TASKS
SELECT tasks.id, tasks.state, tasks.finished_ms, tasks.dead_ms FROM tasks WHERE tasks.id > ? AND tasks.id < ?
    ORDER BY tasks.id LIMIT ? OFFSET ?;

-- _DELETE_TASKS[0]
DELETE FROM runs WHERE runs.task_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1);

-- _DELETE_TASKS[1]
DELETE FROM task_bodies WHERE task_bodies.task_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1);

-- _DELETE_TASKS[2]
DELETE FROM tasks WHERE tasks.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1);

-- _DELETE_MESSAGES_OF_TASKS
DELETE FROM messages WHERE messages.task_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1);

-- _WALK_BATCHES
SELECT batches.id, batches.completed_ms AS ended_ms FROM batches WHERE batches.id > ? AND batches.id < ? ORDER
    BY batches.id LIMIT ? OFFSET ?;

-- _NOT_EMPTY
SELECT DISTINCT tasks.batch_id AS id FROM tasks WHERE tasks.batch_id IN (SELECT anon_1.value FROM json_each(?)
    AS anon_1);

-- _DELETE_BATCHES[0]
DELETE FROM batch_counts WHERE batch_counts.batch_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1);

-- _DELETE_BATCHES[1]
DELETE FROM batches WHERE batches.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1);

-- _WALK_MESSAGES
SELECT messages.id, messages.task_id FROM messages WHERE messages.id > ? AND messages.id < ? ORDER BY
    messages.id LIMIT ? OFFSET ?;

-- _DELETE_MESSAGES
DELETE FROM messages WHERE messages.id IN (SELECT anon_1.value FROM json_each(?) AS anon_1);

-- upkeep/sessions.py

-- _BEGIN
INSERT INTO sessions (id, kind, host, pid, detail, started_ms, lease_until_ms) VALUES (?, ?, ?, ?, ?, ?, ?);

-- _RENEW
UPDATE sessions SET lease_until_ms=? WHERE sessions.id = ?;

-- _OVERRAN
UPDATE sessions SET detail=?, lease_until_ms=? WHERE sessions.id = ?;

-- _LEASE_ENDS
SELECT sessions.id, sessions.lease_until_ms FROM sessions;

-- _LIVE_OF_KIND
SELECT count(*) AS n FROM sessions WHERE sessions.kind = ? AND sessions.lease_until_ms > ?;

-- _LIVE
SELECT sessions.id, sessions.kind, sessions.host, sessions.pid, sessions.detail, sessions.started_ms,
    sessions.lease_until_ms FROM sessions WHERE sessions.lease_until_ms > ? ORDER BY sessions.started_ms;

-- upkeep/sweeps.py

-- _FALL_DUE
UPDATE tasks SET state=?, version=(tasks.version + ?), finished_ms=? WHERE tasks.id IN (SELECT tasks.id FROM
    tasks WHERE tasks.state = ? AND tasks.due_ms <= ? ORDER BY tasks.due_ms LIMIT ? OFFSET ?) AND tasks.state
    = ? RETURNING id, partner_id, queue, version, batch_id;

-- _SESSIONS
SELECT sessions.id FROM sessions;

-- _BUSY_LANES
SELECT lanes.id, lanes.in_flight FROM lanes WHERE lanes.in_flight > ? ORDER BY lanes.id;

-- _HELD
SELECT deliveries.lane_id, count(*) AS n FROM deliveries WHERE deliveries.session_id IS NOT NULL GROUP BY
    deliveries.lane_id;

-- _CORRECT
UPDATE lanes SET ready_ms=?, in_flight=true_counts.in_flight FROM (SELECT json_extract(true_counts_rows.value,
    '$[0]') AS id, json_extract(true_counts_rows.value, '$[1]') AS in_flight FROM json_each(?) AS
    true_counts_rows) AS true_counts WHERE lanes.id = true_counts.id;

-- _WITH_WORK
SELECT queues.name FROM queues WHERE queues.paused_ms IS NULL AND (EXISTS (SELECT tasks.id FROM tasks WHERE
    tasks.state = 'queued' AND tasks.queue = queues.name LIMIT ? OFFSET ?));

-- _SOONEST
SELECT (SELECT min(tasks.due_ms) AS min_1 FROM tasks WHERE tasks.state = 'scheduled') AS task_ms, (SELECT
    min(tasks.expires_ms) AS min_2 FROM tasks WHERE tasks.expires_ms IS NOT NULL AND tasks.state IN
    ('scheduled', 'queued')) AS expiry_ms, (SELECT min(sessions.lease_until_ms) AS min_3 FROM sessions) AS
    lease_ms;

-- upkeep/workers.py

-- _LIVE
SELECT sessions.id, sessions.kind, sessions.host, sessions.pid, sessions.detail, sessions.started_ms,
    sessions.lease_until_ms FROM sessions WHERE sessions.lease_until_ms > ? ORDER BY sessions.id LIMIT ?
    OFFSET ?;

-- _LIVE
SELECT sessions.id, sessions.kind, sessions.host, sessions.pid, sessions.detail, sessions.started_ms,
    sessions.lease_until_ms FROM sessions WHERE sessions.lease_until_ms > ? AND sessions.id > ? ORDER BY
    sessions.id LIMIT ? OFFSET ?;

-- _IN_FLIGHT
SELECT deliveries.session_id, count(*) AS n FROM deliveries WHERE deliveries.session_id IN (SELECT
    anon_1.value FROM json_each(?) AS anon_1) GROUP BY deliveries.session_id;

-- _HELD
SELECT tasks.session_id, tasks.id, tasks.type, tasks.partner_id, partners.name, tasks.attempts,
    tasks.started_ms, tasks.deadline_ms, tasks.cancel_requested_ms FROM tasks LEFT OUTER JOIN partners ON
    partners.id = tasks.partner_id WHERE tasks.session_id IN (SELECT anon_1.value FROM json_each(?) AS anon_1)
    ORDER BY tasks.started_ms, tasks.id;
