"""Reviewers' decisions to changes of the register: taken in once, applied by every run after, undone by `revoke` alone.

A file of reviews has the columns `asset_id` and `action`, and as the action needs `target_id` (merge) or `lon` and
`lat` (split); also `reviewed_at`, `reviewer` and `note`, where known.

    accept   the asset is there: it is confirmed, until a later drive looks and misses it
    reject   it is no asset: its state is rejected
    merge    it is the same as the target: its id becomes an alias
    split    a second asset of its class stands at lon, lat; of points alone
    damaged, repaired    a change of it at `reviewed_at`; a detector cannot tell, who looks at its evidence can
    revoke   what was decided of it before holds no longer; with `target_id` only the merge or split with that target

file ────┬→ ingest: which rows are new, and why one cannot be applied → apply: the register as the reviewers have it
viewers → waiting
"""

from roadscan.inventory.reviews.apply import apply_reviews, named_in, rows_of, with_removed
from roadscan.inventory.reviews.ingest import ingest, read_reviews, sort_out
from roadscan.inventory.reviews.standing import REVOKE, in_their_order, standing
from roadscan.inventory.reviews.waiting import Decision, as_reviews, decide, settle, undo, waiting

__all__ = [
    "REVOKE",
    "Decision",
    "apply_reviews",
    "as_reviews",
    "decide",
    "in_their_order",
    "ingest",
    "named_in",
    "read_reviews",
    "rows_of",
    "settle",
    "sort_out",
    "standing",
    "undo",
    "waiting",
    "with_removed",
]
