"""Links: which tenants carry the same value, per kind of value, among the tenants active this week."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from stream_app.detection.campaigns.profiles import Flags, Floats, Profiles

HOUR_MS = 3_600_000


class Kind(NamedTuple):
    """One kind of link.

    ``group`` holds kinds that are one thing (a client brings its JA4, its system prompt and its output limit): they
    count once. ``is_hard`` marks what strangers do not share unless one hand gave it to them. A tenant's evidence from
    this kind stays within ``cap`` nats, so that one collision or one copied value never decides alone. ``is_seed``
    marks kinds whose values are rare enough to begin a pool with, ``has_many`` those of which a tenant carries many
    values, few of them the pool's, and ``is_origin`` those that one hand chose when it made the account.
    """

    name: str
    group: str
    cap: float
    is_hard: bool = False
    is_seed: bool = True
    has_many: bool = False
    is_origin: bool = False


KINDS = (
    Kind("payment", "payer", 9.0, is_hard=True, is_origin=True),
    Kind("payment_bin", "payer", 1.5, is_seed=False),
    Kind("signup", "device", 6.0, is_hard=True, is_origin=True),
    Kind("prefix", "network", 9.0, is_hard=True),
    Kind("ja4", "client", 6.0),
    Kind("http", "client", 4.0),
    Kind("system", "client", 4.0),
    Kind("program", "client", 3.0, is_seed=False),
    Kind("genesis", "genesis", 5.0),
    Kind("content", "content", 7.0, has_many=True),
)
NAMES = tuple(kind.name for kind in KINDS)
GROUPS = tuple(dict.fromkeys(kind.group for kind in KINDS))
#: What strangers do not share.
HARD_GROUPS = frozenset(kind.group for kind in KINDS if kind.is_hard)
#: What strangers share by the thousand.
SOFT_GROUPS = frozenset({"client", "genesis"})
#: What is asked, not who asks.
CONTENT_KINDS = frozenset({"system", "program", "content"})
#: All kinds of one group together stay within this.
GROUP_CAP = 9.0
#: A group may speak against a membership by no more than this: who lacks a link may still be a replacement.
FLOOR = -2.5


class Incidence(NamedTuple):
    """Who carries which value of one kind.

    Entry k says that tenant ``rows[k]`` carries value ``cols[k]``, in order of values: those of value c begin at
    ``col_starts[c]``. ``by_row`` lists the entries by tenant, those of tenant r from ``row_starts[r]``, ``shared[r]``
    of them; ``matrix`` holds the same as ones by tenant and column. Values that only one tenant carries have no entry;
    ``carried`` counts all by tenant, ``carried_in_all`` is its sum. ``degree`` and ``values`` (hashes) are by column;
    ``has`` marks tenants that carry anything of this kind: for the others, ``lacking``, it is no evidence.
    """

    rows: NDArray[np.int32]
    cols: NDArray[np.int32]
    degree: Floats
    values: NDArray[np.int64]
    col_starts: NDArray[np.intp]
    by_row: NDArray[np.intp]
    row_starts: NDArray[np.intp]
    matrix: sparse.csr_matrix
    carried: Floats
    shared: NDArray[np.intp]
    carried_in_all: int
    has: Flags
    lacking: NDArray[np.intp]

    def holders(self, col: int) -> NDArray[np.int32]:
        """Tenants that carry a value."""
        return self.rows[self.col_starts[col] : self.col_starts[col + 1]]

    def entries_of_tenants(self, tenants: NDArray[np.intp]) -> NDArray[np.intp]:
        """Entries of these tenants."""
        found: NDArray[np.intp] = self.by_row[_ranges(self.row_starts, tenants)]
        return found

    def entries_of_values(self, cols: NDArray[np.intp]) -> NDArray[np.intp]:
        """Entries of these columns."""
        return _ranges(self.col_starts, cols)


def _ranges(starts: NDArray[np.intp], chosen: NDArray[np.intp]) -> NDArray[np.intp]:
    """All places from ``starts[c]`` to before ``starts[c + 1]``, for every c chosen."""
    first, counts = starts[chosen], starts[chosen + 1] - starts[chosen]
    ends = counts.cumsum()
    found: NDArray[np.intp] = (first - ends + counts).repeat(counts) + np.arange(ends[-1] if len(ends) else 0)
    return found


def incidence(table: NDArray[np.int64]) -> Incidence:
    """Index a table of hashes, one row a tenant; 0 is nothing."""
    count = len(table)
    where = np.flatnonzero(table)
    width = table.shape[1] if table.ndim > 1 else 1
    pairs = np.stack([where // width, table.ravel()[where]])
    order = np.lexsort(pairs)
    tenant, value = pairs[:, order]
    if len(value):
        fresh = np.ones(len(value), np.bool_)
        fresh[1:] = (value[1:] != value[:-1]) | (tenant[1:] != tenant[:-1])
        tenant, value = tenant[fresh], value[fresh]
    has = np.zeros(count, np.bool_)
    has[tenant] = True
    values, cols, degree = np.unique(value, return_inverse=True, return_counts=True)
    shared = degree > 1
    renumbered = np.cumsum(shared) - 1
    entries = shared[cols]
    rows, carried = tenant[entries].astype(np.int32), np.bincount(tenant, minlength=count)
    shared_cols = renumbered[cols[entries]].astype(np.int32)
    shared_by_row = np.bincount(rows, minlength=count)
    by_row, row_starts = np.argsort(rows, kind="stable"), _starts(shared_by_row)
    shape = (count, int(np.count_nonzero(shared)))
    return Incidence(
        rows=rows,
        cols=shared_cols,
        degree=degree[shared].astype(np.float64),
        values=values[shared],
        col_starts=_starts(degree[shared]),
        by_row=by_row,
        row_starts=row_starts,
        matrix=sparse.csr_matrix((np.ones(len(rows)), shared_cols[by_row], row_starts), shape=shape),  # type: ignore[no-untyped-call]
        carried=carried.astype(np.float64),
        shared=shared_by_row,
        carried_in_all=len(tenant),
        has=has,
        lacking=np.flatnonzero(~has),
    )


def _starts(counts: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.concatenate([[0], np.cumsum(counts)])


class Population(NamedTuple):
    """The tenants active this week, and their links by kind; ``rows`` are their rows in the profiles."""

    rows: NDArray[np.intp]
    links: dict[str, Incidence]
    created_ms: NDArray[np.int64]
    requests: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


def population(profiles: Profiles, active: Flags) -> Population:
    """Index the links of the active tenants; half a second for 100,000."""
    rows = np.flatnonzero(active)
    links = {name: incidence(column[rows].astype(np.int64)) for name, column in profiles.links.items()}
    created_ms = profiles.created_ms[rows]
    links["genesis"] = incidence((created_ms // HOUR_MS).reshape(-1, 1))
    links["content"] = incidence(profiles.templates[rows].reshape(len(rows), -1).astype(np.int64))
    return Population(rows, links, created_ms, profiles.requests[rows])
