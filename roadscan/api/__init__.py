"""What `import roadscan` gives: a warehouse to read, a detector, and the stages as functions."""
