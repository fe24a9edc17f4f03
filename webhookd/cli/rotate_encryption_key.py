"""`webhookd rotate-encryption-key`: every stored secret sealed again with the newest key of the ring.

A row at a time by compare-and-set (`adapters.store.access.resealing`), so it may be broken off, repeated, and
run while the service does. The ring is a setting, or, on a single machine, the file that `up` keeps.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from webhookd.adapters.keys_file import KeysFile
from webhookd.adapters.store.access.resealing import KeyNeeds, Resealed, Resealing, Unreadable
from webhookd.adapters.store.clock import StoreClock
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.upkeep.sessions import live_sessions
from webhookd.adapters.vault import Vault, generate_key
from webhookd.cli.data_dir import keys_claimed, write_keys
from webhookd.cli.options import Json
from webhookd.cli.screen import error_console, print_json, tell, when
from webhookd.core.errors import SettingsError
from webhookd.core.times import to_rfc3339
from webhookd.settings import Settings, load_settings
from webhookd.wiring.process import keys_file, load_vault, require_database, require_revision

app = typer.Typer(add_completion=False)

_PASSES: Final = 3
"""What is sealed with an older key while a pass runs is left to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """`left` older seals were made meanwhile; `uses` is what still needs another key than the newest."""

    resealed: int
    unreadable: tuple[Unreadable, ...]
    left: int
    uses: tuple[KeyNeeds, ...]


@app.command()
def rotate_encryption_key(
    *,
    new: Annotated[
        bool,
        typer.Option("--new", help="First make a key and put it in front of those kept in the data dir."),
    ] = False,
    remove_old: Annotated[
        bool,
        typer.Option(
            "--remove-old", help="At the end take those that nothing needs any more out of the data dir."
        ),
    ] = False,
    json_output: Json = False,
) -> None:
    """Seal every stored secret again with the newest encryption key, while the service runs or not.

    Safe to break off and to repeat. At the end it says which older keys may be taken away. With
    WEBHOOKD_ENCRYPTION_KEYS set, put a new key in front there and restart every process before.
    """
    if new and remove_old:
        raise typer.BadParameter("give --remove-old in a later run, when nothing seals with the old key")
    settings = load_settings()
    require_database(settings)
    ring = keys_file(settings)
    if ring is None and (new or remove_old):
        raise SettingsError(_BY_SETTING[new])
    with contextlib.nullcontext() if ring is None else keys_claimed(ring.parent):
        try:
            asyncio.run(_rotate(settings, ring, new=new, remove_old=remove_old, json_output=json_output))
        except KeyboardInterrupt:
            tell("\nBroken off: what is sealed again stays so. Run it again, without --new, to finish.")
            raise


_BY_SETTING: Final = {
    True: "WEBHOOKD_ENCRYPTION_KEYS is set, and a setting is not changed from here: put a key made with "
    "`openssl rand -base64 32` and a comma in front of it, restart every process, then run this without "
    "--new.",
    False: "WEBHOOKD_ENCRYPTION_KEYS is set, and a setting is not changed from here: run this without "
    "--remove-old, and take the keys it names off the setting.",
}


async def _rotate(
    settings: Settings, ring: Path | None, *, new: bool, remove_old: bool, json_output: bool
) -> None:
    vault = load_vault(settings)
    db = await Database.open(settings.resolved_database_url)
    try:
        await require_revision(db)
        clock = StoreClock(db)
        await clock.sync()
        sessions = await db.read(live_sessions, clock.now_ms())
        newest_id = None if new else vault.newest_id
        _require_knowing(sessions, newest_id, ring)
        if new and ring is not None:
            write_keys(ring, (generate_key(), *KeysFile(ring).read()))
            vault = load_vault(settings)
        keep_ms = int(settings.idempotency_hours * 3_600_000)
        resealing = Resealing(db, vault, now_ms=clock.now_ms(), keep_ms=keep_ms)
        outcome = await _reseal(resealing)
    finally:
        await db.close()
    removed = _remove_unused(ring, vault, outcome) if remove_old and ring is not None else ()
    if json_output:
        print_json(_document(vault, outcome, added=new, removed=removed))
    else:
        _tell_all(vault, outcome, added=new, removed=removed, ring=ring)
    if outcome.unreadable or outcome.left:
        raise typer.Exit(1)


def _require_knowing(sessions: Sequence[dict[str, Any]], newest_id: str | None, ring: Path | None) -> None:
    """Refuse while a process runs that could not open what is sealed with the newest key.

    `newest_id` None is a key that is only to be made. Those that look into the same file will know it.
    """
    ignorant = [
        f"{one['kind']} process {one['pid']} on {one['host']}"
        for one in sessions
        if newest_id not in one["detail"].get("keys", ())
        and (ring is None or one["detail"].get("keys_file") != str(ring))
    ]
    if ignorant:
        raise SettingsError(
            f"Without the newest encryption key: {', '.join(ignorant)}; they could not open what is sealed "
            "with it. Restart them with the same keys as here, newest first, then run this again (one that "
            "was killed is forgotten within WEBHOOKD_LEASE_SECONDS)."
        )


