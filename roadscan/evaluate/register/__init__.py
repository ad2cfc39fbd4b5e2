"""How good a register is: found assets against known ones.

a release ──┐                                                   ┌─► intervals ─┐
            ├─► matching ─► scores: counts, distances, by class ┼─► missing    ├─► evaluation ─► tables
truth/ ─────┘                                                   └─► identity ──┘   changes
what stood, what was removed, what counts for recall

`evaluation.evaluate_register` scores against any truth, `changes.score_register` against a simulation's, changes too.
"""
