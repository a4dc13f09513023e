"""The model browser: covers, search, filters, pages, keys, its states, and what a click fills."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from img_open.nodes.published import NODES
from model_files import write_models
from model_server import SIGN

OPEN = """
const [type, values] = argument;
app.graph.clear();
const node = LiteGraph.createNode(type);
app.graph.add(node);
node.pos = [60, 60];
for (const name in values) node.widgets.find((one) => one.name === name).value = values[name];
window.testNode = node;
node.widgets.find((one) => one.name === "img_open_models").callback();
"""
TILES = "[...document.querySelectorAll('.imgopen-models button.tile')]"
SETTLED = """const grid = document.querySelector('.imgopen-models .grid');
return grid?.getAttribute('aria-busy') === 'false'"""
FIELD = "return testNode.widgets.find((one) => one.name === argument).value"
REMOTE = {"run_on": "remote", "profile": "shop"}
LISTS = """const asked = performance.getEntriesByType("resource");
return asked.filter((one) => one.name.includes("/models/list")).length"""
TOLD = "(document.querySelector('.imgopen-models .tell')?.textContent ?? '')"
FOOT = "document.querySelector('.imgopen-models footer').textContent"


@pytest.fixture(scope="module")
def library(site: Any, shop: Any) -> Any:
    """The page, a profile whose server has many models, and files in ComfyUI's folders."""
    write_models(site.host.base / "models")
    shop.write_profile(site.home, "shop", "--dialect", "cloud")
    site.host.post("/settings", {"Comfy.ColorPalette": "dark"})
    site.open()
    yield site
    shop.set(fault="", pause=0.0)


def show(site: Any, node: str, values: dict[str, Any] | None = None) -> None:
    """Open the browser from a node's button and wait for its list."""
    site.page.run(OPEN, [node, values or {}])
    site.page.wait(SETTLED)


def titles(site: Any) -> list[str]:
    return site.page.run(f"return {TILES}.map((one) => one.querySelector('.name').textContent)")


def press(site: Any, text: str) -> None:
    site.page.do("click", selector=".imgopen-models button", text=text)


def test_covers_are_shown_and_their_links_stay_on_the_server(library: Any, shop: Any) -> None:
    show(library, "ImgOpenGenerate", REMOTE)
    page = library.page
    assert len(titles(library)) == 24
    page.wait(f"return {TILES}.filter((one) => one.querySelector('img.here')).length >= 15", seconds=90)
    page.wait(f"return {TILES}.slice(0, 12).every((one) => !one.querySelector('img:not(.here)'))", seconds=60)
    shown = page.run(
        f"return Object.fromEntries({TILES}.map((one) => [one.querySelector('.name').textContent,"
        " [one.querySelector('.cover').textContent, one.querySelector('img')?.naturalWidth ?? 0]]))"
    )
    rows = library.host.get("/img_open/models/list?source=remote&profile=shop&size=24")
    without = {row["title"] for row in rows["rows"] if not row["cover"]}
    assert without
    for title in without & set(shown):  # a plain tile with initials
        assert shown[title] == ["".join(word[0] for word in title.split()), 0]
    assert max(width for _, width in shown.values()) == 320  # made small here
    asked = shop.ledger()
    assert sum(path.startswith("/cover/") for path in asked) >= 15
    assert SIGN not in library.host.log
    for text in (page.do("content"), json.dumps(rows)):
        assert SIGN not in text
        assert "/cover/" not in text
    page.do("press", keys="Escape")


@pytest.mark.parametrize("title", ["private", "huge", "gone"])
def test_a_cover_that_must_not_or_cannot_be_had_is_none(library: Any, title: str) -> None:
    """A link into the machine's own network, one that is too large, and one that has expired."""
    number = {"gone": 6, "private": 7, "huge": 8}[title]
    told = library.host.get("/img_open/models/list?source=remote&profile=shop&size=24&page=1")
    row = told["rows"][number]
    assert row["cover"] is True
    answer = library.page.run(
        """const answer = await fetch(`/img_open/models/cover?source=remote&profile=shop&key=${argument}`);
        return [answer.status, (await answer.text()).length];""",
        row["key"],
    )
    assert answer == [204, 0]


def test_search_waits_for_the_last_key_and_pages_turn(library: Any) -> None:
    page = library.page
    show(library, "ImgOpenGenerate", REMOTE)
    first = titles(library)
    before = page.run(LISTS)
    for key in "harbour":
        page.do("press", keys=key)
    page.wait(
        f"const all = {TILES}; return all.length && all.every((one) => one.title.startsWith('Harbour'))"
    )
    assert page.run(LISTS) - before == 1
    assert 3 < len(titles(library)) < 24
    page.do("fill", selector=".imgopen-models input[type=search]", value="")
    page.wait(f"return {TILES}.length === 24")
    press(library, "next")
    page.wait("return document.querySelector('.imgopen-models footer').textContent.includes('page 2')")
    page.wait(SETTLED)
    assert not set(titles(library)) & set(first)
    press(library, "back")
    page.wait("return document.querySelector('.imgopen-models footer').textContent.includes('page 1')")
    page.do("press", keys="Escape")


