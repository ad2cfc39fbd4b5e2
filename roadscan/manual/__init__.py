"""What a user may set and what tables hold, in words: made from the configs and the schemas themselves."""
