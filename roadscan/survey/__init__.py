"""A survey drive: its frames, its cameras, where they come from, and the simulator with known truth."""
