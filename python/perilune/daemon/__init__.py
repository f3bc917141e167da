"""The daemon: what it is made of and how it starts, reloads and stops.

`main.py` puts the rooms together; start reading there. `node.py` is what a management protocol sees.
"""
