"""To be imported before httpx by commands: its own command line, which needs click, is half of its import."""

from webhookd.runtime.importing import import_without

import_without("click", "httpx")
