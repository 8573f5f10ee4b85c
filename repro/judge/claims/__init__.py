"""Statements of the paper as predicates over records, with their thresholds. No torch.

Bounds and KL terms are in nats per example; several seeds of a Run count by their mean.
The paper gives no thresholds: these were fixed before any Run at the published protocol.
"""

from repro.judge.claims import bounds, layers, other_sets
from repro.judge.claims.claim import Claim

CLAIMS: dict[str, Claim] = {c.id: c for c in (*bounds.CLAIMS, *layers.CLAIMS, *other_sets.CLAIMS)}
