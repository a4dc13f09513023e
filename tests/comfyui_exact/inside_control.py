"""Runs inside ComfyUI's own Python and prints facts about `engines/comfy_control.py` as one line of JSON.

usage: inside_control.py COMFYUI_DIR PACK_ROOT TABLES_JSON
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import inside_models as tiny

COMFYUI, ROOT, TABLES = (Path(argument) for argument in sys.argv[1:4])
WANTED = sys.argv[4:]
tiny.start(COMFYUI, ROOT)

import torch  # noqa: E402
from img_open.controlnet.unit import ControlNetUnit  # noqa: E402
from img_open.engines import comfy_rules as rules  # noqa: E402
from img_open.engines.comfy_control import attach  # noqa: E402
from img_open.engines.comfy_rules import Maps  # noqa: E402

FAMILIES = ("sd15", "sdxl")
MODELS = {family: tiny.unet(family) for family in FAMILIES}
CONTROLS = {(family, False): tiny.control_net(family) for family in FAMILIES}
CONTROLS |= {(family, True): tiny.adapter(family) for family in FAMILIES}
TEXTS = {family: (tiny.conditioning(family, 6), tiny.conditioning(family, 7)) for family in FAMILIES}
HINT = tiny.picture(64, 64)
MODES = ("Balanced", "My prompt is more important", "ControlNet is more important")


def unit(**fields: Any) -> ControlNetUnit:
    given = {"enabled": True, "module": "none", "model": "any", **fields}
    return ControlNetUnit.from_wire(given)


def attached(
    family: str, control: Any, maps: Any = None, window_mode: str = "steps", text: Any = None, **fields: Any
):
    positive, negative = text or TEXTS[family]
    return attach(positive, negative, control, unit(**fields), maps or Maps(HINT), window_mode=window_mode)


def residuals(family: str, text: Any, **options: Any) -> tuple[dict[str, Any], list[int]] | None:
    recorder = tiny.Recorder(MODELS[family], keep_residuals=True, cheap=True)
    tiny.sample(recorder.model, *text, steps=1, **options)
    call = recorder.calls[0]
    return (call["control"], call["sides"]) if call["controlled"] else None


def factors(ours: Any, base: Any, sides: list[int]) -> tuple[list[list[float]], float]:
    """Per residual the measured factors of the conditional and unconditional rows; the largest error."""
    measured, worst = [], 0.0
    pairs = zip(rules.places(ours), rules.places(base), strict=True)
    for (_, _, one), (_, _, other) in pairs:
        if other is None:
            assert one is None
            continue
        rows = len(sides)
        other = other.expand(rows, *other.shape[1:]) if other.shape[0] == 1 else other
        one = one.expand(rows, *one.shape[1:]) if one.shape[0] == 1 else one
        found: list[float] = [0.0, 0.0]
        for row, side in enumerate(sides):
            a, b = one[row].double().flatten(), other[row].double().flatten()
            factor = float(torch.dot(a, b) / torch.dot(b, b))
            worst = max(worst, float((a - factor * b).abs().max() / b.abs().max()))
            found[side] = factor
        measured.append(found)
    return measured, worst


def scales() -> list[dict[str, Any]]:
    """Every row of the table of residual scales, measured on real residuals."""
    out: list[dict[str, Any]] = []
    bases: dict[Any, Any] = {}
    for arguments, _ in json.loads(TABLES.read_text("utf-8"))["residual_scales"]["rows"]:
        family = "sdxl" if arguments.get("is_sdxl") else "sd15"
        adapter, hires = arguments.get("model_type") == "T2I_Adapter", arguments.get("hires", False)
        pooled = arguments.get("global_average_pooling", False)
        control = CONTROLS[family, adapter]
        if pooled:
            control = tiny.control_net(family, pooled=True)
        key = (family, adapter, pooled)
        if key not in bases:
            plain = tiny.host_apply(*TEXTS[family], control, HINT, 1.0, (0.0, 1.0))
            bases[key] = residuals(family, plain)
        low = tiny.picture(32, 32) if hires else HINT
        maps = Maps(low, high=HINT) if hires else Maps(low)
        if arguments.get("hr_option") == "High res only":
            maps = Maps(low, high=HINT if hires else tiny.picture(128, 128))
        names = ("control_mode", "weight", "module", "advanced_weighting", "hr_option")
        fields = {name: arguments[name] for name in names if name in arguments}
        ours = residuals(family, attached(family, control, maps, **fields))
        if ours is None:
            out.append({"called": 0})
            continue
        assert ours[1] == bases[key][1]
        measured, worst = factors(ours[0], bases[key][0], ours[1])
        out.append({"called": 1, "factors": measured, "error": worst})
    return out


def windows() -> list[dict[str, Any]]:
    """Controlled calls of 20 steps, in both readings."""
    out: list[dict[str, Any]] = []
    for scheduler in ("normal", "karras", "exponential"):
        for start, end, modes in ((0.0, 0.5, ("steps",)), (0.3, 0.7, ("steps", "sigma"))):
            for mode in modes:
                recorder = tiny.Recorder(MODELS["sd15"], cheap=True)
                text = attached(
                    "sd15", CONTROLS["sd15", False], window_mode=mode, guidance_start=start, guidance_end=end
                )
                tiny.sample(recorder.model, *text, steps=20, scheduler=scheduler, size=(4, 4), cfg=1.0)
                calls = [call["controlled"] for call in recorder.calls]
                out.append({"scheduler": scheduler, "window": [start, end], "mode": mode, "calls": calls})
    return out


def table_windows() -> list[dict[str, Any]]:
    """The rows of the table guidance_window: which value of the step counter the unit acts at."""
    out: list[dict[str, Any]] = []
    for start, end, total, expected in json.loads(TABLES.read_text("utf-8"))["guidance_window"]["rows"]:
        recorder = tiny.Recorder(MODELS["sd15"], cheap=True)
        text = attached("sd15", CONTROLS["sd15", False], guidance_start=start, guidance_end=end)
        tiny.sample(recorder.model, *text, steps=total, size=(4, 4), cfg=1.0)
        calls = [call["controlled"] for call in recorder.calls]
        counter = [rules.counter_at(call["sigmas"], call["sigma"]) for call in recorder.calls]
        out.append({"calls": calls, "counter": counter, "table": expected})
    return out


def counters() -> dict[str, list[int]]:
    """The step counter at every model call of 6 steps."""
    from img_open.a1111.samplers import find_sampler

    out: dict[str, list[int]] = {}
    for name in (
        row[0] for row in json.loads(TABLES.read_text("utf-8"))["denoiser_calls"]["rows"] if row[1] == 6
    ):
        spec = find_sampler(name)
        if spec.comfy is None or spec.calls not in ("one", "two"):
            continue
        recorder = tiny.Recorder(MODELS["sd15"], cheap=True)
        options = {"sampler": spec.comfy, "scheduler": spec.comfy_scheduler}
        tiny.sample(recorder.model, *TEXTS["sd15"], steps=6, size=(4, 4), cfg=1.0, **options)
        out[name] = [rules.counter_at(call["sigmas"], call["sigma"]) for call in recorder.calls]
    return out


def identity() -> dict[str, bool]:
    """Balanced, no masks, map of the right size: equal to the host's own node in every bit."""
    out: dict[str, bool] = {}
    for (family, adapter), control in CONTROLS.items():
        for window in ((0.0, 1.0), (0.2, 0.8)):
            theirs = tiny.host_apply(*TEXTS[family], control, HINT, 0.6, window)
            fields = {"weight": 0.6, "guidance_start": window[0], "guidance_end": window[1]}
            ours = attached(family, control, window_mode="sigma", **fields)
            steps = 5 if family == "sd15" else 2
            latents = [tiny.sample(MODELS[family], *text, steps=steps) for text in (theirs, ours)]
            out[f"{family} {'adapter' if adapter else 'control'} {window}"] = bool(torch.equal(*latents))
    lora = tiny.control_lora("sd15")
    theirs = tiny.host_apply(*TEXTS["sd15"], lora, HINT, 0.6, (0, 1))
    sides = (theirs, attached("sd15", lora, weight=0.6))
    out["ControlLoRA"] = bool(torch.equal(*(tiny.sample(MODELS["sd15"], *text) for text in sides)))
    base = residuals("sd15", theirs)
    soft = residuals("sd15", attached("sd15", lora, control_mode=MODES[2], weight=0.6))
    measured, _ = factors(soft[0], base[0], base[1])
    out["ControlLoRA modes"] = len(measured) == 13 and abs(measured[0][0] - 0.825**12) < 1e-6
    family, control = "sd15", CONTROLS["sd15", False]
    second = tiny.picture(64, 64, seed=8)
    theirs = tiny.host_apply(*TEXTS[family], control, HINT, 0.5, (0, 1))
    chained = tiny.host_apply(*theirs, control, second, 0.8, (0, 1))
    ours = attached(family, control, weight=0.5)
    ours = attached(family, control, Maps(second), text=ours, weight=0.8)
    mixed = attached(family, control, Maps(second), text=theirs, weight=0.8)
    onto = tiny.host_apply(*attached(family, control, weight=0.5), control, second, 0.8, (0, 1))
    latents = [tiny.sample(MODELS[family], *text, steps=3) for text in (chained, ours, mixed, onto)]
    for name, latent in zip(("chain", "ours on theirs", "theirs on ours"), latents[1:], strict=True):
        out[name] = bool(torch.equal(latent, latents[0]))
    return out


