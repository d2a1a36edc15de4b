"""The engine's front door: load a family once, then run requests."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import torch
from PIL.Image import Image

from engine import catalog, lora
from engine.components import Components, Networks
from engine.errors import EngineError, NotLoaded, OutOfMemory
from engine.families import Family, MemoryPlan
from engine.lora import Lora
from engine.memory import within_memory
from engine.outcomes import Drawn, Dropped, OnStep, Outcome, Withheld, ignore
from engine.pipelines.judged import judge_of
from engine.pipelines.registry import PIPELINES, Pipeline
from engine.requests import Request, RequestError, image_seed
from engine.safety.judge import named
from engine.watch import GivenUp, Watch
from engine.weights import Folder

# A constant, since sums are split by thread and another number changes the last bits of a picture. One, since two threads of a
# small network spin while they wait for each other: on two cores with one other busy process Flash took 38 s instead of 0.4 s.
CPU_THREADS = 1
_GB = 1e9
log = logging.getLogger(__name__)
_BFLOAT16_SINCE = (8, 0)  # compute capability; a T4 has 7.5 and draws in float16
NO_PICTURES: Mapping[str, Image] = MappingProxyType({})


class Engine:
    """A family on one device: some of its lanes. Not thread-safe: one thread draws."""

    def __init__(self, components: Components, lanes: Sequence[str], revision: str) -> None:
        self.family = components.family.name
        self.revision = revision
        self.lanes = tuple(lanes)
        self.components = components
        self._pipelines: dict[tuple[type[Request], str], Pipeline] = {}

    @property
    def networks(self) -> Mapping[str, Networks]:
        """What each lane that has a UNet of its own draws with. The other lanes load when they are first asked."""
        unets = self.components.family.unets
        return MappingProxyType({lane: self.components.drawing(lane) for lane in self.lanes if lane in unets})

    def run(
        self, requests: Sequence[Request], pictures: Mapping[str, Image] = NO_PICTURES, on_step: OnStep = ignore
    ) -> list[Outcome]:
        """Answer requests one after another; one outcome each, in order.

        pictures: what the requests name by media id, as `pictures.decoded` makes them.  on_step: called after every finished
        step; a request whose index it returns is Dropped, before its next step if it is being drawn.
        Raises: NotLoaded, OutOfMemory, BadPicture; RequestError for a picture that is missing or cannot be used; WeightsError
        if a network that only this kind of request needs is missing.
        """
        torch.set_num_threads(CPU_THREADS)  # here as in `load`: torch keeps this number per thread
        watch = Watch(on_step, self.components.device)
        return [self._outcome(index, request, pictures, watch) for index, request in enumerate(requests)]

    def _outcome(self, index: int, request: Request, pictures: Mapping[str, Image], watch: Watch) -> Outcome:
        route = catalog.route(request)
        if route.family != self.family or route.lane not in self.lanes:
            loaded = ", ".join(f"{self.family}.{lane}" for lane in self.lanes)
            raise NotLoaded(f"A request for {route.queue} reached an engine that has loaded {loaded}; start a worker for it.")
        for media_id in request.sources:
            if media_id not in pictures:
                raise RequestError("picture-missing", f"The picture {media_id:.80} is not there any more; send it again.")
        sentence = f"{self.components.device} has no memory left for {route.queue}; draw fewer or smaller pictures, or free it."
        try:
            with within_memory(sentence):
                watch.begin(index)
                return self._pipeline(request)(request, pictures, watch)
        except GivenUp:
            return Dropped()
        except OutOfMemory:
            if request.pictures <= 1:
                raise
        return self._one_by_one(index, request, pictures, watch)

    def _one_by_one(self, index: int, request: Request, pictures: Mapping[str, Image], watch: Watch) -> Outcome:
        """The same pictures with less memory: each is what its seed draws alone."""
        log.warning("%d pictures at once do not fit into memory; drawing them one by one", request.pictures)
        outcomes = []
        for seed in [image_seed(request, each) for each in range(request.pictures)]:
            alone = replace(request, seed=seed, num_images_per_prompt=1)  # type: ignore[call-arg]
            outcomes.append(self._outcome(index, alone, pictures, watch))
            if isinstance(outcomes[-1], Dropped):
                return Dropped()
        drawn = [each for each in outcomes if isinstance(each, Drawn)]
        if not drawn:
            return outcomes[0]
        withheld = [each.category for each in outcomes if isinstance(each, Withheld)]
        images = tuple(image for each in drawn for image in each.images)
        return Drawn(images, tuple(seed for each in drawn for seed in each.seeds), tuple(withheld))

    def _pipeline(self, request: Request) -> Pipeline:
        key = type(request), request.lane
        if key not in self._pipelines:
            build = PIPELINES.get(type(request))
            if build is None:
                raise NotLoaded(f"This version of the engine has no pipeline for {request.kind}; update kandinsky-bot.")
            self._pipelines[key] = build(self.components, request.lane)
        return self._pipelines[key]


def load(
    family: str,
    lanes: Sequence[str],
    device: str = "cpu",
    memory: str | None = None,
    weights: Path | None = None,
    loras: Sequence[str] = (),
    judge: str = "",
) -> Engine:
    """Load a family's lanes onto a device; networks that not every request of a lane needs are loaded by the first that does.

    memory: name of one of the family's memory plans; what suits the device if None.  weights: the family's folder, if not the
    usual one.  loras: files of low-rank changes, each with how much it counts if that is not 1, as in
    `style.safetensors:0.8`; they are part of the revision.  judge: of pictures, if not the family's: `package.module:function`,
    which is called with the device (`engine.safety.judge.named`).
    Raises: WeightsError, RequestError for an unknown family, EngineError for a lane or plan the family does not have, or a judge
    that cannot judge.
    """
    served = catalog.family(family)
    unknown = [lane for lane in lanes if lane not in served.lanes]
    if unknown or not lanes:
        raise EngineError(
            f"{family} has the lanes {', '.join(served.lanes)}, not {', '.join(unknown) or 'none'}; name some of them."
        )
    torch.set_num_threads(CPU_THREADS)  # several threads spin between the thousand small tensors of a folder
    target = torch.device(device)
    plan = _plan(served, target, memory)
    dtype = torch.float32 if target.type == "cpu" else getattr(torch, plan.dtype)
    if dtype == torch.bfloat16 and target.type == "cuda" and torch.cuda.get_device_capability(target) < _BFLOAT16_SINCE:
        dtype = torch.float16
    read = [lora.read(*lora.parse(text)) for text in loras]
    folder = Folder(served, weights or catalog.weights_folder(family))
    components = Components(folder, target, dtype, plan)
    components.use_loras(read)
    components.judge = named(judge, device) if judge else None
    engine = Engine(components, lanes, _revision(folder.revision(), plan, read))
    _ = engine.networks  # what a lane cannot do without is loaded, or complained about, now
    if set(lanes) - {"language"}:
        components.check_loras()
        judge_of(components)  # a judge that cannot judge would withhold every picture later, without a word to the operator
    return engine


def _plan(served: Family, device: torch.device, name: str | None) -> MemoryPlan:
    """The plan of this name, or the most spacious that the device has memory for; a CPU holds what it loads."""
    plans = {plan.name: plan for plan in served.memory}
    if name is not None and name not in plans:
        raise EngineError(f"{served.name} has the memory plans {', '.join(plans)}, not {name!r}; choose one of them.")
    if name is not None:
        return plans[name]
    free = torch.cuda.mem_get_info(device)[0] / _GB if device.type == "cuda" else None
    return catalog.memory_plan(served.name, free)


def _revision(weights: str, plan: MemoryPlan, loras: Sequence[Lora]) -> str:
    """Fingerprint of all that shapes a picture: that of the weights, unless something changes them."""
    changes = [str(each) for each in loras] + ([f"text-{plan.text_bits}"] if plan.text_bits else [])
    if not changes:
        return weights
    return hashlib.sha256(" ".join([weights, *changes]).encode()).hexdigest()[: len(weights)]
