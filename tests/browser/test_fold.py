"""A node shows what counts; what is hidden keeps its value and its place in the file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

BIG = ("ImgOpenGenerate", "ImgOpenRemoteSubmit", "ImgOpenSubmitAsync", "ImgOpenControlNetApply")
HIRES = {"hr_scale", "hr_upscaler"}
MASK = {"mask_blur", "inpainting_fill", "inpaint_full_res", "inpainting_mask_invert"}
INIT = {"denoising_strength", "resize_mode"}

# What the tests do in the page.
HELPERS = """
const pause = (ms = 150) => new Promise((done) => setTimeout(done, ms));
const make = (type) => { const node = LiteGraph.createNode(type); app.graph.add(node); return node; };
const named = (node, name) => node.widgets.find((one) => one.name === name);
const put = (node, name, value) => {
  const one = named(node, name); one.value = value; one.callback?.(value, app.canvas, node);
};
// The newer front-end calls a widget hidden as well whose place a wire has taken; its row is there.
const shown = (node) => node.widgets
  .filter((one) => one.type !== "button" && !one.options?.hidden).map((one) => one.name);
const press = (node, name) => named(node, name).callback();
const state = (node) => ({ shown: shown(node), height: node.size[1], width: node.size[0],
  least: node.computeSize()[1] });
