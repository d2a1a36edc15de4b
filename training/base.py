"""A family's finished networks, as the start of recipes that change its UNet: text path and autoencoder stay as they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine import catalog
from engine.components import Components, Networks
from engine.conditioning import Context, TextConditioning
from engine.errors import EngineError
from engine.families import PredictionType
from engine.models.movq import MoVQ
from engine.models.unet import Kandinsky3UNet, Prediction
from engine.schedulers import TRAIN_TIMESTEPS, alphas_cumprod
from engine.weights import Folder, settings
from training.data import DataError, Example

Denoiser = Callable[[Tensor, Tensor, Tensor, Tensor], Prediction]
"""From noisy latents (B, C, h, w), times (B,), text (B, L, C) and its mask to the prediction, as `Kandinsky3UNet.forward`."""
WEIGHT_LIMIT = 6.0  # of v-prediction, see `training.text_to_image`
_PROJECTION = "encoder_hid_proj."  # hub checkpoints keep it in the UNet; the text path has it


@dataclass(frozen=True)
class Base:
    """Where a recipe begins. areas: pixels that the UNet was trained for, smallest and largest."""

    texts: TextConditioning
    movq: MoVQ
    unet: Kandinsky3UNet
    prediction_type: PredictionType
    threshold: float
    areas: tuple[int, int]
    device: torch.device

    def networks(self, unet: Kandinsky3UNet) -> Networks:
        """As the engine's pipelines take them, with another UNet."""
        whole = self.areas[1]  # what it was trained for is decoded in one
        kinds = self.prediction_type, self.threshold, self.areas
        return Networks(self.texts, unet, self.movq, *kinds, self.device, torch.float32, whole)

    @torch.no_grad()
    def contexts(self, captions: Sequence[str], dropped: Sequence[bool]) -> Context:
        """Captions as one batch (B, L, C); for those dropped, the learned nothing."""
        return contexts(self.texts, captions, dropped)

    @torch.no_grad()
    def latents(self, pixels: Tensor) -> Tensor:
        """Latents (B, 4, H/8, W/8) of pictures (B, 3, H, W) in [-1, 1]."""
        return self.movq.encode(pixels.to(self.device))


def contexts(texts: TextConditioning, captions: Sequence[str], dropped: Sequence[bool]) -> Context:
    """Captions by a text path as one batch (B, L, C); for those dropped, its nothing. Gradients reach what is trained of it."""
    encoded = [texts.encode(caption) for caption in captions]
    whole = max(one.mask.shape[1] for one in encoded)
    rows = [texts.nothing(whole) if drop else one.padded(whole) for one, drop in zip(encoded, dropped, strict=True)]
    states, mask = torch.cat([row.states for row in rows]), torch.cat([row.mask for row in rows])
    return Context(states.float(), mask)


def conditioning_tensors(texts: TextConditioning) -> dict[str, Tensor]:
    """Projection and null embedding of a text path, by the names that the engine reads."""
    linear, norm = texts.projection.get_submodule("0"), texts.projection.get_submodule("1")
    return {
        "projection.weight": linear.get_parameter("weight"),
        "projection_norm.weight": norm.get_parameter("weight"),
        "projection_norm.bias": norm.get_parameter("bias"),
        "null_embedding": texts.null_embedding,
    }


def parts_of(family: str, weights: Path | None, device: torch.device) -> Components:
    """A family's networks, each loaded when it is asked for. Raises: EngineError."""
    folder = Folder(catalog.family(family), weights or catalog.weights_folder(family))
    return Components(folder, device, torch.float32 if device.type == "cpu" else torch.bfloat16)


def load_texts(family: str, weights: Path | None, device: torch.device) -> TextConditioning:
    """A family's text path alone. Raises: DataError."""
    try:
        parts = parts_of(family, weights, device)
        return parts.conditioning(parts.family.unets["base"])
    except EngineError as error:
        raise DataError(f"{error}") from error


def load_base(family: str, weights: Path | None, device: torch.device, use: str = "base") -> Base:
    """Load the networks of a family's base lane; the UNet is float32, to be trained. Raises: DataError.

    use: whose text path it takes, and whose UNet, such as "picture".
    """
    try:
        parts = parts_of(family, weights, device)
        served, folder = parts.family, parts.folder
        place = served.unets.get(use) or served.unets["base"]
        texts, movq = parts.conditioning(place), parts.movq()
        config = settings(Kandinsky3UNet, folder.config(folder.path / place.unet))
        tensors = folder.tensors(place.unet, torch.float32)
    except EngineError as error:
        raise DataError(f"{error}") from error
    unet: Kandinsky3UNet = Kandinsky3UNet(**config | {"encoder_hid_dim": None, "out_channels": 4})
    unet.load_state_dict({name: tensor for name, tensor in tensors.items() if not name.startswith(_PROJECTION)})
    nn.Module.to(unet, device)
    return Base(texts, movq, unet, served.prediction_type, served.inpaint_threshold, served.areas, device)


class Noising:
    """How latents are noised and what the UNet is asked: its own prediction type, over times that suit it.

    For v, half of the min-SNR weight is how often a time is drawn and half how much it counts (`training.text_to_image`); for
    noise, as at full size, all times count the same.
    """

    def __init__(self, prediction_type: PredictionType) -> None:
        self._velocity = prediction_type == "v_prediction"
        self._alphas = alphas_cumprod()
        snr = self._alphas / (1 - self._alphas)
        half = (snr.add(1).clamp(max=WEIGHT_LIMIT) / (snr + 1)).sqrt() if self._velocity else torch.ones(TRAIN_TIMESTEPS)
        self._weights = half / half.mean()

    def loss(self, unet: Denoiser, clean: Tensor, context: Context, known: Tensor | None = None) -> Tensor:
        """Mean loss of a batch. clean: (B, 4, h, w).  known: further channels (B, C, h, w) that the UNet reads."""
        t = torch.multinomial(self._weights, len(clean), replacement=True)  # on the CPU: the same on every device
        noise = torch.randn(clean.shape).to(clean)
        alpha = self._alphas[t][:, None, None, None].to(clean)
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        target = alpha.sqrt() * noise - (1 - alpha).sqrt() * clean if self._velocity else noise
        sample = noisy if known is None else torch.cat([noisy, known], dim=1)
        predicted = unet(sample, t.to(clean.device), context.states, context.mask).sample
        errors = F.mse_loss(predicted.float(), target, reduction="none").mean((1, 2, 3))
        weighted: Tensor = (errors * self._weights[t].to(errors)).mean()
        return weighted


def caption_of(example: Example, rng: Random) -> str:
    """Any of its captions; no words if it has none."""
    return rng.choice(example.captions) if example.captions else ""
