"""Our engine with random weights, made on the device by the engine's own loading, so that it has the engine's own precision."""

import math
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from torch import Tensor, nn

from benchmarks.gpu.clock import Ceilings, ceilings, reason, release
from benchmarks.gpu.sizes import Sizes
from benchmarks.gpu.table import Row
from benchmarks.gpu.theirs import Theirs
from engine.components import Components, Networks
from engine.engine import Engine
from engine.families import MemoryPlan
from engine.models.movq import MoVQ
from engine.outcomes import Drawn, ignore
from engine.pipelines.text_to_image import TextToImagePipeline
from engine.requests import TextToImage
from engine.watch import Watch
from engine.weights import Folder

# How far from 1 / sqrt(inputs) weights spread, by the end of their names: so that random networks behave like trained ones, whose
# numbers neither grow from step to step nor let attention look at one place alone.
_SPREAD = {
    "conv_out.weight": 0.3,
    "out_conv.weight": 0.3,
    "context_mlp.1.weight": 0.3,
    "conv_y.weight": 0.02,
    "conv_b.weight": 0.02,
    "SelfAttention.q.weight": 0.1,
}
_NEVER_UNSAFE = 0.999  # thresholds of the safety checker


class RandomFolder(Folder):
    """A family's folder whose files were never written: every tensor is random, and the same each time."""

    def __init__(self, sizes: Sizes, device: torch.device, dtype: torch.dtype) -> None:
        self.family = sizes.family
        self.path = Path("random")
        self._configs = sizes.configs
        self._device = device
        self._dtype = dtype

    def module(
        self,
        name: str,
        build: Callable[[Any], Any],
        dtype: torch.dtype | None,
        device: torch.device,
        unused: tuple[str, ...] = (),
        rename: Callable[[str], str] = str,
    ) -> Any:
        """Build one network and fill it, tensor by tensor; where only shapes are wanted, these stay on the meta device."""
        device = torch.device("meta") if self._device.type == "meta" else device
        with torch.device("meta"):
            module = build(dict(self._configs[name]))
        made = {
            key: self._random(f"{name}.{key}", value.shape, dtype or self._dtype).to(device)
            for key, value in module.state_dict().items()
        }
        module.load_state_dict(made, assign=True)
        return module.to(device).eval().requires_grad_(False)

    def tensors(self, name: str, dtype: torch.dtype | None, prefix: str = "") -> dict[str, Tensor]:
        """A text projection with its null embedding, or the refiner's context."""
        width, encoder = (self._configs[part] for part in ("unet", "text_encoder"))
        channels = int(width.get("cross_attention_dim", 4096))
        shapes: dict[str, tuple[int, ...]] = {
            "projection.weight": (channels, int(encoder["d_model"])),
            "projection_norm.weight": (channels,),
            "projection_norm.bias": (channels,),
            "null_embedding": (channels,),
        }
        if name.startswith("refiner"):
            shapes = {"context": (1, 128, channels)}
        made = {key: self._random(f"{name}.{key}", shape, dtype or self._dtype) for key, shape in shapes.items()}
        if "context" in made:
            made["context_mask"] = torch.arange(128)[None] < 1
        return made

    def tokenizer(self, name: str = "tokenizer") -> Tokenizer:
        """Of a language in which every word is one token: w3, w4 and so on."""
        config = self._configs["language_model" if name == "language_model" else "text_encoder"]
        special = ["<unk>", "<s>", "</s>"] if name == "language_model" else ["<pad>", "</s>", "<unk>"]
        words = special + [f"w{index}" for index in range(len(special), int(config["vocab_size"]))]
        tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))  # noqa: S106
        tokenizer.pre_tokenizer = Whitespace()
        if name != "language_model":
            tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
        return tokenizer

    def _random(self, name: str, shape: torch.Size | tuple[int, ...], dtype: torch.dtype) -> Tensor:
        generator = torch.Generator(self._device).manual_seed(zlib.crc32(name.encode()))
        normal = torch.empty(shape, dtype=dtype, device=self._device).normal_(generator=generator)
        if name.endswith("embeds_weights"):
            return torch.full_like(normal, _NEVER_UNSAFE)
        if len(shape) > 1:
            spread = next((share for end, share in _SPREAD.items() if name.endswith(end)), 1.0)
            return normal.mul_(spread / math.sqrt(math.prod(shape[1:])))
        middle = 1.0 if name.endswith((".weight", "conv_y.bias")) else 0.0
        return normal.mul_(0.1).add_(middle)


