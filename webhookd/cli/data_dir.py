"""The data dir of a single-machine installation: who may use it now, and the secrets kept in it.

What else lies there belongs to others: the database to the store, `broker/` to the embedded Valkey.
"""

import contextlib
import fcntl
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from webhookd.adapters.vault import generate_key
from webhookd.core.errors import SettingsError
from webhookd.settings import Settings
from webhookd.wiring.process import KEYS_FILE

_LOCK_FILE: Final = "up.lock"
_OURS: Final = re.compile(r"webhookd\.db.*|encryption\.keys.*|dev\.json.*|up\.lock|broker|files", re.DOTALL)


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[int]:
    """Hold the data dir for this process; it is made (0700) where it is missing. Yields the locked file.

    The kernel gives the lock up with the process, however it ends. Raises SettingsError, naming the
    process, where another one has it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        keep_private(folder)
        lock = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(
            f"WEBHOOKD_DATA_DIR: cannot use {folder} ({error.strerror}); choose another with --data-dir."
        ) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 20).decode(errors="replace").strip()
            raise SettingsError(
                f"WEBHOOKD_DATA_DIR: another `webhookd up` (process {holder or 'unknown'}) runs on {folder}; "
                "stop it, or choose another with --data-dir."
            ) from None
        os.truncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield lock
    finally:
        os.close(lock)


def keep_private(folder: Path) -> None:
    """Take from other accounts what earlier releases let them read: files 0600, folders 0700.

    A data dir that holds other things than ours (somebody's working directory) keeps its own mode. What
    belongs to another account is left to `webhookd doctor`.
    """
    entries = list(folder.iterdir())
    ours = [entry for entry in entries if _OURS.fullmatch(entry.name)]
    for path in (*ours, *(inner for entry in ours if entry.is_dir() for inner in entry.rglob("*"))):
        _close_to_others(path)
    if len(ours) == len(entries):
        _close_to_others(folder)


def _close_to_others(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        found = path.lstat()
        if found.st_uid == os.geteuid() and found.st_mode & 0o077 and not stat.S_ISLNK(found.st_mode):
            path.chmod(stat.S_IMODE(found.st_mode) & ~0o077)


def make_encryption_key(settings: Settings) -> Path | None:
    """Make the installation's encryption key unless it has one; return the file if it was made now."""
    path = settings.data_dir / KEYS_FILE
    if settings.encryption_keys or path.exists():
        return None
    write_private(path, generate_key() + "\n")
    return path


@contextlib.contextmanager
def keys_claimed(folder: Path) -> Iterator[None]:
    """Hold the right to change the installation's encryption keys; `up` goes on meanwhile.

    Raises SettingsError where another process has it.
    """
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SettingsError(f"WEBHOOKD_DATA_DIR: cannot use {folder} ({error.strerror}).") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                f"Another `webhookd rotate-encryption-key` runs on {folder}; wait for its end."
            ) from None
        yield
    finally:
        os.close(lock)


def write_keys(path: Path, keys: Sequence[str]) -> None:
    """Replace the installation's encryption keys, newest first. Raises SettingsError."""
    try:
        write_private(path, "".join(f"{key}\n" for key in keys))
    except OSError as error:
        raise SettingsError(f"WEBHOOKD_DATA_DIR: cannot write {path} ({error.strerror}).") from None


def write_private(path: Path, text: str) -> None:
    """Write a file only its owner may read (0600), whole or not at all, and on disk when this returns.

    One that is there already keeps its owner: root may mend what belongs to the service's account.
    """
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        if path.exists() and (before := path.stat()).st_uid != os.geteuid():
            os.fchown(file.fileno(), before.st_uid, before.st_gid)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
