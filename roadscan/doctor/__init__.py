"""What could not work here, and what to do: this machine, the Ray cluster, the store, the model.

Nothing is started. The one thing written is ``doctor/probe`` below each root that a job would write to; as a `Store`
cannot delete, it is one key that every later look overwrites. It ends as a few bytes, for a while it has 8 MB.
"""

from roadscan.doctor.examination import examine
from roadscan.doctor.finding import Finding
from roadscan.doctor.subject import Subject, read_subject

__all__ = ["Finding", "Subject", "examine", "read_subject"]
