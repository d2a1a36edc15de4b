"""Rows about text to image: Flash and careful drawing against the baselines, the decoder, throughput."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from benchmarks.gpu.clock import Call, exact, peak_gib, race, relative, seconds
from benchmarks.gpu.rig import Rig, decoded
from benchmarks.gpu.table import Row
from benchmarks.gpu.theirs import copied
from engine.models.movq import MoVQ
from engine.requests import TextToImage
from engine.weights import settings

_SHORT_STEPS = 2  # enough to warm up the slowest baseline


def flash(rig: Rig) -> Iterator[Row]:
    """G1: a prompt in, 8-bit pixels out."""
    request = rig.text_to_image(flash=True)
    bars = "O 4x, D 1.8x, DC 1.15x", "O 6x, D 2.5x, DC 1.4x"
    rounds = dict.fromkeys(("ours", *rig.ways), rig.sizes.rounds)
    yield _drawn(rig, Row("G1", f"Flash, {_side(request)}, end to end", bar=bars[0], stretch=bars[1]), request, rounds)


def careful(rig: Rig) -> Iterator[Row]:
    """G2: the same with all steps and guidance."""
    request = rig.text_to_image(flash=False)
    bars = "O 3.5x, D 1.4x, DC 1.10x", "O 5x, D 1.8x, DC 1.3x"
    rounds = dict.fromkeys(("ours", *rig.ways), rig.sizes.long_rounds) | {"O": 1}
    row = Row("G2", f"{request.num_inference_steps} guided steps, {_side(request)}", bar=bars[0], stretch=bars[1])
    yield _drawn(rig, row, request, rounds)


def _drawn(rig: Rig, row: Row, request: TextToImage, rounds: dict[str, int]) -> Row:
    """Ours and all baselines over one request; errors of the decoder's pictures."""
    networks = rig.parts.drawing(request.lane)
    short = replace(request, num_inference_steps=_SHORT_STEPS)

    def draw(name: str, request: TextToImage) -> object:
        return rig.draw(request) if name == "ours" else rig.theirs(name, networks).draw(request)

    calls: dict[str, Call] = {name: partial(draw, name, request) for name in rounds}
    warm: dict[str, Call] = {way: partial(draw, way, short) for way in rig.ways}
    timed = race(calls, rig.device, max(rounds.values()), rounds, warm)
    errors = _errors(rig, request, [way for way in rig.ways if way in timed.seconds])
    notes = [_rounds(rounds), timed.note, f"decoder in {_name(networks.movq.dtype)}"]
    return replace(row, ours=timed.ours, theirs=timed.theirs, errors=errors, note="; ".join(filter(None, notes)))


def _errors(rig: Rig, request: TextToImage, names: list[str]) -> dict[str, float]:
    """Of each one's picture against exact float32; nothing if that does not fit."""
    networks = rig.parts.drawing(request.lane)
    if "O" not in names:
        return {}
    with exact():
        expected = rig.theirs("O", networks).picture(request)
    with decoded(networks.movq) as seen:
        rig.draw(request)
    pictures = {"ours": seen[-1]} | {name: rig.theirs(name, networks).picture(request) for name in names}
    return {name: relative(picture, expected) for name, picture in pictures.items()}


