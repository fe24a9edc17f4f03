"""`webhookd batches`, as the operator of an installation: no service runs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.command_line import Ended, run_here


def test_a_batch_is_submitted_from_lines_added_to_listed_and_cancelled(
    tmp_path: Path, env: Mapping[str, str]
) -> None:
    def run(*arguments: str) -> Ended:
        return run_here("batches", *arguments, cwd=tmp_path, env=env)

    def shown(*arguments: str) -> Any:
        ended = run(*arguments, "--json")
        assert ended.exit_code == 0, ended
        return json.loads(ended.stdout)

    (tmp_path / "many.jsonl").write_text("".join(f'{{"input": {{"n": {n}}}}}\n' for n in range(1_001)))
    (tmp_path / "few.jsonl").write_text('{"input": {"n": 1}}\n\n{"type": "nope"}\n')
    batch = shown(
        "submit", "many.jsonl", "--type", "demo.echo", "--partner", "acme", "--metadata", "run=7", "--open"
    )
    assert (batch["state"], batch["counts"]["total"], batch["metadata"]) == ("open", 1_001, {"run": "7"})
    refused = run("add", batch["id"], "few.jsonl")
    assert refused.exit_code == 1
    assert "$.tasks[1].type" in refused.stderr
    added = run("add", batch["id"], "few.jsonl", "--partial")
    assert added.exit_code == 0, added
    assert "task 2 was refused: $.tasks[1].type" in added.stderr
    assert "1002 total" in added.stdout
    assert batch["id"] in run("list", "--state", "open").stdout
    assert len(shown("tasks", batch["id"], "--limit", "2000")["data"]) == 1_002
    assert shown("close", batch["id"])["state"] == "running"
    stopped = shown("cancel", batch["id"])
    assert (stopped["state"], stopped["counts"]["cancelled"]) == ("cancelled", 1_002)
    watched = run("watch", batch["id"])
    assert watched.exit_code == 1, "not all of it succeeded"
    assert "cancelled 1002/1002" in watched.stderr
    assert run("results", batch["id"], "--output", "out.jsonl").exit_code == 0
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["cancelled"] * 1_002
    assert run("results", batch["id"]).stdout.splitlines() == lines
    assert run("submit", "nowhere.jsonl", "--type", "demo.echo").exit_code == 2
    (tmp_path / "bad.jsonl").write_text("no json")
    bad = run("submit", "bad.jsonl")
    assert bad.exit_code == 2
    assert "line 1 is not JSON" in bad.stderr
