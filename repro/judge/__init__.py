"""Evidence, targets, claims, verdicts. No torch."""
