"""This machine: who may read the files, how full the disk is, what processes run and may open."""

import asyncio
import contextlib
import resource
import shlex
import socket
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import httpx

from webhookd.adapters.store.upkeep.diagnostics import something_waits
from webhookd.adapters.store.upkeep.sessions import lease_ends
from webhookd.core.diagnosis import Finding, judge_disk, judge_open_files, ok, problem, warning
from webhookd.settings import Settings
from webhookd.wiring.doctor.installation import Absent, Installation, Session
from webhookd.wiring.process import KEYS_FILE, free_disk, sqlite_path

_ENV_FILE: Final = Path(".env")
_API_SECONDS: Final = 4.0
_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
_KINDS: Final = {"api": "API process", "tasks": "task worker", "deliver": "deliver worker"}
_MANY: Final = {"api": "API processes", "tasks": "task workers", "deliver": "deliver workers"}


async def files(installation: Installation) -> Sequence[Finding]:
    """Look whether other accounts may read keys or data, or change them."""
    return await asyncio.to_thread(_open_files_to_others, installation.settings)


def _open_files_to_others(settings: Settings) -> list[Finding]:
    folder = settings.data_dir.absolute()
    kept = [folder / KEYS_FILE, folder / "dev.json", _ENV_FILE.absolute()]
    if (database := sqlite_path(settings)) is not None:
        kept += [database.absolute(), database.absolute().with_name(database.name + "-wal")]
    bare = [path for path in kept if _open_to_others(path, 0o006)]
    if bare:
        return [
            problem(
                f"Every account of this machine may read {', '.join(map(str, bare))}.",
                " ".join(dict.fromkeys(_closing(path, folder) for path in bare)),
            )
        ]
    if _open_to_others(folder, 0o002):
        return [
            problem(
                f"Every account of this machine may put files into {folder}, and replace those there.",
                f"`chmod 700 {folder}`",
            )
        ]
    loose = [path for path in (folder, *kept) if _is_loose(path)]
    if loose:
        return [
            warning(
                f"The modes of {', '.join(map(str, loose))} give other accounts, or the group, more than "
                "nothing: files are made 0600 and folders 0700.",
                f"`chmod go-rwx {shlex.join(map(str, loose))}`",
            )
        ]
    return [ok("No other account may read the keys or the data.")]


def _is_loose(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & 0o077)
    except OSError:
        return False


def _closing(path: Path, folder: Path) -> str:
    return f"`chmod -R o-rwx {folder}`" if folder in path.parents else f"`chmod o-rwx {path}`"


def _open_to_others(path: Path, bits: int) -> bool:
    """Tell whether accounts that are neither owner nor of the group may do this to it."""
    try:
        return bool(path.stat().st_mode & bits) and all(
            parent.stat().st_mode & 0o001 for parent in path.resolve().parents
        )
    except OSError:
        return False


async def disk(installation: Installation) -> Sequence[Finding]:
    """Look at the free space where the database is, if that is here."""
    path = sqlite_path(installation.settings)
    if path is None:
        return [ok("The database's disk is PostgreSQL's; nothing of this machine's fills.")]
    try:
        free = await asyncio.to_thread(free_disk(installation.settings))
    except FileNotFoundError:
        raise Absent(f"the folder {path.parent}") from None
    return [judge_disk(free or 0, installation.settings.min_free_disk_bytes, where=str(path))]


async def open_files(installation: Installation) -> Sequence[Finding]:
    """Look at the limits of the processes that run here; without any, at that of this one."""
    here: list[Session] = []
    with contextlib.suppress(Exception):  # without a database this process's own limit must do
        here = _of_this_machine(await installation.sessions())
    limits = [(limit, one) for one in here if (limit := _limit_of(one["pid"])) is not None]
    if not limits:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        return [judge_open_files(_finite(hard), whose="A process started like this one")]
    lowest, one = min(limits, key=lambda pair: pair[0])
    return [judge_open_files(lowest, whose=f"The {_KINDS[one['kind']]} {one['pid']}")]


def _limit_of(pid: int) -> int | None:
    """Return how many files a process may open, on Linux."""
    try:
        lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    except OSError:
        return None
    hard = next(line.split()[4] for line in lines if line.startswith("Max open files"))
    return _finite(resource.RLIM_INFINITY if hard == "unlimited" else int(hard))


def _finite(limit: int) -> int:
    return 1 << 30 if limit == resource.RLIM_INFINITY else limit


async def processes(installation: Installation) -> Sequence[Finding]:
    """Look who works, whether somebody is missing, and who only seems to live."""
    db = await installation.database()
    sessions = await installation.sessions()
    kinds = Counter(one["kind"] for one in sessions)
    waits = await db.read(something_waits)
    findings = _missing(kinds, waits=waits)
    findings += await _lifeless(installation, _of_this_machine(sessions))
    counted = ", ".join(f"{name} {kinds[kind]}" for kind, name in _MANY.items())
    return findings or [ok(f"With a running lease: {counted}.")]


