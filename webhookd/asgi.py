"""The API as a process: `python -m webhookd.asgi`, on uvicorn. SIGTERM drains and exits with 0."""

import gc

if __name__ == "__main__":
    gc.set_threshold(0)  # until `settle_collector`: a tenth of a start went on garbage among modules

import webhookd.runtime.lean_redis  # noqa: F401 - before whatever logs, or talks to the broker

# isort: split
import asyncio
import signal
import socket
import sys
from functools import partial
from typing import Final

import uvicorn

from webhookd.adapters.forerunner import wait_to_be_told
from webhookd.adapters.telemetry import configure_logging
from webhookd.api.client_address import parse_proxies
from webhookd.api.connection import HttpConnection
from webhookd.api.crowd import Crowd, most_connections
from webhookd.api.stream_connection import StreamConnection
from webhookd.core.errors import WebhookdError
from webhookd.runtime.loop_policy import allow_many_files, keep_files_private, loop_factory, settle_collector
from webhookd.runtime.uvicorn_server import UvicornServer
from webhookd.settings import Settings
from webhookd.wiring.api import ApiProcess, api_process
from webhookd.wiring.checked import checked_settings
from webhookd.wiring.listening import listen

PING_SECONDS: Final = 20.0
"""Between two pings of a WebSocket, and how long the answer to one may take."""
KEEP_ALIVE_SECONDS: Final = 75
"""How long an idle connection is kept: longer than proxies keep theirs, or they would use one just closed."""
SAME_SECONDS: Final = 0.2
"""Signals that follow at once are one: some supervisors signal the process and then its group."""


async def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve on `listener` until SIGTERM or SIGINT, drain, then finish what is under way."""
    async with api_process(settings) as api:
        server = Server(api, settings)
        settle_collector()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)
        await server.serve(sockets=[listener])


class Server(UvicornServer):
    """The API's server: it drains before it shuts down."""

    def __init__(self, api: ApiProcess, settings: Settings) -> None:
        crowd = Crowd(most=most_connections(), trusted=parse_proxies(settings.trusted_proxies))
        config = uvicorn.Config(
            api.app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, int(settings.shutdown_seconds)),
            http=partial(HttpConnection, crowd=crowd),  # type: ignore[arg-type]  # only ever called
            ws=StreamConnection,
            ws_max_size=131_072,  # a thousand task ids with a version each
            ws_ping_interval=PING_SECONDS,
            ws_ping_timeout=PING_SECONDS,
            ws_per_message_deflate=False,  # some 40 KB a connection, for messages of one or two
        )
        super().__init__(config)
        self.crowd = crowd
        self._watchers = api.watchers
        self._leaving = api.leaving
        self._drain_seconds = settings.drain_seconds
        self._told_at = float("-inf")
        self._ending = asyncio.Event()

    def stop(self) -> None:
        """Serve on for `drain_seconds`, not ready any more; then close the listener and finish what is under
        way. Each further call skips what the one before began to wait for."""
        now = asyncio.get_running_loop().time()
        if now - self._told_at < SAME_SECONDS:
            return
        self._told_at = now
        if self.should_exit:
            self.force_exit = True
        elif self._drain_seconds and not self._leaving.begun:
            self._leaving.begun = True
            asyncio.get_running_loop().call_later(self._drain_seconds, self._end)
        else:
            self._end()

    def _end(self) -> None:
        self._leaving.begun = self.should_exit = True
        self._ending.set()
        self._watchers.drain()

    async def main_loop(self) -> None:
        """Wait for the end. uvicorn's own looks ten times a second, for headers that we do not send."""
        await self.on_tick(0)
        await self._ending.wait()


def main() -> int:
    """Run the API; return the exit code."""
    wait_to_be_told()
    try:
        settings = checked_settings()
        keep_files_private()
        allow_many_files()
        configure_logging(log_format=settings.log_format, level=settings.log_level, process="api")
        with listen(settings) as listener, asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(serve(settings, listener))
    except WebhookdError as error:
        print(f"webhookd api: {error.detail}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
