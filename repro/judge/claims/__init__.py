"""Statements of the papers as predicates over records, with their thresholds. No torch.

They are told in our words; what no table or figure of a paper shows is as recalled from its text.
Bounds and KL terms are in nats per example, Ladder errors in percent of the test set. A predicate
is a set of contrasts, each with the error that training again and other images would make of it. A
claim holds where every contrast is beyond its threshold at 5%, one-sided, and no seed was lost (a
count of parameters aside); it fails where one is short of it at 5% over their number; it is `one
seed` where the error of one is not known, else undecided. The papers give no thresholds:
docs/verdicts.md says when these were fixed.
"""

from repro.judge.claims import bounds, depth, ladder, layers, other_sets, printed, units
from repro.judge.claims.claim import Claim

MODULES = (depth, bounds, printed, layers, units, other_sets, ladder)
CLAIMS: dict[str, Claim] = {c.id: c for module in MODULES for c in module.CLAIMS}
