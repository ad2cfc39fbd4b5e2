"""A warehouse to read and a detector, as `import roadscan` gives them beside the stages."""
