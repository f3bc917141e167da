"""Every key of a configuration: its kind, default and meaning, declared once.

The parser checks files against these tables, the builders read values through them, and the tables of
docs/user/configuration.md are made of them. `section.py` has the types, `root.py` the whole.
"""
