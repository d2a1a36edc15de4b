"""The image encoder of picture prompts: CLIP's vision tower, learned against the family's frozen text encoder, then frozen too.

The article takes OpenAI's ViT-L/14 as it is, so full-size families need no run of this; nano has no such network and learns one.
The loss is CLIP's, symmetric over a batch; that one tower is frozen is as in LiT, where it is the other one. Rendered scenes come
in pairs that differ in one thing, worn as photographs are, the text tower has a linear head, and each patch also says where in it
objects are, which is meant to bring shapes sooner and has not been shown to: ours, as all sizes of nano.
Negatives are those of a process' own share of the batch.
Source: Radford et al. 2021 (CLIP), section 2.5, figure 3 and table 20; Zhai et al. 2022 (LiT), section 3; engine-facts 4.7.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from transformers.models.clip.configuration_clip import CLIPVisionConfig
from transformers.models.clip.modeling_clip import CLIPVisionModelWithProjection

from engine.conditioning import TextConditioning
from engine.errors import EngineError
from engine.nano_world import COLOURS, ENGLISH_WORDS, SHAPES
from engine.picture_encoder import PictureEncoder, pixel_values
from training.base import caption_of, parts_of
from training.blends import near_miss
from training.captions import LANGUAGES, write_caption
from training.damage import worn
from training.data import DataError, Dataset, framed, pick
from training.enlarging import to_picture
from training.export import save_tensors, write_text
from training.loop import CPU, Schedule, load_average
from training.progress import tiled
from training.scenes import SIDE, Floats, Scene, coverage, render, sample_scene

FOLDER = "image_encoder"  # where the engine looks for it
_HELD_OUT = 2**40
CELLS = 4  # a side of a patch, in which objects are to be found
_HOTTEST = math.log(100)  # of the learned scale, as in CLIP


@dataclass(frozen=True)
class Preset:
    """Sizes and settings. side: pixels of a training picture.  worn: share of pictures that are.

    placing: how much it counts where rendered objects are.
    """

    vision: Mapping[str, Any]
    schedule: Schedule
    side: int
    worn: float = 0.0
    placing: float = 0.0


PRESETS: Mapping[str, Preset] = {
    "nano": Preset(
        {
            "hidden_size": 128,
            "intermediate_size": 384,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "image_size": 64,
            "patch_size": 8,
            "projection_dim": 128,
        },
        Schedule(steps=3000, learning_rate=1e-3, batch=96, warmup=100, decay=0.6, betas=(0.9, 0.98)),
        side=SIDE,
        worn=0.3,
        placing=1.0,
    ),
    "full": Preset(
        {
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "image_size": 224,
            "patch_size": 14,
            "projection_dim": 768,
        },
        Schedule(
            steps=390_000,
            learning_rate=4e-4,
            batch=32_768,
            warmup=2000,
            decay=1.0,
            weight_decay=0.2,
            betas=(0.9, 0.98),
            average=0.9999,
        ),
        side=224,
    ),
}


class Towers(nn.Module):
    """What learns: the vision tower, the head of the text tower, and how sharply they are compared."""

    def __init__(self, vision: Mapping[str, Any], text_width: int) -> None:
        super().__init__()
        config = CLIPVisionConfig(**vision, hidden_act="quick_gelu")
        self.vision = CLIPVisionModelWithProjection(config)
        self.text = nn.Linear(text_width, config.projection_dim, bias=False)
        self.scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.places = nn.Linear(config.hidden_size, CELLS * CELLS)

    def forward(self, pixels: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, B), rows being pictures (B, 3, side, side) and columns texts (B, C); and logits of objects' places.

        The latter are (B, n, n), n cells a side: `CELLS` for each patch.
        """
        seen = self.vision(pixels)
        pictures = F.normalize(seen.image_embeds, dim=1)
        compared: Tensor = self.scale.clamp(max=_HOTTEST).exp() * pictures @ F.normalize(self.text(texts), dim=1).T
        cells = self.places(seen.last_hidden_state[:, 1:])  # (B, patches, CELLS * CELLS)
        patches = math.isqrt(cells.shape[1])
        places = cells.unflatten(2, (CELLS, CELLS)).unflatten(1, (patches, patches)).transpose(2, 3)  # (B, row, y, column, x)
        return compared, places.flatten(3, 4).flatten(1, 2)


