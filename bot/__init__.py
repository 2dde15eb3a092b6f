"""Ears and mouth: chat platforms, delivery channels, HTTP routes, worker loops, settings, wiring.

Everything that talks to the world lives here, and nothing that decides: rules belong to `handlers`, queries to `storage`.
May import both.
"""

__version__ = "0.1.0"
