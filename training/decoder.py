"""The last polish: teach the decoder clean outlines from latents that are disturbed the way the UNet disturbs them.

A cached latent is noised to a middle or late time, denoised by the trained UNet, and decoded; the truth is the clean picture. The
encoder stays as it is.
"""

from pathlib import Path
from random import Random

import numpy as np
import torch
from torch import Tensor, nn

from engine.schedulers import FLASH_TIMESTEPS, alphas_cumprod, predicted_x0
from training.autoencoder import decode, decoder_of, encode, load_autoencoder, picture_loss
from training.captions import LANGUAGES, write_caption
from training.loop import Schedule, load_average
from training.scenes import Scene, paint_with_latent, training_scene
from training.text_encoder import load_text_encoder
from training.text_to_image import Conditioned, TextToImageRecipe, project_captions

FLASH_STARTS = (FLASH_TIMESTEPS[2:], FLASH_TIMESTEPS[3:])  # the outline is settled there: the truth is still the truth
LATE_TIMES = (20, 320)  # where the base sampler ends
ENCODED = 0.15  # share of batches that come from the encoder instead
BLOTCHES = 0.05  # largest standard deviation of the colour stains


def blotched(latents: Tensor) -> Tensor:
    """Stain the colour channels as a whole, by patches and by cells, so that the decoder learns the palette: (B, 4, 16, 16)."""
    batch, _, height, width = latents.shape
    level = torch.rand(batch, 1, 1, 1) * BLOTCHES
    whole = torch.randn(batch, 3, 1, 1)
    patches = nn.functional.interpolate(torch.randn(batch, 3, 5, 5), size=(height, width), mode="bilinear", align_corners=True)
    stains = level * (whole + patches + torch.randn(batch, 3, height, width)) / 2
    return latents + nn.functional.pad(stains, (0, 0, 0, 0, 0, 1))


def sample_hard_scene(rng: Random) -> Scene:
    """Small objects twice as often as elsewhere."""
    scenes = [training_scene(rng) for _ in range(rng.choice((1, 2)))]
    return min(scenes, key=lambda scene: min(piece.radius for piece in scene.pieces))


class DecoderRecipe:
    """Paint clean pictures from the UNet's latents."""

    name = "decoder"

    def __init__(self, cache: Path, schedule: Schedule | None = None) -> None:
        self.schedule = schedule or Schedule(steps=600, learning_rate=6e-4, batch=8, warmup=20, decay=0.8)
        torch.manual_seed(0)
        self.movq, _ = load_autoencoder(cache)
        self.trained: nn.Module = decoder_of(self.movq)
        self.unet = Conditioned()
        load_average(cache, TextToImageRecipe.name, self.unet)
        self.unet.eval().requires_grad_(False)
        self.text_encoder, self.tokenizer = load_text_encoder(cache)
        self.alphas = alphas_cumprod()

    def loss(self, batch: int, rng: Random) -> Tensor:
        scenes = [sample_hard_scene(rng) for _ in range(batch)]
        painted = [paint_with_latent(scene) for scene in scenes]
        pictures = torch.from_numpy(np.stack([picture for picture, _ in painted])).permute(0, 3, 1, 2) * 2 - 1
        latents = torch.from_numpy(np.stack([latent for _, latent in painted]))
        texts = [write_caption(scene, rng.choice(LANGUAGES), rng, full=rng.random() < 0.5).text for scene in scenes]
        with torch.no_grad():
            disturbed = encode(self.movq, pictures) if rng.random() < ENCODED else blotched(self.disturb(latents, texts, rng))
        return picture_loss(decode(self.movq, disturbed), pictures)

    def disturb(self, latents: Tensor, texts: list[str], rng: Random) -> Tensor:
        """Latents as the end of Flash or of the base sampler would give them: (B, 4, 16, 16)."""
        context, mask = project_captions(self.unet, self.text_encoder, self.tokenizer, texts, dropped=0.0)
        times = rng.choice(FLASH_STARTS) if rng.random() < 0.6 else (rng.randrange(*LATE_TIMES),)
        for t in times:
            alpha = self.alphas[t]
            noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * torch.randn_like(latents)
            velocity = self.unet(noisy, torch.full((len(texts),), t), context, mask)
            latents = predicted_x0(velocity, noisy, alpha, "v_prediction")
        return latents