def _missing(kinds: Counter[str], *, waits: bool) -> list[Finding]:
    if not kinds:
        what = "Nothing runs: no API process and no worker has a lease"
        mend = "Start `webhookd up`, or `webhookd api` and `webhookd worker`."
        if waits:
            return [problem(f"{what}, while tasks or deliveries wait.", mend)]
        return [warning(f"{what}; nothing waits.", mend)]
    findings = []
    if not kinds["tasks"]:
        findings.append(problem("No task worker lives: tasks are taken in, and none is run.", _WORKER))
    if not kinds["deliver"]:
        findings.append(
            problem(
                "No deliver worker lives: webhooks wait, and none is sent.",
                f"{_WORKER} with --queues deliver.",
            )
        )
    if not kinds["api"]:
        findings.append(
            warning("No API process lives: nobody can submit or ask anything.", "Start `webhookd api`.")
        )
    return findings


_WORKER: Final = "Look at its log, where one should run; start `webhookd worker`"


async def _lifeless(installation: Installation, here: Sequence[Session]) -> list[Finding]:
    """Return the processes of this machine that are gone or stopped, and whose leases nobody renews."""
    suspects = [(one, state) for one in here if (state := _state_of(one["pid"])) in ("", "Z", "T", "t")]
    if not suspects:
        return []
    # Another container may have this machine's name and other process ids: one that renews its lease lives.
    await asyncio.sleep(installation.waits_for_a_lease_seconds)
    db = await installation.database()
    later = await db.read(lease_ends)
    findings = []
    for one, state in suspects:
        if later.get(one["id"], one["lease_until_ms"]) > one["lease_until_ms"]:
            continue
        name = f"The {_KINDS[one['kind']]} {one['pid']}"
        if state in ("T", "t"):
            findings.append(
                problem(
                    f"{name} is stopped (SIGSTOP, a debugger, a paused container): others take over what it "
                    "held.",
                    f"`kill -CONT {one['pid']}` lets it go on; its late results are refused.",
                )
            )
        else:
            findings.append(
                warning(
                    f"{name} has died without giving its lease up.",
                    "What it held is taken over when the lease runs out (WEBHOOKD_LEASE_SECONDS); its log, "
                    "or the kernel's (`dmesg`), says why it died.",
                )
            )
    return findings


def _of_this_machine(sessions: Sequence[Session]) -> list[Session]:
    name = socket.gethostname()
    return [one for one in sessions if one["host"] == name]


def _state_of(pid: int) -> str | None:
    """Return the letter Linux gives a process's state: "" where it is gone, None where nobody tells."""
    if not Path("/proc/self/stat").exists():
        return None
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


async def api(installation: Installation) -> Sequence[Finding]:
    """Ask the API processes of this machine whether they are ready."""
    apis = [one for one in _of_this_machine(await installation.sessions()) if one["kind"] == "api"]
    asked = [one for one in apis if one["detail"].get("port")]
    if not asked:
        return [ok("No API process of this machine can be asked.")]
    async with httpx.AsyncClient(trust_env=False, timeout=_API_SECONDS) as client:
        return await asyncio.gather(*(_ask(client, one) for one in asked))


async def _ask(client: httpx.AsyncClient, session: Session) -> Finding:
    detail = session["detail"]
    host = _LOOPBACK.get(detail.get("host", ""), detail.get("host", "")) or "127.0.0.1"
    url = f"http://[{host}]:{detail['port']}" if ":" in host else f"http://{host}:{detail['port']}"
    try:
        answer = await client.get(f"{url}/readyz")
    except httpx.HTTPError as error:
        reason = (
            "it did not answer in time" if isinstance(error, httpx.TimeoutException) else "nothing answers"
        )
        return problem(
            f"The API at {url} (process {session['pid']}) cannot be asked: {reason}.",
            "Look at its log; one that hangs is started again by `kill`, under a supervisor.",
        )
    try:
        document = answer.json()
        if answer.is_success and document["status"] == "ok":
            return ok(f"The API at {url} is ready.")
        why = str(document["reason" if answer.is_success else "detail"])
    except (ValueError, KeyError, TypeError):
        why = f"it answers {answer.status_code}, not as webhookd does."
    else:
        if answer.is_success:
            return warning(
                f"The API at {url} takes tasks, but is degraded: {why}.",
                "The findings about that part say how to mend it.",
            )
    return problem(
        f"The API at {url} is not ready: {why}", "The findings about that part say how to mend it."
    )
