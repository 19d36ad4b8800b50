"""Real clients and agent frameworks, each in an environment of its own, against our server.

A scripted model on loopback asks for the calls; what it is sent is what a real model would be shown.
"""
