"""Logins: who calls over HTTP, and what that caller may do."""
