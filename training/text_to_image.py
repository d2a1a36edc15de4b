"""The UNet: text-to-image by v-prediction on nano latents, with the projection of the text and the learned null embedding.

Source: min-SNR weights, Hang et al. 2023 (for v: min(SNR + 1, gamma + 1) / (SNR + 1)); conditioning as in `engine.conditioning`.
"""

from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, T5EncoderModel

from engine.models.unet import Kandinsky3UNet
from engine.schedulers import alphas_cumprod
from training import warm
from training.captions import LANGUAGES, write_caption
from training.loop import Schedule
from training.scenes import TAUGHT
from training.shards import Latents, numbered_scene
from training.text_encoder import WIDTH, load_text_encoder, tokenize

SCENES = 65_536
DROPPED = 0.1  # share of pictures trained without their text
WEIGHT_LIMIT = 6.0

UNET = {
    "in_channels": 4,
    "time_embedding_dim": 128,
    "groups": 8,
    "attention_head_dim": 32,
    "layers_per_block": 2,
    "block_out_channels": (32, 96, 128, 128),
    "cross_attention_dim": WIDTH,
    "encoder_hid_dim": None,
}


def build_unet(settings: Mapping[str, Any] = UNET) -> Any:
    """The UNet with random weights; it reads a context that is projected already."""
    return Kandinsky3UNet(**settings)


class Conditioned(nn.Module):
    """What is trained together: UNet, projection and null embedding. text_width: of the text encoder."""

    def __init__(self, settings: Mapping[str, Any] = UNET, text_width: int = WIDTH) -> None:
        super().__init__()
        self.unet = build_unet(settings)
        width = settings["cross_attention_dim"]
        self.projection = nn.Linear(text_width, width, bias=False)
        self.projection_norm = nn.LayerNorm(width)
        self.null_embedding = nn.Parameter(torch.randn(width))

    def context(self, states: Tensor, mask: Tensor, dropped: Tensor) -> tuple[Tensor, Tensor]:
        """Project, zero the padding, put the null embedding where the text is dropped.

        states: (B, L, text width).  mask: (B, L).  dropped: (B,) bool.  Returns the context (B, L, C) and its mask.
        """
        context = self.projection_norm(self.projection(states)) * mask[..., None]
        nothing = torch.zeros_like(context)
        nothing[:, 0] = self.null_embedding
        first = torch.zeros_like(mask)
        first[:, 0] = 1
        return torch.where(dropped[:, None, None], nothing, context), torch.where(dropped[:, None], first, mask)

    def forward(self, sample: Tensor, t: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        predicted: Tensor = self.unet(sample, t, context, mask).sample
        return predicted


def project_captions(
    network: Conditioned, text_encoder: T5EncoderModel, tokenizer: PreTrainedTokenizerFast, texts: list[str], dropped: float
) -> tuple[Tensor, Tensor]:
    """Context (B, L, 128) and mask (B, L) of captions; a share `dropped` of them gets the null embedding instead."""
    ids, mask = tokenize(tokenizer, texts)
    with torch.no_grad():
        states = text_encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    states = nn.functional.pad(states, (0, 0, 0, 1))  # the official path keeps one padding token
    mask = nn.functional.pad(mask, (0, 1))
    return network.context(states, mask, torch.rand(len(texts)) < dropped)


class TextToImageRecipe:
    """Learn to draw what a caption says."""

    name = "text-to-image"

    def __init__(self, cache: Path, schedule: Schedule | None = None, scenes: int = SCENES) -> None:
        self.schedule = schedule or Schedule(steps=4000, learning_rate=1e-3, batch=48, warmup=100, decay=0.45)
        torch.manual_seed(0)
        self.trained = Conditioned()
        self.text_encoder: T5EncoderModel
        self.tokenizer: PreTrainedTokenizerFast
        self.text_encoder, self.tokenizer = load_text_encoder(cache)
        self.latents = Latents(cache, scenes)
        self.alphas = alphas_cumprod()
        snr = self.alphas / (1 - self.alphas)
        weights = snr.add(1).clamp(max=WEIGHT_LIMIT) / (snr + 1)
        self.half_weights = weights.sqrt() / weights.sqrt().mean()  # half of the weight is how often a time is drawn

    def begin_with(self, folder: Path) -> list[str]:
        """Begin with a family's weights; returns what stays as it is."""
        return warm.unet(folder, self.trained)

    def loss(self, batch: int, rng: Random) -> Tensor:
        clean, context, mask = self.examples(batch, rng)
        t = torch.multinomial(self.half_weights, batch, replacement=True)
        noise = torch.randn_like(clean)
        a = self.alphas[t][:, None, None, None]
        noisy = a.sqrt() * clean + (1 - a).sqrt() * noise
        velocity = a.sqrt() * noise - (1 - a).sqrt() * clean
        predicted = self.trained(noisy, t, context, mask)
        loss: Tensor = ((predicted - velocity).square().mean((1, 2, 3)) * self.half_weights[t]).mean()
        return loss

    def examples(self, batch: int, rng: Random) -> tuple[Tensor, Tensor, Tensor]:
        """Clean latents (B, 4, 16, 16), context and mask. Half of the batches have captions of similar length, little padding."""
        pool = 4 * batch if rng.random() < 0.5 else batch
        picked = []
        for _ in range(pool):
            index = rng.randrange(len(self.latents))
            scene = numbered_scene(index, TAUGHT)
            picked.append((index, write_caption(scene, rng.choice(LANGUAGES), rng, full=rng.random() < 0.3).text))
        if pool > batch:
            picked.sort(key=lambda one: one[1].count(" "))
            start = batch * rng.randrange(pool // batch)
            picked = picked[start : start + batch]
        clean = torch.stack([torch.from_numpy(self.latents[index]) for index, _ in picked])
        texts = [text for _, text in picked]
        context, mask = project_captions(self.trained, self.text_encoder, self.tokenizer, texts, DROPPED)
        return clean, context, mask
