"""The networks that pipelines share: each is read from the family's folder when it is first asked for, and kept."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn

from engine.conditioning import (
    DiffusersTextConditioning,
    ForkTextConditioning,
    OutlineTextConditioning,
    TextConditioning,
    WordlessTextConditioning,
)
from engine.families import MemoryPlan, PredictionType, TextPath, UNetWeights
from engine.lora import Lora, Merged
from engine.models.controlnet import Kandinsky3ControlNet
from engine.models.hed import HED
from engine.models.movq import MoVQ
from engine.models.picture_prompt import PicturePrompt
from engine.models.t5 import T5Encoder
from engine.models.unet import Kandinsky3UNet
from engine.picture_encoder import PictureEncoder
from engine.quantisation import quantise
from engine.residency import Residency, Visitor
from engine.safety.judge import PictureJudge
from engine.weights import Folder, settings

_LATENT_AREA = 64  # pixels per latent
LATENT_MULTIPLE = 8  # sides of latents are multiples of it
_HUB_PROJECTION = "encoder_hid_proj."  # checkpoints in diffusers' layout keep the projection inside of the UNet
_UNET_WORK, _MOVQ_WORK, _TEXT_WORK = 0.9, 4.4, 0.3  # gigabytes beside the weights, for a megapixel (shared/performance.md 2b)
_T5_TIED = "encoder.embed_tokens."  # a second name of the first tensor, in files that some versions of transformers wrote
_CLIP_POSITIONS = "vision_model.embeddings.position_ids"
_FORK_PATHS: Mapping[str, type[ForkTextConditioning]] = {"fork": ForkTextConditioning, "fork-outline": OutlineTextConditioning}
Part = TypeVar("Part")


@dataclass(frozen=True)
class Networks:
    """What a pipeline draws with. `dtype` is the UNet's; the decoder and the sampler's state are float32.

    areas: the smallest and the largest, in pixels, that the networks were trained for.  tiled_above: pixels of a picture that is
    decoded in tiles.
    """

    conditioning: TextConditioning
    unet: Kandinsky3UNet
    movq: MoVQ
    prediction_type: PredictionType
    threshold: float
    areas: tuple[int, int]
    device: torch.device
    dtype: torch.dtype
    tiled_above: int

    def window(self, height: int, width: int) -> tuple[int, int]:
        """The part of a picture (h, w), in latents, that one pass draws: all, unless it is more than a quarter too large."""
        largest = self.areas[1] // _LATENT_AREA
        side = math.isqrt(largest) // LATENT_MULTIPLE * LATENT_MULTIPLE
        return (height, width) if 4 * height * width <= 5 * largest else (min(height, side), min(width, side))


class Components:
    """A family's networks on one device, by what they are. A missing one is a WeightsError of the pipeline that needs it."""

    def __init__(self, folder: Folder, device: torch.device, dtype: torch.dtype, plan: MemoryPlan | None = None) -> None:
        self.folder = folder
        self.family = folder.family
        self.device = device
        self.dtype = dtype
        self.plan = plan or folder.family.memory[-1]
        self.residency = Residency(device, self.plan.gigabytes)
        self.judge: PictureJudge | None = None  # the installation's own, if not the family's
        self._parts: dict[object, Any] = {}
        self._loras: Sequence[Lora] = ()
        self._merged: dict[str, Merged] = {}

    def once(self, key: object, load: Callable[[], Part]) -> Part:
        """The part of this key, loaded when it is first asked for."""
        if key not in self._parts:
            self._parts[key] = load()
        part: Part = self._parts[key]
        return part

    def use_loras(self, loras: Sequence[Lora]) -> None:
        """Merge these, and no others, into all UNets: those that are loaded now, and the rest when they are.

        Raises: WeightsError for one of another model; the UNets are then without any.
        """
        loaded = {place.unet: self._parts[place.unet] for place in self._places() if place.unet in self._parts}
        for merged in self._merged.values():
            merged.take_out()
        self._merged, self._loras = {}, ()
        merged_now = {name: Merged(unet, loras) for name, unet in loaded.items()} if loras else {}
        self._merged, self._loras = merged_now, loras

    def check_loras(self) -> None:
        """Merge the LoRAs into one UNet at least: a lane that loads its own only when asked would refuse them then.

        Raises: WeightsError for one of another model.
        """
        there = [place for place in self._places() if (self.folder.path / place.unet).is_dir()]
        if self._loras and there and not self._merged:
            self.unet(there[0])

    def _places(self) -> list[UNetWeights]:
        return [self._place(use) for use in self.family.unets]

    def drawing(self, use: str) -> Networks:
        """UNet, text path and decoder for a use that the family names: "flash", "base" or "inpaint"."""
        place = self._place(use)
        threshold = self.family.inpaint_threshold if use == "inpaint" else self.family.threshold
        return Networks(
            self.conditioning(place),
            self.unet(place),
            self.movq(),
            self.family.prediction_type,
            threshold,
            self.family.areas,
            self.device,
            self.dtype,
            self.plan.tiled_above,
        )

    def _place(self, use: str) -> UNetWeights:
        place = self.family.unets[use]
        return place.merged if place.merged and (self.folder.path / place.merged.unet).is_dir() else place

    def unet(self, place: UNetWeights) -> Kandinsky3UNet:
        """A UNet, settled; uses whose tensors lie in the same folder share it."""

        def load() -> Kandinsky3UNet:
            # the text path projects before it zeroes the pads, so the UNet must not project; inpainting reads 9 channels
            config = {"encoder_hid_dim": None, "out_channels": 4}
            unused = (_HUB_PROJECTION,) if self._text_path(place) == "diffusers" else ()
            unet: Kandinsky3UNet = self._latent_network(place.unet, Kandinsky3UNet, self.dtype, config, unused)
            if self._loras:
                self._merged[place.unet] = Merged(unet, self._loras)
            unet.settle()
            self.residency.visit(Visitor(unet, _UNET_WORK, unet.pack, unet.unpack), "forward", "prepare", "denoise")
            return unet

        return self.once(place.unet, load)

    def movq(self) -> MoVQ:
        """The autoencoder, float32."""

        def load() -> MoVQ:
            movq: MoVQ = self._latent_network("movq", MoVQ, torch.float32, unused=("quantize.",))
            self.residency.visit(Visitor(movq, _MOVQ_WORK * self.plan.tiled_above / 2**20), "encode", "decode")
            return movq

        return self.once("movq", load)

    def controlnet(self) -> Kandinsky3ControlNet:
        """The outline network, settled."""

        def load() -> Kandinsky3ControlNet:
            controlnet: Kandinsky3ControlNet = self._latent_network("controlnet", Kandinsky3ControlNet, self.dtype)
            controlnet.settle()
            visitor = Visitor(controlnet, _UNET_WORK, controlnet.pack, controlnet.unpack)
            self.residency.visit(visitor, "forward", "prepare", "hint_features", "residuals")
            return controlnet

        return self.once("controlnet", load)

    def picture_prompt(self) -> PicturePrompt:
        """The adapter's own weights."""

        def load() -> PicturePrompt:
            adapter: PicturePrompt = self._latent_network("picture_prompt", PicturePrompt, self.dtype)
            return adapter

        return self.once("picture_prompt", load)

    def picture_encoder(self) -> PictureEncoder:
        """CLIP's image encoder, which reads the pictures of picture prompts."""

        def load() -> PictureEncoder:
            unused = (_CLIP_POSITIONS,)  # old checkpoints hold them
            network = self.folder.module("image_encoder", _image_encoder, self.dtype, self.waiting, unused=unused)
            encoder = PictureEncoder(network, network.config.image_size)
            self.residency.visit(Visitor(network, _TEXT_WORK), "embeds", "nothing", owner=encoder)
            return encoder

        return self.once("image_encoder", load)

    def edge_detector(self) -> HED:
        """The network that finds outlines, float32: it reads 0..255."""

        def load() -> HED:
            detector: HED = self.folder.module("hed", lambda config: HED(**settings(HED, config)), torch.float32, self.device)
            return detector

        return self.once("hed", load)

    def text_encoder(self) -> T5Encoder:
        """The T5 encoder, which all text paths share, in as few bits as the plan says."""

        def load() -> T5Encoder:
            bits = self.plan.text_bits
            stored = None if bits else self.dtype  # in few bits, layer by layer from the mapped file
            encoder: T5Encoder = self.folder.module("text_encoder", _text_encoder, stored, self.waiting, unused=(_T5_TIED,))
            if bits:
                quantise(encoder, bits, self.device, self.dtype)
                nn.Module.to(encoder, self.waiting)
            self.residency.visit(Visitor(encoder, _TEXT_WORK), "forward")
            return encoder

        return self.once("text_encoder", load)

    @property
    def waiting(self) -> torch.device:
        """Where networks that visit the device are when they are not there."""
        return torch.device("cpu") if self.residency.takes_turns else self.device

    def conditioning(self, place: UNetWeights) -> TextConditioning:
        """The text path that a UNet was trained with."""
        path = self._text_path(place)
        load = self._hub_conditioning if path == "diffusers" else self._official_conditioning
        return self.once((place.conditioning, path), lambda: load(place.conditioning, path))

    def _text_path(self, place: UNetWeights) -> TextPath:
        return place.text_path or self.family.text_path

    def _official_conditioning(self, name: str, path: TextPath) -> TextConditioning:
        tensors = self.folder.tensors(name, self.dtype)
        try:
            projection = _projection(tensors, "projection")
            null_embedding = tensors["null_embedding"].reshape(len(tensors["projection.weight"]))
        except (KeyError, ValueError, RuntimeError) as error:
            file = self.folder.path / name
            raise self.folder.broken(f"{file} does not hold a projection and a null_embedding that fit") from error
        tokenizer, encoder = self.folder.tokenizer(), self.text_encoder()
        if path in _FORK_PATHS:
            return _beside(_FORK_PATHS[path](tokenizer, encoder, projection), self.device)
        official = WordlessTextConditioning if path == "official-wordless" else TextConditioning
        return _beside(official(tokenizer, encoder, projection, null_embedding), self.device)

    def _hub_conditioning(self, name: str, path: TextPath) -> TextConditioning:
        tensors = self.folder.tensors(name, self.dtype, _HUB_PROJECTION)
        try:
            projection = _projection(tensors, "projection_linear")
        except (KeyError, ValueError, RuntimeError) as error:
            file = self.folder.path / name
            raise self.folder.broken(f"{file} does not hold a projection {_HUB_PROJECTION} that fits") from error
        conditioning = DiffusersTextConditioning(self.folder.tokenizer(), self.text_encoder(), projection)
        return _beside(conditioning, self.device)

    def _latent_network(
        self,
        name: str,
        network: type[nn.Module],
        dtype: torch.dtype,
        config: dict[str, Any] | None = None,
        unused: tuple[str, ...] = (),
    ) -> Any:
        """One of our own networks, in channels-last layout.  config: what counts more than its file."""

        def build(stored: dict[str, Any]) -> nn.Module:
            return network(**settings(network, stored) | (config or {}))

        module = self.folder.module(name, build, dtype, self.waiting, unused=unused)
        return module.to(memory_format=torch.channels_last)


