"""`image.thumbnail`: a smaller copy of a picture."""

import base64
import binascii
import io
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from webhookd.taskset import Fail, TaskContext, TaskSet

if TYPE_CHECKING:
    from PIL.Image import Image

tasks = TaskSet()

# A few kilobytes of PNG can unfold to gigabytes. 40 megapixels are 160 MB as RGBA.
MAX_PIXELS = 40_000_000
MAX_SIDE = 1_024
_EXAMPLE_SIZE = (640, 480)


def _is_base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be standard base64 (RFC 4648, section 4)") from None
    return text


class ThumbnailInput(BaseModel):
    """`image` is a PNG or JPEG; without one, a made-up picture is used. The sides are upper limits."""

    image: Annotated[str, AfterValidator(_is_base64)] | None = Field(
        default=None, description="PNG or JPEG in base64", json_schema_extra={"contentEncoding": "base64"}
    )
    width: int = Field(default=128, ge=1, le=MAX_SIDE)
    height: int = Field(default=128, ge=1, le=MAX_SIDE)
    format: Literal["png", "jpeg"] = "png"


class Thumbnail(BaseModel):
    """The picture as base64, its size, and that of the original, in pixels."""

    width: int
    height: int
    source_width: int
    source_height: int
    content_type: str
    size_bytes: int
    image_base64: str


@tasks.task("image.thumbnail", queue="images", timeout=60)
def thumbnail(ctx: TaskContext, data: ThumbnailInput) -> Thumbnail:
    """Shrink a picture to fit into a box, keeping its proportions."""
    from PIL import ImageOps

    picture = _example() if data.image is None else _opened(base64.b64decode(data.image))
    source_width, source_height = picture.size
    try:
        picture.thumbnail((data.width, data.height))
        # A camera stores which way up the picture is (EXIF); a thumbnail is expected to be the right way.
        picture = ImageOps.exif_transpose(picture)
    except (OSError, SyntaxError, ValueError) as error:
        raise Fail("invalid_image", f"the picture is damaged: {error}") from error
    ctx.raise_if_cancelled()
    encoded = _encoded(picture, data.format)
    return Thumbnail(
        width=picture.width,
        height=picture.height,
        source_width=source_width,
        source_height=source_height,
        content_type=f"image/{data.format}",
        size_bytes=len(encoded),
        image_base64=base64.b64encode(encoded).decode("ascii"),
    )


def _opened(content: bytes) -> "Image":
    """Read the header only: the size is known before any pixel is unpacked."""
    from PIL import Image, UnidentifiedImageError

    try:
        picture = Image.open(io.BytesIO(content), formats=("PNG", "JPEG"))
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
