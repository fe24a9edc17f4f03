"""Endpoints for the rest of the project: reads, and making deliveries follow an endpoint's state.

The writes of a request are functions over its own connection, in `endpoint_settings` and `endpoint_states`.
"""

from webhookd.adapters.store.database import Database
from webhookd.adapters.store.endpoints.endpoint_settings import PacedEndpoint, get_endpoint, list_endpoints
from webhookd.adapters.store.endpoints.endpoint_states import EndpointStates, settle, stray_endpoints
from webhookd.core.model import EndpointState
from webhookd.core.records import Page


class Endpoints:
    """Registered callback URLs. `states` has the moves a person can make."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.states = EndpointStates()

    async def get(self, endpoint_id: str, partner_id: str | None) -> PacedEndpoint | None:
        """Return an endpoint; None where it is unknown, deleted or another partner's."""
        return await self._db.read(get_endpoint, endpoint_id, partner_id)

    async def page(
        self,
        partner_id: str | None,
        page: Page,
        *,
        state: EndpointState | None = None,
        failing: bool | None = None,
    ) -> tuple[list[PacedEndpoint], str | None]:
        """Return a page of those in a state, or that fail, newest first, and the next cursor."""
        return await self._db.read(list_endpoints, partner_id, page, state, failing)

    async def settle(self, endpoint_id: str, now_ms: int) -> bool:
        """Move all of an endpoint's deliveries to where its state wants them. True: some may be sent now."""
        woken = False
        while True:
            settled = await self._db.write(settle, endpoint_id, now_ms)
            woken |= settled.woken
            if not settled.more:
                return woken

    async def settle_strays(self, now_ms: int) -> bool:
        """Do the same, one step each, where deliveries lag behind their endpoint's state. For the sweep.

        They do where a process died half-way, or where an event was announced while somebody disabled
        the endpoint.
        """
        woken = False
        for endpoint_id in await self._db.read(stray_endpoints):
            settled = await self._db.write(settle, endpoint_id, now_ms)
            woken |= settled.woken
        return woken
