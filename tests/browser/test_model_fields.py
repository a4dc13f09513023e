"""The control model's list over its text field, and what a node offers after an error."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from img_open.nodes.tables import CONTROLNET_APPLY
from img_open.preprocessors.weights_table import WEIGHTS
from model_files import CONTROL, write_models

UNIT = """
app.graph.clear();
const node = LiteGraph.createNode("ImgOpenControlNetApply");
app.graph.add(node);
node.pos = [300, 80];
window.unit = node;
window.named = (name) => node.widgets.find((one) => one.name === name);
window.choose = (module) => {  // as a click in the list does
  named("module").value = module;
  named("module").callback(module, app.canvas, node);
};
"""
CANNY, DEPTH = "control_v11p_sd15_canny.safetensors", "control_v11f1p_sd15_depth.safetensors"
ORDER = [field.id for field in CONTROLNET_APPLY.inputs if field.kind != "socket"]


@pytest.fixture(scope="module")
def shelf(site: Any, shop: Any) -> Any:
    """The page, control models in ComfyUI's folder, and a server of models."""
    write_models(site.host.base / "models")
    shop.write_profile(site.home, "shop", "--dialect", "cloud")
    site.open()
    yield site
    shop.set(fault="", pause=0.0, trickle=0.0)


# --- the control model --------------------------------------------------------------------------------------


def test_a_module_proposes_its_model_and_a_chosen_one_stays(shelf: Any) -> None:
    page = shelf.page
    page.run(UNIT)
    assert page.run("return [named('model').type, named('model').value]") == ["combo", ""]
    page.run("choose('canny')")
    page.wait("return named('model').value === argument", CANNY)
    values = page.run("return named('model').options.values")
    offered = [name for name in values if name in CONTROL]
    assert offered[:2] == ["control_sd15_canny_old.safetensors", CANNY]
    assert sorted(offered) == sorted(CONTROL)
    assert values[3].strip("\u2500 ") == "all"  # none, two of the type, then all others
    page.run("choose('depth_midas')")  # nobody has chosen the proposed one
    page.wait("return named('model').value === argument", DEPTH)
    page.run(
        "named('model').value = argument; named('model').callback(argument, app.canvas, unit)", CONTROL[3]
    )
    page.run("choose('openpose_full')")
    page.wait("return named('model').options.values.slice(0, 3).some((one) => one.includes('openpose'))")
    page.run("await new Promise((done) => setTimeout(done, 500))")
    assert page.run("return named('model').value") == CONTROL[3]


def test_the_menu_of_the_field(shelf: Any) -> None:
    """A click opens the list; another name can be typed; the browser of models is in it."""
    page = shelf.page
    page.run(UNIT + "choose('canny');")
    page.wait("return named('model').value === argument", CANNY)
    click = """const event = new PointerEvent("pointerdown", { clientX: 500, clientY: 300 });
    Object.assign(event, { canvasX: unit.pos[0] + 150, canvasY: unit.pos[1] + 60 });
    named("model").onClick({ e: event, node: unit, canvas: app.canvas });"""
    entry = "[...document.querySelectorAll('.litecontextmenu .litemenu-entry')]"
    page.run(click)
    page.wait(f"return {entry}.some((one) => one.textContent.includes('another name'))")
    page.run(f"{entry}.find((one) => one.textContent.includes('another name')).click()")
    page.wait("return document.querySelector('[role=dialog] input, .p-dialog input')")
    page.do("fill", selector="[role=dialog] input, .p-dialog input", value="my own model [0123abcd]")
    page.do("press", keys="Enter")
    page.wait("return named('model').value === 'my own model [0123abcd]'")
    assert "my own model [0123abcd]" in page.run("return named('model').options.values")
    page.run("await new Promise((done) => setTimeout(done, 600))")
    page.run(click)
    page.wait(f"return {entry}.length > 3")
    page.run(f"{entry}.find((one) => one.textContent.includes('browse models')).click()")
    page.wait(
        "return document.querySelectorAll('.imgopen-models button.tile').length === argument", len(CONTROL)
    )
    page.do("press", keys="Escape")
    assert page.run("return named('model').value") == "my own model [0123abcd]"
    page.run("named('model').callback(named('model').options.values[0], app.canvas, unit)")
    assert page.run("return named('model').value") == ""  # "none"
    page.run(
        """named('model').incrementValue({ e: {}, node: unit, canvas: app.canvas });
        named('model').incrementValue({ e: {}, node: unit, canvas: app.canvas });"""
    )
    assert page.run("return named('model').value") == CANNY


