"""What lies in the folder of a run: the files that its input names, and those that its function attached.

The worker writes the one and reads the other, the function does the reverse, in a process of its own
perhaps; all they share is the folder. Here are only the shapes and names.
"""

from dataclasses import dataclass
from typing import Any, Final

INPUTS: Final = "inputs.json"
OUT: Final = "attached"
LISTED: Final = ".json"
"""The ending of what says that the bytes beside it are whole."""
MAX_ATTACHED: Final = 100
MAX_FILE_BYTES: Final = 104_857_600
"""Largest file, uploaded or attached, where no setting says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What an input names: a file's id, or a URL."""

    file_id: str = ""
    url: str = ""

    @property
    def text(self) -> str:
        """The one or the other."""
        return self.file_id or self.url

    @property
    def value(self) -> Any:
        """As it stands in the input."""
        return self.file_id or {"url": self.url}


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """A file of the input, as it lies in the folder."""

    path: str
    name: str
    content_type: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A file that a function attached, as it lies in the folder."""

    path: str
    name: str
    content_type: str
    size: int
