"""A TCP load balancer, for clients that know one address only: each connection goes to a node that says on /readyz that it is
ready, to one after the other."""

import itertools
import socket
import threading


class Balancer:
    def __init__(self, nodes):
        self.nodes = nodes
        self.turn = itertools.count()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.carried = []  # node of each connection, in the order in which they came
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return  # closed by end()
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client):
        ready = [n for n in self.nodes if n.is_ready()]
        if not ready:
            client.close()
            return
        node = ready[next(self.turn) % len(ready)]
        self.carried.append(node)
        try:
            to = socket.create_connection((node.host, node.port))
        except OSError:
            client.close()
            return
        back = threading.Thread(target=self._copy, args=(to, client), daemon=True)
        back.start()
        self._copy(client, to)
        back.join()
        client.close()
        to.close()

    @staticmethod
    def _copy(source, to):
        try:
            while data := source.recv(65_536):
                to.sendall(data)
        except OSError:
            pass
        try:
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def end(self):
        self.socket.close()
