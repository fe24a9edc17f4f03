"""Commands that do one thing to one thing of the API and show it: a line each.

Commands with words or options of their own are functions of the resource's module.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import typer

from webhookd.cli.client import Api, open_api, path
from webhookd.cli.options import Json
from webhookd.cli.screen import print_facts, print_json


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceCommands:
    """A kind of thing: its step in the API's paths, its id as an argument, and how people are shown one."""

    app: typer.Typer
    step: str
    its_id: Any
    tell: Callable[[dict[str, Any]], None] = print_facts

    def show(self, document: dict[str, Any], *, json_output: bool) -> None:
        """Show one, as JSON or to people."""
        if json_output:
            print_json(document)
        else:
            self.tell(document)

    def get(self, help_: str, *, name: str = "get") -> None:
        """Add the command that shows one as it is."""
        self._add(name, help_, lambda api, one: api.get(path(self.step, one)))

    def move(self, name: str, help_: str) -> None:
        """Add a command that POSTs to the path of its name below one, and shows what comes back."""
        self._add(name, help_, lambda api, one: api.post(path(self.step, one, name)))

    def remove(self, name: str, help_: str, *, done: str) -> None:
        """Add a command that DELETEs one; `done` says so afterwards."""

        def tell(document: dict[str, Any]) -> None:
            print(f"{done.capitalize()} {document['id']}.")

        def ask(api: Api, one: str) -> dict[str, Any]:
            api.call("DELETE", path(self.step, one))
            return {"id": one, done: True}

        replace(self, tell=tell)._add(name, help_, ask)

    def _add(self, name: str, help_: str, ask: Callable[[Api, str], dict[str, Any]]) -> None:
        def command(one: str, *, json_output: Json = False) -> None:
            with open_api() as api:
                document = ask(api, one)
            self.show(document, json_output=json_output)

        command.__annotations__["one"] = self.its_id
        self.app.command(name, help=help_)(command)
