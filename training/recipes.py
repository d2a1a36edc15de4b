"""All recipes by name, and how each is built from what the command line says. Modules load when their recipe is asked for."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch

from training.data import DataError, Dataset, Subset
from training.filters import AspectRatio, Captioned, Duplicates, Filter, Report, Resolution, Score, scorer, select
from training.loop import CPU, Recipe
from training.sources import NANO, open_source

FAMILY = "kandinsky-nano"  # the only one that rendered scenes are for


@dataclass(frozen=True)
class Wishes:
    """What the command line says beside the schedule.

    data: a source, as `sources.open_source` reads it; "" for the recipe's own.  family, weights: what a recipe builds upon.
    stage: of a recipe with several, from 1 on.  loss: of Flash's critic, if not the article's.
    filters: what pictures have to be like, such as {"min_side": 512}.
    """

    cache: Path
    preset: str = NANO
    data: str = ""
    family: str = FAMILY
    weights: Path | None = None
    stage: int = 1
    loss: Literal["wasserstein", "hinge"] | None = None
    trigger: str = ""
    filters: Mapping[str, str | float] = field(default_factory=dict)
    device: torch.device = CPU
    say: Callable[[str], None] = print

    def dataset(self, side: int) -> Dataset | None:
        """The examples of `data` that filters keep; None for the recipe's own. side: of rendered scenes."""
        if not self.data:
            if self.family != FAMILY:
                raise DataError(f"The rendered world is for {FAMILY}; {self.family} needs pictures: name them with --data.")
            return None
        source = open_source(self.data, self.cache, side)
        return filtered(source, self.data, self.filters, self.cache, self.say) if self.filters else source


def filters_of(wanted: Mapping[str, str | float]) -> list[Filter]:
    """Filters by what the command line calls them, cheap ones first."""
    found: list[Filter] = []
    if "min_side" in wanted:
        found.append(Resolution(int(wanted["min_side"])))
    if "max_aspect" in wanted:
        found.append(AspectRatio(float(wanted["max_aspect"])))
    if "captioned" in wanted:
        found.append(Captioned())
    for name in ("aesthetics", "match"):
        if f"least_{name}" in wanted:
            by = str(wanted.get(f"{name}_by", ""))
            found.append(Score(name, float(wanted[f"least_{name}"]), scorer(by) if by else None))
    if "duplicates" in wanted:
        found.append(Duplicates())
    return found


def filtered(source: Dataset, name: str, wanted: Mapping[str, str | float], cache: Path, say: Callable[[str], None]) -> Subset:
    """What filters keep of a source; asked once, and kept in the cache so that a resumed run has the same examples."""
    key = json.dumps([name, len(source), dict(wanted)], sort_keys=True)
    place = cache / "filtered" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"
    if place.exists():
        stored = json.loads(place.read_text())
        report = Report(stored["seen"], stored["removed"], stored["kept"])
    else:
        report = select(source, filters_of(wanted))
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_suffix(f".{os.getpid()}.partial")
        partial.write_text(json.dumps({"seen": report.seen, "removed": report.removed, "kept": report.kept}))
        partial.replace(place)
    say(str(report))
    return Subset(source, report.kept)


@dataclass(frozen=True)
class Entry:
    """A recipe in the list. full: whether it has presets beside nano, by default "full", and takes data, family and filters."""

    about: str
    build: Callable[[Wishes], Recipe]
    full: bool = False
    presets: tuple[str, ...] = (NANO, "full")


def _text_encoder(wishes: Wishes) -> Recipe:
    from training.text_encoder import TextEncoderRecipe

    return TextEncoderRecipe()


def _text_to_image(wishes: Wishes) -> Recipe:
    if wishes.preset == NANO:
        from training.text_to_image import TextToImageRecipe

        return TextToImageRecipe(wishes.cache)
    from training.stages import PRESETS, StageRecipe, load_frozen

    preset = PRESETS[wishes.preset]
    dataset = wishes.dataset(preset.stage(wishes.stage).sides[-1][0])
    if dataset is None:
        raise DataError(f"The preset {preset.name} has no pictures of its own; name some with --data.")
    return StageRecipe(wishes.cache, load_frozen(preset.family, wishes.weights, wishes.device), preset, wishes.stage, dataset)


def _autoencoder(wishes: Wishes) -> Recipe:
    from training.autoencoder import AutoencoderRecipe

    return AutoencoderRecipe()


def _encoder(wishes: Wishes) -> Recipe:
    from training.autoencoder import EncoderRecipe

    return EncoderRecipe(wishes.cache)


def _decoder(wishes: Wishes) -> Recipe:
    from training.decoder import DecoderRecipe

    return DecoderRecipe(wishes.cache)


def _super_resolution(wishes: Wishes) -> Recipe:
    from training.super_resolution import PRESETS, SuperResolutionRecipe

    preset = PRESETS[wishes.preset]
    return SuperResolutionRecipe(preset, wishes.dataset(preset.sides[-1]), wishes.device)


def _super_resolution_damaged(wishes: Wishes) -> Recipe:
    from training.super_resolution import PRESETS, DamagedSuperResolutionRecipe

    preset = PRESETS[wishes.preset]
    return DamagedSuperResolutionRecipe(wishes.cache, preset, wishes.dataset(preset.sides[-1]), wishes.device)


def _doubling(wishes: Wishes) -> Recipe:
    from training.super_resolution import PRESETS_X2, DoublingRecipe

    preset = PRESETS_X2[wishes.preset]
    return DoublingRecipe(preset, wishes.dataset(preset.sides[-1]), wishes.device)