def decoding(rig: Rig) -> Iterator[Row]:
    """G3: the decoder alone, as the engine has it and in half precision; time, then memory."""
    networks = rig.parts.drawing("flash")
    cells = rig.sizes.side // 8
    latents = torch.randn(1, 4, cells, cells, generator=torch.Generator().manual_seed(0)).to(rig.device)
    own = {"ours": networks.movq}
    if networks.movq.dtype == torch.float32:
        own["half"] = _half(networks.movq, rig.device)

    @torch.inference_mode()
    def decode(name: str) -> Tensor:
        if name in own:
            return own[name].decode(latents.to(own[name].dtype))
        return rig.theirs(name, networks).decode(latents)

    names = [*own, *(way for way in rig.ways if way != "O16")]  # its decoder is O's
    timed = race({name: partial(decode, name) for name in names}, rig.device, rig.sizes.rounds)
    with exact():
        expected = decode("O" if "O" in timed.seconds else "ours")
    errors = {name: relative(decode(name), expected) for name in timed.seconds}
    peaks = {name: peak_gib(partial(decode, name), rig.device) for name in timed.seconds}

    for name, movq in own.items():
        if name not in timed.seconds:
            yield Row("G3", f"decode, ours in {_name(movq.dtype)}", failed=timed.failed[name])
            continue
        what = f"decode, ours in {_name(movq.dtype)}, {rig.sizes.side} px"
        others = [way for way in timed.seconds if way not in own]
        times = Row("G3", what, timed.seconds[name], theirs={way: timed.seconds[way] for way in others})
        shown = {"ours": errors[name]} | {way: errors[way] for way in others}
        yield replace(times, bar="O 3.5x, D 1.35x", stretch="O 5x, D 1.6x", errors=shown, note=timed.note)
        memory = Row("G3", f"{what}, memory beside the weights", peaks[name], "GiB", {way: peaks[way] for way in others})
        yield replace(memory, bar="D 1.82x", stretch="D 2.22x")


def _half(movq: MoVQ, device: torch.device) -> MoVQ:
    """The same autoencoder in bfloat16."""
    with torch.device("meta"):
        half = MoVQ(**settings(MoVQ, dict(movq.config)))
    half.load_state_dict(copied(movq, torch.bfloat16, device), assign=True)
    laid: MoVQ = cast(Any, half).to(memory_format=torch.channels_last).eval()
    return laid


def in_flight(rig: Rig) -> Iterator[Row]:
    """G8: many Flash jobs at once against as many times a single one, through the engine's front door."""
    for side, bars in ((rig.sizes.side, ("1.15x", "1.25x")), (rig.sizes.small_side, ("1.5x", "1.8x"))):
        what = f"{rig.sizes.in_flight} Flash jobs in flight over as many times one, {side} px"
        row = rig.attempt("G8", what, partial(_in_flight, rig, what, side))
        yield replace(row, bar=bars[0], stretch=bars[1])


def _in_flight(rig: Rig, what: str, side: int) -> Row:
    engine, jobs = rig.engine, rig.sizes.in_flight
    one, four = rig.text_to_image(flash=True, side=side), rig.text_to_image(flash=True, side=side, pictures=4)
    calls: dict[str, Call] = {"ours": lambda: engine.run([one]), "four": lambda: engine.run([four])}
    timed = race(calls, rig.device, rig.sizes.rounds, {"four": rig.sizes.long_rounds})
    together = seconds(lambda: engine.run([one] * jobs), rig.device)
    note = f"{jobs / together:.2f} pictures/s, one at a time {1 / timed.ours:.2f}"
    if "four" in timed.seconds:
        note += f", four to a request {4 / timed.seconds['four']:.2f}"
    return Row("G8", what, jobs * timed.ours / together, "x", note=f"{note}; judged")


def flash_over_careful(rig: Rig) -> Iterator[Row]:
    """G9: what Flash saves, of our own engine, with text and decoder in both."""
    quick, slow = rig.text_to_image(flash=True), rig.text_to_image(flash=False)
    calls: dict[str, Call] = {"ours": lambda: rig.draw(quick), "slow": lambda: rig.draw(slow)}
    timed = race(calls, rig.device, rig.sizes.rounds, {"slow": rig.sizes.long_rounds})
    ratio = timed.theirs["slow"] / timed.ours
    note = f"{slow.num_inference_steps} guided steps {timed.theirs['slow']:.2f} s, Flash {timed.ours * 1e3:.1f} ms; floor 7.2x"
    yield Row("G9", "Flash over careful drawing, ours", ratio, "x", bar="6.5x", stretch="7x", note=note)


def _side(request: TextToImage) -> str:
    return f"{request.width} px"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _rounds(rounds: dict[str, int]) -> str:
    most = max(rounds.values())
    fewer = ", ".join(f"{count} of {name}" for name, count in rounds.items() if count < most)
    return f"median of {most}" + (f", {fewer}" if fewer else "")
