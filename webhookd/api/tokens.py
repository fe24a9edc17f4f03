"""`POST /v1/tokens`: what a page may be given in the place of a key."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from webhookd.adapters.store.tasks.batches import get_batch
from webhookd.adapters.store.tasks.tasks import get_tasks
from webhookd.api.answers import Answer, json_answer
from webhookd.api.api_route import AnyRoute, ApiRoute, Returned
from webhookd.api.auth import key_tag
from webhookd.api.call import Call
from webhookd.api.caller import OPERATOR
from webhookd.api.wire import Create, NoQuery, unknown_or_wrong
from webhookd.core.errors import FieldError, Forbidden, Invalid
from webhookd.core.fields import Timestamp
from webhookd.core.page_tokens import KEY_PURPOSE, MAX_TASKS, SCOPES, Grant, PageTokens
from webhookd.core.times import to_rfc3339

DEFAULT_SECONDS: Final = 900
LONGEST_SECONDS: Final = 86_400


def _readable(scope: str) -> str:
    if scope not in SCOPES:
        raise ValueError(f"must be one of {', '.join(SCOPES)}")
    return scope


class TokenCreate(Create):
    """What a token may read. It names tasks or a batch."""

    tasks: list[str] | None = Field(None, min_length=1, max_length=MAX_TASKS)
    """The ids of the tasks, up to 100, with their files."""
    batch: str | None = None
    """The id of a batch, with its tasks and their files."""
    scopes: list[Annotated[str, AfterValidator(_readable)]] | None = Field(None, min_length=1)
    """`tasks:read` and `files:read`, or one of them; as far as the key has them if left out."""
    expires_in: int = Field(DEFAULT_SECONDS, ge=1, le=LONGEST_SECONDS)
    """For how many seconds; 900 if left out, a day at most."""


class TokenDocument(TypedDict):
    """A token for a page."""

    token: Annotated[str, Field(pattern="^wht_")]
    """Sent as `Authorization: Bearer`, as `token` in the query of streams and downloads, or as `auth`."""
    expires_at: Timestamp
    """When it expires. It is good no longer than the key that made it."""


async def create_token(call: Call[TokenCreate, NoQuery]) -> Answer:
    """`POST /v1/tokens`. Raises Forbidden for a scope that the key lacks."""
    body, caller, parts = call.body, call.caller, call.parts
    if (body.tasks is None) == (body.batch is None):
        raise unknown_or_wrong("body", "tasks", "must be there, or batch, and not both")
    scopes = body.scopes or [scope for scope in SCOPES if caller.may(scope)]
    lacking = [scope for scope in scopes if not caller.may(scope)]
    if lacking or not scopes:
        raise Forbidden(f"The key lacks {', '.join(lacking or SCOPES)} itself, so it can give no token that.")
    admin_key_hash = parts.options.admin_key_hash
    if caller.key_id == OPERATOR and admin_key_hash is None:
        raise Forbidden(
            "A token dies with its key, so it takes one: make it with a key of a partner or admin."
        )
    until_ms = call.now_ms + body.expires_in * 1000
    grant = Grant(
        key_id=caller.key_id,
        key_tag=key_tag(admin_key_hash) if caller.key_id == OPERATOR and admin_key_hash else "",
        partner_id=await _owner(call),
        scopes=tuple(dict.fromkeys(scopes)),
        task_ids=tuple(dict.fromkeys(body.tasks or ())),
        batch_id=body.batch,
        until_ms=until_ms,
    )
    token = PageTokens(lambda: parts.vault.derived(KEY_PURPOSE)).text(grant)
    document: TokenDocument = {"token": token, "expires_at": to_rfc3339(until_ms)}
    return await call.once(lambda _: json_answer(201, document), hands_on=True)


async def _owner(call: Call[TokenCreate, NoQuery]) -> str:
    """Return whose all of it is. Raises Invalid for what is unknown, or another partner's."""
    body, partner_id = call.body, call.caller.partner_id
    if body.batch is not None:
        batch = await call.read(get_batch, body.batch, partner_id)
        if batch is None:
            raise unknown_or_wrong("body", "batch", "there is no such batch")
        return batch.partner_id
    wanted = body.tasks or []
    owners = {task.id: task.partner_id for task in await call.read(get_tasks, wanted)}
    errors = [
        FieldError(path=f"$.tasks[{index}]", message="there is no such task")
        for index, task_id in enumerate(wanted)
        if task_id not in owners or partner_id not in (None, owners[task_id])
    ]
    if errors:
        raise Invalid("The token is not valid.", errors=errors)
    if len(set(owners.values())) > 1:
        raise unknown_or_wrong("body", "tasks", "must be one partner's")
    return next(iter(owners.values()))


ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="POST",
        path="/v1/tokens",
        handler=create_token,
        id="createToken",
        tag="Tokens",
        summary="Make a token for a page",
        access="any key",
        query=NoQuery,
        body=TokenCreate,
        answers={201: Returned(TokenDocument, "Made. It is shown this once.")},
    ),
)
