"""Keeps a journal's write-ahead log in place between operations.

SQLite writes the whole log back into the database, with several waits for the disk, whenever the *last*
connection closes. With a connection per operation that would be after almost every one (30 ms each, one after
the other over all threads). An idle connection per journal prevents it; the log is then written back when it
has grown, and at the end of the process.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from pathlib import Path

_MOST = 4  # journals at once; a program has one, tests have many
_kept: OrderedDict[tuple[str, int], sqlite3.Connection] = OrderedDict()
_lock = threading.Lock()


def keep(path: Path) -> None:
    """Hold an idle connection to the database file at `path`, which must exist."""
    key = (str(path), path.stat().st_ino)  # a file that was moved away and made anew is another journal
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return
        connection = sqlite3.connect(path, timeout=30.0, isolation_level=None, check_same_thread=False)
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # now it is really open
        _kept[key] = connection
        while len(_kept) > _MOST:
            _kept.popitem(last=False)[1].close()
