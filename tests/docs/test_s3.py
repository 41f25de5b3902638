"""What docs/s3.md says holds, on a real server."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests.backends.conftest import s3, s3_keys  # noqa: F401 - fixtures
from tests.backends.s3_server import S3Server
from themis.backends import S3StorageBackend
from themis.backends.settings import settings_of
from themis.testing.storage.examples import generation

PAGE = (Path(__file__).parents[2] / "docs" / "s3.md").read_text()


def test_policy_and_rules_are_json():
    policy, rules = (json.loads(each) for each in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
    actions = {action for statement in policy["Statement"] for action in statement["Action"]}
    assert {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"} <= actions
    assert rules["Rules"][0]["Status"] == "Enabled"


def test_every_option_is_told_of():
    told = set(re.findall(r"`(\w+)`", PAGE))
    of_every_store = {"readonly", "protected", "colour"}
    assert settings_of("storage", "s3").keys() - of_every_store <= told


def test_records_are_read_by_its_line_of_shell(s3: S3Server, s3_keys: None, tmp_path: Path):  # noqa: F811
    (line,) = re.findall(r"grep -hv .*?\.jsonl", PAGE)
    bucket, client = s3.make_bucket(), s3.client()
    with S3StorageBackend(bucket, endpoint_url=s3.url) as store:
        store.save_run_metadata("RUN", {"status": "running"})
        for n in range(10):
            store.save_generation_record("RUN", generation(f"s-{n}"))
            store.flush()
        store.save_run_metadata("RUN", {"status": "completed"})
        store.save_generation_record("RUN", generation("after"))
    keys = [
        each["Key"]
        for each in client.list_objects_v2(Bucket=bucket, Prefix="themis-experiments/data/RUN/")["Contents"]
    ]
    assert len(keys) == 2
    for key in keys:
        (tmp_path / key.rpartition("/")[2]).write_bytes(
            client.get_object(Bucket=bucket, Key=key)["Body"].read()
        )
    said = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert [json.loads(each)["id"] for each in said.splitlines()] == [*(f"s-{n}" for n in range(10)), "after"]
