"""A help page in the host's own sidebar: the picture first, bullets that wrap, nothing out of sight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

# What the info button of a node does.
OPEN = """
const store = document.querySelector("#vue-app").__vue_app__.config.globalProperties.$pinia._s;
const definition = store.get("nodeDef").nodeDefsByName[argument];
app.extensionManager.sidebarTab.activeSidebarTabId = "node-library";
store.get("nodeHelp").openHelp(definition);
"""
# Where the rendered page stands: its outermost element that holds the heading and the list.
CONTENT = "document.querySelector('.node-help-content')"
READ = f"""
const box = {CONTENT};
const edge = box.getBoundingClientRect().right;
const top = (selector) => box.querySelector(selector)?.getBoundingClientRect().top ?? null;
const picture = box.querySelector("img");
return {{
  text: box.innerText,
  tables: box.querySelectorAll("table").length,
  picture: picture ? picture.naturalWidth : 0,
  pictureAt: top("img"), listAt: top("li"),
  // A single word (inpaint_full_res_padding) that is longer than the narrowest sidebar cannot wrap.
  cut: [...box.querySelectorAll("li, p, h2, h3")].filter((one) => !/[\\w.\\/-]{{16,}}/.test(one.innerText))
    .filter((one) => one.scrollWidth > one.clientWidth + 1 || one.getBoundingClientRect().right > edge + 1)
    .map((one) => one.innerText.slice(0, 60)),
  width: box.clientWidth,
}};
"""


@pytest.mark.parametrize(
    ("node", "locale", "words"),
    [
        ("ImgOpenGenerate", "en", ["Where it runs", "denoising_strength", "Hires fix", "latent noise"]),
        ("ImgOpenGenerate", "zh", ["运行位置", "重绘幅度", "高分辨率修复", "遮罩内容"]),
        ("ImgOpenPrompt", "en", ["\\( is a", "clip_skip"]),
        ("ImgOpenPrompt", "zh", ["\\( 是普通括号", "强调方式"]),
        ("ImgOpenApiRoop", "en", ["Single Face Swap V1", "both at once is an error"]),
        ("ImgOpenApiRoop", "zh", ["单人换脸 V1", "连线与链接二选一"]),
    ],
)
def test_a_page_is_readable_in_the_sidebar(
    site: Any, keep: Callable[[str], str], node: str, locale: str, words: list[str]
) -> None:
    if site.front_end != "own":
        pytest.skip("Help is opened through a store that the newer front-end makes only with its own panel.")
    site.open(locale)
    site.page.run(OPEN, node)
    site.page.wait(f"return {CONTENT}?.querySelectorAll('li').length > 5 && "
                   f"[...{CONTENT}.querySelectorAll('img')].every((one) => one.complete)")  # fmt: skip
    told = site.page.run(READ)
    site.page.run(f"{CONTENT}.querySelector('li').scrollIntoView()")
    site.page.do("shot", path=keep(f"help-{site.front_end}-{node}-{locale}.png"))
    assert told["width"] > 100
    assert told["picture"] > 0
    assert told["pictureAt"] < told["listAt"]
    assert told["tables"] == 0
    assert told["cut"] == []
    for word in words:
        assert word in told["text"], word
