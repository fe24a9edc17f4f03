"""A real PgBouncer in front of a PostgreSQL of the tests', in transaction mode."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from tests.support.services import ServiceMissing, free_port
from webhookd.adapters.deathwatch import watched

_START_SECONDS = 20.0


class PgBouncer:
    """In front of the server at a `postgresql://` URL; `mode` as PgBouncer's `pool_mode`.

    A context. Raises ServiceMissing where it is not installed. As root it runs as `nobody`.
    """

    def __init__(self, server_url: str, *, mode: str = "transaction", sessions: int = 5) -> None:
        program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            raise ServiceMissing("no PgBouncer: `apt-get install pgbouncer`")
        server = urlsplit(server_url)
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="webhookd-pgbouncer-", dir="/tmp"))  # `nobody` reads it
        configuration = self._folder / "pgbouncer.ini"
        # `any` lets everybody in as one user, who is named with the database.
        configuration.write_text(
            f"[databases]\n* = host={server.hostname} port={server.port} user={server.username}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = any\npool_mode = {mode}\ndefault_pool_size = {sessions}\nmax_client_conn = 500\n"
        )
        argv = [program, str(configuration)]
        if os.geteuid() == 0:
            account = pwd.getpwnam("nobody")
            for path in (self._folder, configuration):
                os.chown(path, account.pw_uid, account.pw_gid)
            ids = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
            self._argv = ["setpriv", *ids, "--pdeathsig=TERM", "--", *argv]
        else:
            self._argv = list(watched(argv))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        log = self._folder / "log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                self._argv, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        give_up_at = time.monotonic() + _START_SECONDS
        while b"process up" not in log.read_bytes():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"PgBouncer did not start:\n{log.read_text()}")
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database_url: str) -> str:
        """Return the URL by which the pooler leads to that database."""
        parts = urlsplit(database_url)
        user = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{self.port}"))
