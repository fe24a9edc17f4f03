"""`python -m webhookd.healthcheck`: does the API of this machine answer at the address its settings name?

For a container's HEALTHCHECK: exit code 0, or 1 and one line. Options of the command line (`--port`) are not
seen from here, so a container is told its address by WEBHOOKD_HOST and WEBHOOKD_PORT.
"""

import http.client
import sys

from webhookd.core.errors import SettingsError
from webhookd.settings import Settings, load_settings

_TIMEOUT_SECONDS = 4.0


def main() -> int:
    """Ask once; return the exit code."""
    try:
        wrong = ask(load_settings())
    except SettingsError as error:
        wrong = error.detail
    if wrong:
        print(f"webhookd: {wrong}", file=sys.stderr)
    return 1 if wrong else 0


def ask(settings: Settings) -> str:
    """Return what is wrong with the API; nothing where it answers."""
    connection = http.client.HTTPConnection(settings.local_host, settings.port, timeout=_TIMEOUT_SECONDS)
    place = f"{settings.local_host} port {settings.port}"
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"no answer from {place} ({str(error) or type(error).__name__})"
    finally:
        connection.close()
    return "" if status == 200 else f"{place} answers {status}"


if __name__ == "__main__":
    sys.exit(main())
