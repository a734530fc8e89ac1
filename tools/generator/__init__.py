"""What tools/sv2gen.py is made of: the schema, and one module per kind of output."""
