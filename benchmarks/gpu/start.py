"""Rows about starting and about small cards: the first picture of a process, loading a UNet, memory plans under a cap."""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from diffusers.models.unets.unet_kandinsky3 import Kandinsky3UNet as DiffusersUNet
from safetensors.torch import save_file
from torch import nn

from benchmarks.gpu.clock import RowFailed, race, release, seconds, wait_after
from benchmarks.gpu.larger import SCALE, x4
from benchmarks.gpu.rig import Rig, components
from benchmarks.gpu.sizes import FULL, TINY
from benchmarks.gpu.table import Row
from engine.components import Components
from engine.families import MemoryPlan
from engine.outcomes import ignore
from engine.pipelines.text_to_image import TextToImagePipeline
from engine.pipelines.upscale import UpscalePipeline
from engine.super_resolution import Windows
from engine.watch import Watch
from engine.weights import Folder

_CHILD_S = 240
_SPARE_DISK = 2e9


def starting(rig: Rig) -> Iterator[Row]:
    """G10: in a process of its own, so that nothing is warm; a CPU stays in this one, since its rows are for form alone."""
    rig.drop()
    found = _measured(rig) if rig.device.type == "cpu" else _child(rig)
    note = f"first {found.first:.2f} s, steady {found.steady * 1e3:.1f} ms, in a fresh process, weights loaded"
    ratio = found.first / found.steady
    yield Row("G10", "first Flash picture over a steady one", ratio, "x", bar="<= 3x", stretch="<= 1.5x", note=note)
    if found.why:
        yield Row("G10", "loading the UNet", bar="O 3x", stretch="O 5x", failed=found.why)
        return
    note = (
        "safetensors, laid out and folded, against building, torch.load of a float32 pickle, and a move; files in the page cache"
    )
    yield Row("G10", "loading the UNet", found.ours, theirs={"O": found.theirs}, bar="O 3x", stretch="O 5x", note=note)


@dataclass(frozen=True)
class Started:
    """first, steady: seconds of Flash pictures.  ours, theirs: seconds of loading the UNet; why: if they are missing."""

    first: float
    steady: float
    ours: float = 0.0
    theirs: float = 0.0
    why: str = ""


def _child(rig: Rig) -> Started:
    command = [sys.executable, "-m", "benchmarks.gpu.start", "--device", str(rig.device)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_CHILD_S, check=False)  # noqa: S603
    if done.returncode:
        raise RowFailed((done.stderr.strip().splitlines() or ["the child said nothing"])[-1])
    return Started(**json.loads(done.stdout.strip().splitlines()[-1]))


def _measured(rig: Rig) -> Started:
    request = rig.text_to_image(flash=True)
    rig.parts.drawing("flash")
    first = seconds(lambda: rig.draw(request), rig.device)
    steady = race({"ours": lambda: rig.draw(request)}, rig.device, rig.sizes.rounds).ours
    unet = rig.parts.unet(rig.sizes.family.unets["flash"])
    with tempfile.TemporaryDirectory() as place:
        needed = sum(parameter.numel() * (4 + parameter.element_size()) for parameter in unet.parameters()) + _SPARE_DISK
        if shutil.disk_usage(place).free < needed:
            return Started(first, steady, why=f"{place} has no {needed / 1e9:.0f} GB of room")
        config = {name: value for name, value in unet.config.items() if not name.startswith("_")}
        _write(Path(place), unet, config)
        del unet
        rig.drop()
        ours = seconds(partial(_load, rig, Path(place)), rig.device)
        release(rig.device)
        return Started(first, steady, ours, seconds(partial(_official_load, rig, Path(place), config), rig.device))


