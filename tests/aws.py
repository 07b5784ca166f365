"""What boto3 reads of each service of AWS, read once for a process: 90 % of the time that a client takes."""

from __future__ import annotations

from functools import cache

import boto3
import botocore.session


def share_descriptions() -> None:
    """Let all clients of this process, and those of the processes that it forks, use the same descriptions."""
    botocore.session.create_loader = cache(botocore.session.create_loader)  # by its search path
    boto3.Session().client("s3", region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret")
