"""Tiny judges in the real classes, on disk: a safety checker, and a detector of the nano world's sign."""

from pathlib import Path

import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from safetensors.torch import save_file
from transformers.models.clip.configuration_clip import CLIPConfig

from engine import catalog
from engine.safety.mark import FOLDER, MarkDetector
from engine.weights import Folder

NEVER, ALWAYS = 0.999, 0.001
_SIDE = 56


def family_folder(path: Path) -> Folder:
    """The big family's folder, which has the parts that these tests put in it."""
    return Folder(catalog.family("kandinsky-3.1"), path)


def network(threshold: float = 0.2, special: float = 0.2) -> StableDiffusionSafetyChecker:
    """A random checker with these thresholds of concepts and of special care."""
    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "patch_size": 14,
        "image_size": _SIDE, "projection_dim": 24,
    }  # fmt: skip
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, text_config=text, projection_dim=24)).eval()
    for parameter in checker.vision_model.parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(std=0.3)
    checker.visual_projection.weight.data.normal_()
    checker.concept_embeds.data.normal_()
    checker.special_care_embeds.data.normal_()
    checker.concept_embeds_weights.data.fill_(threshold)
    checker.special_care_embeds_weights.data.fill_(special)
    return checker


def write_checker(folder: Path, threshold: float = NEVER, special: float = NEVER) -> None:
    """Write a checker into a family's folder; as it stands it finds nothing."""
    network(threshold, special).save_pretrained(folder / "safety_checker")


def write_detector(folder: Path, threshold: float = 1e9) -> None:
    """Write a random detector of the forbidden sign into a family's folder; as it stands it finds nothing."""
    torch.manual_seed(0)
    MarkDetector(widths=(4, 4), threshold=threshold).save_pretrained(folder / FOLDER)


def write_published(folder: Path, checker: StableDiffusionSafetyChecker) -> None:
    """Write it under the names of published checkpoints, which are older than the library's."""
    path = folder / "safety_checker"
    checker.save_pretrained(path)
    nested = {
        f"vision_model.{name}" if name.startswith("vision_model.") else name: tensor.contiguous()
        for name, tensor in checker.state_dict().items()
    }
    nested["vision_model.vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    save_file(nested, path / "model.safetensors")
