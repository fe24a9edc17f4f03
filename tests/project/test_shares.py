"""How `make test` hands tests to its processes."""

from pathlib import Path

import pytest

from tests.support.shares import ROWS, share

ROOT = Path(__file__).parents[2]
FILES = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/**/test_*.py")]


def test_every_row_has_tests() -> None:
    ids = [f"{file}::test_it[{store}]" for file in FILES for store in ("up on SQLite", "sqlite")]
    assert {share(one)[0] for one in ids} == set(range(len(ROWS)))


@pytest.mark.parametrize("folder", ["browser", "proxies", "blackbox", "clients"])
def test_what_shares_a_server_runs_together(folder: str) -> None:
    shares = {share(f"{file}::test_it") for file in FILES if file.startswith(f"tests/{folder}/")}
    with_its_own = {share("tests/browser/test_walks.py::test_it")}
    assert len(shares - with_its_own) == 1


def test_installations_of_the_black_box_run_apart_and_modules_stay_whole() -> None:
    kinds = [share(f"tests/blackbox/test_files.py::test_it[{kind}]") for kind in ("up on SQLite", "api")]
    assert kinds[0] != kinds[1]
    assert share("tests/x/test_y.py::test_a") == share("tests/x/test_y.py::TestB::test_c[[::1]]")
