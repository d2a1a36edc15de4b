import math

import pytest
import torch
from diffusers.schedulers import scheduling_ddpm
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor

from engine.catalog import PredictionType
from engine.schedulers import BaseSampler, FlashSampler, HubSampler, Sampler, alphas_cumprod, draw_noise, threshold

SHAPE = (4, 8, 8)
CPU = torch.device("cpu")


def network(sample: Tensor, t: int) -> Tensor:
    """A toy network: depends on place, time and channel, and stays bounded."""
    return torch.tanh(sample.roll(1, 1) * 0.7 + sample.mean(dim=(2, 3), keepdim=True) + math.sin(t))


def run(sampler: Sampler, noise: list[Tensor]) -> Tensor:
    latents = sampler.start(noise)
    for index, t in enumerate(sampler.timesteps):
        latents = sampler.step(network(latents, t), index, latents, noise).prev_sample
    return latents


def official_settings(prediction_type: str) -> DDIMScheduler:
    return DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type=prediction_type,
        timestep_spacing="trailing",
        set_alpha_to_one=False,
        clip_sample=False,
        thresholding=True,
        dynamic_thresholding_ratio=0.99,
        sample_max_value=1e9,
    )


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("steps", [10, 50])
def test_base_equals_ddim_in_the_official_settings(prediction_type: PredictionType, steps: int):
    sampler = BaseSampler(steps, 1.0, 0.99, prediction_type)
    noise = draw_noise([1, 2], sampler.noise_count, SHAPE, CPU)
    scheduler = official_settings(prediction_type)
    scheduler.set_timesteps(steps)

    expected = noise[0]
    for index, t in enumerate(scheduler.timesteps.tolist()):
        fresh = noise[index + 1] if index + 1 < steps else torch.zeros_like(expected)
        move = scheduler.step(network(expected, t), t, expected, eta=1.0, use_clipped_model_output=True, variance_noise=fresh)
        expected = move.prev_sample

    assert (run(sampler, noise) - expected).abs().max() <= 1e-5


def test_the_schedule_is_the_cosine_of_diffusers():
    assert torch.equal(alphas_cumprod(), official_settings("epsilon").alphas_cumprod)


@pytest.mark.parametrize(
    ("asked", "real", "last"),
    [(25, 25, 39), (50, 50, 19), (100, 100, 9), (30, 30, 13), (45, 44, 10), (60, 59, 13), (80, 77, 11), (1, 1, 999)],
)
def test_base_walks_the_official_grid(asked: int, real: int, last: int):
    timesteps = BaseSampler(asked, 1.0, 0.99, "epsilon").timesteps

    assert (timesteps[0], timesteps[-1], len(timesteps)) == (999, last, real)


def test_the_last_step_of_base_adds_no_noise():
    sampler = BaseSampler(10, 1.0, 0.99, "epsilon")
    noise = draw_noise([1], sampler.noise_count, SHAPE, CPU)

    assert sampler.noise_count == 10
    assert torch.equal(*(sampler.step(network(noise[0], 99), 9, noise[0], each).prev_sample for each in (noise, noise[::-1])))


def test_eta_stands_under_the_root():
    noise = draw_noise([1], 10, SHAPE, CPU)
    silent = [torch.zeros_like(each) for each in noise]

    def share_of_noise(eta: float) -> Tensor:
        sampler = BaseSampler(10, eta, 0.99, "epsilon")
        prediction = network(noise[0], 599)
        loud, quiet = (sampler.step(prediction, 4, noise[0], each).prev_sample for each in (noise, silent))
        return (loud - quiet).std()

    assert share_of_noise(0.5) / share_of_noise(1.0) == pytest.approx(math.sqrt(0.5), abs=1e-4)
    assert share_of_noise(0.0) == 0


