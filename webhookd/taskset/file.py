"""`File`: the field of an input model that takes a file, and what the function does with it.

On the wire it is a file's id, or `{"url": "https://…"}`. Before the function is called its bytes are brought
into the run's own folder, so opening, reading and `path` are local and quick, in every isolation.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from webhookd.core import ids
from webhookd.core.egress import MAX_URL_LENGTH
from webhookd.core.files import OCTETS, is_file_id
from webhookd.core.run_folder import INPUTS, Brought, Reference

_URL: Final = re.compile(r"https?://[\x21-\x7e]+")
FILE_PATTERN: Final = "^file_[0-9a-hjkmnp-tv-z]{26}$"
"""In a JSON Schema the mark of a field that takes a file."""
_SCHEMA: Final[dict[str, Any]] = {
    "description": 'A file: its id, or `{"url": "https://…"}` to fetch it from there.',
    "anyOf": [
        {"type": "string", "pattern": FILE_PATTERN},
        {
            "type": "object",
            "properties": {"url": {"type": "string", "format": "uri", "maxLength": MAX_URL_LENGTH}},
            "required": ["url"],
            "additionalProperties": False,
        },
    ],
}


class File:
    """A file of the input. `size` in bytes, `sha256` in hexadecimal; empty before the run has begun."""

    def __init__(self, reference: Reference, brought: Brought | None = None) -> None:
        self.reference = reference
        self._brought = brought

    @classmethod
    def local(cls, path: str | Path, *, name: str | None = None, content_type: str = OCTETS) -> "File":
        """Return a file of this machine, for a function in a test, or the input of `webhookd.testing.run`."""
        brought = Brought(
            path=str(path),
            name=name or Path(path).name,
            content_type=content_type,
            size=Path(path).stat().st_size,
            sha256=_sha256_of(Path(path)),
        )
        entropy = hashlib.sha256(str(path).encode()).digest()[: ids.ENTROPY_BYTES]
        return cls(Reference(file_id=ids.make_id(ids.FILE, now_ms=0, entropy=entropy)), brought)

    @property
    def brought(self) -> Brought | None:
        """Where its bytes lie; None before the run."""
        return self._brought

    @property
    def name(self) -> str:
        """What it is called."""
        return self._here.name

    @property
    def content_type(self) -> str:
        """Its media type, as whoever brought it said."""
        return self._here.content_type

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self._here.size

    @property
    def sha256(self) -> str:
        """The SHA-256 of its bytes."""
        return self._here.sha256

    def path(self) -> Path:
        """Return where a copy of it is; it is the run's own, and gone after it."""
        return Path(self._here.path)

    def open(self) -> BinaryIO:
        """Open it for reading."""
        return self.path().open("rb")

    def read(self) -> bytes:
        """Return all of its bytes. `open` does with less memory."""
        return self.path().read_bytes()

    def __repr__(self) -> str:
        return f"File({self.reference.text!r})"

    @property
    def _here(self) -> Brought:
        if self._brought is None:
            raise RuntimeError("a file of the input can be used by the function it was given to, in its run")
        return self._brought

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Take an id or `{"url"}`; the context of the validation has the bytes, or learns what is named."""
        del source, handler
        return core_schema.with_info_plain_validator_function(
            _validated,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda file: file.reference.value, when_used="always"
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe it."""
        del schema, handler
        return dict(_SCHEMA)


@dataclass(slots=True, kw_only=True)
class InputFiles:
    """The context of a validation: `named` gets what the input names, `brought` has what is here."""

    named: list[Reference] = field(default_factory=list)
    brought: dict[str, Brought] = field(default_factory=dict)


def inputs_in(folder: str) -> InputFiles | None:
    """Return what was brought into the folder of a run; None where nothing was."""
    listed = Path(folder) / INPUTS
    if not folder or not listed.exists():
        return None
    brought = {text: Brought(**one) for text, one in json.loads(listed.read_text()).items()}
    return InputFiles(brought=brought)


def may_name_files(input_json: str) -> bool:
    """Whether it is worth looking for files in this input."""
    return '"file_' in input_json or '"url"' in input_json


def _validated(value: Any, info: core_schema.ValidationInfo) -> File:
    if isinstance(value, File):
        return value
    reference = _reference(value)
    if reference is None:
        raise PydanticCustomError("file", 'must be the id of a file, or {"url": "https://…"}')
    context = info.context
    if not isinstance(context, InputFiles):
        return File(reference)
    context.named.append(reference)
    return File(reference, context.brought.get(reference.text))


def _sha256_of(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _reference(value: Any) -> Reference | None:
    if isinstance(value, str) and is_file_id(value):
        return Reference(file_id=value)
    if isinstance(value, dict) and value.keys() == {"url"} and isinstance(value["url"], str):
        url = value["url"]
        if len(url) <= MAX_URL_LENGTH and _URL.fullmatch(url):
            return Reference(url=url)
    return None
