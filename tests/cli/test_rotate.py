"""`webhookd rotate-encryption-key`: while everything runs, with keys of the settings, what it refuses."""

import json
import os
import pwd
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import (
    Ended,
    data_dir,
    environment,
    kept,
    run_here,
    started,
    url_of,
)
from tests.support.plain_http import http_client
from tests.support.services import ValkeyServer, eventually
from webhookd.adapters.vault import Vault, generate_key

OLD, NEW = generate_key(), generate_key()
OLD_ID, NEW_ID = Vault([OLD]).newest_id, Vault([NEW]).newest_id
HEAD = {"Idempotency-Key": "the-endpoint"}
ENDPOINT = {"url": "https://hooks.partner.example/in", "headers": {"x-key": "hunter2"}}


def rotate(*arguments: str, cwd: Path, env: dict[str, str]) -> Ended:
    return run_here("rotate-encryption-key", *arguments, cwd=cwd, env=env)


def document(ended: Ended) -> dict[str, Any]:
    assert ended.exit_code == 0, ended
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def key_ids(database: Path) -> set[str]:
    """The keys that sealed what is in the database, as the file itself says."""
    with closing(sqlite3.connect(database)) as opened:
        rows = opened.execute(
            "SELECT substr(sealed, 4, 8) FROM secrets"
            " UNION SELECT substr(headers_sealed, 4, 8) FROM endpoints WHERE headers_sealed IS NOT NULL"
            " UNION SELECT sealed_by FROM idempotency WHERE sealed_by IS NOT NULL"
        )
        return {row[0] for row in rows}


@contextmanager
def stream_of_tasks(url: str, key: str, callback_url: str) -> Iterator[list[str]]:
    """Submit tasks until the end of the block; yields the ids so far."""
    ids: list[str] = []
    over = threading.Event()

    def submit() -> None:
        body = {"type": "demo.echo", "input": {}, "callback_url": callback_url}
        with http_client(url, key) as partner:
            while not over.wait(0.05):
                answer = partner.post("/v1/tasks", json=body)
                assert answer.status_code == 202, answer.text
                ids.append(answer.json()["id"])

    thread = threading.Thread(target=submit)
    thread.start()
    try:
        yield ids
    finally:
        over.set()
        thread.join()


def test_one_machine_gets_a_new_key_while_it_serves_and_later_loses_the_old_one(tmp_path: Path) -> None:
    env = environment(WEBHOOKD_DATA_DIR="data", WEBHOOKD_PORT="0")
    with started("up", "--dev", cwd=tmp_path, env=env) as up:
        url = url_of(up)
        up.wait_for("dead-letters")
        dev = kept(up)
        ring = data_dir(up) / "encryption.keys"
        database = data_dir(up) / "webhookd.db"
        before = ring.read_text().split()
        with http_client(url, dev["key"]) as partner:
            first = partner.post("/v1/endpoints", json=ENDPOINT, headers=HEAD).json()
        with started("listen", "--port", "0", "--secret", dev["secret"], cwd=tmp_path) as listen:
            listen.wait_for("http://")
            callback = listen.out[0].split()[-1]
            with stream_of_tasks(url, dev["key"], callback) as tasks:
                eventually(lambda: len(tasks) > 5, "some tasks")
                made = document(rotate("--new", "--json", cwd=tmp_path, env=env))
                done = len(tasks)
                eventually(lambda: len(tasks) > done + 5, "some tasks after it")
            verified = "✓ verified"
            eventually(lambda: sum(verified in line for line in listen.out) >= len(tasks), "every webhook")
            assert not [line for line in listen.out if "does not verify" in line]

        assert made["added"]
        assert made["resealed"] >= 3, "the partner's and the endpoint's secrets, its headers, an answer"
        assert made["unreadable"] == []
        newest, old = made["keys"]
        assert (newest["id"], newest["place"], newest["needed"]) == (made["newest"], 1, True)
        assert (old["place"], old["needed"], old["answers_until"]) == (2, False, None)
        assert ring.read_text().split()[1:] == before
        assert ring.stat().st_mode & 0o777 == 0o600
        assert key_ids(database) == {made["newest"]}
        with http_client(url, dev["key"]) as partner:
            again = partner.post("/v1/endpoints", json=ENDPOINT, headers=HEAD)
            assert again.headers["Idempotency-Replayed"] == "true"
            assert again.json() == first
            # The API seals with the new key by now, without a restart.
            assert partner.post("/v1/endpoints", json=ENDPOINT).status_code == 201
        assert key_ids(database) == {made["newest"]}
        assert "hunter2" not in up.everything()

        removed = document(rotate("--remove-old", "--json", cwd=tmp_path, env=env))
        assert removed["removed"] == [old["id"]]
        assert not removed["added"]
        assert Vault(ring.read_text().split()).key_ids == (made["newest"],)
        up.send(signal.SIGTERM)
        assert up.wait() == 0

    with started("up", "--dev", cwd=tmp_path, env=env) as up:
        url = url_of(up)
        up.wait_for("dead-letters")
        with started("listen", "--port", "0", "--secret", dev["secret"], cwd=tmp_path) as listen:
            listen.wait_for("http://")
            with http_client(url, dev["key"]) as partner:
                task = {"type": "demo.echo", "input": {}, "callback_url": listen.out[0].split()[-1]}
                assert partner.post("/v1/tasks", json=task).status_code == 202
            listen.wait_for("✓ verified")
        up.send(signal.SIGTERM)
        assert up.wait() == 0

    ring.write_text("\n".join(before) + "\n")
    refused = run_here("up", cwd=tmp_path, env=env)
    assert refused.exit_code == 1
    assert len(refused.stderr.splitlines()) == 1
    assert f"lacks a key in use (id {made['newest']})" in refused.stderr


