"""Campaigns on disk and in words."""

from pathlib import Path
from xml.etree import ElementTree

import msgspec
import orjson
import pytest
from click.testing import CliRunner
from msgspec import UNSET, structs, to_builtins

from stream_app.cli.campaigns import campaigns
from stream_app.detection.campaigns.stage import CampaignStage
from stream_app.detection.decisions import Action, Decision, PolicyRef, Reason
from stream_app.plots.campaigns import CampaignPlot
from stream_app.plots.explanations import NothingRecordedError, Recorded
from stream_app.plots.loads import LoadCount, times_likelier
from stream_app.plots.memberships import compose_member
from stream_app.plots.shapes import Area, Words
from stream_app.reports.campaign_cards import campaign_section
from stream_app.reports.campaigns import plain_campaign
from stream_app.reports.histories import RunHistory
from stream_app.stories import Background, tell
from tests.unit.campaign_worlds import BEGIN_MS, DAY_MS, Crowd
from tests.unit.streams import BEGIN_MS as STREAM_BEGIN_MS
from tests.unit.streams import POLICY, event

BEGIN_MIN = BEGIN_MS // 60_000


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
    dossier = orjson.loads(told)["dossier"]
    assert dossier["counterfactual"]
    member = dossier["members"][0]
    assert set(member) == {"tenant_id", "posterior", "role", "joined_at", "denied_at", "nats"}
    whole = CliRunner().invoke(campaigns, ["dossier", name, "--from", str(folder)]).output
    assert all(member["tenant_id"] in whole for member in dossier["members"])


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    """A folder as a replay leaves it: with the load of the campaign, and what was decided for it."""
    campaign = orjson.loads((folder / "campaigns.jsonl").read_bytes().splitlines()[0])
    first, second = (member["tenant_id"] for member in campaign["members"][:2])
    loads = LoadCount([campaign])
    for tenant_id, minute, requests in ((first, BEGIN_MIN, 3), (second, BEGIN_MIN + 61, 2), ("other", BEGIN_MIN, 9)):
        loads.add(tenant_id, minute, requests)
    load = loads.load_of(campaign, 520)
    assert load
    assert (sum(load.requests), load.requests[0]) == (5, 3)
    assert (load.appeared[0], load.appeared[-1]) == (1, 2)
    path = tmp_path_factory.mktemp("results")
    (path / "campaigns.jsonl").write_bytes(orjson.dumps(campaign | {"load": to_builtins(load)}))
    made = [
        decision(tenant_id, action, campaign["campaign_id"], campaign["first_alert_time"])
        for tenant_id, action in ((first, "throttle"), ("x", "block"))
    ]
    (path / "decisions.jsonl").write_bytes(b"\n".join(made))
    return path


def decision(tenant_id: str, action: str, campaign_id: str, time: str = "2026-01-12T00:00:00.000Z") -> bytes:
    made = Decision(
        decision_id=f"{tenant_id}-{action}",
        scope="tenant",
        subject=tenant_id,
        tenant_id=tenant_id,
        action=Action(action),
        simulated=False,
        origin="detector",
        reasons=[],
        policy=PolicyRef("test", Action(action)),
        issued_at=time,
        expires_at=time,
        revision=1,
        campaign_id=campaign_id,
    )
    return msgspec.json.encode(made)


@pytest.mark.parametrize("command", ["show", "dossier"])
def test_a_campaign_is_drawn_with_load_growth_decisions_and_shared_values(
    results: Path, tmp_path: Path, command: str
) -> None:
    campaign = orjson.loads((results / "campaigns.jsonl").read_bytes())
    plot = tmp_path / "c.svg"
    words = [command, campaign["campaign_id"], "--from", str(results), "--plot", str(plot)]
    done = CliRunner().invoke(campaigns, words)
    assert done.exit_code == 0, done.output
    assert "times likelier" in done.output
    drawn = plot.read_text()
    ElementTree.fromstring(drawn)  # noqa: S314
    for told in (
        campaign["campaign_id"],
        "of all its members together",
        f"recognised as members, {len(campaign['members'])} in the end",
        "acted on, 2 in the end",
        "block 1",
        "throttle 1",
        "TLS client c-client",
    ):
        assert told in drawn


def test_without_decisions_and_load_the_picture_says_what_is_missing(folder: Path, tmp_path: Path) -> None:
    name = orjson.loads((folder / "campaigns.jsonl").read_bytes().splitlines()[0])["campaign_id"]
    plot = tmp_path / "c.SVG"
    words = ["show", name, "--from", str(folder / "campaigns.jsonl"), "--plot", str(plot)]
    assert CliRunner().invoke(campaigns, words).exit_code == 0
    drawn = plot.read_text()
    assert "Decisions are left out" in drawn
    assert "Its load is not there" in drawn
    assert "recognised as members" in drawn


