"""Who made a request: which of a record's fields name the tenant and the account."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from stream_app.gateways.events import Unmapped, UnmappedReason
from stream_app.sketches import Key

#: Words in the names of fields that hold a secret: such a value leaves the edge as its keyed digest or not at all.
_SECRETS = ("authorization", "api-key", "apikey", "api_key", "cookie", "token", "secret")


class IdentityError(Exception):
    """The fields asked for cannot be used; the message is one line."""


class Identities(Struct, frozen=True):
    """Names of fields, of which the first that a record has is the tenant, and likewise the account.

    ``key`` digests fields that hold credentials. Without an account of its own a tenant is its own account.
    """

    tenant: tuple[str, ...]
    account: tuple[str, ...]
    key: Key | None = None

    def find(self, look_up: Callable[[str], object]) -> dict[str, object] | Unmapped:
        """The fields ``tenant_id`` and ``account_id``; ``look_up`` gives a record's field by its name."""
        tenant = self._first(self.tenant, look_up)
        if tenant is None:
            return Unmapped(UnmappedReason.NO_IDENTITY, f"no tenant: the record has none of {', '.join(self.tenant)}")
        return {"tenant_id": tenant, "account_id": self._first(self.account, look_up) or tenant}

    def _first(self, names: Sequence[str], look_up: Callable[[str], object]) -> str | None:
        for name in names:
            value = look_up(name)
            if isinstance(value, str | int) and not isinstance(value, bool) and value not in ("", "-"):
                text = str(value)
                return self.key.digest(b"identity", text) if self.key and is_secret(name) else text
        return None


def is_secret(name: str) -> bool:
    """Whether a field of this name holds a credential."""
    return any(word in name.lower() for word in _SECRETS)


def read_identities(tenant: str, account: str, key: Key | None) -> Identities:
    """Identities from two lists of names with commas; raises ``IdentityError``."""
    tenants, accounts = (tuple(filter(None, map(str.strip, names.split(",")))) for names in (tenant, account))
    if not tenants:
        raise IdentityError("no field is named that holds the tenant")
    for name in (*tenants, *accounts):
        if is_secret(name) and key is None:
            raise IdentityError(f"{name} holds a credential, which needs a sketch key to be digested with")
    return Identities(tenants, accounts, key)