class ImageEncoderRecipe:
    """Learn to say of a picture what its caption says. dataset: pictures with captions; the rendered world if None."""

    name = "image-encoder"

    def __init__(
        self, texts: TextConditioning, preset: Preset, dataset: Dataset | None = None, device: torch.device = CPU
    ) -> None:
        self.texts, self.preset, self.schedule, self.dataset = texts, preset, preset.schedule, dataset
        torch.manual_seed(0)
        self.towers = Towers(preset.vision, meaning(texts, [""]).shape[1])
        self.trained: nn.Module = self.towers
        nn.Module.to(self.trained, device)
        self.device = device

    def loss(self, batch: int, rng: Random) -> Tensor:
        pictures, captions, scenes = self.examples(batch, rng)
        size = self.preset.vision["image_size"]
        pixels = torch.cat([pixel_values(picture, size) for picture in pictures]).to(self.device)
        logits, places = self.towers(pixels, meaning(self.texts, captions))
        own = torch.arange(batch, device=self.device)
        loss = (F.cross_entropy(logits.float(), own) + F.cross_entropy(logits.T.float(), own)) / 2
        if scenes and self.preset.placing:
            covered = torch.stack([torch.from_numpy(cover(scene, places.shape[1])) for scene in scenes]).to(places)
            loss = loss + self.preset.placing * F.binary_cross_entropy_with_logits(places, covered)
        return loss

    def examples(self, batch: int, rng: Random) -> tuple[list[Image.Image], list[str], list[Scene]]:
        """Pictures and a caption of each, and the scenes if they are rendered."""
        if self.dataset is not None:
            picked = [framed(pick(self.dataset, rng), self.preset.side, rng) for _ in range(batch)]
            return [example.picture for example in picked], [caption_of(example, rng) for example in picked], []
        scenes: list[Scene] = []
        while len(scenes) < batch:
            scene = sample_scene(rng)
            scenes += (scene, near_miss(scene, rng))
        scenes = scenes[:batch]
        captions = [write_caption(scene, rng.choice(LANGUAGES), rng, full=rng.random() < 0.8).text for scene in scenes]
        return [self.shown(scene, rng) for scene in scenes], captions, scenes

    def shown(self, scene: Scene, rng: Random) -> Image.Image:
        """A scene's picture, worn or not."""
        picture = to_picture(render(scene, self.preset.side))
        return worn(picture, rng) if rng.random() < self.preset.worn else picture

    def figures(self) -> Mapping[str, float]:
        """Of held-out scenes: how often the right background, colour or shape is nearer to the picture than all others."""
        return named(self.encoder, self.towers.text, self.texts, 64)

    def sheet(self) -> Image.Image:
        """Rows: a held-out picture, and what of a hundred others the encoder takes for most like it."""
        rng = Random(_HELD_OUT)
        pictures = [to_picture(render(sample_scene(rng), SIDE)) for _ in range(100)]
        asked = [to_picture(render(sample_scene(rng, objects=1, unseen=True), SIDE)) for _ in range(6)]
        known, new = (F.normalize(self.encoder_of(each), dim=1) for each in (pictures, asked))
        nearest = (new @ known.T).topk(5, dim=1).indices.tolist()
        return tiled([[one, *(pictures[index] for index in row)] for one, row in zip(asked, nearest, strict=True)])

    @property
    def encoder(self) -> PictureEncoder:
        """What is trained, as the engine's pipelines take it."""
        return PictureEncoder(self.towers.vision, self.preset.vision["image_size"])

    def encoder_of(self, pictures: Sequence[Image.Image]) -> Tensor:
        """Embeddings (B, C)."""
        return embedded(self.encoder, pictures)

    def write(self, folder: Path, steps: int) -> Mapping[str, str]:
        """The vision tower as the engine reads it; the text head is thrown away."""
        vision = self.towers.vision
        vision.config.architectures = [type(vision).__name__]
        write_text(folder / FOLDER / "config.json", vision.config.to_json_string(use_diff=False))
        settings = {"recipe": self.name, "steps": steps}
        return {FOLDER: save_tensors(folder / FOLDER / "model.safetensors", vision.state_dict(), settings)}


