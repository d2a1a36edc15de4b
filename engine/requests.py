"""What to draw: frozen requests that serialise to canonical JSON. Pictures are named by media id.

Imports the standard library only, so a bot process can build, check and store requests without loading a network.
A field means the same in every kind of request and has its rule in `engine.request_fields`.
"""

from dataclasses import KW_ONLY, dataclass

from engine.request_base import Request, from_json, image_seed, kind, kinds, new_seed, to_json
from engine.request_fields import (
    HINTS,
    MAX_GUIDANCE,
    MAX_PICTURES,
    MAX_PROMPT,
    MAX_SEED,
    MAX_STEPS,
    MAX_WEIGHT,
    MIN_WEIGHT,
    REFINE_TIMESTEPS,
    SCALES,
    RequestError,
    clean_prompt,
    optional_prompt,
    out_of_range,
)

__all__ = [
    "HINTS",
    "MAX_GUIDANCE",
    "MAX_PICTURES",
    "MAX_PROMPT",
    "MAX_SEED",
    "MAX_STEPS",
    "MAX_WEIGHT",
    "MIN_WEIGHT",
    "REFINE_TIMESTEPS",
    "SCALES",
    "TILES",
    "Beautify",
    "GuidedRequest",
    "ImageToImage",
    "Inpaint",
    "KeepOutline",
    "LanguageRequest",
    "Mix",
    "Outpaint",
    "Refine",
    "Regions",
    "Request",
    "RequestError",
    "TextToImage",
    "Translate",
    "Upscale",
    "Variation",
    "clean_prompt",
    "from_json",
    "image_seed",
    "kind",
    "kinds",
    "new_seed",
    "to_json",
]

TILES = 3
"""Parts of a picture in a row, and rows of them."""

_OPTIONAL_PROMPT = {"prompt": optional_prompt}
_BIG_FAMILY = "kandinsky-3.1"  # the one that serves every kind


@kind("text-to-image")
@dataclass(frozen=True)
class TextToImage(Request):
    """Draw a prompt.

    `flash` takes the four-step sampler, which ignores negative prompt, steps, guidance and eta; they are stored all
    the same, so that "draw carefully" is the same request with `flash=False`. Sizes are pixels; one that is much wider
    than high, or higher than wide, is a panorama. The defaults are those of the default family;
    `catalog.text_to_image` fills in another family's.
    """

    prompt: str
    seed: int
    negative_prompt: str = ""
    width: int = 128
    height: int = 128
    num_images_per_prompt: int = 4
    flash: bool = True
    num_inference_steps: int = 50
    guidance_scale: float = 0.5
    eta: float = 1.0
    family: str = "kandinsky-nano"

    @property
    def lane(self) -> str:
        """The kind of worker that draws it."""
        return "flash" if self.flash else "base"


@dataclass(frozen=True, kw_only=True)
class GuidedRequest(Request):
    """What the kinds that run the base sampler over a guided UNet share."""

    negative_prompt: str = ""
    num_images_per_prompt: int = 1
    num_inference_steps: int = 50
    guidance_scale: float = 3.0
    eta: float = 1.0
    family: str = _BIG_FAMILY

    @property
    def lane(self) -> str:
        """The kind of worker that draws it."""
        return "edit"


@kind("image-to-image")
@dataclass(frozen=True)
class ImageToImage(GuidedRequest):
    """Draw a prompt over a picture, at that picture's size. strength: 0 leaves it, 1 ignores it."""

    image: str
    prompt: str
    seed: int
    _: KW_ONLY
    strength: float = 0.75

    @property
    def lane(self) -> str:
        return "base"


@kind("refine")
@dataclass(frozen=True)
class Refine(Request):
    """Run the late steps of Flash over a picture of the base model, at that picture's size.

    timesteps: 479 and 229, or 229 alone, which changes less.
    """

    image: str
    prompt: str
    seed: int
    _: KW_ONLY
    timesteps: tuple[int, ...] = (479, 229)
    num_images_per_prompt: int = 1
    family: str = _BIG_FAMILY

    @property
    def lane(self) -> str:
        """The kind of worker that draws it."""
        return "flash"


@kind("variation")
@dataclass(frozen=True)
class Variation(GuidedRequest):
    """Draw the like of a picture, without words."""

    image: str
    seed: int
    _: KW_ONLY
    ip_adapter_scale: float = 1.0
    guidance_scale: float = 7.5
    width: int = 1024
    height: int = 1024


@kind("mix")
@dataclass(frozen=True)
class Mix(GuidedRequest):
    """Draw what one to four pictures have in common, with a prompt or without.

    weights: one a picture, of its share in the sum; equal shares of 1 if none are given.  ip_adapter_scale: how much the
    pictures count beside the prompt.
    """

    rules = _OPTIONAL_PROMPT

    images: tuple[str, ...]
    seed: int
    _: KW_ONLY
    prompt: str = ""
    weights: tuple[float, ...] = ()
    ip_adapter_scale: float = 1.0
    guidance_scale: float = 7.5
    width: int = 1024
    height: int = 1024

    def _check_together(self) -> None:
        if not self.weights:
            object.__setattr__(self, "weights", (1 / len(self.images),) * len(self.images))
        if len(self.weights) != len(self.images):
            pictures, weights = len(self.images), len(self.weights)
            sentence = f"There are {weights} weights for {pictures} pictures; give each picture one."
            raise RequestError("weights-and-pictures", sentence, {"value": weights, "limit": pictures})


