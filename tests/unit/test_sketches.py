"""Sketches keep likeness, lose the text, and cannot be linked without the key."""

import json
import random
from pathlib import Path
from statistics import mean

import pytest
from click.testing import CliRunner, Result

from stream_app.cli.sketch import sketch
from stream_app.sketches import Key, KeyFileError, load_key, sketch_prompt

KEY = Key("2025-a", bytes(range(32)))
OTHER_KEY = Key("2025-b", bytes(range(1, 33)))
CANARY = "xylophonic-marzipan-4711"
WRAPPER = "Please solve the following problem step by step, then give the final answer"
MATERIALS = [
    "A farmer sold 48 eggs on Monday and half as many on Tuesday. How many eggs went to market altogether?",
    "Trains leave Lyon at 9:15 and Turin at 10:05. Where do they meet?",
    "Mixed paint covers nine square metres. The barn has four walls.",
]


def distance(left: str, right: str) -> int:
    return (int(left, 16) ^ int(right, 16)).bit_count()


def made_up_text(rng: random.Random, words: int) -> list[str]:
    return ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(words)]


def test_a_few_edited_words_move_few_bits_and_unrelated_texts_move_half() -> None:
    rng = random.Random(7)
    edited, unrelated = [], []
    for _ in range(100):
        words = made_up_text(rng, 80)
        changed = [*words[:20], "edited", *words[21:50], "words", *words[51:]]
        original = sketch_prompt(" ".join(words), key=KEY).simhash
        edited.append(distance(original, sketch_prompt(" ".join(changed), key=KEY).simhash))
        unrelated.append(distance(original, sketch_prompt(" ".join(made_up_text(rng, 80)), key=KEY).simhash))
    assert mean(edited) < 8
    assert max(edited) < min(unrelated)
    assert 30 < mean(unrelated) < 34


def test_word_order_counts() -> None:
    assert distance(*(sketch_prompt(text, key=KEY).simhash for text in ("dog bites man", "man bites dog"))) > 0


def test_another_key_gives_unlinkable_sketches() -> None:
    rng = random.Random(3)
    distances = []
    for _ in range(100):
        text = f"{WRAPPER}: {' '.join(made_up_text(rng, 60))}"
        ours, theirs = (sketch_prompt(text, "You are careful.", key=key) for key in (KEY, OTHER_KEY))
        distances.append(distance(ours.simhash, theirs.simhash))
        assert not set(ours.templates) & set(theirs.templates)
        assert ours.system != theirs.system
    assert 30 < mean(distances) < 34
    assert min(distances) > 12


@pytest.mark.parametrize("material", MATERIALS)
@pytest.mark.parametrize(
    "layout",
    ["{wrapper}: {material}", "{wrapper}.\n\n{material}", "{material}\n\n{wrapper}.", '{wrapper} "{material}"'],
)
def test_the_template_is_the_same_wherever_the_wrapper_stands(layout: str, material: str) -> None:
    alone = sketch_prompt(WRAPPER, key=KEY).templates
    assert len(alone) == 1
    assert sketch_prompt(layout.format(wrapper=WRAPPER, material=material), key=KEY).templates == alone


@pytest.mark.parametrize("material", [*MATERIALS, "Explain in one sentence: why is the sky blue? Show your reasoning."])
@pytest.mark.parametrize(
    "layout",
    [
        "<instructions>{wrapper}</instructions>\n<problem>\n{material}\n</problem>",
        '<context id="7">{material}</context>\n<task>{wrapper}.</task>\n<output_format>JSON</output_format>',
        "Task: {wrapper}\nInput: {material}\nOutput:",
        "### Instruction:\n{wrapper}\n\n### Input:\n{material}\n\n### Response:",
        "Rules\n1. {wrapper}.\n2. Be brief.\n\n{material}",
        "- Be careful\n- {wrapper}\n\nProblem: {material}",
        "task: {wrapper}\nstyle: formal\ninput: |\n  {material}",
        "Human: {material}\n\nAssistant: {wrapper}",
    ],
)
def test_a_wrapper_that_stands_where_material_may_is_seen(layout: str, material: str) -> None:
    (alone,) = sketch_prompt(WRAPPER, key=KEY).templates
    assert alone in sketch_prompt(layout.format(wrapper=WRAPPER, material=material), key=KEY).templates


