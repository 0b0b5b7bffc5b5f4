"""The Python client (httpx), with coroutines and without."""

from service.client.answers import Comparison, Probabilities, SuspectRows
from service.client.certificate import ledger_digest
from service.client.client import AsyncClient, Client
from service.client.errors import (
    Busy,
    ClientError,
    Conflict,
    Erased,
    Forbidden,
    InvalidContent,
    LiveMoved,
    MethodRefused,
    MissingColumns,
    NoRoom,
    NotFound,
    NotLive,
    Refused,
    StillRunning,
    TooLarge,
    Unauthorized,
    UnknownLabels,
    UnknownValues,
    Unreachable,
    WrongFile,
)
from service.client.model import AsyncModel, RemoteModel
from service.client.result import NotLearned, Rejected, Result
from service.client.rows.table_rows import table_columns
from service.contract.predictions import NumberPredictions, Predictions

__all__ = [
    "AsyncClient",
    "AsyncModel",
    "Busy",
    "Client",
    "ClientError",
    "Comparison",
    "Conflict",
    "Erased",
    "Forbidden",
    "InvalidContent",
    "LiveMoved",
    "MethodRefused",
    "MissingColumns",
    "NoRoom",
    "NotFound",
    "NotLearned",
    "NotLive",
    "NumberPredictions",
    "Predictions",
    "Probabilities",
    "Refused",
    "Rejected",
    "RemoteModel",
    "Result",
    "StillRunning",
    "SuspectRows",
    "TooLarge",
    "Unauthorized",
    "UnknownLabels",
    "UnknownValues",
    "Unreachable",
    "WrongFile",
    "ledger_digest",
    "table_columns",
]
