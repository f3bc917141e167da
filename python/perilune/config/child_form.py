"""`connections.<conn>.children.<child>` to a `ChildForm`."""

from __future__ import annotations

from perilune.config.reader import Reader
from perilune.config.schema import child_form as keys
from perilune.databases.child_form import ChildForm
from perilune.databases.processing import DontFragment, Mode


def read_form(reader: Reader, mode: Mode) -> ChildForm:
    """Return what the packets of a child in a mode look like; mistakes are noted at the reader's problems."""
    return ChildForm(
        mode=mode,
        compression=reader.get(keys.IPCOMP),
        fragments=_fragments(reader, mode),
        tfc=reader.get(keys.TFC_PADDING),
        dummies=reader.get(keys.DUMMY_RATE),
        df=DontFragment.COPY if reader.get(keys.COPY_DF) else DontFragment.CLEAR,
        dscp=reader.get(keys.COPY_DSCP),
        flow_label=reader.get(keys.FLOW_LABEL),
        path_mtu=reader.get(keys.PATH_MTU),
        path_mtu_age=reader.get(keys.PATH_MTU_AGE),
    )


def _fragments(reader: Reader, mode: Mode) -> bool:
    if reader.get(keys.FRAGMENTS) and mode is not Mode.TUNNEL:
        reader.error("only mode tunnel takes fragments (RFC 4301, section 4.1)", keys.FRAGMENTS)
        return False
    return reader.get(keys.FRAGMENTS)
