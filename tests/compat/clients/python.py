"""What Python's ftplib does, by the names of the actions. The rest is as for shell lines: see src/compat.rs."""

import ftplib
import os
import socket
import ssl
import sys
import time

ROOM = os.environ["IN"]


def connect():
    if os.environ.get("TLS"):
        context = ssl._create_unverified_context()
        ftp = ftplib.FTP_TLS(timeout=6, context=context)
    else:
        ftp = ftplib.FTP(timeout=6)
    ftp.connect(os.environ["SERVER"])
    ftp.login(os.environ["USER"], os.environ["PASSWORD"])
    if os.environ.get("TLS"):
        ftp.prot_p()
    ftp.set_pasv(sys.argv[1] == "passive")
    return ftp


def fetch(ftp, name, into, **options):
    with open(into, "ab" if options else "wb") as file:
        ftp.retrbinary(f"RETR {name}", file.write, **options)


def list(ftp):
    with open("listing", "w") as file:
        ftp.retrlines("LIST many", lambda line: print(line, file=file))


def download(ftp):
    fetch(ftp, "file", "got")


def upload(ftp):
    with open("up", "rb") as file:
        ftp.storbinary(f"STOR {ROOM}/up", file)


def resume(ftp):
    os.rename("part", "got")
    fetch(ftp, "file", "got", rest=os.path.getsize("got"))


def append(ftp):
    with open("up", "rb") as file:
        ftp.storbinary(f"APPE {ROOM}/base", file)


def rename(ftp):
    ftp.voidcmd("TYPE I")
    data = ftp.transfercmd(f"RETR {ROOM}/big")
    with open("got", "wb") as got, data:
        got.write(data.recv(100000))
        connect().rename(f"{ROOM}/big", f"{ROOM}/moved")
        while piece := data.recv(1 << 20):
            got.write(piece)
    ftp.voidresp()


def abort(ftp):
    ftp.voidcmd("TYPE I")
    with open("head", "wb") as head, ftp.transfercmd("RETR big") as data:
        head.write(data.recv(100000))
    ftp.abort()
    # Servers differ in how many replies there are, one or two.
    ftp.sock.settimeout(1)
    try:
        ftp.getmultiline()
    except TimeoutError:
        pass
    # A timeout has ended the file that replies are read from.
    ftp.file = ftp.sock.makefile("r", encoding=ftp.encoding)
    ftp.sock.settimeout(10)
    download(ftp)


def own_port(ftp):
    def makeport():
        listener = socket.create_server(("", 30000), family=ftp.af)
        listener.settimeout(10)
        send = ftp.sendport if ftp.af == socket.AF_INET else ftp.sendeprt
        send(ftp.sock.getsockname()[0], 30000)
        return listener

    ftp.makeport = makeport
    ftp.source_address = ("", 30001)
    download(ftp)


def fifty(ftp):
    os.mkdir("fetched")
    for name in ftp.nlst("many"):
        name = os.path.basename(name)
        # pure-ftpd lists the directory itself, too.
        if name.startswith("."):
            continue
        fetch(ftp, f"many/{name}", f"fetched/{name}")


def together(ftp):
    for number in range(1, 11):
        fetch(ftp, "file", f"got{number}")


def slow(ftp):
    ftp.voidcmd("TYPE I")
    data = ftp.transfercmd("RETR big")
    with open("got", "wb") as got, data:
        for _ in range(int(os.environ["DURATION"])):
            got.write(data.recv(40000))
            time.sleep(1)
        while piece := data.recv(1 << 20):
            got.write(piece)
    ftp.voidresp()
    fetch(ftp, "file", "second")


def late(ftp):
    makepasv = ftp.makepasv

    def wait():
        address = makepasv()
        time.sleep(int(os.environ["DURATION"]))
        return address

    ftp.makepasv = wait
    download(ftp)


with connect() as session:
    globals()[sys.argv[2]](session)
