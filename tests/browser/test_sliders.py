"""The sliders say what they mean, and workflows do not change by it."""

from __future__ import annotations

from typing import Any

import pytest
from img_open.preprocessors.describe import describe_modules

NAMES = ("processor_res", "threshold_a", "threshold_b")
MODULES = ("canny", "mlsd", "tile_resample", "openpose_full", "depth_leres")
NODES = ("ImgOpenPreprocessor", "ImgOpenControlNetApply")

CHOOSE = """
const [type, modules] = argument;
app.graph.clear();
const node = LiteGraph.createNode(type);
app.graph.add(node);
const chooser = node.widgets.find((one) => one.name === "module");
const found = {};
for (const module of modules) {
  chooser.value = module;
  chooser.callback?.(module);
  found[module] = {};
  for (const one of node.widgets) {
    if (!["processor_res", "threshold_a", "threshold_b"].includes(one.name)) continue;
    found[module][one.name] = {
      label: one.label, hidden: Boolean(one.hidden), value: one.value, tooltip: one.tooltip,
      min: one.options.min, max: one.options.max, step: one.options.step2,
    };
  }
  found[module].height = node.computeSize()[1];
}
return found;
"""


@pytest.fixture(scope="module")
def table() -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in describe_modules()}


@pytest.mark.parametrize("node", NODES)
def test_five_modules(site: Any, table: dict[str, dict[str, Any]], node: str) -> None:
    site.open()
    site.page.wait("return app.extensions.some((one) => one.name === 'ImgOpen')")
    shown = site.page.run(CHOOSE, [node, list(MODULES)])
    for module in MODULES:
        for name in NAMES:
            slider, got = table[module]["sliders"][name], shown[module][name]
            assert got["hidden"] is not slider["visible"], (module, name)
            if not slider["visible"]:
                continue
            assert got["label"] == slider["label"]
            assert (got["min"], got["max"], got["step"]) == (
                slider["minimum"],
                slider["maximum"],
                slider["step"],
            )
            assert got["value"] == slider["default"]
            assert slider["label"] in got["tooltip"]
    assert shown["openpose_full"]["height"] < shown["canny"]["height"]


def test_sliders_speak_chinese(site: Any) -> None:
    site.open("zh")
    shown = site.page.run(CHOOSE, ["ImgOpenPreprocessor", ["canny"]])
    assert shown["canny"]["threshold_a"]["label"] == "低阈值"
    assert "100" in shown["canny"]["threshold_a"]["tooltip"]


def test_a_workflow_keeps_its_values(site: Any) -> None:
    """Values that the module does not have, and -1, survive loading and saving, in their places."""
    site.open()
    told = site.page.run(
        """
        const node = LiteGraph.createNode("ImgOpenControlNetApply");
        app.graph.add(node);
        const put = (name, value) => { node.widgets.find((one) => one.name === name).value = value; };
        put("module", "openpose_full"); put("threshold_a", 33); put("threshold_b", -1);
        put("processor_res", 777);
        const before = app.graph.serialize();
        await app.loadGraphData(structuredClone(before));
        const after = app.graph.serialize();
        const loaded = app.graph._nodes[0];
        const { output } = await app.graphToPrompt();
        return {
          before: before.nodes[0].widgets_values,
          after: after.nodes[0].widgets_values,
          inputs: Object.values(output)[0].inputs,
          hidden: loaded.widgets.find((one) => one.name === "threshold_a").hidden,
        };
        """
    )
    assert told["hidden"] is True
    assert told["before"] == told["after"]
    sent = told["inputs"]
    assert (sent["threshold_a"], sent["threshold_b"], sent["processor_res"]) == (33, -1, 777)
    assert not any(name.startswith("img_open") for name in sent)


def test_values_are_stored_in_the_published_order(site: Any) -> None:
    info = site.host.get("/object_info/ImgOpenPreprocessor")["ImgOpenPreprocessor"]
    defaults = {
        name: spec[1].get("default")
        for part in ("required", "optional")
        for name, spec in info["input"].get(part, {}).items()
        if spec[0] not in ("IMAGE", "MASK")
    }
    stored = site.page.run(
        """app.graph.clear(); const node = LiteGraph.createNode("ImgOpenPreprocessor"); app.graph.add(node);
        return app.graph.serialize().nodes[0].widgets_values;"""
    )
    assert stored == list(defaults.values())