class Rig:
    """What all rows share: our networks, loaded when a row first needs them, and the baselines with the same weights."""

    def __init__(self, sizes: Sizes, device: torch.device, compiled: bool = False) -> None:
        self.sizes = sizes
        self.device = device
        self.ways = ("O", "O16", "D", "DC") if compiled else ("O", "O16", "D")
        self.dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
        self._parts: Components | None = None
        self._theirs: dict[tuple[str, int], Theirs] = {}

    @cached_property
    def ceilings(self) -> Ceilings:
        """Of this device."""
        return ceilings(self.device, self.sizes.product, self.sizes.copied)

    @property
    def parts(self) -> Components:
        """Our networks."""
        if self._parts is None:
            self._parts = components(self.sizes, self.device, self.dtype)
        return self._parts

    @property
    def engine(self) -> Engine:
        """The engine over them, all lanes; for a row to keep while it runs."""
        return Engine(self.parts, self.sizes.family.lanes, "random")

    def theirs(self, way: str, networks: Networks) -> Theirs:
        """A baseline with the weights of these networks of ours."""
        key = way, id(networks.unet)
        if key not in self._theirs:
            self._theirs[key] = Theirs.like(networks, way)
        return self._theirs[key]

    def drop_baselines(self) -> None:
        """Give their memory back."""
        self._theirs.clear()
        release(self.device)

    def drop(self) -> None:
        """Give all memory back."""
        self._parts = None
        self.drop_baselines()

    def prompt(self, words: int | None = None) -> str:
        """So many words of the tokenizers' language."""
        return " ".join(f"w{3 + index % 60}" for index in range(words or self.sizes.words))

    def text_to_image(self, flash: bool, side: int | None = None, pictures: int = 1) -> TextToImage:
        """A request for a square picture."""
        side = side or self.sizes.side
        return TextToImage(
            self.prompt(),
            seed=1,
            width=side,
            height=side,
            num_images_per_prompt=pictures,
            flash=flash,
            num_inference_steps=self.sizes.steps,
            guidance_scale=3.0,
            family=self.sizes.family.name,
        )

    def attempt(self, name: str, what: str, make: Callable[[], Row]) -> Row:
        """The row that is made, or one that says why there is none."""
        try:
            return make()
        except Exception as error:  # whatever it is, the next row may do
            row = Row(name, what, failed=reason(error))
        release(self.device)  # outside of the handler: the error's frames hold tensors
        return row

    def draw(self, request: TextToImage) -> Drawn:
        """From the prompt to 8-bit pixels on the host, as the engine's pipeline does it; nobody judges the picture."""
        watch = Watch(ignore, self.device)
        watch.begin(0)
        return TextToImagePipeline(self.parts.drawing(request.lane))(request, {}, watch)

    def photo(self, width: int, height: int | None = None) -> Image.Image:
        """Soft blobs of colour."""
        levels = np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8)
        return Image.fromarray(levels).resize((width, height or width), Image.Resampling.BICUBIC)


def components(sizes: Sizes, device: torch.device, dtype: torch.dtype, plan: MemoryPlan | None = None) -> Components:
    """Our networks on a device, laid out as a memory plan of the family says, its usual one if None."""
    options: dict[str, Any] = {} if plan is None else {"plan": plan}
    return Components(RandomFolder(sizes, device, dtype), device, dtype, **options)


@contextmanager
def decoded(movq: MoVQ) -> Iterator[list[Tensor]]:
    """Everything that a decoder makes inside, before it is rounded to 8 bits."""
    seen: list[Tensor] = []
    decode = movq.decode

    def remember(latents: Tensor) -> Tensor:
        seen.append(decode(latents))
        return seen[-1]

    movq.decode = remember  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        movq.decode = decode  # type: ignore[method-assign]


def parameter_bytes(network: nn.Module, but: tuple[str, ...] = ()) -> int:
    """Bytes of a network's weights, less those whose names end so."""
    return sum(each.numel() * each.element_size() for name, each in network.named_parameters() if not name.endswith(but))
