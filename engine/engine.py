"""The engine's front door: load a family once, then run requests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import torch
from PIL.Image import Image

from engine import catalog
from engine.errors import EngineError, NotLoaded, OutOfMemory
from engine.outcomes import Dropped, OnStep, Outcome, ignore
from engine.pipelines.text_to_image import TextToImagePipeline
from engine.requests import Request, TextToImage
from engine.watch import GivenUp, Watch
from engine.weights import Folder, Networks

# A constant, since sums are split by thread and another number changes the last bits of a picture. One, since two threads of a
# small network spin while they wait for each other: on two cores with one other busy process Flash took 38 s instead of 0.4 s.
CPU_THREADS = 1
NO_PICTURES: Mapping[str, Image] = MappingProxyType({})


class Engine:
    """A loaded family on one device. Not thread-safe: one thread draws."""

    def __init__(self, family: str, revision: str, networks: Mapping[str, Networks], device: torch.device) -> None:
        self.family = family
        self.revision = revision
        self.networks = networks
        self._device = device
        self._text_to_image = {lane: TextToImagePipeline(each) for lane, each in networks.items()}

    def run(
        self, requests: Sequence[Request], pictures: Mapping[str, Image] = NO_PICTURES, on_step: OnStep = ignore
    ) -> list[Outcome]:
        """Draw requests one after another; one outcome each, in order.

        pictures: what the requests name by media id.  on_step: called after every finished step; a request whose index it
        returns is Dropped, before its next step if it is being drawn.
        Raises: NotLoaded, OutOfMemory, BadPicture.
        """
        torch.set_num_threads(CPU_THREADS)  # here and not in `load`: torch keeps this number per thread
        watch = Watch(on_step, self._device)
        return [self._outcome(index, request, watch) for index, request in enumerate(requests)]

    def _outcome(self, index: int, request: Request, watch: Watch) -> Outcome:
        route = catalog.route(request)
        if route.family != self.family or route.lane not in self._text_to_image or not isinstance(request, TextToImage):
            loaded = ", ".join(f"{self.family}.{lane}" for lane in self._text_to_image)
            raise NotLoaded(f"A request for {route.queue} reached an engine that has loaded {loaded}; start a worker for it.")
        try:
            watch.begin(index)
            return self._text_to_image[route.lane](request, watch)
        except GivenUp:
            return Dropped()
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            sentence = f"{self._device} has no memory left for {route.queue}; draw fewer or smaller pictures, or free it."
            raise OutOfMemory(sentence) from error


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)


def load(
    family: str, lanes: Sequence[str], device: str = "cpu", memory: str | None = None, weights: Path | None = None
) -> Engine:
    """Load a family's lanes onto a device.

    memory: name of one of the family's memory plans, the first if None.  weights: the family's folder, if not the usual one.
    Raises: WeightsError, RequestError for an unknown family, EngineError for a lane or plan the family does not have.
    """
    served = catalog.family(family)
    unknown = [lane for lane in lanes if lane not in served.lanes]
    if unknown or not lanes:
        raise EngineError(
            f"{family} has the lanes {', '.join(served.lanes)}, not {', '.join(unknown) or 'none'}; name some of them."
        )
    plans = {plan.name: plan for plan in served.memory}
    plan = plans.get(memory or served.memory[0].name)
    if plan is None:
        raise EngineError(f"{family} has the memory plans {', '.join(plans)}, not {memory!r}; choose one of them.")
    target = torch.device(device)
    dtype = torch.float32 if target.type == "cpu" else getattr(torch, plan.dtype)
    folder = Folder(served, weights or catalog.weights_folder(family))
    networks = folder.networks(tuple(lanes), target, dtype)
    return Engine(family, folder.revision(), networks, target)
