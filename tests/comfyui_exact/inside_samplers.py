"""Runs inside ComfyUI's own Python and prints facts about the samplers (engines/comfy_sampling.py).

usage: inside_samplers.py COMFYUI_DIR PACK_ROOT TABLES_JSON [probe ...]

The U-Net does not run: a formula stands in for what it predicts, so that every run can be written out again.
"""

from __future__ import annotations

import inspect
import json
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import inside_models as tiny

TABLES = json.loads(Path(sys.argv[3]).read_text("utf-8"))
WANTED = sys.argv[4:]
tiny.start(Path(sys.argv[1]), Path(sys.argv[2]))

import comfy.k_diffusion.sampling as k_diffusion  # noqa: E402
import torch  # noqa: E402
from comfy.extra_samplers import uni_pc  # noqa: E402
from img_open.a1111.samplers import SAMPLERS, find_sampler  # noqa: E402
from img_open.a1111.sigmas import alphas_cumprod, timesteps_for  # noqa: E402
from img_open.engines.comfy_noise import NoiseSource  # noqa: E402
from img_open.engines.comfy_sampling import WebUiGuider, WebUiSampler  # noqa: E402
from img_open.engines.comfy_schedule import plan_run  # noqa: E402
from img_open.engines.comfy_solvers import restart_steps, sample_restart  # noqa: E402

MODEL = tiny.unet("sd15")
TEXT = (tiny.conditioning("sd15", 6), tiny.conditioning("sd15", 7))
ALPHAS = torch.tensor(alphas_cumprod())
NOISE = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(21))
START = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(22))
SCALE = 0.18215


def eps(x: Any) -> Any:
    """What stands in for the U-Net: the noise it finds in latents of unit variance."""
    return 0.8 * x + 0.3 * torch.tanh(2 * x)


def denoised(x: Any, sigma: Any) -> Any:
    """The same as the picture found in k-diffusion's latents."""
    sigma = torch.as_tensor(sigma).reshape(-1, 1, 1, 1)
    return x - sigma * eps(x / (1 + sigma**2) ** 0.5)


def run(
    name: str,
    steps: int,
    which: Any = "txt2img",
    strength: float = 0.75,
    mask: Any = None,
    model: Any = None,
    noise: Any = None,
) -> tuple[Any, list[Any]]:
    """Latents in the sampler's own scale, and the counter at every model call."""
    seen: list[Any] = []

    def wrapper(apply_model: Any, given: dict[str, Any]) -> Any:
        seen.append(given["c"]["transformer_options"].get("img_open_step"))
        return denoised(given["input"], given["timestep"])

    patched = (model or MODEL).clone()
    patched.set_model_unet_function_wrapper(wrapper)
    spec = find_sampler(name)
    plan = plan_run(spec, patched, steps, which, strength)
    sampler = WebUiSampler(spec, noise or NoiseSource(5), which == "txt2img", plan.start_sigma, plan.total)
    guider = WebUiGuider(patched, *TEXT, 1.0)
    init = torch.zeros_like(START) if which == "txt2img" else START / SCALE
    sigmas = torch.from_numpy(plan.sigmas.astype("float32"))
    with torch.inference_mode():
        made = guider.sample(NOISE, init, sampler, sigmas, mask, disable_pbar=True)
    return made * SCALE, seen


def distance(one: Any, other: Any) -> float:
    return float((one.double() - other.double()).abs().max() / other.abs().max())


def unipc() -> dict[str, float]:
    """Against the UniPC class that the host carries, on the web UI's time grid and at unit variance."""
    schedule = uni_pc.NoiseScheduleVP("discrete", alphas_cumprod=ALPHAS.float())
    out: dict[str, float] = {}
    for name, steps, which, strength in (
        ("4 steps", 4, "txt2img", 1.0),
        ("20 steps", 20, "txt2img", 1.0),
        ("img2img", 20, "img2img", 0.5),
        ("hires", 6, "hires", 0.5),
    ):
        grid = timesteps_for({"img2img": 20, "hires": 12}.get(which, steps))
        count, first, x = len(grid), 1.0, NOISE
        if which != "txt2img":
            count = {"img2img": 10, "hires": 5}[which]
            first = grid[count - 1] / 1000 + 1 / 1000
            share = ALPHAS[grid[count]].float()
            x = START * share**0.5 + NOISE * (1 - share) ** 0.5
        solver = uni_pc.UniPC(lambda at, t: eps(at), schedule, predict_x0=True, variant="bh1")
        times = torch.linspace(first, 1 / 1000, count + 1)
        with torch.inference_mode():
            expected = solver.sample(x, times, order=3, method="multistep", disable_pbar=True)
        out[name] = distance(run("UniPC", steps, which, strength)[0], expected)
    return out


