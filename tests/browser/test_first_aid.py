"""What a node offers after an error or a run, what an unsent task says, and a request that is not JSON."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from model_files import write_models

MAKE = """
app.graph.clear();
const [type, values, unit] = argument;
const fill = (node, values) => {
  for (const name in values) node.widgets.find((one) => one.name === name).value = values[name];
};
const node = LiteGraph.createNode(type); app.graph.add(node); fill(node, values);
const wire = (from, output, to, name) =>
  from.connect(output, to, to.inputs.findIndex((one) => one.name === name));
if (unit) {
  const load = LiteGraph.createNode("LoadImage"); app.graph.add(load); load.widgets[0].value = "photo.png";
  if (unit === "init") wire(load, 0, node, "init_image");
  else {
    const one = LiteGraph.createNode("ImgOpenControlNetApply"); app.graph.add(one); fill(one, unit);
    wire(load, 0, one, "image"); wire(one, 3, node, "units");
  }
}
const look = LiteGraph.createNode(type === "ImgOpenSubmitAsync" ? "PreviewAny" : "PreviewImage");
app.graph.add(look);
node.connect(0, look, 0);
await app.queuePrompt(0);
"""
BUTTONS = """app.graph._nodes.flatMap((one) => one.widgets ?? [])
  .filter((one) => one.type === "button" && one.name.startsWith("img_open_"))"""
LABELS = f"{BUTTONS}.map((one) => one.label)"
PAGE = "document.body.innerText"
LOCAL = {"profile": "local", "sd_model_checkpoint": "demo", "steps": 2, "width": 64, "height": 64, "seed": 3}


@pytest.fixture(scope="module")
def ready(site: Any) -> Any:
    write_models(site.host.base / "models")
    return site


def test_the_nearest_checkpoint_is_one_click(ready: Any) -> None:
    ready.open()
    values = {"run_on": "local", "prompt": "x", "sd_model_checkpoint": "harbor-v1.safetensors"}
    ready.page.run(MAKE, ["ImgOpenGenerate", values, None])
    ready.page.wait(f"return {LABELS}.includes('use harbour-v1.safetensors')", seconds=60)
    told = ready.page.run(
        f"""{BUTTONS}.find((one) => one.label === "use harbour-v1.safetensors").callback();
        const field = app.graph._nodes[0].widgets.find((one) => one.name === "sd_model_checkpoint");
        return [field.value, {LABELS}];"""
    )
    assert told[0] == "harbour-v1.safetensors"
    assert not any(label.startswith("use ") for label in told[1])


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_the_nearest_control_model_goes_to_the_unit_that_names_it(ready: Any, locale: str) -> None:
    ready.open(locale)
    name = "control_v11p_sd15_canny.safetensors"
    wrong = "control_v11_sd15_cany.safetensors"
    values = {"run_on": "local", "prompt": "x", "sd_model_checkpoint": "harbour-v1.safetensors"}
    ready.page.run(MAKE, ["ImgOpenGenerate", values, {"module": "canny", "model": wrong}])
    ready.page.wait(f"return {LABELS}.some((label) => label.endsWith(' {name}'))", seconds=60)
    field = ready.page.run(
        f"""{BUTTONS}.find((one) => one.label.endsWith(" {name}")).callback();
        return app.graph._nodes.find((one) => one.comfyClass === "ImgOpenControlNetApply")
          .widgets.find((one) => one.name === "model").value;"""
    )
    assert field == name


@pytest.mark.parametrize(
    ("node", "label"),
    [("ImgOpenRemoteSubmit", "images made: 1"), ("ImgOpenSubmitAsync", "images asked for: 1")],
)
def test_a_gateway_makes_pictures_and_is_not_paid(ready: Any, node: str, label: str) -> None:
    ready.open()
    steps = 60 if node == "ImgOpenSubmitAsync" else 2  # still running when its label is made
    prompt = f"made {uuid.uuid4().hex[:6]}"
    ready.page.run(MAKE, [node, {**LOCAL, "prompt": prompt, "steps": steps}, None])
    ready.page.wait(f"return {LABELS}.some((one) => one?.startsWith('images '))", seconds=90)
    said = next(one for one in ready.page.run(f"return {LABELS}") if one.startswith("images "))
    assert said.split(" \u00b7 ")[0] == f"{label}, local"  # the check's labels follow


def test_a_task_that_was_never_sent_says_why_and_can_be_removed(ready: Any) -> None:
    ready.gateway.write_profile(ready.home, "storeless", "--storage", "none")
    ready.open()
    prompt = f"stay here {uuid.uuid4().hex[:6]}"
    ready.page.run(
        """if (!document.querySelector(".imgopen-tasks"))
          app.extensionManager.sidebarTab.toggleSidebarTab("img-open-tasks");"""
    )
    ready.page.run(MAKE, ["ImgOpenRemoteSubmit", {**LOCAL, "profile": "storeless", "prompt": prompt}, "init"])
    ready.page.wait(f"return {LABELS}.includes('open profiles')", seconds=60)
    row = "[...document.querySelectorAll('.imgopen-row')].find((row) => row.textContent.includes(argument))"
    ready.page.wait(f"return {row}?.textContent.includes('not sent')", prompt, 30)
    told = ready.page.run(
        f"""const row = {row};
        return [row.textContent, [...row.querySelectorAll("button")].map((one) => one.name)];""",
        prompt,
    )
    assert "names no storage" in told[0]
    assert "remove" in told[1]
    assert "cancel" not in told[1]
    ready.page.run(f"""{row}.querySelector("button[name=remove]").click();""", prompt)
    ready.page.wait(f"return !{row}", prompt, 30)


@pytest.mark.parametrize("text", ['{"prompt":"x","steps":20,,}', '{"alwayson_scripts": {"controlnet": }'])
def test_a_request_that_is_not_json_is_told(ready: Any, text: str) -> None:
    ready.open()
    ready.paste(text)
    ready.page.wait(f"return {PAGE}.includes('is not JSON')", seconds=20)
    assert not ready.page.run("return app.graph._nodes.length")


def test_other_texts_are_no_concern_of_the_pack(ready: Any) -> None:
    ready.open()
    for text in ("{not a request", '{"prompt": {"1": {"class_type": "x"}}}', "prompt: x", '{"steps": 20,,}'):
        ready.paste(text)
    ready.page.run("await new Promise((done) => setTimeout(done, 800));")
    assert "is not JSON" not in ready.page.run(f"return {PAGE}")
