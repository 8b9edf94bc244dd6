"""Messages of the log, as a user reads them."""

import logging

import pytest

from hubtl.settings import logger


@pytest.fixture
def said(caplog, monkeypatch):
    """Return the log so far as one text."""
    monkeypatch.setattr(logger, "propagate", True)
    caplog.set_level(logging.INFO, logger="hubtl")
    return lambda: caplog.text
