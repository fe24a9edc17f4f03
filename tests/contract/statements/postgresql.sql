-- What the store sends to postgresql. Written by `make statements` from `webhookd/adapters/store`.

-- access/api_keys.py

-- _GOOD
SELECT count(*) AS n FROM api_keys WHERE api_keys.partner_id = $1::VARCHAR AND api_keys.revoked_ms IS NULL AND
    (api_keys.expires_ms IS NULL OR api_keys.expires_ms > $2::BIGINT);

-- _ADD
INSERT INTO api_keys (id, partner_id, name, scopes, secret_hash, created_ms, expires_ms, revoked_ms,
    last_used_ms) VALUES ($1::VARCHAR, $2::VARCHAR, $3::VARCHAR, $4::VARCHAR, $5::VARCHAR, $6::BIGINT,
    $7::BIGINT, $8::BIGINT, $9::BIGINT);

-- _ONE
SELECT api_keys.id, api_keys.partner_id, api_keys.name, api_keys.scopes, api_keys.secret_hash,
    api_keys.created_ms, api_keys.expires_ms, api_keys.revoked_ms, api_keys.last_used_ms FROM api_keys WHERE
    api_keys.id = $1::VARCHAR;

-- _PAGE
SELECT api_keys.id, api_keys.partner_id, api_keys.name, api_keys.scopes, api_keys.secret_hash,
    api_keys.created_ms, api_keys.expires_ms, api_keys.revoked_ms, api_keys.last_used_ms FROM api_keys WHERE
    api_keys.partner_id IS NOT DISTINCT FROM $1::VARCHAR ORDER BY api_keys.id DESC LIMIT $2::INTEGER;

-- _PAGE
SELECT api_keys.id, api_keys.partner_id, api_keys.name, api_keys.scopes, api_keys.secret_hash,
    api_keys.created_ms, api_keys.expires_ms, api_keys.revoked_ms, api_keys.last_used_ms FROM api_keys WHERE
    api_keys.partner_id IS NOT DISTINCT FROM $1::VARCHAR AND api_keys.id < $2::VARCHAR ORDER BY api_keys.id
    DESC LIMIT $3::INTEGER;

-- _OF_PARTNERS
SELECT api_keys.id, api_keys.partner_id, api_keys.name, api_keys.scopes, api_keys.secret_hash,
    api_keys.created_ms, api_keys.expires_ms, api_keys.revoked_ms, api_keys.last_used_ms FROM api_keys WHERE
    api_keys.partner_id IS NOT NULL ORDER BY api_keys.id DESC LIMIT $1::INTEGER;

-- _OF_PARTNERS
SELECT api_keys.id, api_keys.partner_id, api_keys.name, api_keys.scopes, api_keys.secret_hash,
    api_keys.created_ms, api_keys.expires_ms, api_keys.revoked_ms, api_keys.last_used_ms FROM api_keys WHERE
    api_keys.partner_id IS NOT NULL AND api_keys.partner_id = $1::VARCHAR AND api_keys.id < $2::VARCHAR ORDER
    BY api_keys.id DESC LIMIT $3::INTEGER;

-- _REVOKE
UPDATE api_keys SET revoked_ms=$1::BIGINT WHERE api_keys.id = $2::VARCHAR AND api_keys.revoked_ms IS NULL;

-- access/audit.py

-- _ADD
INSERT INTO audit (id, at_ms, actor, action, target, partner_id, detail, key_id, address) VALUES ($1::VARCHAR,
    $2::BIGINT, $3::VARCHAR, $4::VARCHAR, $5::VARCHAR, $6::VARCHAR, $7::VARCHAR, $8::VARCHAR, $9::VARCHAR);

-- _PAGE
SELECT audit.id, audit.at_ms, audit.actor, audit.action, audit.target, audit.partner_id, audit.detail,
    audit.key_id, audit.address FROM audit ORDER BY audit.id DESC LIMIT $1::INTEGER;

-- _PAGE
SELECT audit.id, audit.at_ms, audit.actor, audit.action, audit.target, audit.partner_id, audit.detail,
    audit.key_id, audit.address FROM audit WHERE audit.actor = $1::VARCHAR AND audit.key_id = $2::VARCHAR AND
    audit.action = $3::VARCHAR AND audit.target = $4::VARCHAR AND audit.partner_id = $5::VARCHAR AND audit.id
    >= $6::VARCHAR AND audit.id < $7::VARCHAR AND audit.id < $8::VARCHAR ORDER BY audit.id DESC LIMIT
    $9::INTEGER;

-- access/idempotency.py

-- _FORGET
DELETE FROM idempotency WHERE idempotency.partner_id = $1::VARCHAR AND idempotency.key = $2::VARCHAR AND
    idempotency.created_ms < $3::BIGINT;

-- _CLAIM
INSERT INTO idempotency (partner_id, key, fingerprint, outcome, created_ms) VALUES ($1::VARCHAR, $2::VARCHAR,
    $3::VARCHAR, $4::VARCHAR, $5::BIGINT) ON CONFLICT DO NOTHING RETURNING idempotency.key;

-- _KEPT
SELECT idempotency.partner_id, idempotency.key, idempotency.fingerprint, idempotency.outcome,
    idempotency.sealed_by, idempotency.created_ms FROM idempotency WHERE idempotency.partner_id = $1::VARCHAR
    AND idempotency.key = $2::VARCHAR;

-- _KEEP
UPDATE idempotency SET outcome=$1::VARCHAR, sealed_by=$2::VARCHAR WHERE idempotency.partner_id = $3::VARCHAR
    AND idempotency.key = $4::VARCHAR;

-- _REMEMBERED
SELECT idempotency.partner_id, idempotency.key, idempotency.fingerprint, idempotency.outcome,
    idempotency.sealed_by, idempotency.created_ms FROM idempotency WHERE idempotency.partner_id = $1::VARCHAR
    AND idempotency.key = $2::VARCHAR AND idempotency.created_ms >= $3::BIGINT;

-- access/key_use.py

-- _COUNT
SELECT count(*) AS keys, min(anon_1.created_ms) AS oldest_ms FROM (SELECT idempotency.created_ms AS created_ms
    FROM idempotency WHERE idempotency.partner_id = $1::VARCHAR AND idempotency.created_ms >= $2::BIGINT LIMIT
    $3::INTEGER) AS anon_1;

-- access/last_used.py

-- _BEHIND
SELECT used.id, used.used_ms FROM (SELECT CAST(used_rows.value ->> 0 AS TEXT) AS id, CAST(used_rows.value ->>
    1 AS BIGINT) AS used_ms FROM json_array_elements(CAST($1::VARCHAR AS JSON)) AS used_rows WHERE
    json_typeof(used_rows.value) = 'array') AS used JOIN api_keys ON api_keys.id = used.id WHERE
    api_keys.last_used_ms IS NULL OR api_keys.last_used_ms <= used.used_ms - $2::BIGINT FOR NO KEY UPDATE OF
    api_keys SKIP LOCKED;

-- _KEEP
UPDATE api_keys SET last_used_ms=used.used_ms FROM (SELECT CAST(used_rows.value ->> 0 AS TEXT) AS id,
    CAST(used_rows.value ->> 1 AS BIGINT) AS used_ms FROM json_array_elements(CAST($1::VARCHAR AS JSON)) AS
    used_rows WHERE json_typeof(used_rows.value) = 'array') AS used WHERE api_keys.id = used.id;

-- access/page_sessions.py

-- _ADD
INSERT INTO page_sessions (id, kind, key_id, key_mark, partner_id, created_ms, expires_ms) VALUES
    ($1::VARCHAR, $2::VARCHAR, $3::VARCHAR, $4::VARCHAR, $5::VARCHAR, $6::BIGINT, $7::BIGINT);

-- _ONE
SELECT page_sessions.id, page_sessions.kind, page_sessions.key_id, page_sessions.key_mark,
    page_sessions.partner_id, page_sessions.created_ms, page_sessions.expires_ms FROM page_sessions WHERE
    page_sessions.id = $1::VARCHAR AND page_sessions.kind = $2::VARCHAR;

-- _REMOVE
DELETE FROM page_sessions WHERE page_sessions.id = $1::VARCHAR;

-- _REMOVE_ENDED
DELETE FROM page_sessions WHERE page_sessions.id IN (SELECT page_sessions.id FROM page_sessions WHERE
    page_sessions.expires_ms <= $1::BIGINT ORDER BY page_sessions.expires_ms LIMIT $2::INTEGER);

-- access/partner_use.py

-- _USE
SELECT (SELECT sum(depths.queued + depths.scheduled) AS sum_1 FROM depths WHERE depths.partner_id =
    $1::VARCHAR) AS queued, (SELECT file_usage.stored_files FROM file_usage WHERE file_usage.partner_id =
    $1::VARCHAR) AS stored_files, (SELECT file_usage.stored_bytes FROM file_usage WHERE file_usage.partner_id
    = $1::VARCHAR) AS stored_bytes, (SELECT count(*) AS count_1 FROM endpoints WHERE endpoints.partner_id =
    $1::VARCHAR AND endpoints.deleted_ms IS NULL) AS endpoints, (SELECT count(*) AS count_1 FROM api_keys
    WHERE api_keys.partner_id = $1::VARCHAR AND api_keys.revoked_ms IS NULL AND (api_keys.expires_ms IS NULL
    OR api_keys.expires_ms > $2::BIGINT)) AS keys, (SELECT count(*) AS count_1 FROM replays WHERE
    replays.partner_id = $1::VARCHAR AND replays.state IN ('running', 'paused')) AS replays;

-- access/partners.py

-- _ADD
INSERT INTO partners (id, name, weight, rate_per_second, burst, max_queued, suspended_ms, created_ms,
    task_types) VALUES ($1::VARCHAR, $2::VARCHAR, $3::INTEGER, $4::FLOAT, $5::INTEGER, $6::INTEGER,
    $7::BIGINT, $8::BIGINT, $9::VARCHAR);

-- _AMEND
UPDATE partners SET name=$1::VARCHAR, weight=$2::INTEGER, rate_per_second=$3::FLOAT, burst=$4::INTEGER,
    max_queued=$5::INTEGER, suspended_ms=$6::BIGINT, task_types=$7::VARCHAR WHERE partners.id = $8::VARCHAR;

-- _ONE
SELECT partners.id, partners.name, partners.weight, partners.rate_per_second, partners.burst,
    partners.max_queued, partners.suspended_ms, partners.created_ms, partners.task_types FROM partners WHERE
    partners.id = $1::VARCHAR;

-- _LOCK
SELECT partners.id FROM partners WHERE partners.id = $1::VARCHAR FOR UPDATE;

-- _BY_NAME
SELECT partners.id, partners.name, partners.weight, partners.rate_per_second, partners.burst,
    partners.max_queued, partners.suspended_ms, partners.created_ms, partners.task_types FROM partners WHERE
    partners.name = $1::VARCHAR;

-- _NAMES
SELECT partners.id, partners.name FROM partners WHERE partners.id = ANY ($1::TEXT[]);

-- _PAGE
SELECT partners.id, partners.name, partners.weight, partners.rate_per_second, partners.burst,
    partners.max_queued, partners.suspended_ms, partners.created_ms, partners.task_types FROM partners ORDER
    BY partners.id DESC LIMIT $1::INTEGER;

-- _PAGE
SELECT partners.id, partners.name, partners.weight, partners.rate_per_second, partners.burst,
    partners.max_queued, partners.suspended_ms, partners.created_ms, partners.task_types FROM partners WHERE
    partners.id < $1::VARCHAR ORDER BY partners.id DESC LIMIT $2::INTEGER;

-- access/sealed.py

-- _NEXT_KEY
SELECT min(idempotency.sealed_by) AS key_id FROM idempotency;

-- _NEXT_KEY
SELECT min(idempotency.sealed_by) AS key_id FROM idempotency WHERE idempotency.sealed_by > $1::VARCHAR;

-- LATEST_ANSWER
SELECT max(idempotency.created_ms) AS ms FROM idempotency WHERE idempotency.sealed_by = $1::VARCHAR;

-- KINDS[0].count
SELECT count(*) AS n FROM secrets WHERE substr(secrets.sealed, $1::INTEGER, $2::INTEGER) != $3;

-- KINDS[0].uses
SELECT substr(secrets.sealed, $1::INTEGER, $2::INTEGER) AS key_id, count(*) AS n FROM secrets WHERE
    substr(secrets.sealed, $1::INTEGER, $2::INTEGER) != $3 GROUP BY substr(secrets.sealed, $1::INTEGER,
    $2::INTEGER);

-- KINDS[0].walk
SELECT secrets.id, secrets.partner_id, secrets.endpoint_id, secrets.scheme, secrets.sealed,
    secrets.created_ms, secrets.expires_ms FROM secrets WHERE substr(secrets.sealed, $1::INTEGER, $2::INTEGER)
    = $3 ORDER BY secrets.id LIMIT $4::INTEGER;

-- KINDS[0].walk
SELECT secrets.id, secrets.partner_id, secrets.endpoint_id, secrets.scheme, secrets.sealed,
    secrets.created_ms, secrets.expires_ms FROM secrets WHERE substr(secrets.sealed, $1::INTEGER, $2::INTEGER)
    = $3 AND (secrets.id) > ($4::VARCHAR) ORDER BY secrets.id LIMIT $5::INTEGER;

-- KINDS[0].write
UPDATE secrets SET sealed=$1::VARCHAR WHERE secrets.id = $2::VARCHAR AND secrets.sealed = $3::VARCHAR;

-- KINDS[1].count
SELECT count(*) AS n FROM endpoints WHERE endpoints.headers_sealed IS NOT NULL AND
    substr(endpoints.headers_sealed, $1::INTEGER, $2::INTEGER) != $3;

-- KINDS[1].uses
SELECT substr(endpoints.headers_sealed, $1::INTEGER, $2::INTEGER) AS key_id, count(*) AS n FROM endpoints
    WHERE endpoints.headers_sealed IS NOT NULL AND substr(endpoints.headers_sealed, $1::INTEGER, $2::INTEGER)
    != $3 GROUP BY substr(endpoints.headers_sealed, $1::INTEGER, $2::INTEGER);

-- KINDS[1].walk
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE
    endpoints.headers_sealed IS NOT NULL AND substr(endpoints.headers_sealed, $1::INTEGER, $2::INTEGER) = $3
    ORDER BY endpoints.id LIMIT $4::INTEGER;

-- KINDS[1].walk
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE
    endpoints.headers_sealed IS NOT NULL AND substr(endpoints.headers_sealed, $1::INTEGER, $2::INTEGER) = $3
    AND (endpoints.id) > ($4::VARCHAR) ORDER BY endpoints.id LIMIT $5::INTEGER;

-- KINDS[1].write
UPDATE endpoints SET headers_sealed=$1::VARCHAR WHERE endpoints.id = $2::VARCHAR AND endpoints.headers_sealed
    = $3::VARCHAR;

-- KINDS[2].count
SELECT count(*) AS n FROM idempotency WHERE idempotency.sealed_by IS NOT NULL AND idempotency.created_ms >=
    $1::BIGINT AND idempotency.sealed_by != $2::VARCHAR;

-- KINDS[2].uses
SELECT idempotency.sealed_by AS key_id, count(*) AS n FROM idempotency WHERE idempotency.sealed_by IS NOT NULL
    AND idempotency.created_ms >= $1::BIGINT AND idempotency.sealed_by != $2::VARCHAR GROUP BY
    idempotency.sealed_by;

-- KINDS[2].walk
SELECT idempotency.partner_id, idempotency.key, idempotency.fingerprint, idempotency.outcome,
    idempotency.sealed_by, idempotency.created_ms FROM idempotency WHERE idempotency.sealed_by IS NOT NULL AND
    idempotency.created_ms >= $1::BIGINT AND idempotency.sealed_by = $2::VARCHAR ORDER BY
    idempotency.created_ms, idempotency.partner_id, idempotency.key LIMIT $3::INTEGER;

-- KINDS[2].walk
SELECT idempotency.partner_id, idempotency.key, idempotency.fingerprint, idempotency.outcome,
    idempotency.sealed_by, idempotency.created_ms FROM idempotency WHERE idempotency.sealed_by IS NOT NULL AND
    idempotency.created_ms >= $1::BIGINT AND idempotency.sealed_by = $2::VARCHAR AND (idempotency.created_ms,
    idempotency.partner_id, idempotency.key) > ($3::BIGINT, $4::VARCHAR, $5::VARCHAR) ORDER BY
    idempotency.created_ms, idempotency.partner_id, idempotency.key LIMIT $6::INTEGER;

-- KINDS[2].write
UPDATE idempotency SET outcome=$1::VARCHAR, sealed_by=$2::VARCHAR WHERE idempotency.partner_id = $3::VARCHAR
    AND idempotency.key = $4::VARCHAR AND idempotency.outcome = $5::VARCHAR;

-- clock.py

-- _CLOCK
SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS float8);

-- counters.py

-- _ADD
INSERT INTO depths (queue, partner_id, shard, scheduled, queued, running, finished) SELECT changes.queue,
    changes.partner_id, changes.shard, changes.scheduled, changes.queued, changes.running, changes.finished
    FROM (SELECT CAST(changes_rows.value ->> 0 AS TEXT) AS queue, CAST(changes_rows.value ->> 1 AS TEXT) AS
    partner_id, CAST(changes_rows.value ->> 2 AS TEXT) AS shard, CAST(changes_rows.value ->> 3 AS BIGINT) AS
    scheduled, CAST(changes_rows.value ->> 4 AS BIGINT) AS queued, CAST(changes_rows.value ->> 5 AS BIGINT) AS
    running, CAST(changes_rows.value ->> 6 AS BIGINT) AS finished FROM json_array_elements(CAST($1::VARCHAR AS
    JSON)) AS changes_rows WHERE json_typeof(changes_rows.value) = 'array') AS changes WHERE true ON CONFLICT
    (queue, partner_id, shard) DO UPDATE SET scheduled = (depths.scheduled + excluded.scheduled), queued =
    (depths.queued + excluded.queued), running = (depths.running + excluded.running), finished =
    (depths.finished + excluded.finished);

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
UPDATE queues SET paused_ms=$1::BIGINT WHERE queues.name = $2::VARCHAR;

-- _ENDED_SHARDS
SELECT depths.queue, depths.partner_id, depths.shard, depths.scheduled, depths.queued, depths.running,
    depths.finished FROM depths WHERE depths.shard != $1::VARCHAR AND NOT (depths.shard = ANY ($2::TEXT[]))
    FOR UPDATE;

-- _FORGET
DELETE FROM depths WHERE (depths.queue, depths.partner_id, depths.shard) IN (SELECT keys.queue,
    keys.partner_id, keys.shard FROM (SELECT CAST(keys_rows.value ->> 0 AS TEXT) AS queue,
    CAST(keys_rows.value ->> 1 AS TEXT) AS partner_id, CAST(keys_rows.value ->> 2 AS TEXT) AS shard FROM
    json_array_elements(CAST($1::VARCHAR AS JSON)) AS keys_rows WHERE json_typeof(keys_rows.value) = 'array')
    AS keys);

-- deliveries/attempt_rows.py

-- LOG_ATTEMPTS
INSERT INTO attempts (delivery_id, number, at_ms, duration_us, dns_us, connect_us, tls_us, first_byte_us,
    status, error, headers, excerpt, resent) SELECT rows.delivery_id, rows.number, rows.at_ms,
    rows.duration_us, rows.dns_us, rows.connect_us, rows.tls_us, rows.first_byte_us, rows.status, rows.error,
    rows.headers, rows.excerpt, rows.resent FROM (SELECT CAST(rows_rows.value ->> 0 AS TEXT) AS delivery_id,
    CAST(rows_rows.value ->> 1 AS INTEGER) AS number, CAST(rows_rows.value ->> 2 AS BIGINT) AS at_ms,
    CAST(rows_rows.value ->> 3 AS BIGINT) AS duration_us, CAST(rows_rows.value ->> 4 AS BIGINT) AS dns_us,
    CAST(rows_rows.value ->> 5 AS BIGINT) AS connect_us, CAST(rows_rows.value ->> 6 AS BIGINT) AS tls_us,
    CAST(rows_rows.value ->> 7 AS BIGINT) AS first_byte_us, CAST(rows_rows.value ->> 8 AS INTEGER) AS status,
    CAST(rows_rows.value ->> 9 AS TEXT) AS error, CAST(rows_rows.value ->> 10 AS TEXT) AS headers,
    CAST(rows_rows.value ->> 11 AS TEXT) AS excerpt, CAST(rows_rows.value ->> 12 AS BOOLEAN) AS resent FROM
    json_array_elements(CAST($1::VARCHAR AS JSON)) AS rows_rows WHERE json_typeof(rows_rows.value) = 'array')
    AS rows WHERE true ON CONFLICT DO NOTHING;

-- deliveries/changes.py

-- _POSITIONS
SELECT feeds.partner_id, feeds.last_seq FROM feeds;

-- _POSITIONS
SELECT feeds.partner_id, feeds.last_seq FROM feeds WHERE feeds.partner_id = ANY ($1::TEXT[]);

-- _ANNOUNCED
SELECT messages.task_id, messages.seq FROM messages WHERE messages.partner_id = $1::VARCHAR AND messages.seq >
    $2::BIGINT ORDER BY messages.seq LIMIT $3::INTEGER;

-- deliveries/dead_digests.py

-- _OF_LANES
SELECT dead_digests.lane_id, dead_digests.next_ms, dead_digests.died, dead_digests.delivery_id FROM
    dead_digests WHERE dead_digests.lane_id = ANY ($1::TEXT[]);

-- _WRITE
INSERT INTO dead_digests (lane_id, next_ms, died, delivery_id) SELECT digests.lane_id, digests.next_ms,
    digests.died, digests.delivery_id FROM (SELECT CAST(digests_rows.value ->> 0 AS TEXT) AS lane_id,
    CAST(digests_rows.value ->> 1 AS BIGINT) AS next_ms, CAST(digests_rows.value ->> 2 AS BIGINT) AS died,
    CAST(digests_rows.value ->> 3 AS TEXT) AS delivery_id FROM json_array_elements(CAST($1::VARCHAR AS JSON))
    AS digests_rows WHERE json_typeof(digests_rows.value) = 'array') AS digests WHERE true ON CONFLICT
    (lane_id) DO UPDATE SET next_ms = excluded.next_ms, died = excluded.died, delivery_id =
    excluded.delivery_id;

-- _DELIVERIES
SELECT deliveries.id, deliveries.message_id, deliveries.partner_id, deliveries.task_id, deliveries.task_type,
    deliveries.endpoint_id, deliveries.lane_id, deliveries.url, deliveries.event, deliveries.state,
    deliveries.once, deliveries.attempts, deliveries.attempts_before, deliveries.max_attempts,
    deliveries.due_ms, deliveries.session_id, deliveries.token, deliveries.last_status, deliveries.last_error,
    deliveries.dead_reason, deliveries.discarded_ms, deliveries.created_ms, deliveries.ended_ms,
    deliveries.replay_id, deliveries.replayed_attempts, coalesce(deliveries.url, endpoints.url, $1::VARCHAR)
    AS target_url, CASE WHEN (lanes.hold_ms > deliveries.due_ms) THEN lanes.hold_ms ELSE deliveries.due_ms END
    AS next_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id LEFT OUTER
    JOIN lanes ON lanes.id = deliveries.lane_id WHERE deliveries.id = ANY ($2::TEXT[]);

-- _DUE
SELECT dead_digests.lane_id AS id FROM dead_digests WHERE dead_digests.next_ms <= $1::BIGINT ORDER BY
    dead_digests.next_ms LIMIT $2::INTEGER;

-- _FORGET
DELETE FROM dead_digests WHERE dead_digests.lane_id = ANY ($1::TEXT[]);

-- deliveries/dead_letter_moves.py

-- _DISCARD_TASK
UPDATE tasks SET dead_ms=$1::BIGINT WHERE tasks.id = $2::VARCHAR AND tasks.dead_ms IS NOT NULL RETURNING
    tasks.id;

-- _DISCARD_TASK
UPDATE tasks SET dead_ms=$1::BIGINT WHERE tasks.id = $2::VARCHAR AND tasks.dead_ms IS NOT NULL AND
    tasks.partner_id = $3::VARCHAR RETURNING tasks.id;

-- _DISCARD_DELIVERY
UPDATE deliveries SET discarded_ms=$1::BIGINT WHERE deliveries.id = $2::VARCHAR AND deliveries.state = 'dead'
    AND deliveries.discarded_ms IS NULL RETURNING deliveries.id;

-- _DISCARD_DELIVERY
UPDATE deliveries SET discarded_ms=$1::BIGINT WHERE deliveries.id = $2::VARCHAR AND deliveries.state = 'dead'
    AND deliveries.discarded_ms IS NULL AND deliveries.partner_id = $3::VARCHAR RETURNING deliveries.id;

-- _DISCARD_TASKS
UPDATE tasks SET dead_ms=$1::BIGINT WHERE tasks.id = ANY ($2::TEXT[]) AND tasks.dead_ms IS NOT NULL RETURNING
    tasks.id;

-- _DISCARD_DELIVERIES
UPDATE deliveries SET discarded_ms=$1::BIGINT WHERE deliveries.id = ANY ($2::TEXT[]) AND deliveries.state =
    'dead' AND deliveries.discarded_ms IS NULL RETURNING deliveries.id;

-- _TASK
SELECT tasks.id FROM tasks WHERE tasks.id = $1::VARCHAR;

-- _TASK
SELECT tasks.id FROM tasks WHERE tasks.id = $1::VARCHAR AND tasks.partner_id = $2::VARCHAR;

-- _DELIVERY
SELECT deliveries.id FROM deliveries WHERE deliveries.id = $1::VARCHAR;

-- _DELIVERY
SELECT deliveries.id FROM deliveries WHERE deliveries.id = $1::VARCHAR AND deliveries.partner_id = $2::VARCHAR;

-- deliveries/dead_letters.py

-- _DELIVERIES.newest
SELECT deliveries.id, deliveries.partner_id, deliveries.ended_ms AS at_ms, deliveries.dead_reason,
    deliveries.task_id, deliveries.task_type AS type, deliveries.endpoint_id, coalesce(deliveries.url,
    endpoints.url) AS url, deliveries.event, deliveries.last_error FROM deliveries LEFT OUTER JOIN endpoints
    ON endpoints.id = deliveries.endpoint_id WHERE deliveries.state = 'dead' AND deliveries.discarded_ms IS
    NULL ORDER BY deliveries.ended_ms DESC, deliveries.id DESC LIMIT $1::INTEGER;

