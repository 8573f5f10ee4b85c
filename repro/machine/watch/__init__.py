"""What is seen of a training: progress, status files, TensorBoard events."""
