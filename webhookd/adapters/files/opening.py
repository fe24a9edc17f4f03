"""WEBHOOKD_FILES_URL, read and opened."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from webhookd.adapters.files.bucket import Bucket
from webhookd.adapters.files.folder import Folder
from webhookd.core.errors import SettingsError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

SCHEMES: Final = ("s3", "gs", "az")
_CLIENT: Final["ClientConfig"] = {
    "allow_http": True,  # an http:// endpoint is the operator's own choice: AWS_ENDPOINT_URL names it
    "connect_timeout": timedelta(seconds=3),
    "timeout": timedelta(seconds=25),
}
_RETRY: Final["RetryConfig"] = {"max_retries": 3, "retry_timeout": timedelta(seconds=15)}


def check_files_url(url: str) -> None:
    """Raise SettingsError, naming WEBHOOKD_FILES_URL and the fix, for a URL that cannot work."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/") or parts.query:
            raise _wrong("a folder is file:///absolute/path")
        return
    if parts.scheme not in SCHEMES:
        raise _wrong("it must be file:///absolute/path, s3://bucket/prefix, gs://bucket/prefix or az://…")
    if not parts.netloc or parts.query or parts.fragment or "@" in parts.netloc:
        raise _wrong(
            f"it must be {parts.scheme}://bucket/prefix; keys and endpoint go into the environment of "
            "the provider (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, …)"
        )


def open_bucket(url: str) -> Bucket:
    """Open the place of files. Raises SettingsError; whether it answers shows at the first use."""
    check_files_url(url)
    if url.startswith("file:"):
        path = Path(unquote(urlsplit(url).path))
        try:
            folder = Folder(path)
            return Bucket(LocalStore(path), folder=folder)
        except (OSError, BaseError) as error:
            raise _wrong(f"the folder {path} cannot be used ({error})") from error
    try:
        return Bucket(from_url(url, client_options=_CLIENT, retry_config=_RETRY), folder=None)
    except (BaseError, ValueError) as error:
        raise _wrong(str(error).partition("\n")[0]) from error


def _wrong(reason: str) -> SettingsError:
    return SettingsError(f"WEBHOOKD_FILES_URL is wrong: {reason}.")