def frozen(
    cache: Path, preset: str, texts: TextConditioning, family: str, weights: Path | None, device: torch.device
) -> PictureEncoder:
    """The encoder of the run in `cache`, or else of the family's folder. Raises: DataError if there is neither."""
    sizes = PRESETS[preset].vision
    towers = Towers(sizes, meaning(texts, [""]).shape[1])
    try:
        load_average(cache, ImageEncoderRecipe.name, towers)
    except FileNotFoundError:
        try:
            return parts_of(family, weights, device).picture_encoder()
        except EngineError as error:
            raise DataError(f"There is no run of {ImageEncoderRecipe.name} in {cache}; train it first. ({error})") from error
    nn.Module.to(towers, device)
    return PictureEncoder(towers.vision.eval().requires_grad_(False), sizes["image_size"])


def embedded(encoder: PictureEncoder, pictures: Sequence[Image.Image]) -> Tensor:
    """Embeddings (B, C) of RGB pictures, one each."""
    pixels = torch.cat([pixel_values(picture, encoder.size) for picture in pictures])
    with torch.no_grad():
        found: Tensor = encoder.network(pixels.to(encoder.network.device, encoder.network.dtype)).image_embeds
    return found.float()


@torch.no_grad()
def meaning(texts: TextConditioning, captions: Sequence[str]) -> Tensor:
    """What the frozen text encoder says of captions: the mean over its tokens (B, C)."""
    device = texts.null_embedding.device
    rows = [texts.tokenizer.encode(caption).ids for caption in captions]
    whole = max(map(len, rows))
    ids = torch.tensor([row + [0] * (whole - len(row)) for row in rows], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (whole - len(row)) for row in rows], device=device)
    states: Tensor = texts.text_encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    return ((states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)).float()


def cover(scene: Scene, cells: int) -> Floats:
    """How much of each cell objects cover: (cells, cells) in [0, 1]."""
    covered: Floats = np.maximum.reduce([coverage(piece, cells) for piece in scene.pieces])
    return covered


def named(encoder: PictureEncoder, head: nn.Module, texts: TextConditioning, count: int) -> dict[str, float]:
    """Share of held-out scenes of one object for which the right caption is the nearest of all that differ in one word."""
    right = {"background": 0, "colour": 0, "shape": 0}
    for index in range(count):
        rng = Random(_HELD_OUT + index)
        scene = sample_scene(rng, objects=1, unseen=True)
        (picture,) = F.normalize(embedded(encoder, [to_picture(render(scene, SIDE))]), dim=1)
        piece = scene.pieces[0]
        own = {"background": scene.background, "colour": piece.colour, "shape": piece.shape}
        for kind, words in {"background": COLOURS, "colour": COLOURS, "shape": SHAPES}.items():
            said = [_sentence(own | {kind: word}) for word in words]
            with torch.no_grad():
                near = F.normalize(head(meaning(texts, said)), dim=1) @ picture
            right[kind] += words[int(near.argmax())] == own[kind]
    return {f"{kind}_right": found / count for kind, found in right.items()}


def _sentence(things: Mapping[str, str]) -> str:
    colour, shape, background = (ENGLISH_WORDS[things[kind]][0] for kind in ("colour", "shape", "background"))
    return f"{colour} {shape} on {background} background"