def test_thresholding_is_per_sample_and_leaves_small_latents_alone():
    small, large = torch.linspace(-1, 1, 256).view(4, 8, 8), torch.linspace(-5, 5, 256).view(4, 8, 8)

    bounded = threshold(torch.stack([small, large]), 0.99)

    assert torch.equal(bounded[0], small)
    assert bounded[1].abs().max() == 1
    assert torch.allclose(bounded[1, :, 4, 4], large[:, 4, 4] / torch.quantile(large.abs(), 0.99))


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_flash_equals_its_plain_statement(prediction_type: PredictionType):
    sampler = FlashSampler(prediction_type)
    noise = draw_noise([1, 2], sampler.noise_count, SHAPE, CPU)

    image = noise[0].double()
    for t, fresh in zip((979, 729, 479, 229), noise[1:], strict=True):
        angle = math.acos(math.sqrt(alphas_cumprod()[t].item()))  # signal = cos, noise = sin
        noised = math.cos(angle) * image + math.sin(angle) * fresh
        said = network(noised, t)
        if prediction_type == "epsilon":
            image = (noised - math.sin(angle) * said) / math.cos(angle)
        else:
            image = math.cos(angle) * noised - math.sin(angle) * said

    assert (run(sampler, noise) - image).abs().max() <= 1e-5 * max(1, image.abs().max())


def test_noise_of_a_picture_does_not_depend_on_its_neighbours():
    alone, among = draw_noise([8], 3, SHAPE, CPU), draw_noise([7, 8, 9], 3, SHAPE, CPU)

    assert all(torch.equal(one[0], three[1]) for one, three in zip(alone, among, strict=True))
    assert not torch.equal(among[0][0], among[0][1])
    assert not torch.equal(alone[0], alone[1])


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("steps", [7, 50])
def test_the_hubs_sampler_equals_ddpm_in_the_hubs_settings(
    prediction_type: PredictionType, steps: int, monkeypatch: pytest.MonkeyPatch
):
    sampler = HubSampler(steps, 1.0, prediction_type)
    noise = draw_noise([1, 2], sampler.noise_count, SHAPE, CPU)
    scheduler = scheduling_ddpm.DDPMScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type=prediction_type, timestep_spacing="leading", steps_offset=1
    )
    scheduler.set_timesteps(steps)
    fresh = iter([*noise[1:], torch.zeros_like(noise[0])])
    monkeypatch.setattr(scheduling_ddpm, "randn_tensor", lambda *args, **kwargs: next(fresh))

    expected = noise[0]
    for t in scheduler.timesteps.tolist():
        expected = scheduler.step(network(expected, t), t, expected).prev_sample

    assert sampler.timesteps == tuple(scheduler.timesteps.tolist())
    assert (run(sampler, noise) - expected).abs().max() <= 1e-5


@pytest.mark.parametrize(("steps", "first"), [(1, 1), (7, 853), (50, 981), (100, 991)])
def test_the_hubs_grid_ends_at_one(steps: int, first: int):
    timesteps = HubSampler(steps, 1.0, "epsilon").timesteps

    assert (timesteps[0], timesteps[-1], len(timesteps)) == (first, 1, steps)


@pytest.mark.long
@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_every_count_of_steps_gives_finite_latents(eta: float):
    """Rounding leaves less than nothing under a root near time 999 if it is written as in DDIM: 5 steps of diffusers are NaN."""
    for steps in range(1, 101):
        sampler = BaseSampler(steps, eta, 0.99, "epsilon")
        assert torch.isfinite(run(sampler, draw_noise([1], sampler.noise_count, (4, 2, 2), CPU))).all(), steps


@pytest.mark.parametrize(("strength", "times"), [(0.0, ()), (0.3, (299, 199, 99)), (0.79, (699, 599, 499, 399, 299, 199, 99))])
def test_strength_takes_the_last_steps(strength: float, times: tuple[int, ...]):
    sampler = BaseSampler(10, 1.0, 0.99, "epsilon", strength)

    assert sampler.timesteps == times
    assert sampler.noise_count == len(times)
