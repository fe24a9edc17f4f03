"""A server that speaks S3 (moto's), as a process of its own. The fixture is in `conftest`."""

import subprocess
import sys
from typing import Self

from tests.support.plain_http import ask
from webhookd.adapters.deathwatch import watched

BUCKET = "webhookd-tests"
_SERVE = """
import logging, sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

logging.disable(logging.CRITICAL)
application = DomainDispatcherApplication(create_backend_app)
server = make_server("127.0.0.1", int(sys.argv[1]), application, threaded=True)
print(server.port, flush=True)
server.serve_forever()
"""


class S3Server:
    """Has one bucket, BUCKET. `stop` and `start` make it go away and come back, empty, at the same place."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables of AWS's own tools."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_REGION": "us-east-1",
        }

    def start(self) -> None:
        argv = watched([sys.executable, "-c", _SERVE, str(self._port)])
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())
        assert ask("PUT", f"{self.url}/{BUCKET}").status_code == 200

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
