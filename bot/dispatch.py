"""Which handler gets an update: the routers of all features, in their order."""

from copy import deepcopy
from typing import Any

from aiogram import Dispatcher
from aiogram.fsm.storage.base import BaseStorage

from handlers import (
    asking,
    edits,
    errors,
    extend,
    fallback,
    favourites,
    history,
    imagine,
    inpaint,
    lineage,
    mix,
    outline,
    photo,
    privacy,
    remix,
    report,
    result,
    rewording,
    settings,
    start,
    suggest,
    upscale,
    waiting,
    ways,
    withheld,
)

# whoever comes first may take an update; `fallback` takes what is left
FIRST = (errors, asking)
FEATURES = (
    history,
    start,
    waiting,
    withheld,
    settings,
    privacy,
    report,
    result,
    rewording,
    favourites,
    remix,
    lineage,
    edits,
    inpaint,
    extend,
    outline,
    upscale,
    mix,
    ways,
    photo,
    suggest,
)
LAST = (imagine, fallback)


def make_dispatcher(dialogs: BaseStorage, **handed: Any) -> Dispatcher:
    """Build the dispatcher with every router; `handed` are the callables that handlers name as arguments.

    A dialog needs no lock of its own: the pump hands over one update of a chat at a time.
    """
    dispatcher = Dispatcher(storage=dialogs, **handed)
    for module in (*FIRST, *FEATURES, *LAST):
        dispatcher.include_router(deepcopy(module.router))  # a router has one dispatcher; a process may have more
    return dispatcher
