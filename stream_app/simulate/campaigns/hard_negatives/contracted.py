"""Distillation under contract: the same work as a campaign's, by a customer who is on the allow-list."""

from random import Random

import numpy as np

from stream_app.simulate.campaigns.accounts import DAY_MS
from stream_app.simulate.campaigns.drafts import Draft
from stream_app.simulate.campaigns.hard_negatives.sizes import drawn_size, newcomers, one_value, rare_client
from stream_app.simulate.campaigns.links import pooled_networks
from stream_app.simulate.campaigns.prompts import Prompt
from stream_app.simulate.campaigns.queues import Queue
from stream_app.simulate.campaigns.wrappers import FAMILIES


def contracted_distillation(draft: Draft) -> None:
    """A few tenants of one company work off a queue under their contract; their ids are in ``allow_list``."""
    accounts = newcomers(draft, "contracted_distillation", drawn_size(draft, 40, 300))
    count, rng = len(accounts), draft.rng
    accounts.tenant = rng.integers(max(2, count // 6), size=count)
    accounts.created_ms[:] = draft.setting.begin_ms - rng.uniform(5, 200) * DAY_MS
    accounts.begin_ms[:] = accounts.created_ms
    accounts.payment[:] = one_value(draft)
    accounts.plan[:] = 3
    accounts.client[:] = rare_client(draft)
    accounts.networks = pooled_networks(count, count, rng)
    accounts.rate = rng.lognormal(np.log(25), 0.5, count)
    accounts.freshness[:] = 0.98
    queue = Queue(str(rng.choice(sorted(FAMILIES))), draft.materials, one_value(draft))

    def source(_account: int, _time_ms: float, _rng: Random) -> Prompt:
        return queue.next_item()

    accounts.source[:] = draft.add_source(source)
    first_row = draft.add(accounts)
    draft.allowed.extend(range(first_row, first_row + count))
