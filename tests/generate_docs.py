"""`python -m tests.generate_docs`: writes the pages of the reference that are drawn from the program.

    settings.md  from the descriptions in `webhookd.settings.Settings`
    states.md    from the tables of moves in `webhookd.core.model`
    cli.md       from the commands themselves

A setting without a section, or a state or move without a meaning, is a KeyError here, and so a failing test
(`tests/project/test_docs.py`): nothing of the kind goes undocumented.
"""

import importlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import typer.main

from webhookd.cli.families import FAMILIES
from webhookd.core.model import (
    BATCHES,
    DELIVERIES,
    ENDPOINTS,
    REPLAYS,
    TASK_DONE,
    TASKS,
    BatchMove,
    BatchState,
    DeliveryMove,
    DeliveryState,
    EndpointMove,
    EndpointState,
    Machine,
    ReplayMove,
    ReplayState,
    TaskMove,
    TaskState,
)
from webhookd.settings import Settings, environment_name

REFERENCE: Final = Path(__file__).parent.parent / "docs" / "reference"
_WRITTEN_BY: Final = "<!-- Written by `make docs`: change the program, not this page. -->"

SECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "Where things are": (
        "data_dir",
        "database_url",
        "broker_url",
        "files_url",
        "host",
        "port",
        "public_url",
        "trusted_proxies",
        "portal_frame_ancestors",
        "cors_origins",
    ),
    "Keys": ("admin_key", "encryption_keys"),
    "Tasks": ("tasks", "worker_threads"),
    "Where webhooks may go": ("egress_allow", "egress_proxy"),
    "Deliveries": (
        "retry_base_seconds",
        "retry_factor",
        "retry_cap_seconds",
        "retry_max_attempts",
        "delivery_timeout_seconds",
        "delivery_connections",
        "delivery_per_host",
        "delivery_host_rate",
        "failing_after_seconds",
        "disable_after_seconds",
    ),
    "Limits": (
        "partner_rate",
        "partner_burst",
        "partner_write_rate",
        "partner_write_burst",
        "partner_max_queued",
        "partner_max_idempotency_keys",
        "max_queued",
        "max_input_bytes",
        "max_result_bytes",
        "files_max_bytes",
        "partner_max_file_bytes",
        "max_wait_seconds",
        "min_free_disk_bytes",
    ),
    "Leases and stopping": ("lease_seconds", "sweep_seconds", "shutdown_seconds", "drain_seconds"),
    "How long things are kept": (
        "retention_tasks_days",
        "retention_attempts_days",
        "retention_dead_letters_days",
        "retention_audit_days",
        "retention_replays_days",
        "retention_files_days",
        "idempotency_hours",
    ),
    "Logs and traces": ("log_format", "log_level", "otel_endpoint"),
}

TASK_STATES: Final[Mapping[TaskState, str]] = {
    TaskState.SCHEDULED: "waits for its time: `run_at`, or the pause before its next try",
    TaskState.QUEUED: "waits for a worker",
    TaskState.RUNNING: "a worker has claimed it",
    TaskState.SUCCEEDED: "its function returned; `result` is there",
    TaskState.FAILED: "its function gave up, or its tries are used up; it is a dead letter of kind `task`",
    TaskState.CANCELLED: "somebody cancelled it before it ended by itself",
    TaskState.EXPIRED: "`expires_at` passed before it started",
}

TASK_MOVES: Final[Mapping[TaskMove, str]] = {
    TaskMove.FALL_DUE: "its time has come",
    TaskMove.CLAIM: "a worker takes it; this counts as an attempt",
    TaskMove.SUCCEED: "the function returned",
    TaskMove.FAIL: "`Fail` was raised, the result cannot be kept, or no attempt is left",
    TaskMove.RETRY: "the function raised, passed its time limit or crashed its own child, with attempts left",
    TaskMove.HAND_BACK: "the worker stops, or had no slot for it after all; the attempt is not used up",
    TaskMove.LOSE: "the worker's lease ran out, or it has lost sight of the task",
    TaskMove.CANCEL: "cancelled while it waited",
    TaskMove.STOP: "cancelled while it ran, and the function ended because of that",
    TaskMove.EXPIRE: "it did not start in time",
    TaskMove.REPLAY: "somebody replays the dead letter: fresh attempts, the same id",
}

DELIVERY_STATES: Final[Mapping[DeliveryState, str]] = {
    DeliveryState.PENDING: "waits for its next attempt, or is under way",
    DeliveryState.PARKED: "its endpoint is disabled; it is kept until that changes",
    DeliveryState.DELIVERED: "the receiver answered 2xx",
    DeliveryState.DEAD: "no attempt is left, or nobody to send it to; a dead letter of kind `delivery`",
    DeliveryState.CANCELLED: "somebody cancelled it",
}