def test_a_slider_that_is_not_set_shows_the_modules_default(
    site: Any, table: dict[str, dict[str, Any]]
) -> None:
    """-1 is stored and sent until somebody moves the slider, and moving begins at the default."""
    site.open()
    site.page.wait("return app.extensions.some((one) => one.name === 'ImgOpen')")
    told = site.page.run(
        """
        await new Promise((done) => setTimeout(done, 1000));  // the table of modules
        const node = LiteGraph.createNode("ImgOpenPreprocessor");
        app.graph.add(node);
        const named = (of, name) => of.widgets.find((one) => one.name === name);
        const [a, b] = [named(node, "threshold_a"), named(node, "threshold_b")];
        const stored = async () => {
          const saved = app.graph.serialize().nodes[0];
          const { output } = await app.graphToPrompt();
          const place = (widget) => node.widgets.indexOf(widget);
          const sent = Object.values(output)[0].inputs;
          return { file: [a, b].map((one) => saved.widgets_values[place(one)]),
            named: saved.widgets_values_named?.threshold_a ?? null,
            sent: [sent.threshold_a, sent.threshold_b] };
        };
        const found = { module: named(node, "module").value, fresh: [a.value, b.value],
          text: String(a._displayValue), tooltip: a.tooltip, unset: await stored() };
        await app.loadGraphData(structuredClone(app.graph.serialize()));
        const loaded = app.graph._nodes[0];
        found.loaded = named(loaded, "threshold_a").value;
        found.again = app.graph.serialize().nodes[0].widgets_values;
        const moved = named(loaded, "threshold_a");
        moved.incrementValue({ e: {}, node: loaded, canvas: app.canvas });
        found.moved = moved.value;
        found.afterMove = app.graph.serialize().nodes[0].widgets_values;
        named(loaded, "module").value = "mlsd";
        loaded.onConfigure?.(loaded.serialize());  // as if a file with another module came
        found.other = named(loaded, "threshold_b").value;
        found.place = loaded.widgets.findIndex((one) => one.name === "threshold_a");
        return found;
        """
    )
    sliders = table[told["module"]]["sliders"]
    default = sliders["threshold_a"]["default"]
    assert told["fresh"] == [default, sliders["threshold_b"]["default"]]
    assert told["text"].startswith(f"{default:g}")
    assert "-1" in told["tooltip"]
    assert told["unset"]["file"] == told["unset"]["sent"] == [-1, -1]
    assert told["unset"]["named"] in (None, -1)
    assert told["loaded"] == default
    assert told["again"][told["place"]] == -1
    assert told["moved"] == default + sliders["threshold_a"]["step"]
    assert told["afterMove"][told["place"]] == told["moved"]
    assert told["other"] == table["mlsd"]["sliders"]["threshold_b"]["default"]


def test_the_default_itself_can_be_stored(site: Any) -> None:
    """A file that says 100 still says 100, though 100 is canny's default."""
    site.open()
    saved = site.page.run(
        """
        await new Promise((done) => setTimeout(done, 1000));
        const node = LiteGraph.createNode("ImgOpenPreprocessor");
        app.graph.add(node);
        const before = app.graph.serialize();
        const place = node.widgets.findIndex((one) => one.name === "threshold_a");
        before.nodes[0].widgets_values[place] = 100;
        if (before.nodes[0].widgets_values_named) before.nodes[0].widgets_values_named.threshold_a = 100;
        await app.loadGraphData(before);
        const file = app.graph.serialize().nodes[0].widgets_values.slice(place, place + 2);
        const inputs = { module: "canny", threshold_a: 100, threshold_b: -1 };
        await app.loadApiJson({ 1: { class_type: "ImgOpenPreprocessor", inputs } }, "sliders");
        const { output } = await app.graphToPrompt();
        const sent = Object.values(output)[0].inputs;
        return [file, [sent.threshold_a, sent.threshold_b]];
        """
    )
    assert saved == [[100, -1], [100, -1]]