def ddim() -> dict[str, float]:
    """DDIM and its inpainting, written out at unit variance: the model gets the picture where it is kept."""
    out: dict[str, float] = {}
    mask = torch.zeros(1, 1, 6, 6)
    mask[..., 2:5, 1:4] = 1
    for name, repaint in (("plain", torch.ones(1, 1, 6, 6)), ("masked", mask)):
        grid = timesteps_for(10)[:6]
        share = ALPHAS[timesteps_for(10)[6]].float()
        x = START * share**0.5 + NOISE * (1 - share) ** 0.5
        for here, there in zip(grid[:0:-1], grid[-2::-1], strict=True):
            a, b = float(ALPHAS[here]), float(ALPHAS[there])
            found = eps(x * repaint + START * (1 - repaint))
            picture = (x - (1 - a) ** 0.5 * found) / a**0.5
            x = b**0.5 * picture + (1 - b) ** 0.5 * found
        expected = x * repaint + START * (1 - repaint)
        given = None if name == "plain" else mask
        out[name] = distance(run("DDIM", 10, "img2img", 0.6, given)[0], expected)
    return out


def restart() -> dict[str, Any]:
    """Below 20 steps it is Heun; above, the steps it makes, and the noise of going back."""
    out: dict[str, Any] = {}
    short, _ = run("Restart", 12)
    spec = find_sampler("Restart")
    sigmas = torch.from_numpy(plan_run(spec, MODEL, 12, "txt2img", 1).sigmas.astype("float32"))
    with torch.inference_mode():
        heun = k_diffusion.sample_heun(lambda x, s: denoised(x, s), NOISE * sigmas[0], sigmas, disable=True)
    out["heun"] = distance(short, heun)
    for steps in (20, 36, 50):
        levels = torch.from_numpy(plan_run(spec, MODEL, steps, "txt2img", 1).sigmas)
        walked = [(float(a), float(b)) for a, b in restart_steps(levels)]
        jumps = [(one[1], other[0]) for one, other in pairwise(walked) if other[0] != one[1]]
        out[str(steps)] = {
            "steps": len(walked),
            "jumps": jumps,
            "falling": all(a > b for a, b in walked),
            "last": walked[-1][1],
        }
        # A model that finds no noise leaves only what going back added.
        blank = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
        still = sample_restart(lambda x, s: x, blank, levels, noise_sampler=lambda a, b: 1.0)
        out[str(steps)]["noise"] = float(still) - sum((b**2 - a**2) ** 0.5 for a, b in jumps)
    return out


def ancestral() -> dict[str, Any]:
    """DPM fast and adaptive against k-diffusion's functions with the web UI's arguments, same noise."""
    out: dict[str, Any] = {}
    for name in ("DPM fast", "DPM adaptive"):
        plan = plan_run(find_sampler(name), MODEL, 7, "txt2img", 1)
        low, high = float(plan.sigmas[-2]), float(plan.sigmas[0])
        for eta in (1.0, 0.0):
            draws = NoiseSource(5).draws(NOISE.shape, range(2))
            draws.first()
            more = {"eta": eta, "noise_sampler": lambda a, b: draws.next(), "disable": True}  # noqa: B023
            model = lambda x, s, **rest: denoised(x, s)  # noqa: E731
            start = NOISE * torch.tensor(plan.sigmas[0], dtype=torch.float32)
            with torch.inference_mode():
                if name == "DPM fast":
                    expected = k_diffusion.sample_dpm_fast(model, start, low, high, 7, **more)
                else:
                    expected = k_diffusion.sample_dpm_adaptive(model, start, low, high, **more)
            out[f"{name} eta {eta:g}"] = distance(run(name, 7)[0], expected)
    return out


def defaults() -> list[str]:
    """Arguments of the host's functions that are not the web UI's own defaults."""
    usual = {"s_churn": 0.0, "s_tmin": 0.0, "s_tmax": float("inf"), "s_noise": 1.0, "eta": 1.0, "order": 4}
    usual |= {"r": 0.5}
    wrong: list[str] = []
    own = {None, "ddim", "uni_pc", "dpm_fast", "dpm_adaptive", "dpmpp_2m_sde_heun"}
    for base in {spec.comfy for spec in SAMPLERS.values()} - own:
        parameters = inspect.signature(getattr(k_diffusion, f"sample_{base}")).parameters
        for name, parameter in parameters.items():
            if name in usual and parameter.default not in (usual[name], inspect.Parameter.empty):
                wrong.append(f"{base}.{name} = {parameter.default}")
        if base == "dpmpp_2m_sde" and parameters["solver_type"].default != "midpoint":
            wrong.append(f"{base}.solver_type")
    return wrong


def every_name() -> list[str]:
    """Names whose run ends in anything but finite latents."""
    failed: list[str] = []
    for name in SAMPLERS:
        try:
            found, _ = run(name, 4)
            if not bool(torch.isfinite(found).all()):
                failed.append(name)
        except Exception as error:
            failed.append(f"{name}: {error}")
    heun, midpoint = (run(name, 4)[0] for name in ("DPM++ 2M SDE Heun", "DPM++ 2M SDE"))
    if distance(heun, midpoint) < 1e-6:
        failed.append("heun is midpoint")
    return failed


