"""The API as its clients have it: eight routes that never change, and everything else beside them."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import mreg
from tests.server.conftest import Serve, Served

POLICY = {"Production": {"from": "Staging", "gates": ["accuracy >= 0.9"], "approvals": 1}}


def test_the_eight_routes_keep_their_paths_keys_and_statuses(server: Served) -> None:
    made = server.post("/models", {"name": "fraud", "description": "scores", "tags": {"team": "risk"}})
    assert made.status_code == 200
    assert (made.json()["name"], made.json()["tags"]) == ("fraud", {"team": "risk"})
    assert server.post("/models", {"name": "fraud"}).status_code == 400
    listed = server.get("/models")
    assert listed.status_code == 200
    for key in ("model_id", "name", "description", "tags", "version_count", "latest_version", "production_version"):
        assert key in listed.json()[0]
    for accuracy in (0.91, 0.95):
        sent = server.upload(
            b"%f" % accuracy, "fraud", accuracy=str(accuracy), f1_score="0.93", run_id="r", description="d"
        )
        assert sent.status_code == 200, sent.text
    assert {"version_id", "version", "stage", "status"} <= set(sent.json())
    assert (sent.json()["version"], sent.json()["stage"], sent.json()["status"]) == (2, "None", "ready")
    shown = server.get("/models/fraud").json()
    assert [(one["version"], one["stage"], one["status"]) for one in shown["versions"]] == [
        (2, "None", "ready"),
        (1, "None", "ready"),
    ]
    assert shown["versions"][0]["metrics"] == {"accuracy": 0.95, "f1_score": 0.93}
    whole = server.get("/models/fraud/versions/2").json()
    assert (whole["run_id"], whole["description"], whole["created_by"]) == ("r", "d", "tester")
    assert server.get("/models/fraud/production").status_code == 404
    for stage in ("Staging", "production"):
        moved = server.post("/models/fraud/versions/1/transition", {"stage": stage, "archive_existing": True})
        assert (moved.status_code, moved.json()["version"], moved.json()["stage"]) == (200, 1, stage.capitalize())
    assert moved.json()["status"] == "ready"
    assert server.post("/models/fraud/versions/1/transition", {"stage": "Nowhere"}).status_code == 400
    production = server.get("/models/fraud/production").json()
    assert (production["version"], production["metrics"]["accuracy"]) == (1, 0.91)
    assert production["artifact_path"].endswith(hashlib.sha256(b"%f" % 0.91).hexdigest()[2:])
    compared = server.get("/models/fraud/compare?version_a=1&version_b=2").json()
    assert compared["metric_diff"] == {"accuracy": 0.04, "f1_score": 0}
    for side in ("version_a", "version_b"):
        assert {"version", "metrics", "parameters"} <= set(compared[side])
    for path in ("/models/none", "/models/fraud/versions/9", "/models/none/production", "/models/none/versions/1"):
        assert server.get(path).status_code == 404
    assert server.get("/models/fraud/compare?version_a=1&version_b=9").status_code == 404
    assert server.upload(b"x", "none").status_code == 404
    assert server.post("/models/fraud/versions/9/transition", {"stage": "Staging"}).status_code == 404


def test_a_version_is_found_by_every_selector(server: Served) -> None:
    for number in range(1, 4):
        server.upload(str(number).encode(), accuracy=f"0.9{number}")
    for version in (1, 2):
        server.post(f"/models/classifier/versions/{version}/transition", {"stage": "Production"})
    assert server.ask("PUT", "/models/classifier/aliases/champion", json={"version": "latest"}).json()["version"] == 3
    digest = hashlib.sha256(b"2").hexdigest()[:12]
    for selector, version in (
        ("1", 1), ("v2", 2), ("latest", 3), ("best", 3), ("production", 2), ("PRODUCTION", 2), ("production~1", 1),
        ("champion", 3), (f"sha256:{digest}", 2), (f"sha256%3A{digest}", 2), ("production%7E1", 1),
    ):  # fmt: skip
        found = server.get(f"/models/classifier/versions/{selector}")
        assert (found.status_code, found.json().get("version")) == (200, version), selector


def test_a_slash_in_a_name_is_part_of_it_and_never_of_the_path(server: Served) -> None:
    for name in ("team/classifier", "classifier/versions/1", "classifier/3"):
        assert server.post("/models", {"name": name}).status_code == 200
    assert server.upload(b"x", "team%2Fclassifier").json()["reference"] == "team/classifier@1"
    assert server.get("/models/team%2Fclassifier/versions/1").json()["model_name"] == "team/classifier"
    assert server.get("/models/team/classifier").status_code == 404
    assert server.get("/models/team%252Fclassifier").status_code == 400
    assert server.get("/models/classifier%2Fversions%2F1").json()["name"] == "classifier/versions/1"
    for number in range(3):
        server.upload(b"%d" % number)
    # A short form that a person may type: over HTTP it would let one name mean another model's version.
    server.ask("DELETE", "/models/classifier%2F3")
    assert server.get("/models/classifier%2F3").status_code == 404
    assert server.ask("DELETE", "/models/classifier%2F3").status_code == 404
    assert server.get("/models/classifier").json()["version_count"] == 3


def test_an_upload_keeps_everything_that_is_said_of_it(server: Served) -> None:
    server.upload(b"base")
    sent = server.upload(
        b"\x80\x04K\x01.",
        name="fraud.pkl",
        latency_ms="12",
        metrics='{"auc": 0.97, "n": 9007199254740993}',
        parameters='{"lr": 0.10, "net": {"depth": 3}}',
        tags='{"team": "risk"}',
        data='{"train": "s3://lake/x"}',
        aliases="champion, canary",
        stage="Staging",
        parent="classifier@1",
        experiment_id="e",
        run_id="r",
    )
    assert sent.status_code == 200, sent.text
    version = sent.json()
    assert version["metrics"] == {"auc": 0.97, "latency_ms": 12, "n": 9007199254740993}
    assert version["parameters"] == {"lr": "0.10", "net.depth": "3"}
    assert (version["tags"], version["data"]) == ({"team": "risk"}, {"train": "s3://lake/x"})
    assert (version["aliases"], version["stage"]) == (["canary", "champion"], "Staging")
    assert (version["parent_version"], version["run_id"], version["experiment_id"]) == ("classifier@1", "r", "e")
    assert (version["artifact"]["name"], version["artifact"]["format"]) == ("fraud.pkl", "pickle")
    by_query = server.ask(
        "POST", "/models/classifier/versions?accuracy=0.5&description=by%20query", files={"model_file": b"y"}
    )
    assert (by_query.json()["metrics"], by_query.json()["description"]) == ({"accuracy": 0.5}, "by query")


def test_the_rest_of_a_models_life(server: Served) -> None:
    for number in (1, 2):
        server.upload(str(number).encode(), accuracy=f"0.9{number}")
    here = "/models/classifier"
    assert (
        server.ask("PATCH", here, json={"description": "d", "primary_metric": "accuracy"}).json()["description"] == "d"
    )
    assert server.ask("PUT", f"{here}/tags/team", json={"value": "risk"}).json()["tags"] == {"team": "risk"}
    assert server.ask("DELETE", f"{here}/tags/team").json()["tags"] == {}
    assert (
        server.ask("PATCH", f"{here}/versions/2", json={"parent": "classifier@1"}).json()["parent_version"]
        == "classifier@1"
    )
    assert server.ask("PUT", f"{here}/versions/2/tags/a%2Fb", json={"value": "x"}).json()["tags"] == {"a/b": "x"}
    assert server.ask("DELETE", f"{here}/versions/2/tags/a%2Fb").json()["tags"] == {}
    assert [node["reference"] for node in server.get(f"{here}/versions/2/lineage").json()["parents"]] == [
        "classifier@1"
    ]
    assert server.ask("PUT", f"{here}/aliases/champion", json={"version": 1}).json()["aliases"] == ["champion"]
    assert server.ask("DELETE", f"{here}/aliases/champion").json()["aliases"] == {}
    for version in (1, 2):
        server.post(f"{here}/versions/{version}/transition", {"stage": "Production"})
    assert server.post(f"{here}/rollback", {"reason": "slow"}).json()["version"] == 1
    actions = [event["action"] for event in server.get(f"{here}/history?limit=3").json()]
    assert actions == ["version.stage_changed"] * 3
    assert [event["version"] for event in server.get(f"{here}/versions/2/history").json()][-1] == 2
    assert server.get(f"{here}/stages?at=2099-01-01").json()["stages"]["Production"] == [1]
    assert server.get(f"{here}/versions/1/why").json()["entered"]["action"] == "version.stage_changed"
    assert server.get(f"{here}/deployments").json() == []
    assert server.post(f"{here}/versions/1/deploy").status_code == 409
    assert server.get(f"{here}/versions/1/files").json() == [
        {
            "path": "model.pkl",
            "size_bytes": 1,
            "checksum": f"sha256:{hashlib.sha256(b'1').hexdigest()}",
            "executable": False,
        }
    ]
    assert server.get("/compare?version_a=classifier@1&version_b=classifier@2").json()["metric_diff"] == {
        "accuracy": 0.01
    }
    assert server.get("/audit").json()["events"] == server.get("/history?limit=1").json()[0]["seq"]
    assert server.ask("DELETE", f"{here}/versions/1").status_code == 409
    assert server.ask("DELETE", f"{here}/versions/1?force=true&dry_run=true").json()["versions"] == ["classifier@1"]
    assert server.ask("DELETE", f"{here}/versions/1?force=true").status_code == 200
    assert server.post(f"{here}/rename", {"name": "mail/classifier"}).json()["name"] == "mail/classifier"
    assert server.ask("DELETE", "/models/mail%2Fclassifier").status_code == 200
    assert server.get("/models").json() == []


def test_a_policy_holds_over_http_as_everywhere(server: Served) -> None:
    server.upload(b"1", accuracy="0.85")
    server.upload(b"2", accuracy="0.95")
    here = "/models/classifier"
    assert server.ask("PUT", f"{here}/policy", json=POLICY).json()["own"] is True
    assert server.get(f"{here}/policy").json()["policy"]["Production"]["approvals"] == 1
    wrong = server.ask("PUT", f"{here}/policy", json={"Production": {"gates": ["accuracy >>> 1"]}})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "bad_input")
    plan = server.get(f"{here}/versions/1/plan?stage=Production").json()
    assert (plan["allowed"], [gate["passed"] for gate in plan["gates"]]) == (False, [False])
    for version in (1, 2):
        server.post(f"{here}/versions/{version}/transition", {"stage": "Staging", "archive_existing": False})
    refused = server.post(f"{here}/versions/1/transition", {"stage": "Production"})
    assert (refused.status_code, refused.json()["code"]) == (409, "gate_failed")
    missing = server.post(f"{here}/versions/2/transition", {"stage": "Production"})
    assert (missing.status_code, missing.json()["code"]) == (409, "approval_missing")
    assert "classifier@2" in [one["reference"] for one in server.get("/approvals").json()]
    with mreg.open_registry(user="risk") as registry:
        registry.approve("classifier@2")
    assert server.post(f"{here}/versions/2/transition", {"stage": "Production"}).status_code == 200
    assert [one["person"] for one in server.get(f"{here}/versions/2/why").json()["decisions"]] == ["risk"]
    assert (
        server.post(f"{here}/policy/check", {"Production": {"gates": ["accuracy > 0.99"]}}).json()[0]["passed"] is False
    )
    assert server.ask("DELETE", f"{here}/policy").json()["own"] is False
    for method in ("PUT", "DELETE"):
        assert server.ask(method, "/policy", **({"json": POLICY} if method == "PUT" else {})).status_code == 200
    assert server.post("/policy/check", POLICY).status_code == 200


def test_lists_come_in_pages_that_name_the_next(server: Served) -> None:
    for number in range(7):
        server.upload(str(number).encode(), accuracy=f"0.{number}")
        server.post("/models", {"name": f"m{number}"})
    for path, key in (
        ("/search?q=metrics.accuracy%20%3E%3D%200&sort=-metrics.accuracy&limit=3", "reference"),
        ("/search?limit=3", "reference"),
        ("/models?limit=3", "name"),
    ):
        seen: list[str] = []
        pages = 0
        following: str | None = path
        while following:
            found = server.get(following)
            seen += [one[key] for one in found.json()]
            pages += 1
            following = found.links["next"]["url"] if "next" in found.links else None
        assert len(seen) == len(set(seen)) == (8 if key == "name" else 7)
        assert pages == 3
    first = server.get("/models/classifier?limit=5")
    assert [one["version"] for one in first.json()["versions"]] == [7, 6, 5, 4, 3]
    assert [one["version"] for one in server.get(first.links["next"]["url"]).json()["versions"]] == [2, 1]
    assert server.get("/search?q=nonsense%20%3D").json()["code"] == "bad_input"


def test_errors_are_problems_with_the_codes_and_hints_of_the_command_line(server: Served) -> None:
    for response, status, code in (
        (server.get("/models/clasifier"), 404, "not_found"),
        (server.get("/models/..%2Fx"), 400, "bad_input"),
        (server.get("/nowhere"), 404, "no_such_route"),
        (server.ask("DELETE", "/models"), 405, "method_not_allowed"),
        (server.post("/models", {"nam": "x"}), 422, "bad_request"),
        (server.post("/models", {"name": 3}), 422, "bad_request"),
        (server.ask("POST", "/models", data=b"{", headers={"Content-Type": "application/json"}), 422, "bad_request"),
        (server.ask("POST", "/models", data=b"{}", headers={"Content-Type": "text/plain"}), 422, "bad_request"),
        (server.ask("POST", "/models/classifier/versions", data=b"x"), 415, "no_form"),
    ):
        problem = response.json()
        assert (response.status_code, problem["code"]) == (status, code), response.text
        assert response.headers["content-type"] == "application/problem+json"
        assert (problem["status"], problem["type"]) == (status, f"urn:mreg:problem:{code}")
        assert problem["detail"]
        assert problem["hint"]
    assert server.get("/models/clasifier").json()["hint"] == "did you mean classifier?"


def test_events_carry_who_asked_and_answers_a_number_that_the_log_has(server: Served) -> None:
    found = server.get("/history?limit=1")
    assert found.json()[0]["actor"] == "tester"
    line = server.line(request_id=found.headers["x-request-id"])
    assert (line["method"], line["path"], line["status"], line["actor"]) == ("GET", "/history", 200, "tester")


def test_head_may_be_asked_wherever_get_may(server: Served) -> None:
    server.upload(b"x")
    for path in ("/healthz", "/models", "/models/classifier", "/models/classifier/versions/1", "/search"):
        found = server.ask("HEAD", path)
        assert (found.status_code, found.content) == (200, b""), path
        assert int(found.headers["content-length"]) == len(server.get(path).content)
    assert server.ask("HEAD", "/models/none").status_code == 404
    assert server.ask("PUT", "/models/classifier").headers["allow"] == "DELETE, GET, HEAD, PATCH"


def test_health_and_metrics_are_told(server: Served) -> None:
    assert server.get("/healthz").json()["status"] == "ok"
    assert server.get("/readyz").json()["status"] == "ready"
    server.upload(b"x" * 1000)
    server.get("/models/classifier/versions/1")
    server.get("/models/classifier/versions/99999")
    text = server.get("/metrics").text
    route = 'route="/models/{model}/versions/{version}"'
    assert f'mreg_http_requests_total{{method="GET",{route},status="200"}} 1.0' in text
    assert f'mreg_http_requests_total{{method="GET",{route},status="404"}} 1.0' in text
    assert "versions/99999" not in text
    received = float(
        next(line for line in text.splitlines() if line.startswith("mreg_http_received_bytes_total ")).split()[1]
    )
    assert received > 1000


def test_a_server_whose_catalog_is_gone_is_alive_and_not_ready(serve: Serve, tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.db"
    catalog.mkdir()
    served = serve(MREG_CATALOG=str(catalog), MREG_ARTIFACTS=str(tmp_path / "a"))
    assert served.get("/healthz").status_code == 200
    ready = served.get("/readyz")
    assert (ready.status_code, ready.json()["detail"]) == (503, "cannot read the catalog")
    assert str(tmp_path) not in ready.text
    assert (served.get("/models").status_code, served.get("/models").json()["code"]) == (503, "unavailable")


def test_the_openapi_document_names_every_route_with_its_answers(server: Served) -> None:
    document = server.get("/openapi.json").json()
    assert document["openapi"].startswith("3.")
    operations = [one for path in document["paths"].values() for one in path.values()]
    assert len({one["operationId"] for one in operations}) == len(operations) > 45
    for one in operations:
        assert one["summary"]
        assert one["description"]
        assert "200" in one["responses"]
        answers = [
            found for found in one["responses"]["200"].get("content", {}).items() if found[0] == "application/json"
        ]
        for _, found in answers:
            assert "example" in found or "$ref" not in str(found), one["operationId"]
    upload = document["paths"]["/models/{model}/versions"]["post"]
    assert "model_file" in json.dumps(upload["requestBody"])
    assert "example" in json.dumps(upload)


def test_metrics_are_added_after_the_upload(server: Served) -> None:
    server.upload(b"x", accuracy="0.93")
    path = "/models/classifier/versions/1/evaluations"
    done = server.post(path, {"metrics": {"auc": 0.97, 'é"': None, "test": {"f1": 1}}, "dataset": "holdout"})
    assert done.status_code == 200, done.text
    found = done.json()
    assert (found["reference"], found["metrics"]) == ("classifier@1", {"accuracy": 0.93, "auc": 0.97, "test.f1": 1})
    assert (found["added"], found["replaced"], found["voided"], found["dataset"]) == (
        {"auc": 0.97, "test.f1": 1}, {}, [], "holdout",
    )  # fmt: skip
    assert done.headers["Warning"].startswith("299 - \"'metrics': skipped values that are not finite numbers: ")
    assert done.headers["Warning"].isascii()
    refused = server.post(path, {"metrics": {"accuracy": 0.95}})
    assert (refused.status_code, refused.json()["code"], refused.json()["detail"], refused.json()["hint"]) == (
        409, "conflict", "classifier@1 already has accuracy 0.93", 'to replace it, add "replace": true and "reason": "..."',
    )  # fmt: skip
    assert server.post("/models/classifier/versions/1/approve", {}).status_code == 200
    done = server.post(path, {"metrics": {"accuracy": 0.95}, "replace": True, "reason": "wrong split"})
    assert done.json()["replaced"] == {"accuracy": 0.93}
    assert [(decision["person"], decision["target"]) for decision in done.json()["voided"]] == [
        ("tester", "Production")
    ]
    assert server.get("/models/classifier/versions/1").json()["metrics"]["accuracy"] == 0.95
    shown = server.get("/ui/models/classifier/versions/1").text
    assert "accuracy 0.95 (was 0.93), approval of tester for Production is void: wrong split" in shown
    before = server.get("/history").text
    for document, status in (
        ({}, 422), ({"metrics": 1}, 422), ({"metrics": {}, "more": 1}, 422), ({"metrics": {}}, 400),
        ({"metrics": {"auc": 1}, "replace": True}, 400), ({"metrics": {"loss": None}}, 400),
        ({"metrics": {f"m{number}": 1 for number in range(1001)}}, 400), ({"metrics": {"auc": 1}, "dataset": "a\nb"}, 400),
    ):  # fmt: skip
        done = server.post(path, document)
        assert done.status_code == status, done.text
    for body in (b'{"metrics": {"loss": NaN}}', b'{"metrics": {"n": ' + b"9" * 5000 + b"}}"):
        assert server.ask("POST", path, data=body, headers={"Content-Type": "application/json"}).status_code in (
            400,
            422,
        )
    assert server.post("/models/classifier/versions/9/evaluations", {"metrics": {"auc": 1}}).status_code == 404
    assert server.get("/history").text == before


def test_a_change_that_a_hook_rolled_back_answers_with_the_final_stage(serve: Serve) -> None:
    hook = "{name: h, stage: Production, on_failure: rollback, command: [sh, -c, '[ $MREG_VERSION = 1 ]']}"
    Path("config.yaml").write_text(f"default: here\nprofiles: {{here: {{hooks: [{hook}]}}}}\n")
    server = serve(MREG_CONFIG=os.path.abspath("config.yaml"))
    server.post("/models", {"name": "classifier"})
    for number in (1, 2):
        assert server.upload(str(number).encode()).status_code == 200
    first = server.post("/models/classifier/versions/1/transition", {"stage": "Production"}).json()
    assert (first["stage"], first["status"], first["archived"]) == ("Production", "deployed", [])
    done = server.post("/models/classifier/versions/2/transition", {"stage": "Production"})
    said = done.json()
    assert (done.status_code, said["stage"], said["previous_stage"], said["changed"], said["archived"]) == (
        200,
        "Archived",
        "None",
        True,
        [],
    )
    shown = server.get("/models/classifier/versions/2").json()
    assert {key: said[key] for key in shown} == shown
    assert server.upload(b"3", stage="production").json()["stage"] == "Archived"
    assert server.get("/models/classifier/production").json()["version"] == 1


def test_a_transition_may_empty_production_and_a_rollback_of_staging_does_not(server: Served) -> None:
    server.upload(b"1")
    for stage in ("Staging", "Production"):
        server.post("/models/classifier/versions/1/transition", {"stage": stage})
    refused = server.post("/models/classifier/rollback", {"stage": "Staging", "to": 1})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_allowed")
    moved = server.post("/models/classifier/versions/1/transition", {"stage": "None"})
    assert (moved.status_code, moved.json()["stage"]) == (200, "None")


def test_a_version_with_an_alias_is_deleted_only_by_force(server: Served) -> None:
    server.upload(b"1")
    server.ask("PUT", "/models/classifier/aliases/champion", json={"version": 1})
    for path in ("/models/classifier/versions/1", "/models/classifier"):
        refused = server.ask("DELETE", path)
        assert (refused.status_code, refused.json()["detail"]) == (409, "classifier@1 has the alias champion")
    assert server.ask("DELETE", "/models/classifier/versions/1?force=true").status_code == 200
