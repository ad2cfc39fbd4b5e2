"""What a frame shows, as an annotator would label it: policy ─► outline ─► truth tables, or lines of YOLO's format."""
