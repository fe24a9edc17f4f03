"""Whether a commit is on disk when the database says so: its own settings, for `webhookd doctor`."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from sqlalchemy import Text, column, text

from webhookd.adapters.store.statement import Query
from webhookd.adapters.store.tx import Tx

_LOOK_SECONDS: Final = 3.0
NETWORK_FILE_SYSTEMS: Final = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
    }
)
"""Where locks, shared memory or fsync are not what SQLite needs (sqlite.org/wal.html, section 1)."""


class _Setting(NamedTuple):
    name: str
    value: str


_PROMISED: Final = Query(
    _Setting,
    lambda _: text(
        "SELECT name, current_setting(name) FROM pg_settings WHERE name IN"
        " ('fsync', 'full_page_writes', 'synchronous_commit', 'server_version')"
    ).columns(column("name", Text), column("value", Text)),
)


def postgres_settings(tx: Tx) -> dict[str, str]:
    """Return those settings of this connection that a promise hangs on, by name."""
    return {row.name: row.value for row in tx.run(_PROMISED)}


def sqlite_journal_mode(path: Path) -> str:
    """Return the journal mode as the file says it, without changing it as opening for work would.

    Raises sqlite3.Error.
    """
    url = f"file:{quote(str(path))}?mode=ro"
    with closing(sqlite3.connect(url, uri=True, timeout=_LOOK_SECONDS)) as opened:
        return str(opened.execute("PRAGMA journal_mode").fetchone()[0])


def network_file_system(path: Path, mounts: str) -> str | None:
    """Return the kind of network file system `path` lies on; None for a local one.

    `mounts` is the text of Linux's /proc/self/mounts: device, mount point, kind and options a line, with
    spaces in them written as octal escapes.
    """
    kind = None
    longest = -1
    resolved = path.resolve()
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        point = Path(fields[1].encode("latin-1", "replace").decode("unicode_escape"))
        depth = len(point.parts)
        # The last of several mounts on one point is the one that is seen.
        if depth >= longest and (resolved == point or point in resolved.parents):
            kind, longest = fields[2], depth
    if kind is not None and (kind in NETWORK_FILE_SYSTEMS or kind.startswith("fuse.")):
        return kind
    return None