DELIVERY_MOVES: Final[Mapping[DeliveryMove, str]] = {
    DeliveryMove.DELIVER: "the receiver answered 2xx",
    DeliveryMove.RETRY: "an attempt failed and more are left",
    DeliveryMove.GIVE_UP: "attempts used up, 410, or the endpoint was deleted",
    DeliveryMove.PARK: "the endpoint was disabled",
    DeliveryMove.RELEASE: "the endpoint was enabled again",
    DeliveryMove.CANCEL: "`POST /v1/deliveries/{id}/cancel`",
    DeliveryMove.HASTEN: "somebody sends now what waits: due at once, the budget as it is",
    DeliveryMove.REPLAY: "sent again: the same id and bytes, a fresh budget of attempts",
}


ENDPOINT_STATES: Final[Mapping[EndpointState, str]] = {
    EndpointState.ENABLED: "messages go out to it",
    EndpointState.DISABLED: "what is for it is parked; `disabled_reason` says why",
}

ENDPOINT_MOVES: Final[Mapping[EndpointMove, str]] = {
    EndpointMove.DISABLE: "somebody disabled it, it answered 410, or it has failed for days on end",
    EndpointMove.ENABLE: "somebody enabled it: what was parked is sent",
    EndpointMove.DELETE: "`DELETE /v1/endpoints/{id}`: what waits for it ends dead",
}

REPLAY_STATES: Final[Mapping[ReplayState, str]] = {
    ReplayState.RUNNING: "goes through what its filter names, at its rate",
    ReplayState.PAUSED: "rests until somebody resumes it",
    ReplayState.DONE: "has gone through all of them",
    ReplayState.CANCELLED: "somebody stopped it; what it had done stays so",
}

REPLAY_MOVES: Final[Mapping[ReplayMove, str]] = {
    ReplayMove.PAUSE: "`POST /v1/replays/{id}/pause`",
    ReplayMove.RESUME: "`POST /v1/replays/{id}/resume`",
    ReplayMove.FINISH: "nothing is left that its filter names",
    ReplayMove.CANCEL: "`POST /v1/replays/{id}/cancel`",
}

BATCH_STATES: Final[Mapping[BatchState, str]] = {
    BatchState.OPEN: "more tasks may be added",
    BatchState.RUNNING: "no more may, and some have not ended",
    BatchState.COMPLETED: "all have ended; `batch.completed` was made in the transaction of the last end",
    BatchState.CANCELLED: "the same, after somebody cancelled it",
}

BATCH_MOVES: Final[Mapping[BatchMove, str]] = {
    BatchMove.CLOSE: "`POST /v1/batches/{id}/close`, or a cancellation",
    BatchMove.COMPLETE: "its last task ends, or it is closed and all have ended",
    BatchMove.CANCEL: "the same, after `POST /v1/batches/{id}/cancel`",
}

_ABOUT_SETTINGS: Final = """\
Settings are environment variables, or lines of a file `.env` in the directory `webhookd` is started in; the
environment wins over the file, and an option of the command line over both. Every process reads them once,
when it starts. Seconds, days and hours may be fractions. A wrong value stops the start with a line that names
the setting; a `WEBHOOKD_…` variable nobody knows is warned about.

All processes of an installation need the same values of the sections *Keys* and *Tasks*, and the same
`WEBHOOKD_DATABASE_URL` and `WEBHOOKD_BROKER_URL`."""

_ABOUT_STATES: Final = """\
Tasks, deliveries, endpoints and replays move only as these tables say; a move that is not there is refused
with `409`, or cannot happen at all."""

_ABOUT_COMMANDS: Final = """\
`webhookd COMMAND --help` says the same in the terminal. Exit codes: 0 fine, 1 failed, 2 wrong use, 130
interrupted. What a command answers goes to stdout; errors are one line on stderr, and so are logs.
`webhookd --version` tells the release."""


def pages() -> dict[str, str]:
    """Return the text of each generated page by its file name."""
    return {"settings.md": settings_page(), "states.md": states_page(), "cli.md": cli_page()}


