"""What each call of MLflow's client does, as docs/how-to/mlflow.md says."""

from __future__ import annotations

import base64
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mreg
from tests.conftest import Mreg
from tests.mlflow.conftest import Logged


def refused(code: str, call: Any, *words: Any, **named: Any) -> str:
    """The message of the error of MLflow with a code that a call raises."""
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException) as caught:
        call(*words, **named)
    assert caught.value.error_code == code
    return str(caught.value.message)


@pytest.fixture
def churn(client: Any, source: str) -> Any:
    """A client whose registry has ``churn`` with two versions."""
    client.create_registered_model("churn", tags={"team": "fraud"}, description="who leaves")
    for number in (1, 2):
        client.create_model_version("churn", source, description=f"version {number}", tags={"n": str(number)})
    return client


def test_a_model_is_created_described_renamed_and_deleted(churn: Any) -> None:
    model = churn.get_registered_model("churn")
    assert (model.name, model.description, model.tags) == ("churn", "who leaves", {"team": "fraud"})
    assert [version.version for version in model.latest_versions] == [2]
    assert churn.update_registered_model("churn", "who stays").description == "who stays"
    churn.set_registered_model_alias("churn", "champion", 1)
    churn.rename_registered_model("churn", "Churn (new)")
    assert churn.get_registered_model("Churn (new)").aliases == {"champion": 1}
    assert churn.get_model_version("Churn (new)", 2).tags == {"n": "2"}
    churn.transition_model_version_stage("Churn (new)", 1, "Production")
    churn.delete_registered_model("Churn (new)")
    message = refused("RESOURCE_DOES_NOT_EXIST", churn.get_registered_model, "Churn (new)")
    assert message == "Registered Model with name=Churn (new) not found"


def test_version_numbers_go_on_after_a_model_was_deleted(churn: Any, source: str) -> None:
    churn.delete_registered_model("churn")
    churn.create_registered_model("churn")
    assert churn.create_model_version("churn", source).version == 3
    churn.delete_model_version("churn", 3)
    assert churn.create_model_version("churn", source).version == 4
    with mreg.open_registry() as registry:
        assert "version.deleted" in {event.action for event in registry.history("churn")}


def test_a_version_is_described_tagged_and_deleted(churn: Any) -> None:
    assert churn.update_model_version("churn", 1, "better").description == "better"
    churn.set_model_version_tag("churn", "1", "region", 7)
    churn.delete_model_version_tag("churn", "1", "n")
    churn.delete_model_version_tag("churn", "1", "n")
    assert churn.get_model_version("churn", "1").tags == {"region": "7"}
    churn.set_registered_model_tag("churn", "tier", "1")
    churn.delete_registered_model_tag("churn", "team")
    churn.delete_registered_model_tag("churn", "team")
    assert churn.get_registered_model("churn").tags == {"tier": "1"}
    churn.set_registered_model_alias("churn", "champion", 1)
    churn.delete_model_version("churn", 1)
    assert refused("RESOURCE_DOES_NOT_EXIST", churn.get_model_version, "churn", 1) == (
        "Model Version (name=churn, version=1) not found"
    )
    assert churn.get_registered_model("churn").aliases == {}


def test_aliases_move_and_are_removed(churn: Any) -> None:
    churn.set_registered_model_alias("churn", "champion", "1")
    churn.set_registered_model_alias("churn", "champion", "2")
    churn.set_registered_model_alias("churn", "2026_q1", "2")
    assert churn.get_model_version_by_alias("churn", "champion").version == 2
    assert sorted(churn.get_model_version("churn", 2).aliases) == ["2026_q1", "champion"]
    assert churn.get_registered_model("churn").aliases == {"champion": 2, "2026_q1": 2}
    churn.delete_registered_model_alias("churn", "champion")
    churn.delete_registered_model_alias("churn", "champion")
    message = refused("INVALID_PARAMETER_VALUE", churn.get_model_version_by_alias, "churn", "champion")
    assert message == "Registered model alias champion not found."
    assert churn.get_model_version_by_alias("churn", "LATEST").version == 2


