"""A client is generated, compiled under its language's strictest rules, and used against a running service.

The generators are other people's programs, in the versions named here. They are installed once, beside the
environment of the project, which they share nothing with; where their registry cannot be reached the test is
skipped.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.clients.making import HERE, TOOLS, installed, ran, written
from tests.conftest import missing
from tests.support.description import description
from webhookd.api.description.audience import for_partners

pytestmark = pytest.mark.slow

PYTHON_GENERATOR: Final = "openapi-python-client==0.29.1"
# The one module that is not made from the description: the generator's own, which passes *args to __exit__.
MYPY: Final = "[mypy]\nstrict = True\n[mypy-generated.client]\nignore_errors = True\n"


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
    told = written(tmp_path / "api.json", for_partners(description()))
    ran(programs / "openapi-typescript", told, "-o", "api.ts", cwd=tmp_path)
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
    told = written(tmp_path / "api.json", description())
    path = {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}  # it runs ruff
    generate = ("generate", "--path", told, "--meta", "none", "--output-path", "generated")
    said = ran(folder / "bin" / "openapi-python-client", *generate, cwd=tmp_path, env=path)
    warned = [line for line in said.splitlines() if line.startswith("WARNING")]
    # Lines of JSON are no media type that this generator knows; it leaves that one answer out.
    assert warned == ["WARNING parsing GET /v1/batches/{id}/results within batches."], said
    shutil.copy(HERE / "program.py.txt", tmp_path / "program.py")
    (tmp_path / "mypy.ini").write_text(MYPY)
    # What mypy knows of the libraries stays beside them; it holds each against its file.
    mypy = (sys.executable, "-m", "mypy", "--cache-dir", folder / "mypy", "--python-executable", python)
    ran(*mypy, "program.py", cwd=tmp_path)
    assert ran(python, "program.py", cwd=tmp_path, env=partner).strip() == "invalid"
