"""Who and where: the groups, robots, people, apps and open sessions of the pretend world. `World.clear` forgets none."""

from __future__ import annotations

import dataclasses
import ipaddress
import itertools
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Robot:
    """A group robot with a webhook, as its settings page would show it.

    keywords   one of them must be in every message, empty: not checked
    secret     every message must be signed with it, empty: not checked
    addresses  allowed senders as IPv4 addresses or networks, empty: everybody
    enabled    False: switched off by an admin
    """

    platform: str
    token: str = field(repr=False)
    group: str
    name: str = "robot"
    secret: str = field(default="", repr=False)
    keywords: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    enabled: bool = True

    def lets_in(self, client: str) -> bool:
        """Whether a message may come from that address."""
        return not self.addresses or any(
            ipaddress.ip_address(client) in ipaddress.ip_network(allowed, strict=False) for allowed in self.addresses
        )


@dataclass(frozen=True, slots=True)
class Group:
    """A group chat; `members` are person ids. `bot` False: the app's bot was not added to it."""

    platform: str
    id: str
    title: str
    members: frozenset[str] = frozenset()
    bot: bool = True


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody on a platform. `id` is what the platform calls the user inside `corp` (DingTalk: the staff id).

    chat       conversation id of this person's one-to-one chat with the bot
    reachable  False: the platform will not deliver to this person now (flow control)
    """

    platform: str
    id: str
    name: str
    corp: str
    chat: str
    reachable: bool = True


@dataclass(frozen=True, slots=True)
class App:
    """An app of the organisation: credentials of our bot on that platform."""

    platform: str
    client_id: str
    client_secret: str = field(repr=False)
    corp: str


@dataclass(frozen=True, slots=True)
class Session:
    """A sessionWebhook that is open until `until` (epoch seconds)."""

    conversation: str
    person: str
    until: float


class Directory:
    """Everybody and everything that has an id in the world, by platform. Every public method may be called from any
    thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self._ids = itertools.count(1)
        self._groups: dict[tuple[str, str], Group] = {}
        self._people: dict[tuple[str, str], Person] = {}
        self._robots: dict[tuple[str, str], Robot] = {}
        self._apps: dict[tuple[str, str], App] = {}
        self._sessions: dict[str, Session] = {}

    def now(self) -> float:
        """Epoch seconds."""
        return self.clock()

    def new_id(self, prefix: str) -> str:
        """An id that this world has not given out before."""
        return f"{prefix}{next(self._ids):06d}"

    # -- furnishing

    def add_group(
        self, platform: str, group_id: str, title: str, members: Iterable[str] = (), *, bot: bool = True
    ) -> Group:
        """A group chat; adding it again replaces title and members."""
        group = Group(platform, group_id, title, frozenset(members), bot)
        with self.lock:
            self._groups[platform, group_id] = group
        return group

    def add_robot(
        self,
        platform: str,
        group_id: str,
        token: str,
        *,
        name: str = "robot",
        secret: str = "",
        keywords: Iterable[str] = (),
        addresses: Iterable[str] = (),
    ) -> Robot:
        """A robot with a webhook in that group (ARMS: an integration, whose group is its own key)."""
        robot = Robot(platform, token, group_id, name, secret, tuple(keywords), tuple(addresses))
        with self.lock:
            self._robots[platform, token] = robot
        return robot

    def change_robot(self, platform: str, token: str, **changes: Any) -> Robot:
        """The robot with some settings changed (`secret`, `keywords`, `addresses`, `enabled`)."""
        with self.lock:
            robot = dataclasses.replace(self._robots[platform, token], **changes)
            self._robots[platform, token] = robot
        return robot

    def remove_robot(self, platform: str, token: str) -> None:
        """The robot was thrown out of its group; its webhook is dead."""
        with self.lock:
            self._robots.pop((platform, token), None)

    def add_person(
        self, platform: str, person_id: str, name: str, corp: str, *, chat: str = "", reachable: bool = True
    ) -> Person:
        """Somebody who can talk to the bot and be reached one-to-one."""
        person = Person(platform, person_id, name, corp, chat or f"{platform}-chat-{person_id}", reachable)
        with self.lock:
            self._people[platform, person_id] = person
        return person

    def remove_person(self, platform: str, person_id: str) -> None:
        """This person left the organisation."""
        with self.lock:
            self._people.pop((platform, person_id), None)

    def add_app(self, platform: str, client_id: str, client_secret: str, corp: str = "") -> App:
        """Credentials that the platform's app endpoints (SMS: the cloud's API) accept from now on."""
        app = App(platform, client_id, client_secret, corp)
        with self.lock:
            self._apps[platform, client_id] = app
        return app

    def open_session(self, conversation: str, person: str, ttl_s: float = 5400.0) -> tuple[str, float]:
        """A new sessionWebhook of a conversation: (its session word, epoch seconds until which it works)."""
        with self.lock:
            word = self.new_id("5e55")
            until = self.now() + ttl_s
            self._sessions[word] = Session(conversation, person, until)
        return word, until

    # -- questions

    def group(self, platform: str, group_id: str) -> Group | None:
        with self.lock:
            return self._groups.get((platform, group_id))

    def robot(self, platform: str, token: str) -> Robot | None:
        with self.lock:
            return self._robots.get((platform, token))

    def person(self, platform: str, person_id: str) -> Person | None:
        with self.lock:
            return self._people.get((platform, person_id))

    def app(self, platform: str, client_id: str) -> App | None:
        with self.lock:
            return self._apps.get((platform, client_id))

    def session(self, word: str) -> Session | None:
        """The session, also an expired one."""
        with self.lock:
            return self._sessions.get(word)

    @property
    def groups(self) -> tuple[Group, ...]:
        with self.lock:
            return tuple(self._groups.values())

    @property
    def robots(self) -> tuple[Robot, ...]:
        with self.lock:
            return tuple(self._robots.values())

    @property
    def people(self) -> tuple[Person, ...]:
        with self.lock:
            return tuple(self._people.values())

    @property
    def apps(self) -> tuple[App, ...]:
        with self.lock:
            return tuple(self._apps.values())