def test_a_stage_is_a_stage_and_no_alias(churn: Any) -> None:
    message = refused("INVALID_PARAMETER_VALUE", churn.set_registered_model_alias, "churn", "production", 1)
    assert message == (
        "Invalid alias name: 'production'. '@production' is the version in the stage Production. "
        "Use transition_model_version_stage, or another alias."
    )
    refused("INVALID_PARAMETER_VALUE", churn.set_registered_model_alias, "churn", "best", 1)
    refused("INVALID_PARAMETER_VALUE", churn.get_model_version_by_alias, "churn", "production")
    churn.transition_model_version_stage("churn", 1, "production")
    assert churn.get_model_version_by_alias("churn", "Production").version == 1


def test_a_transition_keeps_or_archives_the_other_versions(churn: Any) -> None:
    assert churn.transition_model_version_stage("churn", 1, "Production").current_stage == "Production"
    churn.transition_model_version_stage("churn", 2, "production")
    stages = {version.version: version.current_stage for version in churn.search_model_versions("name='churn'")}
    assert stages == {1: "Production", 2: "Production"}
    churn.transition_model_version_stage("churn", 2, "Production", archive_existing_versions=True)
    assert churn.get_model_version("churn", 1).current_stage == "Archived"
    latest = churn.get_latest_versions("churn")
    assert [(version.version, version.current_stage) for version in latest] == [(2, "Production"), (1, "Archived")]
    assert [version.version for version in churn.get_latest_versions("churn", ["archived"])] == [1]
    assert churn.get_model_version_stages("churn", 1) == ["None", "Staging", "Production", "Archived"]
    message = refused(
        "INTERNAL_ERROR", churn.transition_model_version_stage, "churn", 1, "Archived", archive_existing_versions=True
    )
    assert message.startswith("Model version transition cannot archive existing model versions because 'Archived'")
    refused("INVALID_PARAMETER_VALUE", churn.transition_model_version_stage, "churn", 1, "Live")


def test_the_policy_of_the_model_holds(churn: Any, command: Mreg, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("production:\n  gates: [accuracy >= 0.9]\n")
    done = command("policy", "apply", str(policy), "--model", "churn")
    assert done.code == 0, done.err
    message = refused("INVALID_STATE", churn.transition_model_version_stage, "churn", 1, "Production")
    assert "accuracy" in message and "hint: " in message
    assert churn.get_model_version("churn", 1).current_stage == "None"


def test_a_version_keeps_where_it_comes_from(client: Any, source: str, command: Mreg) -> None:
    client.create_registered_model("Churn model")
    version = client.create_model_version("Churn model", source, run_link="https://mlflow.example/#/runs/1")
    assert (version.source, version.run_link) == (source, "https://mlflow.example/#/runs/1")
    assert version.tags == {}
    shown = command("show", "models:/Churn model/1").out.splitlines()
    assert "mlflow name\tChurn model" in shown
    assert f"tags.mlflow.source\t{source}" in shown
    with mreg.open_registry() as registry:
        registry.push(f"{source}/MLmodel", name="Churn_x20_model")
    pushed = client.get_model_version("Churn model", 2)
    assert pushed.source == client.get_model_version_download_uri("Churn model", 2) == "mreg://Churn_x20_model@2"


def test_every_file_of_a_source_is_stored(client: Any, source: str) -> None:
    folder = Path(source)
    (folder / ".mregignore").write_text("data\n")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "code.pyc").write_bytes(b"x")
    client.create_registered_model("churn")
    client.create_model_version("churn", folder.as_uri())
    with mreg.open_registry() as registry:
        found = [file.path for file in registry.files("churn@1")]
    assert found == [".mregignore", "MLmodel", "__pycache__/code.pyc", "data/weights.bin"]


