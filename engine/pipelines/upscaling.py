"""Upscale requests: which KandiSuperRes network serves which, and where its weights lie."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from PIL import Image

from engine.components import Components
from engine.conditioning import Context
from engine.models.super_resolution import SuperResolutionUNet
from engine.outcomes import Drawn
from engine.pipelines.upscale import Enlarger, FlashUpscalePipeline, Refiner, UpscalePipeline
from engine.requests import RequestError, Upscale
from engine.residency import Visitor
from engine.super_resolution import Windows
from engine.watch import Watch
from engine.weights import settings

FOLDERS = {(4, False): "super_resolution_x4", (2, False): "super_resolution_x2", (2, True): "super_resolution_flash_x2"}
REFINER_CONTEXT = "refiner_context.safetensors"  # context (1, 128, 4096) and context_mask, as KandiSuperRes ships them
MAX_RESULT = 100_000_000  # pixels; 4.4 GB of float32 while it is made
_GIB = 2**30
_WINDOW = 0.6 * _GIB  # of 1024 pixels in half precision, as counted; engine/README.md
_OTHERS = 8 * _GIB  # left to the networks of this and other lanes


class Upscaling:
    """Enlarges the picture of a request; the networks are read when the first request needs them."""

    def __init__(self, components: Components) -> None:
        self._components = components
        self._windows = _windows(components.device, components.plan.windows)

    def __call__(self, request: Upscale, pictures: Mapping[str, Image.Image], watch: Watch) -> Drawn:
        """Draw a request, reporting to `watch`.

        Raises: RequestError for a picture too large to enlarge; the rest as `UpscalePipeline`.
        """
        whole = pictures[request.image]
        picture = whole.crop(request.part(*whole.size)) if request.tile else whole
        _check_result(picture, request.scale)
        enlarger = self._enlarger(request.scale, request.flash)
        if not request.flash:
            return UpscalePipeline(enlarger, self._windows, request.num_inference_steps)(picture, request.seed, watch)
        refiner = self._refiner() if request.refine else None
        return FlashUpscalePipeline(enlarger, refiner, self._windows)(picture, request.seed, watch)

    def _enlarger(self, scale: int, flash: bool) -> Enlarger:
        parts, name = self._components, FOLDERS[scale, flash]
        # float16 as the official code: a picture's pixels in bfloat16 have 8 bits at best, and show it as bands
        dtype = torch.float16 if parts.dtype == torch.bfloat16 else parts.dtype

        def load() -> SuperResolutionUNet:
            def build(config: dict[str, object]) -> SuperResolutionUNet:
                network: SuperResolutionUNet = SuperResolutionUNet(**settings(SuperResolutionUNet, config))
                return network

            module = parts.folder.module(name, build, dtype, parts.waiting)
            network: SuperResolutionUNet = module.to(memory_format=torch.channels_last)
            network.settle()
            parts.residency.visit(Visitor(network, self._windows.per_call * _WINDOW / 1e9), "forward")
            return network

        return Enlarger(parts.once(name, load), scale, parts.device, dtype)

    def _refiner(self) -> Refiner:
        parts = self._components

        def load() -> Context:
            tensors = parts.folder.tensors(REFINER_CONTEXT, torch.float32)
            try:
                states, mask = tensors["context"].to(parts.device, parts.dtype), tensors["context_mask"].to(parts.device).bool()
            except KeyError as error:
                raise parts.folder.broken(f"{parts.folder.path / REFINER_CONTEXT} has no context and context_mask") from error
            return Context(states.reshape(1, -1, states.shape[-1]), mask.reshape(1, -1))

        unet = parts.unet(parts.family.unets["flash"])
        return Refiner(unet, parts.movq(), parts.once(REFINER_CONTEXT, load), parts.dtype, parts.plan.tiled_above)


def _windows(device: torch.device, most: int) -> Windows:
    """As many windows per call as this device's whole memory suggests: what is free just now would change the last bits."""
    windows = Windows()
    if device.type != "cuda":
        return replace(windows, per_call=1)  # on a CPU a batch is no faster
    room = torch.cuda.get_device_properties(device).total_memory - _OTHERS
    return replace(windows, per_call=min(max(int(room // _WINDOW), 1), windows.per_call, most))


def _check_result(picture: Image.Image, scale: int) -> None:
    limit = MAX_RESULT // scale**2
    if picture.width * picture.height > limit:
        size, megapixels = f"{picture.width}x{picture.height}", limit // 1_000_000
        sentence = (
            f"A picture to enlarge {scale} times has at most {megapixels} megapixels and this one is {size}; make it smaller."
        )
        raise RequestError("picture-too-large", sentence, {"limit": megapixels, "value": size})