def test_filters_by_type_and_base_model_and_a_click_fills_the_field(library: Any) -> None:
    page = library.page
    show(library, "ImgOpenGenerate", REMOTE)
    page.wait("return document.querySelectorAll('.imgopen-models nav button').length > 1")
    kinds = page.run(
        "return [...document.querySelectorAll('.imgopen-models nav button')].map(b => b.textContent)"
    )
    assert [text.rsplit(" ", 1)[0] for text in kinds] == ["all types", "Checkpoint", "LoRA", "VAE"]
    page.run(
        """const base = document.querySelector(".imgopen-models select[name=base]");
        base.value = "SDXL"; base.dispatchEvent(new Event("change"));"""
    )
    page.wait(f"return {TILES}.every((one) => one.textContent.includes('SDXL'))")
    page.wait(SETTLED)
    assert titles(library)
    page.run(f"{TILES}[1].click()")
    assert page.run("return !document.querySelector('.imgopen-models')")
    chosen = page.run(FIELD, "sd_model_checkpoint")
    assert chosen.endswith(".safetensors")
    assert "_v" in chosen

    page.run("testNode.widgets.find((one) => one.name === 'prompt').value = 'a quiet harbour'")
    for _ in range(2):  # the second time it is there already
        page.run("testNode.widgets.find((one) => one.name === 'img_open_models').callback()")
        page.wait(SETTLED)
        press(library, "LoRA")
        page.wait(f"return {TILES}.length && {TILES}.every((one) => one.dataset.kind === 'lora')")
        page.run(f"{TILES}[0].click()")
    prompt = page.run(FIELD, "prompt")
    assert prompt.startswith("a quiet harbour <lora:")
    assert prompt.endswith(":1>")
    assert prompt.count("<lora:") == 1
    assert ".safetensors" not in prompt
    assert page.run(FIELD, "sd_model_checkpoint") == chosen


def test_keys_alone_are_enough(library: Any) -> None:
    """The command opens it for the selected node; arrows, Enter and Esc do the rest."""
    page = library.page
    page.run(
        """app.graph.clear();
        const node = LiteGraph.createNode("ImgOpenSubmitAsync");
        app.graph.add(node);
        node.widgets.find((one) => one.name === "profile").value = "shop";
        window.testNode = node;
        app.canvas.selectNode(node);
        await app.extensionManager.command.execute("ImgOpen.Models");"""
    )
    page.wait(SETTLED)
    active = f"return {TILES}.indexOf(document.activeElement)"
    columns = page.run(
        f"const all = {TILES}; return all.filter((o) => o.offsetTop === all[0].offsetTop).length"
    )
    assert page.run("return document.activeElement.type") == "search"
    for keys, at in (("ArrowDown", 0), ("ArrowRight", 1), ("ArrowDown", 1 + columns), ("ArrowLeft", columns),
                     ("End", 23), ("Home", 0)):  # fmt: skip
        page.do("press", keys=keys)
        assert page.run(active) == at, keys
    page.do("press", keys="ArrowUp")
    assert page.run("return document.activeElement.type") == "search"
    page.do("press", keys="Escape")
    assert page.run("return !document.querySelector('.imgopen-models') && app.graph._nodes.length === 1")
    page.run("testNode.widgets.find((one) => one.name === 'img_open_models').callback()")
    page.wait(SETTLED)
    wanted = page.run(f"return {TILES}[2].dataset.name")
    for keys in ("ArrowDown", "ArrowRight", "ArrowRight", "Enter"):
        page.do("press", keys=keys)
    assert page.run(FIELD, "sd_model_checkpoint") == wanted


def test_what_it_says_while_it_waits_when_it_fails_and_when_there_is_nothing(library: Any, shop: Any) -> None:
    page = library.page
    again = ".imgopen-models button[name=again]"
    shop.set(pause=1.2)
    page.run(OPEN, ["ImgOpenRemoteSubmit", {"profile": "shop"}])
    page.wait(SETTLED)
    page.do("click", selector=again)
    page.wait("return document.querySelector('.imgopen-models .grid').getAttribute('aria-busy') === 'true'")
    page.wait(f"return {TILES}.length && {FOOT}.includes('on their way')")
    page.wait(SETTLED)
    shop.set(pause=0.0, fault="500")
    page.do("click", selector=again)
    page.wait("return document.querySelector('.imgopen-models .tell .bad')", seconds=40)
    assert "the shelf fell over" in page.run(
        "return document.querySelector('.imgopen-models .tell').textContent"
    )
    shop.set(fault="empty")
    press(library, "fetch the list again")
    page.wait(f"return {TOLD}.includes('shop lists no models')")
    shop.set(fault="")
    press(library, "fetch the list again")
    page.wait(f"return {TILES}.length === 24")
    page.do("fill", selector=".imgopen-models input[type=search]", value="no such model")
    page.wait(f"return {TOLD}.includes('Nothing matches')")
    press(library, "clear the search")
    page.wait(f"return {TILES}.length === 24")
    press(library, "VAE")
    page.wait(f"return {TOLD}.includes('published API')")
    page.run(
        """const source = document.querySelector(".imgopen-models select[name=source]");
        source.value = "remote/cloud"; source.dispatchEvent(new Event("change"));"""
    )
    page.wait(f"return {TOLD}.includes('IMG_OPEN_ACCESS_KEY_ID')")
    press(library, "open profiles")
    page.wait("return document.querySelector('[role=dialog]') && !document.querySelector('.imgopen-models')")
    page.do("press", keys="Escape")


