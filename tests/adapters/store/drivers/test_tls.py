"""TLS to a real PostgreSQL: what `sslmode` and `sslrootcert` ask for is held, and what fails is one line."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
import trustme
from sqlalchemy import text

from tests.conftest import missing
from tests.support.command_line import environment, run_here
from tests.support.services import Databases, PostgresServer, ServiceMissing, find_system_postgres
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.migrate import migrate

OURS = trustme.CA(organization_name="ours")
STRANGER = trustme.CA(organization_name="a stranger")


@pytest.fixture(scope="module")
def tls_postgres() -> Iterator[PostgresServer]:
    """Its certificate is for 127.0.0.1 and not for localhost, which is the same place."""
    try:
        server = PostgresServer(fsync=False, installed=find_system_postgres())
    except ServiceMissing as error:
        missing(error)
        raise
    certificate = OURS.issue_cert("127.0.0.1")
    try:
        chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
        server.encrypt(chain, certificate.private_key_pem.bytes())
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def tls_url(tls_postgres: PostgresServer) -> Iterator[str]:
    """An empty database on it."""
    url = tls_postgres.create_database()
    yield url
    tls_postgres.drop_database(url)


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A private CA's certificate, as an operator has it; the path needs escaping in a URL."""
    path = tmp_path / "our ca+1.pem"
    path.write_bytes(OURS.cert_pem.bytes())
    return path


def at(url: str, host: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.username}@{host}:{parts.port}"))


async def is_encrypted(url: str) -> bool:
    database = await Database.open(url, writes_apart=True)
    asks = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    try:
        answers = [
            await do(lambda tx: tx.conn.execute(asks).scalar_one()) for do in (database.read, database.write)
        ]
    finally:
        await database.close()
    assert len(set(answers)) == 1
    return bool(answers[0])


@pytest.mark.parametrize("mode", ["verify-full", "verify-ca", "require"])
async def test_a_private_authority_is_trusted_by_its_file(tls_url: str, authority: Path, mode: str) -> None:
    url = f"{tls_url}?sslmode={mode}&sslrootcert={str(authority).replace('+', '%2B').replace(' ', '%20')}"
    await migrate(url)
    assert await is_encrypted(url)


async def test_without_an_authority_the_connection_is_encrypted_all_the_same(tls_url: str) -> None:
    assert await is_encrypted(f"{tls_url}?sslmode=require")
    assert not await is_encrypted(f"{tls_url}?sslmode=disable")


async def test_the_name_is_checked_by_verify_full_alone(tls_url: str, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    OURS.cert_pem.write_to_path(file)
    elsewhere = at(tls_url, "localhost")
    assert await is_encrypted(f"{elsewhere}?sslmode=verify-ca&sslrootcert={file}")
    told = await asyncio.to_thread(refusal, f"{elsewhere}?sslmode=verify-full&sslrootcert={file}", tmp_path)
    assert "Hostname mismatch" in told


@pytest.mark.parametrize("mode", ["verify-full", "verify-ca"])
def test_a_strange_authority_is_one_line(tls_url: str, tmp_path: Path, mode: str) -> None:
    file = tmp_path / "stranger.pem"
    STRANGER.cert_pem.write_to_path(file)
    assert "certificate verify failed" in refusal(f"{tls_url}?sslmode={mode}&sslrootcert={file}", tmp_path)


def test_what_is_no_certificate_is_one_line(tls_url: str, tmp_path: Path) -> None:
    file = tmp_path / "notes.pem"
    file.write_text("not a certificate")
    assert f"sslrootcert: {file}" in refusal(f"{tls_url}?sslmode=verify-full&sslrootcert={file}", tmp_path)


def test_a_server_without_tls_is_one_line(postgres: Databases, tmp_path: Path) -> None:
    assert "SSL" in refusal(f"{postgres.admin_url}?sslmode=require", tmp_path)


def refusal(url: str, folder: Path) -> str:
    """The line with which `webhookd migrate` gives up; it names the setting and repeats no parameter."""
    ended = run_here("migrate", cwd=folder, env=environment(WEBHOOKD_DATABASE_URL=url))
    assert ended.exit_code == 1
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("webhookd: WEBHOOKD_DATABASE_URL")
    assert "internal error" not in ended.stderr
    return ended.stderr
