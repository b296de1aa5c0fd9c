"""Figures of the sockets of this process."""

from prometheus_client import Gauge

OPEN_SOCKETS = Gauge("dexorder_open_sockets", "Chat sockets that are open", multiprocess_mode="livesum")
