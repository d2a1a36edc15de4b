"""Where each family's weights are published: files, sizes, licences, and which lanes need them. Data only.

Sizes and names: shared/engine-facts.md 1.1, 1.2. A first fetch finds the commit of a revision and pins it in the family's lock.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

_ALL = ("flash", "base", "edit", "upscale", "language")
_DRAWING = ("flash", "base", "edit")
_TENSORS = ("*.safetensors", "*.bin", "*.json", "*.model")


@dataclass(frozen=True)
class Source:
    """A published checkpoint.

    kind: of `conversion.kinds`, or "hub" for a repository that is loaded as it is.  files: patterns of paths.  path: what is
    converted, a file or a folder among them.  gigabytes: of the download.  lanes: that need it.
    """

    kind: str
    repository: str
    path: str
    files: tuple[str, ...]
    gigabytes: float
    licence: str
    lanes: tuple[str, ...]
    revision: str = "main"


def _file(kind: str, repository: str, path: str, gigabytes: float, licence: str, *lanes: str) -> Source:
    return Source(kind, repository, path, (path,), gigabytes, licence, lanes)


def _folder(kind: str, repository: str, path: str, gigabytes: float, licence: str, *lanes: str) -> Source:
    files = tuple(f"{path}/{pattern}" if path else pattern for pattern in _TENSORS)
    return Source(kind, repository, path, files, gigabytes, licence, lanes)


_OFFICIAL, _ENLARGING = "ai-forever/Kandinsky3.1", "ai-forever/KandiSuperRes"
_ADAPTER = "ai-forever/kandinsky3_ip_adapter"
_FREE, _UNSTATED = "Apache-2.0", "none stated on its page"

_KANDINSKY_3_1 = (
    _file("unet-flash", _OFFICIAL, "weights/kandinsky3_flash.pt", 12.2, _FREE, "flash", "upscale"),
    _file("projection-flash", _OFFICIAL, "weights/flan_ul2_encoder/projection_flash.pt", 0.1, _FREE, "flash"),
    _file("unet", _OFFICIAL, "weights/kandinsky3.pt", 12.2, _FREE, "base", "edit"),
    _file("projection", _OFFICIAL, "weights/flan_ul2_encoder/projection.pt", 0.1, _FREE, "base", "edit"),
    _file("unet-inpainting", _OFFICIAL, "weights/kandinsky3_inpainting.pt", 12.2, _FREE, "edit"),
    _file("projection-inpainting", _OFFICIAL, "weights/flan_ul2_encoder/projection_inpainting.pt", 0.1, _FREE, "edit"),
    _folder("text-encoder", _OFFICIAL, "weights/flan_ul2_encoder", 17.4, _FREE, *_DRAWING),
    _file("movq", _OFFICIAL, "weights/movq.pt", 1.1, _FREE, *_DRAWING, "upscale"),
    _folder("picture-prompt", _ADAPTER, "unet", 13.7, _FREE, "edit"),
    _folder("image-encoder", _ADAPTER, "image_encoder", 1.2, _FREE, "edit"),
    _file("hed", "lllyasviel/Annotators", "ControlNetHED.pth", 0.1, _FREE, "edit"),
    _file("super-resolution-x4", _ENLARGING, "KandiSuperRes.ckpt", 0.8, _UNSTATED, "upscale"),
    _file("super-resolution-x2", _ENLARGING, "KandiSuperRes_x2.ckpt", 1.7, _UNSTATED, "upscale"),
    _file("super-resolution-flash-x2", _ENLARGING, "KandiSuperRes_flash_x2.pt", 1.7, _UNSTATED, "upscale"),
    _folder("language-model", "Intel/neural-chat-7b-v3-1", "", 14.5, _FREE, "language"),
    _folder("safety-checker", "CompVis/stable-diffusion-safety-checker", "", 1.2, "CreativeML OpenRAIL-M", *_DRAWING, "upscale"),
)
_KANDINSKY_3_0 = (
    Source(
        "hub",
        "kandinsky-community/kandinsky-3",
        "",
        tuple(f"{folder}/{pattern}" for folder in ("unet", "movq", "text_encoder", "tokenizer") for pattern in _TENSORS),
        30.0,
        _FREE,
        ("base",),
    ),
    _folder("safety-checker", "CompVis/stable-diffusion-safety-checker", "", 1.2, "CreativeML OpenRAIL-M", "base"),
)

SOURCES: Mapping[str, tuple[Source, ...]] = MappingProxyType(
    {"kandinsky-3.1": _KANDINSKY_3_1, "kandinsky-3.0": _KANDINSKY_3_0, "kandinsky-3.1-small": (), "kandinsky-nano": ()}
)


def needed(family: str, lanes: Collection[str] = ()) -> tuple[Source, ...]:
    """What a family's lanes need, all lanes if none are named; Flash alone needs a third of it."""
    wanted = set(lanes) or set(_ALL)
    return tuple(source for source in SOURCES[family] if wanted & set(source.lanes))