@pytest.mark.parametrize(
    "wrapper",
    [
        "Resuelve el siguiente problema paso a paso y explica todo tu razonamiento",
        "Löse die Aufgabe Schritt für Schritt und begründe jeden Schritt ausführlich",
        "Réponds à la question suivante et explique ton raisonnement en détail",
        "Risolvi il seguente problema un passo alla volta e spiega ogni passo",
        "Resolva a tarefa passo a passo e explique o raciocínio",
        "Реши задачу шаг за шагом и подробно объясни ответ",
        "请一步一步思考并详细写出完整的推理过程",
    ],
)
def test_a_wrapper_is_seen_before_material_of_another_language(wrapper: str) -> None:
    (alone,) = sketch_prompt(wrapper, key=KEY).templates
    material = (
        "Explain in one sentence why the sky is blue. It was blue. Show your reasoning step by step. Thanks for it."
    )
    assert alone in sketch_prompt(f"{wrapper}.\n\n{material}", key=KEY).templates


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (
            "Write a detailed question about the text.\n<text>cats sleep</text>",
            "Write a detailed question about the text.\n<text>dogs\n\nbark. Loudly!</text>",
        ),
        ("Explain your answer in 3 steps to the reader", "Explain your answer in twelve steps to the reader"),
        (
            "Write one sentence that uses your words:\n- apple\n- pear\n- plum",
            "Write one sentence that uses your words:\n- plum\n- apple\n- pear",
        ),
        (
            "Please compare apples, pears and plums in your answer",
            "Please compare plums, cherries, apples and pears in your answer",
        ),
        ("Please explain to you and me how Anna Karenina ends", "Please explain to you and me how Moby Dick ends"),
        (
            "Explain the code in your answer\n```\nx = 1\n```",
            "Explain the code in your answer\n```\ny. Return you!\n```",
        ),
        ("Explain your reasoning to the reader", "EXPLAIN\u200b your  reasoning, to the READER!"),
    ],
)
def test_filled_in_material_does_not_change_the_templates(left: str, right: str) -> None:
    ours, theirs = (sketch_prompt(text, key=KEY).templates for text in (left, right))
    assert ours
    assert ours == theirs


@pytest.mark.parametrize("material", [*MATERIALS, '{"amount": 3, "unit": "kg"}'])
def test_a_wrapper_inside_a_json_object_is_the_same_wrapper(material: str) -> None:
    alone = sketch_prompt(WRAPPER, key=KEY).templates
    request = {"task": WRAPPER, "input": {"text": material, "id": 4711}, "tags": ["v1"]}
    assert sketch_prompt(json.dumps(request), key=KEY).templates == alone
    assert sketch_prompt(json.dumps(request, indent=2), key=KEY).templates == alone
    messages = [{"role": "system", "content": WRAPPER}, {"role": "user", "content": material}]
    assert sketch_prompt(json.dumps(messages), key=KEY).templates == alone


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "\ud800"}',
        '{"a": "\\ud800"}',
        "{" * 5_000 + "}" * 5_000,
        '{"a": ' * 5_000 + "1" + "}" * 5_000,
        '{"a": }',
        "{}",
    ],
)
def test_what_only_looks_like_a_json_object_has_a_sketch(text: str) -> None:
    assert sketch_prompt(text, key=KEY).chars == len(text)


def test_different_wrappers_have_different_templates() -> None:
    other = "Please translate the following problem into formal logic and give your answer"
    assert not set(sketch_prompt(WRAPPER, key=KEY).templates) & set(sketch_prompt(other, key=KEY).templates)


def test_the_system_prompt_changes_only_its_own_field() -> None:
    plain = sketch_prompt(f"{WRAPPER}: {MATERIALS[0]}", key=KEY)
    instructed = sketch_prompt(f"{WRAPPER}: {MATERIALS[0]}", "You are a judge.", ["search"], key=KEY)
    assert (plain.simhash, plain.body_simhash, plain.templates) == (
        instructed.simhash,
        instructed.body_simhash,
        instructed.templates,
    )
    assert isinstance(instructed.system, str)
    assert plain.system != instructed.system


def test_the_system_digest_is_free_of_order_but_not_of_content() -> None:
    first = sketch_prompt("x", "Be brief. Today is 2025-01-02.", ["search", "browse"], key=KEY).system
    shuffled = sketch_prompt("x", "Today is 2025-03-04.\nBe brief.", ["browse", "search"], key=KEY).system
    assert first == shuffled
    assert first != sketch_prompt("x", "Be brief. Today is 2025-01-02.", ["search"], key=KEY).system
    assert first != sketch_prompt("x", "Be long. Today is 2025-01-02.", ["search", "browse"], key=KEY).system


def test_the_body_is_alike_under_different_wrappers() -> None:
    rng = random.Random(5)
    material = " ".join(made_up_text(rng, 40))
    other = "You must write your answer to the question below as JSON and never explain"
    ours, theirs = (sketch_prompt(f"{wrapper}:\n{material}", key=KEY) for wrapper in (WRAPPER, other))
    assert ours.body_simhash == theirs.body_simhash
    assert ours.simhash != theirs.simhash


@pytest.mark.parametrize("text", ["", "???", "🙂", "\ud800", "請摘要以下文字並回答問題", "x" * 200_000, '"' * 9_000])
def test_any_text_has_a_sketch(text: str) -> None:
    result = sketch_prompt(text, key=KEY)
    assert len(result.simhash) == len(result.body_simhash) == 16
    assert result.chars == len(text)
    assert len(result.templates) <= 4


