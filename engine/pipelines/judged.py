"""A pipeline whose pictures are judged before anyone sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from PIL.Image import Image

from engine.components import Components
from engine.outcomes import Drawn, Outcome
from engine.residency import Visitor
from engine.safety.judge import PictureJudge, verdicts, withhold
from engine.watch import JudgedWatch, Watch

if TYPE_CHECKING:  # that module reads this one
    from engine.pipelines.registry import Build, Pipeline

_WORK = 0.3  # gigabytes beside the judge's weights


class JudgedPipeline:
    """Another pipeline without its unsafe pictures."""

    def __init__(self, pipeline: Pipeline, judge: PictureJudge) -> None:
        self._pipeline = pipeline
        self._judge = judge

    def __call__(self, request: Any, pictures: Mapping[str, Image], watch: Watch) -> Outcome:
        """Answer a request as the pipeline does, then judge; the previews on the way, too."""
        outcome = self._pipeline(request, pictures, JudgedWatch(watch, self._passes))
        return withhold(outcome, self._judge) if isinstance(outcome, Drawn) else outcome

    def _passes(self, picture: Image) -> bool:
        return verdicts(self._judge, [picture]) == [None]


def judge_of(parts: Components) -> PictureJudge:
    """The installation's own judge, or else the family's, loaded once.

    Of a small world that is the detector of its forbidden sign, else the checker of concepts.

    Raises: WeightsError if its weights are missing or cannot judge.
    """
    if parts.judge is not None:
        return parts.judge
    return parts.once("judge", lambda: _mark_judge(parts) if parts.family.small_world else _concept_checker(parts))


def _mark_judge(parts: Components) -> PictureJudge:
    from engine.safety.mark import load

    judge = load(parts.folder, parts.waiting)
    parts.residency.visit(Visitor(judge.network, _WORK), "score", owner=judge)
    return judge


def _concept_checker(parts: Components) -> PictureJudge:
    from engine.safety.checker import load  # here: it takes seconds, and a small world has no use for it

    judge = load(parts.folder, parts.waiting)
    parts.residency.visit(Visitor(judge.network, _WORK), "scores", owner=judge)
    return judge


def judged(build: Build) -> Build:
    """Build a pipeline with the family's judge. A family without the judge's weights draws nothing."""

    def build_judged(parts: Components, lane: str) -> Pipeline:
        return JudgedPipeline(build(parts, lane), judge_of(parts))

    return build_judged
