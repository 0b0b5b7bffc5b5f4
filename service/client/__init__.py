"""The Python client (httpx, synchronous)."""

from service.client.certificate import ledger_digest
from service.client.client import Client
from service.client.errors import (
    Busy,
    ClientError,
    Conflict,
    Erased,
    Forbidden,
    InvalidContent,
    LiveMoved,
    MethodRefused,
    NotFound,
    NotLive,
    Refused,
    StillRunning,
    Unauthorized,
    UnknownLabels,
    UnknownValues,
    Unreachable,
)
from service.client.model import RemoteModel
from service.client.table_rows import table_columns
from service.contract.resources import NumberPredictions, Predictions

__all__ = [
    "Busy",
    "Client",
    "ClientError",
    "Conflict",
    "Erased",
    "Forbidden",
    "InvalidContent",
    "LiveMoved",
    "MethodRefused",
    "NotFound",
    "NotLive",
    "NumberPredictions",
    "Predictions",
    "Refused",
    "RemoteModel",
    "StillRunning",
    "Unauthorized",
    "UnknownLabels",
    "UnknownValues",
    "Unreachable",
    "ledger_digest",
    "table_columns",
]