def test_errors_have_the_codes_and_words_of_mlflow(churn: Any, source: str) -> None:
    missing, invalid, taken = "RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS"
    no_model = "Registered Model with name=ghost not found"
    for call in (
        lambda: churn.get_registered_model("ghost"),
        lambda: churn.update_registered_model("ghost", "x"),
        lambda: churn.rename_registered_model("ghost", "x"),
        lambda: churn.delete_registered_model("ghost"),
        lambda: churn.set_registered_model_tag("ghost", "a", "b"),
        lambda: churn.delete_registered_model_tag("ghost", "a"),
        lambda: churn.get_latest_versions("ghost"),
        lambda: churn.create_model_version("ghost", source),
        lambda: churn.get_model_version("ghost", 1),
        lambda: churn.transition_model_version_stage("ghost", 1, "Staging"),
        lambda: churn.set_registered_model_alias("ghost", "a", 1),
        lambda: churn.delete_registered_model_alias("ghost", "a"),
        lambda: churn.get_model_version_by_alias("ghost", "a"),
        lambda: churn.get_model_version_by_alias("ghost", "latest"),
    ):
        assert refused(missing, call) == no_model
    no_version = "Model Version (name=churn, version=9) not found"
    for call in (
        lambda: churn.get_model_version("churn", 9),
        lambda: churn.update_model_version("churn", 9, "x"),
        lambda: churn.delete_model_version("churn", 9),
        lambda: churn.transition_model_version_stage("churn", 9, "Staging"),
        lambda: churn.set_model_version_tag("churn", 9, "a", "b"),
        lambda: churn.delete_model_version_tag("churn", 9, "a"),
        lambda: churn.set_registered_model_alias("churn", "a", 9),
        lambda: churn.get_model_version_download_uri("churn", 9),
    ):
        assert refused(missing, call) == no_version
    assert refused(missing, churn.get_model_version, "churn", 0) == no_version.replace("9", "0")
    assert refused(missing, churn.get_model_version, "churn", -1) == no_version.replace("9", "-1")
    assert refused(missing, churn.get_model_version, "churn", 10**30) == no_version.replace("9", str(10**30))
    refused(invalid, churn.get_model_version, "churn", "one")
    assert refused(taken, churn.create_registered_model, "churn") == "Registered Model (name=churn) already exists."
    churn.create_registered_model("other")
    assert refused(taken, churn.rename_registered_model, "other", "churn") == (
        "Registered Model (name=churn) already exists."
    )
    for name in ("", " ", "a/b", "a:b", "..", "a\x1b[2J", "é" * 40):
        refused(invalid, churn.create_registered_model, name)
    for alias in ("", "a b", "latest", "v3", "a" * 65, "a" * 300):
        refused(invalid, churn.set_registered_model_alias, "churn", alias, 1)
    refused(invalid, churn.set_model_version_tag, "churn", 1, "mlflow.source", "file:///etc/passwd")
    refused(invalid, churn.set_model_version_tag, "churn", 1, "a", "b" * 5_001)


def test_a_source_that_cannot_be_read_makes_no_version(client: Any, tmp_path: Path, logged: Logged) -> None:
    client.create_registered_model("churn")
    (tmp_path / "empty").mkdir()
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "passwd").symlink_to("/etc/passwd")
    cases = {
        str(tmp_path / "missing"): "RESOURCE_DOES_NOT_EXIST",
        (tmp_path / "missing").as_uri(): "RESOURCE_DOES_NOT_EXIST",
        str(tmp_path / "empty"): "INVALID_PARAMETER_VALUE",
        str(tmp_path / "linked"): "INVALID_PARAMETER_VALUE",
        "models:/churn/9": "RESOURCE_DOES_NOT_EXIST",
        "models:/ghost@champion": "RESOURCE_DOES_NOT_EXIST",
        "models:/churn/Production": "INTERNAL_ERROR",
        "models:/m-" + "0" * 32: "RESOURCE_DOES_NOT_EXIST",
        "runs:/" + "0" * 32 + "/model": "RESOURCE_DOES_NOT_EXIST",
        f"runs:/{logged.run_id}/missing": "RESOURCE_DOES_NOT_EXIST",
        "nope://host/model": "INTERNAL_ERROR",
        "models:/": "INTERNAL_ERROR",
    }
    from mlflow.exceptions import MlflowException

    found = {}
    for uri in cases:
        with pytest.raises(MlflowException) as caught:
            client.create_model_version("churn", uri)
        found[uri] = caught.value.error_code
    assert found == cases
    assert refused("RESOURCE_DOES_NOT_EXIST", client.create_model_version, "churn", "models:/ghost@champion") == (
        "Registered Model with name=ghost not found"
    )
    assert refused("RESOURCE_DOES_NOT_EXIST", client.create_model_version, "churn", "models:/churn/9") == (
        "Model Version (name=churn, version=9) not found"
    )
    assert client.search_model_versions() == []


