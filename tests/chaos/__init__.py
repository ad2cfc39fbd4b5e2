"""Nights that faults befall, by chance and with a seed, and what must be true after each.

    nights    what is done: nights of a survey, each the command that cron runs, in a process of its own
    proxy     a store that misbehaves: before the real S3 server, on the wire
    faults    what can happen: to the process, to its store, its clock, its disk, to the survey
    checker   what is looked at: every frame once, readers, reruns, orphans, the lease
    campaign  many of them: python -m chaos.campaign --seeds 200

Each run begins with a copy of the same warehouse, has one fault, and ends with calm reruns until the night is complete.
"""