@pytest.fixture
def parts(tmp_path: Path, valkey: ValkeyServer) -> dict[str, str]:
    """The settings of an installation whose keys are a setting; migrated, nothing runs."""
    env = environment(
        WEBHOOKD_DATA_DIR=str(tmp_path),
        WEBHOOKD_BROKER_URL=valkey.url,
        WEBHOOKD_ADMIN_KEY="an-admin-key-of-my-own",
        WEBHOOKD_ENCRYPTION_KEYS=OLD,
        WEBHOOKD_PORT="0",
    )
    assert run_here("migrate", cwd=tmp_path, env=env).exit_code == 0
    assert run_here("partners", "create", "acme", cwd=tmp_path, env=env).exit_code == 0
    return env


def with_keys(env: dict[str, str], *keys: str) -> dict[str, str]:
    return {**env, "WEBHOOKD_ENCRYPTION_KEYS": ",".join(keys)}


def test_keys_of_the_settings_change_process_by_process(tmp_path: Path, parts: dict[str, str]) -> None:
    database = tmp_path / "webhookd.db"
    both = with_keys(parts, NEW, OLD)
    with started("worker", "--queues", "deliver", cwd=tmp_path, env=parts) as worker:
        worker.wait_for("worker_ready")
        too_early = rotate(cwd=tmp_path, env=both)
        assert too_early.exit_code == 1
        assert len(too_early.stderr.splitlines()) == 1
        assert "deliver process" in too_early.stderr
        assert key_ids(database) == {OLD_ID}
        worker.send(signal.SIGTERM)
        assert worker.wait() == 0

    with started("worker", "--queues", "deliver", cwd=tmp_path, env=both) as worker:
        worker.wait_for("worker_ready")
        for option, says in (("--new", "in front of it"), ("--remove-old", "take the keys it names off")):
            refused = rotate(option, cwd=tmp_path, env=both)
            assert (refused.exit_code, len(refused.stderr.splitlines())) == (1, 1)
            assert says in refused.stderr
        ended = rotate(cwd=tmp_path, env=both)
        assert ended.exit_code == 0, ended
        assert "Rows sealed again: 1," in ended.stdout
        assert f"may be taken off WEBHOOKD_ENCRYPTION_KEYS: key 2 (id {OLD_ID})" in ended.stdout
        assert key_ids(database) == {NEW_ID}
        repeated = document(rotate("--json", cwd=tmp_path, env=both))
        assert (repeated["resealed"], repeated["left"]) == (0, 0)
        worker.send(signal.SIGTERM)
        assert worker.wait() == 0

    missing = run_here("worker", cwd=tmp_path, env=with_keys(parts, OLD))
    assert missing.exit_code == 1
    assert f"lacks a key in use (id {NEW_ID})" in missing.stderr
    with started("worker", "--queues", "deliver", cwd=tmp_path, env=with_keys(parts, NEW)) as worker:
        worker.wait_for("worker_ready")
        worker.send(signal.SIGTERM)
        assert worker.wait() == 0


def test_rows_that_do_not_open_are_named_and_the_others_sealed_all_the_same(
    tmp_path: Path, parts: dict[str, str]
) -> None:
    made = json.loads(run_here("partners", "create", "other", "--json", cwd=tmp_path, env=parts).stdout)
    with closing(sqlite3.connect(tmp_path / "webhookd.db")) as opened, opened:
        opened.execute("UPDATE secrets SET sealed = sealed || 'AAAA' WHERE partner_id = ?", [made["id"]])

    ended = rotate(cwd=tmp_path, env=with_keys(parts, NEW, OLD))
    assert ended.exit_code == 1
    assert "Rows sealed again: 1," in ended.stdout
    assert f"Still needed: id {OLD_ID} (key 2), by 1 signing secrets." in ended.stdout
    (line,) = ended.stderr.splitlines()
    assert line.startswith("Does not open: signing secret sec_")
    assert made["id"] in line

    without_old = rotate("--json", cwd=tmp_path, env=with_keys(parts, NEW))
    assert without_old.exit_code == 1
    found = json.loads(without_old.stdout)
    assert [one["place"] for one in found["keys"]] == [1, None]
    assert OLD_ID in found["unreadable"][0]["reason"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_file_of_another_account_stays_its_own(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    env = environment(WEBHOOKD_DATA_DIR=str(tmp_path))
    ring = tmp_path / "encryption.keys"
    ring.write_text(f"{OLD}\n")
    os.chown(ring, nobody.pw_uid, nobody.pw_gid)
    assert run_here("migrate", cwd=tmp_path, env=env).exit_code == 0
    assert rotate("--new", cwd=tmp_path, env=env).exit_code == 0
    assert (ring.stat().st_uid, ring.stat().st_mode & 0o777) == (nobody.pw_uid, 0o600)
    assert ring.read_text().split()[1] == OLD


def test_wrong_use_and_no_installation_are_one_line(tmp_path: Path) -> None:
    env = environment(WEBHOOKD_DATA_DIR=str(tmp_path))
    both = rotate("--new", "--remove-old", cwd=tmp_path, env=env)
    assert (both.exit_code, len(both.stderr.splitlines())) == (2, 1)
    nothing = rotate(cwd=tmp_path, env=env)
    assert (nothing.exit_code, len(nothing.stderr.splitlines())) == (1, 1)
    assert "no installation here" in nothing.stderr
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "webhookd.db").touch()
    (tmp_path / "encryption.keys").write_text(f"{OLD}\n")
    unmigrated = rotate("--new", cwd=tmp_path, env=env)
    assert unmigrated.exit_code == 1
    assert "webhookd migrate" in unmigrated.stderr
    assert (tmp_path / "encryption.keys").read_text() == f"{OLD}\n", "no key was added"
