"""Flash: the base model learns to draw in four steps without guidance, against a critic that reads latents.

The article: adversarial diffusion distillation (Sauer et al. 2023) with four changes. The discriminator is the frozen down half
of the base UNet with trainable heads after each level, so that nothing is decoded; the heads attend to the text encoder's states;
the loss is Wasserstein's, which does not saturate while the critic is the stronger; there is no distillation loss. Rates are 1e-3
for the critic and 1e-5 for the student, with a gradient penalty as in the original work (there: R1, on what the heads read).
The four times are the code's. As in the original, the student reads a picture noised to one of them.

Ours: what the heads look like, that the critic sees clean latents at time 0, weights of the penalty, steps, Adam's betas.
Source: engine-facts sections 4.2 and 10; Sauer et al. 2023 (ADD), section 3.2; Mescheder et al. 2018, equation 9 (R1).
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from engine.conditioning import Context
from engine.denoising import decode
from engine.errors import BadPicture
from engine.models.attention import Attention
from engine.models.conditions import Conditioner
from engine.models.unet import Kandinsky3UNet
from engine.nano_world import Thing
from engine.schedulers import FLASH_TIMESTEPS, FlashSampler, alphas_cumprod, draw_noise, noised, predicted_x0
from engine.tensors import to_tensor
from training.base import Base, caption_of, conditioning_tensors, contexts
from training.captions import LANGUAGES, Caption, write_caption
from training.data import Dataset, framed, pick
from training.export import save_network, save_tensors
from training.judge import judge, to_floats
from training.loop import Schedule
from training.progress import tiled
from training.scenes import Scene, paint_with_latent, sample_scene
from training.shards import numbered_scene

FOLDER, CONDITIONING = "unet_flash", "conditioning_flash.safetensors"  # where the engine looks for them
SCENES = 1_000_000
SEEN_AT = 0  # the time at which the critic's UNet reads clean latents
_HELD_OUT = 2**40
Loss = Literal["wasserstein", "hinge"]


@dataclass(frozen=True)
class Preset:
    """Sizes and settings. schedule: its rate is the critic's.

    side: pixels of a training picture.  width: of the heads.  student: its rate as a share of the critic's.  penalty: weight of
    R1.  loss: "hinge" to measure what the article says of it.
    """

    schedule: Schedule
    side: int
    width: int
    student: float = 0.01  # 1e-5 beside 1e-3
    penalty: float = 1.0
    loss: Loss = "wasserstein"


_COMMON: Mapping[str, Any] = {"learning_rate": 1e-3, "betas": (0.0, 0.99), "weight_decay": 0.0}
PRESETS: Mapping[str, Preset] = {
    "nano": Preset(Schedule(steps=1000, batch=16, warmup=20, decay=0.3, **_COMMON), side=128, width=32),
    "full": Preset(
        Schedule(steps=20_000, batch=64, warmup=500, decay=0.0, floor=1.0, average=0.9999, **_COMMON), side=1024, width=512
    ),
}


class DownHalf(nn.Module):
    """The way down of a UNet, frozen: what it makes of clean latents, level by level."""

    def __init__(self, unet: Kandinsky3UNet) -> None:
        super().__init__()
        self.time_embedding = copy.deepcopy(unet.time_embedding)
        self.add_time_condition = copy.deepcopy(unet.add_time_condition)
        self.conv_in = copy.deepcopy(unet.conv_in)
        self.down_blocks = copy.deepcopy(unet.down_blocks)
        self.conditioner = Conditioner(self.time_embedding, self.add_time_condition, [self.down_blocks])
        self.requires_grad_(False)

    def forward(self, latents: Tensor, context: Context) -> list[Tensor]:
        """Of latents (B, 4, h, w), finest first: (B, 384, h/2, w/2), (B, 768, h/4, w/4), two of (B, ..., h/8, w/8)."""
        times = torch.full((len(latents),), SEEN_AT, device=latents.device)
        conditions = self.conditioner.plain(times, context.states, context.mask)
        x = self.conv_in(latents.contiguous(memory_format=torch.channels_last))
        found = []
        for block in self.down_blocks:
            x = block(x, conditions)
            found.append(x)
        return found


class Head(nn.Module):
    """From one level and the text to a score: a convolution, attention to the text, another, the mean over all places."""

    def __init__(self, width_in: int, context_dim: int, width: int, head_dim: int) -> None:
        super().__init__()
        self.norm_in = nn.GroupNorm(1, width_in)
        self.conv_in = nn.Conv2d(width_in, width, 3, padding=1)
        self.norm = nn.GroupNorm(1, width)
        self.attention = Attention(width, context_dim, width, head_dim)
        self.conv_out = nn.Conv2d(width, width, 3, padding=1)
        self.score = nn.Conv2d(width, 1, 1)

    def forward(self, features: Tensor, context: Context) -> Tensor:
        """Scores (B,) of features (B, C, h, w)."""
        x = F.silu(self.conv_in(self.norm_in(features)))
        asking = self.norm(x).flatten(2).transpose(1, 2)
        with sdpa_kernel(SDPBackend.MATH):  # the one that the penalty can be taken through
            told = self.attention.attend(asking, self.attention.tokens(context.states, context.mask))
        x = F.silu(self.conv_out(x + told.transpose(1, 2).unflatten(2, x.shape[2:])))
        scores: Tensor = self.score(x).mean((1, 2, 3))
        return scores


class FlashRecipe:
    """Distil a family's base lane. dataset: pictures with captions; the rendered world, whose latents are given, if None."""

    name = "flash"

    def __init__(self, base: Base, preset: Preset, dataset: Dataset | None = None) -> None:
        self.base, self.preset, self.schedule, self.dataset = base, preset, preset.schedule, dataset
        torch.manual_seed(0)
        shared = (base.texts.text_encoder, base.texts.tokenizer)
        self.texts = copy.deepcopy(base.texts, {id(each): each for each in shared})  # with a projection of its own
        self.texts.projection.float()  # at this rate, what has half the precision would not move
        self.unet = copy.deepcopy(base.unet)
        self.student = nn.ModuleDict({"unet": self.unet, "projection": self.texts.projection}).requires_grad_(True)
        config = base.unet.config
        widths, head_dim = config["block_out_channels"], config["attention_head_dim"]
        heads = [Head(width, config["cross_attention_dim"], preset.width, min(head_dim, preset.width)) for width in widths]
        self.heads = nn.ModuleList(heads)
        self.trained: nn.Module = nn.ModuleDict({"student": self.student, "heads": self.heads})
        nn.Module.to(self.trained, base.device)
        self.seen = DownHalf(base.unet)
        self.alphas = alphas_cumprod()

    def paces(self) -> Sequence[tuple[Sequence[nn.Parameter], float]]:
        """The critic's heads at the schedule's rate, the student far slower."""
        return [(list(self.heads.parameters()), 1.0), (list(self.student.parameters()), self.preset.student)]

    def loss(self, batch: int, rng: Random) -> Tensor:
        """The critic's loss, and the student's, whose gradients do not reach the critic."""
        real, captions = self.examples(batch, rng)
        told = self.base.contexts(captions, [False] * batch)
        drawn = self.drawn(real, captions)
        self.heads.requires_grad_(False)
        wanted = -self.scores(self.seen(drawn, told), told).mean()
        self.heads.requires_grad_(True)
        return self.critic_loss(real, drawn.detach(), told) + wanted

    def drawn(self, real: Tensor, captions: Sequence[str]) -> Tensor:
        """Clean latents by the student, from real ones (B, 4, h, w) that are noised to any of Flash's times."""
        t = torch.tensor(FLASH_TIMESTEPS)[torch.randint(len(FLASH_TIMESTEPS), (len(real),))]
        alpha = self.alphas[t][:, None, None, None].to(real)
        noisy = noised(real, alpha, torch.randn(real.shape).to(real))
        context = contexts(self.texts, captions, [False] * len(captions))
        predicted = self.unet(noisy, t.to(real.device), context.states, context.mask).sample
        return predicted_x0(predicted.float(), noisy, alpha, self.base.prediction_type)

    def scores(self, features: Sequence[Tensor], told: Context) -> Tensor:
        """What the heads say together, (B,)."""
        return torch.stack([head(each, told) for head, each in zip(self.heads, features, strict=True)]).sum(dim=0)

    def critic_loss(self, real: Tensor, drawn: Tensor, told: Context) -> Tensor:
        """How badly the critic tells real latents from drawn ones, and how steep it is where they are real.

        Heads read both as one batch: torch 2.13 crashes where a convolution's gradient is the sum of a second derivative's and
        another's.
        """
        count = len(real)
        both = Context(told.states.repeat(2, 1, 1), told.mask.repeat(2, 1))
        with torch.no_grad():
            seen = self.seen(torch.cat([real, drawn]), both)
        for each in seen:
            each.requires_grad_(True)
        of_real, of_drawn = self.scores(seen, both).split(count)
        if self.preset.loss == "hinge":
            told_apart = F.relu(1 - of_real).mean() + F.relu(1 + of_drawn).mean()
        else:
            told_apart = of_drawn.mean() - of_real.mean()
        slopes = torch.autograd.grad(of_real.sum(), seen, create_graph=True)
        steepness = torch.stack([slope[:count].square().sum((1, 2, 3)) for slope in slopes]).sum(dim=0).mean()
        return told_apart + self.preset.penalty / 2 * steepness

    def examples(self, batch: int, rng: Random) -> tuple[Tensor, list[str]]:
        """Clean latents (B, 4, h, w) and a caption each."""
        if self.dataset is None:
            scenes = [numbered_scene(rng.randrange(SCENES)) for _ in range(batch)]
            return latents_of(scenes).to(self.base.device), [caption_for(scene, rng) for scene in scenes]
        found = [framed(pick(self.dataset, rng), self.preset.side, rng) for _ in range(batch)]
        pixels = torch.cat([to_tensor(example.picture) for example in found])
        return self.base.latents(pixels), [caption_of(example, rng) for example in found]

    def figures(self) -> Mapping[str, float]:
        """On 32 held-out nano scenes: the critic's mean scores, their gap, and how many Flash draws all right.

        Of another dataset: the scores alone, on 8 of its examples.
        """
        torch.manual_seed(0)
        if self.dataset is not None:
            return self._scored(*self.examples(8, Random(_HELD_OUT)))
        wishes = held_out(32)
        right = [self._right(scene, caption.text, caption.things) for scene, caption in wishes]
        scored = self._scored(
            latents_of([scene for scene, _ in wishes]).to(self.base.device), [caption.text for _, caption in wishes]
        )
        return {**scored, "right": float(np.mean(right))}

    @torch.no_grad()
    def _scored(self, real: Tensor, captions: Sequence[str]) -> dict[str, float]:
        told = self.base.contexts(captions, [False] * len(captions))
        of_real = float(self.scores(self.seen(real, told), told).mean())
        of_drawn = float(self.scores(self.seen(self.drawn(real, captions), told), told).mean())
        return {"real": of_real, "drawn": of_drawn, "gap": of_real - of_drawn}

    def _right(self, scene: Scene, prompt: str, things: tuple[Thing, ...]) -> bool:
        try:
            return judge(to_floats(self.picture(prompt, 0)), scene.background, things).right
        except BadPicture:
            return False

    def picture(self, prompt: str, seed: int) -> Image.Image:
        """By Flash's own sampler, from the text alone."""
        sampler, cells = FlashSampler(self.base.prediction_type), self.preset.side // 8
        noise = draw_noise([seed], sampler.noise_count, (4, cells, cells), self.base.device)
        with torch.no_grad():
            context = contexts(self.texts, [prompt], [False])
            latents = sampler.start(noise)
            for index, time in enumerate(sampler.timesteps):
                predicted = self.unet(latents, time, context.states, context.mask).sample
                latents = sampler.step(predicted.float(), index, latents, noise).prev_sample
            return decode(self.base.networks(self.unet), latents)

    def sheet(self) -> Image.Image:
        """A dozen held-out prompts of the nano world."""
        found = []
        for seed, (_, caption) in enumerate(held_out(12)):
            try:
                found.append(self.picture(caption.text, seed))
            except BadPicture:
                found.append(Image.new("RGB", (self.preset.side, self.preset.side)))
        return tiled([found[:6], found[6:]])

    def write(self, folder: Path, steps: int) -> Mapping[str, str]:
        """UNet and text projection as the engine reads them."""
        settings = {"recipe": self.name, "steps": steps, "prediction_type": self.base.prediction_type, "loss": self.preset.loss}
        return {
            FOLDER: save_network(folder / FOLDER, self.unet, settings),
            CONDITIONING: save_tensors(folder / CONDITIONING, conditioning_tensors(self.texts), settings),
        }


def held_out(count: int) -> list[tuple[Scene, Caption]]:
    """Scenes of one object that no training example shows, each with all that can be said of it."""
    rng = Random(_HELD_OUT)
    scenes = [sample_scene(rng, objects=1, unseen=True) for _ in range(count)]
    return [(scene, write_caption(scene, LANGUAGES[index % 2], rng, full=True)) for index, scene in enumerate(scenes)]


def latents_of(scenes: Sequence[Scene]) -> Tensor:
    """The given latents (B, 4, 16, 16) of nano scenes."""
    return torch.from_numpy(np.stack([paint_with_latent(scene)[1] for scene in scenes]))


def caption_for(scene: Scene, rng: Random) -> str:
    """In either language, now and then with everything that can be said."""
    return write_caption(scene, rng.choice(LANGUAGES), rng, full=rng.random() < 0.3).text
