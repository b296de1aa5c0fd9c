"""A node that runs pods as processes of this machine, and the way to them through their Services."""
