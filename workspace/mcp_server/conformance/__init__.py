"""What the scenarios of the reference MCP conformance suite call by fixed names: loaded only with --conformance-fixtures.

It is mounted on the workspace's own server, so that what the suite judges is the real transport, the real authentication and
the real handling of requests. The names and answers are the suite's (npm `@modelcontextprotocol/conformance`), see
`docs/conformance.md`. No image of the server has this package.
"""
