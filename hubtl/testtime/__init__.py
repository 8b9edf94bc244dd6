"""Test-time adaptation: methods that learn from a stream while they predict it."""

from hubtl.testtime.base import Stats, TestTime, TestTimeOptions, make
from hubtl.testtime.online import OnlineResult, online

__all__ = ["OnlineResult", "Stats", "TestTime", "TestTimeOptions", "make", "online"]
