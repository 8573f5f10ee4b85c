"""Where and how Runs are trained: device, engines, checkpoints, weights, records, progress."""
