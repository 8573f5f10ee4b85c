"""`repro report`: one self-contained HTML page of what a store holds. No torch, no computing."""
