"""One customer behind many tenants: resellers, agencies, an integrator's fleet. They share what a campaign shares."""

import numpy as np

from stream_app.simulate.campaigns.accounts import APPLICATION, DAY_MS, HOUR_MS, Accounts, application_numbers
from stream_app.simulate.campaigns.drafts import Draft
from stream_app.simulate.campaigns.hard_negatives.sizes import (
    drawn_size,
    instances,
    newcomers,
    one_value,
    rare_client,
)
from stream_app.simulate.campaigns.links import pooled_networks

FULL_TIME = 0.8


def old_reseller(draft: Draft) -> None:
    """Customers won over two years, billed to one card, through one gateway."""
    for _ in range(instances(draft, 0.5)):
        accounts = newcomers(draft, "old_reseller", drawn_size(draft, 60, 500))
        ages = draft.rng.uniform(20, 700, len(accounts)) * DAY_MS
        accounts.created_ms = accounts.begin_ms = draft.setting.end_ms - ages
        _behind_one_customer(draft, accounts)
        draft.add(accounts)


def new_reseller(draft: Draft) -> None:
    """Opened weeks ago; signs customers up in batches, on working days, some of them during the stream."""
    for _ in range(instances(draft, 0.5)):
        accounts = newcomers(draft, "new_reseller", drawn_size(draft, 60, 500))
        batches = draft.setting.end_ms - DAY_MS * draft.rng.uniform(1.0, 25.0, int(draft.rng.integers(4, 15)))
        accounts.created_ms = draft.rng.choice(batches, len(accounts)) + draft.rng.exponential(HOUR_MS, len(accounts))
        accounts.begin_ms = accounts.created_ms + draft.rng.exponential(12 * HOUR_MS, len(accounts))
        _behind_one_customer(draft, accounts)
        draft.add(accounts)


def agencies(draft: Draft) -> None:
    """Two to twelve tenants each: one card, one office, the same house style in half of their prompts."""
    for _ in range(instances(draft, 8)):
        accounts = newcomers(draft, "agency", int(draft.rng.integers(2, 13)))
        accounts.payment[:] = one_value(draft)
        accounts.plan = np.maximum(accounts.plan, 1)
        if draft.rng.random() < 0.7:
            accounts.signup[:] = one_value(draft)
        accounts.networks[:, 0] = accounts.networks[0, 0]
        is_house_style = draft.rng.random(len(accounts)) < 0.5
        accounts.wrapper[is_house_style] = accounts.wrapper[0]
        draft.add(accounts)


def integrator_fleet(draft: Draft) -> None:
    """An integrator provisions a tenant per customer in bursts; all run its one product, on their own documents."""
    for _ in range(instances(draft, 0.5)):
        accounts = newcomers(draft, "integrator_fleet", drawn_size(draft, 50, 400))
        count, rng = len(accounts), draft.rng
        bursts = draft.setting.end_ms - DAY_MS * rng.uniform(0.5, 60.0, int(rng.integers(2, 12)))
        accounts.created_ms = rng.choice(bursts, count) + rng.exponential(0.3 * HOUR_MS, count)
        accounts.begin_ms = accounts.created_ms + rng.exponential(8 * HOUR_MS, count)
        accounts.rate = rng.lognormal(np.log(rng.uniform(6, 30)), rng.uniform(0.3, 0.9), count)
        accounts.signup[:] = one_value(draft)
        accounts.client[:] = rare_client(draft)
        accounts.networks = pooled_networks(count, count, rng)
        accounts.source[:] = APPLICATION
        accounts.wrapper = rng.choice(application_numbers(rng, int(rng.integers(1, 4))), count)
        accounts.plan = np.maximum(accounts.plan, 1)
        if rng.random() < 0.5:
            accounts.payment[:] = one_value(draft)
        draft.add(accounts)


def _behind_one_customer(draft: Draft, accounts: Accounts) -> None:
    """The same card and back office; most requests come through the customer's own gateway."""
    count, rng = len(accounts), draft.rng
    accounts.payment = rng.choice([one_value(draft) for _ in range(int(rng.integers(1, 4)))], count)
    accounts.signup = rng.choice([one_value(draft) for _ in range(int(rng.integers(1, 4)))], count)
    accounts.plan[:] = rng.integers(1, 3)
    is_proxied = np.flatnonzero(rng.random(count) < FULL_TIME)
    accounts.client[is_proxied] = rare_client(draft)
    accounts.networks[is_proxied] = pooled_networks(len(is_proxied), count, rng)
