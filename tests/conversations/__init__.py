"""Fourteen conversations: plain programs in the place of an agent, a real server process, the emulated providers."""
