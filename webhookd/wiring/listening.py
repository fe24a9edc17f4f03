"""The socket that the API listens on, made where a port that is taken can still be said in one line.

Apart from the API, whose modules `webhookd up` itself does not need.
"""

import errno
import socket
from typing import Final

from webhookd.core.errors import SettingsError
from webhookd.settings import Settings

UNREAD_SECONDS: Final = 60
"""How long a client may leave unread what was sent: closing alone waits for it without end."""

_OF_THE_PORT: Final = (errno.EADDRINUSE, errno.EACCES)
_PORT: Final = (
    "WEBHOOKD_PORT",
    "stop what uses it, or choose another with --port or WEBHOOKD_PORT",
)
_HOST: Final = (
    "WEBHOOKD_HOST",
    "name an address of this machine with --host or WEBHOOKD_HOST",
)


def listen(settings: Settings) -> socket.socket:
    """Return the listening socket. Raises SettingsError naming the port, or the host where it is to blame."""
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
        name, mend = _PORT if getattr(error, "errno", None) in _OF_THE_PORT else _HOST
        raise SettingsError(
            f"{name}: cannot listen on {settings.host}:{settings.port} ({reason}); {mend}."
        ) from None
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; its connections inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)
    return listener
