"""The audit log (RFC 4301, section 9): what is written down, and how a reader sees that nothing is missing.

`trail` turns events into records, `chain` ties the lines of the log together and checks them, `limit` counts
what a flood would have written. The file itself is in `shell.audit`.
"""
