"""Writing what a function attaches into the folder of its run, and finding it again.

Each attachment is its bytes and then, once these are whole, a line that names them: what a function was
writing when it was stopped is not there.
"""

import json
import mimetypes
import os
import shutil
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, Final

from webhookd.core.files import OCTETS, content_type_fault, name_fault
from webhookd.core.run_folder import LISTED, MAX_ATTACHED, OUT, Attached

Data = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO | Iterable[bytes]

_BLOCK_BYTES: Final = 1_048_576


class TooMuchAttached(Exception):
    """Raised where a run attaches more than it may. `code` is for the partner."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Attachments:
    """What one run attaches. Safe to use from any thread. The folder is made when it is first needed."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder / OUT
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._count = 0

    def add(self, name: str, data: Data, content_type: str | None) -> None:
        """Keep a file. Raises ValueError for a name or type that is none, TooMuchAttached, OSError."""
        if fault := name_fault(name):
            raise ValueError(f"the name of an attached file {fault}: {name!r}")
        kind = content_type or mimetypes.guess_type(name)[0] or OCTETS
        if fault := content_type_fault(kind):
            raise ValueError(f"the content type of an attached file {fault}: {kind!r}")
        with self._lock:
            self._count += 1
            number = self._count
        if number > MAX_ATTACHED:
            raise TooMuchAttached("too_many_files", f"A run may attach {MAX_ATTACHED} files.")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"{number:04}"
        try:
            size = self._write(path, data)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        listed = Attached(path=str(path), name=name, content_type=kind, size=size)
        half = path.with_suffix(".half")
        half.write_text(json.dumps(asdict(listed)))
        half.rename(path.with_suffix(LISTED))

    def _write(self, path: Path, data: Data) -> int:
        size = 0
        with path.open("xb") as out:
            for block in _blocks(data):
                size += len(block)
                if size > self._max_bytes:
                    message = f"An attached file may be {self._max_bytes:,} bytes."
                    raise TooMuchAttached("file_too_large", message)
                out.write(block)
        return size


def attached_in(folder: Path) -> list[Attached]:
    """Return what was attached, in order; of one name the last."""
    found: dict[str, Attached] = {}
    for line in sorted((folder / OUT).glob(f"*{LISTED}")):
        one = Attached(**json.loads(line.read_text()))
        found.pop(one.name, None)
        found[one.name] = one
    return list(found.values())


def forget(folder: Path) -> None:
    """Remove the folder of a run."""
    shutil.rmtree(folder, ignore_errors=True)


def _blocks(data: Data) -> Iterator[bytes | bytearray | memoryview]:
    if isinstance(data, bytes | bytearray | memoryview):
        yield data
    elif isinstance(data, str | os.PathLike):
        with Path(data).open("rb") as opened:
            yield from _of_file(opened)
    elif hasattr(data, "read"):
        yield from _of_file(data)  # type: ignore[arg-type]  # it reads
    else:
        yield from data


def _of_file(opened: BinaryIO) -> Iterator[bytes]:
    while block := opened.read(_BLOCK_BYTES):
        yield block
