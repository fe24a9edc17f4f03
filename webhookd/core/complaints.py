"""What pydantic has to say against a value, in words that follow the field's name."""

import re
from typing import Final

from pydantic_core import ErrorDetails

_WORDS: Final = {
    "missing": "is required",
    "extra_forbidden": "is not known here",
    "model_type": "must be a JSON object",
    "model_attributes_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
}
_SUBJECT: Final = re.compile(r"(?:Value error, )?(?:(?:Input|String|List|Dictionary|Set|Tuple) should )?")
_SEEN: Final = re.compile(r" after validation, not \w+$")


def complaint(detail: ErrorDetails) -> str:
    """Return what is wrong with the value, such as `must be greater than 0`; never the value itself."""
    found = _WORDS.get(detail["type"])
    if found is not None:
        return found
    said = detail["msg"]
    subject = _SUBJECT.match(said)
    rest = said[subject.end() :] if subject else said
    return _SEEN.sub("", f"must {rest}" if subject and subject[0].endswith("should ") else rest)