def test_a_remote_units_models_are_the_servers(shelf: Any) -> None:
    page = shelf.page
    page.run(
        UNIT
        + """const send = LiteGraph.createNode("ImgOpenRemoteSubmit"); app.graph.add(send);
        send.widgets.find((one) => one.name === "profile").value = "shop";
        const find = (list, name) => list.findIndex((one) => one.name === name);
        node.connect(find(node.outputs, "units"), send, find(send.inputs, "units"));
        choose("depth_midas");"""
    )
    page.wait("return named('model').value === 'control_v11f1p_sd15_depth'", seconds=30)
    values = page.run("return named('model').options.values")
    assert "t2iadapter_depth_sd15v2" in values[:3]
    assert not set(values) & set(CONTROL)


def test_stored_values_are_those_of_the_schema(shelf: Any) -> None:
    """The field is a text on the wire and in the file, in its old place, whatever the canvas offers."""
    page = shelf.page
    told = page.run(
        UNIT
        + """await app.graphToPrompt();
        const fresh = app.graph.serialize().nodes[0];
        named("model").value = "any text at all";
        const before = app.graph.serialize();
        await app.loadGraphData(structuredClone(before));
        const { output } = await app.graphToPrompt();
        const after = app.graph.serialize().nodes[0];
        const saved = app.graph._nodes[0].widgets.filter((one) => one.serialize !== false);
        return { fresh: fresh.widgets_values, before: before.nodes[0].widgets_values,
          after: after.widgets_values, names: saved.map((one) => one.name),
          sent: Object.values(output)[0].inputs.model,
          slot: after.inputs.filter((one) => one.widget?.name === "model").map((one) => one.type) };"""
    )
    defaults = CONTROLNET_APPLY.defaults()
    names = [name for name in told["names"] if name in ORDER]
    assert names == ORDER
    place = told["names"].index("model")
    stored = dict(zip(told["names"], told["fresh"], strict=True))
    assert {name: stored[name] for name in ORDER} == {name: defaults[name] for name in ORDER}
    assert told["before"][place] == told["sent"] == "any text at all"
    assert told["after"] == told["before"]
    assert set(told["slot"]) <= {"STRING"}


def test_a_file_that_is_opened_gets_no_proposal(shelf: Any) -> None:
    """Writing a module from a file is no choice of a person's: the empty model stays empty."""
    page = shelf.page
    prompt = {"1": {"class_type": "ImgOpenControlNetApply", "inputs": {"module": "canny", "model": ""}}}
    page.run(
        "await app.loadApiJson(argument, 'unit'); await new Promise((done) => setTimeout(done, 1500));",
        prompt,
    )
    model = page.run("return app.graph._nodes[0].widgets.find((one) => one.name === 'model').value")
    assert model == ""
    page.run(UNIT + "named('module').value = 'canny';")
    page.run("await app.loadGraphData(app.graph.serialize()); await new Promise((d) => setTimeout(d, 1500));")
    assert page.run("return app.graph._nodes[0].widgets.find((one) => one.name === 'model').value") == ""


def test_the_newer_node_view(shelf: Any, keep: Callable[[str], str]) -> None:
    """Nodes drawn as page elements: the list, the sliders and the buttons are there, and nothing breaks."""
    if shelf.front_end != "newer":
        pytest.skip("The host's own front-end draws nodes on the canvas.")
    page = shelf.page
    shelf.host.post("/settings", {"Comfy.VueNodes.Enabled": True})
    try:
        shelf.open()
        page.run(
            """const types = ["ImgOpenPreprocessor", "ImgOpenControlNetApply", "ImgOpenGenerate"];
            types.forEach((type, at) => {
              const node = LiteGraph.createNode(type); app.graph.add(node); node.pos = [60 + at * 460, 60];
            });
            window.unit = app.graph._nodes[1];
            window.named = (name) => unit.widgets.find((one) => one.name === name);
            named("module").value = "canny"; named("module").callback("canny", app.canvas, unit);"""
        )
        page.wait("return document.querySelectorAll('[data-node-id]').length >= 3")
        page.wait("return named('model').value === argument", CANNY)
        page.wait("return document.body.textContent.includes(argument)", CANNY)
        text = page.run("return document.querySelectorAll('[data-node-id]')[2].textContent")
        assert "browse models" in text
        shown = page.run(
            """return [...document.querySelectorAll("[data-node-id] input")].map((one) => one.value)"""
        )
        assert "100" in shown  # the preprocessor's canny, not set: its default and not -1
        page.do("shot", path=keep("newer-node-view.png"))
        stored = page.run("return app.graph.serialize().nodes.map((one) => one.widgets_values)")
        assert stored[0][2:4] == [-1, -1]
    finally:
        shelf.host.post("/settings", {"Comfy.VueNodes.Enabled": False})
        shelf.open()


