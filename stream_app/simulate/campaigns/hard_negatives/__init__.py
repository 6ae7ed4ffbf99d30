"""Honest groups that share what campaigns share. Each is a function that adds itself to a stream in the making."""

from stream_app.simulate.campaigns.drafts import Group
from stream_app.simulate.campaigns.hard_negatives.contents import (
    evaluation_harness,
    popular_agent,
    tutorial,
    viral_prompt,
)
from stream_app.simulate.campaigns.hard_negatives.contracted import contracted_distillation
from stream_app.simulate.campaigns.hard_negatives.crowds import flash_crowd, hackathon, university_class
from stream_app.simulate.campaigns.hard_negatives.customers import (
    agencies,
    integrator_fleet,
    new_reseller,
    old_reseller,
)
from stream_app.simulate.campaigns.hard_negatives.machines import ci_retries, enterprise_batch
from stream_app.simulate.campaigns.hard_negatives.networks import campus_nat, mobile_nat
from stream_app.simulate.campaigns.hard_negatives.provider import model_launch, outage

#: Name to group; ``docs/distillbench.md`` describes each.
HARD_NEGATIVES: dict[str, Group] = {
    group.__name__: group
    for group in (
        university_class,
        hackathon,
        old_reseller,
        new_reseller,
        integrator_fleet,
        agencies,
        flash_crowd,
        viral_prompt,
        tutorial,
        evaluation_harness,
        enterprise_batch,
        ci_retries,
        campus_nat,
        mobile_nat,
        outage,
        model_launch,
        contracted_distillation,
        popular_agent,
    )
}

__all__ = ["HARD_NEGATIVES"]
