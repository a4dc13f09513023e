"""img2img, masks and the hires fix: how many steps, which sizes, what is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from img_open.base.errors import InvalidRequest, PictureError
from img_open.engines.diffusers_job import Pass, passes_of
from img_open.engines.diffusers_pictures import LATENT_UPSCALERS


@pytest.mark.parametrize(
    ("steps", "strength", "calls"), [(10, 0.6, 7), (20, 0.5, 11), (5, 1.0, 5), (4, 0.0, 1)]
)
def test_img2img_runs_the_web_ui_s_number_of_steps(run, body, square_link, unet, spy, steps, strength, calls):
    main = spy(unet)
    run(body(steps=steps, denoising_strength=strength, always_on={"image_link": square_link}))
    assert len(main) == calls
    first = float(main.inputs[0][1])
    assert first == pytest.approx(np.linspace(999, 0, steps)[steps - calls], abs=0.01)


def test_img2img_second_order_samplers_run_their_last_steps(run, body, square_link, unet, spy):
    main = spy(unet)
    run(body(steps=10, denoising_strength=0.6, sampler_index="Heun", always_on={"image_link": square_link}))
    assert len(main) == 13
    assert float(main.inputs[0][1]) == pytest.approx(np.linspace(999, 0, 10)[3], abs=0.01)


def test_plms_starts_where_the_others_do(run, body, square_link, unet, spy):
    main = spy(unet)
    run(body(steps=10, denoising_strength=0.5, sampler_index="PLMS", always_on={"image_link": square_link}))
    assert [int(inputs[1]) for inputs in main.inputs] == [501, 401, 401, 301, 201, 101, 1]


def test_low_strength_keeps_the_init_image(run, body, square_link, square):
    from PIL import Image

    wanted = np.asarray(Image.fromarray(square).resize((64, 64))).astype(int)
    gap = {
        strength: np.abs(
            run(body(steps=10, denoising_strength=strength, always_on={"image_link": square_link})).images[0]
            - wanted
        ).mean()
        for strength in (0.0, 0.9)
    }
    assert gap[0.0] < gap[0.9]


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
def test_every_resize_mode_gives_the_request_s_size(run, body, square_link, mode):
    request = body(steps=2, width=96, height=64, resize_mode=mode, always_on={"image_link": square_link})
    assert run(request).images[0].shape == (64, 96, 3)


def test_more_initial_noise_changes_the_picture(run, body, square_link):
    always_on = {"image_link": square_link}
    plain = run(body(always_on=always_on)).images[0]
    assert not np.array_equal(run(body(initial_noise_multiplier=0.5, always_on=always_on)).images[0], plain)
    assert np.array_equal(run(body(initial_noise_multiplier=1.0, always_on=always_on)).images[0], plain)


@pytest.fixture
def right_half(pictures):
    mask = np.zeros((80, 96), np.uint8)
    mask[:, 48:] = 255
    return pictures.add(mask, "mask")


@pytest.mark.parametrize("fill", [0, 1, 2, 3])
def test_a_mask_keeps_what_is_black_in_it(run, body, pictures, right_half, fill):
    rng = np.random.default_rng(1)
    photo = np.repeat(np.repeat(rng.integers(0, 255, (10, 12, 3), dtype=np.uint8), 8, axis=0), 8, axis=1)
    always_on = {"image_link": pictures.add(photo), "mask_link": right_half}
    fields = {"width": 96, "height": 80, "mask_blur": 0, "inpaint_full_res": False, "inpainting_fill": fill}
    picture = run(body(always_on=always_on, **fields)).images[0]
    assert np.array_equal(picture[:, :48], photo[:, :48])
    assert np.abs(picture[:, 48:].astype(int) - photo[:, 48:]).mean() > 5
    other = run(body(always_on=always_on, inpainting_mask_invert=1, **fields)).images[0]
    assert np.array_equal(other[:, 48:], photo[:, 48:])


@pytest.mark.parametrize(("sampler", "replaced"), [("DDIM", True), ("UniPC", True), ("Euler", False)])
def test_samplers_over_timesteps_show_the_network_the_kept_part_without_noise(
    run, body, pictures, right_half, square_link, unet, spy, sampler, replaced
):
    calls = spy(unet)
    always_on = {"image_link": square_link, "mask_link": right_half}
    fields = {"width": 96, "height": 80, "mask_blur": 0, "inpaint_full_res": False, "inpainting_fill": 1}
    run(body(always_on=always_on, sampler_index=sampler, steps=6, denoising_strength=0.6, **fields))
    given = torch.stack([args[0][0] for args in calls.inputs])
    assert len(given) > 2
    kept, painted = given[..., : given.shape[-1] // 2], given[..., given.shape[-1] // 2 :]
    assert torch.equal(kept[0], kept[-1]) is replaced, "the very picture in every call"
    assert not torch.equal(painted[0], painted[-1])


def test_only_masked_repaints_a_crop_and_returns_the_whole_picture(run, body, pictures, square):
    mask = np.zeros((80, 96), np.uint8)
    mask[30:50, 40:60] = 255
    always_on = {"image_link": pictures.add(square), "mask_link": pictures.add(mask, "mask")}
    fields = {"mask_blur": 0, "inpaint_full_res": True, "inpainting_fill": 1, "inpaint_full_res_padding": 4}
    picture = run(body(always_on=always_on, **fields)).images[0]
    assert picture.shape == square.shape
    assert np.array_equal(picture[mask == 0], square[mask == 0])
    assert not np.array_equal(picture[mask > 0], square[mask > 0])


def test_an_empty_mask_with_only_masked_is_an_error(run, body, pictures, square_link):
    mask = pictures.add(np.zeros((80, 96), np.uint8), "mask")
    with pytest.raises(InvalidRequest, match="empty"):
        run(body(always_on={"image_link": square_link, "mask_link": mask}))


def test_a_mask_of_another_size_with_only_masked_is_an_error(run, body, pictures, square_link):
    mask = pictures.add(np.full((20, 20), 255, np.uint8), "mask")
    with pytest.raises(PictureError, match="same size"):
        run(body(always_on={"image_link": square_link, "mask_link": mask}))


def test_a_mask_without_an_init_image_is_said(run, body, right_half):
    result = run(body(steps=1, always_on={"mask_link": right_half}))
    assert [(info.field, info.verdict) for info in result.infos] == [
        ("alwayson_scripts.mask_link", "refused")
    ]


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"hr_scale": 1.5}, (96, 96)),
        ({"hr_resize_x": 128, "hr_resize_y": 96}, (96, 128)),
        ({"hr_resize_x": 96, "hr_resize_y": 0}, (96, 96)),
        ({"hr_scale": 1.3}, (80, 80)),
    ],
)
def test_hires_sizes_are_the_web_ui_s(run, body, unet, spy, fields, size):
    main = spy(unet)
    request = body(enable_hr=True, steps=4, hr_second_pass_steps=2, denoising_strength=0.5, **fields)
    result = run(request)
    assert result.images[0].shape[:2] == size
    shapes = [tuple(inputs[0].shape[2:]) for inputs in main.inputs]
    assert shapes == [(8, 8)] * 4 + [(size[0] // 8, size[1] // 8)] * 2


def test_hires_second_pass_takes_the_end_of_a_longer_schedule(body):
    request = body(enable_hr=True, steps=20, hr_second_pass_steps=12, denoising_strength=0.3)
    assert passes_of(request, img2img=False)[1] == Pass(40, 28, (16, 16), hires=True)
    default = passes_of(request.replace(hr_second_pass_steps=0, denoising_strength=0.5), img2img=False)[1]
    assert (default.schedule_steps, default.steps) == (40, 20)


@pytest.mark.parametrize("upscaler", [*LATENT_UPSCALERS, "None", "Lanczos", "Nearest"])
def test_every_upscaler_without_weights_works(run, body, upscaler):
    result = run(body(enable_hr=True, steps=2, hr_upscaler=upscaler, denoising_strength=0.4))
    assert result.images[0].shape == (128, 128, 3)
    assert result.infos == []


def test_upscalers_with_weights_are_said_to_be_replaced(run, body):
    other = run(body(enable_hr=True, steps=2, hr_upscaler="R-ESRGAN 4x+", denoising_strength=0.4))
    assert [(info.field, info.verdict) for info in other.infos] == [("hr_upscaler", "refused")]
    plain = run(body(enable_hr=True, steps=2, denoising_strength=0.4))
    assert np.array_equal(other.images[0], plain.images[0])


def test_hires_with_strength_0_is_an_error(run, body):
    with pytest.raises(InvalidRequest, match="denoising_strength"):
        run(body(enable_hr=True, denoising_strength=0))


def test_hires_on_img2img_is_said(run, body, square_link):
    result = run(body(enable_hr=True, steps=2, always_on={"image_link": square_link}))
    assert [(info.field, info.verdict) for info in result.infos] == [("enable_hr", "refused")]
    assert result.images[0].shape == (64, 64, 3)


def test_the_annotator_runs_once_and_its_map_serves_both_passes(run, body, unit, canny, spy, monkeypatch):
    from img_open.preprocessors import control

    made = []
    real = control.run_module
    monkeypatch.setattr(control, "run_module", lambda *args, **kw: made.append(args[0]) or real(*args, **kw))
    calls = spy(canny)
    result = run(body([unit()], enable_hr=True, steps=2, denoising_strength=0.5))
    assert made == ["canny"]
    hints = [tuple(keywords["controlnet_cond"].shape[2:]) for keywords in calls.keywords]
    assert hints == [(64, 64)] * 2 + [(128, 128)] * 2
    assert [each.shape for each in result.control_images] == [(128, 128, 3), (64, 64, 3)]


@pytest.mark.parametrize(
    ("option", "passes"), [("Both", [64, 128]), ("Low res only", [64]), ("High res only", [128])]
)
def test_hr_option_picks_the_pass(run, body, unit, canny, spy, option, passes):
    calls = spy(canny)
    run(body([unit(hr_option=option)], enable_hr=True, steps=1, denoising_strength=0.9))
    assert [keywords["controlnet_cond"].shape[2] for keywords in calls.keywords] == passes


def test_hr_option_means_nothing_without_hires_fix(run, body, unit, canny, spy):
    calls = spy(canny)
    run(body([unit(hr_option="High res only")], steps=2))
    assert len(calls) == 2


def test_canny_is_soft_in_the_second_pass_even_when_balanced(run, body, unit, unet, canny, spy):
    control, main = spy(canny), spy(unet)
    run(body([unit()], enable_hr=True, steps=1, denoising_strength=0.9))
    ratios = []
    for call in (0, 1):
        made, given = control.outputs[call][0][0], main.keywords[call]["down_block_additional_residuals"][0]
        ratios.append(float((made * given).sum() / (made * made).sum()))
    count = len(canny.controlnet_down_blocks) + 1
    assert ratios == pytest.approx([1.0, 0.825 ** (count - 1)], rel=1e-4)


def test_hires_images_do_not_depend_on_the_batch(run, body):
    fields = {"enable_hr": True, "steps": 2, "denoising_strength": 0.6, "sampler_index": "Euler a"}
    batch = run(body(batch_size=2, **fields))
    assert np.array_equal(batch.images[1], run(body(seed=12, **fields)).images[0])


def test_an_rgba_init_image_is_laid_over_white(run, body, pictures, square):
    alpha = np.dstack([square, np.full(square.shape[:2], 255, np.uint8)])
    alpha[:10, :, 3] = 0
    white = square.copy()
    white[:10] = 255
    made = [
        run(body(steps=2, always_on={"image_link": pictures.add(each)})).images[0] for each in (alpha, white)
    ]
    assert np.array_equal(*made)


def test_nothing_is_left_in_inference_mode(run, body, square_link):
    run(body(steps=1, always_on={"image_link": square_link}))
    assert torch.zeros(1, requires_grad=True).requires_grad
