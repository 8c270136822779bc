"""What a careful script does: fetch side by side, hash, fsync, rename, fsync the folder, a row in SQLite for each file.

Arguments: a file of URLs, how many at once, and for HTTPS the authority to trust. Writes into the current directory.
"""

import asyncio
import hashlib
import os
import sqlite3
import ssl
import sys

import aiohttp

CHUNK = 256 * 1024


async def worker(session, urls, rows, folder):
    for url in urls:
        name = url.rsplit("/", 1)[1]
        digest = hashlib.sha256()
        size = 0
        partial = name + ".part"
        async with session.get(url) as reply:
            if reply.status != 200:
                raise SystemExit(f"{url}: {reply.status}")
            with open(partial, "wb", buffering=0) as out:
                async for chunk in reply.content.iter_chunked(CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    out.write(chunk)
                await asyncio.to_thread(os.fsync, out.fileno())
        os.rename(partial, name)
        await asyncio.to_thread(os.fsync, folder)
        with rows:
            rows.execute("INSERT INTO files VALUES (?, ?, ?)", (name, size, digest.hexdigest()))


async def main():
    with open(sys.argv[1], encoding="ascii") as listed:
        urls = iter(listed.read().split())
    at_once = int(sys.argv[2])
    trust = ssl.create_default_context(cafile=sys.argv[3]) if len(sys.argv) > 3 else True
    rows = sqlite3.connect("catalog.sqlite")
    rows.execute("PRAGMA journal_mode = WAL")
    rows.execute("PRAGMA synchronous = FULL")
    rows.execute("CREATE TABLE files (name TEXT PRIMARY KEY, size INTEGER NOT NULL, sha256 TEXT NOT NULL)")
    folder = os.open(".", os.O_RDONLY)
    connector = aiohttp.TCPConnector(limit=at_once, ssl=trust)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        await asyncio.gather(*(worker(session, urls, rows, folder) for _ in range(at_once)))
    rows.close()


asyncio.run(main())