def test_files_of_this_machine(library: Any) -> None:
    """`run_on: local`: ComfyUI's folders, the base model from the header, the cover beside the file."""
    page = library.page
    show(library, "ImgOpenGenerate", {"run_on": "local"})
    facts = page.run(f"return Object.fromEntries({TILES}.map((one) => [one.dataset.name, one.textContent]))")
    assert "SD 1.5" in facts["harbour-v1.safetensors"]
    assert "SDXL" in facts["big/comet-xl.safetensors"]
    page.wait("return document.querySelectorAll('.imgopen-models img.here').length === 1", seconds=30)
    press(library, "LoRA")
    page.wait(f"return {TILES}.some((one) => one.dataset.name === 'ink-lines')")
    assert "SD 1.5" in page.run(f"return {TILES}.find((one) => one.dataset.name === 'ink-lines').textContent")
    press(library, "VAE")
    page.wait(f"return {TILES}.some((one) => one.dataset.name === 'soft.vae.safetensors')")
    page.run(f"{TILES}.find((one) => one.dataset.name === 'soft.vae.safetensors').click()")
    assert page.run(FIELD, "sd_vae") == "soft.vae.safetensors"


def test_a_gateway_lists_its_control_models_too(library: Any) -> None:
    page = library.page
    page.run(
        """app.graph.clear();
        const unit = LiteGraph.createNode("ImgOpenControlNetApply"); app.graph.add(unit);
        const send = LiteGraph.createNode("ImgOpenRemoteSubmit"); app.graph.add(send);
        send.widgets.find((one) => one.name === "profile").value = "local";
        const find = (list, name) => list.findIndex((one) => one.name === name);
        unit.connect(find(unit.outputs, "units"), send, find(send.inputs, "units"));
        window.testNode = unit;
        unit.widgets.find((one) => one.name === "img_open_models").callback();"""
    )
    page.wait(SETTLED)
    assert (
        page.run("return document.querySelector('.imgopen-models select[name=source]').value")
        == "remote/local"
    )
    page.wait(f"return {TILES}.some((one) => one.dataset.name === 'canny')")
    page.run(f"{TILES}.find((one) => one.dataset.name === 'canny').click()")
    assert page.run(FIELD, "model") == "canny"


def test_every_node_with_a_model_field_has_the_button_and_no_other(library: Any) -> None:
    have = library.page.run(
        """return argument.filter((id) => {
          const node = LiteGraph.createNode(id);
          return node.widgets?.some((one) => one.name === "img_open_models");
        });""",
        [table.id for table in NODES],
    )
    fields = {"sd_model_checkpoint", "sd_vae", "baseModelCode", "vaeName"}
    named = {
        table.id for table in NODES if fields & {field.id for field in table.inputs if field.kind == "string"}
    }
    assert set(have) == named | {"ImgOpenControlNetApply", "ImgOpenModel"}
    assert {"ImgOpenGenerate", "ImgOpenRemoteSubmit", "ImgOpenSubmitAsync"} <= named


@pytest.mark.parametrize(("locale", "theme"), [("en", "dark"), ("zh", "light")])
def test_it_looks_right(library: Any, keep: Callable[[str], str], locale: str, theme: str) -> None:
    """In both languages and themes; every word of the window is in the page's language."""
    library.host.post("/settings", {"Comfy.ColorPalette": theme})
    try:
        library.open(locale)
        show(library, "ImgOpenGenerate", REMOTE)
        page = library.page
        page.wait(
            f"return {TILES}.slice(0, 18).filter((one) => one.querySelector('img.here')).length >= 13",
            seconds=60,
        )
        page.do("shot", path=keep(f"models-{library.front_end}-{locale}-{theme}.png"))
        said = page.run("return document.querySelector('.imgopen-models footer').textContent")
        assert ("模型数" in said) is (locale == "zh")
        cut = page.run(
            f"""const cut = (part) => part.scrollHeight > part.clientHeight + 1;
            return {TILES}.filter((one) => [...one.children].some(cut)).length"""
        )
        assert cut == 0
        back, text = page.run(
            """const style = getComputedStyle(document.querySelector(".imgopen-models"));
            const parts = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
            const light = (colour) => parts(colour).reduce((sum, one) => sum + one);
            return [light(style.backgroundColor), light(style.color)];"""
        )
        assert abs(back - text) > 250, "the words can be read"
    finally:
        library.host.post("/settings", {"Comfy.ColorPalette": "dark", "Comfy.Locale": "en"})
