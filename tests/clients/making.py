"""How a generator is installed and run."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

HERE: Final = Path(__file__).parent
TOOLS: Final = HERE.parents[1] / ".clients"
PATIENCE_SECONDS: Final = 900.0


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
