"""The API's description, made once a test process; nobody may change it."""

import functools
from typing import Any

from webhookd.api.app import ROUTES
from webhookd.api.description.openapi import openapi_document

BASE_URL = "https://hooks.example"


@functools.cache
def description() -> dict[str, Any]:
    """Return what `/openapi.json` of an installation at `BASE_URL` says."""
    return openapi_document(ROUTES, base_url=BASE_URL)
