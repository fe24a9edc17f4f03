"""The floor in Python: answer 202 and pass the body on. Nothing is signed, kept or tried again.

Run as `python -m tests.benchmarks.bare PORT CALLBACK_URL`.
"""

import asyncio
import sys
from functools import partial

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webhookd.runtime.loop_policy import loop_factory


async def serve(port: int, callback_url: str) -> None:
    """Serve until killed."""
    under_way: set[asyncio.Task[httpx.Response]] = set()
    async with httpx.AsyncClient(
        trust_env=False, timeout=300, limits=httpx.Limits(max_connections=64)
    ) as client:

        async def accept(request: Request) -> Response:
            passing = asyncio.create_task(client.post(callback_url, content=await request.body()))
            under_way.add(passing)
            passing.add_done_callback(under_way.discard)
            return Response(status_code=202)

        app = Starlette(routes=[Route("/v1/tasks", accept, methods=["POST"])])
        config = partial(uvicorn.Config, host="127.0.0.1", port=port, log_level="error", access_log=False)
        await uvicorn.Server(config(app)).serve()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(int(sys.argv[1]), sys.argv[2]))