def lcm() -> dict[str, float]:
    """The host's "lcm" sampling: the web UI's levels, and its scalings of what the U-Net finds."""
    from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete

    (patched,) = ModelSamplingDiscrete().patch(MODEL, "lcm", False)
    spec = find_sampler("LCM")
    own, plain = (plan_run(spec, each, 4, "txt2img", 1).sigmas for each in (patched, MODEL))
    sampling = patched.get_model_object("model_sampling")
    sigma = torch.tensor([float(own[1])])
    # Of the fifty kept timesteps, 19, 39 ... 999, the one whose level is nearest.
    kept = torch.arange(19, 1000, 20)
    levels = ((1 - ALPHAS) / ALPHAS).sqrt()[kept]
    timestep = float(kept[(levels.log() - sigma.double().log()).abs().argmin()])
    scaled = timestep * 10.0
    x, output = NOISE, START
    both = scaled**2 + 0.25
    expected = scaled / both**0.5 * (x - output * sigma) + 0.25 / both * x
    return {
        "levels": distance(torch.from_numpy(own[:-1]), torch.from_numpy(plain[:-1])),
        "scalings": distance(sampling.calculate_denoised(sigma, output, x), expected),
    }


class Formula:
    """The formula as a model of k-diffusion's functions, which ask it for its kind."""

    def __init__(self) -> None:
        self.inner_model = SimpleNamespace(inner_model=MODEL.model)

    def __call__(self, x: Any, sigma: Any, **rest: Any) -> Any:
        return denoised(x, sigma)


class Vae:
    """Stands in for a VAE: the mean of 8x8 pixels, four channels."""

    def encode(self, pixels: Any) -> Any:
        small = torch.nn.functional.avg_pool2d(pixels.movedim(-1, 1), 8) * 2 - 1
        return torch.cat([small, small[:, :1]], dim=1)


def lama() -> dict[str, float]:
    """inpaint_only+lama: its picture, noised to the last timestep, is every noise of the first batch."""
    from img_open.controlnet.unit import ControlNetUnit
    from img_open.engines.comfy_latent import with_blend
    from img_open.engines.comfy_rules import Maps

    # Weight 0 leaves its other part, the blending after every call, without effect.
    unit = ControlNetUnit.from_wire({"enabled": True, "module": "inpaint_only+lama", "weight": 0.0})
    picture = tiny.picture(48, 48, seed=23)
    patched = with_blend(MODEL, unit, Maps(torch.cat([picture, picture[:, :1] * 0], dim=1)), Vae())
    share = float(ALPHAS[999])
    latent = Vae().encode(picture.movedim(1, -1)) * SCALE
    mixed = lambda drawn, factor=1.0: drawn * (1 - share) ** 0.5 + latent * (share**0.5 * factor)  # noqa: E731
    out: dict[str, float] = {}
    for name, first in (("first batch", 0), ("second batch", 2)):
        levels = torch.from_numpy(
            plan_run(find_sampler("Euler a"), MODEL, 5, "txt2img", 1).sigmas.astype("float32")
        )
        draws = NoiseSource(5, first=first).draws(NOISE.shape, range(2))
        draws.first()
        change = mixed if first == 0 else lambda drawn, factor=1.0: drawn
        with torch.inference_mode():
            expected = k_diffusion.sample_euler_ancestral(
                Formula(),
                change(NOISE, 0.5) * levels[0],
                levels,
                disable=True,
                noise_sampler=lambda a, b: change(draws.next()),  # noqa: B023
            )
        source = NoiseSource(5, first=first, multiplier=0.5)
        out[name] = distance(run("Euler a", 5, model=patched, noise=source)[0], expected)
        out[f"{name}, without"] = distance(run("Euler a", 5, noise=source)[0], expected)
    small = tiny.picture(24, 24, seed=23)
    other = with_blend(MODEL, unit, Maps(torch.cat([small, small[:, :1]], dim=1), fit=tiny_fit), Vae())
    out["another size"] = distance(run("Euler a", 5, model=other)[0], run("Euler a", 5)[0])
    return out


def tiny_fit(height: int, width: int) -> Any:
    """A control picture with its mask for a pass of another size."""
    return torch.cat([tiny.picture(height, width, seed=24), torch.zeros(1, 1, height, width)], dim=1)


def counters() -> list[dict[str, Any]]:
    """The step counter at every model call, for every row of the table."""
    out: list[dict[str, Any]] = []
    for name, steps, strength, _ in TABLES["denoiser_calls"]["rows"]:
        which = "txt2img" if strength is None else "img2img"
        _, seen = run(name, steps, which, strength or 1.0)
        out.append({"name": f"{name} {steps} {strength}", "seen": seen})
    return out


def main() -> None:
    import time

    facts: dict[str, Any] = {}
    for probe in (unipc, ddim, restart, ancestral, defaults, every_name, lcm, lama, counters):
        if not WANTED or probe.__name__ in WANTED:
            began = time.monotonic()
            facts[probe.__name__] = probe()
            print(probe.__name__, round(time.monotonic() - began, 1), file=sys.stderr)
    print("FACTS " + json.dumps(facts))


main()
