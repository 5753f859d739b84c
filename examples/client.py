"""A client of `psmnet serve`: what a plug-in for 3D Slicer or any other program needs of it.

psmnet serve                                             # prints http://127.0.0.1:8765/#token=...
python examples/client.py URL scan01.nii.gz scan01_labels.nii.gz scan02.nii.gz scan02_seg.nii.gz
"""

import sys
import time
from pathlib import Path

import httpx


class Client:
    def __init__(self, url: str) -> None:
        base, token = url.split("#token=")
        self.http = httpx.Client(base_url=f"{base}api", headers={"Authorization": f"Bearer {token}"}, timeout=600)

    def send(self, method: str, path: str, **what):
        answer = self.http.request(method, path, **what)
        if answer.is_error:
            raise SystemExit(answer.json()["detail"])
        return answer

    def upload(self, to: str, file: Path, **more) -> dict:
        return self.send("POST", to, params={"name": file.name, **more}, content=file.read_bytes()).json()

    def segment(self, supports: list[str], query: str, **more) -> dict:
        job = self.send("POST", "/jobs", json={"supports": supports, "query": query, **more}).json()
        while job["state"] in ("waiting", "running"):
            time.sleep(0.2)
            job = self.send("GET", f"/jobs/{job['id']}").json()
        if job["state"] != "done":
            raise SystemExit(job["error"] or job["state"])
        return job

    def download(self, job: dict, name: str = "mask.nii.gz") -> bytes:
        return self.send("GET", f"/jobs/{job['id']}/files/{name}").content


if __name__ == "__main__":
    if len(sys.argv) != 6:
        raise SystemExit(__doc__)
    client, (image, labels, query, out) = Client(sys.argv[1]), map(Path, sys.argv[2:])
    support = client.upload("/scans", image)
    known = client.upload(f"/scans/{support['id']}/labels", labels)
    job = client.segment([known["id"]], client.upload("/scans", query)["id"])
    out.write_bytes(client.download(job))
    print(*(f"{organ['name']}: {organ['volume_ml']:.0f} ml" for organ in job["result"]["organs"]), sep="\n")