def model_calls() -> dict[str, list[int]]:
    """Rows of every model call, for the host's node and for each control mode."""
    out: dict[str, list[int]] = {}
    control = CONTROLS["sd15", False]
    texts = {"host": tiny.host_apply(*TEXTS["sd15"], control, HINT, 1.0, (0, 1))}
    texts |= {mode: attached("sd15", control, control_mode=mode) for mode in MODES}
    for name, text in texts.items():
        recorder = tiny.Recorder(MODELS["sd15"])
        tiny.sample(recorder.model, *text, steps=3)
        out[name] = [len(call["sides"]) for call in recorder.calls]
    return out


def batches() -> dict[str, float]:
    """Largest difference of a batch of four against four single runs, relative to the largest value."""
    out: dict[str, float] = {}
    noise = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(11))
    hints = tiny.picture(64, 64, count=4)
    region = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(12))
    control = CONTROLS["sd15", False]
    for mode in MODES:
        for name, all_hints in (("one", HINT), ("each", hints)):

            def run(hint: Any, part: Any, mode: str = mode) -> Any:
                text = attached("sd15", control, Maps(hint, region=region), control_mode=mode)
                return tiny.sample(MODELS["sd15"], *text, noise=part)

            whole = run(all_hints, noise)
            singles = [
                run(all_hints if name == "one" else all_hints[k : k + 1], noise[k : k + 1]) for k in range(4)
            ]
            difference = (whole - torch.cat(singles)).abs().max() / whole.abs().max()
            out[f"{mode}, hint {name}"] = float(difference)
    return out


