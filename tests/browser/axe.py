"""axe-core, which finds what keeps people out of a page. It is installed by npm, for these tests only."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.browser.chromium import Page

HERE: Final = Path(__file__).parent
FOLDER: Final = HERE.parents[1] / ".clients" / "axe"
SERIOUS: Final = ("serious", "critical")


def source() -> str:
    """Return its script, installed at the first call. Where it cannot be: skips, and fails in CI."""
    wanted = (HERE / "package.json").read_text()
    mark = FOLDER / "installed"
    if not (mark.exists() and mark.read_text() == wanted):
        npm = shutil.which("npm")
        if npm is None:
            _missing("there is no npm on the PATH: install the system's nodejs and npm")
        FOLDER.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "package.json", FOLDER)
        done = subprocess.run(
            (npm or "", "install", "--no-audit", "--no-fund", "--no-package-lock"),
            cwd=FOLDER,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            _missing(f"axe-core cannot be installed: {done.stderr}")
        mark.write_text(wanted)
    return (FOLDER / "node_modules" / "axe-core" / "axe.min.js").read_text()


def _missing(why: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def faults(page: Page, script: str) -> list[str]:
    """Return what axe finds serious in the page that is shown: the rule, and where."""
    page.evaluate(f"{script}; void 0")
    found: list[dict[str, Any]] = page.evaluate(
        "axe.run({resultTypes: ['violations']}).then(told => told.violations.map(one => "
        "({id: one.id, impact: one.impact, nodes: one.nodes.map(node => "
        "node.target.join(' ') + ' | ' + node.failureSummary)})))"
    )
    return [f"{one['id']}: {node}" for one in found if one["impact"] in SERIOUS for node in one["nodes"]]
