"""`secrets.ike<suffix>` to a `SharedSecret`, and which connections have one."""

from __future__ import annotations

from perilune.config.reader import Reader
from perilune.config.schema.secret import OWNER, SECRET_KEY
from perilune.databases.pad import PadEntry, SharedSecret
from perilune.databases.proof import SharedKey
from perilune.databases.spd import Action
from perilune.model.identity_pattern import matches


def read_secret(reader: Reader) -> SharedSecret | None:
    """Return a pre-shared key, or None after noting that there is none."""
    if not reader.has(SECRET_KEY):
        reader.error("there is no secret in it")
    secret = reader.find(SECRET_KEY)
    owners = reader.find_all(OWNER)
    if secret is None:
        return None
    named = tuple(owner for owner in owners if owner is not None)
    # None is `%any`: a secret that is also everyone's is everyone's.
    return SharedSecret(secret, named if len(named) == len(owners) else (), name=reader.name)


def check_secrets(reader: Reader, connection: PadEntry, secrets: tuple[SharedSecret, ...]) -> None:
    """Warn of a connection for which there is no secret."""
    if SharedKey() not in (connection.local_proof, connection.remote_proof):
        return
    if connection.children and all(child.action is not Action.PROTECT for child in connection.children):
        return
    remote = connection.definite_remote_id
    if not secrets:
        reader.warn("there is no secret, and so no peer can be authenticated")
    elif remote and not any(
        not one.owners or any(matches(owner, remote) for owner in one.owners) for one in secrets
    ):
        reader.warn(f"no section secrets.ike<suffix> has a secret for '{remote}'")
