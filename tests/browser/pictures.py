"""Pictures of pages, as the docs show them; `WEBHOOKD_TEST_WRITE_SCREENSHOTS=yes` makes those anew."""

import base64
import io
import os
from pathlib import Path
from typing import Final

from PIL import Image

from tests.browser.chromium import Page

FOLDER: Final = Path(__file__).parents[2] / "docs" / "images"
WRITES: Final = "WEBHOOKD_TEST_WRITE_SCREENSHOTS" in os.environ
LARGEST: Final = 150_000


def shown(page: Page, scheme: str) -> None:
    """Have the page in light or dark."""
    page.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


def picture(page: Page, name: str) -> None:
    """Take a picture of what is shown; keep it where that is wanted. It must be small enough for the docs."""
    taken = page.tell("Page.captureScreenshot", format="png")["data"]
    image = Image.open(io.BytesIO(base64.b64decode(taken))).convert("RGB").quantize(160)
    small = io.BytesIO()
    image.save(small, "png", optimize=True)
    assert len(small.getvalue()) <= LARGEST, name
    if WRITES:
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / f"{name}.png").write_bytes(small.getvalue())


def both(page: Page, name: str) -> None:
    """Take one of the page in light and one in dark."""
    for scheme in ("dark", "light"):
        shown(page, scheme)
        picture(page, f"{name}-{scheme}")
