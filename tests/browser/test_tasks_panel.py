"""The sidebar: live rows, cancel, re-attach after a reload, a thousand rows."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from img_open.api.journal import Intent, Journal

SLOW = """
app.graph.clear();
const node = LiteGraph.createNode("ImgOpenRemoteSubmit");
app.graph.add(node);
const values = { profile: "local", prompt: argument, sd_model_checkpoint: "demo", steps: 150, width: 512,
  height: 512, batch_size: 4, seed: 3 };
for (const name in values) node.widgets.find((one) => one.name === name).value = values[name];
node.pos = [40, 40];
const look = LiteGraph.createNode("PreviewImage");
app.graph.add(look);
look.pos = [500, 40];
look.setSize([360, 380]);
app.canvas.ds.scale = 0.7;
app.canvas.ds.offset[0] = 560;
app.canvas.ds.offset[1] = 100;
node.connect(0, look, 0);
await app.queuePrompt(0);
"""
ROW = "[...document.querySelectorAll('.imgopen-row')].find((row) => row.textContent.includes(argument))"


def open_panel(site: Any) -> None:
    site.page.run(
        """if (!document.querySelector(".imgopen-tasks"))
             app.extensionManager.sidebarTab.toggleSidebarTab("img-open-tasks");"""
    )
    site.page.wait("return document.querySelector('.imgopen-tasks')")


def press(site: Any, prompt: str, name: str) -> None:
    row = ROW.replace("argument", "argument[0]")
    site.page.run(f"{row}.querySelector(`button[name='${{argument[1]}}']`).click()", [prompt, name])


def test_cancel_from_the_panel(site: Any, keep: Callable[[str], str]) -> None:
    prompt = f"a star to cancel {uuid.uuid4().hex[:6]}"
    site.open()
    open_panel(site)
    site.page.run(SLOW, prompt)
    site.page.wait(
        f"return {ROW}?.dataset.state === 'running' && {ROW}.querySelector('.imgopen-bar:not([hidden])')",
        prompt,
        90,
    )
    site.page.wait(f"return /[1-9]\\d* %.*\\d s/.test({ROW}?.textContent)", prompt, 90)
    site.page.wait(f"return {ROW}?.querySelector('img').src.startsWith('data:image/jpeg')", prompt, 90)
    site.page.do("shot", path=keep(f"tasks-{site.front_end}.png"))
    press(site, prompt, "cancel")
    site.page.wait(f"return {ROW}?.dataset.state === 'cancelled'", prompt, 60)
    task = next(
        task for task in Journal(site.home / "tasks.sqlite").list() if task.request["prompt"] == prompt
    )
    until = time.monotonic() + 60
    while site.gateway.task(task.task_id)["status"] == 1 and time.monotonic() < until:
        time.sleep(0.5)
    assert site.gateway.task(task.task_id)["status"] == -1


def test_reload_in_the_middle_and_reattach(site: Any) -> None:
    """A task that nobody waits for any more is in the panel after a reload, and comes back from there."""
    prompt = f"come back {uuid.uuid4().hex[:6]}"
    journal = Journal(site.home / "tasks.sqlite")
    task_id = _submit_elsewhere(site, prompt, journal)
    site.open()
    open_panel(site)
    site.page.wait(f"return {ROW}", prompt)
    site.page.do("reload")
    site.page.wait("return app.extensionManager.sidebarTab")
    open_panel(site)
    site.page.wait(f"return {ROW}?.querySelector(\"button[name='re-attach']\")", prompt, 60)
    press(site, prompt, "re-attach")
    site.page.wait(
        f"return {ROW}?.dataset.state === 'done' && {ROW}.querySelector('img')?.naturalWidth", prompt, 120
    )
    assert journal.show(task_id).state == "done"
    press(site, prompt, "open")
    site.page.wait(
        "return app.graph._nodes.some((one) => one.type === 'LoadImage' && one.imgs?.[0]?.naturalWidth)"
    )


def _submit_elsewhere(site: Any, prompt: str, journal: Journal) -> str:
    """A task of another program (the command line), which does not wait for it."""
    from img_open.api.profiles import Profile
    from img_open.api.request import Request
    from img_open.engines.remote import RemoteEngine

    body = {"prompt": prompt, "steps": 12, "width": 128, "height": 128, "seed": 4,
            "alwayson_scripts": {"sd_model_checkpoint": "demo"}}  # fmt: skip
    return RemoteEngine(Profile("local", site.gateway.url), journal).submit(Request.from_wire(body))


@pytest.fixture
def thousand(site: Any) -> Any:
    """A thousand finished rows of another server."""
    journal = Journal(site.home / "tasks.sqlite")
    intent = Intent("many", "https://many.example", "many", "sd_text2image_v2", "many-0", False, "h", "",
                    {"prompt": "one of many"}, 1, 1)  # fmt: skip
    first = journal.begin(intent, "").task
    journal.set_state(first.row_id, "failed", "a test row")
    with sqlite3.connect(journal.path) as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(task)")]
        new = {"row_id": "printf('many%06d', n)", "attempt": "n + 1", "task_id": "printf('many-%d', n)"}
        values = ", ".join(new.get(name, name) for name in columns)
        db.execute(
            "WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < 999)"
            f" INSERT INTO task ({', '.join(columns)}) SELECT {values} FROM task, count WHERE row_id = ?",
            (first.row_id,),
        )
    yield site
    with sqlite3.connect(journal.path) as db:
        db.execute("DELETE FROM task WHERE profile = 'many'")


def test_a_thousand_rows_stay_smooth(thousand: Any) -> None:
    site = thousand
    site.open()
    open_panel(site)
    site.page.wait("return document.querySelectorAll('.imgopen-row').length > 5", None, 30)
    told = site.page.run(
        """
        const list = document.querySelector(".imgopen-list");
        let slowest = 0, most = 0;
        for (let step = 1; step <= 30; step++) {
          const begun = performance.now();
          list.scrollTop = (list.scrollHeight * step) / 31;
          await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
          const rows = document.querySelectorAll(".imgopen-row");
          most = Math.max(most, rows.length);
          slowest = Math.max(slowest, performance.now() - begun);
        }
        return { slowest, most, height: list.scrollHeight };
        """
    )
    print("thousand rows:", told)
    assert told["most"] < 60
    assert told["height"] > 80_000
    assert told["slowest"] < 500  # a shared machine; usually two frames
    site.page.run(
        """const state = document.querySelector(".imgopen-head select"); state.value = "done";
        state.dispatchEvent(new Event("change"));"""
    )
    assert site.page.run(
        "return [...document.querySelectorAll('.imgopen-row')].every(r => r.dataset.state === 'done')"
    )
