"""IKE daemons: set-ups, memory of an IKE SA, and a flood of first requests, ours beside strongSwan's."""
