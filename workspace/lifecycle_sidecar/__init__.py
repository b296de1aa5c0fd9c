"""The process beside a workspace's server that stops it when nobody uses it any more."""