def _write(place: Path, unet: nn.Module, config: dict[str, object]) -> None:
    """The same weights twice: as our folder has them, and as an official pickle."""
    (place / "unet").mkdir()
    tensors = {name: tensor.to("cpu", copy=True).contiguous() for name, tensor in unet.state_dict().items()}
    save_file(tensors, place / "unet" / "diffusion_pytorch_model.safetensors")
    (place / "unet" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    single = {name: tensor.float() for name, tensor in tensors.items()}
    torch.save({"unet": single, "null_embedding": torch.zeros(1)}, place / "kandinsky3.pt")


def _load(rig: Rig, place: Path) -> object:
    """As a worker does, from the file to a UNet that is ready."""
    family = rig.sizes.family
    unet = Components(Folder(family, place), rig.device, rig.dtype).unet(family.unets["flash"])
    return nn.Module.to(unet, rig.device)


def _official_load(rig: Rig, place: Path, config: dict[str, object]) -> object:
    """Source: ai-forever/Kandinsky-3 kandinsky3/__init__.py: get_T2I_unet, which builds on the CPU first."""
    known = {name: value for name, value in config.items() if name != "out_channels"}
    unet = DiffusersUNet(**known | {"encoder_hid_dim": config["cross_attention_dim"]})
    unet.encoder_hid_proj = nn.Identity()
    unet.load_state_dict(torch.load(place / "kandinsky3.pt", map_location="cpu")["unet"])
    return unet.to(device=rig.device, dtype=torch.float32).eval()


def small_cards(rig: Rig) -> Iterator[Row]:
    """G11: one Flash picture within each cap, by the family's most spacious plan that fits; whole frames within the largest."""
    rig.drop()
    for cap in rig.sizes.caps:
        what = f"Flash, {rig.sizes.side} px, on a card of {cap:g} GB"
        yield rig.attempt("G11", what, partial(_capped, rig, cap, what))
        rig.drop()
    what = f"x4 to {rig.sizes.enlarged} px, whole frame, on a card of {rig.sizes.caps[-1]:g} GB"
    yield rig.attempt("G11", what, partial(_capped_frame, rig, rig.sizes.caps[-1], what))


def _capped(rig: Rig, cap: float, what: str) -> Row:
    request, plan = rig.text_to_image(flash=True), _plan(rig, cap)

    def draw() -> float:
        parts = components(rig.sizes, rig.device, rig.dtype, plan)
        pipeline, watch = TextToImagePipeline(parts.drawing("flash")), Watch(ignore, rig.device)
        watch.begin(0)
        wait_after(lambda: pipeline(request, {}, watch), rig.device)
        return race({"ours": lambda: pipeline(request, {}, watch)}, rig.device, rig.sizes.long_rounds).ours

    took = _within(rig, cap, draw)
    note = f"plan {plan.name}" if plan else "no cap on a CPU"
    return Row("G11", what, took, bar="finishes", note=f"{note}; a prompt that was not read before")


def _capped_frame(rig: Rig, cap: float, what: str) -> Row:
    whole = Windows(rig.sizes.enlarged, rig.sizes.enlarged, per_call=1)

    def draw() -> float:
        watch = Watch(ignore, rig.device)
        watch.begin(0)
        pipeline, picture = UpscalePipeline(x4(rig), whole), rig.photo(rig.sizes.enlarged // SCALE)
        return seconds(lambda: pipeline(picture, 1, watch), rig.device)

    return Row("G11", what, _within(rig, cap, draw), stretch="finishes", note="once, with its warm-up")


def _plan(rig: Rig, cap: float) -> MemoryPlan | None:
    """The most spacious plan that a card of so many gigabytes has room for; a CPU needs none."""
    if rig.device.type == "cpu":
        return None
    fitting = [plan for plan in rig.sizes.family.memory if plan.gigabytes <= cap]
    if not fitting:
        least = min(plan.gigabytes for plan in rig.sizes.family.memory)
        raise RowFailed(f"no memory plan of {rig.sizes.family.name} fits {cap:g} GB; the smallest has {least:g}")
    return max(fitting, key=lambda plan: plan.gigabytes)


def _within(rig: Rig, cap: float, draw: Callable[[], float]) -> float:
    """Run it with no more memory than such a card has; all of it again afterwards."""
    if rig.device.type == "cpu":
        return draw()
    total = torch.cuda.get_device_properties(rig.device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(cap * 1e9 / total, 1.0), rig.device)
    try:
        return draw()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, rig.device)
        release(rig.device)


def main() -> None:
    """The child of `starting`: one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # the engine's own number
    rig = Rig(TINY if arguments.tiny else FULL, torch.device(arguments.device))
    print(json.dumps(asdict(_measured(rig))))


if __name__ == "__main__":
    main()
