"""Real hosts read the manifests: each installs, starts and lists the server. Needs npm; pytest does not collect it."""
