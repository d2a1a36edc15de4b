"""The families of weights as data: what each serves, with which defaults, from where and under which licence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from types import MappingProxyType
from typing import Literal

from engine import nano_world
from engine.requests import (
    MAX_PICTURES,
    SCALES,
    Beautify,
    ImageToImage,
    Inpaint,
    KeepOutline,
    Mix,
    Outpaint,
    Refine,
    Regions,
    TextToImage,
    Translate,
    Upscale,
    Variation,
)

TextPath = Literal["official", "official-wordless", "diffusers", "fork", "fork-outline"]
PredictionType = Literal["epsilon", "v_prediction"]
Size = tuple[int, int]  # width, height in pixels


@dataclass(frozen=True)
class UNetWeights:
    """Where a UNet and the projection and null embedding trained with it lie in the family's folder.

    text_path: how its texts are prepared, if not as the family's (shared/engine-facts.md 3.4).  merged: what counts instead where
    it is there: the UNet that an adapter was published with, if that is not the family's own.
    """

    unet: str = "unet"
    conditioning: str = "conditioning.safetensors"
    text_path: TextPath | None = None
    merged: "UNetWeights | None" = None


@dataclass(frozen=True)
class MemoryPlan:
    """One way to hold the weights on an accelerator; a CPU runs float32 and holds all that it loads.

    gigabytes: that networks and their work may take together; those that do not fit beside each other wait in the CPU's memory.
    dtype: of UNet and text encoder.  text_bits, language_bits: of those encoders' weights, if fewer.  tiled_above: pixels from
    which pictures are decoded in tiles.  windows: of super-resolution, at most, at once.
    """

    name: str
    dtype: Literal["float32", "bfloat16"]
    gigabytes: float
    text_bits: Literal[8, 4] | None = None
    language_bits: Literal[8, 4] | None = None
    tiled_above: int = 2048 * 1024
    windows: int = 15

    def __str__(self) -> str:
        text = f"text encoder in {self.text_bits} bits" if self.text_bits else f"text encoder in {self.dtype}"
        return f"plan {self.name} (at most {self.gigabytes:g} GB: UNet in {self.dtype}, {text}, {self.windows} windows at once)"


@dataclass(frozen=True)
class SizeLimits:
    """Any multiples of 64 within these limits are drawn, beside the sizes that menus offer."""

    shortest: int
    longest: int
    largest_area: int

    def allow(self, width: int, height: int) -> bool:
        """Whether a picture of this size is drawn."""
        short, long = sorted((width, height))
        even = width % 64 == 0 and height % 64 == 0
        return even and self.shortest <= short and long <= self.longest and width * height <= self.largest_area

    def __str__(self) -> str:
        area = self.largest_area / 1e6
        return f"multiples of 64 from {self.shortest} to {self.longest} with at most {area:.1f} megapixels"


@dataclass(frozen=True, eq=False)  # one instance per family; mappings have no hash
class Family:
    """A set of weights that serves requests.

    kinds: of requests.  lanes: that workers can load.  unets: by use, such as "flash", "inpaint", "picture".  sizes: (width,
    height) that menus offer.  free_sizes: what is drawn beside them.  languages: of prompts.  small_world: prompts are limited to
    the words of `nano_world`.  text_path: how its text conditioning was trained (shared/engine-facts.md 3).  threshold,
    inpaint_threshold: quantile of dynamic thresholding in the base sampler.  guidance_scales: by kind of request, where a kind's
    own does not suit it.  weights: a hub repository, "package", or "" if none are published.  mend: what to do when they are
    missing or damaged.  scales: by which it enlarges.
    """

    name: str
    title: str
    kinds: tuple[str, ...]
    lanes: tuple[str, ...]
    unets: Mapping[str, UNetWeights]
    sizes: tuple[Size, ...]
    default_size: Size
    languages: tuple[str, ...]
    text_path: TextPath
    prediction_type: PredictionType
    weights: str
    licence: str
    memory: tuple[MemoryPlan, ...]
    mend: str
    examples: Mapping[str, tuple[str, ...]]
    more_examples: Mapping[str, tuple[str, ...]]
    free_sizes: SizeLimits | None = None
    small_world: bool = False
    num_inference_steps: int = 50
    guidance_scale: float = 3.0
    eta: float = 1.0
    threshold: float = 0.99
    inpaint_threshold: float = 0.95
    guidance_scales: Mapping[str, float] = field(default_factory=dict)
    max_pictures: int = MAX_PICTURES
    scales: tuple[int, ...] = SCALES

    @property
    def areas(self) -> tuple[int, int]:
        """The smallest and the largest area, in pixels, that its networks were trained for."""
        areas = [width * height for width, height in self.sizes]
        return min(areas), max(areas)


# Training went from 256 to sides of 768 to 1024; beyond a megapixel a picture is drawn as overlapping windows of that size.
_TRAINED = tuple(product(range(768, 1025, 64), range(768, 1025, 64)))
_FREE = SizeLimits(shortest=256, longest=8192, largest_area=8192 * 1024)

# A card's own gigabytes, less a tenth for its context and fragments. The text encoder takes 17.4 GB, 8.9 in 8 bits, 4.9 in 4;
# each UNet 6.1; the autoencoder 1.1 and 4.4 while it decodes a megapixel (shared/performance.md 2b).
_WHOLE = 1024 * 1280  # pixels: a megapixel whose sides were rounded up to multiples of 64 is still drawn and decoded in one
_PLANS = (
    MemoryPlan("8gb", "bfloat16", 7.0, text_bits=4, language_bits=4, tiled_above=_WHOLE, windows=1),
    MemoryPlan("12gb", "bfloat16", 10.8, text_bits=8, language_bits=8, tiled_above=_WHOLE, windows=4),
    MemoryPlan("16gb", "bfloat16", 14.4, text_bits=8, language_bits=8, tiled_above=_WHOLE, windows=8),
    MemoryPlan("24gb", "bfloat16", 21.6, text_bits=8, language_bits=8, tiled_above=_WHOLE),
    MemoryPlan("48gb", "bfloat16", 43.0, language_bits=4),
    MemoryPlan("80gb", "bfloat16", 72.0),
)

_BIG_EXAMPLES = MappingProxyType(
    {
        "en": (
            "A cat in glasses at a computer",
            "Lego figure at the waterfall",
            "A red apple on a wooden table, soft morning light",
            "An old lighthouse in a storm, oil painting",
        )
    }
)

_MORE_BIG_EXAMPLES = MappingProxyType(
    {
        "en": (
            "A paper boat in a puddle, autumn leaves, evening",
            "A fox asleep in a hammock, watercolour",
            "A small house under the northern lights",
            "A teapot in the shape of an elephant, studio photo",
        )
    }
)

NANO = Family(
    name="kandinsky-nano",
    title="Kandinsky nano",
    kinds=tuple(
        each.kind
        for each in (
            TextToImage,
            ImageToImage,
            Variation,
            Mix,
            Inpaint,
            Outpaint,
            KeepOutline,
            Upscale,
            Beautify,
            Translate,
        )
    ),
    lanes=("flash", "base", "edit", "upscale", "language"),
    unets=MappingProxyType(
        {
            "flash": UNetWeights(),  # the same UNet in four steps
            "base": UNetWeights(),
            "picture": UNetWeights(text_path="official-wordless"),
            "outline": UNetWeights(),
            "inpaint": UNetWeights("unet_inpainting", "conditioning_inpainting.safetensors"),
        }
    ),
    sizes=((128, 128),),
    default_size=(128, 128),
    languages=("en", "ru"),
    text_path="official",
    prediction_type="v_prediction",
    weights="package",
    licence="Apache-2.0",
    memory=(MemoryPlan("full", "float32", 0.1),),
    mend="install kandinsky-bot again, or restore engine/data/kandinsky-nano from git",
    small_world=True,
    guidance_scale=0.5,  # measured: more bends the outlines (training/README.md)
    guidance_scales=MappingProxyType(
        dict.fromkeys((each.kind for each in (ImageToImage, Inpaint, Outpaint, Variation, Mix, KeepOutline)), 0.5)
    ),
    scales=(4,),
    examples=nano_world.EXAMPLES,
    more_examples=nano_world.MORE_EXAMPLES,
)

KANDINSKY_3_1 = Family(
    name="kandinsky-3.1",
    title="Kandinsky 3.1",
    kinds=tuple(
        each.kind
        for each in (
            TextToImage,
            ImageToImage,
            Refine,
            Variation,
            Mix,
            Inpaint,
            Outpaint,
            KeepOutline,
            Regions,
            Upscale,
            Beautify,
            Translate,
        )
    ),
    lanes=("flash", "base", "edit", "upscale", "language"),
    unets=MappingProxyType(
        {
            "flash": UNetWeights("unet_flash", "conditioning_flash.safetensors"),
            "base": UNetWeights("unet", "conditioning.safetensors"),
            "inpaint": UNetWeights("unet_inpainting", "conditioning_inpainting.safetensors"),
            "picture": UNetWeights(  # adapters lie apart
                "unet",
                "conditioning.safetensors",
                text_path="fork",
                merged=UNetWeights("picture_prompt_unet", "conditioning_picture_prompt.safetensors", text_path="fork"),
            ),
            "outline": UNetWeights("unet", "conditioning.safetensors", text_path="fork-outline"),
        }
    ),
    sizes=_TRAINED,
    default_size=(1024, 1024),
    free_sizes=_FREE,
    languages=("en",),
    text_path="official",
    prediction_type="epsilon",
    weights="ai-forever/Kandinsky3.1",
    licence="Apache-2.0",
    memory=_PLANS,
    mend="fetch them with: kandinsky-bot weights fetch kandinsky-3.1 (Flash alone: --lanes flash)",
    examples=_BIG_EXAMPLES,
    more_examples=_MORE_BIG_EXAMPLES,
)

KANDINSKY_3_0 = Family(
    name="kandinsky-3.0",
    title="Kandinsky 3.0",
    kinds=tuple(each.kind for each in (TextToImage, ImageToImage, Regions)),  # the hub folder holds no inpainting UNet
    lanes=("base",),
    unets=MappingProxyType({"base": UNetWeights(conditioning="unet")}),  # the projection lies inside of the UNet
    sizes=_TRAINED,
    default_size=(1024, 1024),
    free_sizes=_FREE,
    languages=("en",),
    text_path="diffusers",
    prediction_type="epsilon",
    weights="kandinsky-community/kandinsky-3",
    licence="Apache-2.0",
    memory=_PLANS,
    mend="fetch them with: kandinsky-bot weights fetch kandinsky-3.0",
    examples=_BIG_EXAMPLES,
    more_examples=_MORE_BIG_EXAMPLES,
)

# The article names about a billion parameters and FLAN-T5-XL, and no sizes: these keep 3.1's proportions and count 0.95 billion.
SMALL_UNET: Mapping[str, int | tuple[int, ...]] = MappingProxyType(
    {
        "block_out_channels": (256, 512, 1024, 2048),
        "layers_per_block": 2,
        "time_embedding_dim": 1024,
        "cross_attention_dim": 2048,
    }
)
SMALL_TEXT_WIDTH = 2048  # of FLAN-T5-XL

KANDINSKY_3_1_SMALL = Family(
    name="kandinsky-3.1-small",
    title="Kandinsky 3.1 Small",
    kinds=tuple(each.kind for each in (TextToImage, ImageToImage, Regions)),
    lanes=("base",),
    unets=MappingProxyType({"base": UNetWeights()}),
    sizes=_TRAINED,
    default_size=(1024, 1024),
    free_sizes=_FREE,
    languages=("en",),
    text_path="official",
    prediction_type="epsilon",
    weights="",
    licence="that of your weights",
    memory=(MemoryPlan("8gb", "bfloat16", 7.0, windows=2), MemoryPlan("16gb", "bfloat16", 14.5)),
    mend="bring your weights: none are published; put yours into kandinsky-bot/weights/kandinsky-3.1-small of ~/.local/share",
    examples=_BIG_EXAMPLES,
    more_examples=_MORE_BIG_EXAMPLES,
)

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {each.name: each for each in (NANO, KANDINSKY_3_1, KANDINSKY_3_0, KANDINSKY_3_1_SMALL)}
)
