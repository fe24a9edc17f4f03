"""Endpoints for the rest of the project: reads, and making deliveries follow an endpoint's state.

The writes of a request are functions over its own connection, in `endpoint_settings` and `endpoint_states`.
"""

from webhookd.adapters.store.database import Database
from webhookd.adapters.store.endpoints.endpoint_settings import get_endpoint
from webhookd.adapters.store.endpoints.endpoint_states import EndpointStates, settle, stray_endpoints
from webhookd.adapters.store.noun import Noun, reads


class EndpointStore(Noun):
    """Registered callback URLs. `states` has the moves a person can make."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self.states = EndpointStates()

    get = reads(get_endpoint)

    async def settle(self, endpoint_id: str, now_ms: int) -> bool:
        """Move all of an endpoint's deliveries to where its state wants them. True: some may be sent now."""
        woken = False
        while True:
            settled = await self.db.write(settle, endpoint_id, now_ms)
            woken |= settled.woken
            if not settled.more:
                return woken

    async def settle_strays(self, now_ms: int) -> bool:
        """Do the same, one step each, where deliveries lag behind their endpoint's state. For the sweep.

        They do where a process died half-way, or where an event was announced while somebody disabled
        the endpoint.
        """
        woken = False
        for endpoint_id in await self.db.read(stray_endpoints):
            settled = await self.db.write(settle, endpoint_id, now_ms)
            woken |= settled.woken
        return woken
