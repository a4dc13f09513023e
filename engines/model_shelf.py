"""The models of a server with all that its list says of them, for the model browser on the canvas.

A list is fetched page by page in the background and kept in memory for a while: searching, filtering and
turning pages then cost no request. Covers are signed links that expire; they are never written down and never
handed out, only looked up here by the key of their model.
"""

from __future__ import annotations

import hashlib
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urljoin

from ..api.client import Client, model_of
from ..api.models import ModelListReply, ModelRow
from ..api.profiles import Profile
from ..api.retry import Backoff
from ..api.transport import Timeouts
from ..base.errors import ImgOpenError, ServerError
from ..base.log import get_logger, scrub

_log = get_logger("engines.models")
KINDS = ("checkpoint", "lora", "vae", "controlnet")
KEEP_S = 300.0  # a list is asked for again after this time; signed covers live longer than that
_PAGE = 100
_MOST_PAGES = 50
_QUICK = Timeouts(connect_s=5.0, read_s=15.0, total_s=30.0)
_WHAT = "the model list"


@dataclass(frozen=True)
class Entry:
    """One model as a browser shows it.

    Attributes:
        name: what goes into the node's field; for a LoRA the name inside its tag.
        title: what people read.
        kind: one of KINDS, or another type of the server in lower case.
        base: base model, such as "SD 1.5"; empty when unknown.
        hash, version: as the server tells them, else empty.
        bytes: size of a file on this machine, else 0.
        cover: link or path of its picture, else empty. Not for the page.
    """

    name: str
    title: str
    kind: str
    base: str = ""
    hash: str = ""
    version: str = ""
    bytes: int = 0
    cover: str = ""

    @property
    def key(self) -> str:
        """Names this entry in a link without telling anything."""
        return hashlib.sha256(f"{self.kind}\0{self.name}".encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Batch:
    """Some rows of a list; `missing` counts rows that the server has and that are not asked for any more."""

    entries: list[Entry]
    missing: int = 0


Fetch = Callable[[Profile], Iterator[Batch]]
Place = tuple[str, str, str]  # what a list and its covers belong to


@dataclass(frozen=True)
class Look:
    """What is known of a list now.

    Attributes:
        entries: in the server's order, each kind and name once.
        loading: more may come.
        missing: rows of a very long list that were not fetched.
        error: why the list is incomplete, or None.
    """

    entries: list[Entry]
    loading: bool
    missing: int
    error: ImgOpenError | None


def place_of(profile: Profile) -> Place:
    """Whose list it is: a profile that gets another address or dialect has another list."""
    return profile.name, profile.base_url, profile.dialect


def fetch_entries(profile: Profile) -> Iterator[Batch]:
    """The whole list of a profile's server: checkpoints, and the other types as far as they can be asked for.

    A gateway is asked type by type (`modelType` is part of its dialect, docs/gateway.md). The published API
    has paths for the model list alone; a LoRA list is asked when the local catalogue names its path.
    Raises the pack's errors.
    """
    client = Client(profile, timeouts=_QUICK, backoff=Backoff(attempts=2))
    try:
        for kind in KINDS if profile.dialect == "gateway" else ("",):
            yield from _pages(client, kind)
        if client.catalogue.operation("query_lora_list").path:
            yield from _lora_pages(client)
    finally:
        client.close()


def search_server(profile: Profile, text: str) -> Batch:
    """The rows whose name holds `text`, by the server's own search: for lists that are not fetched whole."""
    client = Client(profile, timeouts=_QUICK, backoff=Backoff(attempts=1))
    try:
        reply = client.model_list(1, _PAGE, name=text)
    finally:
        client.close()
    return Batch([_entry(row, client.profile.base_url) for row in reply.rows if row.checkpoint])


def _pages(client: Client, kind: str) -> Iterator[Batch]:
    seen = total = 0
    for page in range(1, _MOST_PAGES + 1):
        body: dict[str, Any] = {"pageSize": _PAGE, "pageNum": page}
        if kind:
            body["modelType"] = kind
        data = client.ask("query_model_list", body, lambda: False, True, _WHAT)
        reply = model_of(ModelListReply, data, _WHAT)
        base_url = client.profile.base_url
        yield Batch([_entry(row, base_url) for row in reply.rows if row.checkpoint])
        seen, total = seen + len(reply.rows), reply.total or 0
        if not reply.rows or seen >= total:
            return
    yield Batch([], total - seen)


def _lora_pages(client: Client) -> Iterator[Batch]:
    """Of these rows only `sdLoraFileSimplifyName` is published: the name inside the tag."""
    seen = total = 0
    for page in range(1, _MOST_PAGES + 1):
        body = {"pageSize": _PAGE, "pageNum": page}
        data = client.ask("query_lora_list", body, lambda: False, True, "the LoRA list")
        rows: Any = data.get("rows") or []
        found = [cast("dict[str, Any]", row) for row in rows if isinstance(row, dict)]
        names = [str(row["sdLoraFileSimplifyName"]) for row in found if row.get("sdLoraFileSimplifyName")]
        yield Batch([Entry(name, name, "lora") for name in names])
        told = data.get("total")
        seen, total = seen + len(found), told if isinstance(told, int) else 0
        if not found or seen >= total:
            return
    yield Batch([], total - seen)


def _entry(row: ModelRow, base_url: str) -> Entry:
    kind = (row.type or "checkpoint").lower()  # not what was asked for: a server may not know that filter
    name = tag_name(row.checkpoint) if kind == "lora" else row.checkpoint
    return Entry(
        name=name,
        title=row.name or row.checkpoint,
        kind=kind,
        base=row.base_model,
        hash=row.hash,
        version=row.version,
        cover=_cover_link(base_url, row.cover_url or ""),
    )


def _cover_link(base_url: str, cover: str) -> str:
    """Where a cover is; empty when there is none, or when what the server says is no link."""
    try:
        return urljoin(base_url + "/", cover.strip()) if cover.strip() else ""
    except ValueError:  # such as an address with half a bracket
        return ""


def tag_name(file: str) -> str:
    """The name of a LoRA file as a prompt tag spells it: without folder and extension."""
    name = file.replace("\\", "/").rsplit("/", 1)[-1]
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and suffix.lower() in ("safetensors", "ckpt", "pt", "pth", "bin") else name


@dataclass
class _List:
    """One profile's list while it grows."""

    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    begun: float = 0.0
    loading: bool = False
    missing: int = 0
    error: ImgOpenError | None = None
    news: threading.Condition = field(default_factory=threading.Condition)


class Shelf:
    """The lists by profile and server: a profile with another address never shows the old server's list.

    Args:
        fetch: gives one profile's list in batches; blocking, raises the pack's errors.
        keep_s: seconds after which a list is fetched again.
    """

    def __init__(self, fetch: Fetch = fetch_entries, keep_s: float = KEEP_S) -> None:
        self._fetch = fetch
        self._keep_s = keep_s
        self._lock = threading.Lock()
        self._lists: dict[Place, _List] = {}

    def look(self, profile: Profile, *, again: bool = False, wait_s: float = 10.0) -> Look:
        """What is known of a profile's list; begins to fetch it where needed.

        Args:
            profile: as it is now, freshly loaded.
            again: fetch even a fresh list anew (not one that is being fetched).
            wait_s: longest wait for the first rows, seconds; later rows are for the next look.

        Raises:
            The pack's errors, when there is no row at all and the fetch failed.
        """
        one = self._begin(profile, again)
        until = time.monotonic() + wait_s
        with one.news:
            while one.loading and not one.entries and time.monotonic() < until:
                one.news.wait(max(0.0, until - time.monotonic()))
            if one.error is not None and not one.entries and not one.loading:
                one.begun = 0.0  # the next look tries again
                raise one.error
            return Look(list(one.entries.values()), one.loading, one.missing, one.error)

    def find(self, profile: Profile, key: str) -> Entry | None:
        """The entry of a key, if its list is there. Asks nobody."""
        with self._lock:
            one = self._lists.get(place_of(profile))
        if one is None:
            return None
        with one.news:
            return one.entries.get(key)

    def add(self, profile: Profile, entries: Sequence[Entry]) -> None:
        """Put further rows on a list that is there (see `search_server`)."""
        with self._lock:
            one = self._lists.get(place_of(profile))
        if one is not None:
            with one.news:
                one.entries.update({each.key: each for each in entries})

    def _begin(self, profile: Profile, again: bool) -> _List:
        now, place = time.monotonic(), place_of(profile)
        with self._lock:
            one = self._lists.get(place)
            if one is not None and (one.loading or (one.begun and not again and self._fresh(one, now))):
                return one
            for former in [each for each in self._lists if each[0] == profile.name]:
                del self._lists[former]
            one = self._lists[place] = _List(begun=now, loading=True)
        threading.Thread(target=self._work, args=(profile, one), name="img-open shelf", daemon=True).start()
        return one

    def _fresh(self, one: _List, now: float) -> bool:
        return now - one.begun < self._keep_s

    def _work(self, profile: Profile, one: _List) -> None:
        error: ImgOpenError | None = None
        try:
            for batch in self._fetch(profile):
                with one.news:
                    new = {each.key: each for each in batch.entries if each.key not in one.entries}
                    one.entries.update(new)
                    one.missing += batch.missing
                    one.news.notify_all()
        except ImgOpenError as caught:
            _log.info("model list of %s: %s", profile.name, caught)
            error = caught
        except Exception as caught:  # nobody else would hear of it: this thread has no caller
            _log.error("%s", scrub(traceback.format_exc()))
            error = ServerError(
                f"The model list of {profile.name} could not be read: {type(caught).__name__}.",
                "See the log.",
            )
        finally:
            with one.news:
                one.error, one.loading = error, False
                one.news.notify_all()


@dataclass(frozen=True)
class Selection:
    """One page of what a search found.

    Attributes:
        entries: of this page.
        found: how many there are on all pages.
        kinds: how many each kind has with the other filters in place.
        bases: the base models among the rows of the chosen kinds.
        page: the page that was taken, from 1; the last one when there are fewer.
    """

    entries: list[Entry]
    found: int
    kinds: dict[str, int]
    bases: list[str]
    page: int


def select(
    entries: Sequence[Entry],
    *,
    search: str = "",
    kinds: Sequence[str] = (),
    base: str = "",
    page: int = 1,
    size: int = 24,
) -> Selection:
    """Search, filter and cut out a page.

    Args:
        entries: everything.
        search: words that all must be in name, title, base model, version or hash, in any case.
        kinds: only these; none means all.
        base: only this base model; empty means all.
        page: from 1.
        size: entries on a page.
    """
    words = search.lower().split()
    matching = [one for one in entries if all(word in _text_of(one) for word in words)]
    of_base = [one for one in matching if not base or one.base == base]
    counts: dict[str, int] = {}
    for one in of_base:
        counts[one.kind] = counts.get(one.kind, 0) + 1
    bases = sorted({one.base for one in matching if one.base and (not kinds or one.kind in kinds)})
    found = [one for one in of_base if not kinds or one.kind in kinds]
    last = max(1, -(-len(found) // size))
    page = min(max(1, page), last)
    return Selection(found[(page - 1) * size : page * size], len(found), counts, bases, page)


def _text_of(entry: Entry) -> str:
    return "\n".join((entry.name, entry.title, entry.base, entry.version, entry.hash)).lower()
