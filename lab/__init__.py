"""A small network laboratory: namespaces, cables, a NAT, programs in them, and their traffic.

The demo, the benchmarks and the tests against other implementations are built from these pieces; nothing
here is part of the installed package. Start reading at :mod:`lab.topology`, which draws the usual picture of
two sites; :mod:`lab.namespace` and :mod:`lab.process` are what it stands on.

Nothing outlives the program that asked for it: a namespace lives as long as a holder that reads our pipe,
and every child is told by the kernel when we are gone.
"""
