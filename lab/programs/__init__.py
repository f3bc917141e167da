"""Programs that run inside namespaces. They need the standard library only."""
