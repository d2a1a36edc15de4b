"""Windows and samplers against the library's solver with a history per window, and against plain statements."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from torch import Tensor

from benchmarks.engine_counts import Counter
from engine.models.super_resolution import SuperResolutionUNet
from engine.outcomes import ignore
from engine.pipelines.upscale import Enlarger, sample
from engine.super_resolution import Enlarged, FlashSampler, Mean, SolverSampler, Windows, WindowSampler
from engine.watch import Watch

CPU = torch.device("cpu")
SMALL = Windows(side=64, stride=48, per_call=4)
Size = tuple[int, int]


def tiny_unet(width: int = 8) -> SuperResolutionUNet:
    torch.manual_seed(0)
    settings = {"init_channels": width, "model_channels": width, "time_embed_dim": 16, "groups": width // 2}
    return SuperResolutionUNet(**settings, dim_mult=(1, 1, 1, 2), num_resnet_blocks=(2, 2, 2, 2)).eval()


class ReturnsLowRes(torch.nn.Module):
    """The oracle: a network that says the clean picture is the enlarged one."""

    def forward(self, sample: Tensor, timestep: int, low_res: Tensor) -> Tensor:
        return low_res


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def run(sampler: WindowSampler, unet: torch.nn.Module, low_res: Tensor, scale: int, windows: Windows = SMALL) -> Tensor:
    enlarger = Enlarger(unet, scale, CPU, torch.float32)
    with torch.inference_mode():
        return sample(sampler, Enlarged(low_res, scale), enlarger, windows, Watch(ignore, CPU))


def solved(unet: torch.nn.Module, low_res: Tensor, scale: int, steps: int = 5, windows: Windows = SMALL) -> Tensor:
    size = (low_res.shape[2] * scale, low_res.shape[3] * scale)
    return run(SolverSampler(steps, seeded(), size, CPU), unet, low_res, scale, windows)


def stated(unet: SuperResolutionUNet, low_res: Tensor, scale: int, steps: int) -> Tensor:
    """As the facts tell it (4.4): every window has a solver of its own; after each step the windows are averaged."""
    height, width = low_res.shape[2] * scale, low_res.shape[3] * scale
    large = F.interpolate(low_res, (height, width), mode="bilinear")
    solver = DPMSolverMultistepScheduler(beta_schedule="linear", prediction_type="sample", thresholding=False)
    solver.set_timesteps(steps)
    tops = [min(48 * i, height - 64) for i in range(math.ceil((height - 64) / 48) + 1)] if height > 64 else [0]
    lefts = [min(48 * i, width - 64) for i in range(math.ceil((width - 64) / 48) + 1)] if width > 64 else [0]
    solvers = {(top, left): copy.deepcopy(solver) for top in tops for left in lefts}
    x = torch.randn(1, 3, height, width, generator=seeded())
    for t in solver.timesteps:
        total, count = torch.zeros_like(x), torch.zeros_like(x)
        for (top, left), own in solvers.items():
            place = (..., slice(top, top + 64), slice(left, left + 64))
            total[place] += own.step(unet(x[place], t, large[place]), t, x[place]).prev_sample
            count[place] += 1
        x = total / count
    return x


@pytest.mark.parametrize(
    ("size", "count"), [((1024, 1024), 1), ((2048, 2048), 9), ((3072, 3072), 16), ((4096, 4096), 25), ((2160, 3840), 15)]
)
def test_there_are_as_many_windows_as_in_the_official_code(size: Size, count: int):
    boxes = Windows().boxes(*size)

    assert len(boxes) == count
    assert {(box.bottom - box.top, box.right - box.left) for box in boxes} == {(min(1024, size[0]), min(1024, size[1]))}
    assert max(box.bottom for box in boxes) == size[0]
    assert max(box.right for box in boxes) == size[1]


@pytest.mark.parametrize("bad", [{"side": 1020}, {"stride": 1032}, {"stride": 0}, {"stride": 12}, {"per_call": 0}])
def test_windows_that_leave_gaps_are_refused(bad: dict[str, int]):
    with pytest.raises(ValueError, match="multiples of 8"):
        Windows(**bad)


@pytest.mark.parametrize("scale", [2, 4])
def test_windows_of_the_enlarged_picture_are_those_of_the_whole(scale: int):
    low_res = torch.rand(1, 3, 50, 70) * 2 - 1
    whole = F.interpolate(low_res, (50 * scale, 70 * scale), mode="bilinear")
    enlarged = Enlarged(low_res, scale)

    for box in Windows(side=64, stride=40).boxes(*enlarged.size):
        assert torch.equal(enlarged.window(box), box.of(whole))


def test_the_mean_is_one_and_leaves_equal_windows_as_they_are():
    boxes, picture = SMALL.boxes(116, 164), torch.randn(1, 3, 116, 164)
    mean, same = Mean(torch.zeros_like(picture)), Mean(torch.zeros_like(picture))
    total, count = torch.zeros_like(picture), torch.zeros_like(picture)
    for box in boxes:
        window = torch.randn(1, 3, 64, 64)
        mean.add(box, window)
        same.add(box, box.of(picture))
        box.of(total).add_(window)
        box.of(count).add_(1)

    assert count.max() == 9
    assert (mean.picture - total / count).abs().max() < 1e-6
    assert torch.equal(same.picture, picture)


def test_five_steps_have_the_official_times():
    assert SolverSampler(5, seeded(), (8, 8), CPU).timesteps == (999, 799, 599, 400, 200)


@pytest.mark.parametrize(
    ("size", "scale", "steps"),
    [pytest.param((48, 60), 4, 5, marks=pytest.mark.long), ((40, 32), 4, 1), ((52, 40), 2, 7), ((12, 16), 4, 5)],
)
def test_one_history_for_all_windows_is_a_history_for_each(size: Size, scale: int, steps: int):
    unet, low_res = tiny_unet(), torch.rand(1, 3, *size) * 2 - 1

    with torch.inference_mode():
        expected = stated(unet, low_res, scale, steps)

    assert (solved(unet, low_res, scale, steps) - expected).abs().max() < 1e-5


@pytest.mark.parametrize("flash", [True, False])
@pytest.mark.parametrize(("size", "scale"), [((100, 140), 4), ((2, 2), 4), ((64, 200), 2)])
def test_a_network_that_returns_its_low_resolution_gives_the_bilinear_picture_exactly(flash: bool, size: Size, scale: int):
    low_res = torch.rand(1, 3, *size) * 2 - 1
    target = (size[0] * scale, size[1] * scale)
    sampler = FlashSampler(seeded(), target, CPU) if flash else SolverSampler(5, seeded(), target, CPU)

    result = run(sampler, ReturnsLowRes(), low_res, scale)

    assert torch.equal(result, F.interpolate(low_res, target, mode="bilinear"))


def test_flash_in_one_window_is_the_official_loop():
    unet, low_res = tiny_unet(), torch.rand(1, 3, 32, 24) * 2 - 1
    generator = seeded()
    alphas = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)
    with torch.inference_mode():
        x0 = torch.randn(1, 3, 64, 48, generator=generator)
        for t in (979, 729, 479, 229):
            noise = torch.randn(1, 3, 64, 48, generator=generator)
            x_t = alphas[t].sqrt() * x0 + (1 - alphas[t]).sqrt() * noise
            x0 = unet(x_t, t, F.interpolate(low_res, (64, 48), mode="bilinear"))

    result = run(FlashSampler(seeded(), (64, 48), CPU), unet, low_res, 2)

    assert (result - x0).abs().max() < 1e-5


def test_windows_per_call_do_not_matter():
    unet, low_res = tiny_unet(), torch.rand(1, 3, 40, 48) * 2 - 1
    one, all_ = (solved(unet, low_res, 4, windows=Windows(64, 48, count)) for count in (1, 15))
    assert (one - all_).abs().max() < 1e-5


def landscape(side: int) -> Tensor:
    y, x = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing="ij")
    return torch.stack([torch.sin(9 * x + 3 * y), 2 * x * y - 1, ((x - 0.5).hypot(y - 0.5) < 0.3).float()])[None]


def border_energies(picture: Tensor, windows: Windows) -> Tensor:
    """Per window border: energy of the step across it, as a share of the mean, and of the most, of 16 steps around it.

    Those lie whole multiples of 8 away, since the network's energy repeats with its coarsest pixel.
    """
    shares = []
    for dim in (2, 3):
        energy = picture.diff(dim=dim).square().mean(dim=(0, 1, 5 - dim))
        boxes = windows.boxes(picture.shape[2], picture.shape[3])
        edges = {edge for box in boxes for edge in ((box.top, box.bottom) if dim == 2 else (box.left, box.right))}
        for edge in sorted(edges - {0, picture.shape[dim]}):
            inside = torch.cat([energy[edge - 65 : edge - 1 : 8], energy[edge + 7 : edge + 71 : 8]])
            shares.append(torch.stack([energy[edge - 1] / inside.mean(), energy[edge - 1] / inside.max()]))
    return torch.stack(shares)


def test_no_seam_at_the_borders_of_windows():
    windows = Windows(side=128, stride=96, per_call=4)

    shares = border_energies(solved(tiny_unet(), landscape(96), 4, windows=windows), windows)

    assert len(shares) == 2 * 6
    assert shares[:, 0].mean() < 1
    assert shares[:, 1].max() < 1


def peak_in_pictures(side: int, windows: Windows) -> float:
    """Most bytes alive at once as a multiple of the target's, the network left out."""
    counter = Counter([])
    with counter:
        solved(ReturnsLowRes(), torch.zeros(1, 3, side // 4, side // 4), 4, steps=3, windows=windows)
    return counter.counts.peak / (3 * 4 * side**2)


@pytest.mark.long
def test_memory_does_not_grow_with_the_number_of_windows():
    few, many = (peak_in_pictures(512, Windows(64, stride, 1)) for stride in (64, 32))  # 64 and 225 windows

    assert few == pytest.approx(many, rel=0.01)


def test_memory_is_a_few_pictures_of_the_target():
    assert peak_in_pictures(1024, Windows(256, 200, 1)) < 4.5  # 3.6 at 4096, where a strip of the solver is a smaller part


@pytest.mark.long
def test_from_1024_to_4096_without_a_seam_and_in_bounded_memory():
    unet, windows = tiny_unet(4), Windows(per_call=1)
    counter = Counter(unet.parameters())
    with counter:
        result = solved(unet, landscape(1024), 4, steps=2, windows=windows)

    assert result.shape == (1, 3, 4096, 4096)
    shares = border_energies(result, windows)
    assert shares[:, 0].mean() < 1
    assert shares[:, 1].max() < 1
    assert counter.counts.peak < 4 * (3 * 4 * 4096**2)  # 3.7 pictures of the target, 704 MiB
