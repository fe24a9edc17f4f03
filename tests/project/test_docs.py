"""Documentation and program say the same: nothing is undocumented or stale, and no link leads nowhere."""

import ast
import importlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import typer.main

from tests.generate_docs import REFERENCE, SECTIONS, pages
from webhookd.api import endpoint_wire, problems  # noqa: F401 - problems has errors of its own
from webhookd.api.app import ROUTES
from webhookd.cli.families import FAMILIES
from webhookd.core.errors import ClientError, ServiceError, WebhookdError
from webhookd.core.model import OPERATIONAL_EVENTS, SUBSCRIBABLE_EVENTS, TEST_EVENT
from webhookd.core.reply import ErrorCode
from webhookd.core.timeline_entry import KINDS
from webhookd.settings import Settings
from webhookd.taskset import load_task_sets

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
# Settings may stand in front of a command.
_COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?webhookd (.*)")
_MAKE = re.compile(r"make ([a-z]+)")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def _page(name: str) -> str:
    return (REFERENCE / name).read_text()


def _blocks(page: Path, *languages: str) -> Iterator[str]:
    for _, language, text in _FENCE.findall(page.read_text()):
        if language in languages:
            yield text


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    prose = _FENCE.sub("", page.read_text())
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _subclasses(root: type[WebhookdError]) -> set[type[WebhookdError]]:
    return {root}.union(*(_subclasses(child) for child in root.__subclasses__()))


@pytest.mark.parametrize("name", ["settings.md", "states.md", "cli.md"])
def test_generated_page_is_what_the_program_says_now(name: str) -> None:
    assert _page(name) == pages()[name], "run `make docs`"


def test_every_setting_stands_in_exactly_one_section() -> None:
    placed = [name for names in SECTIONS.values() for name in names]
    assert sorted(placed) == sorted(Settings.model_fields)


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_every_route_is_in_the_api_reference() -> None:
    reference = _page("api.md")
    missing = [f"{row.method} {row.path}" for row in ROUTES if f"`{row.method} {row.path}`" not in reference]
    assert missing == []


def test_the_api_reference_has_no_route_that_is_not_there() -> None:
    known = {f"{row.method} {row.path}" for row in ROUTES}
    told = set(re.findall(r"^\| `((?:GET|POST|PATCH|DELETE) /[^`]+)` \|", _page("api.md"), re.MULTILINE))
    assert told - known == set()


def test_every_endpoint_setting_is_in_the_api_reference() -> None:
    reference = _page("api.md")
    names = (*endpoint_wire.EndpointSettings.model_fields, *endpoint_wire.EndpointRetryChange.model_fields)
    assert [name for name in names if f"`{name}`" not in reference] == []


def test_every_error_that_reaches_http_is_documented_with_its_status() -> None:
    reference = _page("errors.md")
    known = {
        f"| `{error.code}` | {error.status} |"
        for error in _subclasses(ClientError) | _subclasses(ServiceError)
        if error.__module__.startswith(("webhookd.core", "webhookd.api", "webhookd.adapters"))
    }
    assert {row for row in known if row not in reference} == set()


def test_every_error_of_an_attempt_is_documented() -> None:
    reference = _page("webhook.md")
    told_to_partners = [code for code in get_args(ErrorCode) if code != "proxy"]
    assert [code for code in told_to_partners if f"| `{code}` |" not in reference] == []


def test_every_event_is_documented() -> None:
    events = {*SUBSCRIBABLE_EVENTS, *OPERATIONAL_EVENTS, TEST_EVENT} - {"task.*"}
    assert {event for event in events if f"| `{event}` |" not in _page("events.md")} == set()


def test_every_kind_of_timeline_entry_is_documented() -> None:
    assert [kind for kind in KINDS if f"`{kind}`" not in _page("api.md")] == []


def test_every_sample_type_is_documented_with_its_queue() -> None:
    reference = _page("task-functions.md")
    samples = load_task_sets("webhookd.samples:tasks")
    rows = [f"| `{sample.type}` | `{sample.queue}` |" for sample in samples]
    assert [row for row in rows if row not in reference] == []


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
@pytest.mark.parametrize(
    "page", [page for page in PAGES if "[Service]" in page.read_text()], ids=lambda page: page.name
)
def test_units_of_systemd_are_sound(page: Path, tmp_path: Path) -> None:
    for text in _blocks(page, "ini"):
        unit = tmp_path / "webhookd.service"
        unit.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", text))
        verified = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", "--generators=no", str(unit)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (verified.returncode, unit.name in verified.stderr) == (0, False), verified.stderr
        assert int(re.findall(r"TimeoutStopSec=(\d+)", text)[0]) == (
            int(re.findall(r"WEBHOOKD_DRAIN_SECONDS=(\d+)", text)[0]) + Settings().shutdown_seconds + 10
        )


def test_every_page_is_in_the_index() -> None:
    index = {
        (DOCS / link.partition("#")[0]).resolve() for link in _LINK.findall((DOCS / "README.md").read_text())
    }
    assert [
        page for page in DOCS.rglob("*.md") if page != DOCS / "README.md" and page.resolve() not in index
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.findall(_FENCE.sub("", page.read_text())):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.is_file() or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_snippets_are_python(page: Path) -> None:
    for snippet in _blocks(page, "python"):
        ast.parse(snippet)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_snippets_exist_with_their_options(page: Path) -> None:
    for snippet in _blocks(page, "sh"):
        for line in snippet.splitlines():
            if make := _MAKE.match(line):
                assert f"\n{make[1]}:" in (ROOT / "Makefile").read_text(), line
            if command := _COMMAND.match(line):
                words = shlex.split(command[1], comments=True)
                _check_command([word for word in words if word != "&"], line)


def _check_command(words: list[str], line: str) -> None:
    families = {family.name: family for family in FAMILIES}
    assert words[0] in families, line
    app = importlib.import_module(f"webhookd.cli.{families[words[0]].module}").app
    typer.main.get_command(app).make_context(words[0], words[1:]).close()  # raises for an unknown option


def test_the_readme_and_make_run_the_same_tests() -> None:
    readme, make = [
        re.search(r"/python -m (pytest .*not faults.*\")", (ROOT / name).read_text())
        for name in ("README.md", "Makefile")
    ]
    assert readme
    assert make
    assert readme[1] == make[1]


def test_every_command_is_explained() -> None:
    reference = _page("cli.md")
    assert [family.name for family in FAMILIES if f"## `webhookd {family.name}`" not in reference] == []
