"""A profile is added in the settings and used; its key is nowhere that anybody can see."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

KEY_ID, SECRET = "AKIDCANARY7c1e55d09b", "SECRETCANARYe2b84410aa"

OPEN_SETTINGS = """
app.extensionManager.command.execute("Comfy.ShowSettingsDialog");
for (let i = 0; i < 60; i++) {
  await new Promise((done) => setTimeout(done, 150));
  const all = [...document.querySelectorAll("[role=dialog] *, .p-dialog *")];
  const entry = all.reverse().find((one) => one.textContent.trim() === "Img Open" && one.offsetParent);
  if (entry) { entry.click(); break; }
}
"""

RUN = """
app.graph.clear();
const node = LiteGraph.createNode("ImgOpenRemoteSubmit");
app.graph.add(node);
const values = { profile: "studio", prompt: "a red circle", sd_model_checkpoint: "demo", steps: 2, width: 64,
  height: 64, seed: argument };
for (const name in values) node.widgets.find((one) => one.name === name).value = values[name];
const save = LiteGraph.createNode("SaveImage");
app.graph.add(save);
save.widgets[0].value = "canary";
node.connect(0, save, 0);
await app.queuePrompt(0);
"""


def test_add_use_and_search_for_the_canary(site: Any, keep: Callable[[str], str]) -> None:
    page = site.page
    site.open()
    page.run(OPEN_SETTINGS)
    page.wait("return document.querySelector('.imgopen-profiles .entry')")
    page.do("click", selector=".imgopen-profiles button", text="add a profile")
    for name, value in (("name", "studio"), ("base_url", site.gateway.url)):
        page.do("fill", selector=f".imgopen-profiles input[name={name}]", value=value)
    page.do("fill", selector=".imgopen-profiles input[name=key_id]", value=KEY_ID)
    page.do("fill", selector=".imgopen-profiles input[name=key_secret]", value=SECRET)
    page.do("click", selector=".imgopen-profiles button[type=submit]")
    page.wait("return document.querySelector('.entry[data-profile=studio]')")
    page.do("click", selector=".entry[data-profile=studio] button", text="test")
    page.wait("return document.querySelector('.entry[data-profile=studio] .good')", None, 40)
    page.do("shot", path=keep(f"settings-{site.front_end}.png"))
    page.do("press", keys="Escape")

    page.run(RUN, 100 if site.front_end == "own" else 101)
    page.wait(
        "return app.graph._nodes.find((one) => one.type === 'SaveImage').imgs?.[0]?.naturalWidth === 64",
        None,
        120,
    )
    site.paste(json.dumps({"prompt": "x", "steps": 3, "alwayson_scripts": {"access_key_secret": SECRET}}))
    page.wait("return app.graph._nodes.length >= 5")
    _nowhere(site)
    profile = json.loads((site.home / "profiles.json").read_text("utf-8"))["profiles"]["studio"]
    assert profile["access_key_secret"] == SECRET

    page.run(OPEN_SETTINGS)
    page.wait("return document.querySelector('.entry[data-profile=studio]')")
    page.run("window.confirm = () => true;")
    page.do("click", selector=".entry[data-profile=studio] button", text="remove")
    page.run(
        """await new Promise((done) => setTimeout(done, 800));
        const yes = [...document.querySelectorAll("[role=dialog] button, .p-dialog button")]
          .filter((one) => /^(confirm|ok|yes)$/i.test(one.textContent.trim()));
        yes.at(-1)?.click();"""
    )
    page.wait("return !document.querySelector('.entry[data-profile=studio]')")


def _nowhere(site: Any) -> None:
    """Neither half of the key is in the page, the workflow, a storage, an answer of the server or a file."""
    page = site.page
    texts = {
        "page": page.do("content"),
        "inputs": page.run(
            "return [...document.querySelectorAll('input, textarea')].map((one) => one.value).join()"
        ),
        "local storage": page.run(
            "return JSON.stringify({ ...localStorage }) + JSON.stringify({ ...sessionStorage })"
        ),
        "workflow": page.run("return JSON.stringify(app.graph.serialize())"),
        "prompt": page.run("return JSON.stringify(await app.graphToPrompt())"),
        "log": site.host.log,
    }
    for path in ("/history", "/queue", "/settings", "/object_info", "/img_open/profiles", "/img_open/tasks"):
        texts[path] = json.dumps(site.host.get(path))
    for folder in ("output", "user", "input", "temp"):
        for path in (site.host.base / folder).rglob("*"):
            if path.is_file():
                texts[str(path)] = path.read_bytes().decode("latin-1")
    assert any("canary_0" in name for name in texts)
    for place, text in texts.items():
        assert KEY_ID not in text, place
        assert SECRET not in text, place
