"""Import and export: every dialect says the same, what has no place is reported, and no key gets through."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from img_open.api.convert import (
    from_curl,
    from_infotext,
    from_json,
    from_text,
    from_webui,
    shareable,
    to_curl,
    to_img_open,
    to_webui,
    webui_path,
    without_logins,
)
from img_open.api.convert_shell import quote_posix, split_command
from img_open.api.request import Request
from img_open.base.errors import InvalidRequest, PictureError
from img_open.base.log import register_secret

DATA = Path(__file__).resolve().parents[1] / "data" / "api"
CANARY = "canary-4f1d9c77e2"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 90).decode()


@pytest.fixture
def page() -> dict[str, Any]:
    body: dict[str, Any] = json.loads((DATA / "sd_controlnet_page.json").read_text(encoding="utf-8"))
    return body


# --- curl ---


def test_the_curl_command_of_the_page(page: dict[str, Any]) -> None:
    notices: list[str] = []
    request = from_text((DATA / "sd_controlnet_page.curl.txt").read_text(encoding="utf-8"), notices)
    assert request.to_wire() == page  # the \r\n inside the negative prompt included
    assert "\r\n" in request.negative_prompt
    assert notices == []


def test_the_page_with_windows_line_ends(page: dict[str, Any]) -> None:
    text = (DATA / "sd_controlnet_page.curl.txt").read_text(encoding="utf-8").replace("\n", "\r\n")
    assert from_text(text).to_wire() == page


BODY = {"prompt": 'a "red" cat\'s 100% & <b> \\ ^hat^ 猫😀', "steps": 5, "negative_prompt": "x\r\ny"}
URL = "https://api.zhiqite.com/AIGCImgOpenServ/saas/sd/v2/text2image"


def _ansi(text: str) -> str:
    """What Chrome writes inside $'…'."""
    out = (
        text.replace("\\", "\\\\")
        .replace("'", "\\'")
        .replace("\n", "\\n")
        .replace("\r", "\\r")
        .replace("!", "\\u0021")
    )
    units = out.encode("utf-16-be")
    words = [int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2)]
    return "$'" + "".join(chr(word) if word < 128 else f"\\u{word:04x}" for word in words) + "'"


def _cmd(text: str) -> str:
    """What Chrome writes for cmd: the quotes themselves behind carets."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    safe = "_-:=+~'/.',?;()*` "
    out = "".join(char if char.isalnum() or char in safe else "^" + char for char in escaped)
    return '^"' + out.replace("^\n", "^\n\n") + '^"'


TEXT = json.dumps(BODY, ensure_ascii=False)
INDENTED = json.dumps(BODY, indent=2)


@pytest.mark.parametrize(
    "command",
    [
        f"curl '{URL}' -H 'a: b' --data-raw {quote_posix(TEXT)}",
        f"curl -X POST {URL} -d {quote_posix(TEXT)} --compressed",
        f"curl {URL} --data={quote_posix(INDENTED)}",
        f"curl -sSL {URL} -d{quote_posix(TEXT)}",
        f"$ curl --url {URL} --json {quote_posix(TEXT)}",
        f"curl {URL} \\\n  -H 'content-type: application/json' \\\n  --data-binary {quote_posix(INDENTED)} ;",
        f"curl {URL} --data-raw " + '"' + TEXT.replace("\\", "\\\\").replace('"', '\\"') + '"',
        f"curl {URL} --data-raw {_ansi(TEXT)}",
        f"curl {URL} --data-raw {_ansi(INDENTED)} --insecure",
        f'curl ^"{URL}^" ^\n  -H ^"content-type: application/json^" ^\n  --data-raw {_cmd(TEXT)}',
        f'curl.exe ^"{URL}^" ^\r\n  --data-raw {_cmd(INDENTED)}',
    ],
)
def test_every_quoting_gives_the_same_body(command: str) -> None:
    assert from_text(command).to_wire() == BODY


def test_carets_in_a_prompt_do_not_make_it_a_windows_command() -> None:
    request = Request.from_wire({"prompt": "^", "negative_prompt": '"^"\n^ \n'})
    assert from_text(to_curl(request)) == request


def test_a_command_written_by_hand_for_cmd() -> None:
    # Backslashes count only before a double quote, so \\r\\n needs no doubling.
    text = 'curl -X POST "' + URL + '" ^\n  -H "a: b" ^\n  -d "{\\"prompt\\": \\"x\\r\\ny C:\\\\z\\"}"'
    assert from_text(text).to_wire() == {"prompt": "x\r\ny C:\\z"}


_WORD = st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=40, deadline=None)
@given(words=st.lists(_WORD, min_size=1, max_size=4))
def test_posix_words_as_the_standard_library_splits_them(words: list[str]) -> None:
    command = "curl " + " ".join(quote_posix(word) for word in words)
    if "^" not in command:
        assert split_command(command) == shlex.split(command)


def test_the_exported_command_is_what_a_shell_would_send(page: dict[str, Any]) -> None:
    command = to_curl(Request.from_wire({**page, "prompt": "it's $HOME `id` \\ !"}))
    # printf instead of curl: the shell does its own splitting, nothing is sent.
    script = command.replace("curl ", "printf '%s\\0' ", 1)
    environment = {"IMG_OPEN_ACCESS_KEY_ID": "id-value", "IMG_OPEN_ACCESS_KEY_SECRET": "secret-value"}
    words = subprocess.run(
        ["sh", "-c", script], env=environment, capture_output=True, check=True, text=True
    ).stdout
    arguments = words.split("\0")
    assert "X-Request-req-accessKeyId: id-value" in arguments
    assert "X-Request-req-accessKeySecret: secret-value" in arguments
    assert json.loads(arguments[arguments.index("--data-raw") + 1])["prompt"] == "it's $HOME `id` \\ !"


@pytest.mark.parametrize(
    "command",
    [
        f"curl '{URL}?accessKeySecret={CANARY}' -d '{{\"prompt\": \"x\"}}'",
        f"curl '{URL}' -H 'X-Request-req-accessKeySecret: {CANARY}' -d '{{\"prompt\": \"x\"}}'",
        f"curl '{URL}' --header='X-Request-req-accessKeyId: {CANARY}' -d '{{\"prompt\": \"x\"}}'",
        f"curl -u user:{CANARY} {URL} -H 'Authorization: Bearer {CANARY}' -d '{{\"prompt\": \"x\"}}'",
        f"curl -b 'k={CANARY}' '{URL}' --oauth2-bearer {CANARY} -d '{{\"prompt\": \"x\"}}'",
        f'curl \'{URL}\' -d \'{{"prompt": "x", "X-Request-req-accessKeySecret": "{CANARY}"}}\'',
        f'curl \'{URL}\' -d \'{{"prompt": "x", "alwayson_scripts": {{"access_key_id": "{CANARY}"}}}}\'',
        f"curl 'https://a:{CANARY}@api.zhiqite.com/x' -d '{{\"prompt\": \"x\"}}'",
        f"curl '{URL}' -H 'X-Request-req-accessKeySecret: {CANARY}' -d '{{\"prompt\": '",
        f"curl '{URL}' -H 'X-Request-req-accessKeySecret: {CANARY}' -d '{{\"steps\": 0}}",
        f"curl '{URL}' -H 'X-Request-req-accessKeySecret: {CANARY}' -F 'a={CANARY}'",
        f"curl '{URL}' -H 'X-Request-req-accessKeySecret: {CANARY}'",
    ],
)
def test_no_key_survives_an_import(command: str) -> None:
    notices: list[str] = []
    said = ""
    try:
        request = from_text(command, notices)
    except InvalidRequest as error:
        said = str(error) + repr(error.details)
        request = Request()
    everything = [
        said,
        repr(request),
        repr(request.to_wire()),
        to_curl(request),
        repr(to_webui(request)),
        *notices,
    ]
    assert CANARY not in "\n".join(everything)


def test_a_registered_key_does_not_get_out() -> None:
    register_secret(CANARY)
    assert CANARY not in to_curl(Request.from_wire({"prompt": f"oops {CANARY}"}))


SIGNED = "https://b.s3.amazonaws.com/a.png?X-Amz-Signature=abc123def&X-Amz-Expires=60"


def test_signatures_are_cut_from_exported_links() -> None:
    unit = {"enabled": True, "image_link": SIGNED, "module": "canny"}
    body = {"prompt": "x", "alwayson_scripts": {"image_link": SIGNED, "controlnet": {"args": [unit]}}}
    notices: list[str] = []
    text = to_curl(Request.from_wire(body), notices=notices)
    assert "abc123def" not in text
    assert "https://b.s3.amazonaws.com/a.png" in text
    assert sum("signature" in notice for notice in notices) == 2
    plain = "https://f.example.com/a.png?size=2"
    assert shareable(Request.from_wire({"alwayson_scripts": {"image_link": plain}})).init_image == plain


def test_a_local_picture_is_pointed_out_in_curl() -> None:
    notices: list[str] = []
    to_curl(Request.from_wire({"alwayson_scripts": {"image_link": "picture:abc"}}), notices=notices)
    assert any("this machine only" in notice for notice in notices)


def test_curl_of_another_operation() -> None:
    with pytest.raises(InvalidRequest, match="roop"):
        from_curl('curl https://api.zhiqite.com/AIGCImgOpenServ/saas/tool/roop -d \'{"sourceUrl": "x"}\'')
    notices: list[str] = []
    from_curl(f'curl {URL.replace("text2image", "controlnet")} -d \'{{"prompt": "x"}}\'', notices)
    assert any("sd_controlnet" in notice and "sd_text2image_v2" in notice for notice in notices)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "neither JSON nor a curl"),
        ("hello world", "neither JSON nor a curl"),
        ("{", "broken at line 1"),
        ('{"prompt": NaN}', "NaN"),
        ('{"steps": "x"}', "steps is 'x'"),
        ("[1, 2]", "JSON object"),
        ('{"1": {"class_type": "KSampler"}}', "ComfyUI workflow"),
        ("curl https://x.example.com -d @body.json", "in a file"),
        ("curl https://x.example.com -d 'abc", "inside a quotation"),
        ("curl https://x.example.com", "no body"),
        ("curl https://x.example.com -d 'a=b'", "JSON is broken"),
    ],
)
def test_texts_that_are_no_request(text: str, says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        from_text(text)
    assert says in str(caught.value)


# --- web UI ---

WEBUI = {
    "prompt": "a cat",
    "negative_prompt": "bad",
    "seed": 7,
    "subseed": -1,
    "subseed_strength": 0,
    "sampler_name": "DPM++ 2M",
    "scheduler": "Karras",
    "batch_size": 2,
    "n_iter": 1,
    "steps": 12,
    "cfg_scale": 6.5,
    "width": 512,
    "height": 640,
    "restore_faces": None,
    "tiling": False,
    "do_not_save_samples": False,
    "save_images": True,
    "send_images": True,
    "styles": [],
    "init_images": [PNG],
    "mask": "data:image/png;base64," + PNG,
    "mask_blur": 6,
    "inpaint_full_res": 1,
    "inpainting_mask_invert": 0,
    "denoising_strength": 0.6,
    "override_settings": {
        "sd_model_checkpoint": "v1-5.safetensors",
        "sd_vae": "vae.pt",
        "samples_format": "png",
        "CLIP_stop_at_last_layers": 2,
    },
    "alwayson_scripts": {
        "ControlNet": {
            "args": [
                {"input_image": PNG, "module": "canny", "model": "canny", "enabled": True, "resize_mode": 1},
                {"image": {"image": PNG, "mask": PNG}, "module": "inpaint_only", "enabled": False},
            ]
        },
        "ADetailer": {"args": [True]},
    },
    "script_name": "",
    "surprise": 3,
}


def test_a_web_ui_payload() -> None:
    notices: list[str] = []
    request = from_json(WEBUI, notices)
    assert request.sampler_index == "DPM++ 2M Karras"
    assert (request.checkpoint, request.vae, request.clip_skip) == ("v1-5.safetensors", "vae.pt", 2)
    assert request.output_format == "png"
    assert request.init_image == "data:image/png;base64," + PNG
    assert request.init_mask == "data:image/png;base64," + PNG
    assert request.inpaint_full_res is True
    assert [unit.module for unit in request.units] == ["canny", "inpaint_only"]
    first, second = request.units
    assert first.to_wire()["image_link"] == "data:image/png;base64," + PNG
    assert first.to_wire()["resize_mode"] == "Crop and Resize"
    assert second.mask == "data:image/png;base64," + PNG
    assert not second.enabled
    assert request.unknown_fields == {"alwayson_scripts.ADetailer": {"args": [True]}}
    assert webui_path(request) == "/sdapi/v1/img2img"
    assert any(notice.startswith("surprise:") for notice in notices)
    assert any(notice.startswith("save_images:") for notice in notices)
    assert not any(notice.startswith(("tiling", "styles", "send_images", "subseed")) for notice in notices)


def test_fields_that_change_the_picture_are_kept_and_said() -> None:
    notices: list[str] = []
    request = from_webui(
        {"prompt": "x", "subseed": 5, "subseed_strength": 0.3, "tiling": True, "eta": 0.5}, notices
    )
    assert request.unknown() == {"subseed": 5, "subseed_strength": 0.3, "tiling": True, "eta": 0.5}
    assert {notice.split(":")[0] for notice in notices} == {"subseed", "subseed_strength", "tiling", "eta"}
    assert to_webui(request)["subseed_strength"] == 0.3


@pytest.mark.parametrize(
    ("name", "scheduler", "wanted"),
    [
        ("DPM++ 2M", "Karras", "DPM++ 2M Karras"),
        ("DPM++ 2M Karras", "Karras", "DPM++ 2M Karras"),
        ("DPM++ 2M", "karras", "DPM++ 2M Karras"),
        ("DPM++ 2M", "Automatic", "DPM++ 2M Karras"),
        ("DPM++ 2M SDE", "automatic", "DPM++ 2M SDE Exponential"),
        ("Euler a", "Automatic", "Euler a"),
        ("Euler a", "Uniform", "Euler a"),
        ("Euler", "sgm_uniform", "Euler SGM Uniform"),
        ("Euler", None, "Euler"),
        ("DPM++ 2M", "", "DPM++ 2M"),
    ],
)
def test_sampler_and_scheduler_become_one_name(name: str, scheduler: Any, wanted: str) -> None:
    assert from_webui({"sampler_name": name, "scheduler": scheduler}).sampler_index == wanted


def test_missing_steps_mean_what_the_web_ui_means() -> None:
    assert from_webui({"prompt": "x"}).steps == 50
    assert to_webui(Request.from_wire({"prompt": "x"}))["steps"] == 20


def test_what_the_web_ui_cannot_take_is_said() -> None:
    body = {
        "prompt": "x",
        "made_up": 1,
        "alwayson_scripts": {
            "image_link": "https://f.example.com/a.png",
            "made_up_too": 3,
            "controlnet": {"args": [{"image_link": "https://f.example.com/b.png", "module": "canny"}]},
        },
    }
    notices: list[str] = []
    payload = to_webui(Request.from_wire(body), notices)
    assert payload["alwayson_scripts"]["controlnet"]["args"][0]["image"] == "https://f.example.com/b.png"
    assert payload["alwayson_scripts"]["controlnet"]["args"][0]["enabled"] is True
    assert [notice.split(":")[0] for notice in notices] == [
        "alwayson_scripts.made_up_too",
        "made_up",
        "alwayson_scripts.image_link",
        "alwayson_scripts.controlnet.args[0].image_link",
    ]


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"init_images": "x"}, "init_images"),
        ({"init_images": [3]}, "init_images[0]"),
        ({"sampler_name": 3}, "sampler_name"),
        ({"scheduler": 3, "sampler_name": "Euler"}, "scheduler"),
        ({"override_settings": []}, "override_settings"),
        ({"mask": 3, "init_images": ["x"]}, "mask"),
        ({"alwayson_scripts": 3, "init_images": []}, "alwayson_scripts"),
        ({"steps": "x", "sampler_name": "Euler"}, "steps"),
        ({"alwayson_scripts": {"controlnet": {"args": [{"image": PNG, "weight": 5}]}}}, "weight"),
        ({"alwayson_scripts": {"controlnet": {"args": 3}}, "sampler_name": "Euler"}, "controlnet.args"),
    ],
)
def test_wrong_types_in_a_web_ui_payload(payload: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        from_json(payload)
    assert field in caught.value.message


# --- infotext ---

INFOTEXT = """a cat (best:1.2),
on a mat
Negative prompt: bad, ugly
worse
Steps: 25, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 123, Size: 512x768, \
Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, VAE hash: c6a580b13a, VAE: vae-ft.pt, \
Denoising strength: 0.55, Clip skip: 2, Hires resize: 1024x1536, Hires steps: 10, \
Hires upscaler: Latent, Face restoration: CodeFormer, ENSD: 31337, RNG: CPU, \
ControlNet 1: "Module: none, Model: None, Weight: 0.5, Guidance Start: 0.1, Guidance End: 0.9", \
ControlNet 0: "Module: canny, Model: control_v11p_sd15_canny [d14c016b], Weight: 1, \
Resize Mode: Crop and Resize, Low Vram: False, Processor Res: 512, Threshold A: 100, Threshold B: 200, \
Guidance Start: 0, Guidance End: 0.8, Pixel Perfect: True, Control Mode: Balanced, Hr Option: Both, \
Save Detected Map: True, Strange: 3", \
Lora hashes: "a: 123, b: 456", Foo thing: 3, Version: v1.9.4"""


def test_infotext() -> None:
    notices: list[str] = []
    request = from_text(INFOTEXT, notices)
    assert request.prompt == "a cat (best:1.2),\non a mat"
    assert request.negative_prompt == "bad, ugly\nworse"
    assert (request.steps, request.cfg_scale, request.seed_number) == (25, 7.5, 123)
    assert request.sampler_index == "DPM++ 2M Karras"
    assert (request.width, request.height) == (512, 768)
    assert (request.checkpoint, request.vae, request.clip_skip) == ("v1-5-pruned-emaonly", "vae-ft.pt", 2)
    assert (request.enable_hr, request.hr_resize_x, request.hr_resize_y) == (True, 1024, 1536)
    assert (request.hr_second_pass_steps, request.hr_upscaler) == (10, "Latent")
    assert request.denoising_strength == 0.55
    assert request.restore_faces is True
    assert request.override_settings["eta_noise_seed_delta"] == 31337
    first, second = request.units
    assert (first.module, first.model) == ("canny", "control_v11p_sd15_canny [d14c016b]")
    assert (first.processor_res, first.threshold_a, first.threshold_b) == (512, 100, 200)
    assert (first.guidance_end, first.pixel_perfect, first.enabled) == (0.8, True, True)
    assert (second.module, second.weight, second.guidance_start) == ("none", 0.5, 0.1)
    said = " ".join(notices)
    assert "Foo thing" in said
    assert "Strange" in said
    assert "control pictures are not in the text" in said
    assert "Lora hashes" not in said


def test_the_older_form_of_a_unit() -> None:
    text = (
        "x\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64, "
        'ControlNet 0: "preprocessor: canny, model: control_canny [abc], weight: 0.7, '
        "starting/ending: (0.1, 0.8), resize mode: Resize and Fill, pixel perfect: False, "
        'control mode: Balanced, preprocessor params: (512, 100, 200)"'
    )
    unit = from_infotext(text).units[0]
    assert (unit.module, unit.weight, unit.guidance_start, unit.guidance_end) == ("canny", 0.7, 0.1, 0.8)
    assert (unit.processor_res, unit.threshold_a, unit.threshold_b) == (512, 100, 200)
    assert unit.resize_mode.value == "Resize and Fill"


def test_image_to_image_text_says_that_its_picture_is_missing() -> None:
    notices: list[str] = []
    from_infotext("x\nSteps: 20, Sampler: Euler, Seed: 1, Size: 64x64, Denoising strength: 0.4", notices)
    assert any("init image" in notice for notice in notices)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("just a prompt", "no line of parameters"),
        ("", "no line of parameters"),
        ("x\nSteps: many, Sampler: Euler, Seed: 1", "Steps is 'many'"),
        ("x\nSteps: 20, Sampler: Euler, Size: big", "Size is 'big'"),
        ("x\nSteps: 0, Sampler: Euler, Seed: 1", "steps is 0"),
    ],
)
def test_broken_infotext(text: str, says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        from_infotext(text)
    assert says in str(caught.value)


def _picture(form: str, text: str) -> bytes:
    from PIL import Image, PngImagePlugin

    picture, out = Image.new("RGB", (8, 8)), io.BytesIO()
    if form == "png":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("parameters", text)
        picture.save(out, "PNG", pnginfo=info)
    else:
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + text.encode("utf-16-be")
        picture.save(out, form.upper(), exif=exif)
    return out.getvalue()


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
def test_the_text_inside_a_picture(form: str) -> None:
    assert from_infotext(_picture(form, INFOTEXT + " 猫")) == from_infotext(INFOTEXT + " 猫")


def test_pictures_without_text() -> None:
    with pytest.raises(PictureError, match="no generation parameters"):
        from_infotext(_picture("png", " "))
    with pytest.raises(PictureError, match="cannot be read"):
        from_infotext(b"\x89PNG\r\n\x1a\nbroken")


# --- every dialect says the same ---

_NAMES = st.sampled_from(
    [
        *Request.model_fields,
        *WEBUI,
        "controlnet",
        "args",
        "image",
        "mask",
        "image_link",
        "weight",
        "module",
        "sd_vae",
        "x",
    ]
)
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
_LINK = st.sampled_from(
    ["https://f.example.com/a.png?v=1", "data:image/png;base64," + PNG, "data:image/jpeg;base64,/9j/4AAQ"]
)
_NUMBER = st.integers(0, 1) | st.floats(0, 1)
_UNIT = st.fixed_dictionaries(
    {"enabled": st.booleans(), "image_link": _LINK},
    optional={
        "mask": _LINK,
        "module": st.sampled_from(["none", "canny", "depth_midas", "inpaint_only"]),
        "model": st.sampled_from(["control_v11p_sd15_canny [d14c016b]", "depth"]),
        "weight": st.floats(0, 2),
        "resize_mode": st.sampled_from(["Just Resize", "Crop and Resize", "Resize and Fill"]),
        "low_vram": st.booleans(),
        "processor_res": st.integers(64, 2048),
        "threshold_a": st.integers(1, 255),
        "guidance_start": st.floats(0, 0.5),
        "guidance_end": st.floats(0.5, 1),
        "pixel_perfect": st.booleans(),
        "control_mode": st.sampled_from(["Balanced", "My prompt is more important"]),
    },
)
_INNER = st.fixed_dictionaries(
    {"image_link": _LINK},
    optional={
        "sd_model_checkpoint": st.sampled_from(["a.safetensors", "模型.ckpt"]),
        "sd_vae": st.just("v.pt"),
        "id_task": st.just("task-1"),
        "output_image_format": st.sampled_from(["png", "jpg"]),
        "mask_link": _LINK,
        "override_settings": st.just({"CLIP_stop_at_last_layers": 2, "randn_source": "CPU"}),
        "ADetailer": st.just({"args": [{"ad_model": "face"}]}),
    },
)
_BODY = st.fixed_dictionaries(
    {"prompt": _TEXT, "steps": st.integers(1, 150)},
    optional={
        "negative_prompt": _TEXT,
        "n_iter": st.integers(1, 4),
        "batch_size": st.integers(1, 4),
        "seed": st.integers(-1, 2**32) | st.integers(0, 2**32).map(str),
        "restore_faces": st.booleans(),
        "enable_hr": st.booleans(),
        "hr_scale": st.floats(1, 4),
        "width": st.integers(8, 2048),
        "height": st.integers(8, 2048),
        "cfg_scale": st.floats(1, 30),
        "sampler_index": st.sampled_from(["Euler a", "DPM++ 2M Karras", "DPM++ 2M"]),
        "hr_resize_x": st.integers(0, 2048),
        "hr_upscaler": st.just("Latent"),
        "denoising_strength": _NUMBER,
        "resize_mode": st.integers(0, 3),
        "mask_blur": st.integers(0, 64),
        "inpainting_fill": st.integers(0, 3),
        "inpaint_full_res": st.booleans(),
        "tiling": st.just(True),
    },
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    body: dict[str, Any] = draw(_BODY)
    if draw(st.booleans()):
        inner: dict[str, Any] = draw(_INNER)
        if draw(st.booleans()):
            inner["controlnet"] = {"args": draw(st.lists(_UNIT, min_size=1, max_size=3))}
        body["alwayson_scripts"] = inner
    return Request.from_wire(body)


@settings(max_examples=60, deadline=None)
@given(request=requests())
def test_img_open_json_there_and_back(request: Request) -> None:
    again = from_text(json.dumps(to_img_open(request)))
    assert again == request
    assert to_img_open(again) == to_img_open(request)


@settings(max_examples=60, deadline=None)
@given(request=requests())
def test_curl_there_and_back(request: Request) -> None:
    command = to_curl(request, base_url="http://127.0.0.1:8288")
    again = from_text(command)
    assert again == request
    assert to_curl(again, base_url="http://127.0.0.1:8288") == command
    assert "$IMG_OPEN_ACCESS_KEY_SECRET" in command


@settings(max_examples=60, deadline=None)
@given(request=requests())
def test_web_ui_there_and_back(request: Request) -> None:
    payload = json.loads(json.dumps(to_webui(request)))
    again = from_webui(payload)
    # The web UI writes the seed as a number; nothing else differs.
    assert again.canonical_hash() == request.canonical_hash()
    assert again.id_task == request.id_task
    assert again.units == request.units
    assert to_webui(again) == payload


@settings(max_examples=60, deadline=None)
@given(request=requests(), secret=st.from_regex(r"[A-Za-z0-9]{20}", fullmatch=True))
def test_no_key_ever_comes_out(request: Request, secret: str) -> None:
    command = (
        to_curl(request)
        .replace("$IMG_OPEN_ACCESS_KEY_SECRET", secret)
        .replace("$IMG_OPEN_ACCESS_KEY_ID", secret)
    )
    assert secret in command
    notices: list[str] = []
    read = from_curl(command, notices)
    outputs = [to_curl(read), json.dumps(to_img_open(read)), json.dumps(to_webui(read)), repr(read), *notices]
    assert not any(secret in text for text in outputs)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(payload=st.dictionaries(_NAMES, _JSON, max_size=6))
def test_any_json_is_read_or_refused_with_a_reason(payload: dict[str, Any]) -> None:
    for read in (from_json, from_webui, Request.from_wire):
        try:
            request = read(payload)
        except InvalidRequest:
            continue
        assert Request.from_wire(request.to_wire()) == request
        to_img_open(request)
        to_curl(request)
        to_webui(request)


@settings(max_examples=100, deadline=None)
@given(
    head=st.sampled_from(["", "curl ", "curl 'x' -d ", "{", "x\nSteps: 3, Seed: ", 'curl ^"']),
    tail=st.text(max_size=40),
)
def test_any_text_is_read_or_refused_with_a_reason(head: str, tail: str) -> None:
    with contextlib.suppress(InvalidRequest):
        from_text(head + tail)


def test_hostile_json() -> None:
    for text in (
        '{"a":' * 3000 + "1" + "}" * 3000,
        '{"prompt":' + "[" * 50 + "]" * 50 + "}",
        '{"seed": ' + "9" * 5000 + "}",
    ):
        with pytest.raises(InvalidRequest):
            from_text(text)
    deep: dict[str, Any] = {}
    for _ in range(2000):
        deep = {"prompt": deep}
    for read in (Request.from_wire, from_webui):
        with pytest.raises(InvalidRequest, match="nested"):
            read(deep)
    with pytest.raises(InvalidRequest, match="seed"):
        Request.from_wire({"seed": 10**400})


@pytest.mark.parametrize(("more", "steps"), [("", 50), (', "steps": 12', 12)])
def test_a_payload_read_as_the_web_uis_says_so(more: str, steps: int) -> None:
    notices: list[str] = []
    request = from_text('{"prompt": "x", "sampler_name": "Euler"' + more + "}", notices)
    assert request.steps == steps
    [told] = notices
    assert "web UI" in told
    assert "sampler_name" in told
    assert ("50" in told and "20" in told) == (steps == 50)


def test_doubled_fields_are_told() -> None:
    notices: list[str] = []
    assert from_text('{"prompt": "x", "steps": 5, "steps": 6}', notices).steps == 6
    assert notices == ["steps: given more than once in the same object; the last one counts."]


def test_numbers_that_json_cannot_write_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="1e999"):
        from_text('{"prompt": "x", "foo": 1e999}')
    with pytest.raises(InvalidRequest, match="infinite"):
        to_curl(Request.from_wire({"prompt": "x", "foo": float("inf")}))


def test_what_the_web_ui_will_not_see_is_told() -> None:
    scripts = {
        "sd_model_checkpoint": "a",
        "override_settings": {"sd_model_checkpoint": "b"},
        "controlnet": {"args": [{"module": "canny", "image_link": "https://x.example/a.png"}], "foo": 1},
    }
    notices: list[str] = []
    payload = to_webui(Request.from_wire({"prompt": "x", "alwayson_scripts": scripts}), notices)
    assert payload["override_settings"]["sd_model_checkpoint"] == "a"
    told = " ".join(notices)
    assert "controlnet.foo" in told
    assert "override_settings.sd_model_checkpoint" in told


def test_tokens_are_dropped_and_logins_cut() -> None:
    notices: list[str] = []
    link = "https://user:hunter2@x.example/a.png"
    scripts = {"image_link": link, "access_token": "t-4711"}
    body = {"prompt": "x", "token": "t-4711", "alwayson_scripts": scripts}
    request = without_logins(from_text(json.dumps(body), notices), notices)
    assert request.to_wire() == {"prompt": "x", "alwayson_scripts": {"image_link": "https://x.example/a.png"}}
    assert len(notices) == 2
    assert "hunter2" not in " ".join(notices)
