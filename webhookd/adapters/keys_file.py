"""The encryption keys of a single-machine installation: a file in the data dir, a key a line, newest first.

A process that runs looks again when the file has changed, so that a new key needs no restart. Making and
replacing the file is the command line's business.
"""

from pathlib import Path

from webhookd.core.errors import SettingsError


class KeysFile:
    """The file, and which state of it was read last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None

    def read(self) -> tuple[str, ...]:
        """Return the keys; none where there is no file. Raises SettingsError where it cannot be read."""
        try:
            self._seen = self._state()
            text = self.path.read_text("ascii")
        except FileNotFoundError:
            return ()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise SettingsError(
                f"WEBHOOKD_DATA_DIR: the encryption keys in {self.path} cannot be read ({reason})."
            ) from None
        return tuple(line.strip() for line in text.splitlines() if line.strip())

    def changed(self) -> tuple[str, ...] | None:
        """Return the keys where the file is another one than was read last, else None.

        Costs one `stat`. Raises SettingsError as `read` does.
        """
        try:
            if self._state() == self._seen:
                return None
        except OSError:  # gone, or out of reach just now: the keys that were read stay good
            return None
        return self.read()

    def _state(self) -> tuple[int, int, int]:
        found = self.path.stat()
        return found.st_ctime_ns, found.st_ino, found.st_size
