"""How fast it is, and how fast the others are, in one run on one machine.

`python -m benchmarks` prints tables. :mod:`benchmarks.rows` lists the tunnels, :mod:`benchmarks.peers` brings
them up, :mod:`benchmarks.measure` says what is measured of each, :mod:`benchmarks.ike` compares the daemons.
"""
