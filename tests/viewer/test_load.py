"""Sixteen clients with twenty jobs each (slow): all are done, none is mixed up, and memory stays level."""

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import psutil
import pytest

from helpers.serving import finished, listening, upload, upload_labels
from psmnet.io import read_labels, read_volume, write_volume

CLIENTS, JOBS = 16, 20
LEAST_MIB = 60.0  # that memory may grow by whatever is asked: caches, threads


def resident_mib(process):
    return sum(p.memory_info().rss for p in (process, *process.children(recursive=True))) / 2**20


@pytest.mark.slow
def test_sixteen_clients_of_twenty_jobs(tmp_path, tiny_weights, phantoms):
    """Each client's scan is the same patient cut to another number of slices, so that masks tell whose they are."""
    process = psutil.Process()
    with listening(tmp_path / "data", str(tiny_weights)) as client:
        support = upload(client, phantoms / "image_1.nii.gz")
        labels = upload_labels(client, support["id"], phantoms / "label_1.nii.gz")
        memory, turn = [], threading.Lock()

        def visit(number):
            image = read_volume(phantoms / f"image_{2 + number % 5}.nii.gz")
            rows = 44 + number
            own = tmp_path / f"own_{number}.nii.gz"
            cut = type(image)(np.ascontiguousarray(image.array_zyx[:, :rows]), image.spacing_mm, image.origin_mm)
            write_volume(cut, own)
            with httpx.Client(base_url=client.base_url, headers=client.headers, timeout=600) as mine:
                query = upload(mine, own)
                body = {"supports": [labels["id"]], "query": query["id"], "organs": [1 + number % 5]}
                jobs = [mine.post("/jobs", json=body).json()["id"] for _ in range(JOBS)]
                for job in jobs:
                    done = finished(mine, job)
                    assert done["query"] == query["id"]
                    assert [organ["value"] for organ in done["result"]["organs"]] == body["organs"]
                    mask = tmp_path / f"mask_{job}.nii.gz"
                    mask.write_bytes(mine.get(f"/jobs/{job}/files/mask.nii.gz").content)
                    found = read_labels(mask).array_zyx
                    assert found.shape == (12, rows, 64)
                    assert set(np.unique(found)) <= {0, *body["organs"]}
                    with turn:
                        memory.append(resident_mib(process))
            return len(jobs)

        with ThreadPoolExecutor(CLIENTS) as pool:
            done = list(pool.map(visit, range(CLIENTS)))
        assert done == [JOBS] * CLIENTS
        assert client.get("/health").json()["waiting"] == 0
        early, late = np.median(memory[40:80]), np.median(memory[-40:])
        print(f"{sum(done)} jobs; memory {early:.0f} MiB early, {late:.0f} MiB late")
        assert late < early + LEAST_MIB