def test_credentials_in_a_source_are_not_stored(client: Any) -> None:
    client.create_registered_model("churn")
    message = refused("INTERNAL_ERROR", client.create_model_version, "churn", "nope://host/a?password=hunter2-secret")
    assert "hunter2" not in message
    assert "nope://host/a" in message


def test_prompts_are_registered_loaded_and_found(client: Any) -> None:
    import mlflow

    client.create_registered_model("churn")
    first = mlflow.genai.register_prompt("greet", "Hello {{name}}", commit_message="first", tags={"team": "a"})
    mlflow.genai.register_prompt("greet", [{"role": "user", "content": "Hi {{name}}"}])
    mlflow.genai.register_prompt("greet", "long " * 4_000 + "{{name}}")
    mlflow.genai.set_prompt_alias("greet", "champion", 1)
    assert (first.version, first.template) == (1, "Hello {{name}}")
    assert mlflow.genai.load_prompt("prompts:/greet@champion").format(name="Ada") == "Hello Ada"
    assert mlflow.genai.load_prompt("prompts:/greet/2").template == [{"role": "user", "content": "Hi {{name}}"}]
    assert mlflow.genai.load_prompt("prompts:/greet/3").template == "long " * 4_000 + "{{name}}"
    assert [prompt.name for prompt in mlflow.genai.search_prompts()] == ["greet"]
    assert [version.version for version in client.search_prompt_versions("greet")] == [3, 2, 1]
    assert [model.name for model in client.search_registered_models()] == ["churn"]
    with mreg.open_registry() as registry:
        assert [registry.version(f"greet@{number}").artifact.name for number in (1, 2)] == [
            "prompt.txt", "prompt.json",
        ]  # fmt: skip
    message = refused("RESOURCE_ALREADY_EXISTS", client.create_registered_model, "greet")
    assert "already taken by a prompt" in message
    client.delete_prompt_version("greet", "2")
    assert [version.version for version in client.search_prompt_versions("greet")] == [3, 1]


def test_webhooks_and_deployment_jobs_are_not_supported(client: Any) -> None:
    from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent

    with pytest.raises(NotImplementedError, match="RegistryStore does not support create_webhook"):
        client.create_webhook(
            "hook", "https://example.com", [WebhookEvent(WebhookEntity.MODEL_VERSION, WebhookAction.CREATED)]
        )
    store = client._get_registry_client().store
    assert not store.supports_workspaces
    refused("NOT_IMPLEMENTED", store.create_registered_model, "churn", deployment_job_id="1")


def test_a_store_can_be_pickled(churn: Any) -> None:
    store = pickle.loads(pickle.dumps(churn._get_registry_client().store))
    assert store.get_registered_model("churn").name == "churn"


@pytest.mark.parametrize("uri", ["mreg:team", "mreg://a b", "mreg://a/b", "mreg://../x", "mreg://churn@1"])
def test_an_address_of_a_registry_that_is_invalid_is_refused(client: Any, uri: str) -> None:
    import mlflow

    message = refused("INVALID_PARAMETER_VALUE", lambda: mlflow.MlflowClient(registry_uri=uri).search_model_versions())
    assert message == f"invalid registry address '{uri}' (hint: use mreg: or mreg://PROFILE)"


def test_a_profile_that_does_not_exist_is_an_error(client: Any) -> None:
    import mlflow

    ghost = mlflow.MlflowClient(registry_uri="mreg://ghost")
    assert "profile 'ghost' not found" in refused("RESOURCE_DOES_NOT_EXIST", ghost.search_registered_models)


