"""What is set, and what it means: misspelt names, the admin key, the encryption keys, tasks, egress."""

import difflib
from collections.abc import Sequence

from webhookd.adapters.store.access.resealing import Resealing
from webhookd.adapters.store.access.sealed import sealed_key_ids
from webhookd.adapters.store.upkeep.diagnostics import good_admin_keys
from webhookd.core.diagnosis import Finding, judge_admin_key, judge_egress, ok, problem, warning
from webhookd.core.egress import LOOPBACK, EgressPolicy, allowing_loopback
from webhookd.core.errors import SettingsError
from webhookd.settings import Settings, environment_name, unknown_names
from webhookd.wiring.checked import check
from webhookd.wiring.doctor.installation import IMPORT_SECONDS, Absent, Installation, Session
from webhookd.wiring.process import keys_file, load_vault


async def names(installation: Installation) -> Sequence[Finding]:
    """Look for settings that nobody knows, and for values that no process takes."""
    try:
        check(installation.settings)
    except SettingsError as error:
        return [problem(error.detail, "Mend it: no process starts like this.")]
    known = [environment_name(field) for field in Settings.model_fields]
    unknown = unknown_names()
    if not unknown:
        return [ok(f"No setting is misspelt; the data dir is {installation.settings.data_dir.absolute()}.")]
    findings = []
    for name in unknown:
        close = difflib.get_close_matches(name, known, n=1)
        mend = f"Did you mean {close[0]}?" if close else "docs/reference/settings.md has them all."
        findings.append(warning(f"{name} is no setting, so it does nothing.", mend))
    return findings


async def admin_key(installation: Installation) -> Sequence[Finding]:
    """Look at the admin key of the settings, and without it at those of the database."""
    if installation.settings.admin_key:
        return [judge_admin_key(installation.settings.admin_key)]
    db = await installation.database()
    good = await db.read(good_admin_keys, installation.now_ms())
    if good:
        return [ok(f"WEBHOOKD_ADMIN_KEY is not set; good admin keys in the database: {good:,}.")]
    return [
        warning(
            "There is no admin key: nobody can administer this over HTTP.",
            "`webhookd up` makes one at its start and shows it once; or set WEBHOOKD_ADMIN_KEY "
            "(`openssl rand -hex 24`) and restart the API processes.",
        )
    ]


async def encryption_keys(installation: Installation) -> Sequence[Finding]:
    """Hold the ring against what was sealed, and against the rings of the processes that run."""
    try:
        vault = load_vault(installation.settings)
    except SettingsError as error:
        if not installation.settings.encryption_keys:
            await installation.database()  # without one nothing is lost yet: `up` makes both
        return [
            problem(
                error.detail,
                "Bring the keys back from where you keep them (encryption.keys of the data dir, or the "
                "setting). Without them no stored secret opens; a new key does not help.",
            )
        ]
    db = await installation.database()
    now_ms, keep_ms = installation.now_ms(), int(installation.settings.idempotency_hours * 3_600_000)
    used = await db.read(sealed_key_ids, answers_since_ms=now_ms - keep_ms)
    if missing := sorted(used.difference(vault.key_ids)):
        return [
            problem(
                f"Stored secrets need keys that are not on the ring: id {', '.join(missing)}. No process "
                "starts like this, and those that run cannot sign for the endpoints concerned.",
                "Put the missing key back behind the newest: it is in the backup of encryption.keys, or in "
                "an earlier WEBHOOKD_ENCRYPTION_KEYS.",
            )
        ]
    if ignorant := _other_rings(installation, await installation.sessions(), vault.newest_id):
        return [
            problem(
                f"These processes run without the newest key (id {vault.newest_id}): {', '.join(ignorant)}.",
                "Restart them with the ring that is set here.",
            )
        ]
    left = await Resealing(db, vault, now_ms=now_ms, keep_ms=keep_ms).left()
    if left:
        return [
            warning(
                f"Rows that an older key than the newest has sealed: {left:,}. A rotation is not finished.",
                "`webhookd rotate-encryption-key` finishes it, while everything runs.",
            )
        ]
    older = len(vault.key_ids) - 1
    what = f"{older} older ones on the ring are needed no more" if older else "it is the only one"
    return [ok(f"The newest key (id {vault.newest_id}) opens everything; {what}.")]


def _other_rings(installation: Installation, sessions: Sequence[Session], newest_id: str) -> list[str]:
    file = keys_file(installation.settings)
    return [
        f"{one['kind']} process {one['pid']} on {one['host']}"
        for one in sessions
        if newest_id not in one["detail"].get("keys", ())
        and (file is None or one["detail"].get("keys_file") != str(file))
    ]


async def task_sets(installation: Installation) -> Sequence[Finding]:
    """Import what WEBHOOKD_TASKS names, as a worker does."""
    try:
        types = await installation.task_types()
    except SettingsError as error:
        return [
            problem(
                error.detail,
                "`python -c 'import MODULE'` in this directory shows the whole error. No worker and no API "
                "starts while it is there.",
            )
        ]
    except TimeoutError:
        return [
            warning(
                f"WEBHOOKD_TASKS: {installation.settings.tasks} takes longer than {IMPORT_SECONDS:.0f} s to "
                "import.",
                "See whether it ends at all; each worker and API process imports it at its start.",
            )
        ]
    return [ok(f"{installation.settings.tasks} has {len(types)} task types.")]


def _judge_running_egress(session: Session, allowed: str, own: str) -> Sequence[Finding]:
    if allowed == allowing_loopback(own):
        return [
            warning(
                f"`webhookd up --dev` runs: any partner's callbacks reach this machine ({LOOPBACK}).",
                "That is for trying things out. For partners of your own start it without --dev.",
            )
        ]
    return [
        warning(
            f"The {session['kind']} process {session['pid']} on {session['host']} runs with another "
            f"WEBHOOKD_EGRESS_ALLOW than is set here: {allowed or 'none'}.",
            "Restart it with what is set here, or set here what it runs with.",
        ),
        *judge_egress(EgressPolicy.parse(allowed)),
    ]


async def egress(installation: Installation) -> Sequence[Finding]:
    """Look at what callbacks may reach beyond the public internet, by what is set and by what runs."""
    own = installation.settings.egress_allow
    try:
        findings = judge_egress(EgressPolicy.parse(own))
    except SettingsError as error:
        return [
            problem(error.detail, "docs/explanation/security.md has the forms. No process starts like this.")
        ]
    try:
        running = {one["detail"].get("egress_allow", own): one for one in await installation.sessions()}
    except Absent:
        running = {}
    if running and own not in running:
        findings = []
    for allowed in sorted(running.keys() - {own}):
        findings += _judge_running_egress(running[allowed], allowed, own)
    if installation.settings.egress_proxy:
        findings.append(
            ok("Deliveries go through WEBHOOKD_EGRESS_PROXY, which must guard the network itself.")
        )
    return findings