def test_no_prompt_has_more_than_four_templates() -> None:
    rng = random.Random(2)
    text = "\n".join(f"Please explain your {' '.join(made_up_text(rng, 3))}" for _ in range(20))
    assert len(sketch_prompt(text, key=KEY).templates) == 4


@pytest.mark.parametrize("secret", [b"", b"short", bytes(65)])
def test_a_key_of_the_wrong_size_is_refused(secret: bytes) -> None:
    with pytest.raises(ValueError, match="32 to 64 bytes"):
        Key("k", secret)


def test_a_key_does_not_show_its_secret() -> None:
    assert "secret" not in repr(KEY)
    assert KEY.secret.hex() not in repr(KEY)


def key_file(folder: Path, content: str = f"2025-a:{bytes(range(32)).hex()}\n", mode: int = 0o600) -> Path:
    path = folder / "sketch.key"
    path.write_text(content)
    path.chmod(mode)
    return path


def test_a_key_file_is_read(tmp_path: Path) -> None:
    assert load_key(key_file(tmp_path)) == KEY


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_a_key_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_key(key_file(tmp_path, mode=mode))


@pytest.mark.parametrize(
    "content", ["", "a", f"a:{'0' * 62}", f"a:{'0' * 65}", f"a:{'0' * 130}", f":{'0' * 64}", f"a:{'z' * 64}", "é:" * 9]
)
def test_a_malformed_key_file_is_refused_in_one_line_without_the_secret(tmp_path: Path, content: str) -> None:
    with pytest.raises(KeyFileError) as caught:
        load_key(key_file(tmp_path, content))
    assert "\n" not in str(caught.value)
    assert "0" * 20 not in str(caught.value)
    assert "z" * 20 not in str(caught.value)


def test_an_absent_key_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        load_key(tmp_path / "none")


def run(lines: bytes, *arguments: str) -> Result:
    return CliRunner(env={"STILLWATCH_SKETCH_KEY_FILE": None}).invoke(sketch, arguments, input=lines)


def test_the_command_copies_lines_to_sketches(tmp_path: Path) -> None:
    lines = [{"ref": "a", "text": f"{WRAPPER}: {CANARY}"}, {"ref": 7, "text": CANARY, "system": CANARY, "x": CANARY}]
    result = run("\n\n".join(map(json.dumps, lines)).encode(), "--key-file", str(key_file(tmp_path)))
    assert result.exit_code == 0
    first, second = map(json.loads, result.stdout.splitlines())
    assert set(first) == {"ref", "key_id", "simhash", "body_simhash", "templates", "chars", "scores"}
    assert set(second) == {*first, "system"}
    assert (first["ref"], second["ref"], first["key_id"]) == ("a", 7, "2025-a")
    assert first["simhash"] == sketch_prompt(f"{WRAPPER}: {CANARY}", key=KEY).simhash
    assert CANARY not in result.output


def test_bad_lines_are_numbered_and_good_ones_still_come_out(tmp_path: Path) -> None:
    bad = [
        f'{{"ref": "b", "text": "{CANARY}',
        f'{{"ref": "b", "{CANARY}": "{CANARY}"}}',
        f'{{"ref": ["{CANARY}"], "text": "x"}}',
        f'["{CANARY}"]',
        CANARY,
    ]
    lines = [b'{"ref": "a", "text": "good"}', *map(str.encode, bad), b'{"ref": "\xff", "text": "x"}']
    lines.append(b'{"ref": "z", "text": "good"}')
    result = run(b"\n".join(lines), "--key-file", str(key_file(tmp_path)))
    assert result.exit_code == 1
    assert [json.loads(line)["ref"] for line in result.stdout.splitlines()] == ["a", "z"]
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == [f"line {n}" for n in range(2, 8)]
    assert CANARY not in result.output
    assert "Traceback" not in result.output


def test_without_a_key_the_command_refuses() -> None:
    result = run(b'{"ref": "a", "text": "x"}\n')
    assert result.exit_code == 2
    assert "STILLWATCH_SKETCH_KEY_FILE" in result.stderr
    assert not result.stdout


def test_an_open_key_file_stops_the_command(tmp_path: Path) -> None:
    result = run(b'{"ref": "a", "text": "x"}\n', "--key-file", str(key_file(tmp_path, mode=0o644)))
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert not result.stdout


def test_the_key_file_may_come_from_the_environment(tmp_path: Path) -> None:
    runner = CliRunner(env={"STILLWATCH_SKETCH_KEY_FILE": str(key_file(tmp_path))})
    assert runner.invoke(sketch, [], input=b'{"ref": "a", "text": "x"}\n').exit_code == 0
