"""From a request to an intent: what counts as "the same task again"."""

from __future__ import annotations

import hashlib
import json
import random
import uuid

from ..api.journal import Intent, Task
from ..api.problems import raise_problems
from ..api.profiles import Profile
from ..api.request_fields import text_problems
from ..api.sendable import Sendable
from ..base.log import scrub_json
from .remote_pictures import without_pictures

OWN_ID_PREFIX = "io-"
_LARGEST_SEED = 4294967294  # what the web UI draws from


def make_intent(profile: Profile, request: Sendable, nonce: str) -> Intent:
    """The intent of a request on a profile.

    Its key hashes server, profile, operation, what is asked for, the request's own task id if it brings
    one, and the nonce. A random seed (-1) is drawn here and kept with the journal's row: the same request
    with the same nonce stays the same task, through restarts too; another nonce draws another seed.
    """
    raise_problems(text_problems(nonce, "the word for a new task"))
    own_id = request.id_task
    asked = request.canonical_hash()
    parts = [profile.base_url, profile.name, request.operation, asked, own_id, nonce]
    seed = request.seed_number
    if seed == -1:
        seed = random.SystemRandom().randrange(_LARGEST_SEED)
    return Intent(
        key=hashlib.sha256(json.dumps(parts).encode()).hexdigest(),
        server=profile.base_url,
        profile=profile.name,
        operation=request.operation,
        task_id=own_id or f"{OWN_ID_PREFIX}{uuid.uuid4().hex}",
        own_id=bool(own_id),
        request_hash=asked,
        nonce=nonce,
        request=scrub_json(without_pictures(request.to_wire())),
        seed=seed,
        images=request.image_count,
    )


def final_request(request: Sendable, task: Task) -> Sendable:
    """The request as it is sent for a journal row: with the row's task id and its drawn seed."""
    request = request.with_id_task(task.task_id)
    if request.seed_number != -1:
        return request
    # The pages show the seed as a text; a body that uses numbers keeps to numbers.
    as_number = isinstance(request.seed, int) and "seed" in request.to_wire()
    return request.replace(seed=task.seed if as_number else str(task.seed))
