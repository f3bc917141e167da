"""The words every room shares: addresses, SPIs, selectors, proposals, identities, time, errors.

Nothing here does I/O or keeps state. Start with `errors.py` and `proposal.py`.
"""