-- _DELIVERIES.newest
SELECT deliveries.id, deliveries.partner_id, deliveries.ended_ms AS at_ms, deliveries.dead_reason,
    deliveries.task_id, deliveries.task_type AS type, deliveries.endpoint_id, coalesce(deliveries.url,
    endpoints.url) AS url, deliveries.event, deliveries.last_error FROM deliveries LEFT OUTER JOIN endpoints
    ON endpoints.id = deliveries.endpoint_id WHERE deliveries.state = 'dead' AND deliveries.discarded_ms IS
    NULL AND endpoints.deleted_ms IS NULL AND deliveries.endpoint_id = $1::VARCHAR AND deliveries.endpoint_id
    IS NULL AND deliveries.id = ANY ($2::TEXT[]) AND deliveries.partner_id = $3::VARCHAR AND
    deliveries.dead_reason = $4::VARCHAR AND deliveries.task_type = $5::VARCHAR AND deliveries.event =
    $6::VARCHAR AND deliveries.last_error = $7::VARCHAR AND deliveries.last_status BETWEEN $8::INTEGER AND
    $9::INTEGER AND deliveries.last_error = $10::VARCHAR AND coalesce(deliveries.last_error, $11::VARCHAR)
    BETWEEN $12::VARCHAR AND $13::VARCHAR AND (lower(coalesce(deliveries.url, endpoints.url)) LIKE $14 ESCAPE
    '\' OR lower(deliveries.last_error) LIKE $14 ESCAPE '\' OR lower(deliveries.task_type) LIKE $14 ESCAPE
    '\') AND deliveries.ended_ms >= $15::BIGINT AND deliveries.ended_ms < $16::BIGINT AND deliveries.ended_ms
    >= $17::BIGINT AND (deliveries.ended_ms > $17::BIGINT OR deliveries.id > $18::VARCHAR) AND
    deliveries.ended_ms <= $19::BIGINT AND (deliveries.ended_ms < $19::BIGINT OR deliveries.id < $20::VARCHAR)
    ORDER BY deliveries.ended_ms DESC, deliveries.id DESC LIMIT $21::INTEGER;

-- _DELIVERIES.oldest
SELECT deliveries.id, deliveries.partner_id, deliveries.ended_ms AS at_ms, deliveries.dead_reason,
    deliveries.task_id, deliveries.task_type AS type, deliveries.endpoint_id, coalesce(deliveries.url,
    endpoints.url) AS url, deliveries.event, deliveries.last_error FROM deliveries LEFT OUTER JOIN endpoints
    ON endpoints.id = deliveries.endpoint_id WHERE deliveries.state = 'dead' AND deliveries.discarded_ms IS
    NULL ORDER BY deliveries.ended_ms, deliveries.id LIMIT $1::INTEGER;

-- _DELIVERIES.oldest
SELECT deliveries.id, deliveries.partner_id, deliveries.ended_ms AS at_ms, deliveries.dead_reason,
    deliveries.task_id, deliveries.task_type AS type, deliveries.endpoint_id, coalesce(deliveries.url,
    endpoints.url) AS url, deliveries.event, deliveries.last_error FROM deliveries LEFT OUTER JOIN endpoints
    ON endpoints.id = deliveries.endpoint_id WHERE deliveries.state = 'dead' AND deliveries.discarded_ms IS
    NULL AND endpoints.deleted_ms IS NULL AND deliveries.endpoint_id = $1::VARCHAR AND deliveries.endpoint_id
    IS NULL AND deliveries.id = ANY ($2::TEXT[]) AND deliveries.partner_id = $3::VARCHAR AND
    deliveries.dead_reason = $4::VARCHAR AND deliveries.task_type = $5::VARCHAR AND deliveries.event =
    $6::VARCHAR AND deliveries.last_error = $7::VARCHAR AND deliveries.last_status BETWEEN $8::INTEGER AND
    $9::INTEGER AND deliveries.last_error = $10::VARCHAR AND coalesce(deliveries.last_error, $11::VARCHAR)
    BETWEEN $12::VARCHAR AND $13::VARCHAR AND (lower(coalesce(deliveries.url, endpoints.url)) LIKE $14 ESCAPE
    '\' OR lower(deliveries.last_error) LIKE $14 ESCAPE '\' OR lower(deliveries.task_type) LIKE $14 ESCAPE
    '\') AND deliveries.ended_ms >= $15::BIGINT AND deliveries.ended_ms < $16::BIGINT AND deliveries.ended_ms
    >= $17::BIGINT AND (deliveries.ended_ms > $17::BIGINT OR deliveries.id > $18::VARCHAR) AND
    deliveries.ended_ms <= $19::BIGINT AND (deliveries.ended_ms < $19::BIGINT OR deliveries.id < $20::VARCHAR)
    ORDER BY deliveries.ended_ms, deliveries.id LIMIT $21::INTEGER;

-- _DELIVERIES.one
SELECT deliveries.id, deliveries.partner_id, deliveries.ended_ms AS at_ms, deliveries.dead_reason,
    deliveries.task_id, deliveries.task_type AS type, deliveries.endpoint_id, coalesce(deliveries.url,
    endpoints.url) AS url, deliveries.event, deliveries.last_error FROM deliveries LEFT OUTER JOIN endpoints
    ON endpoints.id = deliveries.endpoint_id WHERE deliveries.state = 'dead' AND deliveries.discarded_ms IS
    NULL AND deliveries.id = $1::VARCHAR;

-- _DELIVERIES.one
SELECT deliveries.id, deliveries.partner_id, deliveries.ended_ms AS at_ms, deliveries.dead_reason,
    deliveries.task_id, deliveries.task_type AS type, deliveries.endpoint_id, coalesce(deliveries.url,
    endpoints.url) AS url, deliveries.event, deliveries.last_error FROM deliveries LEFT OUTER JOIN endpoints
    ON endpoints.id = deliveries.endpoint_id WHERE deliveries.state = 'dead' AND deliveries.discarded_ms IS
    NULL AND endpoints.deleted_ms IS NULL AND deliveries.endpoint_id = $1::VARCHAR AND deliveries.endpoint_id
    IS NULL AND deliveries.id = ANY ($2::TEXT[]) AND deliveries.partner_id = $3::VARCHAR AND
    deliveries.dead_reason = $4::VARCHAR AND deliveries.task_type = $5::VARCHAR AND deliveries.event =
    $6::VARCHAR AND deliveries.last_error = $7::VARCHAR AND deliveries.last_status BETWEEN $8::INTEGER AND
    $9::INTEGER AND deliveries.last_error = $10::VARCHAR AND coalesce(deliveries.last_error, $11::VARCHAR)
    BETWEEN $12::VARCHAR AND $13::VARCHAR AND (lower(coalesce(deliveries.url, endpoints.url)) LIKE $14 ESCAPE
    '\' OR lower(deliveries.last_error) LIKE $14 ESCAPE '\' OR lower(deliveries.task_type) LIKE $14 ESCAPE
    '\') AND deliveries.ended_ms >= $15::BIGINT AND deliveries.ended_ms < $16::BIGINT AND deliveries.ended_ms
    >= $17::BIGINT AND (deliveries.ended_ms > $17::BIGINT OR deliveries.id > $18::VARCHAR) AND
    deliveries.ended_ms <= $19::BIGINT AND (deliveries.ended_ms < $19::BIGINT OR deliveries.id < $20::VARCHAR)
    AND deliveries.id = $21::VARCHAR;

-- _DELIVERIES.count
SELECT count(*) AS count_1 FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id
    WHERE deliveries.state = 'dead' AND deliveries.discarded_ms IS NULL;

-- _DELIVERIES.count
SELECT count(*) AS count_1 FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id
    WHERE deliveries.state = 'dead' AND deliveries.discarded_ms IS NULL AND endpoints.deleted_ms IS NULL AND
    deliveries.endpoint_id = $1::VARCHAR AND deliveries.endpoint_id IS NULL AND deliveries.id = ANY
    ($2::TEXT[]) AND deliveries.partner_id = $3::VARCHAR AND deliveries.dead_reason = $4::VARCHAR AND
    deliveries.task_type = $5::VARCHAR AND deliveries.event = $6::VARCHAR AND deliveries.last_error =
    $7::VARCHAR AND deliveries.last_status BETWEEN $8::INTEGER AND $9::INTEGER AND deliveries.last_error =
    $10::VARCHAR AND coalesce(deliveries.last_error, $11::VARCHAR) BETWEEN $12::VARCHAR AND $13::VARCHAR AND
    (lower(coalesce(deliveries.url, endpoints.url)) LIKE $14 ESCAPE '\' OR lower(deliveries.last_error) LIKE
    $14 ESCAPE '\' OR lower(deliveries.task_type) LIKE $14 ESCAPE '\') AND deliveries.ended_ms >= $15::BIGINT
    AND deliveries.ended_ms < $16::BIGINT AND deliveries.ended_ms >= $17::BIGINT AND (deliveries.ended_ms >
    $17::BIGINT OR deliveries.id > $18::VARCHAR) AND deliveries.ended_ms <= $19::BIGINT AND
    (deliveries.ended_ms < $19::BIGINT OR deliveries.id < $20::VARCHAR);

-- _TASKS.newest
SELECT tasks.id, tasks.partner_id, tasks.dead_ms AS at_ms, tasks.dead_reason, tasks.id AS task_id, tasks.type,
    task_bodies.error_code, task_bodies.error_message FROM tasks LEFT OUTER JOIN task_bodies ON
    task_bodies.task_id = tasks.id WHERE tasks.dead_ms IS NOT NULL ORDER BY tasks.dead_ms DESC, tasks.id DESC
    LIMIT $1::INTEGER;

-- _TASKS.newest
SELECT tasks.id, tasks.partner_id, tasks.dead_ms AS at_ms, tasks.dead_reason, tasks.id AS task_id, tasks.type,
    task_bodies.error_code, task_bodies.error_message FROM tasks LEFT OUTER JOIN task_bodies ON
    task_bodies.task_id = tasks.id WHERE tasks.dead_ms IS NOT NULL AND tasks.id = ANY ($1::TEXT[]) AND
    tasks.partner_id = $2::VARCHAR AND tasks.dead_reason = $3::VARCHAR AND tasks.type = $4::VARCHAR AND
    task_bodies.error_code = $5::VARCHAR AND (lower(task_bodies.error_message) LIKE $6 ESCAPE '\' OR
    lower(task_bodies.error_code) LIKE $6 ESCAPE '\' OR lower(tasks.type) LIKE $6 ESCAPE '\') AND
    tasks.dead_ms >= $7::BIGINT AND tasks.dead_ms < $8::BIGINT AND tasks.dead_ms >= $9::BIGINT AND
    (tasks.dead_ms > $9::BIGINT OR tasks.id > $10::VARCHAR) AND tasks.dead_ms <= $11::BIGINT AND
    (tasks.dead_ms < $11::BIGINT OR tasks.id < $12::VARCHAR) ORDER BY tasks.dead_ms DESC, tasks.id DESC LIMIT
    $13::INTEGER;

-- _TASKS.oldest
SELECT tasks.id, tasks.partner_id, tasks.dead_ms AS at_ms, tasks.dead_reason, tasks.id AS task_id, tasks.type,
    task_bodies.error_code, task_bodies.error_message FROM tasks LEFT OUTER JOIN task_bodies ON
    task_bodies.task_id = tasks.id WHERE tasks.dead_ms IS NOT NULL ORDER BY tasks.dead_ms, tasks.id LIMIT
    $1::INTEGER;

-- _TASKS.oldest
SELECT tasks.id, tasks.partner_id, tasks.dead_ms AS at_ms, tasks.dead_reason, tasks.id AS task_id, tasks.type,
    task_bodies.error_code, task_bodies.error_message FROM tasks LEFT OUTER JOIN task_bodies ON
    task_bodies.task_id = tasks.id WHERE tasks.dead_ms IS NOT NULL AND tasks.id = ANY ($1::TEXT[]) AND
    tasks.partner_id = $2::VARCHAR AND tasks.dead_reason = $3::VARCHAR AND tasks.type = $4::VARCHAR AND
    task_bodies.error_code = $5::VARCHAR AND (lower(task_bodies.error_message) LIKE $6 ESCAPE '\' OR
    lower(task_bodies.error_code) LIKE $6 ESCAPE '\' OR lower(tasks.type) LIKE $6 ESCAPE '\') AND
    tasks.dead_ms >= $7::BIGINT AND tasks.dead_ms < $8::BIGINT AND tasks.dead_ms >= $9::BIGINT AND
    (tasks.dead_ms > $9::BIGINT OR tasks.id > $10::VARCHAR) AND tasks.dead_ms <= $11::BIGINT AND
    (tasks.dead_ms < $11::BIGINT OR tasks.id < $12::VARCHAR) ORDER BY tasks.dead_ms, tasks.id LIMIT
    $13::INTEGER;

-- _TASKS.one
SELECT tasks.id, tasks.partner_id, tasks.dead_ms AS at_ms, tasks.dead_reason, tasks.id AS task_id, tasks.type,
    task_bodies.error_code, task_bodies.error_message FROM tasks LEFT OUTER JOIN task_bodies ON
    task_bodies.task_id = tasks.id WHERE tasks.dead_ms IS NOT NULL AND tasks.id = $1::VARCHAR;

-- _TASKS.one
SELECT tasks.id, tasks.partner_id, tasks.dead_ms AS at_ms, tasks.dead_reason, tasks.id AS task_id, tasks.type,
    task_bodies.error_code, task_bodies.error_message FROM tasks LEFT OUTER JOIN task_bodies ON
    task_bodies.task_id = tasks.id WHERE tasks.dead_ms IS NOT NULL AND tasks.id = ANY ($1::TEXT[]) AND
    tasks.partner_id = $2::VARCHAR AND tasks.dead_reason = $3::VARCHAR AND tasks.type = $4::VARCHAR AND
    task_bodies.error_code = $5::VARCHAR AND (lower(task_bodies.error_message) LIKE $6 ESCAPE '\' OR
    lower(task_bodies.error_code) LIKE $6 ESCAPE '\' OR lower(tasks.type) LIKE $6 ESCAPE '\') AND
    tasks.dead_ms >= $7::BIGINT AND tasks.dead_ms < $8::BIGINT AND tasks.dead_ms >= $9::BIGINT AND
    (tasks.dead_ms > $9::BIGINT OR tasks.id > $10::VARCHAR) AND tasks.dead_ms <= $11::BIGINT AND
    (tasks.dead_ms < $11::BIGINT OR tasks.id < $12::VARCHAR) AND tasks.id = $13::VARCHAR;

-- _TASKS.count
SELECT count(*) AS count_1 FROM tasks LEFT OUTER JOIN task_bodies ON task_bodies.task_id = tasks.id WHERE
    tasks.dead_ms IS NOT NULL;

-- _TASKS.count
SELECT count(*) AS count_1 FROM tasks LEFT OUTER JOIN task_bodies ON task_bodies.task_id = tasks.id WHERE
    tasks.dead_ms IS NOT NULL AND tasks.id = ANY ($1::TEXT[]) AND tasks.partner_id = $2::VARCHAR AND
    tasks.dead_reason = $3::VARCHAR AND tasks.type = $4::VARCHAR AND task_bodies.error_code = $5::VARCHAR AND
    (lower(task_bodies.error_message) LIKE $6 ESCAPE '\' OR lower(task_bodies.error_code) LIKE $6 ESCAPE '\'
    OR lower(tasks.type) LIKE $6 ESCAPE '\') AND tasks.dead_ms >= $7::BIGINT AND tasks.dead_ms < $8::BIGINT
    AND tasks.dead_ms >= $9::BIGINT AND (tasks.dead_ms > $9::BIGINT OR tasks.id > $10::VARCHAR) AND
    tasks.dead_ms <= $11::BIGINT AND (tasks.dead_ms < $11::BIGINT OR tasks.id < $12::VARCHAR);

-- deliveries/deliveries.py

-- _ONE
SELECT deliveries.id, deliveries.message_id, deliveries.partner_id, deliveries.task_id, deliveries.task_type,
    deliveries.endpoint_id, deliveries.lane_id, deliveries.url, deliveries.event, deliveries.state,
    deliveries.once, deliveries.attempts, deliveries.attempts_before, deliveries.max_attempts,
    deliveries.due_ms, deliveries.session_id, deliveries.token, deliveries.last_status, deliveries.last_error,
    deliveries.dead_reason, deliveries.discarded_ms, deliveries.created_ms, deliveries.ended_ms,
    deliveries.replay_id, deliveries.replayed_attempts, coalesce(deliveries.url, endpoints.url, $1::VARCHAR)
    AS target_url, CASE WHEN (lanes.hold_ms > deliveries.due_ms) THEN lanes.hold_ms ELSE deliveries.due_ms END
    AS next_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id LEFT OUTER
    JOIN lanes ON lanes.id = deliveries.lane_id WHERE deliveries.id = $2::VARCHAR;

-- _ONE
SELECT deliveries.id, deliveries.message_id, deliveries.partner_id, deliveries.task_id, deliveries.task_type,
    deliveries.endpoint_id, deliveries.lane_id, deliveries.url, deliveries.event, deliveries.state,
    deliveries.once, deliveries.attempts, deliveries.attempts_before, deliveries.max_attempts,
    deliveries.due_ms, deliveries.session_id, deliveries.token, deliveries.last_status, deliveries.last_error,
    deliveries.dead_reason, deliveries.discarded_ms, deliveries.created_ms, deliveries.ended_ms,
    deliveries.replay_id, deliveries.replayed_attempts, coalesce(deliveries.url, endpoints.url, $1::VARCHAR)
    AS target_url, CASE WHEN (lanes.hold_ms > deliveries.due_ms) THEN lanes.hold_ms ELSE deliveries.due_ms END
    AS next_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id LEFT OUTER
    JOIN lanes ON lanes.id = deliveries.lane_id WHERE deliveries.id = $2::VARCHAR AND deliveries.partner_id =
    $3::VARCHAR;

-- _SIGNED
SELECT messages.body, endpoints.header_names FROM deliveries LEFT OUTER JOIN messages ON messages.id =
    deliveries.message_id LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id WHERE
    deliveries.id = $1::VARCHAR;

-- _NEWEST
SELECT attempts.delivery_id, attempts.number, attempts.at_ms, attempts.duration_us, attempts.dns_us,
    attempts.connect_us, attempts.tls_us, attempts.first_byte_us, attempts.status, attempts.error,
    attempts.resent, attempts.headers, attempts.excerpt FROM attempts WHERE attempts.delivery_id = $1::VARCHAR
    ORDER BY attempts.number DESC LIMIT $2::INTEGER;

-- _COUNT
SELECT count(*) AS made FROM attempts WHERE attempts.delivery_id = $1::VARCHAR;

-- _LOCK
SELECT deliveries.id, deliveries.message_id, deliveries.partner_id, deliveries.task_id, deliveries.task_type,
    deliveries.endpoint_id, deliveries.lane_id, deliveries.url, deliveries.event, deliveries.state,
    deliveries.once, deliveries.attempts, deliveries.attempts_before, deliveries.max_attempts,
    deliveries.due_ms, deliveries.session_id, deliveries.token, deliveries.last_status, deliveries.last_error,
    deliveries.dead_reason, deliveries.discarded_ms, deliveries.created_ms, deliveries.ended_ms,
    deliveries.replay_id, deliveries.replayed_attempts, coalesce(deliveries.url, endpoints.url, $1::VARCHAR)
    AS target_url, CASE WHEN (lanes.hold_ms > deliveries.due_ms) THEN lanes.hold_ms ELSE deliveries.due_ms END
    AS next_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id LEFT OUTER
    JOIN lanes ON lanes.id = deliveries.lane_id WHERE deliveries.id = $2::VARCHAR FOR UPDATE OF deliveries;

-- _LOCK
SELECT deliveries.id, deliveries.message_id, deliveries.partner_id, deliveries.task_id, deliveries.task_type,
    deliveries.endpoint_id, deliveries.lane_id, deliveries.url, deliveries.event, deliveries.state,
    deliveries.once, deliveries.attempts, deliveries.attempts_before, deliveries.max_attempts,
    deliveries.due_ms, deliveries.session_id, deliveries.token, deliveries.last_status, deliveries.last_error,
    deliveries.dead_reason, deliveries.discarded_ms, deliveries.created_ms, deliveries.ended_ms,
    deliveries.replay_id, deliveries.replayed_attempts, coalesce(deliveries.url, endpoints.url, $1::VARCHAR)
    AS target_url, CASE WHEN (lanes.hold_ms > deliveries.due_ms) THEN lanes.hold_ms ELSE deliveries.due_ms END
    AS next_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id LEFT OUTER
    JOIN lanes ON lanes.id = deliveries.lane_id WHERE deliveries.id = $2::VARCHAR AND deliveries.partner_id =
    $3::VARCHAR FOR UPDATE OF deliveries;

-- _CANCEL
UPDATE deliveries SET state=$1::VARCHAR, due_ms=CASE WHEN (deliveries.session_id IS NULL) THEN NULL ELSE
    deliveries.due_ms END, ended_ms=$2::BIGINT WHERE deliveries.id = $3::VARCHAR;

-- _STANDING
SELECT endpoints.deleted_ms, endpoints.disabled_reason FROM deliveries LEFT OUTER JOIN endpoints ON
    endpoints.id = deliveries.endpoint_id WHERE deliveries.id = $1::VARCHAR;

-- _STANDING
SELECT endpoints.deleted_ms, endpoints.disabled_reason FROM deliveries LEFT OUTER JOIN endpoints ON
    endpoints.id = deliveries.endpoint_id WHERE deliveries.id = $1::VARCHAR AND deliveries.partner_id =
    $2::VARCHAR;

-- deliveries/delivery_listings.py

-- _PAGE
SELECT deliveries.id, deliveries.message_id, deliveries.partner_id, deliveries.task_id, deliveries.task_type,
    deliveries.endpoint_id, deliveries.lane_id, deliveries.url, deliveries.event, deliveries.state,
    deliveries.once, deliveries.attempts, deliveries.attempts_before, deliveries.max_attempts,
    deliveries.due_ms, deliveries.session_id, deliveries.token, deliveries.last_status, deliveries.last_error,
    deliveries.dead_reason, deliveries.discarded_ms, deliveries.created_ms, deliveries.ended_ms,
    deliveries.replay_id, deliveries.replayed_attempts, coalesce(deliveries.url, endpoints.url, $1::VARCHAR)
    AS target_url, CASE WHEN (lanes.hold_ms > deliveries.due_ms) THEN lanes.hold_ms ELSE deliveries.due_ms END
    AS next_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id LEFT OUTER
    JOIN lanes ON lanes.id = deliveries.lane_id ORDER BY deliveries.id DESC LIMIT $2::INTEGER;

-- _PAGE
SELECT deliveries.id, deliveries.message_id, deliveries.partner_id, deliveries.task_id, deliveries.task_type,
    deliveries.endpoint_id, deliveries.lane_id, deliveries.url, deliveries.event, deliveries.state,
    deliveries.once, deliveries.attempts, deliveries.attempts_before, deliveries.max_attempts,
    deliveries.due_ms, deliveries.session_id, deliveries.token, deliveries.last_status, deliveries.last_error,
    deliveries.dead_reason, deliveries.discarded_ms, deliveries.created_ms, deliveries.ended_ms,
    deliveries.replay_id, deliveries.replayed_attempts, coalesce(deliveries.url, endpoints.url, $1::VARCHAR)
    AS target_url, CASE WHEN (lanes.hold_ms > deliveries.due_ms) THEN lanes.hold_ms ELSE deliveries.due_ms END
    AS next_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id LEFT OUTER
    JOIN lanes ON lanes.id = deliveries.lane_id WHERE deliveries.id < $2::VARCHAR AND deliveries.state =
    $3::VARCHAR AND deliveries.endpoint_id = $4::VARCHAR AND deliveries.task_id = $5::VARCHAR AND
    deliveries.id >= $6::VARCHAR AND deliveries.id < $7::VARCHAR AND deliveries.task_type = $8::VARCHAR AND
    deliveries.event = $9::VARCHAR AND deliveries.last_error = $10::VARCHAR AND deliveries.last_status BETWEEN
    $11::INTEGER AND $12::INTEGER AND deliveries.last_error = $13::VARCHAR AND deliveries.last_error BETWEEN
    $14::VARCHAR AND $15::VARCHAR AND deliveries.partner_id = $16::VARCHAR AND deliveries.id = ANY
    ($17::TEXT[]) ORDER BY deliveries.id DESC LIMIT $18::INTEGER;

-- _IDS
SELECT deliveries.id FROM deliveries ORDER BY deliveries.id DESC LIMIT $1::INTEGER;

-- _IDS
SELECT deliveries.id FROM deliveries WHERE deliveries.id < $1::VARCHAR AND deliveries.state = $2::VARCHAR AND
    deliveries.endpoint_id = $3::VARCHAR AND deliveries.task_id = $4::VARCHAR AND deliveries.id >= $5::VARCHAR
    AND deliveries.id < $6::VARCHAR AND deliveries.task_type = $7::VARCHAR AND deliveries.event = $8::VARCHAR
    AND deliveries.last_error = $9::VARCHAR AND deliveries.last_status BETWEEN $10::INTEGER AND $11::INTEGER
    AND deliveries.last_error = $12::VARCHAR AND deliveries.last_error BETWEEN $13::VARCHAR AND $14::VARCHAR
    AND deliveries.partner_id = $15::VARCHAR ORDER BY deliveries.id DESC LIMIT $16::INTEGER;

-- _OF_EACH_PARTNER
SELECT deliveries.id, deliveries.message_id, deliveries.partner_id, deliveries.task_id, deliveries.task_type,
    deliveries.endpoint_id, deliveries.lane_id, deliveries.url, deliveries.event, deliveries.state,
    deliveries.once, deliveries.attempts, deliveries.attempts_before, deliveries.max_attempts,
    deliveries.due_ms, deliveries.session_id, deliveries.token, deliveries.last_status, deliveries.last_error,
    deliveries.dead_reason, deliveries.discarded_ms, deliveries.created_ms, deliveries.ended_ms,
    deliveries.replay_id, deliveries.replayed_attempts, coalesce(deliveries.url, endpoints.url, $1::VARCHAR)
    AS target_url, CASE WHEN (lanes.hold_ms > deliveries.due_ms) THEN lanes.hold_ms ELSE deliveries.due_ms END
    AS next_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id LEFT OUTER
    JOIN lanes ON lanes.id = deliveries.lane_id WHERE deliveries.id IN (SELECT line.id FROM (SELECT
    partners.id AS id FROM partners) AS whose JOIN LATERAL (SELECT inner_deliveries.id AS id FROM deliveries
    AS inner_deliveries WHERE inner_deliveries.partner_id = whose.id AND inner_deliveries.state = $2::VARCHAR
    ORDER BY inner_deliveries.id DESC LIMIT $3::INTEGER) AS line ON true ORDER BY line.id) ORDER BY
    deliveries.id DESC LIMIT $3::INTEGER;

-- _OF_EACH_PARTNER
SELECT deliveries.id, deliveries.message_id, deliveries.partner_id, deliveries.task_id, deliveries.task_type,
    deliveries.endpoint_id, deliveries.lane_id, deliveries.url, deliveries.event, deliveries.state,
    deliveries.once, deliveries.attempts, deliveries.attempts_before, deliveries.max_attempts,
    deliveries.due_ms, deliveries.session_id, deliveries.token, deliveries.last_status, deliveries.last_error,
    deliveries.dead_reason, deliveries.discarded_ms, deliveries.created_ms, deliveries.ended_ms,
    deliveries.replay_id, deliveries.replayed_attempts, coalesce(deliveries.url, endpoints.url, $1::VARCHAR)
    AS target_url, CASE WHEN (lanes.hold_ms > deliveries.due_ms) THEN lanes.hold_ms ELSE deliveries.due_ms END
    AS next_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id LEFT OUTER
    JOIN lanes ON lanes.id = deliveries.lane_id WHERE deliveries.id IN (SELECT line.id FROM (SELECT
    partners.id AS id FROM partners) AS whose JOIN LATERAL (SELECT inner_deliveries.id AS id FROM deliveries
    AS inner_deliveries WHERE inner_deliveries.partner_id = whose.id AND inner_deliveries.state = $2::VARCHAR
    AND inner_deliveries.id < $3::VARCHAR AND inner_deliveries.id >= $4::VARCHAR AND inner_deliveries.id <
    $5::VARCHAR AND inner_deliveries.task_type = $6::VARCHAR AND inner_deliveries.event = $7::VARCHAR ORDER BY
    inner_deliveries.id DESC LIMIT $8::INTEGER) AS line ON true ORDER BY line.id) ORDER BY deliveries.id DESC
    LIMIT $8::INTEGER;

-- deliveries/feeds.py

-- _TAKE_FEED
INSERT INTO feeds (partner_id, last_seq) SELECT takers.partner_id, takers.last_seq FROM (SELECT
    CAST(takers_rows.value ->> 0 AS TEXT) AS partner_id, CAST(takers_rows.value ->> 1 AS BIGINT) AS last_seq
    FROM json_array_elements(CAST($1::VARCHAR AS JSON)) AS takers_rows WHERE json_typeof(takers_rows.value) =
    'array') AS takers WHERE (SELECT count(*) AS count_1 FROM woken) >= $2::INTEGER ON CONFLICT (partner_id)
    DO UPDATE SET last_seq = (feeds.last_seq + excluded.last_seq) RETURNING feeds.partner_id, feeds.last_seq;

-- _LOCK_FEED
INSERT INTO feeds (partner_id, last_seq) SELECT takers.partner_id, takers.last_seq FROM (SELECT
    CAST(takers_rows.value ->> 0 AS TEXT) AS partner_id, CAST(takers_rows.value ->> 1 AS BIGINT) AS last_seq
    FROM json_array_elements(CAST($1::VARCHAR AS JSON)) AS takers_rows WHERE json_typeof(takers_rows.value) =
    'array') AS takers WHERE true ON CONFLICT (partner_id) DO UPDATE SET last_seq = feeds.last_seq;

-- deliveries/letter_groups.py

-- _OWNER
SELECT endpoints.partner_id FROM endpoints WHERE endpoints.id = $1::VARCHAR;

-- _DELIVERIES
SELECT CAST(NULL AS TEXT) AS partner, CAST(NULL AS TEXT) AS endpoint, CAST(NULL AS TEXT) AS error, CAST(NULL
    AS TEXT) AS type, CAST(NULL AS TEXT) AS reason, CAST(NULL AS BIGINT) AS hour, CAST(NULL AS TEXT) AS kind,
    count(*) AS letters, min(deliveries.ended_ms) AS first_ms, max(deliveries.ended_ms) AS last_ms FROM
    deliveries WHERE deliveries.state = 'dead' AND deliveries.discarded_ms IS NULL ORDER BY count(*) DESC
    LIMIT $1::INTEGER;

-- _DELIVERIES
SELECT deliveries.partner_id AS partner, deliveries.endpoint_id AS endpoint, deliveries.last_error AS error,
    deliveries.task_type AS type, deliveries.dead_reason AS reason, deliveries.ended_ms / $1::BIGINT AS hour,
    CAST($2::VARCHAR AS TEXT) AS kind, count(*) AS letters, min(deliveries.ended_ms) AS first_ms,
    max(deliveries.ended_ms) AS last_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id =
    deliveries.endpoint_id WHERE deliveries.state = 'dead' AND deliveries.discarded_ms IS NULL AND
    endpoints.deleted_ms IS NULL AND deliveries.endpoint_id = $3::VARCHAR AND deliveries.endpoint_id IS NULL
    AND deliveries.id = ANY ($4::TEXT[]) AND deliveries.partner_id = $5::VARCHAR AND deliveries.dead_reason =
    $6::VARCHAR AND deliveries.task_type = $7::VARCHAR AND deliveries.event = $8::VARCHAR AND
    deliveries.last_error = $9::VARCHAR AND deliveries.last_status BETWEEN $10::INTEGER AND $11::INTEGER AND
    deliveries.last_error = $12::VARCHAR AND coalesce(deliveries.last_error, $13::VARCHAR) BETWEEN
    $14::VARCHAR AND $15::VARCHAR AND (lower(coalesce(deliveries.url, endpoints.url)) LIKE $16 ESCAPE '\' OR
    lower(deliveries.last_error) LIKE $16 ESCAPE '\' OR lower(deliveries.task_type) LIKE $16 ESCAPE '\') AND
    deliveries.ended_ms >= $17::BIGINT AND deliveries.ended_ms < $18::BIGINT AND deliveries.ended_ms >=
    $19::BIGINT AND (deliveries.ended_ms > $19::BIGINT OR deliveries.id > $20::VARCHAR) AND
    deliveries.ended_ms <= $21::BIGINT AND (deliveries.ended_ms < $21::BIGINT OR deliveries.id < $22::VARCHAR)
    GROUP BY deliveries.partner_id, deliveries.endpoint_id, deliveries.last_error, deliveries.task_type,
    deliveries.dead_reason, deliveries.ended_ms / $1::BIGINT, CAST($2::VARCHAR AS TEXT) ORDER BY count(*) DESC
    LIMIT $23::INTEGER;

-- _TASKS
SELECT CAST(NULL AS TEXT) AS partner, CAST(NULL AS TEXT) AS endpoint, CAST(NULL AS TEXT) AS error, CAST(NULL
    AS TEXT) AS type, CAST(NULL AS TEXT) AS reason, CAST(NULL AS BIGINT) AS hour, CAST(NULL AS TEXT) AS kind,
    count(*) AS letters, min(tasks.dead_ms) AS first_ms, max(tasks.dead_ms) AS last_ms FROM tasks LEFT OUTER
    JOIN task_bodies ON task_bodies.task_id = tasks.id WHERE tasks.dead_ms IS NOT NULL ORDER BY count(*) DESC
    LIMIT $1::INTEGER;

-- _TASKS
SELECT tasks.partner_id AS partner, CAST(NULL AS TEXT) AS endpoint, task_bodies.error_code AS error,
    tasks.type AS type, tasks.dead_reason AS reason, tasks.dead_ms / $1::BIGINT AS hour, CAST($2::VARCHAR AS
    TEXT) AS kind, count(*) AS letters, min(tasks.dead_ms) AS first_ms, max(tasks.dead_ms) AS last_ms FROM
    tasks LEFT OUTER JOIN task_bodies ON task_bodies.task_id = tasks.id WHERE tasks.dead_ms IS NOT NULL AND
    tasks.id = ANY ($3::TEXT[]) AND tasks.partner_id = $4::VARCHAR AND tasks.dead_reason = $5::VARCHAR AND
    tasks.type = $6::VARCHAR AND task_bodies.error_code = $7::VARCHAR AND (lower(task_bodies.error_message)
    LIKE $8 ESCAPE '\' OR lower(task_bodies.error_code) LIKE $8 ESCAPE '\' OR lower(tasks.type) LIKE $8 ESCAPE
    '\') AND tasks.dead_ms >= $9::BIGINT AND tasks.dead_ms < $10::BIGINT AND tasks.dead_ms >= $11::BIGINT AND
    (tasks.dead_ms > $11::BIGINT OR tasks.id > $12::VARCHAR) AND tasks.dead_ms <= $13::BIGINT AND
    (tasks.dead_ms < $13::BIGINT OR tasks.id < $14::VARCHAR) GROUP BY tasks.partner_id,
    task_bodies.error_code, tasks.type, tasks.dead_reason, tasks.dead_ms / $1::BIGINT, CAST($2::VARCHAR AS
    TEXT) ORDER BY count(*) DESC LIMIT $15::INTEGER;

-- deliveries/lost_deliveries.py

-- OF_SESSION.held
SELECT deliveries.id, deliveries.lane_id FROM deliveries WHERE deliveries.session_id = $1::VARCHAR ORDER BY
    deliveries.lane_id, deliveries.id;

-- OF_SESSION.counts
SELECT deliveries.lane_id, count(*) AS n FROM deliveries WHERE deliveries.session_id = $1::VARCHAR GROUP BY
    deliveries.lane_id;

-- OF_SESSION.sent_once
UPDATE deliveries SET state=$1::VARCHAR, due_ms=$2::BIGINT, session_id=$3::VARCHAR, dead_reason=$4::VARCHAR,
    discarded_ms=$5::BIGINT, ended_ms=$5::BIGINT WHERE deliveries.session_id = $6::VARCHAR AND
    deliveries.state = $7::VARCHAR AND deliveries.once IS true;

-- OF_SESSION.of_deleted
UPDATE deliveries SET state=$1::VARCHAR, due_ms=$2::BIGINT, session_id=$3::VARCHAR, dead_reason=$4::VARCHAR,
    ended_ms=$5::BIGINT WHERE deliveries.session_id = $6::VARCHAR AND deliveries.state = $7::VARCHAR AND
    deliveries.lane_id IN (SELECT endpoints.id FROM endpoints WHERE endpoints.id = ANY ($8::TEXT[]) AND
    endpoints.deleted_ms IS NOT NULL);

-- OF_SESSION.of_disabled
UPDATE deliveries SET state=$1::VARCHAR, due_ms=$2::BIGINT, session_id=$3::VARCHAR WHERE deliveries.session_id
    = $4::VARCHAR AND deliveries.state = $5::VARCHAR AND deliveries.lane_id IN (SELECT endpoints.id FROM
    endpoints WHERE endpoints.id = ANY ($6::TEXT[]) AND endpoints.state = $7::VARCHAR);

-- OF_SESSION.due
UPDATE deliveries SET due_ms=$1::BIGINT, session_id=$2::VARCHAR WHERE deliveries.session_id = $3::VARCHAR AND
    deliveries.state = $4::VARCHAR;

-- OF_SESSION.ended
UPDATE deliveries SET session_id=$1::VARCHAR WHERE deliveries.session_id = $2::VARCHAR;

-- UNHEARD_OF.held
SELECT deliveries.id, deliveries.lane_id FROM deliveries WHERE deliveries.session_id IS NOT NULL AND
    deliveries.due_ms < $1::BIGINT ORDER BY deliveries.lane_id, deliveries.id;

-- UNHEARD_OF.counts
SELECT deliveries.lane_id, count(*) AS n FROM deliveries WHERE deliveries.session_id IS NOT NULL AND
    deliveries.due_ms < $1::BIGINT GROUP BY deliveries.lane_id;

-- UNHEARD_OF.sent_once
UPDATE deliveries SET state=$1::VARCHAR, due_ms=$2::BIGINT, session_id=$3::VARCHAR, dead_reason=$4::VARCHAR,
    discarded_ms=$5::BIGINT, ended_ms=$5::BIGINT WHERE deliveries.session_id IS NOT NULL AND deliveries.due_ms
    < $6::BIGINT AND deliveries.state = $7::VARCHAR AND deliveries.once IS true;

-- UNHEARD_OF.of_deleted
UPDATE deliveries SET state=$1::VARCHAR, due_ms=$2::BIGINT, session_id=$3::VARCHAR, dead_reason=$4::VARCHAR,
    ended_ms=$5::BIGINT WHERE deliveries.session_id IS NOT NULL AND deliveries.due_ms < $6::BIGINT AND
    deliveries.state = $7::VARCHAR AND deliveries.lane_id IN (SELECT endpoints.id FROM endpoints WHERE
    endpoints.id = ANY ($8::TEXT[]) AND endpoints.deleted_ms IS NOT NULL);

-- UNHEARD_OF.of_disabled
UPDATE deliveries SET state=$1::VARCHAR, due_ms=$2::BIGINT, session_id=$3::VARCHAR WHERE deliveries.session_id
    IS NOT NULL AND deliveries.due_ms < $4::BIGINT AND deliveries.state = $5::VARCHAR AND deliveries.lane_id
    IN (SELECT endpoints.id FROM endpoints WHERE endpoints.id = ANY ($6::TEXT[]) AND endpoints.state =
    $7::VARCHAR);

-- UNHEARD_OF.due
UPDATE deliveries SET due_ms=$1::BIGINT, session_id=$2::VARCHAR WHERE deliveries.session_id IS NOT NULL AND
    deliveries.due_ms < $3::BIGINT AND deliveries.state = $4::VARCHAR;

-- UNHEARD_OF.ended
UPDATE deliveries SET session_id=$1::VARCHAR WHERE deliveries.session_id IS NOT NULL AND deliveries.due_ms <
    $2::BIGINT;

-- _LOCK_LANES
SELECT lanes.id FROM lanes WHERE lanes.id = ANY ($1::TEXT[]) ORDER BY lanes.id FOR UPDATE;

-- _FEWER
UPDATE lanes SET in_flight=CASE WHEN (lanes.in_flight > fewer.fewer) THEN lanes.in_flight - fewer.fewer ELSE
    $1::INTEGER END FROM (SELECT CAST(fewer_rows.value ->> 0 AS TEXT) AS lane_id, CAST(fewer_rows.value ->> 1
    AS INTEGER) AS fewer FROM json_array_elements(CAST($2::VARCHAR AS JSON)) AS fewer_rows WHERE
    json_typeof(fewer_rows.value) = 'array') AS fewer WHERE lanes.id = fewer.lane_id;

-- deliveries/messages.py

-- _LAST
SELECT feeds.last_seq FROM feeds WHERE feeds.partner_id = $1::VARCHAR;

-- _NEXT
SELECT messages.id, messages.partner_id, messages.task_id, messages.event, messages.body, messages.seq,
    messages.trace_id, messages.trace_parent_id, messages.trace_flags, messages.trace_state,
    messages.created_ms FROM messages WHERE messages.partner_id = $1::VARCHAR AND messages.seq > $2::BIGINT
    ORDER BY messages.seq LIMIT $3::INTEGER;

-- _AT
SELECT messages.id FROM messages WHERE messages.partner_id = $1::VARCHAR AND messages.seq = $2::BIGINT;

-- _ONE
SELECT messages.id, messages.partner_id, messages.task_id, messages.event, messages.body, messages.seq,
    messages.trace_id, messages.trace_parent_id, messages.trace_flags, messages.trace_state,
    messages.created_ms FROM messages WHERE messages.id = $1::VARCHAR;

-- _ONE
SELECT messages.id, messages.partner_id, messages.task_id, messages.event, messages.body, messages.seq,
    messages.trace_id, messages.trace_parent_id, messages.trace_flags, messages.trace_state,
    messages.created_ms FROM messages WHERE messages.id = $1::VARCHAR AND messages.partner_id = $2::VARCHAR;

-- deliveries/publish.py

-- _INSERT_MESSAGES
INSERT INTO messages (id, partner_id, task_id, event, body, seq, trace_id, trace_parent_id, trace_flags,
    trace_state, created_ms) SELECT rows.id, rows.partner_id, rows.task_id, rows.event, rows.body,
    CAST((SELECT jsonb_object_agg(taken.partner_id, taken.last_seq) AS jsonb_object_agg_1 FROM taken) ->>
    rows.partner_id AS BIGINT) - rows.behind AS seq, rows.trace_id, rows.trace_parent_id, rows.trace_flags,
    rows.trace_state, rows.created_ms FROM (SELECT CAST(rows_rows.value ->> 0 AS TEXT) AS id,
    CAST(rows_rows.value ->> 1 AS TEXT) AS partner_id, CAST(rows_rows.value ->> 2 AS TEXT) AS task_id,
    CAST(rows_rows.value ->> 3 AS TEXT) AS event, CAST(rows_rows.value ->> 4 AS TEXT) AS body,
    CAST(rows_rows.value ->> 5 AS BIGINT) AS behind, CAST(rows_rows.value ->> 6 AS TEXT) AS trace_id,
    CAST(rows_rows.value ->> 7 AS TEXT) AS trace_parent_id, CAST(rows_rows.value ->> 8 AS BIGINT) AS
    trace_flags, CAST(rows_rows.value ->> 9 AS TEXT) AS trace_state, CAST(rows_rows.value ->> 10 AS BIGINT) AS
    created_ms FROM json_array_elements(CAST($1::VARCHAR AS JSON)) AS rows_rows WHERE
    json_typeof(rows_rows.value) = 'array') AS rows;

-- _INSERT_DELIVERIES
INSERT INTO deliveries (id, message_id, partner_id, task_id, task_type, endpoint_id, lane_id, url, event,
    state, once, attempts, attempts_before, max_attempts, due_ms, token, dead_reason, created_ms, ended_ms)
    SELECT rows.id, rows.message_id, rows.partner_id, rows.task_id, rows.task_type, rows.endpoint_id,
    rows.lane_id, rows.url, rows.event, rows.state, rows.once, rows.attempts, rows.attempts_before,
    rows.max_attempts, rows.due_ms, rows.token, rows.dead_reason, rows.created_ms, rows.ended_ms FROM (SELECT
    CAST(rows_rows.value ->> 0 AS TEXT) AS id, CAST(rows_rows.value ->> 1 AS TEXT) AS message_id,
    CAST(rows_rows.value ->> 2 AS TEXT) AS partner_id, CAST(rows_rows.value ->> 3 AS TEXT) AS task_id,
    CAST(rows_rows.value ->> 4 AS TEXT) AS task_type, CAST(rows_rows.value ->> 5 AS TEXT) AS endpoint_id,
    CAST(rows_rows.value ->> 6 AS TEXT) AS lane_id, CAST(rows_rows.value ->> 7 AS TEXT) AS url,
    CAST(rows_rows.value ->> 8 AS TEXT) AS event, CAST(rows_rows.value ->> 9 AS TEXT) AS state,
    CAST(rows_rows.value ->> 10 AS BOOLEAN) AS once, CAST(rows_rows.value ->> 11 AS INTEGER) AS attempts,
    CAST(rows_rows.value ->> 12 AS INTEGER) AS attempts_before, CAST(rows_rows.value ->> 13 AS INTEGER) AS
    max_attempts, CAST(rows_rows.value ->> 14 AS BIGINT) AS due_ms, CAST(rows_rows.value ->> 15 AS INTEGER) AS
    token, CAST(rows_rows.value ->> 16 AS TEXT) AS dead_reason, CAST(rows_rows.value ->> 17 AS BIGINT) AS
    created_ms, CAST(rows_rows.value ->> 18 AS BIGINT) AS ended_ms FROM json_array_elements(CAST($1::VARCHAR
    AS JSON)) AS rows_rows WHERE json_typeof(rows_rows.value) = 'array') AS rows WHERE true;

-- _UPSERT_LANES
INSERT INTO lanes (id, partner_id, endpoint_id, fifo, ready_ms, hold_ms, served_ms, in_flight, cap, slow,
    heard, pace) SELECT lanes_in.id, lanes_in.partner_id, lanes_in.endpoint_id, lanes_in.fifo,
    lanes_in.ready_ms, $1::BIGINT AS anon_1, $2::BIGINT AS anon_2, $3::INTEGER AS anon_3, $4::INTEGER AS
    anon_4, $5::BOOLEAN AS anon_5, $6::BOOLEAN AS anon_6, $7::VARCHAR AS anon_7 FROM (SELECT
    CAST(lanes_in_rows.value ->> 0 AS TEXT) AS id, CAST(lanes_in_rows.value ->> 1 AS TEXT) AS partner_id,
    CAST(lanes_in_rows.value ->> 2 AS TEXT) AS endpoint_id, CAST(lanes_in_rows.value ->> 3 AS BOOLEAN) AS
    fifo, CAST(lanes_in_rows.value ->> 4 AS BIGINT) AS ready_ms FROM json_array_elements(CAST($8::VARCHAR AS
    JSON)) AS lanes_in_rows WHERE json_typeof(lanes_in_rows.value) = 'array') AS lanes_in WHERE true ON
    CONFLICT (id) DO UPDATE SET fifo = excluded.fifo, ready_ms = CASE WHEN (lanes.ready_ms <
    excluded.ready_ms) THEN lanes.ready_ms ELSE excluded.ready_ms END RETURNING lanes.id;

-- deliveries/replay_orders.py

-- _INSERT
INSERT INTO replays (id, partner_id, filter, dry_run, rate_per_second, state, matched, replayed, position,
    created_ms, finished_ms, deed, reason, started_by) VALUES ($1::VARCHAR, $2::VARCHAR, $3::VARCHAR,
    $4::BOOLEAN, $5::FLOAT, $6::VARCHAR, $7::BIGINT, $8::BIGINT, $9::VARCHAR, $10::BIGINT, $11::BIGINT,
    $12::VARCHAR, $13::VARCHAR, $14::VARCHAR);

-- _LOCK_PARTNER
SELECT partners.id FROM partners WHERE partners.id = $1::VARCHAR FOR UPDATE;

-- _COUNT_UNDER_WAY
SELECT count(*) AS count_1 FROM replays WHERE replays.partner_id = $1::VARCHAR AND replays.state IN
    ('running', 'paused');

-- _LOCK
SELECT replays.id, replays.partner_id, replays.filter, replays.dry_run, replays.rate_per_second,
    replays.state, replays.matched, replays.replayed, replays.position, replays.created_ms,
    replays.finished_ms, replays.deed, replays.reason, replays.started_by FROM replays WHERE replays.id =
    $1::VARCHAR AND coalesce(replays.deed, $2::VARCHAR) = $3::VARCHAR FOR UPDATE;

-- _LOCK
SELECT replays.id, replays.partner_id, replays.filter, replays.dry_run, replays.rate_per_second,
    replays.state, replays.matched, replays.replayed, replays.position, replays.created_ms,
    replays.finished_ms, replays.deed, replays.reason, replays.started_by FROM replays WHERE replays.id =
    $1::VARCHAR AND coalesce(replays.deed, $2::VARCHAR) = $3::VARCHAR AND replays.partner_id = $4::VARCHAR FOR
    UPDATE;

-- _LOCK_STEP
SELECT replays.id, replays.partner_id, replays.filter, replays.dry_run, replays.rate_per_second,
    replays.state, replays.matched, replays.replayed, replays.position, replays.created_ms,
    replays.finished_ms, replays.deed, replays.reason, replays.started_by FROM replays WHERE replays.id =
    $1::VARCHAR FOR UPDATE SKIP LOCKED;

-- _SAVE
UPDATE replays SET rate_per_second=$1::FLOAT, state=$2::VARCHAR, replayed=$3::BIGINT, position=$4::VARCHAR,
    finished_ms=$5::BIGINT WHERE replays.id = $6::VARCHAR;

-- deliveries/replaying.py

-- _KNOWN
SELECT deliveries.id, deliveries.lane_id, deliveries.partner_id, deliveries.endpoint_id, endpoints.state AS
    endpoint_state, endpoints.deleted_ms, endpoints.ordering FROM deliveries JOIN (SELECT CAST(ids_rows.value
    ->> 0 AS TEXT) AS id FROM json_array_elements(CAST($1::VARCHAR AS JSON)) AS ids_rows WHERE
    json_typeof(ids_rows.value) = 'array') AS ids ON deliveries.id = ids.id LEFT OUTER JOIN endpoints ON
    endpoints.id = deliveries.endpoint_id;

-- _REPLAY
UPDATE deliveries SET state=moves.state, attempts_before=deliveries.attempts, due_ms=CASE WHEN
    (deliveries.session_id IS NULL) THEN CASE WHEN (moves.state = $1::VARCHAR) THEN $2::BIGINT END ELSE
    deliveries.due_ms END, dead_reason=$3::VARCHAR, discarded_ms=$4::BIGINT, ended_ms=$5::BIGINT,
    replay_id=$6::VARCHAR, replayed_attempts=deliveries.attempts FROM (SELECT CAST(moves_rows.value ->> 0 AS
    TEXT) AS id, CAST(moves_rows.value ->> 1 AS TEXT) AS state FROM json_array_elements(CAST($7::VARCHAR AS
    JSON)) AS moves_rows WHERE json_typeof(moves_rows.value) = 'array') AS moves WHERE deliveries.id =
    moves.id AND deliveries.id BETWEEN (SELECT min(moves.id) AS min_1 FROM (SELECT CAST(moves_rows.value ->> 0
    AS TEXT) AS id FROM json_array_elements(CAST($7::VARCHAR AS JSON)) AS moves_rows WHERE
    json_typeof(moves_rows.value) = 'array') AS moves) AND (SELECT max(moves.id) AS max_1 FROM (SELECT
    CAST(moves_rows.value ->> 0 AS TEXT) AS id FROM json_array_elements(CAST($7::VARCHAR AS JSON)) AS
    moves_rows WHERE json_typeof(moves_rows.value) = 'array') AS moves) AND (deliveries.state = $8::VARCHAR OR
    deliveries.state = $9::VARCHAR OR deliveries.state = $10::VARCHAR) RETURNING deliveries.id,
    deliveries.state;

-- deliveries/replays.py

-- _ONE
SELECT replays.id, replays.partner_id, replays.filter, replays.dry_run, replays.rate_per_second,
    replays.state, replays.matched, replays.replayed, replays.position, replays.created_ms,
    replays.finished_ms, replays.deed, replays.reason, replays.started_by FROM replays WHERE replays.id =
    $1::VARCHAR AND coalesce(replays.deed, $2::VARCHAR) = $3::VARCHAR;

-- _ONE
SELECT replays.id, replays.partner_id, replays.filter, replays.dry_run, replays.rate_per_second,
    replays.state, replays.matched, replays.replayed, replays.position, replays.created_ms,
    replays.finished_ms, replays.deed, replays.reason, replays.started_by FROM replays WHERE replays.id =
    $1::VARCHAR AND coalesce(replays.deed, $2::VARCHAR) = $3::VARCHAR AND replays.partner_id = $4::VARCHAR;

-- _PAGE
SELECT replays.id, replays.partner_id, replays.filter, replays.dry_run, replays.rate_per_second,
    replays.state, replays.matched, replays.replayed, replays.position, replays.created_ms,
    replays.finished_ms, replays.deed, replays.reason, replays.started_by FROM replays WHERE
    coalesce(replays.deed, $1::VARCHAR) = $2::VARCHAR ORDER BY replays.id DESC LIMIT $3::INTEGER;

-- _PAGE
SELECT replays.id, replays.partner_id, replays.filter, replays.dry_run, replays.rate_per_second,
    replays.state, replays.matched, replays.replayed, replays.position, replays.created_ms,
    replays.finished_ms, replays.deed, replays.reason, replays.started_by FROM replays WHERE
    coalesce(replays.deed, $1::VARCHAR) = $2::VARCHAR AND replays.partner_id = $3::VARCHAR AND replays.id <
    $4::VARCHAR AND replays.state = $5::VARCHAR AND replays.dry_run = $6::BOOLEAN ORDER BY replays.id DESC
    LIMIT $7::INTEGER;

-- _OUTCOMES
SELECT deliveries.replay_id, sum(CASE WHEN (deliveries.state = $1::VARCHAR) THEN $2::INTEGER ELSE $3::INTEGER
    END) AS delivered, sum(CASE WHEN (deliveries.state = $4::VARCHAR OR deliveries.state = $5::VARCHAR AND
    deliveries.attempts > deliveries.replayed_attempts AND deliveries.session_id IS NULL) THEN $6::INTEGER
    ELSE $7::INTEGER END) AS failed_again FROM deliveries WHERE deliveries.replay_id = ANY ($8::TEXT[]) AND
    deliveries.replay_id IS NOT NULL GROUP BY deliveries.replay_id;

-- _RUNNING
SELECT replays.id, replays.partner_id, replays.filter, replays.dry_run, replays.rate_per_second,
    replays.state, replays.matched, replays.replayed, replays.position, replays.created_ms,
    replays.finished_ms, replays.deed, replays.reason, replays.started_by FROM replays WHERE replays.state =
    $1::VARCHAR ORDER BY replays.id;

-- deliveries/sendings.py

-- _ATTEMPTS
SELECT attempts.delivery_id, attempts.number, attempts.at_ms, attempts.duration_us, attempts.dns_us,
    attempts.connect_us, attempts.tls_us, attempts.first_byte_us, attempts.status, attempts.error,
    attempts.resent FROM attempts WHERE attempts.delivery_id = ANY ($1::TEXT[]) ORDER BY attempts.at_ms DESC,
    attempts.delivery_id DESC, attempts.number DESC LIMIT $2::INTEGER;

-- OF_TASKS.messages
SELECT messages.id, messages.task_id, messages.event, messages.created_ms FROM messages WHERE messages.task_id
    = ANY ($1::TEXT[]) ORDER BY messages.id DESC LIMIT $2::INTEGER;

-- OF_TASKS.deliveries
SELECT deliveries.id, deliveries.message_id, deliveries.partner_id, deliveries.task_id, deliveries.task_type,
    deliveries.endpoint_id, deliveries.lane_id, deliveries.url, deliveries.event, deliveries.state,
    deliveries.once, deliveries.attempts, deliveries.attempts_before, deliveries.max_attempts,
    deliveries.due_ms, deliveries.session_id, deliveries.token, deliveries.last_status, deliveries.last_error,
    deliveries.dead_reason, deliveries.discarded_ms, deliveries.created_ms, deliveries.ended_ms,
    deliveries.replay_id, deliveries.replayed_attempts, coalesce(deliveries.url, endpoints.url, $1::VARCHAR)
    AS target_url, CASE WHEN (lanes.hold_ms > deliveries.due_ms) THEN lanes.hold_ms ELSE deliveries.due_ms END
    AS next_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id LEFT OUTER
    JOIN lanes ON lanes.id = deliveries.lane_id WHERE deliveries.task_id = ANY ($2::TEXT[]) ORDER BY
    deliveries.id DESC LIMIT $3::INTEGER;

-- OF_MESSAGES.messages
SELECT messages.id, messages.task_id, messages.event, messages.created_ms FROM messages WHERE messages.id =
    ANY ($1::TEXT[]) ORDER BY messages.id DESC LIMIT $2::INTEGER;

-- OF_MESSAGES.deliveries
SELECT deliveries.id, deliveries.message_id, deliveries.partner_id, deliveries.task_id, deliveries.task_type,
    deliveries.endpoint_id, deliveries.lane_id, deliveries.url, deliveries.event, deliveries.state,
    deliveries.once, deliveries.attempts, deliveries.attempts_before, deliveries.max_attempts,
    deliveries.due_ms, deliveries.session_id, deliveries.token, deliveries.last_status, deliveries.last_error,
    deliveries.dead_reason, deliveries.discarded_ms, deliveries.created_ms, deliveries.ended_ms,
    deliveries.replay_id, deliveries.replayed_attempts, coalesce(deliveries.url, endpoints.url, $1::VARCHAR)
    AS target_url, CASE WHEN (lanes.hold_ms > deliveries.due_ms) THEN lanes.hold_ms ELSE deliveries.due_ms END
    AS next_ms FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id LEFT OUTER
    JOIN lanes ON lanes.id = deliveries.lane_id WHERE deliveries.message_id = ANY ($2::TEXT[]) ORDER BY
    deliveries.id DESC LIMIT $3::INTEGER;

-- deliveries/subscribers.py

-- _OF_PARTNER
SELECT endpoints.id, endpoints.partner_id, endpoints.events, endpoints.task_types, endpoints.state,
    endpoints.deleted_ms, endpoints.ordering, endpoints.retry_max_attempts FROM endpoints WHERE
    endpoints.partner_id = $1::VARCHAR AND endpoints.deleted_ms IS NULL;

-- _SUBSCRIBERS
SELECT endpoints.id, endpoints.partner_id, endpoints.events, endpoints.task_types, endpoints.state,
    endpoints.deleted_ms, endpoints.ordering, endpoints.retry_max_attempts FROM endpoints WHERE
    endpoints.partner_id = ANY ($1::TEXT[]) AND endpoints.deleted_ms IS NULL OR endpoints.id = ANY
    ($2::TEXT[]);

-- _LISTENING
SELECT DISTINCT endpoints.partner_id FROM endpoints WHERE endpoints.partner_id = ANY ($1::TEXT[]) AND
    endpoints.deleted_ms IS NULL AND (endpoints.events LIKE '%' || $2::VARCHAR || '%');

-- deliveries/waiting.py

-- _BY_AGE
SELECT deliveries.id, deliveries.lane_id FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id =
    deliveries.endpoint_id WHERE deliveries.state = 'pending' AND deliveries.session_id IS NULL ORDER BY
    deliveries.id LIMIT $1::INTEGER;

-- _BY_AGE
SELECT deliveries.id, deliveries.lane_id FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id =
    deliveries.endpoint_id WHERE deliveries.state = 'pending' AND deliveries.session_id IS NULL AND
    deliveries.partner_id = $1::VARCHAR AND deliveries.lane_id = $2::VARCHAR AND deliveries.endpoint_id IS
    NULL AND deliveries.id >= $3::VARCHAR AND deliveries.id < $4::VARCHAR AND deliveries.id > $5::VARCHAR AND
    deliveries.lane_id >= $6::VARCHAR AND (deliveries.lane_id > $6::VARCHAR OR deliveries.id > $7::VARCHAR)
    AND deliveries.task_type = $8::VARCHAR AND deliveries.event = $9::VARCHAR AND deliveries.last_error =
    $10::VARCHAR AND deliveries.last_status BETWEEN $11::INTEGER AND $12::INTEGER AND deliveries.last_error =
    $13::VARCHAR AND coalesce(deliveries.last_error, $14::VARCHAR) BETWEEN $15::VARCHAR AND $16::VARCHAR AND
    (lower(coalesce(deliveries.url, endpoints.url)) LIKE $17 ESCAPE '\' OR lower(deliveries.last_error) LIKE
    $17 ESCAPE '\' OR lower(deliveries.task_type) LIKE $17 ESCAPE '\') ORDER BY deliveries.id LIMIT
    $18::INTEGER;

-- _BY_LANE
SELECT deliveries.id, deliveries.lane_id FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id =
    deliveries.endpoint_id WHERE deliveries.state = 'pending' AND deliveries.session_id IS NULL ORDER BY
    deliveries.lane_id, deliveries.id LIMIT $1::INTEGER;

-- _BY_LANE
SELECT deliveries.id, deliveries.lane_id FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id =
    deliveries.endpoint_id WHERE deliveries.state = 'pending' AND deliveries.session_id IS NULL AND
    deliveries.partner_id = $1::VARCHAR AND deliveries.lane_id = $2::VARCHAR AND deliveries.endpoint_id IS
    NULL AND deliveries.id >= $3::VARCHAR AND deliveries.id < $4::VARCHAR AND deliveries.id > $5::VARCHAR AND
    deliveries.lane_id >= $6::VARCHAR AND (deliveries.lane_id > $6::VARCHAR OR deliveries.id > $7::VARCHAR)
    AND deliveries.task_type = $8::VARCHAR AND deliveries.event = $9::VARCHAR AND deliveries.last_error =
    $10::VARCHAR AND deliveries.last_status BETWEEN $11::INTEGER AND $12::INTEGER AND deliveries.last_error =
    $13::VARCHAR AND coalesce(deliveries.last_error, $14::VARCHAR) BETWEEN $15::VARCHAR AND $16::VARCHAR AND
    (lower(coalesce(deliveries.url, endpoints.url)) LIKE $17 ESCAPE '\' OR lower(deliveries.last_error) LIKE
    $17 ESCAPE '\' OR lower(deliveries.task_type) LIKE $17 ESCAPE '\') ORDER BY deliveries.lane_id,
    deliveries.id LIMIT $18::INTEGER;

-- _COUNT
SELECT count(*) AS count_1 FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id
    WHERE deliveries.state = 'pending' AND deliveries.session_id IS NULL;

-- _COUNT
SELECT count(*) AS count_1 FROM deliveries LEFT OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id
    WHERE deliveries.state = 'pending' AND deliveries.session_id IS NULL AND deliveries.partner_id =
    $1::VARCHAR AND deliveries.lane_id = $2::VARCHAR AND deliveries.endpoint_id IS NULL AND deliveries.id >=
    $3::VARCHAR AND deliveries.id < $4::VARCHAR AND deliveries.id > $5::VARCHAR AND deliveries.lane_id >=
    $6::VARCHAR AND (deliveries.lane_id > $6::VARCHAR OR deliveries.id > $7::VARCHAR) AND deliveries.task_type
    = $8::VARCHAR AND deliveries.event = $9::VARCHAR AND deliveries.last_error = $10::VARCHAR AND
    deliveries.last_status BETWEEN $11::INTEGER AND $12::INTEGER AND deliveries.last_error = $13::VARCHAR AND
    coalesce(deliveries.last_error, $14::VARCHAR) BETWEEN $15::VARCHAR AND $16::VARCHAR AND
    (lower(coalesce(deliveries.url, endpoints.url)) LIKE $17 ESCAPE '\' OR lower(deliveries.last_error) LIKE
    $17 ESCAPE '\' OR lower(deliveries.task_type) LIKE $17 ESCAPE '\');

-- _HASTEN
UPDATE deliveries SET state=$1::VARCHAR, due_ms=CASE WHEN (deliveries.due_ms > $2::BIGINT) THEN $2::BIGINT
    ELSE deliveries.due_ms END, replay_id=coalesce($3::VARCHAR, deliveries.replay_id), replayed_attempts=CASE
    WHEN ($3::VARCHAR IS NULL) THEN deliveries.replayed_attempts ELSE deliveries.attempts END FROM (SELECT
    CAST(ids_rows.value ->> 0 AS TEXT) AS id FROM json_array_elements(CAST($4::VARCHAR AS JSON)) AS ids_rows
    WHERE json_typeof(ids_rows.value) = 'array') AS ids WHERE deliveries.id = ids.id AND deliveries.id BETWEEN
    (SELECT min(ids.id) AS min_1 FROM (SELECT CAST(ids_rows.value ->> 0 AS TEXT) AS id FROM
    json_array_elements(CAST($4::VARCHAR AS JSON)) AS ids_rows WHERE json_typeof(ids_rows.value) = 'array') AS
    ids) AND (SELECT max(ids.id) AS max_1 FROM (SELECT CAST(ids_rows.value ->> 0 AS TEXT) AS id FROM
    json_array_elements(CAST($4::VARCHAR AS JSON)) AS ids_rows WHERE json_typeof(ids_rows.value) = 'array') AS
    ids) AND deliveries.state = 'pending' AND deliveries.session_id IS NULL RETURNING deliveries.id;

-- endpoints/endpoint_settings.py

-- _COUNT
SELECT count(*) AS n FROM endpoints WHERE endpoints.partner_id = $1::VARCHAR AND endpoints.deleted_ms IS NULL;

-- _CREATE
INSERT INTO endpoints (id, partner_id, url, description, events, task_types, headers_sealed, header_names,
    rate_limit, max_concurrency, ordering, retry_max_attempts, retry_base_seconds, retry_factor,
    retry_cap_seconds, signature, public_key, state, disabled_reason, failing_since_ms, created_ms,
    updated_ms, deleted_ms, failing_told_ms) VALUES ($1::VARCHAR, $2::VARCHAR, $3::VARCHAR, $4::VARCHAR,
    $5::VARCHAR, $6::VARCHAR, $7::VARCHAR, $8::VARCHAR, $9::FLOAT, $10::INTEGER, $11::VARCHAR, $12::INTEGER,
    $13::FLOAT, $14::FLOAT, $15::FLOAT, $16::VARCHAR, $17::VARCHAR, $18::VARCHAR, $19::VARCHAR, $20::BIGINT,
    $21::BIGINT, $22::BIGINT, $23::BIGINT, $24::BIGINT);

-- _ONE
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE
    endpoints.deleted_ms IS NULL AND endpoints.id = $1::VARCHAR;

-- _ONE
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE
    endpoints.deleted_ms IS NULL AND endpoints.partner_id = $1::VARCHAR AND endpoints.id = $2::VARCHAR;

-- _PAGE
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE
    endpoints.deleted_ms IS NULL ORDER BY endpoints.id DESC LIMIT $1::INTEGER;

-- _PAGE
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE
    endpoints.deleted_ms IS NULL AND endpoints.partner_id = $1::VARCHAR AND endpoints.id < $2::VARCHAR AND
    endpoints.state = $3::VARCHAR AND CASE WHEN (endpoints.failing_since_ms IS NULL) THEN $4::INTEGER ELSE
    $5::INTEGER END = $6::INTEGER ORDER BY endpoints.id DESC LIMIT $7::INTEGER;

-- _PACES
SELECT lanes.id, lanes.pace FROM lanes WHERE lanes.id = ANY ($1::TEXT[]);

-- _KNOWN
SELECT endpoints.id FROM endpoints WHERE endpoints.id = ANY ($1::TEXT[]) AND endpoints.partner_id =
    $2::VARCHAR AND endpoints.deleted_ms IS NULL;

-- _CHANGE
UPDATE endpoints SET url=$1::VARCHAR, description=$2::VARCHAR, events=$3::VARCHAR, task_types=$4::VARCHAR,
    headers_sealed=$5::VARCHAR, header_names=$6::VARCHAR, rate_limit=$7::FLOAT, max_concurrency=$8::INTEGER,
    ordering=$9::VARCHAR, retry_max_attempts=$10::INTEGER, retry_base_seconds=$11::FLOAT,
    retry_factor=$12::FLOAT, retry_cap_seconds=$13::FLOAT, signature=$14::VARCHAR, public_key=$15::VARCHAR,
    updated_ms=$16::BIGINT WHERE endpoints.id = $17::VARCHAR;

-- _LOCK
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE
    endpoints.deleted_ms IS NULL AND endpoints.id = $1::VARCHAR FOR UPDATE;

-- _LOCK
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE
    endpoints.deleted_ms IS NULL AND endpoints.partner_id = $1::VARCHAR AND endpoints.id = $2::VARCHAR FOR
    UPDATE;

-- endpoints/endpoint_spans.py

-- _KEEP
INSERT INTO endpoint_spans (endpoint_id, length_ms, at_ms, attempts, delivered, errors, times) SELECT
    spans.endpoint_id, spans.length_ms, spans.at_ms, spans.attempts, spans.delivered, spans.errors,
    spans.times FROM (SELECT CAST(spans_rows.value ->> 0 AS TEXT) AS endpoint_id, CAST(spans_rows.value ->> 1
    AS INTEGER) AS length_ms, CAST(spans_rows.value ->> 2 AS BIGINT) AS at_ms, CAST(spans_rows.value ->> 3 AS
    BIGINT) AS attempts, CAST(spans_rows.value ->> 4 AS BIGINT) AS delivered, CAST(spans_rows.value ->> 5 AS
    TEXT) AS errors, CAST(spans_rows.value ->> 6 AS TEXT) AS times FROM json_array_elements(CAST($1::VARCHAR
    AS JSON)) AS spans_rows WHERE json_typeof(spans_rows.value) = 'array') AS spans WHERE true ON CONFLICT DO
    NOTHING;

-- _SINCE
SELECT endpoint_spans.endpoint_id, endpoint_spans.length_ms, endpoint_spans.at_ms, endpoint_spans.attempts,
    endpoint_spans.delivered, endpoint_spans.errors, endpoint_spans.times FROM endpoint_spans WHERE
    endpoint_spans.endpoint_id = $1::VARCHAR AND endpoint_spans.length_ms = $2::INTEGER AND
    endpoint_spans.at_ms >= $3::BIGINT ORDER BY endpoint_spans.at_ms;

-- _DROP
DELETE FROM endpoint_spans WHERE (endpoint_spans.endpoint_id, endpoint_spans.length_ms, endpoint_spans.at_ms)
    IN (SELECT endpoint_spans.endpoint_id, endpoint_spans.length_ms, endpoint_spans.at_ms FROM endpoint_spans
    WHERE endpoint_spans.length_ms = $1::INTEGER AND endpoint_spans.at_ms < $2::BIGINT ORDER BY
    endpoint_spans.at_ms LIMIT $3::INTEGER FOR UPDATE SKIP LOCKED);

-- endpoints/endpoint_states.py

-- _ONE
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE endpoints.id =
    $1::VARCHAR;

-- _DISABLE
UPDATE endpoints SET state=$1::VARCHAR, disabled_reason=$2::VARCHAR, updated_ms=$3::BIGINT WHERE endpoints.id
    = $4::VARCHAR;

-- _ENABLE
UPDATE endpoints SET state=$1::VARCHAR, disabled_reason=$2::VARCHAR, failing_since_ms=$3::BIGINT,
    updated_ms=$4::BIGINT, failing_told_ms=$5::BIGINT WHERE endpoints.id = $6::VARCHAR;

-- _DELETE
UPDATE endpoints SET headers_sealed=$1::VARCHAR, state=$2::VARCHAR, disabled_reason=$3::VARCHAR,
    updated_ms=$4::BIGINT, deleted_ms=$4::BIGINT WHERE endpoints.id = $5::VARCHAR;

-- _DELETE_SECRETS
DELETE FROM secrets WHERE secrets.endpoint_id = $1::VARCHAR;

-- _STATE_NOW
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE endpoints.id =
    $1::VARCHAR FOR UPDATE;

-- _RELEASE
UPDATE deliveries SET state=$1::VARCHAR, due_ms=CASE WHEN (deliveries.session_id IS NULL) THEN $2::BIGINT ELSE
    deliveries.due_ms END WHERE deliveries.id IN (SELECT deliveries.id FROM deliveries WHERE deliveries.state
    = 'parked' AND deliveries.endpoint_id = $3::VARCHAR LIMIT $4::INTEGER) AND deliveries.state = 'parked';

-- _PARK
UPDATE deliveries SET state=$1::VARCHAR, due_ms=$2::BIGINT WHERE deliveries.id IN (SELECT deliveries.id FROM
    deliveries WHERE deliveries.state = 'pending' AND deliveries.session_id IS NULL AND deliveries.lane_id =
    $3::VARCHAR LIMIT $4::INTEGER) AND deliveries.state = 'pending' AND deliveries.session_id IS NULL;

-- _END_WAITING
UPDATE deliveries SET state=$1::VARCHAR, due_ms=$2::BIGINT, dead_reason=$3::VARCHAR, discarded_ms=CASE WHEN
    (deliveries.once IS true) THEN $4::BIGINT END, ended_ms=$4::BIGINT WHERE deliveries.id IN (SELECT
    deliveries.id FROM deliveries WHERE deliveries.state = 'pending' AND deliveries.session_id IS NULL AND
    deliveries.lane_id = $5::VARCHAR LIMIT $6::INTEGER) AND deliveries.state = 'pending' AND
    deliveries.session_id IS NULL;

-- _END_PARKED
UPDATE deliveries SET state=$1::VARCHAR, due_ms=$2::BIGINT, dead_reason=$3::VARCHAR, discarded_ms=CASE WHEN
    (deliveries.once IS true) THEN $4::BIGINT END, ended_ms=$4::BIGINT WHERE deliveries.id IN (SELECT
    deliveries.id FROM deliveries WHERE deliveries.state = 'parked' AND deliveries.endpoint_id = $5::VARCHAR
    LIMIT $6::INTEGER) AND deliveries.state = 'parked';

-- _STOP_LANE
UPDATE lanes SET ready_ms=$1::BIGINT WHERE lanes.id = $2::VARCHAR;

-- _STRAYS[0]
SELECT lanes.endpoint_id FROM lanes JOIN endpoints ON endpoints.id = lanes.endpoint_id WHERE lanes.ready_ms IS
    NOT NULL AND (endpoints.state = $1::VARCHAR OR endpoints.deleted_ms IS NOT NULL) AND (EXISTS (SELECT
    deliveries.id FROM deliveries WHERE deliveries.state = 'pending' AND deliveries.session_id IS NULL AND
    deliveries.lane_id = lanes.id LIMIT $2::INTEGER));

-- _STRAYS[1]
WITH RECURSIVE hops(endpoint_id) AS (SELECT first_parked.endpoint_id AS endpoint_id FROM (SELECT
    deliveries.endpoint_id AS endpoint_id FROM deliveries WHERE deliveries.state = 'parked' ORDER BY
    deliveries.endpoint_id LIMIT $1::INTEGER) AS first_parked UNION ALL SELECT (SELECT deliveries.endpoint_id
    FROM deliveries WHERE deliveries.state = 'parked' AND deliveries.endpoint_id > hops.endpoint_id ORDER BY
    deliveries.endpoint_id LIMIT $2::INTEGER) AS anon_1 FROM hops WHERE hops.endpoint_id IS NOT NULL) SELECT
    hops.endpoint_id FROM hops JOIN endpoints ON endpoints.id = hops.endpoint_id WHERE endpoints.state =
    $3::VARCHAR OR endpoints.deleted_ms IS NOT NULL;

-- endpoints/endpoint_stats.py

-- _ENDPOINT
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE endpoints.id =
    $1::VARCHAR AND endpoints.deleted_ms IS NULL;

-- _ENDPOINT
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE endpoints.id =
    $1::VARCHAR AND endpoints.deleted_ms IS NULL AND endpoints.partner_id = $2::VARCHAR;

-- _PACE
SELECT lanes.pace FROM lanes WHERE lanes.id = $1::VARCHAR;

-- _WAITING
SELECT (SELECT count(*) AS count_1 FROM (SELECT deliveries.id AS id FROM deliveries WHERE deliveries.state =
    'pending' AND deliveries.lane_id = $1::VARCHAR LIMIT $2::INTEGER) AS anon_1) AS pending, (SELECT count(*)
    AS count_2 FROM (SELECT deliveries.id AS id FROM deliveries WHERE deliveries.state = 'parked' AND
    deliveries.endpoint_id = $1::VARCHAR LIMIT $2::INTEGER) AS anon_2) AS parked, (SELECT count(*) AS count_3
    FROM (SELECT deliveries.id AS id FROM deliveries WHERE deliveries.state = 'dead' AND
    deliveries.discarded_ms IS NULL AND deliveries.endpoint_id = $1::VARCHAR LIMIT $2::INTEGER) AS anon_3) AS
    dead;

-- endpoints/endpoint_trouble.py

-- _THESE
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE endpoints.id =
    ANY ($1::TEXT[]);

-- _FAILING_LONG
SELECT endpoints.id FROM endpoints WHERE endpoints.failing_since_ms IS NOT NULL AND endpoints.failing_told_ms
    IS NULL AND endpoints.state = 'enabled' AND endpoints.deleted_ms IS NULL AND endpoints.failing_since_ms <=
    $1::BIGINT ORDER BY endpoints.failing_since_ms LIMIT $2::INTEGER;

-- _MARK
UPDATE endpoints SET failing_told_ms=$1::BIGINT WHERE endpoints.id = ANY ($2::TEXT[]) AND
    endpoints.failing_since_ms IS NOT NULL AND endpoints.failing_told_ms IS NULL AND endpoints.state =
    'enabled' AND endpoints.deleted_ms IS NULL AND endpoints.failing_since_ms <= $3::BIGINT RETURNING
    endpoints.id;

-- endpoints/secrets.py

-- _ADD
INSERT INTO secrets (id, partner_id, endpoint_id, scheme, sealed, created_ms, expires_ms) VALUES ($1::VARCHAR,
    $2::VARCHAR, $3::VARCHAR, $4::VARCHAR, $5::VARCHAR, $6::BIGINT, $7::BIGINT);

-- _EXPIRE_CURRENT
UPDATE secrets SET expires_ms=$1::BIGINT WHERE secrets.partner_id = $2::VARCHAR AND secrets.endpoint_id IS NOT
    DISTINCT FROM $3::VARCHAR AND secrets.expires_ms IS NULL;

-- _EXPIRE_SCHEME
UPDATE secrets SET expires_ms=$1::BIGINT WHERE secrets.partner_id = $2::VARCHAR AND secrets.endpoint_id IS NOT
    DISTINCT FROM $3::VARCHAR AND secrets.expires_ms IS NULL AND secrets.scheme = $4::VARCHAR;

-- _EXPIRE_ALL
UPDATE secrets SET expires_ms=$1::BIGINT WHERE secrets.partner_id = $2::VARCHAR AND secrets.endpoint_id IS NOT
    DISTINCT FROM $3::VARCHAR AND (secrets.expires_ms IS NULL OR secrets.expires_ms > $4::BIGINT);

-- _LIVE
SELECT secrets.id, secrets.partner_id, secrets.endpoint_id, secrets.scheme, secrets.sealed,
    secrets.created_ms, secrets.expires_ms FROM secrets WHERE secrets.partner_id = $1::VARCHAR AND
    secrets.endpoint_id = ANY ($2::TEXT[]) AND (secrets.expires_ms IS NULL OR secrets.expires_ms > $3::BIGINT)
    ORDER BY secrets.created_ms DESC, secrets.id DESC;

-- _LIVE
SELECT secrets.id, secrets.partner_id, secrets.endpoint_id, secrets.scheme, secrets.sealed,
    secrets.created_ms, secrets.expires_ms FROM secrets WHERE secrets.partner_id = $1::VARCHAR AND
    (secrets.endpoint_id = ANY ($2::TEXT[]) OR secrets.endpoint_id IS NULL) AND (secrets.expires_ms IS NULL OR
    secrets.expires_ms > $3::BIGINT) ORDER BY secrets.created_ms DESC, secrets.id DESC;

-- files/file_rows.py

-- _ADD
INSERT INTO files (id, partner_id, name, content_type, size, sha256, state, kind, key, task_id, created_ms,
    expires_ms, upload_until_ms) SELECT added.id, added.partner_id, added.name, added.content_type,
    added.size, added.sha256, added.state, added.kind, added.key, added.task_id, added.created_ms,
    added.expires_ms, added.upload_until_ms FROM (SELECT CAST(added_rows.value ->> 0 AS TEXT) AS id,
    CAST(added_rows.value ->> 1 AS TEXT) AS partner_id, CAST(added_rows.value ->> 2 AS TEXT) AS name,
    CAST(added_rows.value ->> 3 AS TEXT) AS content_type, CAST(added_rows.value ->> 4 AS BIGINT) AS size,
    CAST(added_rows.value ->> 5 AS TEXT) AS sha256, CAST(added_rows.value ->> 6 AS TEXT) AS state,
    CAST(added_rows.value ->> 7 AS TEXT) AS kind, CAST(added_rows.value ->> 8 AS TEXT) AS key,
    CAST(added_rows.value ->> 9 AS TEXT) AS task_id, CAST(added_rows.value ->> 10 AS BIGINT) AS created_ms,
    CAST(added_rows.value ->> 11 AS BIGINT) AS expires_ms, CAST(added_rows.value ->> 12 AS BIGINT) AS
    upload_until_ms FROM json_array_elements(CAST($1::VARCHAR AS JSON)) AS added_rows WHERE
    json_typeof(added_rows.value) = 'array') AS added WHERE true;

-- _DROP
DELETE FROM files WHERE files.id = ANY ($1::TEXT[]);

-- _SHOWN
SELECT task_bodies.files FROM task_bodies WHERE task_bodies.task_id = $1::VARCHAR FOR UPDATE;

-- _SHOW
UPDATE task_bodies SET files=$1::VARCHAR WHERE task_bodies.task_id = $2::VARCHAR;

-- _MOVE_USAGE
INSERT INTO file_usage (partner_id, stored_files, stored_bytes) VALUES ($1::VARCHAR, $2::BIGINT, $3::BIGINT)
    ON CONFLICT (partner_id) DO UPDATE SET stored_files = (file_usage.stored_files + excluded.stored_files),
    stored_bytes = (file_usage.stored_bytes + excluded.stored_bytes) RETURNING file_usage.stored_bytes;

-- _USAGE
SELECT file_usage.stored_files, file_usage.stored_bytes FROM file_usage WHERE file_usage.partner_id =
    $1::VARCHAR;

-- files/file_sweeps.py

-- _OVER
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files.key, files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM files
    WHERE files.expires_ms <= $1::BIGINT LIMIT $2::INTEGER FOR UPDATE SKIP LOCKED;

-- _ABANDONED
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files.key, files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM files
    WHERE files.upload_until_ms <= $1::BIGINT LIMIT $2::INTEGER FOR UPDATE SKIP LOCKED;

-- _COME_AGAIN
UPDATE files SET expires_ms=$1::BIGINT WHERE files.id = ANY ($2::TEXT[]);

-- _TAKEN
SELECT file_uses.file_id AS id FROM file_uses WHERE file_uses.task_id = ANY ($1::TEXT[]);

-- _STILL_USED
SELECT file_uses.file_id AS id FROM file_uses WHERE file_uses.file_id = ANY ($1::TEXT[]);

-- _DROP_USES
DELETE FROM file_uses WHERE file_uses.task_id = ANY ($1::TEXT[]);

-- _GOING
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files.key, files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM files
    WHERE files.task_id = ANY ($1::TEXT[]) OR files.id = ANY ($2::TEXT[]);

-- _KEYS
SELECT files.key FROM files WHERE files.id = ANY ($1::TEXT[]);

-- files/files.py

-- _FINISH
UPDATE files SET content_type=$1::VARCHAR, sha256=$2::VARCHAR, state=$3::VARCHAR, key=$4::VARCHAR,
    upload_until_ms=$5::BIGINT WHERE files.id = $6::VARCHAR AND files.state = $7::VARCHAR;

-- _ONE
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files.key, files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM files
    WHERE files.id = $1::VARCHAR;

-- _ONE
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files.key, files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM files
    WHERE files.id = $1::VARCHAR AND files.partner_id = $2::VARCHAR;

-- _SOME
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files.key, files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM files
    WHERE files.id = ANY ($1::TEXT[]);

-- _SOME
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files.key, files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM files
    WHERE files.id = ANY ($1::TEXT[]) AND files.partner_id = $2::VARCHAR;

-- _PAGE
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files.key, files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM files
    ORDER BY files.id DESC LIMIT $1::INTEGER;

-- _PAGE
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files.key, files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM files
    WHERE files.partner_id = $1::VARCHAR AND files.id < $2::VARCHAR AND files.kind = $3::VARCHAR AND
    (files.task_id = $4::VARCHAR OR files.id IN (SELECT file_uses.file_id FROM file_uses WHERE
    file_uses.task_id = $4::VARCHAR)) ORDER BY files.id DESC LIMIT $5::INTEGER;

-- _LOCK
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files.key, files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM files
    WHERE files.id = $1::VARCHAR FOR UPDATE;

-- _LOCK
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files.key, files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM files
    WHERE files.id = $1::VARCHAR AND files.partner_id = $2::VARCHAR FOR UPDATE;

-- known_values.py

-- _ENDPOINT
SELECT endpoints.id FROM endpoints WHERE endpoints.id = $1::VARCHAR;

-- _ENDPOINT
SELECT endpoints.id FROM endpoints WHERE endpoints.id = $1::VARCHAR AND endpoints.partner_id = $2::VARCHAR;

-- _DELIVERY_WITH_ERROR
SELECT deliveries.id FROM deliveries WHERE deliveries.last_error = $1::VARCHAR LIMIT $2::INTEGER;

-- _DELIVERY_WITH_ERROR
SELECT deliveries.id FROM deliveries WHERE deliveries.last_error = $1::VARCHAR AND deliveries.partner_id =
    $2::VARCHAR LIMIT $3::INTEGER;

-- _PARTNER_WITH_TYPE
SELECT partners.id FROM partners WHERE EXISTS (SELECT tasks.id FROM tasks WHERE tasks.partner_id = partners.id
    AND tasks.type = $1::VARCHAR LIMIT $2::INTEGER) LIMIT $3::INTEGER;

-- _PARTNER_WITH_TYPE
SELECT partners.id FROM partners WHERE (EXISTS (SELECT tasks.id FROM tasks WHERE tasks.partner_id =
    partners.id AND tasks.type = $1::VARCHAR LIMIT $2::INTEGER)) AND partners.id = $3::VARCHAR LIMIT
    $4::INTEGER;

-- _TASK_WITH_CODE
SELECT task_bodies.task_id AS id FROM task_bodies WHERE task_bodies.error_code = $1::VARCHAR LIMIT $2::INTEGER;

-- _TASK_WITH_CODE
SELECT task_bodies.task_id AS id FROM task_bodies JOIN tasks ON tasks.id = task_bodies.task_id WHERE
    task_bodies.error_code = $1::VARCHAR AND tasks.partner_id = $2::VARCHAR LIMIT $3::INTEGER;

-- lanes/changes.py

-- _WRITE_OUTCOMES
UPDATE deliveries SET state=CASE WHEN (deliveries.state = $1::VARCHAR AND NOT (deliveries.state = $1::VARCHAR
    AND deliveries.attempts_before = deliveries.attempts AND (outcomes.state = $2::VARCHAR OR
    outcomes.dead_reason IS NOT DISTINCT FROM $3::VARCHAR))) THEN outcomes.state ELSE deliveries.state END,
    attempts=(deliveries.attempts - outcomes.attempts_back), attempts_before=CASE WHEN
    (deliveries.attempts_before > deliveries.attempts - outcomes.attempts_back) THEN deliveries.attempts -
    outcomes.attempts_back ELSE deliveries.attempts_before END, due_ms=CASE WHEN (deliveries.state =
    $1::VARCHAR AND deliveries.attempts_before = deliveries.attempts AND (outcomes.state = $2::VARCHAR OR
    outcomes.dead_reason IS NOT DISTINCT FROM $3::VARCHAR)) THEN $4::BIGINT WHEN (deliveries.state =
    $1::VARCHAR) THEN outcomes.due_ms END, session_id=$5::VARCHAR, last_status=CASE WHEN
    (outcomes.attempts_back = $6::INTEGER AND outcomes.last_error IS NULL) THEN deliveries.last_status ELSE
    outcomes.last_status END, last_error=CASE WHEN (outcomes.attempts_back = $6::INTEGER AND
    outcomes.last_error IS NULL) THEN deliveries.last_error ELSE outcomes.last_error END, dead_reason=CASE
    WHEN (deliveries.state = $1::VARCHAR AND NOT (deliveries.state = $1::VARCHAR AND
    deliveries.attempts_before = deliveries.attempts AND (outcomes.state = $2::VARCHAR OR outcomes.dead_reason
    IS NOT DISTINCT FROM $3::VARCHAR))) THEN outcomes.dead_reason ELSE deliveries.dead_reason END,
    discarded_ms=CASE WHEN (deliveries.once IS true AND outcomes.state = $7::VARCHAR AND NOT (deliveries.state
    = $1::VARCHAR AND deliveries.attempts_before = deliveries.attempts AND (outcomes.state = $2::VARCHAR OR
    outcomes.dead_reason IS NOT DISTINCT FROM $3::VARCHAR))) THEN outcomes.ended_ms ELSE
    deliveries.discarded_ms END, ended_ms=CASE WHEN (deliveries.state = $1::VARCHAR AND NOT (deliveries.state
    = $1::VARCHAR AND deliveries.attempts_before = deliveries.attempts AND (outcomes.state = $2::VARCHAR OR
    outcomes.dead_reason IS NOT DISTINCT FROM $3::VARCHAR))) THEN outcomes.ended_ms ELSE deliveries.ended_ms
    END FROM (SELECT CAST(outcomes_rows.value ->> 0 AS TEXT) AS id, CAST(outcomes_rows.value ->> 1 AS TEXT) AS
    session_id, CAST(outcomes_rows.value ->> 2 AS INTEGER) AS token, CAST(outcomes_rows.value ->> 3 AS TEXT)
    AS state, CAST(outcomes_rows.value ->> 4 AS BIGINT) AS due_ms, CAST(outcomes_rows.value ->> 5 AS INTEGER)
    AS attempts_back, CAST(outcomes_rows.value ->> 6 AS INTEGER) AS last_status, CAST(outcomes_rows.value ->>
    7 AS TEXT) AS last_error, CAST(outcomes_rows.value ->> 8 AS TEXT) AS dead_reason, CAST(outcomes_rows.value
    ->> 9 AS BIGINT) AS ended_ms FROM json_array_elements(CAST($8::VARCHAR AS JSON)) AS outcomes_rows WHERE
    json_typeof(outcomes_rows.value) = 'array') AS outcomes WHERE deliveries.id = outcomes.id AND
    deliveries.session_id IS NOT DISTINCT FROM outcomes.session_id AND deliveries.token = outcomes.token
    RETURNING deliveries.id, deliveries.token, deliveries.state;

-- lanes/claims.py

-- _MOVE
UPDATE lanes SET ready_ms=CASE WHEN lanes.fifo THEN (SELECT waiting.due_ms FROM deliveries AS waiting WHERE
    waiting.state = 'pending' AND waiting.session_id IS NULL AND waiting.id = (SELECT min(head.id) AS min_1
    FROM deliveries AS head WHERE head.state = 'pending' AND head.lane_id = lanes.id)) ELSE (SELECT
    min(waiting.due_ms) AS min_2 FROM deliveries AS waiting WHERE waiting.state = 'pending' AND
    waiting.session_id IS NULL AND waiting.lane_id = lanes.id) END, hold_ms=moved.hold_ms,
    served_ms=moved.served_ms, in_flight=(lanes.in_flight + moved.started), cap=moved.cap, pace=moved.pace
    FROM (SELECT CAST(moved_rows.value ->> 0 AS TEXT) AS id, CAST(moved_rows.value ->> 1 AS INTEGER) AS
    started, CAST(moved_rows.value ->> 2 AS BIGINT) AS served_ms, CAST(moved_rows.value ->> 3 AS BIGINT) AS
    hold_ms, CAST(moved_rows.value ->> 4 AS INTEGER) AS cap, CAST(moved_rows.value ->> 5 AS TEXT) AS pace FROM
    json_array_elements(CAST($1::VARCHAR AS JSON)) AS moved_rows WHERE json_typeof(moved_rows.value) =
    'array') AS moved WHERE lanes.id = moved.id;

-- lanes/health.py

-- _HOLDERS
SELECT deliveries.id, deliveries.session_id, deliveries.token FROM deliveries WHERE deliveries.id = ANY
    ($1::TEXT[]);

-- _FAILING
UPDATE endpoints SET failing_since_ms=$1::BIGINT, failing_told_ms=$2::BIGINT WHERE endpoints.id = $3::VARCHAR;

-- _DISABLE
UPDATE endpoints SET state=$1::VARCHAR, disabled_reason=$2::VARCHAR, updated_ms=$3::BIGINT WHERE endpoints.id
    = $4::VARCHAR;

-- _PARK
UPDATE deliveries SET state=$1::VARCHAR, due_ms=$2::BIGINT WHERE deliveries.lane_id = $3::VARCHAR AND
    deliveries.state = 'pending' AND deliveries.session_id IS NULL;

-- lanes/picking.py

-- _PICK
WITH holding AS (SELECT sessions.id AS id FROM sessions WHERE sessions.id = $1::VARCHAR FOR KEY SHARE) SELECT
    quick_lanes.id, quick_lanes.partner_id, quick_lanes.endpoint_id, quick_lanes.fifo, quick_lanes.ready_ms,
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
    lanes.endpoint_id WHERE lanes.ready_ms <= $2::BIGINT AND lanes.hold_ms <= $2::BIGINT AND lanes.in_flight <
    lanes.cap AND lanes.slow IS false AND (lanes.partner_id NOT IN (SELECT "full".id FROM (SELECT
    CAST(full_rows.value ->> 0 AS TEXT) AS id FROM json_array_elements(CAST($3::VARCHAR AS JSON)) AS full_rows
    WHERE json_typeof(full_rows.value) = 'array') AS "full")) AND (lanes.endpoint_id IS NULL OR
    endpoints.state = $4::VARCHAR AND endpoints.deleted_ms IS NULL) AND (lanes.heard OR $5::BOOLEAN AND
    (lanes.partner_id NOT IN (SELECT full_unheard.id FROM (SELECT CAST(full_unheard_rows.value ->> 0 AS TEXT)
    AS id FROM json_array_elements(CAST($6::VARCHAR AS JSON)) AS full_unheard_rows WHERE
    json_typeof(full_unheard_rows.value) = 'array') AS full_unheard))) ORDER BY lanes.served_ms, lanes.id
    LIMIT $7::INTEGER FOR UPDATE OF lanes SKIP LOCKED) AS quick_lanes UNION ALL SELECT slow_lanes.id,
    slow_lanes.partner_id, slow_lanes.endpoint_id, slow_lanes.fifo, slow_lanes.ready_ms, slow_lanes.hold_ms,
    slow_lanes.served_ms, slow_lanes.in_flight, slow_lanes.cap, slow_lanes.slow, slow_lanes.heard,
    slow_lanes.pace, slow_lanes.weight, slow_lanes.url, slow_lanes.headers_sealed, slow_lanes.rate_limit,
    slow_lanes.max_concurrency, slow_lanes.retry_max_attempts, slow_lanes.retry_base_seconds,
    slow_lanes.retry_factor, slow_lanes.retry_cap_seconds FROM (SELECT lanes.id AS id, lanes.partner_id AS
    partner_id, lanes.endpoint_id AS endpoint_id, lanes.fifo AS fifo, lanes.ready_ms AS ready_ms,
    lanes.hold_ms AS hold_ms, lanes.served_ms AS served_ms, lanes.in_flight AS in_flight, lanes.cap AS cap,
    lanes.slow AS slow, lanes.heard AS heard, lanes.pace AS pace, partners.weight AS weight, endpoints.url AS
    url, endpoints.headers_sealed AS headers_sealed, endpoints.rate_limit AS rate_limit,
    endpoints.max_concurrency AS max_concurrency, endpoints.retry_max_attempts AS retry_max_attempts,
    endpoints.retry_base_seconds AS retry_base_seconds, endpoints.retry_factor AS retry_factor,
    endpoints.retry_cap_seconds AS retry_cap_seconds FROM lanes JOIN holding ON true LEFT OUTER JOIN partners
    ON partners.id = lanes.partner_id LEFT OUTER JOIN endpoints ON endpoints.id = lanes.endpoint_id WHERE
    lanes.ready_ms <= $2::BIGINT AND lanes.hold_ms <= $2::BIGINT AND lanes.in_flight < lanes.cap AND
    lanes.slow IS true AND (lanes.partner_id NOT IN (SELECT full_slow.id FROM (SELECT
    CAST(full_slow_rows.value ->> 0 AS TEXT) AS id FROM json_array_elements(CAST($8::VARCHAR AS JSON)) AS
    full_slow_rows WHERE json_typeof(full_slow_rows.value) = 'array') AS full_slow)) AND (lanes.endpoint_id IS
    NULL OR endpoints.state = $9::VARCHAR AND endpoints.deleted_ms IS NULL) ORDER BY lanes.served_ms, lanes.id
    LIMIT $10::INTEGER FOR UPDATE OF lanes SKIP LOCKED) AS slow_lanes ORDER BY slow, served_ms, id;

-- lanes/release.py

-- _LOCK
SELECT lanes.id FROM lanes WHERE lanes.id = ANY ($1::TEXT[]) ORDER BY lanes.id FOR UPDATE;

-- _LANES_OF
SELECT DISTINCT deliveries.lane_id, deliveries.partner_id, deliveries.endpoint_id, endpoints.ordering FROM
    deliveries JOIN (SELECT CAST(ids_rows.value ->> 0 AS TEXT) AS id FROM json_array_elements(CAST($1::VARCHAR
    AS JSON)) AS ids_rows WHERE json_typeof(ids_rows.value) = 'array') AS ids ON deliveries.id = ids.id LEFT
    OUTER JOIN endpoints ON endpoints.id = deliveries.endpoint_id WHERE deliveries.id BETWEEN (SELECT
    min(ids.id) AS min_1 FROM (SELECT CAST(ids_rows.value ->> 0 AS TEXT) AS id FROM
    json_array_elements(CAST($1::VARCHAR AS JSON)) AS ids_rows WHERE json_typeof(ids_rows.value) = 'array') AS
    ids) AND (SELECT max(ids.id) AS max_1 FROM (SELECT CAST(ids_rows.value ->> 0 AS TEXT) AS id FROM
    json_array_elements(CAST($1::VARCHAR AS JSON)) AS ids_rows WHERE json_typeof(ids_rows.value) = 'array') AS
    ids);

-- _MAKE
INSERT INTO lanes (id, partner_id, endpoint_id, fifo, ready_ms, hold_ms, served_ms, in_flight, cap, slow,
    heard, pace) SELECT made.id, made.partner_id, made.endpoint_id, made.fifo, made.ready_ms, made.hold_ms,
    made.served_ms, made.in_flight, made.cap, made.slow, made.heard, made.pace FROM (SELECT
    CAST(made_rows.value ->> 0 AS TEXT) AS id, CAST(made_rows.value ->> 1 AS TEXT) AS partner_id,
    CAST(made_rows.value ->> 2 AS TEXT) AS endpoint_id, CAST(made_rows.value ->> 3 AS BOOLEAN) AS fifo,
    CAST(made_rows.value ->> 4 AS BIGINT) AS ready_ms, CAST(made_rows.value ->> 5 AS BIGINT) AS hold_ms,
    CAST(made_rows.value ->> 6 AS BIGINT) AS served_ms, CAST(made_rows.value ->> 7 AS INTEGER) AS in_flight,
    CAST(made_rows.value ->> 8 AS INTEGER) AS cap, CAST(made_rows.value ->> 9 AS BOOLEAN) AS slow,
    CAST(made_rows.value ->> 10 AS BOOLEAN) AS heard, CAST(made_rows.value ->> 11 AS TEXT) AS pace FROM
    json_array_elements(CAST($1::VARCHAR AS JSON)) AS made_rows WHERE json_typeof(made_rows.value) = 'array')
    AS made WHERE true ON CONFLICT DO NOTHING;

-- _LOCK_PACES
SELECT lanes.id, lanes.ready_ms, lanes.pace FROM lanes WHERE lanes.id = ANY ($1::TEXT[]) ORDER BY lanes.id FOR
    UPDATE;

-- _RELEASE
UPDATE lanes SET fifo=released.fifo, ready_ms=released.ready_ms, hold_ms=released.hold_ms, pace=released.pace,
    open_until_ms=released.open_until_ms FROM (SELECT CAST(released_rows.value ->> 0 AS TEXT) AS id,
    CAST(released_rows.value ->> 1 AS BIGINT) AS ready_ms, CAST(released_rows.value ->> 2 AS BIGINT) AS
    hold_ms, CAST(released_rows.value ->> 3 AS TEXT) AS pace, CAST(released_rows.value ->> 4 AS BIGINT) AS
    open_until_ms, CAST(released_rows.value ->> 5 AS BOOLEAN) AS fifo FROM
    json_array_elements(CAST($1::VARCHAR AS JSON)) AS released_rows WHERE json_typeof(released_rows.value) =
    'array') AS released WHERE lanes.id = released.id;

-- lanes/rows.py

-- _WAKE
UPDATE lanes SET ready_ms=CASE WHEN (lanes.ready_ms < woken.due_ms) THEN lanes.ready_ms ELSE woken.due_ms END
    FROM (SELECT CAST(woken_rows.value ->> 0 AS TEXT) AS id, CAST(woken_rows.value ->> 1 AS BIGINT) AS due_ms
    FROM json_array_elements(CAST($1::VARCHAR AS JSON)) AS woken_rows WHERE json_typeof(woken_rows.value) =
    'array') AS woken WHERE lanes.id = woken.id;

-- _NEXT_READY
SELECT min(CASE WHEN (lanes.hold_ms > lanes.ready_ms) THEN lanes.hold_ms ELSE lanes.ready_ms END) AS min_1
    FROM lanes LEFT OUTER JOIN endpoints ON endpoints.id = lanes.endpoint_id WHERE lanes.ready_ms IS NOT NULL
    AND lanes.in_flight < lanes.cap AND (lanes.slow IS false OR $1::BOOLEAN AND (lanes.partner_id NOT IN
    (SELECT full_slow.id FROM (SELECT CAST(full_slow_rows.value ->> 0 AS TEXT) AS id FROM
    json_array_elements(CAST($2::VARCHAR AS JSON)) AS full_slow_rows WHERE json_typeof(full_slow_rows.value) =
    'array') AS full_slow))) AND (lanes.heard IS true OR $3::BOOLEAN AND (lanes.partner_id NOT IN (SELECT
    full_unheard.id FROM (SELECT CAST(full_unheard_rows.value ->> 0 AS TEXT) AS id FROM
    json_array_elements(CAST($4::VARCHAR AS JSON)) AS full_unheard_rows WHERE
    json_typeof(full_unheard_rows.value) = 'array') AS full_unheard))) AND (lanes.partner_id NOT IN (SELECT
    "full".id FROM (SELECT CAST(full_rows.value ->> 0 AS TEXT) AS id FROM json_array_elements(CAST($5::VARCHAR
    AS JSON)) AS full_rows WHERE json_typeof(full_rows.value) = 'array') AS "full")) AND (lanes.endpoint_id IS
    NULL OR endpoints.state = $6::VARCHAR AND endpoints.deleted_ms IS NULL);

-- _NEXT_READY_FOR
SELECT min(CASE WHEN (lanes.hold_ms > lanes.ready_ms) THEN lanes.hold_ms ELSE lanes.ready_ms END) AS min_1
    FROM lanes LEFT OUTER JOIN endpoints ON endpoints.id = lanes.endpoint_id WHERE lanes.ready_ms IS NOT NULL
    AND lanes.in_flight < lanes.cap AND (lanes.slow IS false OR $1::BOOLEAN AND (lanes.partner_id NOT IN
    (SELECT full_slow.id FROM (SELECT CAST(full_slow_rows.value ->> 0 AS TEXT) AS id FROM
    json_array_elements(CAST($2::VARCHAR AS JSON)) AS full_slow_rows WHERE json_typeof(full_slow_rows.value) =
    'array') AS full_slow))) AND (lanes.heard IS true OR $3::BOOLEAN AND (lanes.partner_id NOT IN (SELECT
    full_unheard.id FROM (SELECT CAST(full_unheard_rows.value ->> 0 AS TEXT) AS id FROM
    json_array_elements(CAST($4::VARCHAR AS JSON)) AS full_unheard_rows WHERE
    json_typeof(full_unheard_rows.value) = 'array') AS full_unheard))) AND (lanes.partner_id NOT IN (SELECT
    "full".id FROM (SELECT CAST(full_rows.value ->> 0 AS TEXT) AS id FROM json_array_elements(CAST($5::VARCHAR
    AS JSON)) AS full_rows WHERE json_typeof(full_rows.value) = 'array') AS "full")) AND (lanes.endpoint_id IS
    NULL OR endpoints.state = $6::VARCHAR AND endpoints.deleted_ms IS NULL) AND (EXISTS (SELECT * FROM
    sessions WHERE sessions.id = $7::VARCHAR));

-- lanes/settling.py

-- _LOCK
SELECT lanes.id, lanes.partner_id, lanes.endpoint_id, lanes.fifo, lanes.ready_ms, lanes.hold_ms,
    lanes.served_ms, lanes.in_flight, lanes.cap, lanes.slow, lanes.heard, lanes.pace, lanes.open_until_ms,
    endpoints.state AS endpoint_state, endpoints.deleted_ms AS endpoint_deleted_ms,
    endpoints.failing_since_ms, endpoints.failing_told_ms, endpoints.max_concurrency,
    endpoints.retry_cap_seconds FROM lanes JOIN (SELECT CAST(lane_ids_rows.value ->> 0 AS TEXT) AS id FROM
    json_array_elements(CAST($1::VARCHAR AS JSON)) AS lane_ids_rows WHERE json_typeof(lane_ids_rows.value) =
    'array') AS lane_ids ON lanes.id = lane_ids.id LEFT OUTER JOIN endpoints ON endpoints.id =
    lanes.endpoint_id ORDER BY lanes.id FOR UPDATE OF lanes;

-- _FREE
UPDATE lanes SET ready_ms=CASE WHEN lanes.fifo THEN (SELECT waiting.due_ms FROM deliveries AS waiting WHERE
    waiting.state = 'pending' AND waiting.session_id IS NULL AND waiting.id = (SELECT min(head.id) AS min_1
    FROM deliveries AS head WHERE head.state = 'pending' AND head.lane_id = lanes.id)) ELSE (SELECT
    min(waiting.due_ms) AS min_2 FROM deliveries AS waiting WHERE waiting.state = 'pending' AND
    waiting.session_id IS NULL AND waiting.lane_id = lanes.id) END, hold_ms=settled.hold_ms, in_flight=CASE
    WHEN (lanes.in_flight - settled.ended < $1::INTEGER) THEN $2::INTEGER ELSE lanes.in_flight - settled.ended
    END, cap=settled.cap, slow=settled.slow, heard=settled.heard, pace=settled.pace,
    open_until_ms=settled.open_until_ms FROM (SELECT CAST(settled_rows.value ->> 0 AS TEXT) AS id,
    CAST(settled_rows.value ->> 1 AS INTEGER) AS ended, CAST(settled_rows.value ->> 2 AS BIGINT) AS hold_ms,
    CAST(settled_rows.value ->> 3 AS INTEGER) AS cap, CAST(settled_rows.value ->> 4 AS BOOLEAN) AS slow,
    CAST(settled_rows.value ->> 5 AS BOOLEAN) AS heard, CAST(settled_rows.value ->> 6 AS TEXT) AS pace,
    CAST(settled_rows.value ->> 7 AS BIGINT) AS open_until_ms FROM json_array_elements(CAST($3::VARCHAR AS
    JSON)) AS settled_rows WHERE json_typeof(settled_rows.value) = 'array') AS settled WHERE lanes.id =
    settled.id RETURNING lanes.id, lanes.ready_ms, lanes.hold_ms;

-- lanes/taking.py

-- _FIRST_DUE
SELECT line.id, line.lane_id, line.url FROM (SELECT CAST(wanted_rows.value ->> 0 AS TEXT) AS lane_id FROM
    json_array_elements(CAST($1::VARCHAR AS JSON)) AS wanted_rows WHERE json_typeof(wanted_rows.value) =
    'array') AS wanted JOIN LATERAL (SELECT inner_deliveries.id AS id, inner_deliveries.due_ms AS due_ms,
    inner_deliveries.lane_id AS lane_id, inner_deliveries.url AS url FROM deliveries AS inner_deliveries WHERE
    inner_deliveries.state = 'pending' AND inner_deliveries.session_id IS NULL AND inner_deliveries.lane_id =
    wanted.lane_id AND inner_deliveries.due_ms <= $2::BIGINT ORDER BY inner_deliveries.due_ms,
    inner_deliveries.id LIMIT $3::INTEGER) AS line ON true ORDER BY line.lane_id, line.due_ms, line.id;

-- _FIFO_HEADS
SELECT deliveries.id, deliveries.lane_id, deliveries.url FROM (SELECT CAST(wanted_rows.value ->> 0 AS TEXT) AS
    lane_id FROM json_array_elements(CAST($1::VARCHAR AS JSON)) AS wanted_rows WHERE
    json_typeof(wanted_rows.value) = 'array') AS wanted JOIN deliveries ON deliveries.id = (SELECT
    min(inner_deliveries.id) AS min_1 FROM deliveries AS inner_deliveries WHERE inner_deliveries.state =
    'pending' AND inner_deliveries.lane_id = wanted.lane_id) WHERE deliveries.session_id IS NULL AND
    deliveries.due_ms <= $2::BIGINT;

-- _TAKE_WITH_MESSAGES
UPDATE deliveries SET attempts=(deliveries.attempts + $1::INTEGER), due_ms=$2::BIGINT, session_id=$3::VARCHAR,
    token=(deliveries.token + $4::INTEGER) FROM (SELECT CAST(ids_rows.value ->> 0 AS TEXT) AS id FROM
    json_array_elements(CAST($5::VARCHAR AS JSON)) AS ids_rows WHERE json_typeof(ids_rows.value) = 'array') AS
    ids, messages WHERE deliveries.id = ids.id AND deliveries.state IS NOT DISTINCT FROM $6::VARCHAR AND
    deliveries.session_id IS NULL AND messages.id = deliveries.message_id RETURNING deliveries.id,
    deliveries.message_id, deliveries.task_id, deliveries.lane_id, deliveries.url, deliveries.event,
    deliveries.once, deliveries.attempts, deliveries.attempts_before, deliveries.max_attempts,
    deliveries.token, deliveries.created_ms, messages.body, messages.trace_id, messages.trace_parent_id,
    messages.trace_flags, messages.trace_state;

-- _WITH_MESSAGES
SELECT deliveries.id, deliveries.message_id, deliveries.task_id, deliveries.lane_id, deliveries.url,
    deliveries.event, deliveries.once, deliveries.attempts, deliveries.attempts_before,
    deliveries.max_attempts, deliveries.token, deliveries.created_ms, messages.body, messages.trace_id,
    messages.trace_parent_id, messages.trace_flags, messages.trace_state FROM deliveries JOIN (SELECT
    CAST(ids_rows.value ->> 0 AS TEXT) AS id FROM json_array_elements(CAST($1::VARCHAR AS JSON)) AS ids_rows
    WHERE json_typeof(ids_rows.value) = 'array') AS ids ON deliveries.id = ids.id JOIN messages ON messages.id
    = deliveries.message_id;

-- lanes/targets.py

-- _OPEN
SELECT lanes.id, lanes.partner_id, lanes.endpoint_id, lanes.fifo, lanes.ready_ms, lanes.hold_ms,
    lanes.served_ms, lanes.in_flight, lanes.cap, lanes.slow, lanes.heard, lanes.pace, partners.weight,
    endpoints.url, endpoints.headers_sealed, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds FROM lanes LEFT OUTER JOIN partners ON partners.id =
    lanes.partner_id LEFT OUTER JOIN endpoints ON endpoints.id = lanes.endpoint_id WHERE lanes.id = ANY
    ($1::TEXT[]) AND (lanes.endpoint_id IS NULL OR endpoints.state = $2::VARCHAR AND endpoints.deleted_ms IS
    NULL);

-- _SIGNING_NOW
SELECT asked.next_ms, secrets.id, secrets.partner_id, secrets.endpoint_id, secrets.scheme, secrets.sealed,
    secrets.created_ms, secrets.expires_ms FROM (SELECT CASE WHEN $1::BOOLEAN THEN (SELECT min(CASE WHEN
    (lanes.hold_ms > lanes.ready_ms) THEN lanes.hold_ms ELSE lanes.ready_ms END) AS min_1 FROM lanes LEFT
    OUTER JOIN endpoints ON endpoints.id = lanes.endpoint_id WHERE lanes.ready_ms IS NOT NULL AND
    lanes.in_flight < lanes.cap AND (lanes.slow IS false OR $2::BOOLEAN AND (lanes.partner_id NOT IN (SELECT
    full_slow.id FROM (SELECT CAST(full_slow_rows.value ->> 0 AS TEXT) AS id FROM
    json_array_elements(CAST($3::VARCHAR AS JSON)) AS full_slow_rows WHERE json_typeof(full_slow_rows.value) =
    'array') AS full_slow))) AND (lanes.heard IS true OR $4::BOOLEAN AND (lanes.partner_id NOT IN (SELECT
    full_unheard.id FROM (SELECT CAST(full_unheard_rows.value ->> 0 AS TEXT) AS id FROM
    json_array_elements(CAST($5::VARCHAR AS JSON)) AS full_unheard_rows WHERE
    json_typeof(full_unheard_rows.value) = 'array') AS full_unheard))) AND (lanes.partner_id NOT IN (SELECT
    "full".id FROM (SELECT CAST(full_rows.value ->> 0 AS TEXT) AS id FROM json_array_elements(CAST($6::VARCHAR
    AS JSON)) AS full_rows WHERE json_typeof(full_rows.value) = 'array') AS "full")) AND (lanes.endpoint_id IS
    NULL OR endpoints.state = $7::VARCHAR AND endpoints.deleted_ms IS NULL)) ELSE NULL END AS next_ms) AS
    asked LEFT OUTER JOIN secrets ON (secrets.expires_ms IS NULL OR secrets.expires_ms > $8::BIGINT) AND
    (secrets.endpoint_id = ANY ($9::TEXT[]) OR secrets.endpoint_id IS NULL AND secrets.partner_id = ANY
    ($10::TEXT[])) ORDER BY secrets.created_ms DESC, secrets.id DESC;

-- tasks/batch_counts.py

-- _ADD
INSERT INTO batch_counts (batch_id, shard, moves, scheduled, queued, running, succeeded, failed, cancelled,
    expired) SELECT changes.batch_id, changes.shard, changes.moves, changes.scheduled, changes.queued,
    changes.running, changes.succeeded, changes.failed, changes.cancelled, changes.expired FROM (SELECT
    CAST(changes_rows.value ->> 0 AS TEXT) AS batch_id, CAST(changes_rows.value ->> 1 AS TEXT) AS shard,
    CAST(changes_rows.value ->> 2 AS BIGINT) AS moves, CAST(changes_rows.value ->> 3 AS BIGINT) AS scheduled,
    CAST(changes_rows.value ->> 4 AS BIGINT) AS queued, CAST(changes_rows.value ->> 5 AS BIGINT) AS running,
    CAST(changes_rows.value ->> 6 AS BIGINT) AS succeeded, CAST(changes_rows.value ->> 7 AS BIGINT) AS failed,
    CAST(changes_rows.value ->> 8 AS BIGINT) AS cancelled, CAST(changes_rows.value ->> 9 AS BIGINT) AS expired
    FROM json_array_elements(CAST($1::VARCHAR AS JSON)) AS changes_rows WHERE json_typeof(changes_rows.value)
    = 'array') AS changes WHERE true ON CONFLICT (batch_id, shard) DO UPDATE SET moves = (batch_counts.moves +
    excluded.moves), scheduled = (batch_counts.scheduled + excluded.scheduled), queued = (batch_counts.queued
    + excluded.queued), running = (batch_counts.running + excluded.running), succeeded =
    (batch_counts.succeeded + excluded.succeeded), failed = (batch_counts.failed + excluded.failed), cancelled
    = (batch_counts.cancelled + excluded.cancelled), expired = (batch_counts.expired + excluded.expired);

-- _ENDED_SHARDS
SELECT batch_counts.batch_id, batch_counts.shard, batch_counts.moves, batch_counts.scheduled,
    batch_counts.queued, batch_counts.running, batch_counts.succeeded, batch_counts.failed,
    batch_counts.cancelled, batch_counts.expired FROM batch_counts WHERE batch_counts.shard != $1::VARCHAR AND
    NOT (batch_counts.shard = ANY ($2::TEXT[])) ORDER BY batch_counts.batch_id, batch_counts.shard LIMIT
    $3::INTEGER FOR UPDATE;

-- _FORGET
DELETE FROM batch_counts WHERE (batch_counts.batch_id, batch_counts.shard) IN (SELECT keys.batch_id,
    keys.shard FROM (SELECT CAST(keys_rows.value ->> 0 AS TEXT) AS batch_id, CAST(keys_rows.value ->> 1 AS
    TEXT) AS shard FROM json_array_elements(CAST($1::VARCHAR AS JSON)) AS keys_rows WHERE
    json_typeof(keys_rows.value) = 'array') AS keys);

-- tasks/batch_ends.py

-- _RUNNING
SELECT batches.id, batches.partner_id, batches.state, batches.total, batches.version, batches.metadata,
    batches.defaults, batches.callback_url, batches.callback_origin, batches.endpoint_ids, batches.trace_id,
    batches.trace_parent_id, batches.trace_flags, batches.trace_state, batches.created_ms, batches.closed_ms,
    batches.cancel_requested_ms, batches.completed_ms, coalesce(sums.moves, $1::INTEGER) AS moves,
    coalesce(sums.scheduled, $2::INTEGER) AS scheduled, coalesce(sums.queued, $3::INTEGER) AS queued,
    coalesce(sums.running, $4::INTEGER) AS running, coalesce(sums.succeeded, $5::INTEGER) AS succeeded,
    coalesce(sums.failed, $6::INTEGER) AS failed, coalesce(sums.cancelled, $7::INTEGER) AS cancelled,
    coalesce(sums.expired, $8::INTEGER) AS expired FROM batches LEFT OUTER JOIN (SELECT batch_counts.batch_id
    AS batch_id, sum(batch_counts.moves) AS moves, sum(batch_counts.scheduled) AS scheduled,
    sum(batch_counts.queued) AS queued, sum(batch_counts.running) AS running, sum(batch_counts.succeeded) AS
    succeeded, sum(batch_counts.failed) AS failed, sum(batch_counts.cancelled) AS cancelled,
    sum(batch_counts.expired) AS expired FROM batch_counts WHERE batch_counts.batch_id = ANY ($9::TEXT[])
    GROUP BY batch_counts.batch_id) AS sums ON sums.batch_id = batches.id WHERE batches.id = ANY ($9::TEXT[])
    AND batches.state = $10::VARCHAR;

-- _COMPLETE
UPDATE batches SET state=CASE WHEN (batches.cancel_requested_ms IS NOT NULL) THEN $1::VARCHAR ELSE $2::VARCHAR
    END, version=(batches.version + $3::BIGINT), completed_ms=$4::BIGINT WHERE batches.id = ANY ($5::TEXT[])
    AND batches.state = $6::VARCHAR RETURNING batches.id;

-- BATCHES_BY_ID
SELECT batches.id, batches.partner_id, batches.state, batches.total, batches.version, batches.metadata,
    batches.defaults, batches.callback_url, batches.callback_origin, batches.endpoint_ids, batches.trace_id,
    batches.trace_parent_id, batches.trace_flags, batches.trace_state, batches.created_ms, batches.closed_ms,
    batches.cancel_requested_ms, batches.completed_ms, coalesce(sums.moves, $1::INTEGER) AS moves,
    coalesce(sums.scheduled, $2::INTEGER) AS scheduled, coalesce(sums.queued, $3::INTEGER) AS queued,
    coalesce(sums.running, $4::INTEGER) AS running, coalesce(sums.succeeded, $5::INTEGER) AS succeeded,
    coalesce(sums.failed, $6::INTEGER) AS failed, coalesce(sums.cancelled, $7::INTEGER) AS cancelled,
    coalesce(sums.expired, $8::INTEGER) AS expired FROM batches LEFT OUTER JOIN (SELECT batch_counts.batch_id
    AS batch_id, sum(batch_counts.moves) AS moves, sum(batch_counts.scheduled) AS scheduled,
    sum(batch_counts.queued) AS queued, sum(batch_counts.running) AS running, sum(batch_counts.succeeded) AS
    succeeded, sum(batch_counts.failed) AS failed, sum(batch_counts.cancelled) AS cancelled,
    sum(batch_counts.expired) AS expired FROM batch_counts WHERE batch_counts.batch_id = ANY ($9::TEXT[])
    GROUP BY batch_counts.batch_id) AS sums ON sums.batch_id = batches.id WHERE batches.id = ANY ($9::TEXT[]);

-- tasks/batch_moves.py

-- _LOCK
SELECT batches.id FROM batches WHERE batches.id = $1::VARCHAR FOR UPDATE;

-- _LOCK
SELECT batches.id FROM batches WHERE batches.id = $1::VARCHAR AND batches.partner_id = $2::VARCHAR FOR UPDATE;

-- _SET
UPDATE batches SET state=$1::VARCHAR, version=(batches.version + $2::BIGINT), closed_ms=$3::BIGINT,
    cancel_requested_ms=$4::BIGINT WHERE batches.id = $5::VARCHAR;

-- _TO_CANCEL
SELECT batches.id FROM batches WHERE batches.cancel_requested_ms IS NOT NULL AND batches.state = $1::VARCHAR
    AND batches.id > $2::VARCHAR ORDER BY batches.id LIMIT $3::INTEGER;

-- _ASK_TO_STOP
UPDATE tasks SET version=(tasks.version + $1::INTEGER), cancel_requested_ms=$2::BIGINT WHERE tasks.id IN
    (SELECT tasks.id FROM tasks WHERE tasks.batch_id = $3::VARCHAR AND tasks.state = $4::VARCHAR AND
    tasks.cancel_requested_ms IS NULL ORDER BY tasks.id LIMIT $5::INTEGER FOR UPDATE SKIP LOCKED) AND
    tasks.state = $6::VARCHAR RETURNING tasks.id, tasks.partner_id, tasks.queue, tasks.version, tasks.batch_id;

-- tasks/batch_room.py

-- _INSERT
INSERT INTO batches (id, partner_id, state, total, version, last_task_id, metadata, defaults, callback_url,
    callback_origin, endpoint_ids, trace_id, trace_parent_id, trace_flags, trace_state, created_ms, closed_ms)
    SELECT rows.id, rows.partner_id, rows.state, rows.total, rows.version, rows.last_task_id, rows.metadata,
    rows.defaults, rows.callback_url, rows.callback_origin, rows.endpoint_ids, rows.trace_id,
    rows.trace_parent_id, rows.trace_flags, rows.trace_state, rows.created_ms, rows.closed_ms FROM (SELECT
    CAST(rows_rows.value ->> 0 AS TEXT) AS id, CAST(rows_rows.value ->> 1 AS TEXT) AS partner_id,
    CAST(rows_rows.value ->> 2 AS TEXT) AS state, CAST(rows_rows.value ->> 3 AS BIGINT) AS total,
    CAST(rows_rows.value ->> 4 AS BIGINT) AS version, CAST(rows_rows.value ->> 5 AS TEXT) AS last_task_id,
    CAST(rows_rows.value ->> 6 AS TEXT) AS metadata, CAST(rows_rows.value ->> 7 AS TEXT) AS defaults,
    CAST(rows_rows.value ->> 8 AS TEXT) AS callback_url, CAST(rows_rows.value ->> 9 AS TEXT) AS
    callback_origin, CAST(rows_rows.value ->> 10 AS TEXT) AS endpoint_ids, CAST(rows_rows.value ->> 11 AS
    TEXT) AS trace_id, CAST(rows_rows.value ->> 12 AS TEXT) AS trace_parent_id, CAST(rows_rows.value ->> 13 AS
    INTEGER) AS trace_flags, CAST(rows_rows.value ->> 14 AS TEXT) AS trace_state, CAST(rows_rows.value ->> 15
    AS BIGINT) AS created_ms, CAST(rows_rows.value ->> 16 AS BIGINT) AS closed_ms FROM
    json_array_elements(CAST($1::VARCHAR AS JSON)) AS rows_rows WHERE json_typeof(rows_rows.value) = 'array')
    AS rows WHERE true;

-- _LOCK_ROOM
SELECT batches.id, batches.state, batches.total, batches.last_task_id FROM batches WHERE batches.id = ANY
    ($1::TEXT[]) ORDER BY batches.id FOR UPDATE;

-- _ADDED
UPDATE batches SET total=(batches.total + $1::BIGINT), version=(batches.version + $2::BIGINT),
    last_task_id=$3::VARCHAR WHERE batches.id = $4::VARCHAR;

-- tasks/batches.py

-- _ONE
SELECT batches.id, batches.partner_id, batches.state, batches.total, batches.version, batches.metadata,
    batches.defaults, batches.callback_url, batches.callback_origin, batches.endpoint_ids, batches.trace_id,
    batches.trace_parent_id, batches.trace_flags, batches.trace_state, batches.created_ms, batches.closed_ms,
    batches.cancel_requested_ms, batches.completed_ms, coalesce(sums.moves, $1::INTEGER) AS moves,
    coalesce(sums.scheduled, $2::INTEGER) AS scheduled, coalesce(sums.queued, $3::INTEGER) AS queued,
    coalesce(sums.running, $4::INTEGER) AS running, coalesce(sums.succeeded, $5::INTEGER) AS succeeded,
    coalesce(sums.failed, $6::INTEGER) AS failed, coalesce(sums.cancelled, $7::INTEGER) AS cancelled,
    coalesce(sums.expired, $8::INTEGER) AS expired FROM batches LEFT OUTER JOIN (SELECT batch_counts.batch_id
    AS batch_id, sum(batch_counts.moves) AS moves, sum(batch_counts.scheduled) AS scheduled,
    sum(batch_counts.queued) AS queued, sum(batch_counts.running) AS running, sum(batch_counts.succeeded) AS
    succeeded, sum(batch_counts.failed) AS failed, sum(batch_counts.cancelled) AS cancelled,
    sum(batch_counts.expired) AS expired FROM batch_counts WHERE batch_counts.batch_id = ANY ($9::TEXT[])
    GROUP BY batch_counts.batch_id) AS sums ON sums.batch_id = batches.id WHERE batches.id = ANY ($9::TEXT[]);

-- _ONE
SELECT batches.id, batches.partner_id, batches.state, batches.total, batches.version, batches.metadata,
    batches.defaults, batches.callback_url, batches.callback_origin, batches.endpoint_ids, batches.trace_id,
    batches.trace_parent_id, batches.trace_flags, batches.trace_state, batches.created_ms, batches.closed_ms,
    batches.cancel_requested_ms, batches.completed_ms, coalesce(sums.moves, $1::INTEGER) AS moves,
    coalesce(sums.scheduled, $2::INTEGER) AS scheduled, coalesce(sums.queued, $3::INTEGER) AS queued,
    coalesce(sums.running, $4::INTEGER) AS running, coalesce(sums.succeeded, $5::INTEGER) AS succeeded,
    coalesce(sums.failed, $6::INTEGER) AS failed, coalesce(sums.cancelled, $7::INTEGER) AS cancelled,
    coalesce(sums.expired, $8::INTEGER) AS expired FROM batches LEFT OUTER JOIN (SELECT batch_counts.batch_id
    AS batch_id, sum(batch_counts.moves) AS moves, sum(batch_counts.scheduled) AS scheduled,
    sum(batch_counts.queued) AS queued, sum(batch_counts.running) AS running, sum(batch_counts.succeeded) AS
    succeeded, sum(batch_counts.failed) AS failed, sum(batch_counts.cancelled) AS cancelled,
    sum(batch_counts.expired) AS expired FROM batch_counts WHERE batch_counts.batch_id = ANY ($9::TEXT[])
    GROUP BY batch_counts.batch_id) AS sums ON sums.batch_id = batches.id WHERE batches.id = ANY ($9::TEXT[])
    AND batches.partner_id = $10::VARCHAR;

-- _PAGE
SELECT batches.id FROM batches ORDER BY batches.id DESC LIMIT $1::INTEGER;

-- _PAGE
SELECT batches.id FROM batches WHERE batches.partner_id = $1::VARCHAR AND batches.id < $2::VARCHAR AND
    batches.state = $3::VARCHAR AND batches.id >= $4::VARCHAR AND batches.id < $5::VARCHAR ORDER BY batches.id
    DESC LIMIT $6::INTEGER;

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
    WHERE tasks.batch_id = $1::VARCHAR ORDER BY tasks.id LIMIT $2::INTEGER;

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
    WHERE tasks.batch_id = $1::VARCHAR AND tasks.id > $2::VARCHAR AND tasks.state = $3::VARCHAR AND
    tasks.finished_ms IS NOT NULL ORDER BY tasks.id LIMIT $4::INTEGER;

-- tasks/choosing.py

-- _LOOK
WITH RECURSIVE waiting(partner_id) AS (SELECT min(tasks.partner_id) AS partner_id FROM tasks WHERE tasks.state
    = 'queued' AND tasks.queue = $1::VARCHAR UNION ALL SELECT (SELECT min(tasks.partner_id) AS min_1 FROM
    tasks WHERE tasks.state = 'queued' AND tasks.queue = $1::VARCHAR AND tasks.partner_id >
    waiting.partner_id) AS anon_1 FROM waiting WHERE waiting.partner_id IS NOT NULL), contenders AS (SELECT
    waiting.partner_id AS partner_id, shares.vtime AS vtime, partners.weight AS weight FROM waiting LEFT OUTER
    JOIN shares ON shares.queue = $1::VARCHAR AND shares.partner_id = waiting.partner_id LEFT OUTER JOIN
    partners ON partners.id = waiting.partner_id WHERE waiting.partner_id IS NOT NULL ORDER BY
    coalesce(shares.vtime, $5::FLOAT), waiting.partner_id LIMIT $6::INTEGER) SELECT contenders.partner_id,
    contenders.vtime, contenders.weight, (SELECT tasks.id FROM tasks WHERE tasks.suspect AND tasks.state =
    'queued' AND tasks.queue = $1::VARCHAR AND tasks.type = ANY ($2::TEXT[]) AND (tasks.expires_ms IS NULL OR
    tasks.expires_ms > $3::BIGINT) ORDER BY tasks.id LIMIT $4::INTEGER) AS suspect_id, line.id, line.type FROM
    contenders LEFT OUTER JOIN LATERAL (SELECT inner_tasks.id AS id, inner_tasks.type AS type,
    inner_tasks.priority AS priority FROM tasks AS inner_tasks WHERE inner_tasks.state = 'queued' AND
    inner_tasks.queue = $1::VARCHAR AND inner_tasks.partner_id = contenders.partner_id AND inner_tasks.suspect
    IS false AND inner_tasks.type = ANY ($2::TEXT[]) AND (inner_tasks.expires_ms IS NULL OR
    inner_tasks.expires_ms > $3::BIGINT) ORDER BY inner_tasks.priority, inner_tasks.id LIMIT (SELECT CASE WHEN
    (count(*) = $7::INTEGER) THEN $8::INTEGER WHEN ((($9::INTEGER * $8::INTEGER + count(*)) - $10::INTEGER) /
    count(*) + $11::INTEGER < $8::INTEGER) THEN (($9::INTEGER * $8::INTEGER + count(*)) - $10::INTEGER) /
    count(*) + $11::INTEGER ELSE $8::INTEGER END AS anon_2 FROM contenders)) AS line ON true ORDER BY
    contenders.partner_id, line.priority, line.id;

-- _SET_CLOCK
UPDATE queues SET vtime=$1::FLOAT WHERE queues.name = $2::VARCHAR;

-- _ADVANCE
INSERT INTO shares (queue, partner_id, vtime) SELECT served.queue, served.partner_id, served.vtime FROM
    (SELECT CAST(served_rows.value ->> 0 AS TEXT) AS queue, CAST(served_rows.value ->> 1 AS TEXT) AS
    partner_id, CAST(served_rows.value ->> 2 AS FLOAT) AS vtime FROM json_array_elements(CAST($1::VARCHAR AS
    JSON)) AS served_rows WHERE json_typeof(served_rows.value) = 'array') AS served WHERE true ON CONFLICT
    (queue, partner_id) DO UPDATE SET vtime = excluded.vtime;

-- tasks/claims.py

-- _ENTER
SELECT queues.paused_ms, queues.vtime FROM queues JOIN (SELECT sessions.id AS id FROM sessions WHERE
    sessions.id = $1::VARCHAR FOR KEY SHARE) AS holding ON true WHERE queues.name = $2::VARCHAR FOR UPDATE OF
    queues;

-- tasks/ends.py

-- _WRITE_BODIES
UPDATE task_bodies SET result=bodies.result, error_code=bodies.error_code, error_message=bodies.error_message
    FROM (SELECT CAST(bodies_rows.value ->> 0 AS TEXT) AS task_id, CAST(bodies_rows.value ->> 1 AS TEXT) AS
    result, CAST(bodies_rows.value ->> 2 AS TEXT) AS error_code, CAST(bodies_rows.value ->> 3 AS TEXT) AS
    error_message FROM json_array_elements(CAST($1::VARCHAR AS JSON)) AS bodies_rows WHERE
    json_typeof(bodies_rows.value) = 'array') AS bodies WHERE task_bodies.task_id = bodies.task_id RETURNING
    task_bodies.task_id, task_bodies.metadata, task_bodies.callback_url, task_bodies.callback_origin,
    task_bodies.endpoint_ids, task_bodies.events, task_bodies.trace_parent_id, task_bodies.trace_flags,
    task_bodies.trace_state, task_bodies.result, task_bodies.error_code, task_bodies.error_message,
    task_bodies.files, task_bodies.rerun_of;

-- _END_WHOLE
WITH ended AS (UPDATE tasks SET state=CASE WHEN (tasks.cancel_requested_ms IS NOT NULL AND ends.finished_ms IS
    NULL) THEN $1::VARCHAR ELSE ends.state END, version=(tasks.version + $2::INTEGER),
    attempts=(tasks.attempts - ends.attempts_back), due_ms=ends.due_ms, finished_ms=CASE WHEN
    (tasks.cancel_requested_ms IS NOT NULL AND ends.finished_ms IS NULL) THEN ends.now_ms ELSE
    ends.finished_ms END, session_id=$3::VARCHAR, deadline_ms=$4::BIGINT, suspect=(tasks.suspect AND
    ends.attempts_back = $5::INTEGER), progress_percent=coalesce(ends.progress_percent,
    tasks.progress_percent), progress_message=coalesce(ends.progress_message, tasks.progress_message),
    dead_ms=ends.dead_ms, dead_reason=ends.dead_reason FROM (SELECT CAST(ends_rows.value ->> 0 AS TEXT) AS id,
    CAST(ends_rows.value ->> 1 AS TEXT) AS session_id, CAST(ends_rows.value ->> 2 AS INTEGER) AS token,
    CAST(ends_rows.value ->> 3 AS TEXT) AS state, CAST(ends_rows.value ->> 4 AS BIGINT) AS now_ms,
    CAST(ends_rows.value ->> 5 AS BIGINT) AS due_ms, CAST(ends_rows.value ->> 6 AS INTEGER) AS attempts_back,
    CAST(ends_rows.value ->> 7 AS BIGINT) AS finished_ms, CAST(ends_rows.value ->> 8 AS BIGINT) AS dead_ms,
    CAST(ends_rows.value ->> 9 AS TEXT) AS dead_reason, CAST(ends_rows.value ->> 10 AS FLOAT) AS
    progress_percent, CAST(ends_rows.value ->> 11 AS TEXT) AS progress_message, CAST(ends_rows.value ->> 12 AS
    TEXT) AS result, CAST(ends_rows.value ->> 13 AS TEXT) AS error_code, CAST(ends_rows.value ->> 14 AS TEXT)
    AS error_message FROM json_array_elements(CAST($6::VARCHAR AS JSON)) AS ends_rows WHERE
    json_typeof(ends_rows.value) = 'array') AS ends WHERE tasks.id = ends.id AND tasks.id BETWEEN (SELECT
    min(ends.id) AS min_1 FROM (SELECT CAST(ends_rows.value ->> 0 AS TEXT) AS id FROM
    json_array_elements(CAST($6::VARCHAR AS JSON)) AS ends_rows WHERE json_typeof(ends_rows.value) = 'array')
    AS ends) AND (SELECT max(ends.id) AS max_1 FROM (SELECT CAST(ends_rows.value ->> 0 AS TEXT) AS id FROM
    json_array_elements(CAST($6::VARCHAR AS JSON)) AS ends_rows WHERE json_typeof(ends_rows.value) = 'array')
    AS ends) AND tasks.session_id IS NOT DISTINCT FROM ends.session_id AND tasks.token = ends.token AND
    tasks.state = $7::VARCHAR RETURNING tasks.id, tasks.partner_id, tasks.type, tasks.queue, tasks.state,
    tasks.priority, tasks.version, tasks.attempts, tasks.attempts_before, tasks.max_attempts, tasks.due_ms,
    tasks.run_at_ms, tasks.expires_ms, tasks.created_ms, tasks.started_ms, tasks.finished_ms,
    tasks.session_id, tasks.token, tasks.deadline_ms, tasks.cancel_requested_ms, tasks.suspect,
    tasks.progress_percent, tasks.progress_message, tasks.trace_id, tasks.dead_ms, tasks.dead_reason,
    tasks.batch_id, ends.result, ends.error_code, ends.error_message) UPDATE task_bodies SET
    result=ended.result, error_code=ended.error_code, error_message=ended.error_message FROM ended WHERE
    task_bodies.task_id = ended.id RETURNING ended.id, ended.partner_id, ended.type, ended.queue, ended.state,
    ended.priority, ended.version, ended.attempts, ended.attempts_before, ended.max_attempts, ended.due_ms,
    ended.run_at_ms, ended.expires_ms, ended.created_ms, ended.started_ms, ended.finished_ms,
    ended.session_id, ended.token, ended.deadline_ms, ended.cancel_requested_ms, ended.suspect,
    ended.progress_percent, ended.progress_message, ended.trace_id, ended.dead_ms, ended.dead_reason,
    ended.batch_id, task_bodies.task_id, task_bodies.metadata, task_bodies.callback_url,
    task_bodies.callback_origin, task_bodies.endpoint_ids, task_bodies.events, task_bodies.trace_parent_id,
    task_bodies.trace_flags, task_bodies.trace_state, task_bodies.result, task_bodies.error_code,
    task_bodies.error_message, task_bodies.files, task_bodies.rerun_of;

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
    (SELECT CAST(ids_rows.value ->> 0 AS TEXT) AS id FROM json_array_elements(CAST($1::VARCHAR AS JSON)) AS
    ids_rows WHERE json_typeof(ids_rows.value) = 'array') AS ids ON tasks.id = ids.id;

-- tasks/progress.py

-- _REPORT
UPDATE tasks SET version=(tasks.version + $1::INTEGER), progress_percent=coalesce(reports.percent,
    tasks.progress_percent), progress_message=reports.message FROM (SELECT CAST(reports_rows.value ->> 0 AS
    TEXT) AS id, CAST(reports_rows.value ->> 1 AS TEXT) AS session_id, CAST(reports_rows.value ->> 2 AS
    INTEGER) AS token, CAST(reports_rows.value ->> 3 AS FLOAT) AS percent, CAST(reports_rows.value ->> 4 AS
    TEXT) AS message FROM json_array_elements(CAST($2::VARCHAR AS JSON)) AS reports_rows WHERE
    json_typeof(reports_rows.value) = 'array') AS reports WHERE tasks.id = reports.id AND tasks.id BETWEEN
    (SELECT min(reports.id) AS min_1 FROM (SELECT CAST(reports_rows.value ->> 0 AS TEXT) AS id FROM
    json_array_elements(CAST($2::VARCHAR AS JSON)) AS reports_rows WHERE json_typeof(reports_rows.value) =
    'array') AS reports) AND (SELECT max(reports.id) AS max_1 FROM (SELECT CAST(reports_rows.value ->> 0 AS
    TEXT) AS id FROM json_array_elements(CAST($2::VARCHAR AS JSON)) AS reports_rows WHERE
    json_typeof(reports_rows.value) = 'array') AS reports) AND tasks.session_id IS NOT DISTINCT FROM
    reports.session_id AND tasks.token = reports.token AND tasks.state = $3::VARCHAR RETURNING tasks.id,
    tasks.token, tasks.partner_id, tasks.version;

-- tasks/reruns.py

-- _SUBMITTED
SELECT tasks.id, tasks.partner_id, tasks.type, tasks.queue, tasks.priority, tasks.max_attempts,
    tasks.finished_ms, task_bodies.input, task_bodies.metadata, task_bodies.callback_url,
    task_bodies.callback_origin, task_bodies.endpoint_ids, task_bodies.events FROM tasks JOIN task_bodies ON
    task_bodies.task_id = tasks.id WHERE tasks.id = $1::VARCHAR;

-- _SUBMITTED
SELECT tasks.id, tasks.partner_id, tasks.type, tasks.queue, tasks.priority, tasks.max_attempts,
    tasks.finished_ms, task_bodies.input, task_bodies.metadata, task_bodies.callback_url,
    task_bodies.callback_origin, task_bodies.endpoint_ids, task_bodies.events FROM tasks JOIN task_bodies ON
    task_bodies.task_id = tasks.id WHERE tasks.id = $1::VARCHAR AND tasks.partner_id = $2::VARCHAR;

-- _FILES
SELECT file_uses.file_id FROM file_uses WHERE file_uses.task_id = $1::VARCHAR ORDER BY file_uses.file_id;

-- tasks/run_rows.py

-- _ADD
INSERT INTO runs (task_id, token, attempt, started_ms, finished_ms, outcome, error_code, error_message, host,
    pid, log, raised) SELECT runs_in.task_id, runs_in.token, runs_in.attempt, runs_in.started_ms,
    runs_in.finished_ms, runs_in.outcome, runs_in.error_code, runs_in.error_message, runs_in.host,
    runs_in.pid, runs_in.log, runs_in.raised FROM (SELECT CAST(runs_in_rows.value ->> 0 AS TEXT) AS task_id,
    CAST(runs_in_rows.value ->> 1 AS INTEGER) AS token, CAST(runs_in_rows.value ->> 2 AS INTEGER) AS attempt,
    CAST(runs_in_rows.value ->> 3 AS BIGINT) AS started_ms, CAST(runs_in_rows.value ->> 4 AS BIGINT) AS
    finished_ms, CAST(runs_in_rows.value ->> 5 AS TEXT) AS outcome, CAST(runs_in_rows.value ->> 6 AS TEXT) AS
    error_code, CAST(runs_in_rows.value ->> 7 AS TEXT) AS error_message, CAST(runs_in_rows.value ->> 8 AS
    TEXT) AS host, CAST(runs_in_rows.value ->> 9 AS INTEGER) AS pid, CAST(runs_in_rows.value ->> 10 AS TEXT)
    AS log, CAST(runs_in_rows.value ->> 11 AS TEXT) AS raised FROM json_array_elements(CAST($1::VARCHAR AS
    JSON)) AS runs_in_rows WHERE json_typeof(runs_in_rows.value) = 'array') AS runs_in WHERE true;

-- tasks/runs.py

-- _TASK
SELECT tasks.type, tasks.state, tasks.attempts, tasks.started_ms, sessions.host, sessions.pid FROM tasks LEFT
    OUTER JOIN sessions ON sessions.id = tasks.session_id WHERE tasks.id = $1::VARCHAR;

-- _TASK
SELECT tasks.type, tasks.state, tasks.attempts, tasks.started_ms, sessions.host, sessions.pid FROM tasks LEFT
    OUTER JOIN sessions ON sessions.id = tasks.session_id WHERE tasks.id = $1::VARCHAR AND tasks.partner_id =
    $2::VARCHAR;

-- _RUNS
SELECT runs.task_id, runs.token, runs.attempt, runs.started_ms, runs.finished_ms, runs.outcome,
    runs.error_code, runs.error_message, runs.host, runs.pid, runs.log, runs.raised FROM runs WHERE
    runs.task_id = $1::VARCHAR ORDER BY runs.token LIMIT $2::INTEGER;

-- _RUNS
SELECT runs.task_id, runs.token, runs.attempt, runs.started_ms, runs.finished_ms, runs.outcome,
    runs.error_code, runs.error_message, runs.host, runs.pid, runs.log, runs.raised FROM runs WHERE
    runs.task_id = $1::VARCHAR AND runs.token > $2::INTEGER ORDER BY runs.token LIMIT $3::INTEGER;

-- tasks/submit.py

-- _INSERT_TASKS
INSERT INTO tasks (id, partner_id, type, queue, state, priority, version, attempts, attempts_before,
    max_attempts, due_ms, run_at_ms, expires_ms, created_ms, token, suspect, trace_id, batch_id) SELECT
    rows.id, rows.partner_id, rows.type, rows.queue, rows.state, rows.priority, rows.version, rows.attempts,
    rows.attempts_before, rows.max_attempts, rows.due_ms, rows.run_at_ms, rows.expires_ms, rows.created_ms,
    rows.token, rows.suspect, rows.trace_id, rows.batch_id FROM (SELECT CAST(rows_rows.value ->> 0 AS TEXT) AS
    id, CAST(rows_rows.value ->> 1 AS TEXT) AS partner_id, CAST(rows_rows.value ->> 2 AS TEXT) AS type,
    CAST(rows_rows.value ->> 3 AS TEXT) AS queue, CAST(rows_rows.value ->> 4 AS TEXT) AS state,
    CAST(rows_rows.value ->> 5 AS INTEGER) AS priority, CAST(rows_rows.value ->> 6 AS INTEGER) AS version,
    CAST(rows_rows.value ->> 7 AS INTEGER) AS attempts, CAST(rows_rows.value ->> 8 AS INTEGER) AS
    attempts_before, CAST(rows_rows.value ->> 9 AS INTEGER) AS max_attempts, CAST(rows_rows.value ->> 10 AS
    BIGINT) AS due_ms, CAST(rows_rows.value ->> 11 AS BIGINT) AS run_at_ms, CAST(rows_rows.value ->> 12 AS
    BIGINT) AS expires_ms, CAST(rows_rows.value ->> 13 AS BIGINT) AS created_ms, CAST(rows_rows.value ->> 14
    AS INTEGER) AS token, CAST(rows_rows.value ->> 15 AS BOOLEAN) AS suspect, CAST(rows_rows.value ->> 16 AS
    TEXT) AS trace_id, CAST(rows_rows.value ->> 17 AS TEXT) AS batch_id FROM
    json_array_elements(CAST($1::VARCHAR AS JSON)) AS rows_rows WHERE json_typeof(rows_rows.value) = 'array')
    AS rows WHERE true;

-- _INSERT_BODIES
INSERT INTO task_bodies (task_id, input, metadata, callback_url, callback_origin, endpoint_ids, events,
    trace_parent_id, trace_flags, trace_state, rerun_of, idempotency_key) SELECT rows.task_id, rows.input,
    rows.metadata, rows.callback_url, rows.callback_origin, rows.endpoint_ids, rows.events,
    rows.trace_parent_id, rows.trace_flags, rows.trace_state, rows.rerun_of, rows.idempotency_key FROM (SELECT
    CAST(rows_rows.value ->> 0 AS TEXT) AS task_id, CAST(rows_rows.value ->> 1 AS TEXT) AS input,
    CAST(rows_rows.value ->> 2 AS TEXT) AS metadata, CAST(rows_rows.value ->> 3 AS TEXT) AS callback_url,
    CAST(rows_rows.value ->> 4 AS TEXT) AS callback_origin, CAST(rows_rows.value ->> 5 AS TEXT) AS
    endpoint_ids, CAST(rows_rows.value ->> 6 AS TEXT) AS events, CAST(rows_rows.value ->> 7 AS TEXT) AS
    trace_parent_id, CAST(rows_rows.value ->> 8 AS INTEGER) AS trace_flags, CAST(rows_rows.value ->> 9 AS
    TEXT) AS trace_state, CAST(rows_rows.value ->> 10 AS TEXT) AS rerun_of, CAST(rows_rows.value ->> 11 AS
    TEXT) AS idempotency_key FROM json_array_elements(CAST($1::VARCHAR AS JSON)) AS rows_rows WHERE
    json_typeof(rows_rows.value) = 'array') AS rows WHERE true;

-- _ENSURE_QUEUES
INSERT INTO queues (name, paused_ms, vtime) SELECT rows.name, rows.paused_ms, rows.vtime FROM (SELECT
    CAST(rows_rows.value ->> 0 AS TEXT) AS name, CAST(rows_rows.value ->> 1 AS BIGINT) AS paused_ms,
    CAST(rows_rows.value ->> 2 AS FLOAT) AS vtime FROM json_array_elements(CAST($1::VARCHAR AS JSON)) AS
    rows_rows WHERE json_typeof(rows_rows.value) = 'array') AS rows WHERE true ON CONFLICT DO NOTHING;

-- tasks/taken.py

-- _TAKE
UPDATE tasks SET state=$1::VARCHAR, version=(tasks.version + $2::INTEGER), attempts=(tasks.attempts +
    $3::INTEGER), started_ms=$4::BIGINT, session_id=$5::VARCHAR, token=(tasks.token + $6::INTEGER),
    deadline_ms=($4::BIGINT + timeouts.timeout_ms), progress_percent=$7::FLOAT, progress_message=$8::VARCHAR
    FROM (SELECT CAST(ids_rows.value ->> 0 AS TEXT) AS id FROM json_array_elements(CAST($9::VARCHAR AS JSON))
    AS ids_rows WHERE json_typeof(ids_rows.value) = 'array') AS ids, (SELECT CAST(timeouts_rows.value ->> 0 AS
    TEXT) AS type, CAST(timeouts_rows.value ->> 1 AS BIGINT) AS timeout_ms FROM
    json_array_elements(CAST($10::VARCHAR AS JSON)) AS timeouts_rows WHERE json_typeof(timeouts_rows.value) =
    'array') AS timeouts, task_bodies WHERE tasks.id = ids.id AND tasks.type = timeouts.type AND tasks.state
    IS NOT DISTINCT FROM $11::VARCHAR AND task_bodies.task_id = tasks.id AND task_bodies.task_id BETWEEN
    (SELECT min(ids.id) AS min_1 FROM (SELECT CAST(ids_rows.value ->> 0 AS TEXT) AS id FROM
    json_array_elements(CAST($9::VARCHAR AS JSON)) AS ids_rows WHERE json_typeof(ids_rows.value) = 'array') AS
    ids) AND (SELECT max(ids.id) AS max_1 FROM (SELECT CAST(ids_rows.value ->> 0 AS TEXT) AS id FROM
    json_array_elements(CAST($9::VARCHAR AS JSON)) AS ids_rows WHERE json_typeof(ids_rows.value) = 'array') AS
    ids) RETURNING tasks.id AS id, tasks.partner_id AS partner_id, tasks.type AS type, tasks.queue AS queue,
    tasks.priority AS priority, tasks.version AS version, tasks.attempts AS attempts, tasks.attempts_before AS
    attempts_before, tasks.max_attempts AS max_attempts, tasks.token AS token, tasks.suspect AS suspect,
    tasks.trace_id AS trace_id, tasks.batch_id AS batch_id, tasks.created_ms AS created_ms, tasks.due_ms AS
    due_ms, tasks.started_ms AS started_ms, (SELECT partners.name FROM partners WHERE partners.id =
    tasks.partner_id) AS partner_name, task_bodies.input AS input, task_bodies.metadata AS metadata,
    task_bodies.events AS events, task_bodies.trace_parent_id AS trace_parent_id, task_bodies.trace_flags AS
    trace_flags, task_bodies.trace_state AS trace_state, task_bodies.callback_url IS NOT NULL OR
    task_bodies.endpoint_ids IS NOT NULL AS addressed, EXISTS (SELECT * FROM endpoints WHERE
    endpoints.partner_id = tasks.partner_id AND endpoints.deleted_ms IS NULL AND (endpoints.events LIKE '%' ||
    $12::VARCHAR || '%')) AS listens;

-- tasks/task_files.py

-- _USE
INSERT INTO file_uses (file_id, task_id) SELECT uses.file_id, uses.task_id FROM (SELECT CAST(uses_rows.value
    ->> 0 AS TEXT) AS file_id, CAST(uses_rows.value ->> 1 AS TEXT) AS task_id FROM
    json_array_elements(CAST($1::VARCHAR AS JSON)) AS uses_rows WHERE json_typeof(uses_rows.value) = 'array')
    AS uses WHERE true ON CONFLICT DO NOTHING;

-- _NEEDED
SELECT DISTINCT file_uses.file_id AS id FROM file_uses JOIN tasks ON tasks.id = file_uses.task_id WHERE
    file_uses.file_id = ANY ($1::TEXT[]) AND tasks.state != $2::VARCHAR AND tasks.state != $3::VARCHAR AND
    tasks.state != $4::VARCHAR AND tasks.state != $5::VARCHAR;

-- _OWNERS
SELECT tasks.id, tasks.batch_id FROM tasks WHERE tasks.id IN (SELECT files.task_id FROM files WHERE files.id =
    $1::VARCHAR UNION SELECT file_uses.task_id FROM file_uses WHERE file_uses.file_id = $1::VARCHAR);

-- _ATTACHED
SELECT files.id, files.partner_id, files.name, files.content_type, files.size, files.sha256, files.state,
    files.kind, files.key, files.task_id, files.created_ms, files.expires_ms, files.upload_until_ms FROM files
    WHERE files.task_id = ANY ($1::TEXT[]);

-- tasks/task_inputs.py

-- _ONE
SELECT task_bodies.input FROM task_bodies JOIN tasks ON tasks.id = task_bodies.task_id WHERE
    task_bodies.task_id = $1::VARCHAR;

-- _ONE
SELECT task_bodies.input FROM task_bodies JOIN tasks ON tasks.id = task_bodies.task_id WHERE
    task_bodies.task_id = $1::VARCHAR AND tasks.partner_id = $2::VARCHAR;

-- tasks/task_keys.py

-- _TAKE_KEYS
INSERT INTO idempotency (partner_id, key, fingerprint, outcome, created_ms) SELECT keys.partner_id, keys.key,
    keys.fingerprint, keys.outcome, keys.created_ms FROM (SELECT CAST(keys_rows.value ->> 0 AS TEXT) AS
    partner_id, CAST(keys_rows.value ->> 1 AS TEXT) AS key, CAST(keys_rows.value ->> 2 AS TEXT) AS
    fingerprint, CAST(keys_rows.value ->> 3 AS TEXT) AS outcome, CAST(keys_rows.value ->> 4 AS BIGINT) AS
    created_ms FROM json_array_elements(CAST($1::VARCHAR AS JSON)) AS keys_rows WHERE
    json_typeof(keys_rows.value) = 'array') AS keys WHERE true ON CONFLICT (partner_id, key) DO UPDATE SET
    fingerprint = excluded.fingerprint, outcome = excluded.outcome, sealed_by = $2::VARCHAR, created_ms =
    excluded.created_ms WHERE idempotency.created_ms < $3::BIGINT RETURNING idempotency.partner_id,
    idempotency.key;

-- _KEYS
SELECT idempotency.partner_id, idempotency.key, idempotency.fingerprint, idempotency.outcome FROM idempotency
    WHERE idempotency.partner_id = ANY ($1::TEXT[]) AND idempotency.key = ANY ($2::TEXT[]) AND
    (idempotency.partner_id, idempotency.key) IN (SELECT keys.partner_id, keys.key FROM (SELECT
    CAST(keys_rows.value ->> 0 AS TEXT) AS partner_id, CAST(keys_rows.value ->> 1 AS TEXT) AS key FROM
    json_array_elements(CAST($3::VARCHAR AS JSON)) AS keys_rows WHERE json_typeof(keys_rows.value) = 'array')
    AS keys);

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
    ORDER BY tasks.id DESC LIMIT $1::INTEGER;

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
    task_tags AS tagged_0 ON tagged_0.task_id = tasks.id AND tagged_0.tag = $1::VARCHAR AND
    tagged_0.partner_id = $2::VARCHAR JOIN task_tags AS tagged_1 ON tagged_1.task_id = tasks.id AND
    tagged_1.tag = $3::VARCHAR AND tagged_1.partner_id = $2::VARCHAR JOIN task_tags AS tagged_2 ON
    tagged_2.task_id = tasks.id AND tagged_2.tag = $4::VARCHAR AND tagged_2.partner_id = $2::VARCHAR WHERE
    tasks.partner_id = $2::VARCHAR AND tasks.id = ANY ($5::TEXT[]) AND tasks.id < $6::VARCHAR AND tasks.state
    = $7::VARCHAR AND tasks.type = $8::VARCHAR AND tasks.batch_id = $9::VARCHAR AND
    task_bodies.idempotency_key = $10::VARCHAR AND task_bodies.rerun_of = $11::VARCHAR AND tasks.id >=
    $12::VARCHAR AND tasks.id < $13::VARCHAR ORDER BY tasks.id DESC LIMIT $14::INTEGER;

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
    WHERE tasks.id IN (SELECT line.id FROM (SELECT partners.id AS id FROM partners) AS whose JOIN LATERAL
    (SELECT inner_tasks.id AS id FROM tasks AS inner_tasks WHERE inner_tasks.partner_id = whose.id ORDER BY
    inner_tasks.id DESC LIMIT $1::INTEGER) AS line ON true ORDER BY line.id) ORDER BY tasks.id DESC LIMIT
    $1::INTEGER;

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
    WHERE tasks.id IN (SELECT line.id FROM (SELECT partners.id AS id FROM partners) AS whose JOIN LATERAL
    (SELECT inner_tasks.id AS id FROM tasks AS inner_tasks JOIN task_tags AS tagged_0 ON tagged_0.task_id =
    inner_tasks.id AND tagged_0.tag = $1::VARCHAR AND tagged_0.partner_id = whose.id JOIN task_tags AS
    tagged_1 ON tagged_1.task_id = inner_tasks.id AND tagged_1.tag = $2::VARCHAR AND tagged_1.partner_id =
    whose.id JOIN task_tags AS tagged_2 ON tagged_2.task_id = inner_tasks.id AND tagged_2.tag = $3::VARCHAR
    AND tagged_2.partner_id = whose.id WHERE inner_tasks.partner_id = whose.id AND tagged_0.task_id <
    $4::VARCHAR AND inner_tasks.state = $5::VARCHAR AND inner_tasks.type = $6::VARCHAR AND (inner_tasks.type
    || $7::VARCHAR) = $8::VARCHAR AND tagged_0.task_id >= $9::VARCHAR AND tagged_0.task_id < $10::VARCHAR
    ORDER BY tagged_0.task_id DESC LIMIT $11::INTEGER) AS line ON true ORDER BY line.id) ORDER BY tasks.id
    DESC LIMIT $11::INTEGER;

-- _IN_STATE
SELECT tasks.id FROM tasks WHERE tasks.partner_id = $1::VARCHAR AND tasks.state = $2::VARCHAR LIMIT
    $3::INTEGER;

-- _PLACE
SELECT tasks.id FROM tasks ORDER BY tasks.id DESC LIMIT $1::INTEGER OFFSET $2::INTEGER;

-- _PLACE
SELECT tasks.id FROM tasks WHERE tasks.id < $1::VARCHAR ORDER BY tasks.id DESC LIMIT $2::INTEGER OFFSET
    $3::INTEGER;

-- tasks/task_tags.py

-- _ADD
INSERT INTO task_tags (tag, partner_id, task_id) SELECT tags.tag, tags.partner_id, tags.task_id FROM (SELECT
    CAST(tags_rows.value ->> 0 AS TEXT) AS tag, CAST(tags_rows.value ->> 1 AS TEXT) AS partner_id,
    CAST(tags_rows.value ->> 2 AS TEXT) AS task_id FROM json_array_elements(CAST($1::VARCHAR AS JSON)) AS
    tags_rows WHERE json_typeof(tags_rows.value) = 'array') AS tags WHERE true;

-- _PAIRS
SELECT tasks.id, tasks.partner_id, task_bodies.metadata FROM tasks JOIN task_bodies ON task_bodies.task_id =
    tasks.id WHERE tasks.id = ANY ($1::TEXT[]);

-- _DELETE
DELETE FROM task_tags WHERE task_tags.tag = ANY ($1::TEXT[]) AND (task_tags.tag, task_tags.partner_id,
    task_tags.task_id) IN (SELECT gone.tag, gone.partner_id, gone.task_id FROM (SELECT CAST(gone_rows.value
    ->> 0 AS TEXT) AS tag, CAST(gone_rows.value ->> 1 AS TEXT) AS partner_id, CAST(gone_rows.value ->> 2 AS
    TEXT) AS task_id FROM json_array_elements(CAST($2::VARCHAR AS JSON)) AS gone_rows WHERE
    json_typeof(gone_rows.value) = 'array') AS gone);

-- tasks/task_types.py

-- _ALL
SELECT task_types.type, task_types.source, task_types.document FROM task_types ORDER BY task_types.type;

-- _DELETE
DELETE FROM task_types WHERE task_types.type = $1::VARCHAR;

-- _INSERT
INSERT INTO task_types (type, source, document) VALUES ($1::VARCHAR, $2::VARCHAR, $3::VARCHAR) ON CONFLICT DO
    NOTHING;

-- _UPDATE
UPDATE task_types SET source=$1::VARCHAR, document=$2::VARCHAR WHERE task_types.type = $3::VARCHAR;

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
    WHERE tasks.id = $1::VARCHAR;

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
    WHERE tasks.id = $1::VARCHAR AND tasks.partner_id = $2::VARCHAR;

-- _COUNTS
SELECT deliveries.task_id, sum(CASE WHEN (deliveries.state = $1::VARCHAR) THEN $2::INTEGER ELSE $3::INTEGER
    END) AS pending, sum(CASE WHEN (deliveries.state = $4::VARCHAR) THEN $5::INTEGER ELSE $6::INTEGER END) AS
    delivered, sum(CASE WHEN (deliveries.state = $7::VARCHAR) THEN $8::INTEGER ELSE $9::INTEGER END) AS dead,
    sum(CASE WHEN (deliveries.state = $10::VARCHAR) THEN $11::INTEGER ELSE $12::INTEGER END) AS parked FROM
    deliveries WHERE deliveries.task_id = $13::VARCHAR GROUP BY deliveries.task_id;

-- _VERSIONS
SELECT tasks.id, tasks.version FROM tasks JOIN (SELECT CAST(ids_rows.value ->> 0 AS TEXT) AS id FROM
    json_array_elements(CAST($1::VARCHAR AS JSON)) AS ids_rows WHERE json_typeof(ids_rows.value) = 'array') AS
    ids ON tasks.id = ids.id;

-- _RUNS
SELECT runs.task_id, runs.token, runs.attempt, runs.started_ms, runs.finished_ms, runs.outcome,
    runs.error_code, runs.error_message FROM runs WHERE runs.task_id = $1::VARCHAR ORDER BY runs.token;

-- _LOCK
SELECT tasks.id, tasks.partner_id, tasks.type, tasks.queue, tasks.state, tasks.priority, tasks.version,
    tasks.attempts, tasks.attempts_before, tasks.max_attempts, tasks.due_ms, tasks.run_at_ms,
    tasks.expires_ms, tasks.created_ms, tasks.started_ms, tasks.finished_ms, tasks.session_id, tasks.token,
    tasks.deadline_ms, tasks.cancel_requested_ms, tasks.suspect, tasks.progress_percent,
    tasks.progress_message, tasks.trace_id, tasks.dead_ms, tasks.dead_reason, tasks.batch_id FROM tasks WHERE
    tasks.id = $1::VARCHAR FOR UPDATE;

-- _LOCK
SELECT tasks.id, tasks.partner_id, tasks.type, tasks.queue, tasks.state, tasks.priority, tasks.version,
    tasks.attempts, tasks.attempts_before, tasks.max_attempts, tasks.due_ms, tasks.run_at_ms,
    tasks.expires_ms, tasks.created_ms, tasks.started_ms, tasks.finished_ms, tasks.session_id, tasks.token,
    tasks.deadline_ms, tasks.cancel_requested_ms, tasks.suspect, tasks.progress_percent,
    tasks.progress_message, tasks.trace_id, tasks.dead_ms, tasks.dead_reason, tasks.batch_id FROM tasks WHERE
    tasks.id = $1::VARCHAR AND tasks.partner_id = $2::VARCHAR FOR UPDATE;

-- _CANCEL
UPDATE tasks SET state=$1::VARCHAR, version=$2::INTEGER, finished_ms=$3::BIGINT WHERE tasks.id = $4::VARCHAR;

-- _ASK_TO_STOP
UPDATE tasks SET version=$1::INTEGER, cancel_requested_ms=$2::BIGINT WHERE tasks.id = $3::VARCHAR;

-- _REPLAY
UPDATE tasks SET state=$1::VARCHAR, version=$2::INTEGER, attempts_before=$3::INTEGER, due_ms=$4::BIGINT,
    expires_ms=$5::BIGINT, started_ms=$6::BIGINT, finished_ms=$7::BIGINT, cancel_requested_ms=$8::BIGINT,
    suspect=$9::BOOLEAN, progress_percent=$10::FLOAT, progress_message=$11::VARCHAR, dead_ms=$12::BIGINT,
    dead_reason=$13::VARCHAR WHERE tasks.id = $14::VARCHAR;

-- _TO_STOP
SELECT tasks.id FROM tasks WHERE tasks.session_id = $1::VARCHAR AND tasks.cancel_requested_ms IS NOT NULL;

-- _COUNTS_OF
SELECT deliveries.task_id, sum(CASE WHEN (deliveries.state = $1::VARCHAR) THEN $2::INTEGER ELSE $3::INTEGER
    END) AS pending, sum(CASE WHEN (deliveries.state = $4::VARCHAR) THEN $5::INTEGER ELSE $6::INTEGER END) AS
    delivered, sum(CASE WHEN (deliveries.state = $7::VARCHAR) THEN $8::INTEGER ELSE $9::INTEGER END) AS dead,
    sum(CASE WHEN (deliveries.state = $10::VARCHAR) THEN $11::INTEGER ELSE $12::INTEGER END) AS parked FROM
    deliveries WHERE deliveries.task_id = ANY ($13::TEXT[]) GROUP BY deliveries.task_id;

-- tasks/type_limits.py

-- _BUSY
SELECT tasks.type, count(*) AS n FROM tasks WHERE tasks.session_id IS NOT NULL AND tasks.type = ANY
    ($1::TEXT[]) GROUP BY tasks.type;

-- _RATES
SELECT type_rates.type, type_rates.next_ms FROM type_rates WHERE type_rates.type = ANY ($1::TEXT[]);

-- _SPEND
INSERT INTO type_rates (type, next_ms) SELECT rates.type, rates.next_ms FROM (SELECT CAST(rates_rows.value ->>
    0 AS TEXT) AS type, CAST(rates_rows.value ->> 1 AS FLOAT) AS next_ms FROM
    json_array_elements(CAST($1::VARCHAR AS JSON)) AS rates_rows WHERE json_typeof(rates_rows.value) =
    'array') AS rates WHERE true ON CONFLICT (type) DO UPDATE SET next_ms = excluded.next_ms;

-- traces.py

-- _PLACE
SELECT messages.trace_id, messages.trace_parent_id, messages.trace_flags, messages.trace_state FROM messages
    WHERE messages.id = $1::VARCHAR;

-- _TASK
SELECT tasks.id, tasks.trace_id FROM tasks WHERE tasks.id = $1::VARCHAR;

-- _TASK
SELECT tasks.id, tasks.trace_id FROM tasks WHERE tasks.id = $1::VARCHAR AND tasks.partner_id = $2::VARCHAR;

-- _MESSAGE
SELECT messages.id, messages.trace_id, messages.task_id FROM messages WHERE messages.id = $1::VARCHAR;

-- _MESSAGE
SELECT messages.id, messages.trace_id, messages.task_id FROM messages WHERE messages.id = $1::VARCHAR AND
    messages.partner_id = $2::VARCHAR;

-- _MESSAGE_OF_DELIVERY
SELECT messages.id, messages.trace_id, messages.task_id FROM messages JOIN deliveries ON deliveries.message_id
    = messages.id WHERE deliveries.id = $1::VARCHAR;

-- _MESSAGE_OF_DELIVERY
SELECT messages.id, messages.trace_id, messages.task_id FROM messages JOIN deliveries ON deliveries.message_id
    = messages.id WHERE deliveries.id = $1::VARCHAR AND messages.partner_id = $2::VARCHAR;

-- _TASKS_OF_TRACE
SELECT tasks.id FROM tasks WHERE tasks.trace_id = $1::VARCHAR ORDER BY tasks.id LIMIT $2::INTEGER;

-- _TASKS_OF_TRACE
SELECT tasks.id FROM tasks WHERE tasks.trace_id = $1::VARCHAR AND tasks.partner_id = $2::VARCHAR ORDER BY
    tasks.id LIMIT $3::INTEGER;

-- _RUNS
SELECT runs.task_id, runs.token, runs.attempt, runs.started_ms, runs.finished_ms, runs.outcome,
    runs.error_code, runs.error_message FROM runs WHERE runs.task_id = ANY ($1::TEXT[]) ORDER BY runs.token
    DESC LIMIT $2::INTEGER;

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
    WHERE tasks.id = ANY ($1::TEXT[]) ORDER BY tasks.id;

-- upkeep/activity_spans.py

-- _KEEP
INSERT INTO activity_spans (kind, length_ms, at_ms, process_id, total, succeeded, times) SELECT spans.kind,
    spans.length_ms, spans.at_ms, spans.process_id, spans.total, spans.succeeded, spans.times FROM (SELECT
    CAST(spans_rows.value ->> 0 AS TEXT) AS kind, CAST(spans_rows.value ->> 1 AS INTEGER) AS length_ms,
    CAST(spans_rows.value ->> 2 AS BIGINT) AS at_ms, CAST(spans_rows.value ->> 3 AS TEXT) AS process_id,
    CAST(spans_rows.value ->> 4 AS BIGINT) AS total, CAST(spans_rows.value ->> 5 AS BIGINT) AS succeeded,
    CAST(spans_rows.value ->> 6 AS TEXT) AS times FROM json_array_elements(CAST($1::VARCHAR AS JSON)) AS
    spans_rows WHERE json_typeof(spans_rows.value) = 'array') AS spans WHERE true ON CONFLICT (kind,
    length_ms, at_ms, process_id) DO UPDATE SET total = excluded.total, succeeded = excluded.succeeded, times
    = excluded.times;

-- _SINCE
SELECT activity_spans.kind, activity_spans.at_ms, activity_spans.total, activity_spans.succeeded,
    activity_spans.times FROM activity_spans WHERE activity_spans.kind = $1::VARCHAR AND
    activity_spans.length_ms = $2::INTEGER AND activity_spans.at_ms >= $3::BIGINT;

-- _DROP
DELETE FROM activity_spans WHERE (activity_spans.kind, activity_spans.length_ms, activity_spans.at_ms,
    activity_spans.process_id) IN (SELECT activity_spans.kind, activity_spans.length_ms, activity_spans.at_ms,
    activity_spans.process_id FROM activity_spans WHERE activity_spans.kind = $1::VARCHAR AND
    activity_spans.length_ms = $2::INTEGER AND activity_spans.at_ms < $3::BIGINT ORDER BY activity_spans.at_ms
    LIMIT $4::INTEGER FOR UPDATE SKIP LOCKED);

-- upkeep/diagnostics.py

-- _ENDED
SELECT sessions.id, sessions.kind, sessions.host, sessions.pid, sessions.detail, sessions.started_ms,
    sessions.lease_until_ms FROM sessions WHERE sessions.lease_until_ms <= $1::BIGINT ORDER BY
    sessions.lease_until_ms;

-- _TASKS_HELD
SELECT count(*) AS n FROM (SELECT tasks.id AS id FROM tasks WHERE tasks.session_id = $1::VARCHAR LIMIT
    $2::INTEGER) AS anon_1;

-- _DELIVERIES_HELD
SELECT count(*) AS n FROM (SELECT deliveries.id AS id FROM deliveries WHERE deliveries.session_id =
    $1::VARCHAR LIMIT $2::INTEGER) AS anon_1;

-- _A_PENDING
SELECT deliveries.id FROM deliveries WHERE deliveries.state = 'pending' LIMIT $1::INTEGER;

-- _QUEUES
SELECT queues.name FROM queues;

-- _QUEUED_TYPES
SELECT anon_1.type, count(*) AS n FROM (SELECT tasks.type AS type FROM tasks WHERE tasks.state = 'queued' AND
    tasks.queue = $1::VARCHAR ORDER BY tasks.due_ms LIMIT $2::INTEGER) AS anon_1 GROUP BY anon_1.type;

-- _SCHEDULED_TYPES
SELECT anon_1.type, count(*) AS n FROM (SELECT tasks.type AS type FROM tasks WHERE tasks.state = 'scheduled'
    ORDER BY tasks.due_ms LIMIT $1::INTEGER) AS anon_1 GROUP BY anon_1.type;

-- _AILING
SELECT endpoints.id, endpoints.partner_id, endpoints.url, endpoints.description, endpoints.events,
    endpoints.task_types, endpoints.headers_sealed, endpoints.header_names, endpoints.rate_limit,
    endpoints.max_concurrency, endpoints.ordering, endpoints.retry_max_attempts, endpoints.retry_base_seconds,
    endpoints.retry_factor, endpoints.retry_cap_seconds, endpoints.signature, endpoints.public_key,
    endpoints.state, endpoints.disabled_reason, endpoints.failing_since_ms, endpoints.created_ms,
    endpoints.updated_ms, endpoints.deleted_ms, endpoints.failing_told_ms FROM endpoints WHERE
    endpoints.deleted_ms IS NULL AND (endpoints.state = $1::VARCHAR OR endpoints.failing_since_ms IS NOT NULL)
    ORDER BY endpoints.failing_since_ms, endpoints.id LIMIT $2::INTEGER;

-- _PARKED
SELECT count(*) AS n FROM (SELECT deliveries.id AS id FROM deliveries WHERE deliveries.state = 'parked' AND
    deliveries.endpoint_id = $1::VARCHAR LIMIT $2::INTEGER) AS anon_1;

-- _OPEN
SELECT lanes.id FROM lanes WHERE lanes.open_until_ms IS NOT NULL ORDER BY lanes.id LIMIT $1::INTEGER;

-- _DEAD_DELIVERIES_SINCE
SELECT count(*) AS n FROM (SELECT deliveries.id AS id FROM deliveries WHERE state = 'dead' AND discarded_ms IS
    NULL AND deliveries.ended_ms >= $1::BIGINT LIMIT $2::INTEGER) AS anon_1;

-- _DEAD_TASKS_SINCE
SELECT count(*) AS n FROM (SELECT tasks.id AS id FROM tasks WHERE dead_ms IS NOT NULL AND tasks.dead_ms >=
    $1::BIGINT LIMIT $2::INTEGER) AS anon_1;

-- _GOOD_ADMIN_KEYS
SELECT count(*) AS n FROM (SELECT api_keys.id AS id FROM api_keys WHERE api_keys.partner_id IS NULL AND
    api_keys.revoked_ms IS NULL AND (api_keys.expires_ms IS NULL OR api_keys.expires_ms > $1::BIGINT) LIMIT
    $2::INTEGER) AS anon_1;

-- upkeep/durability.py

-- _PROMISED
SELECT name, current_setting(name) FROM pg_settings WHERE name IN ('fsync', 'full_page_writes',
    'synchronous_commit', 'server_version');

-- upkeep/gauges.py

-- DEAD_DELIVERIES
SELECT count(*) AS n FROM (SELECT deliveries.id AS id FROM deliveries WHERE state = 'dead' AND discarded_ms IS
    NULL LIMIT $1::INTEGER) AS anon_1;

-- DEAD_TASKS
SELECT count(*) AS n FROM (SELECT tasks.id AS id FROM tasks WHERE dead_ms IS NOT NULL LIMIT $1::INTEGER) AS
    anon_1;

-- _OPEN_BREAKERS
SELECT count(*) AS n FROM (SELECT lanes.id AS id FROM lanes WHERE lanes.open_until_ms IS NOT NULL LIMIT
    $1::INTEGER) AS anon_1;

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
    $1::VARCHAR || '%')) AS listens FROM tasks JOIN task_bodies ON task_bodies.task_id = tasks.id WHERE
    tasks.session_id = $2::VARCHAR ORDER BY tasks.id;

-- _HELD
SELECT deliveries.id FROM deliveries WHERE deliveries.session_id = $1::VARCHAR AND deliveries.state =
    $2::VARCHAR;

-- upkeep/rescue.py

-- _ENDED_SESSION
SELECT sessions.id, sessions.host, sessions.pid, sessions.detail FROM sessions WHERE sessions.lease_until_ms
    <= $1::BIGINT ORDER BY sessions.lease_until_ms LIMIT $2::INTEGER FOR UPDATE SKIP LOCKED;

-- _FORGET_SESSION
DELETE FROM sessions WHERE sessions.id = $1::VARCHAR;

-- _HELD
SELECT tasks.id, tasks.partner_id, tasks.type, tasks.queue, tasks.state, tasks.priority, tasks.version,
    tasks.attempts, tasks.attempts_before, tasks.max_attempts, tasks.due_ms, tasks.run_at_ms,
    tasks.expires_ms, tasks.created_ms, tasks.started_ms, tasks.finished_ms, tasks.session_id, tasks.token,
    tasks.deadline_ms, tasks.cancel_requested_ms, tasks.suspect, tasks.progress_percent,
    tasks.progress_message, tasks.trace_id, tasks.dead_ms, tasks.dead_reason, tasks.batch_id FROM tasks WHERE
    tasks.session_id = $1::VARCHAR ORDER BY tasks.id FOR UPDATE;

-- _LATE
SELECT tasks.id, tasks.partner_id, tasks.type, tasks.queue, tasks.state, tasks.priority, tasks.version,
    tasks.attempts, tasks.attempts_before, tasks.max_attempts, tasks.due_ms, tasks.run_at_ms,
    tasks.expires_ms, tasks.created_ms, tasks.started_ms, tasks.finished_ms, tasks.session_id, tasks.token,
    tasks.deadline_ms, tasks.cancel_requested_ms, tasks.suspect, tasks.progress_percent,
    tasks.progress_message, tasks.trace_id, tasks.dead_ms, tasks.dead_reason, tasks.batch_id FROM tasks WHERE
    tasks.session_id IS NOT NULL AND tasks.deadline_ms < $1::BIGINT LIMIT $2::INTEGER FOR UPDATE SKIP LOCKED;

-- _LOSE
UPDATE tasks SET state=$1::VARCHAR, version=$2::INTEGER, attempts=$3::INTEGER, finished_ms=$4::BIGINT,
    session_id=$5::VARCHAR, deadline_ms=$6::BIGINT, suspect=$7::BOOLEAN, dead_ms=$8::BIGINT,
    dead_reason=$9::VARCHAR WHERE tasks.id = $10::VARCHAR;

-- upkeep/retention_steps.py

-- _FORGET_KEYS
DELETE FROM idempotency WHERE (idempotency.partner_id, idempotency.key) IN (SELECT idempotency.partner_id,
    idempotency.key FROM idempotency WHERE idempotency.created_ms < $1::BIGINT ORDER BY idempotency.created_ms
    LIMIT $2::INTEGER FOR UPDATE SKIP LOCKED);

-- _DELETE_OLD_SECRETS
DELETE FROM secrets WHERE secrets.id IN (SELECT secrets.id FROM secrets WHERE secrets.expires_ms <= $1::BIGINT
    LIMIT $2::INTEGER);

-- _DELETE_OLD_AUDIT
DELETE FROM audit WHERE audit.id IN (SELECT audit.id FROM audit WHERE audit.id < $1::VARCHAR ORDER BY audit.id
    LIMIT $2::INTEGER FOR UPDATE SKIP LOCKED);

-- _DELETE_OLD_REPLAYS
DELETE FROM replays WHERE replays.id IN (SELECT replays.id FROM replays WHERE replays.created_ms < $1::BIGINT
    AND replays.finished_ms IS NOT NULL ORDER BY replays.id LIMIT $2::INTEGER FOR UPDATE SKIP LOCKED);

-- _DISCARD_DELIVERIES
UPDATE deliveries SET discarded_ms=$1::BIGINT WHERE deliveries.id IN (SELECT deliveries.id FROM deliveries
    WHERE deliveries.state = 'dead' AND deliveries.discarded_ms IS NULL AND deliveries.ended_ms < $2::BIGINT
    ORDER BY deliveries.ended_ms, deliveries.id LIMIT $3::INTEGER FOR UPDATE SKIP LOCKED);

-- _DISCARD_TASKS
UPDATE tasks SET dead_ms=$1::BIGINT WHERE tasks.id IN (SELECT tasks.id FROM tasks WHERE tasks.dead_ms IS NOT
    NULL AND tasks.dead_ms < $2::BIGINT ORDER BY tasks.dead_ms, tasks.id LIMIT $3::INTEGER FOR UPDATE SKIP
    LOCKED);

-- upkeep/retention_walks.py

-- _OF_TASKS.needed
SELECT DISTINCT deliveries.task_id AS id FROM deliveries WHERE deliveries.task_id = ANY ($1::TEXT[]) AND
    (deliveries.state = $2::VARCHAR OR deliveries.state = $3::VARCHAR OR deliveries.session_id IS NOT NULL OR
    deliveries.ended_ms >= $4::BIGINT OR deliveries.state = $5::VARCHAR AND deliveries.discarded_ms IS NULL);

-- _OF_TASKS.delete_attempts
DELETE FROM attempts WHERE attempts.delivery_id IN (SELECT deliveries.id FROM deliveries WHERE
    deliveries.task_id = ANY ($1::TEXT[]));

-- _OF_TASKS.delete
DELETE FROM deliveries WHERE deliveries.task_id = ANY ($1::TEXT[]);

-- _OF_MESSAGES.needed
SELECT DISTINCT deliveries.message_id AS id FROM deliveries WHERE deliveries.message_id = ANY ($1::TEXT[]) AND
    (deliveries.state = $2::VARCHAR OR deliveries.state = $3::VARCHAR OR deliveries.session_id IS NOT NULL OR
    deliveries.ended_ms >= $4::BIGINT OR deliveries.state = $5::VARCHAR AND deliveries.discarded_ms IS NULL);

-- _OF_MESSAGES.delete_attempts
DELETE FROM attempts WHERE attempts.delivery_id IN (SELECT deliveries.id FROM deliveries WHERE
    deliveries.message_id = ANY ($1::TEXT[]));

-- _OF_MESSAGES.delete
DELETE FROM deliveries WHERE deliveries.message_id = ANY ($1::TEXT[]);

-- _WALK_DELIVERIES
SELECT deliveries.id, deliveries.ended_ms FROM deliveries WHERE deliveries.id > $1::VARCHAR AND deliveries.id
    < $2::VARCHAR ORDER BY deliveries.id LIMIT $3::INTEGER;

-- _DELETE_ATTEMPTS
DELETE FROM attempts WHERE attempts.delivery_id = ANY ($1::TEXT[]);

-- _WALK_TASKS
SELECT tasks.id, tasks.state, tasks.finished_ms, tasks.dead_ms FROM tasks WHERE tasks.id > $1::VARCHAR AND
    tasks.id < $2::VARCHAR ORDER BY tasks.id LIMIT $3::INTEGER FOR UPDATE SKIP LOCKED;

-- _DELETE_TASKS[0]
DELETE FROM runs WHERE runs.task_id = ANY ($1::TEXT[]);

-- _DELETE_TASKS[1]
DELETE FROM task_bodies WHERE task_bodies.task_id = ANY ($1::TEXT[]);

-- _DELETE_TASKS[2]
DELETE FROM tasks WHERE tasks.id = ANY ($1::TEXT[]);

-- _DELETE_MESSAGES_OF_TASKS
DELETE FROM messages WHERE messages.task_id = ANY ($1::TEXT[]);

-- _WALK_BATCHES
SELECT batches.id, batches.completed_ms AS ended_ms FROM batches WHERE batches.id > $1::VARCHAR AND batches.id
    < $2::VARCHAR ORDER BY batches.id LIMIT $3::INTEGER;

-- _NOT_EMPTY
SELECT DISTINCT tasks.batch_id AS id FROM tasks WHERE tasks.batch_id = ANY ($1::TEXT[]);

-- _DELETE_BATCHES[0]
DELETE FROM batch_counts WHERE batch_counts.batch_id = ANY ($1::TEXT[]);

-- _DELETE_BATCHES[1]
DELETE FROM batches WHERE batches.id = ANY ($1::TEXT[]);

-- _WALK_MESSAGES
SELECT messages.id, messages.task_id FROM messages WHERE messages.id > $1::VARCHAR AND messages.id <
    $2::VARCHAR ORDER BY messages.id LIMIT $3::INTEGER;

-- _DELETE_MESSAGES
DELETE FROM messages WHERE messages.id = ANY ($1::TEXT[]);

-- upkeep/sessions.py

-- _BEGIN
INSERT INTO sessions (id, kind, host, pid, detail, started_ms, lease_until_ms) VALUES ($1::VARCHAR,
    $2::VARCHAR, $3::VARCHAR, $4::INTEGER, $5::VARCHAR, $6::BIGINT, $7::BIGINT);

-- _RENEW
UPDATE sessions SET lease_until_ms=$1::BIGINT WHERE sessions.id = $2::VARCHAR;

-- _OVERRAN
UPDATE sessions SET detail=$1::VARCHAR, lease_until_ms=$2::BIGINT WHERE sessions.id = $3::VARCHAR;

-- _LEASE_ENDS
SELECT sessions.id, sessions.lease_until_ms FROM sessions;

-- _LIVE_OF_KIND
SELECT count(*) AS n FROM sessions WHERE sessions.kind = $1::VARCHAR AND sessions.lease_until_ms > $2::BIGINT;

-- _LIVE
SELECT sessions.id, sessions.kind, sessions.host, sessions.pid, sessions.detail, sessions.started_ms,
    sessions.lease_until_ms FROM sessions WHERE sessions.lease_until_ms > $1::BIGINT ORDER BY
    sessions.started_ms;

-- upkeep/sweeps.py

-- _FALL_DUE
UPDATE tasks SET state=$1::VARCHAR, version=(tasks.version + $2::INTEGER), finished_ms=$3::BIGINT WHERE
    tasks.id IN (SELECT tasks.id FROM tasks WHERE tasks.state = $4::VARCHAR AND tasks.due_ms <= $5::BIGINT
    ORDER BY tasks.due_ms LIMIT $6::INTEGER FOR UPDATE SKIP LOCKED) AND tasks.state = $7::VARCHAR RETURNING
    tasks.id, tasks.partner_id, tasks.queue, tasks.version, tasks.batch_id;

-- _SESSIONS
SELECT sessions.id FROM sessions;

-- _BUSY_LANES
SELECT lanes.id, lanes.in_flight FROM lanes WHERE lanes.in_flight > $1::INTEGER ORDER BY lanes.id FOR UPDATE
    SKIP LOCKED;

-- _HELD
SELECT deliveries.lane_id, count(*) AS n FROM deliveries WHERE deliveries.session_id IS NOT NULL GROUP BY
    deliveries.lane_id;

-- _CORRECT
UPDATE lanes SET ready_ms=$1::BIGINT, in_flight=true_counts.in_flight FROM (SELECT CAST(true_counts_rows.value
    ->> 0 AS TEXT) AS id, CAST(true_counts_rows.value ->> 1 AS INTEGER) AS in_flight FROM
    json_array_elements(CAST($2::VARCHAR AS JSON)) AS true_counts_rows WHERE
    json_typeof(true_counts_rows.value) = 'array') AS true_counts WHERE lanes.id = true_counts.id;

-- _WITH_WORK
SELECT queues.name FROM queues WHERE queues.paused_ms IS NULL AND (EXISTS (SELECT tasks.id FROM tasks WHERE
    tasks.state = 'queued' AND tasks.queue = queues.name LIMIT $1::INTEGER));

-- _SOONEST
SELECT (SELECT min(tasks.due_ms) AS min_1 FROM tasks WHERE tasks.state = 'scheduled') AS task_ms, (SELECT
    min(tasks.expires_ms) AS min_2 FROM tasks WHERE tasks.expires_ms IS NOT NULL AND tasks.state IN
    ('scheduled', 'queued')) AS expiry_ms, (SELECT min(sessions.lease_until_ms) AS min_3 FROM sessions) AS
    lease_ms;

-- upkeep/workers.py

-- _LIVE
SELECT sessions.id, sessions.kind, sessions.host, sessions.pid, sessions.detail, sessions.started_ms,
    sessions.lease_until_ms FROM sessions WHERE sessions.lease_until_ms > $1::BIGINT ORDER BY sessions.id
    LIMIT $2::INTEGER;

-- _LIVE
SELECT sessions.id, sessions.kind, sessions.host, sessions.pid, sessions.detail, sessions.started_ms,
    sessions.lease_until_ms FROM sessions WHERE sessions.lease_until_ms > $1::BIGINT AND sessions.id >
    $2::VARCHAR ORDER BY sessions.id LIMIT $3::INTEGER;

-- _IN_FLIGHT
SELECT deliveries.session_id, count(*) AS n FROM deliveries WHERE deliveries.session_id = ANY ($1::TEXT[])
    GROUP BY deliveries.session_id;

-- _HELD
SELECT tasks.session_id, tasks.id, tasks.type, tasks.partner_id, partners.name, tasks.attempts,
    tasks.started_ms, tasks.deadline_ms, tasks.cancel_requested_ms FROM tasks LEFT OUTER JOIN partners ON
    partners.id = tasks.partner_id WHERE tasks.session_id = ANY ($1::TEXT[]) ORDER BY tasks.started_ms,
    tasks.id;