def settings_page() -> str:
    """Return the page of settings. Raises KeyError for a setting that stands in no section."""
    placed = {name for names in SECTIONS.values() for name in names}
    if homeless := sorted(set(Settings.model_fields) - placed):
        raise KeyError(f"settings in no section of tests/generate_docs.py: {', '.join(homeless)}")
    parts = ["# Settings", _WRITTEN_BY, _ABOUT_SETTINGS]
    for title, names in SECTIONS.items():
        rows = (
            (f"`{environment_name(name)}`", _default(name), str(Settings.model_fields[name].description))
            for name in names
        )
        parts += [f"## {title}", _table(("setting", "default", "means"), rows)]
    parts += [
        "## For the commands that call the API",
        _table(
            ("variable", "default", "means"),
            (
                ("`WEBHOOKD_URL`", "`http://127.0.0.1:8080`", "Where the API answers."),
                ("`WEBHOOKD_KEY`", "empty", "The key to call it with, a partner's or an admin's."),
            ),
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _default(name: str) -> str:
    value = Settings.model_fields[name].get_default(call_default_factory=True, validated_data={})
    if value is None or value in ("", ()):
        return "empty"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,.15g}" if value >= 10_000 else f"{value:g}"
    return f"`{value}`"


def states_page() -> str:
    """Return the page of states, with diagrams drawn from the tables of moves."""
    done = sorted(state.value for state in TASK_DONE)
    parts = [
        "# States",
        _WRITTEN_BY,
        _ABOUT_STATES,
        "## Tasks",
        _diagram(
            TASKS,
            starts=(("queued", "submit"), ("scheduled", "submit with run_at")),
            ends=(*done,),
        ),
        _table(("state", "means"), ((f"`{state}`", TASK_STATES[state]) for state in TaskState)),
        _table(("move", "when"), ((f"`{move}`", TASK_MOVES[move]) for move in TaskMove)),
        "`done` is true in " + ", ".join(f"`{state}`" for state in done) + ".",
        "## Deliveries",
        _diagram(
            DELIVERIES,
            starts=(
                ("pending", "announce"),
                ("parked", "announce, endpoint disabled"),
                ("dead", "announce, endpoint deleted"),
            ),
            ends=("delivered", "dead", "cancelled"),
        ),
        _table(("state", "means"), ((f"`{state}`", DELIVERY_STATES[state]) for state in DeliveryState)),
        _table(("move", "when"), ((f"`{move}`", DELIVERY_MOVES[move]) for move in DeliveryMove)),
        "## Endpoints",
        _diagram(ENDPOINTS, starts=(("enabled", "create"),), ends=()),
        _table(("state", "means"), ((f"`{state}`", ENDPOINT_STATES[state]) for state in EndpointState)),
        _table(("move", "when"), ((f"`{move}`", ENDPOINT_MOVES[move]) for move in EndpointMove)),
        "## Replays",
        _diagram(REPLAYS, starts=(("running", "replay"),), ends=("done", "cancelled")),
        _table(("state", "means"), ((f"`{state}`", REPLAY_STATES[state]) for state in ReplayState)),
        _table(("move", "when"), ((f"`{move}`", REPLAY_MOVES[move]) for move in ReplayMove)),
        "## Batches",
        _diagram(
            BATCHES,
            starts=(("running", "submit"), ("open", "submit, open")),
            ends=("completed", "cancelled"),
        ),
        _table(("state", "means"), ((f"`{state}`", BATCH_STATES[state]) for state in BatchState)),
        _table(("move", "when"), ((f"`{move}`", BATCH_MOVES[move]) for move in BatchMove)),
    ]
    return "\n\n".join(parts) + "\n"


def _diagram(machine: Machine[Any, Any], *, starts: Iterable[tuple[str, str]], ends: Iterable[str]) -> str:
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    [*] --> {state}: {move}" for state, move in starts]
    lines += [f"    {before} --> {after}: {move}" for (before, move), after in machine.table.items()]
    lines += [f"    {state} --> [*]" for state in ends]
    return "\n".join([*lines, "```"])


def cli_page() -> str:
    """Return the page of commands, as their own help tells it."""
    parts = [
        "# Command line",
        _WRITTEN_BY,
        _ABOUT_COMMANDS,
        _table(
            ("command", "does"),
            ((f"[`webhookd {f.name}`](#webhookd-{f.name})", f.summary) for f in FAMILIES),
        ),
    ]
    for family in FAMILIES:
        module = importlib.import_module(f"webhookd.cli.{family.module}")
        command = typer.main.get_command(module.app)
        parts += _command(f"webhookd {family.name}", command, level=2)
    return "\n\n".join(parts) + "\n"


def _command(name: str, command: Any, *, level: int) -> Iterator[str]:
    yield f"{'#' * level} `{name}`"
    below = getattr(command, "commands", None)
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if "--help" not in param.opts and param not in arguments]
    if below is None:
        words = [name, *(_argument(param) for param in arguments), *(["[OPTIONS]"] if options else [])]
        yield f"```text\n{' '.join(words)}\n```"
    if text := " ".join((command.help or "").replace("\n\n", " \0 ").split()).replace(" \0 ", "\n\n"):
        yield text
    if options:
        yield _table(("option", "default", "means"), map(_option, options))
    for sub_name, sub in (below or {}).items():
        yield from _command(f"{name} {sub_name}", sub, level=level + 1)


def _argument(param: Any) -> str:
    word = (param.metavar or param.name).upper().strip("[]")
    return word if param.required else f"[{word}]"


def _option(param: Any) -> tuple[str, str, str]:
    names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
    if not param.is_flag:
        names += f" {param.metavar}" if param.metavar else ""
    default = param.default
    shown = "" if default in (None, "", False, (), []) or callable(default) else f"`{default}`"
    return names, "required" if param.required else shown, (param.help or "").replace("\n", " ")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *body])


def main() -> None:
    """Write the pages."""
    for name, text in pages().items():
        (REFERENCE / name).write_text(text)
        print(f"docs/reference/{name}")


if __name__ == "__main__":
    main()
