"""Rows about how near the device's own limits we come: arithmetic, bandwidth, idleness."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from transformers.cache_utils import DynamicCache

from benchmarks.gpu.clock import Call, RowFailed, race, wait_after
from benchmarks.gpu.larger import x4
from benchmarks.gpu.rig import Rig, parameter_bytes
from benchmarks.gpu.table import Row
from engine.denoising import prepare
from engine.language.model import LanguageModel, Sampling, load

TERA = 1e12


def arithmetic(rig: Rig) -> Iterator[Row]:
    """G5: the time that a network's own products would take at the calibrated ceiling, as a share of the time it takes."""
    side = f"{rig.sizes.side} px"
    passes: list[tuple[str, Callable[[], Call], str, str]] = [
        (f"UNet, guided step of 2 samples, {side}", lambda: _unet_pass(rig, 2, guided=True), "0.40", "0.52"),
        (f"UNet, 8 samples, {side}", lambda: _unet_pass(rig, 8, guided=False), "0.50", "0.62"),
        (f"decoder, {side}", lambda: _decoder_pass(rig), "0.50", "0.65"),
        ("super-resolution, one window", lambda: _window_pass(rig), "0.55", "0.70"),
    ]
    for what, make, bar, stretch in passes:
        row = rig.attempt("G5", what, partial(_share_of_ceiling, rig, what, make))
        yield replace(row, bar=bar, stretch=stretch)


def _share_of_ceiling(rig: Rig, what: str, make: Callable[[], Call]) -> Row:
    call = make()
    with FlopCounterMode(display=False) as counter:
        call()
    flops = counter.get_total_flops()
    took = race({"ours": call}, rig.device, rig.sizes.rounds).ours
    note = f"{flops / TERA:.2f} TFLOP in {took * 1e3:.1f} ms = {flops / took / TERA:.0f} TFLOP/s"
    return Row("G5", what, flops / rig.ceilings.flops / took, "of the ceiling", note=note)


def _unet_pass(rig: Rig, samples: int, guided: bool) -> Call:
    networks, cells = rig.parts.drawing("base"), rig.sizes.side // 8
    with torch.inference_mode():
        contexts = networks.conditioning.pair(rig.prompt(), "")
        prepared = prepare(networks, [999, 499], *contexts[: 1 + guided])
    x = torch.randn(samples, 4, cells, cells, device=rig.device).to(networks.dtype)
    return _inference(lambda: networks.unet.denoise(x, prepared, 1))


def _decoder_pass(rig: Rig) -> Call:
    movq, cells = rig.parts.movq(), rig.sizes.side // 8
    latents = torch.randn(1, 4, cells, cells, device=rig.device).to(movq.dtype)
    return _inference(lambda: movq.decode(latents))


def _window_pass(rig: Rig) -> Call:
    enlarger, side = x4(rig), rig.sizes.windows.side
    noisy, small = (torch.randn(1, 3, side, side, device=rig.device).to(enlarger.dtype) for _ in range(2))
    return _inference(lambda: enlarger.unet(noisy, 599, small))


def _inference(call: Call) -> Call:
    def inside() -> object:
        with torch.inference_mode():
            return call()

    return inside


def bandwidth(rig: Rig) -> Iterator[Row]:
    """G6: bytes of weights, each read once, over the time they take at the calibrated bandwidth."""
    yield rig.attempt("G6", "text encoder", partial(_text, rig))
    rig.drop()
    yield rig.attempt("G6", "language model", partial(_language, rig))