def split_batches() -> float:
    """A host short of memory runs both sides one after the other: the same latents."""
    text = attached("sd15", CONTROLS["sd15", False], control_mode=MODES[2])
    together = tiny.sample(MODELS["sd15"], *text)
    model = MODELS["sd15"]
    required = model.model.memory_required
    model.model.memory_required = lambda *a, **k: 1e30
    try:
        recorder = tiny.Recorder(model)
        apart = tiny.sample(recorder.model, *text)
    finally:
        model.model.memory_required = required
    assert [call["sides"] for call in recorder.calls] == [[1], [0]] * 2 or len(recorder.calls) == 4
    assert not any(call["controlled"] for call in recorder.calls if call["sides"] == [1])
    return float((together - apart).abs().max() / together.abs().max())


def survival() -> dict[str, bool]:
    """The same conditioning after an interrupt, a copy, an unload and another size gives the same latents."""
    import comfy.model_management as management

    fields = {"control_mode": MODES[2], "guidance_start": 0.2, "guidance_end": 0.6}
    out: dict[str, bool] = {}
    for adapter in (False, True):
        control, name = CONTROLS["sd15", adapter], "adapter" if adapter else "control"
        hints = tiny.picture(64, 64, count=2)
        fit = lambda h, w: tiny.picture(h, w, count=2)  # noqa: E731
        make = lambda: attached("sd15", control, Maps(hints, fit=fit), **fields)  # noqa: B023, E731
        fresh = tiny.sample(MODELS["sd15"], *make(), steps=5, batch=2)
        text = make()

        def stop(step: int, *rest: Any) -> None:
            if step == 2:
                raise management.InterruptProcessingException()

        try:
            tiny.sample(
                MODELS["sd15"], *text, steps=7, batch=2, scheduler="karras", callback=stop, size=(16, 16)
            )
            raise SystemExit("the interrupt was swallowed")
        except management.InterruptProcessingException:
            pass
        again = tiny.sample(MODELS["sd15"], *text, steps=5, batch=2)
        out[f"{name}: after an interrupt"] = bool(torch.equal(again, fresh))
        out[f"{name}: once more"] = bool(
            torch.equal(tiny.sample(MODELS["sd15"], *text, steps=5, batch=2), fresh)
        )
        copied = text[0][0][1]["control"].copy()
        sides = [[[tensor, {**options, "control": copied}] for tensor, options in side] for side in text]
        management.unload_all_models()
        out[f"{name}: copied and unloaded"] = bool(
            torch.equal(tiny.sample(MODELS["sd15"], *sides, steps=5, batch=2), fresh)
        )
    return out


