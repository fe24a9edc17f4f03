"""A batch as an answer: what the caller may see of it, with its tag."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import orjson

from webhookd.api.answers import Answer
from webhookd.api.batch_wire import shown_batch
from webhookd.api.call import AnyCall
from webhookd.api.etags import etag_matches
from webhookd.api.owners import with_owner
from webhookd.api.problems import retry_after
from webhookd.core.batches import Batch
from webhookd.core.render import batch_document


async def owned_batch(call: AnyCall, batch: Batch) -> Mapping[str, Any]:
    """Return a batch's document as this caller may see it."""
    document = shown_batch(call.caller, batch_document(batch, base_url=call.parts.options.base_url))
    return await with_owner(call, batch, document)


async def batch_answer(call: AnyCall, batch: Batch, *, status: int) -> Answer:
    """Return a batch as the response: with `ETag`, and `Retry-After` while it is not done."""
    document = await owned_batch(call, batch)
    body = orjson.dumps(document)
    etag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if not batch.done:
        headers["Retry-After"] = retry_after(1.0)
    if status == 202:
        headers |= call.located(f"/v1/batches/{batch.id}")
    wanted = call.header(b"if-none-match") if status == 200 and call.method == "GET" else None
    if wanted is not None and etag_matches(etag, wanted):
        return Answer(status=304, headers=headers)
    return Answer(status=status, body=body, headers=headers)
