"""The scan: from survey drives in object storage to committed observations."""
