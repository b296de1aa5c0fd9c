"""What all providers' HTTP clients share."""

# Seconds. A model may think for a minute before its first byte; a host that takes 5 s to accept is not there.
CONNECT_S = 5.0
READ_S = 60.0
WRITE_S = 30.0

# Seconds to wait for a free connection of the pool. With the limit below nobody should.
POOL_S = 5.0

# Turns in flight per process number in the hundreds, each with one model call at a time.
MAX_CONNECTIONS = 1000

TIMEOUTS = {"connect": CONNECT_S, "read": READ_S, "write": WRITE_S, "pool": POOL_S}
