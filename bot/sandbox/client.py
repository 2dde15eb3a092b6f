"""What the clients of all platforms share: they act for people of the world, and pass on what these do to our service."""

from __future__ import annotations

import requests

from bot.sandbox.world import Person, World


class Client:
    """A platform as people use it.

    service_url  where our service listens
    """

    platform: str

    def __init__(self, world: World, service_url: str, timeout_s: float) -> None:
        self.world = world
        self.service_url = service_url.rstrip("/")
        self.timeout_s = timeout_s
        self._http = requests.Session()
        self._http.trust_env = False

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def _person(self, person_id: str) -> Person:
        """Raises LookupError."""
        person = self.world.person(self.platform, person_id)
        if person is None:
            raise LookupError(f"nobody called {person_id!r} on {self.platform}")
        return person
