"""The one place where settings are held against everything that will take them.

Every process and every command that starts one gets its settings here, so that a wrong value stops the start
with one line, whoever would have been the first to use it. Importing the task sets is not part of it: that
runs operators' code, and is done where it is needed.
"""

from webhookd.adapters.broker.connection import check_url
from webhookd.adapters.files.opening import check_files_url
from webhookd.adapters.store.drivers import parse_url
from webhookd.adapters.vault import Vault
from webhookd.api.client_address import parse_proxies
from webhookd.core.api_keys import operator_key_hash
from webhookd.core.egress import EgressPolicy
from webhookd.settings import Settings, load_settings
from webhookd.wiring.tracing import wants_spans


def checked_settings(**overrides: object) -> Settings:
    """Read the settings and check every one; `overrides` are the command line's. Raises SettingsError."""
    settings = load_settings(**overrides)
    check(settings)
    return settings


def check(settings: Settings) -> None:
    """Raise SettingsError, naming the setting and the fix, for a value that some part would not take."""
    parse_url(settings.resolved_database_url)
    if settings.broker_url:
        check_url(settings.broker_url)
    if settings.encryption_keys:
        Vault(settings.encryption_keys)
    if settings.admin_key:
        operator_key_hash(settings.admin_key)
    if settings.egress_proxy:
        # Imported where it is used: only deliver workers need the sender, and aiohttp is 7 MB.
        from webhookd.adapters.sender.build import parse_proxy

        parse_proxy(settings.egress_proxy)
    check_files_url(settings.resolved_files_url)
    EgressPolicy.parse(settings.egress_allow)
    parse_proxies(settings.trusted_proxies)
    wants_spans(settings)
