"""The like of a picture: close to it, or far from it."""

from engine import catalog
from engine.requests import Request, Variation
from handlers.editing import Edit
from storage.domain import Picture

_FAR = 0.5  # how much the picture counts where its variation may wander


def _close(family: str, picture: Picture, seed: int) -> Request:
    return catalog.make(Variation, family, image=picture.media_id, seed=seed)


def _far(family: str, picture: Picture, seed: int) -> Request:
    return catalog.make(Variation, family, image=picture.media_id, seed=seed, ip_adapter_scale=_FAR)


EDITS = {"vary": Edit("button.vary", _close), "wander": Edit("button.wander", _far)}
