"""Which reported campaign is which real one, judged by the accounts they have in common."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from stream_app.evaluation.records import Label, Report, Scenario

#: Tenant and account.
Account = tuple[str, str]

#: Holding less of a campaign than this does not find it.
FOUND_SHARE = 0.1

#: A stronger role belongs to the weaker sets as well.
ROLES = {"member": ("member",), "act": ("member", "act"), "block": ("member", "act", "block")}


class Truth:
    """Labels by campaign; ``begun``: accounts that have extracted, ``heirs``: those that replaced banned ones."""

    def __init__(self, labels: Iterable[Label], scenario: Scenario) -> None:
        self.campaigns: dict[str, set[Account]] = defaultdict(set)
        self.begun: dict[str, set[Account]] = defaultdict(set)
        self.heirs: set[Account] = set()
        self.played = {played.campaign: played for played in scenario.campaigns}
        self.allowed_tenants = set(scenario.allow_list)
        self.campaign_of: dict[Account, str] = {}
        self._first: dict[Account, datetime] = {}
        self._tenants: dict[str, set[Account]] = defaultdict(set)
        for label in labels:
            self._add(label)
        special = {tenant_id for tenant_id, _ in self.campaign_of} | {
            expected.tenant_id for expected in scenario.expect.values()
        }
        self.benign_tenants = self._tenants.keys() - special

    def accounts_of(self, tenant_id: str, account_id: str | None) -> set[Account]:
        """The one account, or all that are known of the tenant."""
        return {(tenant_id, account_id)} if account_id else self._tenants.get(tenant_id, {(tenant_id, "")})

    def begun_by(self, campaign: str, time: datetime) -> set[Account]:
        """Accounts that have extracted by that time."""
        return {account for account in self.begun[campaign] if self._first[account] <= time}

    def _add(self, label: Label) -> None:
        account = (label.tenant_id, label.account_id)
        self._tenants[label.tenant_id].add(account)
        if label.campaign is None:
            return
        self.campaign_of[account] = label.campaign
        self.campaigns[label.campaign].add(account)
        if label.first_campaign_time:
            self._first[account] = label.first_campaign_time
            self.begun[label.campaign].add(account)
        if label.bridges:
            self.heirs.add(account)


class Match:
    """A report beside the truth. ``shares`` is how much of each campaign's begun accounts it holds."""

    def __init__(self, report: Report, truth: Truth) -> None:
        self.report = report
        self.accounts: dict[str, set[Account]] = {role: set() for role in ROLES}
        self._joined: dict[Account, datetime] = {}
        for member in report.members:
            named = truth.accounts_of(member.tenant_id, member.account_id)
            self._joined |= dict.fromkeys(named, member.joined_at)
            for role in ROLES.get(member.role, ("member",)):
                self.accounts[role] |= named
        everybody = self.accounts["member"]
        owners = Counter(truth.campaign_of[account] for account in everybody if account in truth.campaign_of)
        self.main = max(sorted(owners), key=owners.__getitem__, default=None)
        self.shares = {name: len(everybody & truth.begun[name]) / max(1, len(truth.begun[name])) for name in owners}
        allowed = sum(tenant_id in truth.allowed_tenants for tenant_id, _ in everybody)
        self.is_allowed = bool(everybody) and 2 * allowed >= len(everybody)
        self.is_false = 2 * owners.total() <= len(everybody) and not self.is_allowed
        self.is_merged = sum(share >= FOUND_SHARE for share in self.shares.values()) > 1

    def joined_by(self, time: datetime | None, grace_s: int) -> set[Account]:
        """Members that had joined by then."""
        if time is None:
            return set()
        latest = time + timedelta(seconds=grace_s)
        return {account for account, joined_at in self._joined.items() if joined_at <= latest}
