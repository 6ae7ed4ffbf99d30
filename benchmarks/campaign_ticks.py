"""Time and memory of the campaign stage's ticks: ``python -m benchmarks.campaign_ticks [TENANTS]``.

A made-up world of ordinary people, honest crowds and one campaign of a tenth of the tenants, whose accounts carry half
of the links. Signals are made directly, so that nothing but the stage is measured; what came more than ten minutes
before the first tick is taken in before it, as it would have been. 100,000 tenants take some five minutes and 3 GB,
most of them for making the signals.
"""

import argparse
import time
from collections.abc import Iterable

from stream_app.detection.campaigns.roles import Role
from stream_app.detection.campaigns.stage import TICK_MS, CampaignStage
from stream_app.detection.signals import Signal
from tests.unit.campaign_worlds import BEGIN_MS, DAY_MS, Crowd

SEED, DAYS, TICKS = 1, 1.5, 4
TENANTS = 10_000


def world(tenants: int) -> tuple[Crowd, set[str]]:
    """People by kind, and who of them is the campaign."""
    crowd, part = Crowd(SEED), tenants // 100
    crowd.ordinary(tenants)
    for group in (crowd.reseller, crowd.fleet, crowd.flash_crowd, crowd.agencies):
        group(part)
    crowd.school_class(part // 2)
    crowd.coding_agent(2 * part)
    return crowd, crowd.campaign(tenants // 10)


def main(tenants: int) -> None:
    """Print CPU time of taking in signals and of the first ticks, the cold one first, and what was found."""
    crowd, members = world(tenants)
    stage = CampaignStage()
    first_ms = BEGIN_MS + int(DAYS * DAY_MS) - TICKS * TICK_MS
    print(f"{len(crowd.people):,} tenants")
    _take_in(stage, crowd.signals(DAYS), first_ms - TICK_MS)
    for number in range(TICKS):
        began_s = time.process_time()
        verdicts = stage.tick(first_ms + number * TICK_MS)
        print(f"tick {number}: {time.process_time() - began_s:.1f} s CPU, {len(verdicts):,} verdicts")
    for campaign in stage.campaigns:
        acted = sum(member.role is not Role.MEMBER for member in campaign.members.values())
        right = len(members & set(campaign.members))
        print(
            f"{campaign.status} {campaign.kind}: {len(campaign.members):,} members, {right:,} right, {acted:,} acted on"
        )


def _take_in(stage: CampaignStage, signals: Iterable[Signal], until_ms: int) -> None:
    """Signals up to a time go into the profiles, later ones wait for their tick."""
    early: list[Signal] = []
    for signal in signals:
        if signal.pane_end_ms <= until_ms:
            early.append(signal)
        else:
            stage.take(signal)
    began_s = time.process_time()
    for signal in early:
        stage.profiles.add(signal)
    print(f"{len(early):,} signals taken in: {1e6 * (time.process_time() - began_s) / len(early):.1f} µs of CPU each")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.campaign_ticks", description=__doc__)
    parser.add_argument("tenants", type=int, nargs="?", default=TENANTS, help="default: %(default)s")
    main(parser.parse_args().tenants)