def test_models_and_versions_are_filtered_ordered_and_paged(client: Any, source: str) -> None:
    for name in ("Churn model", "it's", "spam", "x_x20_y"):
        client.create_registered_model(name, tags={"kind": name[:1]})
        client.create_model_version(name, source, tags={"kind": name[:1]})
    client.create_model_version("spam", source, run_id="r1")

    def names(filter_string: str | None = None, **named: Any) -> list[str]:
        return [model.name for model in client.search_registered_models(filter_string, **named)]

    assert names() == ["Churn model", "it's", "spam", "x_x20_y"]
    assert names("name = 'Churn model'") == ["Churn model"]
    assert names("name ILIKE 'c%'") == ["Churn model"]
    assert names("tag.kind != 'C'", order_by=["name DESC"]) == ["x_x20_y", "spam", "it's"]
    assert names("""name = "it's\"""") == ["it's"]
    assert names("name = 'a/b'") == []
    assert client.search_registered_models("name='spam'")[0].latest_versions[0].version == 2
    first = client.search_registered_models(max_results=3)
    rest = client.search_registered_models(max_results=3, page_token=first.token)
    assert [model.name for model in [*first, *rest]] == names()
    assert rest.token is None

    def versions(filter_string: str | None = None, **named: Any) -> list[tuple[str, int]]:
        return [(found.name, found.version) for found in client.search_model_versions(filter_string, **named)]

    assert versions("name = 'spam'", order_by=["version_number DESC"]) == [("spam", 2), ("spam", 1)]
    assert versions("run_id = 'r1'") == [("spam", 2)]
    assert versions(f"source_path = '{source}'", order_by=["name ASC"], max_results=1) == [("Churn model", 1)]
    assert versions("tag.kind = 'x'") == [("x_x20_y", 1)]
    assert versions("version_number > 1") == [("spam", 2)]
    assert len(versions()) == 5


FILTERS = [
    "name = 'x'; DROP TABLE models", "name = '' OR 1=1 --", "name = 'a' UNION SELECT * FROM tokens", "'", "\"", "name =",
    "name = 'a' AND", "((((", "name LIKE '%'; --", "tag.`a` = 1", "creation_timestamp = 'x'", "name IN ('a', 'b'",
    "metrics.a > 1", "\0", "name = '\0'", "version_number = 'a'", "name = 5", "\ud800", "name\n=\n'a'", "-- x",
]  # fmt: skip


def test_a_filter_can_only_filter(churn: Any) -> None:
    from mlflow.exceptions import MlflowException

    for text in FILTERS:
        for search in (churn.search_registered_models, churn.search_model_versions):
            try:
                assert len(search(text)) <= 2
            except MlflowException as error:
                assert error.error_code in ("INVALID_PARAMETER_VALUE", "INTERNAL_ERROR")
    refused("INVALID_PARAMETER_VALUE", churn.search_model_versions, "name = '" + "a" * 30_000 + "'")
    refused("INVALID_PARAMETER_VALUE", churn.search_model_versions, "(" * 15_000)
    for order in ("name; DROP TABLE models", "stage ASC", "name SIDEWAYS", ""):
        refused("INVALID_PARAMETER_VALUE", churn.search_model_versions, order_by=[order])
    assert len(churn.search_model_versions()) == 2


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=30) | st.sampled_from(FILTERS).map(lambda text: f"name = 'churn' AND {text}"))
def test_any_filter_is_answered_or_refused(churn: Any, text: str) -> None:
    from mlflow.exceptions import MlflowException

    for search in (churn.search_registered_models, churn.search_model_versions):
        try:
            search(text)
        except MlflowException:
            pass


def token(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "page_token",
    ["x", "é", "====", token("x"), token("[]"), token("5"), token("{}"), token('{"offset": -3}'), token('{"offset": "x"}'),
     token('{"offset": [1]}'), token('{"offset": ' + "9" * 5000 + "}"), token('{"offset": 1e999}'), token("[" * 90_000)],
    ids=range(13),
)  # fmt: skip
def test_a_page_token_that_was_changed_is_refused(client: Any, page_token: str) -> None:
    for search in (client.search_registered_models, client.search_model_versions):
        message = refused("INVALID_PARAMETER_VALUE", search, page_token=page_token)
        assert message.startswith("Invalid page token")


def test_the_size_of_a_page_is_checked(client: Any) -> None:
    for size in (0, -1, None, "5", 1_001):
        refused("INVALID_PARAMETER_VALUE", client.search_registered_models, max_results=size)
    refused("INVALID_PARAMETER_VALUE", client.search_model_versions, max_results=200_001)
    assert client.search_model_versions(page_token=token('{"offset": 100}')) == []
