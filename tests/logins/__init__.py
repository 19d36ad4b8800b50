"""Logins with real parts: a certified identity provider on loopback, the SDK's own clients, our server as a process."""
