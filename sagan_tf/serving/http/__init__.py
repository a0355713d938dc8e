"""uvicorn's HTTP server, guarded, so that no caller can hold it for nothing.

`guarded_server` runs an application: the server's or the gateway's. `connections` gives each state
of a connection a deadline, `connection_table` caps their number, and `joined_writes` sends an
answer's head and body in one packet.
"""
