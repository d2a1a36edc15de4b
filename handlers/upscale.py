"""A picture enlarged two or four times."""

from collections.abc import Callable

from engine import catalog
from engine.requests import Request, Upscale
from handlers.editing import Edit, check_size
from storage.domain import Picture


def _by(scale: int) -> Callable[[str, Picture, int], Request]:
    def make(family: str, picture: Picture, seed: int) -> Request:
        check_size(scale * picture.width, scale * picture.height)
        return catalog.make(Upscale, family, image=picture.media_id, seed=seed, scale=scale)

    return make


EDITS = {"up2": Edit("button.up2", _by(2)), "up4": Edit("button.up4", _by(4))}
