"""What commands of an installation are tried with, without a service."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.command_line import environment, run_here


@pytest.fixture
def env(tmp_path: Path) -> Mapping[str, str]:
    """The environment of an installation with the partner acme."""
    made = environment(
        WEBHOOKD_DATA_DIR=str(tmp_path / "data"), WEBHOOKD_ENCRYPTION_KEYS="q6ur" * 10 + "q6s="
    )
    (tmp_path / "data").mkdir()
    assert run_here("migrate", cwd=tmp_path, env=made).exit_code == 0
    assert run_here("partners", "create", "acme", cwd=tmp_path, env=made).exit_code == 0
    return made
