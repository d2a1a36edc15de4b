"""A pipeline whose pictures are judged before anyone sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from PIL.Image import Image

from engine.components import Components
from engine.outcomes import Drawn, Outcome
from engine.residency import Visitor
from engine.safety.judge import PictureJudge, withhold
from engine.watch import Watch

if TYPE_CHECKING:  # that module reads this one
    from engine.pipelines.registry import Build, Pipeline

_WORK = 0.3  # gigabytes beside the judge's weights


class JudgedPipeline:
    """Another pipeline without its unsafe pictures."""

    def __init__(self, pipeline: Pipeline, judge: PictureJudge) -> None:
        self._pipeline = pipeline
        self._judge = judge

    def __call__(self, request: Any, pictures: Mapping[str, Image], watch: Watch) -> Outcome:
        """Answer a request as the pipeline does, then judge."""
        outcome = self._pipeline(request, pictures, watch)
        return withhold(outcome, self._judge) if isinstance(outcome, Drawn) else outcome


def judge_of(parts: Components) -> PictureJudge | None:
    """The installation's own judge, or else the family's, loaded once.

    None for a family that knows a small world alone, and cannot draw what the default judge looks for.

    Raises: WeightsError if its weights are missing or cannot judge.
    """
    if parts.judge is not None:
        return parts.judge
    if parts.family.small_world:
        return None
    from engine.safety.checker import ConceptChecker, load  # here: it takes seconds, and a small world has no use for it

    def load_judge() -> ConceptChecker:
        judge = load(parts.folder, parts.waiting)
        parts.residency.visit(Visitor(judge.network, _WORK), "scores", owner=judge)
        return judge

    return parts.once("safety_checker", load_judge)


def judged(build: Build) -> Build:
    """Build a pipeline with the family's judge. A family without the judge's weights draws nothing."""

    def build_judged(parts: Components, lane: str) -> Pipeline:
        pipeline, judge = build(parts, lane), judge_of(parts)
        return pipeline if judge is None else JudgedPipeline(pipeline, judge)

    return build_judged