async def _reseal(resealing: Resealing) -> _Outcome:
    resealed = 0
    unreadable: list[Unreadable] = []
    left = await resealing.left()
    with _progress(left) as show:
        for _ in range(_PASSES):
            unreadable = []
            async for step in resealing.run():
                resealed += step.resealed
                unreadable += step.unreadable
                show(step)
            left = await resealing.left() - len(unreadable)
            if left <= 0:
                break
    return _Outcome(
        resealed=resealed,
        unreadable=tuple(unreadable),
        left=max(0, left),
        uses=tuple(await resealing.uses()),
    )


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Any]:
    console = error_console()
    columns = (TextColumn("sealing again"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=total)

        def show(step: Resealed) -> None:
            progress.advance(bar, step.resealed + len(step.unreadable))

        yield show


def _unused(vault: Vault, outcome: _Outcome) -> list[str]:
    needed = {vault.newest_id, *(use.key_id for use in outcome.uses)}
    return [key_id for key_id in vault.key_ids if key_id not in needed]


def _remove_unused(ring: Path, vault: Vault, outcome: _Outcome) -> tuple[str, ...]:
    unused = _unused(vault, outcome)
    if unused:
        write_keys(ring, [key for key in KeysFile(ring).read() if Vault([key]).newest_id not in unused])
    return tuple(unused)


def _document(vault: Vault, outcome: _Outcome, *, added: bool, removed: tuple[str, ...]) -> dict[str, Any]:
    uses = {use.key_id: use for use in outcome.uses}
    ring = vault.key_ids
    keys = []
    for key_id in (*ring, *(one for one in uses if one not in ring)):
        use = uses.get(key_id, KeyNeeds(key_id=key_id))
        keys.append(
            {
                "id": key_id,
                "place": ring.index(key_id) + 1 if key_id in ring else None,
                "needed": key_id == vault.newest_id or key_id in uses,
                **({} if key_id == vault.newest_id else _counts(use)),
            }
        )
    return {
        "newest": vault.newest_id,
        "added": added,
        "resealed": outcome.resealed,
        "unreadable": [asdict(one) for one in outcome.unreadable],
        "left": outcome.left,
        "keys": keys,
        "removed": list(removed),
    }


def _counts(use: KeyNeeds) -> dict[str, Any]:
    until = use.answers_until_ms
    return {
        "secrets": use.secrets,
        "headers": use.headers,
        "answers": use.answers,
        "answers_until": None if until is None else to_rfc3339(until),
    }


def _tell_all(
    vault: Vault, outcome: _Outcome, *, added: bool, removed: tuple[str, ...], ring: Path | None
) -> None:
    if added:
        print(f"A new key (id {vault.newest_id}) is in front of the others in {ring}: back that file up.")
    print(f"Rows sealed again: {outcome.resealed:,}, with the newest key (id {vault.newest_id}).")
    for use in outcome.uses:
        place = f"key {vault.key_ids.index(use.key_id) + 1}" if use.key_id in vault.key_ids else "not here"
        print(f"Still needed: id {use.key_id} ({place}), by {_needs(use)}.")
    unused = [f"key {vault.key_ids.index(one) + 1} (id {one})" for one in _unused(vault, outcome)]
    if removed:
        print(f"Taken out of {ring}: {', '.join(unused)}.")
    elif unused:
        where = "WEBHOOKD_ENCRYPTION_KEYS" if ring is None else "the data dir, with --remove-old"
        print(f"Nothing needs these any more, so they may be taken off {where}: {', '.join(unused)}.")
    if unused:
        print("Backups made until now do need them: keep them with those.")
    for row in outcome.unreadable:
        tell(f"Does not open: {_NAMES[row.kind]} {row.row}: {row.reason}")
    if outcome.left:
        tell(f"Rows that were sealed with an older key meanwhile: {outcome.left:,}. Run this again.")


_NAMES: Final = {
    "secret": "signing secret",
    "headers": "the headers of",
    "answer": "the answer kept for Idempotency-Key",
}


def _needs(use: KeyNeeds) -> str:
    until = "" if use.answers_until_ms is None else f" (until {when(to_rfc3339(use.answers_until_ms))})"
    parts = (
        (use.secrets, "signing secrets"),
        (use.headers, "endpoints' headers"),
        (use.answers, f"kept answers{until}"),
    )
    return ", ".join(f"{count:,} {what}" for count, what in parts if count)
