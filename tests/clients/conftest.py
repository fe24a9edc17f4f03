"""A running service, for clients that were generated."""

from collections.abc import Iterator

import pytest

from tests.support.command_line import environment, serving, url_of
from tests.support.plain_http import ask

ADMIN_KEY = "wha_for_the_clients_of_this_test_only_0123456789"


@pytest.fixture(scope="module")
def partner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The settings of a partner's program: where a `webhookd up` answers, and a key."""
    folder = tmp_path_factory.mktemp("service")
    with serving("--dev", cwd=folder, env=environment(WEBHOOKD_ADMIN_KEY=ADMIN_KEY)) as up:
        url = url_of(up)
        made = ask("POST", f"{url}/v1/partners", ADMIN_KEY, json={"name": "generated"})
        assert made.status_code == 201, made.text
        yield {"WEBHOOKD_URL": url, "WEBHOOKD_KEY": made.json()["key"]}
