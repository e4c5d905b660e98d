"""Brokers store events and carry them between processes."""

from __future__ import annotations

from .base import Broker, History, Message, Position, Receiver

__all__ = ["Broker", "History", "Message", "Position", "Receiver"]
