"""What the clients of all platforms share: they act for people of the world, and pass on what these do to our service."""

from __future__ import annotations

from collections.abc import Mapping

import requests

from bot.sandbox.directory import Group, Person
from bot.sandbox.world import Event, World


class Client:
    """A platform as people use it.

    service_url  where our service listens
    timeout_s    how long the platform waits for the answer to a callback
    """

    platform: str
    group_word = "group"
    """What the platform calls a group chat."""
    timeout_s = 10.0

    def __init__(self, world: World, service_url: str) -> None:
        self.world = world
        self.service_url = service_url.rstrip("/")
        self._http = requests.Session()
        self._http.trust_env = False

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def answers(self, conversation: str, after: int = 0) -> list[Event]:
        """What the bot said in that conversation since event number `after`."""
        return [event for event in self.world.said(conversation) if event.seq > after]

    def _person(self, person_id: str) -> Person:
        """Raises LookupError."""
        person = self.world.person(self.platform, person_id)
        if person is None:
            raise LookupError(f"nobody called {person_id!r} on {self.platform}")
        return person

    def _group(self, group_id: str) -> Group:
        """Raises LookupError."""
        group = self.world.group(self.platform, group_id)
        if group is None:
            raise LookupError(f"no {self.group_word} {group_id!r} on {self.platform}")
        return group

    def _place(self, person: Person, group: str) -> str:
        """Id of that group, or ("") of the person's one-to-one chat. Raises LookupError."""
        return self._group(group).id if group else person.chat

    def _post(
        self,
        path: str,
        raw: bytes,
        headers: Mapping[str, str],
        *,
        query: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> requests.Response:
        """What our service answers to a callback with exactly these bytes."""
        return self._http.post(
            self.service_url + path,
            params=dict(query or {}),
            data=raw,
            headers=dict(headers),
            timeout=self.timeout_s if timeout_s is None else timeout_s,
            allow_redirects=False,
        )
