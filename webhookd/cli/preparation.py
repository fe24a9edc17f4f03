"""What must be there before a service on this machine can run: settings that fit, a schema, keys.

`up` and the demo begin with this. What a person can have done wrong is found here, before a process is
started, and raised as an error of one line.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from webhookd.adapters.broker import BrokerHealth
from webhookd.adapters.embedded import find_valkey
from webhookd.adapters.forerunner import Forerunner
from webhookd.adapters.store.migrate import migrate
from webhookd.adapters.store.store import Store
from webhookd.adapters.vault import Vault
from webhookd.cli.data_dir import make_encryption_key
from webhookd.cli.plan import Plan
from webhookd.cli.processes import decided_environment, service_processes
from webhookd.core.errors import SettingsError
from webhookd.core.scaling import WorkerRange
from webhookd.settings import Settings
from webhookd.taskset import load_task_sets
from webhookd.wiring.checked import check
from webhookd.wiring.listening import listen
from webhookd.wiring.process import load_vault, open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A service that can be started. `settings` have the real port."""

    settings: Settings
    store: Store
    vault: Vault

    @property
    def url(self) -> str:
        """Where the API will answer, seen from this machine."""
        host = self.settings.local_host
        return (
            f"http://[{host}]:{self.settings.port}" if ":" in host else f"http://{host}:{self.settings.port}"
        )

    async def reopened(self) -> Store:
        """Return the store, opened anew."""
        return await open_store(self.settings, self.vault, "ses_host")

    def plan(
        self,
        name: str,
        workers: WorkerRange,
        *,
        said: str = "",
        unsaid: str = "",
        lock: int | None = None,
        forerunners: Mapping[str, Forerunner] | None = None,
    ) -> Plan:
        """Return what is to be kept running."""
        return Plan(
            name=name,
            processes=service_processes(self.settings, workers),
            environment=decided_environment(self.settings),
            log_format=self.settings.log_format,
            log_level=self.settings.log_level,
            broker_folder=None if self.settings.broker_url else str(self.settings.data_dir / "broker"),
            url=self.url,
            least=workers.least,
            most=workers.most,
            said=said,
            unsaid=unsaid,
            lock=lock,
            forerunners=forerunners or {},
        )


@contextlib.asynccontextmanager
async def prepared(settings: Settings) -> AsyncIterator[Prepared]:
    """Check everything, migrate, make the encryption key. The data dir must be claimed.

    Raises SettingsError, Unavailable.
    """
    settings = _checked(settings)
    if settings.broker_url:
        await _require_broker(settings.broker_url)
    else:
        find_valkey()
    store, vault = await _prepared_store(settings)
    try:
        yield Prepared(settings=settings, store=store, vault=vault)
    finally:
        await store.close()


def _checked(settings: Settings) -> Settings:
    """Find what a person can have done wrong. Return the settings with the real port."""
    check(settings)
    load_task_sets(settings.tasks)
    with listen(settings) as probe:
        return settings.model_copy(update={"port": probe.getsockname()[1]})


async def _require_broker(url: str) -> None:
    health = BrokerHealth(url)
    try:
        status = await health.check()
    finally:
        await health.aclose()
    if not status.ok:
        raise SettingsError(
            f"WEBHOOKD_BROKER_URL: the broker there does not serve ({status.reason}); start it, mend the "
            "URL, or leave the setting empty for an embedded one."
        )


async def _prepared_store(settings: Settings) -> tuple[Store, Vault]:
    made = make_encryption_key(settings)
    try:
        await migrate(settings.resolved_database_url)
        vault = load_vault(settings)
        # The session is only named here, never begun: this process claims nothing.
        return await open_store(settings, vault, "ses_up"), vault
    except BaseException:
        if made is not None:  # it fits no database, and would hide that the right one is missing
            made.unlink(missing_ok=True)
        raise
