"""How fast it is, and how fast the others are, in one run on one machine.

`python -m benchmarks` prints two tables. :mod:`benchmarks.tunnels` has the tunnels, :mod:`benchmarks.measure`
what is measured of each, :mod:`benchmarks.ike_rate` the IKE set-ups.
"""
