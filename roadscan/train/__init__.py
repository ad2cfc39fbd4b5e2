"""Training: the loop of one worker, and the Ray Train shell that starts many."""
