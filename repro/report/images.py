"""Figures as part of the page: one smaller file each, written into the page itself."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import PIL.Image

FINER = 1.5  # pixels of a picture for each of the page: sharp on fine screens
WAYS: tuple[dict[str, int], ...] = (
    {"lossless": 1},
    {"quality": 90},
)  # line drawings, clouds of points


@dataclass(frozen=True)
class Image:
    """A picture as a data URI, the size to show it at, and the caption that it carries."""

    uri: str
    width: int
    height: int
    caption: str


def inline(path: Path) -> Image:
    """A drawn PNG as WebP, lossless unless a hardly visible loss makes it smaller."""
    import PIL.Image

    with PIL.Image.open(path) as drawn:
        caption = str(drawn.info.get("Description", ""))
        picture = drawn.convert("RGB")
    content = min((_webp(picture, way) for way in WAYS), key=len)
    uri = f"data:image/webp;base64,{base64.b64encode(content).decode()}"
    width, height = (round(n / FINER) for n in picture.size)
    return Image(uri, width, height, caption)


def _webp(picture: PIL.Image.Image, way: dict[str, int]) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", **way)
    return buffer.getvalue()
