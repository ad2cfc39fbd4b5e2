"""What people look at: a strip map of the register, annotated frames, and a page that holds them."""