"""


def run(site: Any, code: str, argument: Any = None) -> Any:
    return site.page.run(HELPERS + code, argument)


def ready(site: Any) -> None:
    site.open()
    site.page.wait("return app.extensions.some((one) => one.name === 'ImgOpen')")
    run(site, "await app.ui.settings.setSettingValueAsync('ImgOpen.ShowAll', false); await pause();")


@pytest.mark.parametrize("node", BIG)
def test_a_fresh_node_is_short_and_the_button_shows_the_rest(site: Any, node: str) -> None:
    ready(site)
    told = run(
        site,
        """const node = make(argument); await pause();
        const found = { fresh: state(node), label: named(node, "img_open_more").label };
        press(node, "img_open_more"); found.more = state(node); found.kept = node.properties.img_open_more;
        press(node, "img_open_more"); found.again = state(node);
        found.gone = "img_open_more" in node.properties;
        await app.ui.settings.setSettingValueAsync("ImgOpen.ShowAll", true); await pause();
        found.all = state(node); found.widgets = node.widgets.filter((one) => one.type !== "button").length;
        await app.ui.settings.setSettingValueAsync("ImgOpen.ShowAll", false); await pause();
        found.end = state(node);
        return found;""",
        node,
    )
    assert len(told["fresh"]["shown"]) <= 14
    assert told["fresh"]["height"] < 0.62 * told["all"]["height"]
    assert told["fresh"]["height"] == pytest.approx(told["fresh"]["least"], abs=1)
    assert set(told["fresh"]["shown"]) < set(told["more"]["shown"]) <= set(told["all"]["shown"])
    assert told["more"]["height"] > told["fresh"]["height"]
    assert told["again"] == told["end"] == told["fresh"]
    assert (told["kept"], told["gone"]) == (True, False)
    assert any(letter.isdigit() for letter in told["label"])


def test_inputs_follow_what_is_wired_and_set(site: Any) -> None:
    ready(site)
    told = run(
        site,
        """const node = make("ImgOpenGenerate"); const photo = make("LoadImage"); await pause();
        const found = { fresh: shown(node) };
        put(node, "enable_hr", true); found.hires = shown(node); put(node, "enable_hr", false);
        put(node, "run_on", "remote"); found.remote = shown(node); put(node, "run_on", "local");
        const into = (name) => node.inputs.findIndex((one) => one.name === name);
        photo.connect(0, node, into("init_image")); await pause(); found.image = shown(node);
        photo.connect(1, node, into("init_mask")); await pause(); found.mask = shown(node);
        press(node, "img_open_more"); found.wiredMore = shown(node); press(node, "img_open_more");
        node.disconnectInput(into("init_mask")); node.disconnectInput(into("init_image"));
        await pause(); found.unwired = shown(node);
        press(node, "img_open_more"); found.more = shown(node); press(node, "img_open_more");
        return found;""",
    )
    fresh = set(told["fresh"])
    assert not fresh & (HIRES | MASK | INIT | {"profile", "deadline", "run_again"})
    assert set(told["hires"]) - fresh == HIRES | {"denoising_strength"}
    assert set(told["remote"]) - fresh == {"profile"}
    assert set(told["image"]) - fresh == INIT
    assert set(told["mask"]) >= fresh | INIT | MASK
    assert told["unwired"] == told["fresh"]
    assert not {"image_link", "mask_link"} & set(told["wiredMore"])
    assert {"image_link", "mask_link"} <= set(told["more"])


def test_a_value_of_ones_own_is_always_shown(site: Any) -> None:
    ready(site)
    told = run(
        site,
        """const node = make("ImgOpenGenerate");
        put(node, "clip_skip", 2); put(node, "extra_json", '{"a": 1}'); named(node, "hr_scale").value = 1.5;
        await pause();
        const before = shown(node);
        await app.loadGraphData(structuredClone(app.graph.serialize())); await pause();
        const number = make("PrimitiveInt"); const loaded = app.graph._nodes[0];
        number.connect(0, loaded, loaded.inputs.findIndex((one) => one.name === "n_iter")); await pause();
        return [before, shown(loaded)];""",
    )
    for shown in told:
        assert {"clip_skip", "extra_json", "hr_scale"} <= set(shown)
    assert "n_iter" in told[1]


def test_files_are_the_same_with_and_without(site: Any) -> None:
    """What is saved, and what is sent, is what a front-end without the extension would save and send."""
    ready(site)
    info = site.host.get("/object_info/ImgOpenGenerate")["ImgOpenGenerate"]
    plain = [
        spec[1].get("default", spec[0][0] if isinstance(spec[0], list) else None)
        for part in ("required", "optional")
        for spec in info["input"].get(part, {}).values()
        if spec[0] not in ("IMAGE", "MASK", "IMGOPEN_UNITS")
    ]
    told = run(
        site,
        """const node = make("ImgOpenGenerate"); await pause();
        const saved = app.graph.serialize();
        const values = saved.nodes[0].widgets_values;
        const file = structuredClone(saved);
        file.nodes[0].properties = { "Node name for S&R": "ImgOpenGenerate" };
        file.nodes[0].size = [500, 1300];  // as a front-end without the extension leaves it
        await app.loadGraphData(structuredClone(file)); await pause();
        const [loaded] = app.graph._nodes;
        const { output } = await app.graphToPrompt();
        const found = { values, again: app.graph.serialize().nodes[0].widgets_values, state: state(loaded),
          sent: Object.keys(Object.values(output)[0].inputs) };
        file.nodes[0].size = [640, 800];  // as somebody has drawn it
        await app.loadGraphData(structuredClone(file)); await pause();
        found.drawn = state(app.graph._nodes[0]);
        press(app.graph._nodes[0], "img_open_more");
        const open = app.graph.serialize();
        found.open = shown(app.graph._nodes[0]);
        await app.loadGraphData(structuredClone(open)); await pause();
        found.shared = shown(app.graph._nodes[0]);
        found.openValues = app.graph.serialize().nodes[0].widgets_values;
        return found;""",
    )
    assert told["values"] == told["again"] == told["openValues"] == plain
    assert len(told["sent"]) == len(plain)
    assert told["state"]["width"] == 500
    assert told["state"]["height"] < 800
    assert (told["drawn"]["width"], told["drawn"]["height"]) == (640, 800)
    assert told["shared"] == told["open"]
    assert len(told["open"]) > 20


def test_a_new_picture_is_one_press(site: Any) -> None:
    ready(site)
    told = run(
        site,
        """const node = make("ImgOpenGenerate"); const queued = [];
        const before = app.queuePrompt;
        app.queuePrompt = async (...args) => { queued.push(args); };
        const found = {};
        const button = named(node, "img_open_again");
        const look = async () => { await pause(800); return [button.label, Boolean(button.hidden)]; };
        try {
          found.here = await look(); await press(node, "img_open_again");
          found.counted = named(node, "run_again").value;
          put(node, "run_on", "remote"); put(node, "profile", "local"); found.gateway = await look();
          press(node, "img_open_again"); await pause(); found.again = named(node, "run_again").value;
          put(node, "profile", "cloud"); found.cloud = await look();
          put(node, "seed", 5); found.fixed = await look();
        } finally { app.queuePrompt = before; }
        found.queued = queued.length;
        found.shown = shown(node);
        return found;""",
    )
    assert told["here"] == told["gateway"] == ["new picture", False]
    assert told["cloud"] == ["new picture (paid)", False]
    assert told["fixed"][1] is True
    assert (told["counted"], told["again"], told["queued"]) == (0, 1, 2)
    assert "run_again" in told["shown"]


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_pictures_of_folded_nodes(site: Any, keep: Callable[[str], str], locale: str) -> None:
    site.open(locale)
    run(
        site,
        """const at = { ImgOpenGenerate: 40, ImgOpenRemoteSubmit: 480, ImgOpenControlNetApply: 920 };
        for (const [type, x] of Object.entries(at)) { const node = make(type); node.pos = [x, 60]; }
        app.canvas.ds.scale = 0.9; app.canvas.ds.offset = [60, 60]; app.canvas.setDirty(true, true);
        await pause(1200);""",
    )
    site.page.do("shot", path=keep(f"fold-{site.front_end}-{locale}.png"))
    texts = run(site, "return app.graph._nodes.map((node) => named(node, 'img_open_more').label)")
    word = "更多输入" if locale == "zh" else "more inputs"
    assert all(text.startswith(word) for text in texts)
