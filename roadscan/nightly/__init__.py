"""The nightly job: what drives are new, a lease, the scan, the register, one release and one summary a night."""