def _text(rig: Rig) -> Row:
    conditioning = rig.parts.drawing("flash").conditioning
    encoder = conditioning.text_encoder
    ids = torch.tensor([conditioning.tokenizer.encode(rig.prompt()).ids], device=rig.device)
    padded = torch.nn.functional.pad(ids, (0, 128 - ids.shape[1]))
    mask = torch.arange(128, device=rig.device)[None] < ids.shape[1]
    calls: dict[str, Call] = {
        "ours": _inference(lambda: conditioning.encode(rig.prompt())),
        "D": _inference(lambda: encoder(input_ids=padded, attention_mask=mask.long())),
    }
    timed = race(calls, rig.device, rig.sizes.rounds)
    size = parameter_bytes(encoder, but=("shared.weight", "embed_tokens.weight"))
    share = size / rig.ceilings.bandwidth / timed.ours
    note = f"{size / 1e9:.1f} GB, {ids.shape[1]} tokens in {timed.ours * 1e3:.1f} ms"
    if "D" in timed.seconds:
        note += f"; all 128 positions {timed.seconds['D'] * 1e3:.1f} ms"
    return Row("G6", "text encoder, one prompt", share, "of the bandwidth", bar="0.70", stretch="0.85", note=note)


def _language(rig: Rig) -> Row:
    """Greedy tokens after a prompt, ours and transformers' own loop over the same network."""
    model = load(rig.parts.folder, rig.device, rig.dtype)
    tokens, prompt = rig.sizes.tokens, rig.prompt()
    calls: dict[str, Call] = {
        "ours": lambda: _written(model, prompt, tokens),
        "one": lambda: _written(model, prompt, 1),
        "D": lambda: _generated(model, prompt, tokens),
        "D one": lambda: _generated(model, prompt, 1),
    }
    timed = race(calls, rig.device, rig.sizes.long_rounds)
    written = len(_written(model, prompt, tokens))
    if written < 2:
        raise RowFailed("the random model ended its text at once")
    each = max(timed.ours - timed.seconds["one"], 1e-9) / (written - 1)
    size = parameter_bytes(model.network, but=("embed_tokens.weight",))
    note = f"{size / 1e9:.1f} GB, {each * 1e3:.2f} ms a token after the first"
    if {"D", "D one"} <= timed.seconds.keys():
        theirs = (timed.seconds["D"] - timed.seconds["D one"]) / (tokens - 1)
        note += f"; transformers' generate {theirs * 1e3:.2f} ms"
    share = size / rig.ceilings.bandwidth / each
    return Row("G6", f"language model, {tokens} tokens", share, "of the bandwidth", bar="0.65", stretch="0.80", note=note)


def _written(model: LanguageModel, prompt: str, tokens: int) -> list[str]:
    return list(model.stream(prompt, prompt, Sampling(max_new_tokens=tokens)))


@torch.inference_mode()
def _generated(model: LanguageModel, prompt: str, tokens: int) -> object:
    network: Any = model.network
    ids, cache = torch.tensor([model.encode(prompt)], device=network.device), DynamicCache(config=network.config)
    return network.generate(
        ids, attention_mask=torch.ones_like(ids), past_key_values=cache, do_sample=False, min_new_tokens=tokens,
        max_new_tokens=tokens, pad_token_id=0,
    )  # fmt: skip


def busy(rig: Rig) -> Iterator[Row]:
    """G7: kernel time over wall time of one Flash picture. The wall is not the profiler's, which is slower."""
    request = rig.text_to_image(flash=True)
    wall = race({"ours": lambda: rig.draw(request)}, rig.device, rig.sizes.rounds).ours
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (rig.device.type == "cuda")
    with profile(activities=activities) as watched:
        wait_after(lambda: rig.draw(request), rig.device)
    kind = rig.device.type.upper()
    events = [event for event in watched.events() if event.device_type.name == kind and not event.is_user_annotation]
    kernels = [event for event in events if kind == "CUDA" or event.cpu_parent is None]
    working = _covered([(event.time_range.start, event.time_range.end) for event in kernels]) / 1e6
    note = f"{len(kernels)} kernels, {working * 1e3:.1f} ms of {wall * 1e3:.1f} ms"
    yield Row("G7", "busy during one Flash picture", working / wall, "of the time", bar="0.93", stretch="0.98", note=note)


def _covered(spans: Sequence[tuple[float, float]]) -> float:
    """Length of the union of time spans."""
    ordered = sorted(spans)
    ends = [ordered[0][0]] if ordered else []
    for _, end in ordered:
        ends.append(max(ends[-1], end))
    return sum(max(0.0, after - max(before, start)) for (start, _), (before, after) in zip(ordered, pairwise(ends), strict=True))
