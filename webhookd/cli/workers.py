"""`webhookd workers`: the processes of the installation, and what each runs."""

from typing import Any, Final

import typer

from webhookd.cli.client import THE_RULE, open_api, path
from webhookd.cli.options import Json
from webhookd.cli.screen import column, print_listing, when

app = typer.Typer(add_completion=False)

_MOST: Final = 10_000


@app.command(
    help="Show which process runs what, and since when: a line a process, then one a task that it runs. "
    f"{THE_RULE} The key must be an admin's."
)
def workers(*, json_output: Json = False) -> None:
    """List the processes."""
    with open_api() as api:
        document = api.listing(path("workers"), {}, limit=_MOST, cursor=None)
    if not json_output:
        document = {**document, "data": [line for worker in document["data"] for line in _lines(worker)]}
    print_listing(
        document,
        (
            column("host"),
            column("pid", lambda row: str(row["pid"]), right=True),
            column("role"),
            column("queues"),
            column("since", lambda row: when(row["since"])),
            column("runs"),
            column("for", "partner"),
            column("attempt", right=True),
        ),
        json_output=json_output,
        none="Nothing runs: no process has a lease.",
    )


def _lines(worker: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a process: its own, and one for each task."""
    place = {"host": worker["host"], "pid": worker["pid"], "role": worker["role"]}
    busy = ""
    if worker["role"] == "tasks":
        busy = f"{len(worker['running'])} of {worker['slots']}"
    elif worker["role"] == "deliver":
        busy = f"{worker['in_flight']} deliveries"
    own = {
        **place,
        "queues": ", ".join(worker["queues"]),
        "since": worker["started_at"],
        "runs": busy,
        "partner": "",
        "attempt": None,
    }
    return [
        own,
        *(
            {
                **place,
                "queues": "",
                "since": task["started_at"],
                "runs": f"{task['type']} {task['task_id']}",
                "partner": task["partner"]["name"],
                "attempt": task["attempt"],
            }
            for task in worker["running"]
        ),
    ]