def maps_and_masks() -> dict[str, Any]:
    """Which map a pass gets, what the region mask does, and what an adapter does in a high-res pass."""
    asked: list[tuple[int, int]] = []

    def fit(height: int, width: int) -> Any:
        asked.append((height, width))
        return tiny.picture(height, width, seed=13)

    control = CONTROLS["sd15", False]
    text = attached("sd15", control, Maps(HINT, fit=fit))
    own = residuals("sd15", text, size=(8, 8))
    wide = residuals("sd15", text, size=(12, 16))
    expected = residuals(
        "sd15",
        tiny.host_apply(*TEXTS["sd15"], control, tiny.picture(96, 128, seed=13), 1.0, (0, 1)),
        size=(12, 16),
    )
    base = residuals("sd15", tiny.host_apply(*TEXTS["sd15"], control, HINT, 1.0, (0, 1)))
    region = torch.rand(1, 1, 20, 24, generator=torch.Generator().manual_seed(14))
    masked = residuals("sd15", attached("sd15", control, Maps(HINT, region=region)))
    wanted = [
        tensor * torch.nn.functional.interpolate(region, size=tensor.shape[2:], mode="bilinear")
        for _, _, tensor in rules.places(base[0])
    ]
    differences = [
        float((tensor - want).abs().max())
        for (_, _, tensor), want in zip(rules.places(masked[0]), wanted, strict=True)
    ]
    adapter = CONTROLS["sd15", True]
    feature_text = attached("sd15", adapter, Maps(HINT, fit=fit))
    low, high = residuals("sd15", feature_text), residuals("sd15", feature_text, size=(12, 16))
    features = [
        torch.equal(torch.nn.functional.interpolate(a, size=b.shape[2:], mode="nearest"), b)
        for (_, _, a), (_, _, b) in zip(rules.places(low[0]), rules.places(high[0]), strict=True)
        if a is not None
    ]
    inpaint = HINT.clone()
    inpaint[:, :, 16:40, 8:30] = -1
    seen = attached("sd15", control, Maps(inpaint))[0][0][1]["control"].inner
    return {
        "asked": asked,
        "own size equals host": same(own, base),
        "fitted equals host's on that map": same(wide, expected),
        "region": max(differences),
        "adapter features reused": features,
        "inpaint minimum": float(seen.cond_hint_original.min()),
    }


def same(one: Any, other: Any) -> bool:
    pairs = zip(rules.places(one[0]), rules.places(other[0]), strict=True)
    return all(torch.equal(a, b) for (_, _, a), (_, _, b) in pairs if a is not None)


