"""Campaigns on disk and in words."""

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from stream_app.cli.campaigns import campaigns
from stream_app.detection.campaigns.stage import CampaignStage
from stream_app.reports.campaigns import plain_campaign
from tests.unit.campaign_worlds import BEGIN_MS, DAY_MS, Crowd


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    crowd = Crowd(8)
    crowd.ordinary(400)
    crowd.campaign(120, mix=0.5, share=0.8)
    stage = CampaignStage()
    for signal in crowd.signals(2.0):
        stage.take(signal)
    for hour in (24, 36, 48):
        stage.tick(BEGIN_MS + hour * DAY_MS // 24)
    path = tmp_path_factory.mktemp("out")
    (path / "campaigns.jsonl").write_bytes(b"\n".join(orjson.dumps(plain_campaign(one)) for one in stage.campaigns))
    return path


def test_list_names_every_campaign_and_its_size(folder: Path) -> None:
    text = CliRunner().invoke(campaigns, ["list", "--from", str(folder)]).output
    assert "confirmed distillation" in text.splitlines()[0]
    as_json = CliRunner().invoke(campaigns, ["list", "--from", str(folder), "--json"]).output.splitlines()[0]
    assert orjson.loads(as_json)["member_count"] >= 90


def test_show_and_dossier_tell_evidence_values_members_and_what_would_undo_it(folder: Path) -> None:
    campaign = orjson.loads((folder / "campaigns.jsonl").read_bytes().splitlines()[0])
    name = campaign["campaign_id"]
    text = CliRunner().invoke(campaigns, ["show", name, "--from", str(folder)]).output
    assert "payment instruments" in text
    assert "c-client" in text
    assert "The verdict would fall if" in text
    told = CliRunner().invoke(campaigns, ["dossier", name, "--from", str(folder), "--json"]).output
    dossier = orjson.loads(told)
    assert dossier["counterfactual"]
    member = dossier["members"][0]
    assert set(member) == {"tenant_id", "posterior", "role", "joined_at", "nats"}
    whole = CliRunner().invoke(campaigns, ["dossier", name, "--from", str(folder)]).output
    assert all(member["tenant_id"] in whole for member in dossier["members"])


def test_what_cannot_be_read_is_one_line(folder: Path, tmp_path: Path) -> None:
    missing = CliRunner().invoke(campaigns, ["list", "--from", str(tmp_path)])
    assert (missing.exit_code, len(missing.output.splitlines())) == (2, 1)
    unknown = CliRunner().invoke(campaigns, ["show", "c-none", "--from", str(folder)])
    assert unknown.exit_code == 1
    (tmp_path / "campaigns.jsonl").write_bytes(b'{"a":1}\n')
    assert CliRunner().invoke(campaigns, ["list", "--from", str(tmp_path)]).exit_code == 1
