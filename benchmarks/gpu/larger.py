"""Rows about super-resolution to 4096 pixels: our windows and the whole frame against the official loop in float16."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from benchmarks.gpu.clock import Call, exact, peak_gib, race, relative, wait_after
from benchmarks.gpu.rig import Rig
from benchmarks.gpu.table import Row
from benchmarks.gpu.theirs import copied
from benchmarks.official_sr import OfficialNetwork, official_enlarged
from engine.outcomes import ignore
from engine.pipelines.upscale import Enlarger, UpscalePipeline
from engine.requests import Upscale
from engine.super_resolution import Windows
from engine.watch import Watch

SCALE = 4


def super_resolution(rig: Rig) -> Iterator[Row]:
    """G4: from a PIL picture to a PIL picture; the official loop from tensor to tensor."""
    small = rig.sizes.enlarged // SCALE
    picture = rig.photo(small)
    enlarger = x4(rig)
    windows = rig.sizes.windows
    whole = Windows(rig.sizes.enlarged, rig.sizes.enlarged, per_call=1)
    half = torch.float32 if rig.device.type == "cpu" else torch.float16
    official = official_network(enlarger.unet, half)
    low_res = torch.rand(1, 3, small, small, generator=torch.Generator().manual_seed(0)).to(rig.device) * 2 - 1
    noise = torch.randn(1, 3, rig.sizes.enlarged, rig.sizes.enlarged, generator=torch.Generator().manual_seed(1)).to(rig.device)

    def ours(windows: Windows) -> object:
        watch = Watch(ignore, rig.device)
        watch.begin(0)
        return UpscalePipeline(enlarger, windows)(picture, 1, watch)

    def theirs() -> torch.Tensor:
        return official_enlarged(official, low_res, SCALE, noise, half, windows.side, windows.stride, windows.per_call)

    calls: dict[str, Call] = {"ours": lambda: ours(windows), "whole": lambda: ours(whole), "official": theirs}
    timed = race(calls, rig.device, rig.sizes.long_rounds)
    official_s = {name: value for name, value in timed.theirs.items() if name == "official"}
    boxes = len(windows.boxes(rig.sizes.enlarged, rig.sizes.enlarged))
    row = Row("G4", f"x4 to {rig.sizes.enlarged} px, {boxes} windows", bar="1.25x", stretch="1.5x")
    note = f"median of {rig.sizes.long_rounds}; official in {half}, {windows.per_call} windows a call; errors of one window"
    yield replace(
        row, ours=timed.ours, theirs=official_s, errors=_window_errors(rig, enlarger, official), note=_joined(note, timed.note)
    )
    frame = Row("G4", f"x4 to {rig.sizes.enlarged} px, whole frame", bar="1.9x", stretch="2.4x")
    if "whole" not in timed.seconds:
        yield replace(frame, failed=timed.failed["whole"])
    else:
        peak = peak_gib(lambda: ours(whole), rig.device)
        note = f"another function than windows: group statistics are the frame's; {peak:.1f} GiB beside the weights"
        yield replace(frame, ours=timed.seconds["whole"], theirs=official_s, note=note)


def x4(rig: Rig) -> Enlarger:
    """The network as the engine loads it, which a first small request makes it do."""
    request = Upscale("picture", 1, scale=SCALE, num_inference_steps=1, family=rig.sizes.family.name)
    wait_after(lambda: rig.engine.run([request], {"picture": rig.photo(16)}), rig.device)
    network = rig.parts.once("super_resolution_x4", _not_there)
    return Enlarger(network, SCALE, rig.device, next(network.parameters()).dtype)


def official_network(own: Any, dtype: torch.dtype) -> OfficialNetwork:
    """The official graph with our weights."""
    return OfficialNetwork(copied(own, dtype, own.device), tuple(own.config["num_resnet_blocks"]), own.config["groups"])


@torch.inference_mode()
def _window_errors(rig: Rig, enlarger: Enlarger, official: OfficialNetwork) -> dict[str, float]:
    """Of one pass over one window against float32, ours and theirs."""
    side = min(rig.sizes.windows.side, rig.sizes.enlarged)
    generator = torch.Generator().manual_seed(2)
    noisy, small = (torch.randn(1, 3, side, side, generator=generator).to(rig.device) for _ in range(2))
    with exact():
        expected = official_network(enlarger.unet, torch.float32)(noisy, 599, small)
    half = official.weights["init_conv.weight"].dtype
    found = {
        "ours": enlarger.unet(noisy.to(enlarger.dtype), 599, small.to(enlarger.dtype)),
        "official": official(noisy.to(half), 599, small.to(half)),
    }
    return {name: relative(each, expected) for name, each in found.items()}


def _joined(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def _not_there() -> Any:
    raise KeyError("the engine keeps its network under another name")
