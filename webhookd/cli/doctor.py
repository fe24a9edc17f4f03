"""`webhookd doctor`: what is wrong with this installation, and how to mend it. Checks: `wiring.doctor`."""

import asyncio
import os
import sys
from typing import Any, Final

import typer
from rich.table import Table
from rich.text import Text

import webhookd
from webhookd.adapters.telemetry import configure_logging
from webhookd.cli.options import Json
from webhookd.cli.screen import console, print_json, printable
from webhookd.core.diagnosis import Level, problem
from webhookd.core.errors import SettingsError
from webhookd.settings import load_settings
from webhookd.wiring.doctor import Diagnosis, Examined, diagnose

app = typer.Typer(add_completion=False)

_COLOURS: Final = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "bold red"}


@app.command()
def doctor(*, json_output: Json = False) -> None:
    """Find what is wrong with this installation, and say how to mend it: exit 1 where there is a problem.

    Looks with the settings of where it is run, as a process would start with them. It changes no data, and
    takes some ten seconds at most, whatever hangs.
    """
    configure_logging(log_format="text", level="error", process="doctor")
    with asyncio.Runner() as runner:
        diagnosis = runner.run(_diagnose())
        if json_output:
            print_json(_document(diagnosis))
        else:
            _show(diagnosis)
        code = 1 if diagnosis.count(Level.PROBLEM) else 0
        if diagnosis.hung:
            # A thread waits for what never answers, and an orderly end would wait for the thread.
            sys.stdout.flush()
            os._exit(code)
    if code:
        raise typer.Exit(code)


async def _diagnose() -> Diagnosis:
    try:
        settings = load_settings()
    except SettingsError as error:
        finding = problem(error.detail, "Nothing starts like this, and nothing else can be looked at.")
        return Diagnosis(examined=(Examined(check="settings", finding=finding),), skipped=(), hung=False)
    return await diagnose(settings)


def _document(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "version": webhookd.__version__,
        "problems": diagnosis.count(Level.PROBLEM),
        "warnings": diagnosis.count(Level.WARNING),
        "findings": [
            {
                "check": one.check,
                "level": one.finding.level,
                "what": one.finding.what,
                "mend": one.finding.mend or None,
            }
            for one in diagnosis.examined
        ],
        "skipped": [{"check": check, "missing": missing} for check, missing in diagnosis.skipped],
    }


def _show(diagnosis: Diagnosis) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for one in diagnosis.examined:
        level = one.finding.level
        says = Text(printable(one.finding.what))
        if one.finding.mend:
            says.append(f"\n→ {printable(one.finding.mend)}", "cyan")
        table.add_row(Text(level, _COLOURS[level]), one.check, says)
    out = console()
    out.print(table)
    for missing in dict.fromkeys(missing for _, missing in diagnosis.skipped):
        checks = ", ".join(check for check, part in diagnosis.skipped if part == missing)
        out.print(Text(f"\nNot looked at, for want of {missing}: {checks}.", "dim"))
    out.print(Text(f"\n{_sum(diagnosis)}", "bold"))


def _sum(diagnosis: Diagnosis) -> str:
    counts = [
        f"{count} {level}{'' if count == 1 else 's'}"
        for level in (Level.PROBLEM, Level.WARNING)
        if (count := diagnosis.count(level))
    ]
    return f"{' and '.join(counts)}." if counts else "Nothing is wrong."
