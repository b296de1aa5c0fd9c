"""What runs in confined child processes: entry functions `run(task) -> Result`, named by `Job.entry`."""
