"""A client is generated, compiled under its language's strictest rules, and used against a running service.

The generators are other people's programs, in the versions named here. They are installed once, beside the
environment of the project, which they share nothing with; where their registry cannot be reached the test is
skipped.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.command_line import environment, started
from tests.conftest import missing
from webhookd.api.app import ROUTES
from webhookd.api.description.audience import for_partners
from webhookd.api.description.openapi import openapi_document

pytestmark = pytest.mark.slow

HERE: Final = Path(__file__).parent
TOOLS: Final = HERE.parents[1] / ".clients"
PYTHON_GENERATOR: Final = "openapi-python-client==0.29.1"
ADMIN_KEY: Final = "wha_for_the_clients_of_this_test_only_0123456789"
PATIENCE_SECONDS: Final = 300.0
# The one module that is not made from the description: the generator's own, which passes *args to __exit__.
MYPY: Final = "[mypy]\nstrict = True\n[mypy-generated.client]\nignore_errors = True\n"


@pytest.fixture(scope="module")
def partner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The settings of a partner's program: where a `webhookd up` answers, and a key."""
    folder = tmp_path_factory.mktemp("service")
    with started(
        "up", "--dev", "--port", "0", cwd=folder, env=environment(WEBHOOKD_ADMIN_KEY=ADMIN_KEY)
    ) as up:
        url = up.wait_for("webhookd is up at").split()[-1]
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        made = httpx.post(f"{url}/v1/partners", json={"name": "generated"}, headers=headers)
        assert made.status_code == 201, made.text
        yield {"WEBHOOKD_URL": url, "WEBHOOKD_KEY": made.json()["key"]}
        up.send(15)
        assert up.wait() == 0


def ran(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a command that must succeed; return what it says."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def installed(folder: Path, what: str, *commands: tuple[str | Path, ...]) -> Path:
    """Run the commands in `folder`, unless they have succeeded there for the same `what` before."""
    mark = folder / "installed"
    if mark.exists() and mark.read_text() == what:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    for command in commands:
        try:
            ran(*command, cwd=folder)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"the generator cannot be installed: {error}")
    mark.write_text(what)
    return folder


def written(path: Path, document: dict[str, Any]) -> Path:
    path.write_text(json.dumps(document))
    return path


DESCRIPTION: Final = openapi_document(ROUTES, base_url="https://hooks.example")


def test_typescript_client_for_partners_compiles_under_strict_and_works(
    partner: dict[str, str], tmp_path: Path
) -> None:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        missing(FileNotFoundError("there is no Node on the PATH: install the system's nodejs and npm"))
    wanted = (HERE / "package.json").read_text()
    folder = TOOLS / "typescript"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "package.json", folder)
    tools = installed(folder, wanted, (npm or "", "install", "--no-audit", "--no-fund", "--no-package-lock"))
    (tmp_path / "node_modules").symlink_to(tools / "node_modules")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    for name in ("program.ts", "tsconfig.json"):
        shutil.copy(HERE / name, tmp_path)
    programs = tools / "node_modules" / ".bin"
    description = written(tmp_path / "api.json", for_partners(DESCRIPTION))
    ran(programs / "openapi-typescript", description, "-o", "api.ts", cwd=tmp_path)
    ran(programs / "tsc", "-p", ".", cwd=tmp_path)
    assert ran(node or "", "out/program.js", cwd=tmp_path, env=partner).strip() == "invalid"


def test_python_client_of_the_whole_satisfies_mypy_strict_and_works(
    partner: dict[str, str], tmp_path: Path
) -> None:
    folder = TOOLS / "python"
    python = folder / "bin" / "python"
    installed(
        folder,
        PYTHON_GENERATOR,
        (sys.executable, "-m", "venv", "."),
        (python, "-m", "pip", "install", "--quiet", PYTHON_GENERATOR),
    )
    description = written(tmp_path / "api.json", DESCRIPTION)
    path = {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}  # it runs ruff
    generate = ("generate", "--path", description, "--meta", "none", "--output-path", "generated")
    said = ran(folder / "bin" / "openapi-python-client", *generate, cwd=tmp_path, env=path)
    warned = [line for line in said.splitlines() if line.startswith("WARNING")]
    # Lines of JSON are no media type that this generator knows; it leaves that one answer out.
    assert warned == ["WARNING parsing GET /v1/batches/{id}/results within batches."], said
    shutil.copy(HERE / "program.py.txt", tmp_path / "program.py")
    (tmp_path / "mypy.ini").write_text(MYPY)
    ran(sys.executable, "-m", "mypy", "--python-executable", python, "program.py", cwd=tmp_path)
    assert ran(python, "program.py", cwd=tmp_path, env=partner).strip() == "invalid"