def union() -> dict[str, Any]:
    """The union type is told to the model as the host's SetUnionControlNetType tells it."""
    from comfy_extras.nodes_controlnet import SetUnionControlNetType

    union_model, other = tiny.control_net("sd15", union=True), CONTROLS["sd15", False]
    (chosen,) = SetUnionControlNetType().set_controlnet_type(union_model, "hed/pidi/scribble/ted")

    def told(control: Any, name: str) -> Any:
        return attached("sd15", control, union_control_type=name)[0][0][1]["control"].inner.extra_args

    return {
        "host": chosen.extra_args,
        "Soft Edge": told(union_model, "Soft Edge"),
        "Unknown": told(union_model, "Unknown"),
        "no union model": told(other, "Soft Edge"),
    }


def union_runs() -> dict[str, Any]:
    """A union model that runs: against the host's own nodes with the type chosen there, and in every mode."""
    from comfy_extras.nodes_controlnet import SetUnionControlNetType

    control = tiny.union_control_net()
    found, equal = {}, {}
    for name, theirs in (("Depth", "depth"), ("Soft Edge", "hed/pidi/scribble/ted"), ("Unknown", "auto")):
        (chosen,) = SetUnionControlNetType().set_controlnet_type(control, theirs)
        base = residuals("sdxl", tiny.host_apply(*TEXTS["sdxl"], chosen, HINT, 1.0, (0, 1)))
        found[name] = residuals("sdxl", attached("sdxl", control, union_control_type=name))
        equal[name] = same(found[name], base)
    scaled = {
        mode: residuals("sdxl", attached("sdxl", control, union_control_type="Depth", control_mode=mode))
        for mode in MODES[1:]
    }
    measured = {mode: factors(each[0], found["Depth"][0], each[1]) for mode, each in scaled.items()}
    try:
        attached("sdxl", control, union_control_type="Tile")
        said = "nothing raised"
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    return {
        "equal": equal,
        "types differ": not same(found["Depth"], found["Soft Edge"])
        and not same(found["Depth"], found["Unknown"]),
        "factors": {mode: each[0] for mode, each in measured.items()},
        "error": max(each[1] for each in measured.values()),
        "too new a type": said,
    }


def errors() -> dict[str, str]:
    """What bad input says."""
    broken = HINT.clone()
    broken[0, 0, 3, 3] = float("nan")
    sd15, sdxl = CONTROLS["sd15", False], CONTROLS["sdxl", False]
    cases = {
        "SDXL on SD1.5 text": lambda: attached("sd15", sdxl),
        "SDXL adapter on SD1.5": lambda: tiny.sample(
            MODELS["sd15"], *attached("sd15", CONTROLS["sdxl", True])
        ),
        "SD1.5 adapter on SDXL": lambda: tiny.sample(
            MODELS["sdxl"], *attached("sdxl", CONTROLS["sd15", True])
        ),
        "NaN": lambda: attached("sd15", sd15, Maps(broken)),
        "weights": lambda: attached("sd15", sd15, advanced_weighting=[1.0] * 10),
    }
    out: dict[str, str] = {}
    for name, case in cases.items():
        try:
            case()
            out[name] = "nothing raised"
        except Exception as error:
            out[name] = f"{type(error).__name__}: {error}"
    again = tiny.sample(MODELS["sd15"], *attached("sd15", sd15))
    out["afterwards"] = "fine" if bool(torch.isfinite(again).all()) else "broken"
    return out


def main() -> None:
    probes = (
        scales,
        windows,
        table_windows,
        counters,
        identity,
        model_calls,
        batches,
        split_batches,
        survival,
    )
    probes += (maps_and_masks, union, union_runs, errors)
    import time

    facts: dict[str, Any] = {}
    for probe in probes:
        if not WANTED or probe.__name__ in WANTED:
            began = time.monotonic()
            facts[probe.__name__] = probe()
            print(probe.__name__, round(time.monotonic() - began, 1), file=sys.stderr)
    print("FACTS " + json.dumps(facts))


main()