# --- after an error -----------------------------------------------------------------------------------------

BUTTON = "app.graph._nodes.flatMap((one) => one.widgets ?? []).find((one) => one.name === 'img_open_action')"
YES = """
for (let i = 0; i < 50; i++) {
  await new Promise((done) => setTimeout(done, 100));
  const all = [...document.querySelectorAll("[role=dialog] button, .p-dialog button")];
  const found = all.filter((one) => new RegExp(`^(${argument})$`, "i").test(one.textContent.trim()));
  if (found.length) {
    const said = document.querySelector("[role=dialog], .p-dialog").textContent;
    found.at(-1).click();
    return said;
  }
}
"""


def test_missing_weights_are_fetched_with_consent(shelf: Any, shop: Any) -> None:
    page, key = shelf.page, "anime_face"
    entry = WEIGHTS[key]
    target = Path(shelf.host.get(f"/img_open/weights/{key}")["folder"]) / "UNet.pth"
    before = fetched(shop)
    page.run(
        """app.graph.clear();
        const load = LiteGraph.createNode("LoadImage"); app.graph.add(load);
        load.widgets[0].value = "photo.png";
        const node = LiteGraph.createNode("ImgOpenPreprocessor"); app.graph.add(node);
        load.connect(0, node, node.inputs.findIndex((one) => one.name === "image"));
        node.widgets.find((one) => one.name === "module").value = "seg_anime_face";
        const look = LiteGraph.createNode("PreviewImage"); app.graph.add(look);
        node.connect(0, look, 0);
        await app.queuePrompt(0);"""
    )
    page.wait(f"return {BUTTON}?.label.includes('pull weights: {key}')", seconds=60)
    close_error(page)
    page.run(f"{BUTTON}.callback()")
    said = page.run(YES, "cancel|no")
    assert said
    for part in ("UNet.pth", f"{entry.megabytes:g} MB", entry.licence, entry.repo, str(target.parent)):
        assert part in said
    assert fetched(shop) == before
    shop.set(trickle=0.5)
    page.run(f"{BUTTON}.callback()")
    page.run(YES, "confirm|ok|yes")
    page.wait(f"return /[1-9]\\d* %/.test({BUTTON}?.label)", seconds=30)
    page.run(f"{BUTTON}.callback()")  # stops
    page.wait(f"return {BUTTON}?.label.includes('pull again')", seconds=30)
    assert not target.exists()
    assert target.with_name(target.name + ".part").stat().st_size > 0
    shop.set(trickle=0.0)
    page.run(f"{BUTTON}.callback()")
    page.run(YES, "confirm|ok|yes")
    page.wait(f"return {BUTTON}?.label.includes('is here: run again')", seconds=30)
    assert target.stat().st_size == 3 * 1024 * 1024
    target.unlink()


def test_a_download_needs_the_consent_itself(shelf: Any) -> None:
    answer = shelf.page.run(
        """const answer = await fetch("/img_open/weights/hed/pull", { method: "POST",
          headers: { "Content-Type": "application/json" }, body: "{}" });
        return [answer.status, (await answer.json()).error.code];"""
    )
    assert answer == [400, "invalid_request"]


def test_a_profile_without_keys_leads_to_the_profiles(shelf: Any) -> None:
    page = shelf.page
    submit(shelf, {"profile": "cloud", "prompt": "x", "steps": 2})
    page.wait(f"return {BUTTON}?.label === 'open profiles'", seconds=60)
    close_error(page)
    page.run(f"{BUTTON}.callback()")
    page.wait("return document.querySelector('[role=dialog], .p-dialog')?.textContent.includes('Img Open')")
    page.do("press", keys="Escape")


