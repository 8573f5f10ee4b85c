"""One step and its loop: feeds, state, evaluation, kinds of task."""