def _beside(conditioning: TextConditioning, device: torch.device) -> TextConditioning:
    """The same with all but the text encoder, which comes and goes, on the device."""
    conditioning.projection.to(device)
    conditioning.null_embedding = conditioning.null_embedding.to(device)
    return conditioning.eval().requires_grad_(False)


def _projection(tensors: dict[str, torch.Tensor], linear: str) -> nn.Sequential:
    """Linear of this name, without bias, then LayerNorm."""
    width_out, width_in = tensors[f"{linear}.weight"].shape
    with torch.device("meta"):
        projection = nn.Sequential(nn.Linear(width_in, width_out, bias=False), nn.LayerNorm(width_out))
    parts = {"0.weight": f"{linear}.weight", "1.weight": "projection_norm.weight", "1.bias": "projection_norm.bias"}
    projection.load_state_dict({own: tensors[stored] for own, stored in parts.items()}, assign=True)
    return projection


def _text_encoder(config: dict[str, Any]) -> T5Encoder:
    return T5Encoder(**settings(T5Encoder, config))


def _image_encoder(config: dict[str, Any]) -> Any:
    # here: importing transformers' models takes two seconds, and picture prompts alone need one
    from transformers.models.clip.configuration_clip import CLIPVisionConfig
    from transformers.models.clip.modeling_clip import CLIPVisionModelWithProjection

    encoder = CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(config))
    embeddings = encoder.vision_model.embeddings
    # in no checkpoint, so it is made here, and not on the device without memory where the rest is built
    embeddings.position_ids = torch.arange(embeddings.num_positions, device="cpu")[None]
    return encoder