def test_a_plot_that_cannot_be_made_is_one_line(folder: Path, tmp_path: Path) -> None:
    name = orjson.loads((folder / "campaigns.jsonl").read_bytes().splitlines()[0])["campaign_id"]

    def failed(*words: str) -> tuple[int, int]:
        done = CliRunner().invoke(campaigns, ["show", "--from", str(folder), *words])
        return done.exit_code, len(done.stderr.splitlines())

    assert failed(name, "--plot", str(tmp_path / "c.pdf")) == (2, 1)
    assert failed("c-none", "--plot", str(tmp_path / "c.png")) == (1, 1)
    assert failed(name, "--plot", str(tmp_path / "missing" / "c.svg")) == (1, 1)
    assert not list(tmp_path.iterdir())


def test_the_page_tells_a_campaign_with_its_members_instead_of_each_of_them(results: Path) -> None:
    campaign = orjson.loads((results / "campaigns.jsonl").read_bytes())
    member = campaign["members"][0]["tenant_id"]
    campaign["members"][1]["tenant_id"] = "<script>"
    history = RunHistory()
    for line in (results / "decisions.jsonl").read_bytes().splitlines():
        history.add_decision(msgspec.json.decode(line, type=Decision))
    value = msgspec.json.decode(decision("x", "challenge", campaign["campaign_id"]), type=Decision)
    history.add_decision(structs.replace(value, scope="ip_prefix", subject="203.0.1.0%2F24", tenant_id=""))
    assert not history.worst_first()
    page = campaign_section([CampaignPlot(campaign, None, history.actions_of(campaign))], history)
    for told in (campaign["campaign_id"], "recognised as members", "c-client", member, '<span class="pill throttle">'):
        assert told in page
    assert "address prefix 203.0.1.0/24" in page
    assert "acted on, 2 in the end" in page
    assert "<script>" not in page
    assert page.count("<article>") == page.count("</article>") == 1


def a_member(action: Action = Action.THROTTLE) -> Decision:
    made = msgspec.json.decode(decision("acme", action, "c-1"), type=Decision)
    nats = (("campaign_payer", 9.0), ("campaign_content", 2.5))
    reasons = [Reason(code, value, 0.0, "nats", 0, 0.99999) for code, value in nats]
    return structs.replace(made, reasons=reasons, counterfactual="would not have fired had the tenant not shared")


def test_a_members_story_tells_the_campaign_its_links_and_what_they_weigh() -> None:
    told = tell(a_member(), Background(policy=POLICY))
    for words in (
        "tenant acme: throttle: member of campaign c-1, above all by shared payment instruments",
        "with probability more than 0.9999",
        "shares payment instruments with it: 9 nats, 8,100 times likelier in the campaign than outside",
        "had it shared neither payment instruments nor prompt skeletons with the campaign",
        "stillwatch campaigns show c-1",
    ):
        assert words in told
    released = structs.replace(a_member(Action.ALLOW), reasons=[], campaign_id=UNSET, decision_id="r")
    assert "its campaign holds it no longer" in tell(released, Background(before=a_member()))


def test_a_members_picture_shows_its_links_and_its_own_requests_with_the_moment() -> None:
    made = a_member()
    at_s = (24 * 2 - 3) * 3600 + BEGIN_MS // 1000 - STREAM_BEGIN_MS // 1000
    events = [event(at_s + 60 * number, "acme") for number in range(5)] + [event(at_s, "other")]
    recorded = Recorded([orjson.dumps(one) for one in events], "a test", is_whole=True)
    drawing = compose_member(made, [made], recorded)
    words = " ".join(shape.text for shape in drawing.shapes if isinstance(shape, Words))
    for told in ("payment instruments", "9 nats, 8,100 times likelier", "this decision: throttle", "a test"):
        assert told in words
    bars = [shape for shape in drawing.shapes if isinstance(shape, Area) and shape.tone == "own"]
    assert len(bars) == 2
    with pytest.raises(NothingRecordedError, match="no event of 'acme'"):
        compose_member(made, [made], Recorded([], "a test", is_whole=True))


def test_rarity_compares_members_with_everybody_else() -> None:
    assert times_likelier(10, 20, 10, 1_019) == pytest.approx(0.5 / (0.5 / 1_000))
    assert times_likelier(10, 20, 20, 119) == pytest.approx(0.5 / (10.5 / 100))
    assert times_likelier(10, 20, 10, 0) is None


def test_what_cannot_be_read_is_one_line(folder: Path, tmp_path: Path) -> None:
    missing = CliRunner().invoke(campaigns, ["list", "--from", str(tmp_path)])
    assert (missing.exit_code, len(missing.output.splitlines())) == (2, 1)
    unknown = CliRunner().invoke(campaigns, ["show", "c-none", "--from", str(folder)])
    assert unknown.exit_code == 1
    (tmp_path / "campaigns.jsonl").write_bytes(b'{"a":1}\n')
    assert CliRunner().invoke(campaigns, ["list", "--from", str(tmp_path)]).exit_code == 1
