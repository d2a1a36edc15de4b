"""What can go wrong in the engine, one sentence each."""


class EngineError(Exception):
    """Base of everything the engine raises on purpose, apart from `requests.RequestError`."""


class NotLoaded(EngineError):
    """A request reached an engine that has not loaded its family or lane."""


class OutOfMemory(EngineError):
    """The device has no memory left for this request."""


class WeightsError(EngineError):
    """A file of weights is missing, damaged or of the wrong shape; the message names it and the next step."""


class BadPicture(EngineError):
    """The network produced numbers that are no picture: NaN, infinity, or solid black."""