def test_a_task_that_goes_on_is_attached_from_the_node(shelf: Any) -> None:
    page = shelf.page
    seed = 501 if shelf.front_end == "own" else 502
    values = {"profile": "local", "prompt": f"slow {seed}", "sd_model_checkpoint": "demo", "steps": 45,
              "width": 512, "height": 512, "batch_size": 1, "seed": seed, "deadline": 10}  # fmt: skip
    submit(shelf, values)
    page.wait(f"return {BUTTON}?.label === 're-attach the task'", seconds=90)
    close_error(page)
    page.run(f"{BUTTON}.callback()")
    page.wait(f"return {BUTTON}?.label.includes('run again for the pictures')", seconds=420)
    tasks = len(shelf.gateway.tasks())
    began = time.monotonic()
    page.run(f"{BUTTON}.callback()")
    page.wait(
        "return app.graph._nodes.find((one) => one.type === 'PreviewImage').imgs?.[0]?.naturalWidth === 512",
        seconds=60,
    )
    assert time.monotonic() - began < 30
    assert len(shelf.gateway.tasks()) == tasks, "nothing was submitted a second time"


def test_a_missing_checkpoint_leads_to_the_models(shelf: Any) -> None:
    page = shelf.page
    submit(
        shelf,
        {"run_on": "local", "prompt": "x", "sd_model_checkpoint": "nowhere.safetensors"},
        "ImgOpenGenerate",
    )
    page.wait(f"return {BUTTON}?.label === 'browse models'", seconds=60)
    close_error(page)
    page.run(f"{BUTTON}.callback()")
    page.wait("return document.querySelector('.imgopen-models button.tile')")
    page.do("press", keys="Escape")


def test_ids_and_keys_are_found_in_both_languages(shelf: Any) -> None:
    told = shelf.page.run(
        """const { missingWeight, namedTask } = await import("/extensions/img-open/js/remedies.js");
        return [argument[0].map(missingWeight), argument[1].map(namedTask)];""",
        [
            [
                "Fetch it with `img-open models pull anime_face`, or put it into",
                "\u7528 img-open models pull hed\u3002",
                # the Windows portable's Python and the pack's folder, both quoted
                'or `"C:\\My ComfyUI\\python.exe" "C:\\My ComfyUI\\img-open" models pull dw_pose`, or put',
                "no weight",
                "`img-open models pull MODULE`",  # no key: there is nothing to fetch by this name
            ],
            [
                "Task io-0123456789abcdef0123456789abcdef is still not finished after 10 s",
                "\u4efb\u52a1 io-0123456789abcdef0123456789abcdef \u672a\u5b8c\u6210",
                "The server does not tell about task my-own.id_7: status 500",
                "The server fell silent.",
            ],
        ],
    )
    ours = "io-0123456789abcdef0123456789abcdef"
    assert told == [["anime_face", "hed", "dw_pose", "", ""], [ours, ours, "my-own.id_7", ""]]


def fetched(shop: Any) -> int:
    """How often a weight file was asked for."""
    return sum("/resolve/" in path for path in shop.ledger())


def submit(site: Any, values: dict[str, Any], node: str = "ImgOpenRemoteSubmit") -> None:
    site.page.run(
        """app.graph.clear();
        const [type, values] = argument;
        const node = LiteGraph.createNode(type); app.graph.add(node);
        for (const name in values) node.widgets.find((one) => one.name === name).value = values[name];
        const look = LiteGraph.createNode("PreviewImage"); app.graph.add(look);
        node.connect(0, look, 0);
        await app.queuePrompt(0);""",
        [node, values],
    )


def close_error(page: Any) -> None:
    """The host's own window about the error."""
    page.run(
        """await new Promise((done) => setTimeout(done, 600));
        document.querySelectorAll(".p-dialog-close-button, [role=dialog] button[aria-label=Close]")
          .forEach((one) => one.click());
        await new Promise((done) => setTimeout(done, 400));"""
    )


def test_pictures_of_the_documentation_are_small() -> None:
    picture = Path(__file__).resolve().parents[2] / "docs" / "images" / "model-browser.png"
    assert 20_000 < picture.stat().st_size < 300 * 1024
