"""Drawings for tests: what comes back of a picture with strokes, and what they mean."""

import io

import numpy as np
from PIL import Image

from engine.marked import Mask
from sandbox.pencil import Crop, Point, Stroke, drawn_on, painted


def back(picture: Image.Image, *strokes: Stroke, crop: Crop | None = None, turns: int = 0) -> Image.Image:
    """A picture that was drawn on and went through Telegram, at quality 70."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return Image.open(io.BytesIO(drawn_on(buffer.getvalue(), strokes, crop=crop, turns=turns, quality=70))).convert("RGB")


def plane_of(picture: Image.Image, line: list[Point]) -> Mask:
    """What an outline of the pencil's usual thickness means."""
    mask: Mask = np.asarray(painted(picture.size, Stroke(line, filled=True))) >= 128
    return mask
