"""The demonstration: survey drives with known truth, in a real S3 store, through the whole system."""
