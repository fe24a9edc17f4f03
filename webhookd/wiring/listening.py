"""The socket that the API listens on, made where a port that is taken can still be said in one line.

Apart from the API, whose modules `webhookd up` itself does not need.
"""

import socket
from typing import Final

from webhookd.core.errors import SettingsError
from webhookd.settings import Settings

UNREAD_SECONDS: Final = 60
"""How long a client may leave unread what was sent: closing alone waits for it without end."""


def listen(settings: Settings) -> socket.socket:
    """Return the listening socket. Raises SettingsError naming WEBHOOKD_PORT where the port is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # `::` is every address of this machine, IPv4 too, whatever net.ipv6.bindv6only says.
    both = settings.host == "::" and socket.has_dualstack_ipv6()
    try:
        listener = socket.create_server(
            (settings.host, settings.port), family=family, backlog=2048, dualstack_ipv6=both
        )
    except (OSError, UnicodeError, OverflowError) as error:
        reason = str(getattr(error, "strerror", None) or error).partition(" (while")[
            0
        ]  # the library's own words repeat the address
        raise SettingsError(
            f"WEBHOOKD_PORT: cannot listen on {settings.host}:{settings.port} ({reason}); "
            "stop what uses it, or choose another with --port or WEBHOOKD_PORT."
        ) from None
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; its connections inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)
    return listener
