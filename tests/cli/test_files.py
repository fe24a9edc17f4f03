"""`webhookd files`, as the operator of an installation: no service runs."""

import json
from collections.abc import Mapping
from pathlib import Path

from tests.support.command_line import Ended, run_here


def test_a_file_goes_up_and_comes_down_from_a_shell(tmp_path: Path, env: Mapping[str, str]) -> None:
    (tmp_path / "photo.png").write_bytes(b"picture" * 100_000)

    def run(*arguments: str) -> Ended:
        return run_here("files", *arguments, cwd=tmp_path, env=env)

    up = run("upload", "photo.png", "--partner", "acme", "--json")
    assert up.exit_code == 0, up
    file = json.loads(up.stdout)
    assert (file["name"], file["content_type"], file["size"]) == ("photo.png", "image/png", 700_000)
    assert file["id"] in run("list", "--kind", "input").stdout
    assert json.loads(run("get", file["id"], "--json").stdout)["sha256"] == file["sha256"]

    there = run("download", file["id"])
    assert there.exit_code == 1, "a file that is there is not written over"
    down = run("download", file["id"], "--output", "copy.png")
    assert down.exit_code == 0, down
    assert (tmp_path / "copy.png").read_bytes() == (tmp_path / "photo.png").read_bytes()

    assert run("delete", file["id"]).exit_code == 0
    gone = run("get", file["id"])
    assert gone.exit_code == 1
    assert "There is no such file." in gone.stderr
    assert run("upload", "nowhere.png").exit_code == 2
    wrong = run("list", "--kind", "photo")
    assert wrong.exit_code == 2
    assert "Invalid value for '--kind': 'photo' is not one of 'input', 'result'." in wrong.stderr
