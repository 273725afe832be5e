"""What the integration tests share: a raw WebSocket, a protocol client, the server as a process, checkers."""
