"""Encrypted sessions, many at a time, each with one download: ADDRESSES PORT USER PASSWORD SESSIONS AT-A-TIME TLS COMMAND SERVER.

Prints a line for each: the client's address, the port that was negotiated (0: none, or the client's own), and "right", or
what went wrong.
"""

import ftplib
import io
import socket
import ssl
import sys
import threading

ADDRESSES, PORT, USER, PASSWORD, SESSIONS, AT_A_TIME, TLS, COMMAND, SERVER = sys.argv[1:]
SECONDS = 10


class Session(ftplib.FTP_TLS):
    """As ftplib's, but for the command that it negotiates by."""

    negotiated = 0

    def makepasv(self):
        if COMMAND == "EPSV":
            host, port = ftplib.parse229(self.sendcmd("EPSV"), self.sock.getpeername())
        else:
            host, port = self.host, ftplib.parse227(self.sendcmd("PASV"))[1]
        self.negotiated = port
        return host, port

    def makeport(self):
        listener = socket.create_server((self.sock.getsockname()[0], 0), family=self.af, backlog=1)
        host, port = listener.getsockname()[:2]
        if COMMAND == "EPRT":
            self.sendeprt(host, port)
        else:
            self.sendport(host, port)
        listener.settimeout(SECONDS)
        return listener


class Implicit(Session):
    """TLS from the first byte on (port 990 as a rule)."""

    def connect(self, host, port, source_address):
        self.host, self.port, self.source_address = host, port, source_address
        plain = socket.create_connection((host, port), SECONDS, source_address)
        self.af = plain.family
        self.sock = self.context.wrap_socket(plain)
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()


def context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[TLS.split()[0]]
    context.minimum_version = context.maximum_version = version
    return context


def serve(address):
    session = (Implicit if TLS.endswith("implicit") else Session)(context=context(), timeout=SECONDS)
    try:
        session.connect(SERVER, int(PORT), source_address=(address, 0))
        session.login(USER, PASSWORD)
        session.prot_p()
        session.set_pasv(COMMAND in ("PASV", "EPSV"))
        got = io.BytesIO()
        session.retrbinary("RETR tree/top", got.write)
        result = "right" if len(got.getvalue()) == 65536 else f"{len(got.getvalue())} bytes"
        session.quit()
    except Exception as error:
        result = repr(error)
    return f"{address} {session.negotiated} {result}"


def work():
    while True:
        with lock:
            if not left:
                return
            address = addresses[left.pop() % len(addresses)]
        line = serve(address)
        with lock:
            print(line)


lock = threading.Lock()
addresses = ADDRESSES.split(",")
left = list(range(int(SESSIONS)))
threads = [threading.Thread(target=work) for _ in range(int(AT_A_TIME))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
