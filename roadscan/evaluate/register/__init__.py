"""How good a register is: found assets against known ones.

a release ──┐                                                   ┌─► intervals ─┐
            ├─► matching ─► scores: counts, distances, by class ┼─► missing    ├─► evaluation.evaluate_register
truth/ ─────┘   (assignment)                                    └─► identity ──┘   changes.score_register; to read: tables
what stood, what was removed, what counts for recall
"""
