"""Settings - Img Open: each takes effect; the form of a profile holds every limit and storage."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from test_profiles_panel import OPEN_SETTINGS

SET = "await app.ui.settings.setSettingValueAsync(argument[0], argument[1]);"
NODE = """
app.graph.clear();
const node = LiteGraph.createNode(argument);
app.graph.add(node);
await new Promise((done) => setTimeout(done, 300));
"""
VALUES = "return Object.fromEntries(node.widgets.map((one) => [one.name, one.value]));"
LABELS = """
return { title: node.title,
  labels: Object.fromEntries(node.widgets.map((one) => [one.name, one.label ?? one.name])),
  slots: node.inputs.filter((one) => !one.widget).map((one) => one.label ?? one.localized_name ?? one.name),
  fill: node.widgets.find((one) => one.name === "inpainting_fill")?._displayValue,
  stored: JSON.stringify(app.graph.serialize()) };
"""


@pytest.fixture
def page(site: Any) -> Iterator[Any]:
    """A page whose settings are put back afterwards."""
    yield site
    usual = {"ImgOpen.WindowMode": "steps", "ImgOpen.DefaultProfile": "cloud", "ImgOpen.Titles": "host"}
    for name, value in usual.items():
        site.page.run(SET, [name, value])


def test_window_mode_and_profile_of_new_nodes(page: Any) -> None:
    page.open()
    assert page.page.run(NODE + VALUES, "ImgOpenControlNetApply")["window_mode"] == "steps"
    page.page.run(SET, ["ImgOpen.WindowMode", "sigma"])
    page.page.run(SET, ["ImgOpen.DefaultProfile", "local"])
    assert page.page.run(NODE + VALUES, "ImgOpenControlNetApply")["window_mode"] == "sigma"
    assert page.page.run(NODE + VALUES, "ImgOpenGenerate")["profile"] == "local"
    page.open()  # kept by the host
    assert page.page.run(NODE + VALUES, "ImgOpenControlNetApply")["window_mode"] == "sigma"
    loaded = page.page.run(
        NODE
        + """const saved = app.graph.serialize();
        const values = saved.nodes[0].widgets_values;
        values.splice(values.indexOf("sigma"), 1, "steps");
        await app.loadGraphData(saved);
        return app.graph._nodes[0].widgets.find((one) => one.name === "window_mode").value;""",
        "ImgOpenControlNetApply",
    )
    assert loaded == "steps"  # a workflow's own value wins


def test_titles_follow_the_setting(page: Any) -> None:
    page.open("zh")
    host = page.page.run(NODE + LABELS, "ImgOpenRemoteSubmit")
    assert host["title"] == "远程提交（Img Open）"
    assert host["labels"]["steps"] == "步数"
    assert host["fill"] == "填充"
    page.page.run(SET, ["ImgOpen.Titles", "both"])
    page.page.wait(
        "return app.graph._nodes[0].widgets.find((o) => o.name === 'steps').label.includes('steps')"
    )
    both = page.page.run("const node = app.graph._nodes[0];" + LABELS)
    assert both["labels"]["steps"] == "步数 · steps"
    assert both["fill"] == "填充 · fill"
    assert "初始图像 · init_image" in both["slots"]
    assert page.page.run(NODE + LABELS, "ImgOpenRemoteSubmit")["labels"]["steps"] == "步数 · steps"
    page.page.run(SET, ["ImgOpen.Titles", "english"])
    page.page.wait("return app.graph._nodes[0].title === 'Remote Submit (Img Open)'")
    english = page.page.run("const node = app.graph._nodes[0];" + LABELS)
    assert english["labels"]["steps"] == "steps"
    assert english["fill"] == "fill"
    assert page.page.run(NODE + LABELS, "ImgOpenRemoteSubmit")["title"] == "Remote Submit (Img Open)"
    page.open("zh")
    page.page.wait("return LiteGraph.registered_node_types.ImgOpenRemoteSubmit.title.startsWith('Remote')")
    page.page.run(SET, ["ImgOpen.Titles", "host"])
    page.page.wait("return LiteGraph.registered_node_types.ImgOpenRemoteSubmit.title.startsWith('远程')")
    again = page.page.run(NODE + LABELS, "ImgOpenRemoteSubmit")
    assert again["labels"] == host["labels"]
    for told in (host, both, english, again):  # what a workflow stores does not depend on it
        node = json.loads(told["stored"])["nodes"][0]
        assert "title" not in node
        assert [one["name"] for one in node["inputs"]] == [
            one["name"] for one in json.loads(host["stored"])["nodes"][0]["inputs"]
        ]


def open_form(site: Any, profile: str = "") -> None:
    site.page.run(OPEN_SETTINGS)
    site.page.wait("return document.querySelector('.imgopen-profiles .entry')")
    if profile:
        site.page.run(
            """const row = document.querySelector(`.entry[data-profile="${argument}"]`);
            [...row.querySelectorAll("button")].at(-2).click();""",
            profile,
        )
    else:
        site.page.run("document.querySelector('.imgopen-profiles > div:last-child button').click()")
    site.page.wait("return document.querySelector('.imgopen-profiles form')")


FILL = """
const form = document.querySelector(".imgopen-profiles form");
form.querySelector("details").open = true;
for (const [name, value] of Object.entries(argument)) {
  const field = form.querySelector(`[name="${name}"]`);
  if (!field) throw new Error(`no ${name}`);
  if (field.type === "checkbox") field.checked = value; else field.value = value;
  field.dispatchEvent(new Event("change", { bubbles: true }));
}
"""
SAVE = "document.querySelector('.imgopen-profiles button[type=submit]').click()"


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_every_limit_and_a_bucket_can_be_set(site: Any, keep: Callable[[str], str], locale: str) -> None:
    site.open(locale, height=900)
    open_form(site)
    name = f"limits-{locale}"
    limits = {"spend_limit_images": 5, "per_minute": 7, "max_concurrent": 3, "deadline_s": 77, "poll_s": 0.7,
              "poll_most_s": 9, "allow_private_results": True, "auto_remote": True}  # fmt: skip
    bucket = {"bucket": "pictures", "endpoint_url": "https://s3.example", "region": "r1",
              "link_seconds": 600, "path_style": True, "access_key_id": "BKCANARY-1",
              "secret_access_key": "BKCANARY-2"}  # fmt: skip
    server = {"name": name, "base_url": "https://server.example", "key_id": "IDCANARY-1",
              "key_secret": "KEYCANARY-1", "dialect": "gateway", "storage": "s3"}  # fmt: skip
    site.page.run(FILL, server)
    site.page.run(FILL, {**limits, **{f"storage_{key}": value for key, value in bucket.items()}})
    site.page.do("shot", path=keep(f"profile-form-{site.front_end}-{locale}.png"))
    site.page.run(SAVE)
    site.page.wait("return document.querySelector(`.entry[data-profile='${argument}']`)", name)
    saved = json.loads((site.home / "profiles.json").read_text("utf-8"))["profiles"][name]
    assert {key: saved[key] for key in limits} == limits
    assert saved["storage_options"] == bucket
    assert (saved["storage"], saved["dialect"]) == ("s3", "gateway")

    open_form(site, name)
    shown = site.page.run(
        "return Object.fromEntries([...document.querySelectorAll('.imgopen-profiles form [name]')]"
        ".map((one) => [one.name, one.type === 'checkbox' ? one.checked : one.value]))"
    )
    assert shown["storage_bucket"] == "pictures"
    assert shown["deadline_s"] == "77"
    assert shown["allow_private_results"] is True
    assert "CANARY" not in json.dumps(shown)
    site.page.run(FILL, {"per_minute": 8, "storage_region": "r2"})
    site.page.run(SAVE)
    site.page.wait("return document.querySelector('.imgopen-profiles .entry')")
    saved = json.loads((site.home / "profiles.json").read_text("utf-8"))["profiles"][name]
    assert saved["per_minute"] == 8
    assert saved["storage_options"] == {**bucket, "region": "r2"}
    assert saved["access_key_secret"] == "KEYCANARY-1"
    assert "CANARY" not in site.page.do("content")


def test_a_mistake_is_told_in_the_form_and_nothing_is_lost(site: Any) -> None:
    site.open("zh")
    open_form(site)
    site.page.run(
        FILL, {"name": "wrong", "base_url": "http://server.example", "key_id": "A", "key_secret": "B"}
    )
    site.page.run(SAVE)
    site.page.wait("return document.querySelector('.imgopen-profiles form [role=alert]').textContent")
    told = site.page.run("return document.querySelector('.imgopen-profiles form [role=alert]').textContent")
    assert "不加密" in told
    assert site.page.run("return document.querySelector('.imgopen-profiles [name=base_url]').value") == (
        "http://server.example"
    )
    assert "wrong" not in [one["name"] for one in site.host.get("/img_open/profiles")["profiles"]]
