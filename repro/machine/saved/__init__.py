"""What a training leaves: checkpoints, weights, records."""
