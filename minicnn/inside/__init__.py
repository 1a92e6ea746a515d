"""A network looked into: layers by name, what goes into them and comes out, what they are made of."""