@kind("inpaint")
@dataclass(frozen=True)
class Inpaint(GuidedRequest):
    """Repaint the white part of a mask; what is black stays as it is, to the bit, and the size too.

    mask_dilation: pixels by which the mask grows first.  mask_feather: pixels, inside of it, over which the new fades in.
    """

    image: str
    mask_image: str
    prompt: str
    seed: int
    _: KW_ONLY
    mask_dilation: int = 0
    mask_feather: int = 8
    guidance_scale: float = 4.0


@kind("outpaint")
@dataclass(frozen=True)
class Outpaint(GuidedRequest):
    """Draw on beyond a picture's sides; the picture itself stays as it is, to the bit.

    left, top, right, bottom: pixels to add.  zoom: the canvas becomes so many times as wide and high, the picture in its middle.
    mask_feather: pixels, beyond the picture's sides, over which the new fades in.
    """

    rules = _OPTIONAL_PROMPT

    image: str
    seed: int
    _: KW_ONLY
    prompt: str = ""
    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0
    zoom: float = 1.0
    mask_feather: int = 8
    guidance_scale: float = 4.0

    def _check_together(self) -> None:
        if self.zoom == 1 and not (self.left or self.top or self.right or self.bottom):
            raise RequestError("nothing-to-add", "The picture grows on no side; give a side some pixels, or a zoom above 1.")


@kind("keep-outline")
@dataclass(frozen=True)
class KeepOutline(GuidedRequest):
    """Draw a prompt along a picture's outlines, at that picture's size.

    hint: how outlines are found; with "sketch" the picture itself is one, light on dark or dark on light.  style_image: the
    picture whose look it takes, if any.  control_guidance_start, control_guidance_end: between which shares of the steps the
    outlines count.
    """

    image: str
    prompt: str
    seed: int
    _: KW_ONLY
    hint: str = "hed"
    style_image: str = ""
    controlnet_conditioning_scale: float = 1.0
    control_guidance_start: float = 0.0
    control_guidance_end: float = 1.0
    ip_adapter_scale: float = 1.0
    guidance_scale: float = 7.0

    def _check_together(self) -> None:
        if self.control_guidance_start >= self.control_guidance_end:
            start, end = self.control_guidance_start, self.control_guidance_end
            raise out_of_range("value-range", "The share of steps where outlines begin to count", start, 0.0, end)


@kind("regions")
@dataclass(frozen=True)
class Regions(GuidedRequest):
    """Draw each prompt in its own part of the picture.

    map_image: one flat colour for each of `region_prompts`, in the order in which they are first met, reading from the top left;
    black is no region, and there `prompt` alone is drawn, or all of the regions' prompts if it is empty.  base_ratio: how much it
    counts inside the regions.
    """

    rules = _OPTIONAL_PROMPT

    map_image: str
    region_prompts: tuple[str, ...]
    seed: int
    _: KW_ONLY
    prompt: str = ""
    base_ratio: float = 0.0
    width: int = 1024
    height: int = 1024

    @property
    def lane(self) -> str:
        return "base"


@kind("upscale")
@dataclass(frozen=True)
class Upscale(Request):
    """Enlarge a picture 2 or 4 times. flash: the four-step network, 2 times only; refine: Flash of the UNet over its result.

    tile: the part to enlarge, alone, of three by three, from 1 as one reads; 0 is the whole picture.
    """

    image: str
    seed: int
    _: KW_ONLY
    scale: int = 4
    flash: bool = False
    refine: bool = True
    num_inference_steps: int = 5
    tile: int = 0
    family: str = _BIG_FAMILY

    @property
    def lane(self) -> str:
        """The kind of worker that draws it."""
        return "upscale"

    def part(self, width: int, height: int) -> tuple[int, int, int, int]:
        """What it enlarges of a picture of so many pixels: left, top, right, bottom."""
        if not self.tile:
            return 0, 0, width, height
        row, column = divmod(self.tile - 1, TILES)
        right, bottom = max(1, width * (column + 1) // TILES), max(1, height * (row + 1) // TILES)
        return min(width * column // TILES, right - 1), min(height * row // TILES, bottom - 1), right, bottom

    def _check_together(self) -> None:
        if self.flash and self.scale != 2:
            values: dict[str, object] = {"value": str(self.scale), "choices": ["2"]}
            raise RequestError("not-a-choice", f"Flash enlarges 2 times, not {self.scale}; leave out one of the two.", values)


@dataclass(frozen=True)
class LanguageRequest(Request):
    """What the kinds that write text share. temperature: 0 takes the likeliest token each time and needs no seed."""

    prompt: str
    seed: int = 0
    _: KW_ONLY
    temperature: float = 0.0
    top_p: float = 0.9
    max_new_tokens: int = 200
    family: str = _BIG_FAMILY

    @property
    def lane(self) -> str:
        """The kind of worker that writes it."""
        return "language"

    @property
    def pictures(self) -> int:
        return 0


@kind("beautify")
@dataclass(frozen=True)
class Beautify(LanguageRequest):
    """Write a longer, better prompt, in English."""

    _: KW_ONLY
    temperature: float = 0.7


@kind("translate")
@dataclass(frozen=True)
class Translate(LanguageRequest):
    """Write a prompt in English."""
