"""aiogram's memory of dialogs, in SQL: it survives restarts, ends by itself, and asks SQL nothing where no dialog is open."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from aiogram.fsm.state import State
from aiogram.fsm.storage.base import BaseStorage, DefaultKeyBuilder, StateType, StorageKey
from sqlalchemy.ext.asyncio import AsyncSession

from storage.database import Database
from storage.repositories.dialogs import DialogRepository

_KEEP_S = 600.0
_KEYS = DefaultKeyBuilder(prefix="dialog", with_bot_id=True, with_business_connection_id=True, with_destiny=True)


def name_of(key: StorageKey) -> str:
    """What a dialog is called in SQL."""
    return _KEYS.build(key)


class Dialogs(BaseStorage):
    """Knows which dialogs are open, for one process alone handles updates (the intake lease).

    Call `look_again` when this process begins to: another one may have opened or ended some before.
    """

    def __init__(self, database: Database, bot_id: int, keep_s: float = _KEEP_S) -> None:
        self._db, self._bot_id, self._keep_s = database, bot_id, keep_s
        self._open: set[str] | None = None
        self._looking = asyncio.Lock()

    def look_again(self) -> None:
        """Forget which dialogs are open; SQL is asked at the next update."""
        self._open = None

    async def get_state(self, key: StorageKey) -> str | None:
        return (await self._read(name_of(key)))[0]

    async def get_data(self, key: StorageKey) -> dict[str, Any]:
        data: dict[str, Any] = json.loads((await self._read(name_of(key)))[1])
        return data

    async def set_state(self, key: StorageKey, state: StateType = None) -> None:
        name = name_of(key)
        _, data = await self._read(name)
        await self._write(name, state.state if isinstance(state, State) else state, data)

    async def set_data(self, key: StorageKey, data: Mapping[str, Any]) -> None:
        name = name_of(key)
        state, _ = await self._read(name)
        await self._write(name, state, _written(data))

    async def open(self, session: AsyncSession, key: StorageKey, state: State, about: Mapping[str, Any] | None = None) -> None:
        """Open a dialog as part of the caller's transaction. If that is taken back, SQL is asked once in vain."""
        name = name_of(key)
        (await self._open_keys()).add(name)
        await DialogRepository(session).put(name, state.state, _written(about or {}), self._keep_s)

    async def just_asked(
        self, session: AsyncSession, key: StorageKey, state: State, about: Mapping[str, Any] | None, seconds: float
    ) -> bool:
        """Whether this very question was asked so short a time ago, and is open."""
        asked = name_of(key), state.state, _written(about or {})
        return await DialogRepository(session).opened_within(*asked, self._keep_s, seconds)

    async def end(self, session: AsyncSession, key: StorageKey, state: State, about: Mapping[str, Any]) -> None:
        """End this very question, if it is open, as part of the caller's transaction; SQL is asked once in vain."""
        name = name_of(key)
        if await DialogRepository(session).get(name) == (state.state, _written(about)):
            await DialogRepository(session).drop(name)

    async def close(self) -> None:
        """Nothing to close: the database is its owner's."""

    async def forget_expired(self) -> None:
        """Drop dialogs whose time is over."""
        async with self._db.begin() as session:
            await DialogRepository(session).forget_expired()

    async def _read(self, name: str) -> tuple[str | None, str]:
        if name not in await self._open_keys():
            return None, "{}"
        async with self._db.read() as session:
            found = await DialogRepository(session).get(name)
        if found is None and self._open is not None:
            self._open.discard(name)
        return found or (None, "{}")

    async def _open_keys(self) -> set[str]:
        """Which dialogs are open; read once, so that no older reading takes the place of what was written since."""
        async with self._looking:
            if self._open is None:
                async with self._db.read() as session:
                    self._open = await DialogRepository(session).open_keys(f"dialog:{self._bot_id}:")
            return self._open

    async def _write(self, name: str, state: str | None, data: str) -> None:
        """Keep a dialog for some time more; one with neither state nor data is over."""
        known = await self._open_keys()
        over = state is None and data == "{}"
        if over and name not in known:
            return
        async with self._db.begin() as session:
            dialogs = DialogRepository(session)
            if over:
                await dialogs.drop(name)
            else:
                await dialogs.put(name, state, data, self._keep_s)
        (known.discard if over else known.add)(name)


def _written(data: Mapping[str, Any]) -> str:
    return json.dumps(dict(data), ensure_ascii=False, sort_keys=True)
