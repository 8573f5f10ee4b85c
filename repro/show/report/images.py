"""Figures as part of the page: one smaller file each, written into the page itself."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import PIL.Image

FINER = 1.5  # pixels of a picture for each of the page: sharp on fine screens
LINES, CLOUDS = {"lossless": 1, "method": 2}, {"quality": 90}  # what is smaller for each
COLOURS = 2048  # more of them make a cloud of points


@dataclass(frozen=True)
class Image:
    """A picture as a data URI, the size to show it at, and the caption that it carries."""

    uri: str
    width: int
    height: int
    caption: str


def inline(picture: PIL.Image.Image, caption: str) -> Image:
    """A picture of pixels R, G, B as WebP: line drawings without loss, others hardly with any."""
    way = CLOUDS if picture.getcolors(COLOURS) is None else LINES
    content = io.BytesIO()
    picture.save(content, "WEBP", **way)
    uri = f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"
    width, height = (round(n / FINER) for n in picture.size)
    return Image(uri, width, height, caption)
