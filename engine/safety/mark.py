"""The judge of small worlds: a detector of the one thing in them that must not be shown, a sign with black and yellow stripes.

The sign stands for what a real judge looks for, so that a picture that is withheld is the same event at nano size as at full
size. The detector answers for every place of a picture at once and looks at it in several sizes, so a sign counts wherever it
stands, also on what was made of a person's upload. Architecture and category are ours.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from engine.errors import EngineError, WeightsError
from engine.models.network import Network, keeps_config
from engine.weights import Folder, settings

FORBIDDEN = "forbidden"
FOLDER = "forbidden_mark"
STRIDE = 4  # pixels per answer
SIDES = (256, 181, 128, 91, 64, 45, 32)  # of the shorter side, in pixels, in steps of the square root of two
SPAN = (28.0, 44.0)  # pixels across a sign that the detector answers for; a larger one is that in a smaller size
_BLANK_SIDE = 64


class NotJudged(EngineError):
    """The network's numbers say nothing about the picture."""


class MarkDetector(Network):
    """A logit for every 4 x 4 pixels: whether a sign is centred there. Each sees 43 pixels around it.

    widths: channels of its five convolutions.  threshold: logit from which a sign is there.
    """

    @keeps_config
    def __init__(self, widths: Sequence[int] = (8, 12, 16, 16, 16), threshold: float = 0.0) -> None:
        super().__init__()
        before = (3, *widths)
        self.layers = nn.ModuleList(
            nn.Conv2d(before[index], width, 3, stride=2 if index < 2 else 1, padding=1, padding_mode="replicate")
            for index, width in enumerate(widths)
        )
        self.head = nn.Conv2d(widths[-1], 1, 3, padding=1, padding_mode="replicate")
        self.threshold = threshold

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (B, H / 4, W / 4) of pictures (B, 3, H, W) in [-1, 1]."""
        for layer in self.layers:
            pixels = nn.functional.silu(layer(pixels))
        logits: Tensor = self.head(pixels)
        return logits[:, 0]


class MarkJudge:
    """A `PictureJudge` that knows the sign."""

    def __init__(self, network: MarkDetector) -> None:
        self.network = network

    def __call__(self, image: Image.Image) -> str | None:
        """Name the category of a picture with a sign: "forbidden".

        Raises: NotJudged if the numbers are not finite.
        """
        return FORBIDDEN if self.score(image) > self.network.threshold else None

    @torch.inference_mode()
    def score(self, image: Image.Image) -> float:
        """The largest logit anywhere in a picture, in any size. Raises: NotJudged if one is not finite."""
        highest = [self.network(pixels.to(self.network.device, self.network.dtype)).max() for pixels in sizes(image)]
        found = torch.stack(highest)
        if not torch.isfinite(found).all():
            raise NotJudged("The judge's numbers are not finite; check its weights.")
        return float(found.max())


def sizes(image: Image.Image) -> Iterator[Tensor]:
    """A picture in all sizes up to its own that the detector looks at, at least in the smallest: (1, 3, H, W) in [-1, 1]."""
    picture = image.convert("RGB")
    whole, shorter = picture.size, min(picture.size)
    for side in [side for side in SIDES if side <= shorter] or SIDES[-1:]:
        shape = [max(side, round(length * side / shorter)) for length in whole]
        picture = picture.resize((shape[0], shape[1]), Image.Resampling.BOX, reducing_gap=3.0)
        pixels = torch.from_numpy(np.asarray(picture, dtype=np.float32) / np.float32(127.5) - 1)
        yield pixels.permute(2, 0, 1)[None]


def load(folder: Folder, device: torch.device) -> MarkJudge:
    """Load a family's `forbidden_mark/`, in float32.

    Raises: WeightsError, also for a detector that could never find anything, or that finds a sign on a blank picture: it would
    withhold every picture that is drawn.
    """

    def build(config: dict[str, Any]) -> MarkDetector:
        return MarkDetector(**settings(MarkDetector, config))

    network: MarkDetector = folder.module(FOLDER, build, torch.float32, device)
    kernels = [parameter for name, parameter in network.named_parameters() if name.endswith("weight")]
    if not all(torch.isfinite(kernel).all() and kernel.any() for kernel in kernels):
        raise folder.broken(f"{folder.path / FOLDER} holds no trained detector: it would call every picture safe")
    judge = MarkJudge(network)
    try:
        found = judge(Image.new("RGB", (_BLANK_SIDE, _BLANK_SIDE), "white"))
    except NotJudged as error:
        raise _useless(folder) from error
    if found:
        raise _useless(folder)
    return judge


def _useless(folder: Folder) -> WeightsError:
    return folder.broken(f"{folder.path / FOLDER} cannot judge a blank picture")
