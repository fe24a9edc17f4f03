"""`image.thumbnail`: a smaller copy of a picture."""

import base64
import binascii
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from webhookd.taskset import Fail, File, TaskContext, TaskSet

if TYPE_CHECKING:
    from PIL.Image import Image

tasks = TaskSet()

# A few kilobytes of PNG can unfold to gigabytes. 40 megapixels are 160 MB as RGBA.
MAX_PIXELS = 40_000_000
MAX_SIDE = 1_024
INLINE_BYTES = 65_536
_EXAMPLE_SIZE = (640, 480)


def _is_base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be standard base64 (RFC 4648, section 4)") from None
    return text


class ThumbnailInput(BaseModel):
    """`image` is a PNG or JPEG, as a file or, where it is small, in base64.

    Without one, a made-up picture is used. The sides are upper limits.
    """

    image: File | Annotated[str, AfterValidator(_is_base64), Field(description="In base64")] | None = None
    width: int = Field(default=128, ge=1, le=MAX_SIDE)
    height: int = Field(default=128, ge=1, le=MAX_SIDE)
    format: Literal["png", "jpeg"] = "png"


class Thumbnail(BaseModel):
    """What is true of the picture, which is attached; while it is small, it is here in base64 too."""

    width: int
    height: int
    source_width: int
    source_height: int
    content_type: str
    size_bytes: int
    image_base64: str | None


@tasks.task("image.thumbnail", queue="images", timeout=60, output=Thumbnail)
def thumbnail(ctx: TaskContext, data: ThumbnailInput) -> Thumbnail:
    """Shrink a picture to fit into a box, keeping its proportions."""
    from PIL import ImageOps

    match data.image:
        case None:
            picture = _example()
        case File():
            picture = _opened(data.image.path())
        case str():
            picture = _opened(io.BytesIO(base64.b64decode(data.image)))
    source_width, source_height = picture.size
    try:
        picture.thumbnail((data.width, data.height))
        # A camera stores which way up the picture is (EXIF); a thumbnail is expected to be the right way.
        picture = ImageOps.exif_transpose(picture)
    except (OSError, SyntaxError, ValueError) as error:
        raise Fail("invalid_image", f"the picture is damaged: {error}") from error
    ctx.raise_if_cancelled()
    encoded = _encoded(picture, data.format)
    ctx.attach(f"thumbnail.{data.format}", encoded, content_type=f"image/{data.format}")
    return Thumbnail(
        width=picture.width,
        height=picture.height,
        source_width=source_width,
        source_height=source_height,
        content_type=f"image/{data.format}",
        size_bytes=len(encoded),
        image_base64=base64.b64encode(encoded).decode("ascii") if len(encoded) <= INLINE_BYTES else None,
    )


def _opened(source: Path | io.BytesIO) -> "Image":
    """Read the header only: the size is known before any pixel is unpacked."""
    from PIL import Image, UnidentifiedImageError

    try:
        picture = Image.open(source, formats=("PNG", "JPEG"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large() from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise Fail("invalid_image", "this is neither a PNG nor a JPEG") from error
    if picture.width * picture.height > MAX_PIXELS:
        raise _too_large()
    return picture


def _too_large() -> Fail:
    return Fail("image_too_large", f"the picture has more than {MAX_PIXELS} pixels")


def _example() -> "Image":
    from PIL import Image

    return Image.merge("RGB", [Image.linear_gradient("L").resize(_EXAMPLE_SIZE)] * 3)


def _encoded(picture: "Image", file_format: Literal["png", "jpeg"]) -> bytes:
    from PIL import Image

    if picture.mode == "CMYK":  # a JPEG for print
        picture = picture.convert("RGB")
    if file_format == "jpeg" and picture.mode != "RGB":
        # JPEG knows no transparency: put the picture on white.
        layers = picture.convert("RGBA")
        white = Image.new("RGBA", layers.size, "white")
        picture = Image.alpha_composite(white, layers).convert("RGB")
    buffer = io.BytesIO()
    picture.save(buffer, format=file_format)
    return buffer.getvalue()
