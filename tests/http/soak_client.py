"""The client side of the soak: 200 requests, 16 at once, in a process that is meant to be killed.

    python soak_client.py URL JOURNAL OUT TASKS WORKERS

Runs every request until it has its picture, and writes one line per finished task to OUT. Started again it
goes on where it was killed: the journal knows.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from img_open.api.journal import Journal
from img_open.api.profiles import Profile
from img_open.api.retry import Backoff
from img_open.api.transport import Timeouts
from img_open.base.errors import ImgOpenError
from img_open.engines.remote import RemoteEngine
from img_open.engines.remote_poll import Patience


def main(url: str, journal: str, out: str, tasks: int, workers: int) -> None:
    sys.path.insert(0, str(Path(__file__).parent))
    from conftest import make_request

    engine = RemoteEngine(
        Profile("soak", url, storage="inline", dialect="gateway", max_concurrent=workers),
        Journal(journal),
        patience=Patience(deadline_s=60, poll_s=0.05, poll_most_s=0.5, unreachable_s=20),
        timeouts=Timeouts(connect_s=2, read_s=1.0, total_s=5),
        backoff=Backoff(first_s=0.05, most_s=0.5, attempts=8),
    )
    line = os.open(out, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def run(number: int) -> None:
        while True:
            try:
                result = engine.run(make_request(f"soak {number}", seed=number))
            except ImgOpenError as error:  # a user would run it again; so does the soak
                print(f"{number}: {type(error).__name__}: {error}", file=sys.stderr)
                continue
            pixel = ",".join(str(int(value)) for value in result.images[0][0, 0])
            os.write(line, f"{number} {result.task_id} {pixel}\n".encode())
            return

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, range(tasks)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