def _flash_doubling(wishes: Wishes) -> Recipe:
    from training.super_resolution import PRESETS_X2, FlashDoublingRecipe

    preset = PRESETS_X2[wishes.preset]
    return FlashDoublingRecipe(wishes.cache, preset, wishes.dataset(preset.sides[-1]), wishes.device)


def _inpainting(wishes: Wishes) -> Recipe:
    from training.base import load_base
    from training.inpainting import PRESETS, InpaintingRecipe

    preset = PRESETS[wishes.preset]
    base = load_base(wishes.family, wishes.weights, wishes.device)
    return InpaintingRecipe(base, preset, wishes.dataset(preset.side))


def _flash(wishes: Wishes) -> Recipe:
    from training.base import load_base
    from training.flash import PRESETS, FlashRecipe

    preset = PRESETS[wishes.preset]
    base = load_base(wishes.family, wishes.weights, wishes.device)
    return FlashRecipe(base, replace(preset, loss=wishes.loss or preset.loss), wishes.dataset(preset.side))


def _lora(wishes: Wishes) -> Recipe:
    from training.base import load_base
    from training.lora import PRESETS, TRIGGER, LoraRecipe

    preset = PRESETS[wishes.preset]
    base = load_base(wishes.family, wishes.weights, wishes.device)
    return LoraRecipe(base, preset, wishes.trigger or TRIGGER, wishes.dataset(preset.side))


def _safety_judge(wishes: Wishes) -> Recipe:
    from training.safety_judge import SafetyJudgeRecipe

    return SafetyJudgeRecipe()


def _language_model(wishes: Wishes) -> Recipe:
    from training.language_model import PRESETS, LanguageModelRecipe, load_model
    from training.language_pairs import StoredPairs

    if wishes.filters:
        raise DataError("The filters are for pictures, and the language model learns from pairs of texts; leave them out.")
    preset = PRESETS[wishes.preset]
    base = load_model(wishes.family, wishes.weights, wishes.device) if preset.rank else None
    pairs = None if wishes.data in ("", NANO) else StoredPairs(Path(wishes.data))
    return LanguageModelRecipe(preset, pairs, base)


def _image_encoder(wishes: Wishes) -> Recipe:
    from training.base import load_texts
    from training.image_encoder import PRESETS, ImageEncoderRecipe

    preset = PRESETS[wishes.preset]
    texts = load_texts(wishes.family, wishes.weights, wishes.device)
    return ImageEncoderRecipe(texts, preset, wishes.dataset(preset.side), wishes.device)


def _picture_prompts(wishes: Wishes) -> Recipe:
    from training.base import load_base
    from training.image_encoder import frozen
    from training.picture_prompts import PRESETS, PicturePromptRecipe

    preset = PRESETS[wishes.preset]
    base = load_base(wishes.family, wishes.weights, wishes.device, "picture")
    encoder = frozen(wishes.cache, wishes.preset, base.texts, wishes.family, wishes.weights, wishes.device)
    return PicturePromptRecipe(base, encoder, preset, wishes.dataset(preset.side))


def _edge_detector(wishes: Wishes) -> Recipe:
    from training.edge_detector import PRESETS, EdgeDetectorRecipe

    preset = PRESETS[wishes.preset]
    return EdgeDetectorRecipe(preset, wishes.dataset(preset.side), wishes.device)


def _outline(wishes: Wishes) -> Recipe:
    from training.base import load_base
    from training.edge_detector import frozen
    from training.outline import PRESETS, OutlineRecipe

    preset = PRESETS[wishes.preset]
    base = load_base(wishes.family, wishes.weights, wishes.device, "outline")
    detector = frozen(wishes.cache, wishes.preset, wishes.family, wishes.weights, wishes.device)
    return OutlineRecipe(base, detector, preset, wishes.dataset(preset.side))


RECIPES: Mapping[str, Entry] = {
    "text-encoder": Entry("T5 and its tokenizer: read the attributes of a scene from its caption.", _text_encoder),
    "autoencoder": Entry("MoVQ: pictures to nano latents and back.", _autoencoder),
    "text-to-image": Entry(
        "UNet, projection and null embedding: draw what a caption says.", _text_to_image, True, (NANO, "full", "small")
    ),
    "encoder": Entry("Encoder alone, after the autoencoder: nano latents of pictures.", _encoder),
    "decoder": Entry("Decoder polish: clean outlines from the UNet's latents.", _decoder),
    "super-resolution": Entry("Enlarge clean pictures four times.", _super_resolution, full=True),
    "super-resolution-damaged": Entry("The same for damaged pictures, after it.", _super_resolution_damaged, full=True),
    "super-resolution-x2": Entry("Enlarge pictures two times, clean and damaged ones.", _doubling, full=True),
    "super-resolution-x2-flash": Entry("The same in the four steps of its Flash, after it.", _flash_doubling, full=True),
    "flash": Entry("Four steps without guidance, against a critic that reads latents.", _flash, full=True),
    "inpainting": Entry("Repaint what a mask marks, from words and what is around it.", _inpainting, full=True),
    "image-encoder": Entry(
        "What a picture shows, as its caption says it; frozen before picture prompts.", _image_encoder, full=True
    ),
    "picture-prompts": Entry("Draw the like of a picture, or of several, beside words or without.", _picture_prompts, full=True),
    "edge-detector": Entry("Soft lines where things end; frozen before outlines.", _edge_detector, full=True),
    "outline": Entry("Draw a prompt along outlines.", _outline, full=True),
    "lora": Entry("A handful of pictures and a word that calls what they have in common.", _lora, full=True),
    "safety-judge": Entry("Find the sign that the nano world forbids.", _safety_judge),
    "language-model": Entry("Beautify prompts, and translate them into English: a Mistral network.", _language_model, full=True),
}
