"""The demo: four namespaces, two gateways, one tunnel, and an eavesdropper who learns nothing.

`python -m demo` runs it; :mod:`demo.story` is what happens, :mod:`demo.show` how it looks.
"""
